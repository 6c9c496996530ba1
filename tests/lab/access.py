# SPDX-License-Identifier: GPL-3.0-or-later
"""A place for the role archive_access on this machine, told in lab.json as `access`, and what systemd would do: start and stop.

Dovecot never has root there: as root it runs as users that every Debian has, otherwise all of it is the caller's.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imapclient

from tests.lab import cli_lab, ports
from tests.lab.service import wait_until

PROGRAM = "/usr/sbin/dovecot"
# A reader who is no member of the archive's group by himself.
READER, ARCHIVE_GROUP = "news", "backup"
AUTH_USER, LOGIN_USER = "dovecot", "dovenull"
SECONDS = 20.0


class AccessError(Exception):
    """The archive's Dovecot did not start or did not end; the text says why."""


def accounts() -> dict[str, str]:
    """Who does what: names for the variables of the role."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    reader, auth, login = (READER, AUTH_USER, LOGIN_USER) if os.geteuid() == 0 else (me, me, me)
    groups = {user: grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name for user in (reader, auth)}
    archive = ARCHIVE_GROUP if os.geteuid() == 0 else groups[me]
    return {
        "user": reader,
        "group": groups[reader],
        "auth_user": auth,
        "auth_group": groups[auth],
        "login_user": login,
        "archive_group": archive,
    }


class Access:
    """``entry`` is that of lab.json; everything lies in its ``folder``."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry
        self.folder = Path(entry["folder"])
        self.port = int(entry["port"])
        self.ca_file = str(entry["ca_file"])
        self.state, self.log = Path(entry["state"]), Path(entry["log"])
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def provide(cls, lab: Path) -> Access:
        """Make a place and tell it in lab.json of the lab in that folder."""
        folder = Path(tempfile.mkdtemp(prefix="kerio-access-", dir=Path("/var") / "tmp"))  # whom Dovecot runs as gets there
        folder.chmod(0o755)
        ca_file = cli_lab.make_certificates(folder / "tls", "archive.example.com")
        document = cli_lab.read(lab)
        # Whom Dovecot runs as may not get to where the lab is.
        authorities = {server["name"]: str(folder / "tls" / f"{server['name']}.crt") for server in document["servers"]}
        for server in document["servers"]:
            shutil.copyfile(server["ca_file"], authorities[server["name"]])
        entry = {
            "folder": str(folder),
            "host": "localhost",
            "address": ports.HOST,
            "port": ports.free(1)[0],
            "ca_file": str(ca_file),
            "server_ca_files": authorities,
            "certificate": str(folder / "tls" / "server.crt"),
            "key": str(folder / "tls" / "server.key"),
            "state": str(folder / "state"),
            "base_dir": str(folder / "run"),
            "log": str(folder / "log"),
            **accounts(),
        }
        text = json.dumps({**document, "access": entry}, indent=2, ensure_ascii=False) + "\n"
        for path in cli_lab.lab_files(lab):
            path.write_text(text, encoding="utf-8")
        return cls(entry)

    @classmethod
    def of(cls, lab: Path) -> Access | None:
        """The place that lab.json of a lab tells, if it does."""
        with contextlib.suppress(cli_lab.LabError, KeyError):
            return cls(cli_lab.read(lab)["access"])
        return None

    @property
    def pid(self) -> int:
        """Of the Dovecot that runs there; 0 for none."""
        try:
            pid = int((self.folder / "run" / "master.pid").read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if str(self._configuration()).encode() in words else 0

    def _configuration(self) -> Path:
        return self.state / "live" / "dovecot.conf"

    def start(self) -> None:
        """Once the role has made the configuration. Raises AccessError."""
        (self.folder / "run").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            [PROGRAM, "-F", "-c", str(self._configuration())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        process = self._process
        wait_until(lambda: ports.is_open(self.port) or process.poll() is not None, SECONDS)
        if not ports.is_open(self.port):
            raise AccessError(f"the archive's Dovecot does not answer at port {self.port}: {self.logged()[-1500:]}")

    def stop(self) -> None:
        """End it, whoever started it, and remove its place."""
        deadline = time.monotonic() + SECONDS
        while pid := self.pid:
            if time.monotonic() > deadline:
                raise AccessError(f"the archive's Dovecot (process {pid}) does not end")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            if self._process is not None:
                self._process.wait(SECONDS)
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)

    def logged(self) -> str:
        """What Dovecot has written."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @contextlib.contextmanager
    def login(self, user: str, password: str, seconds: float = SECONDS) -> Iterator[imapclient.IMAPClient]:
        """A session; the certificate is verified."""
        context = ssl.create_default_context(cafile=self.ca_file)
        client = imapclient.IMAPClient(self.entry["host"], self.port, ssl_context=context, timeout=seconds)
        try:
            client.login(user, password)
            yield client
        finally:
            client.shutdown()
