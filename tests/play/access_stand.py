# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of two servers of the lab, playbooks/access.yml over it, and the Dovecot that it makes, on a port of loopback.

As root Dovecot has the users of production, or such as every Debian has; otherwise it is all of it the caller's.
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
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import imapclient

from tests.lab import ports
from tests.lab.cli_lab import make_certificates
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import MAILBOXES, Site
from tests.play.helpers import play, run

PLAYBOOK = ROOT / "playbooks" / "access.yml"
INVENTORY = ROOT / "inventory" / "lab"
SECONDS = 20.0
ROOTS = os.geteuid() == 0
ME = pwd.getpwuid(os.geteuid())
# A reader who is no member of the archive's group by himself.
READER, ARCHIVE_GROUP = ("news", "backup") if ROOTS else (ME.pw_name, grp.getgrgid(ME.pw_gid).gr_name)


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


class Stand:
    """Everything lies in ``folder``, where the users of Dovecot get to; ``stop`` removes it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.folder = Path(tempfile.mkdtemp(prefix="access-", dir=Path("/var") / "tmp"))
        self.folder.chmod(0o755)
        self.root, self.state, self.log = (self.folder / name for name in ("archive", "state", "log"))
        self.port = ports.free(1)[0]
        self.ca_file = make_certificates(self.folder / "pem", "archive.example.com")
        self._process: subprocess.Popen[bytes] | None = None

    def fill(self) -> None:
        """Make the archive and its users, and archive the mailboxes."""
        store, users = self.site.ready(self.root)
        store = type(store)(store.module, {**store.options, "group": ARCHIVE_GROUP})
        for answer in play(store, users, self.site.run(self.root, MAILBOXES)):
            assert not answer.failed, answer.result

    def variables(self) -> dict[str, t.Any]:
        auth, login = ("dovecot", "dovenull") if ROOTS else (ME.pw_name, ME.pw_name)
        return {
            "archive_access_auth_user": auth,
            "archive_access_auth_group": _group_of(auth),
            "archive_access_login_user": login,
            "archive_host_root": str(self.root),
            "archive_host_python": sys.executable,
            "archive_access_state": str(self.state),
            "archive_access_base_dir": str(self.folder / "run"),
            "archive_access_become": False,
            "archive_access_packages": [],
            "archive_access_service": "none",
            "archive_access_user": READER,
            "archive_access_group": _group_of(READER),
            "archive_access_create_user": False,
            "archive_access_certificate": str(self.folder / "pem" / "server.crt"),
            "archive_access_key": str(self.folder / "pem" / "server.key"),
            "archive_access_listen": [ports.HOST],
            "archive_access_port": self.port,
            "archive_access_sessions": 100,
            "archive_access_login_processes": 1,
            "archive_access_workers": 4,
            "archive_access_log": str(self.log),
            "archive_access_failure_delay": 0,
            "archive_access_penalty": False,
        }

    def serve(self, *args: str, **changed: t.Any) -> PlaybookRun:
        """Run the playbook."""
        file = self.folder / "variables.json"
        file.write_text(json.dumps({**self.variables(), **changed}), encoding="utf-8")
        return run(PLAYBOOK, "-e", f"@{file}", *args, inventory=INVENTORY, KERIO_LAB_JSON=str(self.site.lab.file))

    def start(self) -> None:
        """What systemd would do."""
        (self.folder / "run").mkdir(mode=0o755, exist_ok=True)
        command = ["/usr/sbin/dovecot", "-F", "-c", str(self.state / "live" / "dovecot.conf")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)
        deadline = time.monotonic() + SECONDS
        while not ports.is_open(self.port):
            assert self._process.poll() is None and time.monotonic() < deadline, self.logged()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(SECONDS)
        shutil.rmtree(self.folder)

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @contextlib.contextmanager
    def login(self, user: str, password: str) -> t.Iterator[imapclient.IMAPClient]:
        """A session; the certificate is verified."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        client = imapclient.IMAPClient("localhost", self.port, ssl_context=context, timeout=SECONDS)
        try:
            client.login(user, password)
            yield client
        finally:
            client.shutdown()
