# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export is asked for, out of the options of ``archive_export``."""

from __future__ import annotations

import math
import os
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import audit, store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import moment
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder, select_folders
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

MBOX, EML, MAILDIR = "mbox", "eml", "maildir"
_NAMED = 5

Data = dict[str, t.Any]


@dataclass(frozen=True)
class Rights:
    """Of what is written: numbers, -1 for those of the process; the mode of files. Directories can be entered by who can read."""

    uid: int = -1
    gid: int = -1
    mode: int = 0o600

    @property
    def folder_mode(self) -> int:
        """The mode of directories."""
        return self.mode | (self.mode & 0o444) >> 2

    def wrong(self, facts: os.stat_result) -> bool:
        """Whether a file or directory has others."""
        mode = self.folder_mode if stat.S_ISDIR(facts.st_mode) else self.mode
        owned = self.uid in (-1, facts.st_uid) and self.gid in (-1, facts.st_gid)
        return not owned or facts.st_mode & 0o777 != mode


@dataclass(frozen=True)
class Wish:
    """``users`` None: all, leavers and ``@catchall`` too. ``since`` and ``before``: INTERNALDATE, in epoch seconds, half-open.

    ``extend``: whether an export of another selection may be added to. ``by`` and ``reason`` are for the ledger.
    """

    root: str
    dest: str
    users: tuple[str, ...] | None
    folders: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    since: int | None = None
    before: int | None = None
    format: str = MBOX
    separator: str = ":"
    extend: bool = False
    rights: Rights = Rights()
    by: str = ""
    reason: str = ""

    def kind(self) -> Data:
        """What all messages of one dest have in common."""
        return {"format": self.format, **({"separator": self.separator} if self.format == MAILDIR else {})}

    def selection(self, people: t.Iterable[User]) -> Data:
        """What is selected, to be compared with what was selected before. Users by their trees, which never change."""
        return {
            "root": self.root,
            "users": None if self.users is None else sorted(user.tree for user in people),
            "folders": sorted(self.folders),
            "exclude_folders": sorted(self.exclude),
            "since": None if self.since is None else moment(self.since),
            "before": None if self.before is None else moment(self.before),
        }


def wish_of(params: Data) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    if bool(params["users"]) == params["all_users"]:
        cause = "all_users is given as well" if params["users"] else "nobody is named"
        raise InputError("users", cause, "Give user names or addresses, or all_users: true")
    since, before = (_date(option, params[option]) for option in ("since", "before"))
    if since is not None and before is not None and before <= since:
        raise InputError("before", "it is not later than since", "Give a later time; before itself is left out")
    refuse_place(params["root"], params["dest"])
    return Wish(
        root=str(Path(params["root"])),
        dest=str(Path(params["dest"])),
        users=None if params["all_users"] else tuple(params["users"]),
        folders=tuple(params["folders"]),
        exclude=tuple(params["exclude_folders"]),
        since=since,
        before=before,
        format=params["format"],
        separator=params["maildir_separator"],
        extend=params["extend"],
        rights=Rights(
            store_setup.owner_number(params["owner"]), store_setup.group_number(params["group"]), _mode(params["mode"])
        ),
        by=params["by"] or params["job_owner"] or "",
        reason=(params["reason"] or "").strip(),
    )


def _date(option: str, text: str | None) -> int | None:
    return None if text is None else math.ceil(audit.point_in_time(option, text))


def _mode(text: str) -> int:
    if not text.isascii() or not text.isdigit() or any(digit in text for digit in "89") or int(text, 8) > 0o777:
        raise InputError("mode", f"{text!r} is no mode of files", "Give octal digits in quotes, for example '0640'")
    mode = int(text, 8)
    if mode & 0o600 != 0o600 or mode & 0o111:
        cause = f"mode {text} lacks rights of the owner, or lets files be executed"
        raise InputError("mode", cause, "Give a mode such as '0640'; directories get the right to be entered by themselves")
    return mode


def refuse_place(root: str, dest: str) -> None:
    """Raise ``InputError`` for a dest in the archive, or one that the archive lies in."""
    if not dest.startswith("/") or dest == "/":
        raise InputError("dest", f"{dest!r} cannot be used", "Give the absolute path of a directory on the archive host")
    archive, place = Path(root).resolve(), Path(dest).resolve()
    if place.is_relative_to(archive):
        raise InputError("dest", f"{dest} lies in the archive, where nothing else is written", "Give a directory elsewhere")
    if archive.is_relative_to(place):
        raise InputError("dest", f"the archive lies in {dest}", "Give a directory of its own")
    if not Path(dest).parent.is_dir():
        raise InputError("dest", f"{Path(dest).parent} is not there", "Mount that disk, or make the directory")
    if not Path(dest).is_dir() and os.path.lexists(dest):
        what = "a symbolic link that leads to no directory" if Path(dest).is_symlink() else "no directory"
        raise InputError("dest", f"{dest} is {what}", "Remove it, or give another dest")


def people(wish: Wish, users: t.Sequence[User]) -> list[User]:
    """The users that are asked for, of all that the archive has or had; raises ``InputError`` for those that it does not know."""
    if wish.users is None:
        return list(users)
    # A leaver has no addresses any more; a name is worth more than an address that somebody else has.
    known = {address.lower(): user for user in users for address in user.addresses}
    known |= {user.name.lower(): user for user in users}
    unknown = [name for name in wish.users if name.lower() not in known]
    if unknown:
        cause = f"the archive has no user {some(unknown, _NAMED)}"
        raise InputError("users", cause, "Give names or addresses as archive_users lists them; leavers have their names only")
    chosen = {user.id: user for user in (known[name.lower()] for name in wish.users)}
    return sorted(chosen.values(), key=lambda user: user.name)


def folders_of(wish: Wish, folders: t.Sequence[UserFolder]) -> list[UserFolder]:
    """Those of a user's folders that the patterns select."""
    return [folder for folder in folders if _chosen(folder, wish.folders, wish.exclude)]


def useless(patterns: t.Iterable[str], folders: t.Collection[UserFolder]) -> list[str]:
    """The patterns that match no folder."""
    return [pattern for pattern in patterns if not any(_chosen(folder, (pattern,), ()) for folder in folders)]


def _chosen(folder: UserFolder, include: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    one = Folder("/".join(folder.parts), b"", frozenset(), "/", folder.parts or ("",), selectable=True)
    return bool(select_folders([one], include, exclude, ()).selected)
