# SPDX-License-Identifier: GPL-3.0-or-later
"""Dovecot over an archive: read-only, zlib plugin, an ACL besides the rights of the file system, on a loopback port.

It runs without rights: as the caller, or, when root starts it, as an account that comes with Dovecot.
"""

from __future__ import annotations

import contextlib
import grp
import imaplib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.lab import ports
from tests.lab.service import wait_until
from tests.proof.independent_reader import Mailbox, ok

PROGRAM = "/usr/sbin/dovecot"
READER = "dovenull"
PASSWORD = "not-a-secret-reader"
SECONDS = 20.0

CONFIGURATION = """\
base_dir = @var@/run
state_dir = @var@/state
log_path = @var@/log
listen = 127.0.0.1
protocols = imap
ssl = no
disable_plaintext_auth = no
default_internal_user = @me@
default_internal_group = @group@
default_login_user = @me@
first_valid_uid = 1
first_valid_gid = 1
mail_uid = @me@
mail_gid = @group@
mail_home = @var@/home/%u
mail_location = maildir:@root@/mail/%u:INBOX=@root@/mail/%u/INBOX:LAYOUT=fs:UTF-8:INDEX=@var@/index/%u:CONTROL=@var@/control/%u
mail_plugins = zlib acl
protocol imap {
  mail_plugins = zlib acl imap_acl
}
plugin {
  acl = vfile:@var@/acl
}
namespace inbox {
  inbox = yes
  separator = /
}
passdb {
  driver = static
  args = password=@password@
}
userdb {
  driver = static
  args = uid=@me@ gid=@group@ home=@var@/home/%u
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = @port@
  }
  inet_listener imaps {
    port = 0
  }
}
"""


def account() -> pwd.struct_passwd:
    """Who reads the archive."""
    return pwd.getpwnam(READER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def group() -> str:
    return grp.getgrgid(account().pw_gid).gr_name


class ArchiveDovecot:
    """Serves the trees below `root`; ends with the context."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._port = ports.free(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._var = Path(tempfile.mkdtemp(prefix="reader-"))  # short, because the paths of UNIX sockets are limited

    def __enter__(self) -> ArchiveDovecot:
        who = account()
        names = {
            "var": self._var,
            "root": self._root,
            "me": who.pw_name,
            "group": group(),
            "port": self._port,
            "password": PASSWORD,
        }
        text = CONFIGURATION
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        (self._var / "dovecot.conf").write_text(text)
        (self._var / "acl").write_text("* owner lr\n")
        for folder in ("run", "state", "home"):
            (self._var / folder).mkdir()
            (self._var / folder).chmod(0o755 if folder == "run" else 0o700)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            for path in (self._var, *self._var.iterdir()):
                os.chown(path, who.pw_uid, who.pw_gid)
        self._process = subprocess.Popen(
            [PROGRAM, "-F", "-c", str(self._var / "dovecot.conf")],
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **as_user,
        )
        self._wait()
        return self

    def __exit__(self, *_exc: object) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._var)

    def _wait(self) -> None:
        process = self._process
        assert process is not None
        wait_until(lambda: ports.is_open(self._port) or process.poll() is not None, SECONDS)
        if not ports.is_open(self._port):
            log = self.log()
            self.__exit__()
            raise AssertionError(f"Dovecot did not start: {log}")

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self._var / "log").read_text(errors="replace")
        return ""

    def open(self, tree: str) -> Mailbox:
        """Log in as the user of a tree."""
        imap = imaplib.IMAP4("127.0.0.1", self._port, timeout=60)
        ok(imap.login(tree, PASSWORD))
        return Mailbox(imap, "archive", tree)
