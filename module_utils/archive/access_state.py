# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of the archive's Dovecot: its files and who may read them, the homes, and the trees that homes point to."""

from __future__ import annotations

import os
import pwd
import stat
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_files, layout, store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_users import Account
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import sync_path, write_all
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

CANDIDATE, LIVE, NEXT, HOMES = "candidate", "live", "next", "homes"
RECORD = "applied.json"  # what was in force when a call ended well: it is written last
CONFIGURATION = "dovecot.conf"
# Read by the processes of the mail user; the rest by those that check logins; the record by nobody but us.
_FOR_MAIL = (access_files.ACL, access_files.ACL_OF_AUDITORS, access_files.SHARED)
_MODES = {RECORD: 0o600}
_MODE = 0o640


@dataclass(frozen=True)
class Rights:
    """To whom files belong, as numbers. Another user than root can give nothing away, so all of them are its own then."""

    uid: int
    gid: int
    mail_uid: int
    mail_gid: int

    def of_file(self, name: str) -> tuple[int, int, int]:
        """Mode, owner and group of a file of the live directory."""
        return _MODES.get(name, _MODE), self.uid, self.mail_gid if name in _FOR_MAIL else self.gid


def rights_of(owner: str | None, group: str | None, mail_user: str | None) -> Rights:
    """The numbers of the named accounts; the caller's own where none is named. Raises InputError."""
    me = pwd.getpwuid(os.geteuid())
    if os.geteuid() != 0:
        return Rights(me.pw_uid, os.getegid(), me.pw_uid, os.getegid())
    accounts = {option: _account(option, name) if name else me for option, name in (("owner", owner), ("mail_user", mail_user))}
    gid = store_setup.group_number(group) if group else accounts["owner"].pw_gid
    mail = accounts["mail_user"]
    return Rights(accounts["owner"].pw_uid, gid, mail.pw_uid, mail.pw_gid)


def _account(option: str, name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise InputError(option, f"there is no user {name!r} on this host", "Create it first, or correct the name") from error


def read(path: Path) -> str | None:
    """The text of a file, None when it is not there."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_failure(error, str(path)) from error


def same(path: Path, text: str, rights: Rights) -> bool:
    """Whether a file of the live directory is as it is wanted, mode and owner included."""
    if read(path) != text:
        return False
    found = path.stat()
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == rights.of_file(path.name)


def write(path: Path, text: str, rights: Rights) -> None:
    """Put a file in place of another one at once, durably.

    Dovecot takes a file for unchanged while its size is the same and so are the whole seconds of its time, so that has to grow.
    """
    mode, uid, gid = rights.of_file(path.name)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        before = int(path.stat().st_mtime) if path.exists() else 0
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, text.encode("utf-8", "surrogateescape"))
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            seconds = max(int(time.time()), before + 1)
            os.utime(descriptor, (seconds, seconds))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_path(str(path.parent))
    except OSError as error:
        raise os_failure(error, str(path)) from error


def directory(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make a directory, or give it mode and owner."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(path, uid, gid)
        if stat.S_IMODE(found.st_mode) != mode:
            path.chmod(mode)
    except OSError as error:
        raise os_failure(error, str(path)) from error


def _home_parts(home: Path, rights: Rights) -> tuple[tuple[Path, int, int, int], ...]:
    """What a home is made of. Nobody but us may turn its link elsewhere; only Dovecot's own state is the mail user's."""
    own = (rights.mail_uid, rights.mail_gid)
    return (home, 0o755, rights.uid, rights.gid), (home / "index", 0o700, *own), (home / "control", 0o700, *own)


def home_is_there(home: Path, tree: str, rights: Rights) -> bool:
    """Whether a home is complete and points to ``tree``."""
    try:
        if str((home / "mail").readlink()) != tree:
            return False
        for path, mode, uid, gid in _home_parts(home, rights):
            found = path.stat()
            if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (mode, uid, gid):
                return False
    except OSError:
        return False
    return True


def make_home(home: Path, tree: str, rights: Rights) -> None:
    """Make or mend a home. The link is replaced at once."""
    for part in _home_parts(home, rights):
        directory(*part)
    link, temporary = home / "mail", home / "mail.tmp"
    try:
        if not link.is_symlink() or str(link.readlink()) != tree:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(tree)
            temporary.replace(link)
    except OSError as error:
        raise os_failure(error, str(link)) from error


def tree_of(root: str, account: Account) -> str:
    """The tree of an archive user; the catalog's name of it, which outlives names of users."""
    return f"{root}/{layout.MAIL}/{account.tree}"


def without_tree(root: str, accounts: t.Iterable[Account]) -> list[Account]:
    """Archive users of whom nothing was archived yet: Dovecot can open no INBOX where there is none, and may not make one."""
    return [account for account in accounts if not Path(tree_of(root, account), layout.INBOX, layout.MAILDIR_PARTS[-1]).is_dir()]


def closed_above(root: str, rights: Rights) -> Path | None:
    """The outermost directory above the archive whose mode lets the mail user not get through; ACLs may say otherwise."""
    groups = {rights.mail_gid}
    try:
        groups.add(Path(root).stat().st_gid)  # mail_access_groups
        for folder in reversed(Path(root).resolve().parents):
            facts = folder.stat()
            digit = stat.S_IXUSR if facts.st_uid == rights.mail_uid else stat.S_IXGRP if facts.st_gid in groups else stat.S_IXOTH
            if not facts.st_mode & digit and rights.mail_uid != 0:
                return folder
    except OSError as error:
        raise os_failure(error, root) from error
    return None


def with_hidden_folder(root: str, accounts: t.Iterable[Account]) -> list[Account]:
    """People whose own tree has a folder of the name below which Dovecot shows the archives of others."""
    hidden = access_files.PREFIX.rstrip("/")
    return [account for account in accounts if account.way and Path(tree_of(root, account), hidden).is_dir()]


def make_trees(root: str, accounts: t.Sequence[Account]) -> None:
    """Make the empty trees of archive users, as the owner of the archive."""
    facts = Path(root).stat()
    with job_account.owning(facts.st_uid, facts.st_gid), Store.open(root) as store:
        for account in accounts:
            store.make_folder(f"{layout.MAIL}/{account.tree}/{layout.INBOX}")
        written = store.take_written()
        store.sync(written)
