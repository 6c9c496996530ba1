# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive_store does: an archive root as declared, and the facts about it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout, store_codec, store_handover
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Totals
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError


@dataclass(frozen=True)
class Wish:
    """The declared archive root; ``mode`` in octal digits, ``reserve`` in bytes, owner and group by name or number.

    ``take_over``: whether an archive of somebody else becomes the owner's. ``mount_point``: where its disk must be mounted.
    """

    root: str
    owner: str | None = None
    group: str | None = None
    mode: str = "2750"
    reserve: int = 0
    allow_network: bool = False
    take_over: bool = False
    mount_point: str | None = None


@dataclass
class Done:
    """What was done, or would be done in check mode."""

    changed: bool
    msg: str
    diff: dict[str, t.Any]
    facts: dict[str, t.Any]
    warnings: list[str] = field(default_factory=list)


def ensure(wish: Wish, *, check_mode: bool) -> Done:
    """Check everything that can be checked, then create or complete the archive root. Raises InputError, StoreError."""
    store_codec.require_zstandard()
    wanted = _wanted(wish)
    if wish.mount_point:
        filesystem.check_mounted(wish.root, wish.mount_point)
    there = os.path.lexists(wish.root)
    ours = False
    if there:
        filesystem.check_root(wish.root)
        ours = filesystem.check_format(wish.root)
    place = wish.root if there else str(Path(wish.root).parent)
    filesystem.check_root(place, missing="Mount the disk, or create this folder: only the archive root itself is made in it")
    filesystem.check_network(place, allowed=wish.allow_network)
    free = filesystem.check_space(place, wish.reserve)
    in_memory = filesystem.memory_warning(place)
    before = _state(wish.root, wanted["uid"], ours=ours)
    after = _after(before, wanted)
    changed = before != after
    if ours and before["uid"] != after["uid"] and not wish.take_over:
        raise store_handover.refused(wish.root, before["uid"], after["uid"])
    if not check_mode:
        if not there:
            _make_root(wish.root)
        _give(wish.root, wanted, whole=ours and before["uid"] != after["uid"])
        # Root could be led elsewhere by a link of the owner.
        with job_account.owning(wanted["uid"], wanted["gid"]):
            filesystem.probe(wish.root)
            if changed:
                Store.create(wish.root, owner=wanted["uid"], group=wanted["gid"], mode=wanted["mode"]).close()
                _make_catalog(wish.root, wanted)
            filesystem.check_owner(wish.root)
    exists = ours or not check_mode
    with job_account.owning(Path(wish.root).stat().st_uid if exists else -1):
        done = _done(wish, before, after, free, exists=exists, check_mode=check_mode)
    done.warnings += [in_memory] if in_memory else []
    return done


def _give(root: str, wanted: dict[str, int], *, whole: bool) -> None:
    """Make the root that of its owner, and before it all that is in it, if it is not yet."""
    found = Path(root).stat()
    try:
        if whole:
            store_handover.hand_over(root, wanted["uid"], wanted["gid"])
        if os.geteuid() == 0 and wanted["uid"] > 0:
            if found.st_uid != wanted["uid"] or wanted["gid"] not in (-1, found.st_gid):
                os.chown(root, wanted["uid"], wanted["gid"])
            if stat.S_IMODE(Path(root).stat().st_mode) != wanted["mode"]:
                Path(root).chmod(wanted["mode"])
    except OSError as error:
        raise filesystem.os_failure(error, error.filename or root) from error


def _wanted(wish: Wish) -> dict[str, int]:
    if not wish.root.startswith("/") or wish.root == "/":
        raise InputError("root", f"{wish.root!r} cannot be an archive root", "Give the absolute path of a directory of its own")
    try:
        mode = int(wish.mode, 8)
    except ValueError as error:
        raise InputError("mode", f"{wish.mode!r} is no mode", "Give octal digits in quotes, for example '2750'") from error
    if not mode & stat.S_ISGID or mode & 0o700 != 0o700 or mode & stat.S_IWOTH:
        cause = f"mode {wish.mode} lacks the setgid bit or rights of the owner, or lets everybody write"
        raise InputError("mode", cause, "Give a mode such as '2750', so that what is archived later has the group too")
    return {"uid": owner_number(wish.owner), "gid": group_number(wish.group), "mode": mode}


def owner_number(name: str | None) -> int:
    """The number of the user that the option ``owner`` names, -1 for None; InputError for one that is not there."""
    return _number("owner", name, lambda known: pwd.getpwnam(known).pw_uid)


def group_number(name: str | None) -> int:
    """The same for the option ``group``."""
    return _number("group", name, lambda known: grp.getgrnam(known).gr_gid)


def _number(option: str, name: str | None, look_up: t.Callable[[str], int]) -> int:
    if name is None:
        return -1
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError as error:
        raise InputError(option, f"there is no {option} {name!r} on this host", "Create it first, or correct the name") from error


def _state(root: str, wanted: int, *, ours: bool) -> dict[str, t.Any]:
    if not ours:
        return {"state": "absent"}
    directories = {name: Path(root, name) for name in (".", *layout.SKELETON)}
    missing = sorted(name for name, path in directories.items() if not path.is_dir())
    missing += [] if Path(root, layout.CATALOG_FILE).is_file() else [layout.CATALOG_FILE]
    found = Path(root).stat()
    state = {
        "state": "present",
        "uid": store_handover.owner_of(root, wanted),
        "gid": found.st_gid,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }
    return {**state, "missing": missing}


def _after(before: dict[str, t.Any], wanted: dict[str, int]) -> dict[str, t.Any]:
    after = {
        "state": "present",
        "uid": before.get("uid", os.geteuid()) if wanted["uid"] < 0 else wanted["uid"],
        "gid": before.get("gid", os.getegid()) if wanted["gid"] < 0 else wanted["gid"],
        "mode": f"{wanted['mode']:04o}",
    }
    return {**after, "missing": []}


def _make_root(root: str) -> None:
    try:
        Path(root).mkdir()
    except OSError as error:
        raise filesystem.os_failure(error, root) from error


def _make_catalog(root: str, wanted: dict[str, int]) -> None:
    path = Path(root, layout.CATALOG_FILE)
    existed = path.exists()
    if not existed and any(Path(root, layout.OBJECTS).glob("*/*")):
        raise StoreError(
            str(path),
            "the catalog is gone, but the archive holds objects",
            "Restore the catalog from a backup, or have archive_rebuild make it anew",
        )
    Catalog.open(str(path)).close()
    try:
        os.chown(path, wanted["uid"], wanted["gid"])
        path.chmod(0o640)
    except OSError as error:
        raise filesystem.os_failure(error, str(path)) from error


def _done(
    wish: Wish, before: dict[str, t.Any], after: dict[str, t.Any], free: filesystem.Space, *, exists: bool, check_mode: bool
) -> Done:
    totals, unclean = Totals(), False
    if exists:
        with Catalog.open(str(Path(wish.root, layout.CATALOG_FILE)), readonly=True) as catalog:
            totals = catalog.totals()
        unclean = Path(wish.root, layout.DIRTY_FILE).exists()
    facts = {
        "root": wish.root,
        "format": layout.FORMAT,
        "objects": totals.objects,
        "bytes": totals.bytes,
        "stored_bytes": totals.stored_bytes,
        "placements": totals.placements,
        "free_bytes": free.bytes,
        "free_inodes": free.inodes,
        "unclean": unclean,
    }
    return Done(
        before != after, _sentence(wish.root, before, after, check_mode=check_mode), _diff(wish.root, before, after), facts
    )


def _sentence(root: str, before: dict[str, t.Any], after: dict[str, t.Any], *, check_mode: bool) -> str:
    if before == after:
        return f"{root}: the archive is as declared"
    verb = "created" if before["state"] == "absent" else "completed"
    if before.get("uid", after["uid"]) != after["uid"]:
        verb = "handed over to its new owner"
    return f"{root}: the archive would be {verb}" if check_mode else f"{root}: the archive was {verb}"


def _diff(root: str, before: dict[str, t.Any], after: dict[str, t.Any]) -> dict[str, t.Any]:
    touched = [key for key in after if before.get(key) != after[key]]
    return {
        "before": {key: before[key] for key in touched if key in before},
        "after": {key: after[key] for key in touched},
        "before_header": root,
        "after_header": root,
    }
