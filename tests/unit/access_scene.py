# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive with users, a state directory with the smallest configuration that serves it, and Dovecot over that, without a port.

As root, the mail is read by an account that comes with Dovecot; otherwise everything runs as the caller.
"""

from __future__ import annotations

import contextlib
import grp
import imaplib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_trial, layout, store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_access
from tests.unit.library.module_run import run_module

READER = "dovenull" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(pwd.getpwnam(READER).pw_gid).gr_name
PASSWORD = "not-a-secret-auditor"
KERIO_PASSWORD = "not-a-secret-kerio"
START_SECONDS = 20.0

CONFIGURATION = """\
base_dir = @state@/run
state_dir = @state@/lib
log_path = @state@/log
protocols = imap
ssl = no
auth_mechanisms = plain
auth_username_format = %Lu
auth_username_chars =
auth_failure_delay = 0 secs
default_internal_user = @me@
default_internal_group = @group@
default_login_user = @me@
first_valid_uid = 1
mail_uid = @me@
mail_gid = @group@
mail_location = maildir:~/mail:INBOX=~/mail/INBOX:LAYOUT=fs:UTF-8:INDEX=~/index:CONTROL=~/control
mail_plugins = zlib acl
plugin {
  acl = vfile:@state@/live/acl
  acl_globals_only = yes
  acl_shared_dict = file:@state@/live/shared-mailboxes
}
namespace inbox {
  inbox = yes
  separator = /
}
namespace archives {
  type = shared
  separator = /
  prefix = Archives/%%u/
  location = maildir:%%h/mail:INBOX=%%h/mail/INBOX:LAYOUT=fs:UTF-8:INDEX=%%h/index:CONTROL=%%h/control
  subscriptions = no
  list = children
}
passdb {
  driver = passwd-file
  args = username_format=%u @state@/live/users
  result_failure = return-fail
  result_internalfail = return-fail
}
passdb {
  driver = lua
  args = file=@state@/live/kerio.lua blocking=yes cache_key=%u
}
userdb {
  driver = passwd-file
  args = username_format=%u @state@/live/owners
}
service auth-worker {
  user = @me@
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  unix_listener imap {
    mode = 0600
  }
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 0
  }
}
"""
# Kerio knows one password for everybody whom logins.lua names.
SCRIPT = f"""\
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
function auth_password_verify(request, password)
  local login = dofile(here .. "logins.lua")[request.user]
  if not login then return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "unknown" end
  if password == "{KERIO_PASSWORD}" then return dovecot.auth.PASSDB_RESULT_OK, {{}} end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "wrong"
end
"""


def person(name: str, *privileges: str, **more: t.Any) -> UserValues:
    """A user of a directory, who may log in and read unless other privileges are given."""
    login = more.pop("kerio_login", f"{name.lower()}@kerio")
    given = {"origin": "directory", "server": "mail1", "kerio_id": name, "kerio_login": login, **more}
    return UserValues(name=name, privileges=privileges or ("login", "read"), **given)


def integrated(name: str, *privileges: str, **more: t.Any) -> UserValues:
    """A user of the inventory with a password of the archive's own."""
    return UserValues(name=name, origin="inventory", authentication="integrated", privileges=privileges, **more)


class Scene:
    """`root` and `state` of one archive; `declare` runs the module on them."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root, self.state = base / "root", base / "state"
        self._open: list[imaplib.IMAP4] = []
        base.chmod(0o755)
        store_setup.ensure(store_setup.Wish(str(self.root), group=GROUP), check_mode=False)
        for folder in (self.state, self.state / "candidate"):
            folder.mkdir()
            folder.chmod(0o755)
        text = CONFIGURATION
        for name, value in (("state", str(self.state)), ("me", READER), ("group", GROUP)):
            text = text.replace(f"@{name}@", value)
        self.candidate("dovecot.conf", text)
        self.candidate("kerio.lua", SCRIPT)

    def candidate(self, name: str, text: str) -> None:
        (self.state / "candidate" / name).write_text(text, encoding="utf-8")

    def live(self, name: str) -> str:
        return (self.state / "live" / name).read_text(encoding="utf-8")

    def users(self, *values: UserValues) -> None:
        """Make or change users; they are known by their names."""
        with Catalog.of(str(self.root)) as catalog:
            known = {user.name: user.id for user in catalog.users(deleted=True)}
            catalog.apply_users([UserStep(known.get(value.name), value) for value in values])

    def leave(self, name: str) -> None:
        with Catalog.of(str(self.root)) as catalog:
            user = catalog.user_by_name(name)
            assert user is not None
            catalog.apply_users([UserStep(user.id, UserValues(name=name, origin=user.origin), delete=True)])

    def archive(self, name: str, *folder: str, text: str = "hello") -> None:
        """File one message, as a run does."""
        with Catalog.of(str(self.root)) as catalog, Store.open(str(self.root)) as store:
            user = next(user for user in catalog.users(deleted=True) if user.name == name)
            body = f"From: a@example.com\r\nSubject: {text}\r\n\r\n{text}\r\n".encode()
            stored = store.put(body, 1_700_000_000)
            placed = layout.placement_name(1_700_000_000, stored.digest, len(body), len(body), "S")
            store.place(stored.digest, "/".join((layout.MAIL, user.tree, *map(layout.escape, folder))), placed)
            store.sync()

    def declare(self, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        given = {"root": str(self.root), "state_dir": str(self.state), "group": GROUP, "mail_user": READER}
        return run_module(archive_access.main, check=check, **{**given, "passwords": {"auditor": PASSWORD}, **options})

    def in_force(self) -> None:
        """Have the module do it, for what a test is about to do then."""
        result = self.declare()
        assert not result["failed"], result

    def snapshot(self) -> dict[str, tuple[int, int, str]]:
        """Every file and link below the state directory, but for what Dovecot itself writes: inode, time, content."""
        folders = (self.state / "live", self.state / "homes", self.state / "next")
        paths = [path for folder in folders for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, self._content(path)) for path in sorted(paths)}

    def _content(self, path: Path) -> str:
        return str(path.readlink()) if path.is_symlink() else path.read_text("utf-8", "replace")

    @contextlib.contextmanager
    def serving(self) -> t.Iterator[None]:
        """Dovecot over what is live."""
        process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self.state / "live" / "dovecot.conf")],
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (self.state / "run" / "imap").exists():
                assert process.poll() is None and time.monotonic() < deadline, self.log()
                time.sleep(0.02)
            yield
        finally:
            for imap in self._open:
                imap.shutdown()
            process.terminate()
            process.wait(START_SECONDS)

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.state / "log").read_text(errors="replace")
        return ""

    def log_in(self, user: str, password: str = KERIO_PASSWORD) -> imaplib.IMAP4:
        imap = access_trial.OverSocket(str(self.state / "run" / "imap"), timeout=START_SECONDS)
        self._open.append(imap)
        imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        return imap


@contextlib.contextmanager
def scene() -> t.Iterator[Scene]:
    """A scene in a directory with a short path, because those of UNIX sockets are limited."""
    base = Path(tempfile.mkdtemp(prefix="access-"))
    try:
        yield Scene(base)
    finally:
        shutil.rmtree(base)


def folders(imap: imaplib.IMAP4) -> list[str]:
    """The names in LIST, as they are on the wire."""
    return sorted(line.decode().partition(' "/" ')[2].strip('"') for line in imap.list()[1] if line)


def wire(name: str) -> str:
    """A quoted ASCII name for imaplib, which quotes nothing by itself."""
    assert name.isascii()
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def count(imap: imaplib.IMAP4, folder: str) -> int | None:
    """How many messages a folder has, None when it cannot be opened."""
    answer, data = imap.select(wire(folder), readonly=True)
    return int(data[0]) if answer == "OK" else None
