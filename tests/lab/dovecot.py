# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Dovecot per mail server: the message store behind the IMAP front, reachable on loopback only.

It always runs without root (sheet dovecot-access.md, section 7): as the caller, or, when root starts it, as MAIL_USER.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.lab import ports
from tests.lab.dovecot_conf import render

PROGRAM = "/usr/sbin/dovecot"
MAIL_USER = "mail"  # Debian's base-passwd always has it
MASTER_USER = "lab-master"
RECORD = "backend.json"
LONGEST_HOME = 50  # UNIX socket paths end at 107 bytes
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class DovecotError(Exception):
    """Dovecot did not start, did not stop or is not there."""


def mailbox_name(user_id: str) -> str:
    """The backend's name for a user: Kerio's id, so that a renamed user keeps his mail and a rehired name starts empty."""
    return re.sub(r"[^a-z0-9]+", "-", user_id.lower().removeprefix("keriodb://")).strip("-")


class Dovecot:
    """`directory` is the dovecot/ folder of the instance. Any process may construct it; the record on disk is shared."""

    def __init__(self, directory: Path | str, folder_names: dict[str, str] | None = None, more: str = "") -> None:
        self.directory = Path(directory).absolute()
        self.folder_names = folder_names or {}
        self.more = more  # settings that go behind the others, and so win
        self._process: subprocess.Popen[bytes] | None = None
        self._record: dict[str, Any] = {}

    # -- what is written down ---------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """port, master_password, pid, home (where run/, mail/ and log/ are)."""
        if not self._record:
            try:
                self._record = json.loads((self.directory / RECORD).read_text(encoding="utf-8"))
            except (OSError, ValueError) as err:
                raise DovecotError(f"{self.directory}: no Dovecot was started here: {err}") from err
        return self._record

    @property
    def port(self) -> int:
        return int(self.record["port"])

    @property
    def home(self) -> Path:
        return Path(self.record["home"])

    @property
    def log_file(self) -> Path:
        return self.home / "log" / "dovecot.log"

    def master_login(self, mailbox: str) -> tuple[str, str]:
        """User name and password that open `mailbox` (see mailbox_name) by LOGIN."""
        return f"{mailbox}*{MASTER_USER}", str(self.record["master_password"])

    def _write_record(self, record: dict[str, Any]) -> None:
        path = self.directory / RECORD
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
            json.dump(record, handle)
        self._record = record

    # -- start and stop ---------------------------------------------------------------------------------------

    def running(self) -> bool:
        try:
            return _is_ours(int(self.record["pid"]), self.home)
        except DovecotError:
            return False

    def start(self) -> None:
        """Idempotent. Keeps the mail of an earlier start; the master password is new each time."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._record = {}
        if self.running():
            return
        if self._process is not None:  # ended through another object
            self._process.wait()
        account = pwd.getpwnam(MAIL_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        home = self._prepare_home(account)
        # After a loss of power its number may be that of another program, and Dovecot would not start.
        (home / "run" / "master.pid").unlink(missing_ok=True)
        port, password = ports.free(1)[0], secrets.token_urlsafe(18)
        names = {"me": account.pw_name, "group": grp.getgrgid(account.pw_gid).gr_name, "home": str(home)}
        names |= {"port": str(port), "password": password}
        _write_owned(home / "masters", f"{MASTER_USER}:{{PLAIN}}{password}\n", account)
        _write_owned(home / "dovecot.conf", render(names, self.folder_names) + self.more, account)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with (home / "log" / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-F", "-c", str(home / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **as_user,
            )
        self._write_record({"port": port, "master_password": password, "pid": self._process.pid, "home": str(home)})
        self._wait_for_banner()

    def _prepare_home(self, account: pwd.struct_passwd) -> Path:
        """Where Dovecot lives: the instance's folder, or a private one in /var/tmp if the mail user cannot get there."""
        with contextlib.suppress(DovecotError):
            if self.home.is_dir():
                return self.home
        fits = len(str(self.directory)) <= LONGEST_HOME and can_traverse(self.directory, account)
        home = self.directory if fits else Path(tempfile.mkdtemp(prefix="kerio-lab-", dir=Path("/var") / "tmp"))
        for folder in (home, home / "run", home / "state", home / "mail", home / "log"):
            folder.mkdir(mode=0o755 if folder.name == "run" else 0o700, exist_ok=True)
            os.chown(folder, account.pw_uid, account.pw_gid)
        return home

    def _wait_for_banner(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
                if link.recv(100).startswith(b"* OK"):
                    return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.01)
        words = (self.home / "log" / "start.log").read_text(errors="replace")[-1500:]
        logged = self.log_file.read_text(errors="replace")[-1500:] if self.log_file.exists() else ""
        self.stop()
        raise DovecotError(f"Dovecot did not start in {self.home}: {words} {logged}")

    def stop(self, *, remove: bool = False) -> None:
        """End the process group; `remove` also deletes mail that lies outside the instance's folder."""
        try:
            record = self.record
        except DovecotError:
            return
        home, pid = Path(record["home"]), int(record["pid"])
        if _is_ours(pid, home):
            self._end(pid, home)
        if self._process is not None:
            self._process.wait()
            self._process = None
        if remove:
            if home != self.directory:
                shutil.rmtree(home, ignore_errors=True)
            (self.directory / RECORD).unlink(missing_ok=True)
        self._record = {}

    def _end(self, pid: int, home: Path) -> None:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signum)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()
                if not _is_ours(pid, home):
                    return
                time.sleep(0.01)
        raise DovecotError(f"Dovecot (process {pid}) does not end")

    def __enter__(self) -> Dovecot:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop(remove=True)


def _write_owned(path: Path, text: str, account: pwd.struct_passwd) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    os.chown(path, account.pw_uid, account.pw_gid)


def can_traverse(folder: Path, account: pwd.struct_passwd) -> bool:
    """May the account pass every folder above this one? (The folder itself will belong to it.)"""
    for parent in folder.resolve().parents:
        status = parent.stat()
        bit = stat.S_IXOTH
        if status.st_uid == account.pw_uid:
            bit = stat.S_IXUSR
        elif status.st_gid == account.pw_gid:
            bit = stat.S_IXGRP
        if not status.st_mode & bit:
            return False
    return True


def _is_ours(pid: int, home: Path) -> bool:
    """Does this process run our configuration? Guards against a pid that was given away again, and against zombies."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(home / "dovecot.conf").encode() in words
