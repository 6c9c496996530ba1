# SPDX-License-Identifier: GPL-3.0-or-later
"""The other archivers: mbsync of Debian, hoardy-mail and mailvault in a Python environment of the benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Sample
from tests.bench.machine import FailedError, timed
from tests.lab.playbooks import ROOT

ENVIRONMENT = ROOT / "build" / "bench-peers"
PINNED = ("hoardy-mail==2.6.2", "mailvault==0.22")
MBSYNC = "/usr/bin/mbsync"
MBSYNC_CONFIG = """\
FSync yes

IMAPAccount bench
Host localhost
Port {port}
User {mailbox}
Pass {password}
AuthMechs LOGIN
SSLType {ssl}
{certificate}

IMAPStore far
Account bench

MaildirStore near
Path {root}/
Inbox {root}/INBOX
SubFolders Verbatim

Channel bench
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""
MAILVAULT_CONFIG = """\
[global]
hash = "sha256"
compress = true

[[job]]
name = "bench"
server = "localhost"
port = {port}
tls = {tls}
username = "{mailbox}"
password = "{password}"
folders = ["INBOX"]
"""


@dataclass(frozen=True)
class Source:
    """A mailbox of ``messages`` messages in its INBOX; TLS when there is a ``ca_file``."""

    port: int
    mailbox: str
    password: str
    messages: int
    ca_file: str = ""


def install() -> dict[str, str]:
    """Make the environment of the peers; return all peers' versions."""
    stamp = ENVIRONMENT / "pinned.txt"
    pinned = "\n".join(PINNED) + "\n"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != pinned:
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        pip = [ENVIRONMENT / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        stamp.write_text(pinned, encoding="utf-8")
    told = subprocess.run([MBSYNC, "--version"], check=True, capture_output=True, text=True).stdout
    return {"mbsync": told.split()[-1], **dict(name.split("==") for name in PINNED)}


def mbsync(root: Path, source: Source) -> Sample:
    """Pull into a Maildir, as Debian configures it: FSync on. A ``root`` that was used before is brought up to date."""
    root.mkdir(exist_ok=True)
    config = root / "mbsyncrc"
    ssl = ("IMAPS", f"CertificateFile {source.ca_file}") if source.ca_file else ("None", "")
    values = {"port": source.port, "mailbox": source.mailbox, "password": source.password, "root": root}
    config.write_text(MBSYNC_CONFIG.format(**values, ssl=ssl[0], certificate=ssl[1]), encoding="utf-8")
    done = timed([MBSYNC, "-q", "-c", str(config), "bench"])
    expect(root / "INBOX", source)
    return Sample(done.seconds, done.cpu, source.messages)


def hoardy_mail(root: Path, source: Source) -> Sample:
    """Fetch into a Maildir and mark nothing on the server."""
    root.mkdir()
    secret = root / "secret"
    secret.write_text(source.password, encoding="utf-8")
    # The order of its options matters.
    login = ["--auth-allow-login", "--auth-allow-plain", "--ssl" if source.ca_file else "--plain", "--host", "localhost"]
    login += ["--port", str(source.port), "--user", source.mailbox, "--passfile", str(secret)]
    what = ["--folder", "INBOX", "--maildir", str(root / "Maildir"), "--any-seen", "--mark", "noop"]
    done = timed([str(ENVIRONMENT / "bin" / "hoardy-mail"), "fetch", "-q", *login, *what], env={"SSL_CERT_FILE": source.ca_file})
    expect(root / "Maildir", source)
    return Sample(done.seconds, done.cpu, source.messages)


def mailvault(root: Path, source: Source) -> Sample:
    """Back up into an archive of compressed messages named by SHA-256."""
    program = str(ENVIRONMENT / "bin" / "mailvault")
    root.mkdir()
    timed([program, "--archive", str(root), "archive", "init"])
    values = {
        "port": source.port,
        "mailbox": source.mailbox,
        "password": source.password,
        "tls": str(bool(source.ca_file)).lower(),
    }
    (root / "mailvault.toml").write_text(MAILVAULT_CONFIG.format(**values), encoding="utf-8")
    done = timed([program, "-q", "--archive", str(root), "backup"], env={"SSL_CERT_FILE": source.ca_file})
    stored = sum(len(files) for _, _, files in os.walk(root / "mail"))
    if stored < source.messages:
        raise FailedError(f"mailvault stored {stored} of {source.messages} messages: {done.output[-500:]}")
    return Sample(done.seconds, done.cpu, source.messages)


def expect(maildir: Path, source: Source) -> None:
    """Raise ``FailedError`` unless the Maildir holds as many messages as the mailbox."""
    found = sum(1 for part in ("new", "cur") for _ in os.scandir(maildir / part))
    if found != source.messages:
        raise FailedError(f"{maildir} holds {found} of {source.messages} messages")
