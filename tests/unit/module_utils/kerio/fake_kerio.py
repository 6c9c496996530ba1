# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kerio Connect for the tests of the guarded edit: a start/stop script around a process with a pid file and two ports.

The process reads mailserver.cfg at its start and rewrites it from memory when it stops. Files in its folder switch faults on;
each is read at the moment when it matters. ``at_stop`` is a shell script that runs when the server has saved its file.
"""

from __future__ import annotations

import datetime
import os
import signal
import stat
import sys
import time
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.mailops.kerio.plugins.module_utils.job import process_start
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service
from tests.lab import ports

CFG = (
    b"\xef\xbb\xbf<?xml version='1.0' encoding=\"UTF-8\"?>\r\n<!-- kept -->\r\n<config>\r\n"
    b'  <table name="Imap">\r\n    <variable name="AutoExpungeOnDelete">1</variable>\r\n'
    b'    <variable name="Greeting"/>\r\n  </table>\r\n'
    b'  <list name="Domain">\r\n    <listitem><variable name="Domain">example.com</variable></listitem>\r\n  </list>\r\n'
    b"</config>\r\n\r\n"
)

SERVER = r"""
import os, pathlib, select, signal, socket, ssl, subprocess, sys, time
folder = pathlib.Path(__file__).parent
api, imap = (int(word) for word in (folder / "ports").read_text().split()[:2])
def fault(name):
    return (folder / name).exists()
if os.fork():
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for number in range(3):
    os.dup2(null, number)
memory = (folder / "mailserver.cfg").read_bytes()
if fault("loses_value") or fault("loses_value_once"):
    (folder / "loses_value_once").unlink(missing_ok=True)
    memory = memory.replace(b">0<", b">1<")
    (folder / "mailserver.cfg").write_bytes(memory)
(folder / "read_at_start").write_bytes(memory)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "certificate.pem")
listeners = []
if not fault("opens_no_port"):
    for port in (api, imap):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        listeners.append(listener)
wake, waker = os.pipe()
def stop(*_):
    os.write(waker, b"x")
signal.signal(signal.SIGTERM, signal.SIG_IGN if fault("ignores_term") else stop)
(folder / "kms.pid").write_text(str(os.getpid()))
while True:
    ready = select.select([wake, *listeners], [], [])[0]
    if wake in ready:
        break
    for listener in ready:
        connection = listener.accept()[0]
        connection.settimeout(5)
        try:
            if listener is listeners[0]:
                connection = context.wrap_socket(connection, server_side=True)
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            else:
                connection.sendall(b"* OK IMAP ready\r\n")
        except OSError:
            pass
        connection.close()
while fault("stops_slowly"):
    time.sleep(0.02)
if not fault("keeps_file_at_stop"):
    (folder / "mailserver.cfg").write_bytes(memory.replace(b"<!-- kept -->", b"<!-- saved -->"))
if fault("at_stop"):
    subprocess.run(["/bin/sh", folder / "at_stop"], cwd=folder)
for listener in listeners:
    listener.close()
(folder / "kms.pid").unlink()
"""

SCRIPT = r"""#!/bin/sh
cd '{folder}'
echo "$1" >> calls
case "$1" in
start)
    [ -e refuses_start ] && {{ echo 'refused by the test'; exit 1; }}
    [ -e refuses_start_once ] && {{ rm refuses_start_once; echo 'refused by the test'; exit 1; }}
    [ -e kms.pid ] && kill -0 $(cat kms.pid) 2>/dev/null && exit 0
    '{python}' '{folder}/mailserver' ;;
stop)
    [ -e refuses_stop ] && {{ echo 'not today'; exit 0; }}
    [ -e kms.pid ] || exit 0
    pid=$(cat kms.pid)
    kill -TERM $pid
    [ -e stop_returns_early ] && exit 0
    n=0
    while [ $n -lt 100 ] && [ -e kms.pid ]; do sleep 0.05; n=$((n+1)); done
    [ -e comes_back ] && {{ rm comes_back; ( sleep 1; '{python}' '{folder}/mailserver' ) & }}
    exit 0 ;;
esac
"""


class FakeKerio:
    """``folder`` holds all of it; ``set`` and ``unset`` switch faults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api_port, self.imap_port = ports.free(2)
        self.cfg = folder / "mailserver.cfg"
        self.cfg.write_bytes(CFG)
        self.script = folder / "init"
        self.script.write_text(SCRIPT.format(folder=folder, python=sys.executable), encoding="utf-8")
        self.script.chmod(self.script.stat().st_mode | stat.S_IXUSR)
        (folder / "mailserver").write_text(SERVER, encoding="utf-8")
        (folder / "ports").write_text(f"{self.api_port} {self.imap_port}", encoding="ascii")
        (folder / "certificate.pem").write_bytes(_certificate())

    def set(self, *faults: str) -> None:
        for fault in faults:
            (self.folder / fault).touch()

    def unset(self, *faults: str) -> None:
        for fault in faults:
            (self.folder / fault).unlink()

    def calls(self) -> list[str]:
        """Return what the script was called with."""
        file = self.folder / "calls"
        return file.read_text(encoding="ascii").split() if file.exists() else []

    def read_at_start(self) -> bytes:
        """Return the file as the running process read it."""
        return (self.folder / "read_at_start").read_bytes()

    def service(self, **overrides: t.Any) -> service.Service:
        """Return our client's view of it, with short waits."""
        options: dict[str, t.Any] = {
            "start_command": [str(self.script), "start"],
            "stop_command": [str(self.script), "stop"],
            "process": str(self.folder / "mailserver"),
            "log": self.folder / "service.log",
            "pid_file": str(self.folder / "kms.pid"),
            "watchdog": str(self.folder / "watchdog"),
            "ready": service.Ready("127.0.0.1", self.api_port, self.imap_port, 5),
            "stop_timeout": 10,
            "start_timeout": 10,
            "settle": 0.3,
        }
        return service.Service(**dict(options, **overrides))

    def end(self) -> None:
        """Kill every process of it by its number."""
        for process in self.service().processes():
            os.kill(process.pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while process_start(process.pid) == process.identity and time.monotonic() < deadline:
                time.sleep(0.01)


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kerio.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)
