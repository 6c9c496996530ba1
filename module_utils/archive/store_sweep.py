# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair after an unclean end: what a crashed run wrote and did not commit is removed, so that the next run archives it again.

A reader serves the Maildir trees without asking the catalog, and an object may be empty or short after a power loss, so
neither may stay. But where times prove nothing, a whole message without its object need not be of that run, and may be the last
copy of it. It stays then.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_log, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held, inodes_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import DirtyMarker, Store

MARGIN_SECONDS = 120
# A run is never more than some batches ahead of its commits. More unknown objects than this mean that the catalog is not theirs.
MOST_UNKNOWN = 100_000


@dataclass(frozen=True)
class SweepReport:
    """What ``recover`` removed: objects and links that no commit speaks of, staged files. ``everything``: no time helped."""

    objects: int = 0
    links: int = 0
    staged: int = 0
    everything: bool = False


def recover(store: Store, catalog: Catalog) -> SweepReport | None:
    """Sweep when the last run left its dirty marker and remove the marker; None when the last run ended cleanly.

    The store must hold the lock. Raises StoreError when the catalog is older than the marker says (restored from a backup).
    """
    marker = store.dirty()
    if marker is None:
        return None
    if not store.locked:
        raise StoreError(store.root, "it is swept without its lock", "Open the store with its lock")
    least = max(marker.commits, marker.relied or 0)
    if catalog.commits() < least:
        raise StoreError(
            catalog.path,
            f"it knows {catalog.commits()} commits, but the last run had {least}: it is older than the archive",
            "Restore the newest catalog",
        )
    evidence_log.refuse_older(store.root, catalog.evidence_position())
    since = None if store.clock_was_set() else _since(marker, catalog)
    written = Written(directories={layout.STAGING})
    try:
        report = _sweep(store, catalog, since, written)
        # What the dead run said to the ledger goes with what it archived.
        written.files += evidence_log.cut(store.root, catalog.evidence_position())
        # Before the marker goes: what comes back after a power loss would stay.
        store.sync(written)
    except OSError as error:
        raise os_failure(error, error.filename or store.root) from error
    # A process that was killed may have left a commit that is not durable. It counted as one all the same: this makes it so.
    catalog.trust_clock()
    store.end()
    return report


def _since(marker: DirtyMarker, catalog: Catalog) -> float | None:
    """Only what changed after this instant can be uncommitted; None: times prove nothing, look at everything."""
    last_commit = catalog.last_commit() or 0
    newest = marker.started if marker.died else max(marker.started, last_commit)
    # A run that committed nothing and yet began before the last commit: the clock went backwards in between.
    stepped = catalog.commits() == marker.commits and marker.started < last_commit
    if stepped or catalog.clock_stepped() or not marker.started or time.time() < newest:
        return None
    return float(newest - MARGIN_SECONDS)


def _sweep(store: Store, catalog: Catalog, since: float | None, written: Written) -> SweepReport:
    """Remove, and tell in ``written`` from which directories."""
    root = store.root
    # Placements first, durably: as long as a link is there its object is in use, and a link without its object would stay.
    links = _sweep_links(root, catalog, since, written)
    store.sync(Written(directories=set(written.directories)))
    objects = _sweep_objects(Path(root, layout.OBJECTS), catalog, since, written)
    staged = 0
    for path in Path(root, layout.STAGING).iterdir():
        path.unlink()
        staged += 1
    return SweepReport(objects, links, staged, since is None)


def _recent(found: os.stat_result, since: float | None) -> bool:
    # ctime, since mtime is the message's date; a new link changes the ctime of its inode and the mtime of its directory.
    return since is None or max(found.st_ctime, found.st_mtime) >= since


def _sweep_links(root: str, catalog: Catalog, since: float | None, written: Written) -> int:
    removed = 0
    for cur in _cur_directories(Path(root, layout.MAIL)):
        if not _recent(cur.stat(), since):
            continue
        with os.scandir(cur) as entries:
            names = [entry.name for entry in entries if _recent_link(entry, since)]
        directory = str(cur.parent.relative_to(root))
        for name in _unknown_names(names, directory, catalog):
            # Where times tell, it is of the run that died, and the message still where that run found it.
            if since is None and _may_be_last(root, cur / name):
                continue
            (cur / name).unlink()
            written.directories.add(f"{directory}/cur")
            removed += 1
    return removed


def _cur_directories(folder: Path) -> t.Iterator[Path]:
    """All ``cur`` below ``folder``; files are never listed, so the walk costs what the folders cost."""
    with os.scandir(folder) as entries:
        below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in below:
        if name == "cur":
            yield folder / name
        elif name not in layout.MAILDIR_PARTS:
            yield from _cur_directories(folder / name)


def _recent_link(entry: os.DirEntry[str], since: float | None) -> bool:
    if since is None:
        return True
    return entry.stat(follow_symlinks=False).st_ctime >= since


def _unknown_names(names: list[str], directory: str, catalog: Catalog) -> t.Iterator[str]:
    """Names of placements that the catalog does not have, or has under another name that is there too. Foreign files stay."""
    parsed = {name: parts.digest for name in names if (parts := layout.parse_placement_name(name)) is not None}
    known = catalog.known_names(directory, set(parsed.values()))
    for name, digest in parsed.items():
        expected = known.get(digest)
        if name == expected:
            continue
        renamed = expected is not None and expected not in parsed and layout.base_name(name) == layout.base_name(expected)
        if not renamed:
            yield name


def _may_be_last(root: str, path: Path) -> bool:
    """Whether a placement is no file of its object, and a message all the same, or something that cannot be read."""
    parsed = layout.parse_placement_name(path.name)
    if parsed is not None and path.lstat().st_ino in inodes_of(root, parsed.digest):
        return False
    try:
        return held(path) is not None
    except OSError:
        return True


def _sweep_objects(objects: Path, catalog: Catalog, since: float | None, written: Written) -> int:
    recent = _recent_objects(objects, since)
    unknown = recent.keys() - catalog.known_digests(recent)
    if len(unknown) > MOST_UNKNOWN:
        raise StoreError(
            str(objects),
            f"the catalog does not know {len(unknown):,} of its objects, more than a crash can leave",
            "Restore the newest catalog: this one does not belong to this archive, or is older",
        )
    there = [digest for digest in unknown if (objects.parent / layout.object_path(digest)).exists()]
    # The first file of an object last: without it the others would stay.
    doomed = sorted((path for digest in there for path in recent[digest]), reverse=True)
    for path in doomed:
        path.unlink()
        written.directories.add(f"{layout.OBJECTS}/{path.parent.name}")
    return len(doomed)


def _recent_objects(objects: Path, since: float | None) -> dict[bytes, list[Path]]:
    recent: dict[bytes, list[Path]] = {}
    for folder in objects.iterdir():
        if not _recent(folder.stat(), since):
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                digest = layout.digest_of(entry.name)
                if digest is not None and _recent_link(entry, since):
                    recent.setdefault(digest, []).append(Path(entry.path))
    return recent


def uncommitted(store: Store, catalog: Catalog, since: float) -> set[bytes]:
    """The objects that changed after ``since`` (epoch seconds) and that no commit speaks of; raises StoreError."""
    try:
        recent = _recent_objects(Path(store.root, layout.OBJECTS), since - MARGIN_SECONDS)
    except OSError as error:
        raise os_failure(error, error.filename or store.root) from error
    return recent.keys() - catalog.known_digests(recent)
