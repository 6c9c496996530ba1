# SPDX-License-Identifier: GPL-3.0-or-later
"""A consistent copy of the catalog for backups, taken while a run may go on; and what a catalog that was restored from one owes.

A copy of the archive that is made after the snapshot has every object that the snapshot speaks of, because an archive only adds.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import sqlite3
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, filesystem, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import BUSY_MILLISECONDS, catalog_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_lock import RootLock
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sweep import uncommitted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import sync_path, write_durably
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store

# In the table meta of a snapshot, and so of a catalog that was restored from one.
META = "snapshot"
CATALOG = f"{layout.BACKUP}/{layout.CATALOG_FILE}"
CHECKPOINT = f"{layout.BACKUP}/checkpoint"
# Where an archive has its catalog and the checkpoint that fits it. A copy by a backup has those of its snapshot alone.
CATALOGS = ((layout.CATALOG_FILE, evidence_checkpoint.CHECKPOINT), (CATALOG, CHECKPOINT))
_LOCK = f"{layout.BACKUP}/{layout.LOCK_FILE}"


class Figures(t.NamedTuple):
    """What a catalog speaks of."""

    commits: int
    objects: int
    placements: int


@dataclass(frozen=True)
class Taken:
    """The snapshot as it lies there now, or would; ``before``: the one that lay there, None when there was none."""

    changed: bool
    before: Figures | None
    figures: Figures
    bytes: int
    seconds: float

    def sentence(self, *, check_mode: bool = False) -> str:
        """For people."""
        verb = ("would be" if check_mode else "was") if self.changed else "is"
        what = f"{self.figures.objects:,} messages in {self.figures.placements:,} places, {size_text(self.bytes)}"
        return f"The snapshot of the catalog {verb} {'taken' if self.changed else 'as the catalog still is'}: {what}"


def declare(root: str, check_mode: bool) -> dict[str, t.Any]:
    """Take the snapshot; the fields of ``runner.Outcome``."""
    taken = take(root, check_mode=check_mode)
    path = f"{root}/{CATALOG}"
    before, after = ({} if figures is None else figures._asdict() for figures in (taken.before, taken.figures))
    return {
        "changed": taken.changed,
        "msg": taken.sentence(check_mode=check_mode),
        "diff": {"before": before, "after": after, "before_header": path, "after_header": path} if taken.changed else None,
        "data": {"snapshot": {"path": path, "bytes": taken.bytes, **after, "seconds": taken.seconds}},
    }


def take(root: str, *, check_mode: bool = False) -> Taken:
    """Write the catalog as it is now to ``backup``, durably, in one step: there is always a whole one.

    Raises StoreError, CatalogError (a damaged catalog does not replace a good snapshot) and BusyError.
    """
    filesystem.check_archive(root)
    source = Path(root, layout.CATALOG_FILE)
    if not source.exists():
        raise StoreError(str(source), "the archive has no catalog", "Restore the catalog from a backup")
    try:
        if check_mode:
            with tempfile.TemporaryDirectory() as folder:
                return _take(root, Path(folder, layout.CATALOG_FILE), keep=False)
        with _lock(root):
            return _take(root, Path(root, f"{CATALOG}.tmp"), keep=True)
    except OSError as error:
        raise filesystem.os_failure(error, error.filename or f"{root}/{layout.BACKUP}") from error


@contextlib.contextmanager
def _lock(root: str) -> t.Iterator[None]:
    folder = Path(root, layout.BACKUP)
    if not folder.is_dir():
        folder.mkdir()
        _own_like(root, folder)
        sync_path(root)
    lock = RootLock(f"{root}/{_LOCK}", "archive_backup")
    try:
        yield
    finally:
        lock.release()


def _take(root: str, temporary: Path, *, keep: bool) -> Taken:
    began = time.monotonic()
    # Read first, so that it never speaks of more of the ledger than the snapshot does.
    checkpoint = _content(Path(root, evidence_checkpoint.CHECKPOINT))
    path = Path(root, CATALOG)
    try:
        _copy(root, temporary, write=keep)
        with _errors(temporary), _open(temporary) as copy:
            figures = _figures(copy)
        size = temporary.stat().st_size
        changed = not (path.exists() and filecmp.cmp(temporary, path, shallow=False))
        before = _figures_at(path)
        if changed and keep:
            _own_like(f"{root}/{layout.CATALOG_FILE}", temporary)
            sync_path(str(temporary))
            temporary.replace(path)
            sync_path(str(path.parent))
    finally:
        temporary.unlink(missing_ok=True)
    if keep and checkpoint != _content(Path(root, CHECKPOINT)):
        write_durably(f"{root}/{CHECKPOINT}", checkpoint)
    return Taken(changed, before, figures, size, round(time.monotonic() - began, 3))


def _copy(root: str, target: Path, *, write: bool) -> None:
    """Copy the catalog in one read transaction, mark the copy and check it. No migration: a backup is made before an upgrade.

    Who may ``write`` does not take it for a file at rest, because a run may begin meanwhile; who may not leaves no WAL beside it.
    """
    catalog = Path(root, layout.CATALOG_FILE)
    target.unlink(missing_ok=True)  # what a crash left
    with (
        _errors(catalog),
        _open(catalog, write=write) as source,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL
        told = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if told != "ok":
            remedy = "Look at the archive with archive_verify; the last good snapshot is kept"
            raise CatalogError(str(catalog), f"it is damaged: {told}", remedy)
        mark = json.dumps({"commits": _figures(copy).commits})
        copy.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (META, mark))


@contextlib.contextmanager
def _open(path: Path, *, write: bool = False) -> t.Iterator[sqlite3.Connection]:
    mode = "mode=rw" if write else "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_MILLISECONDS / 1000)) as opened:
        yield opened


@contextlib.contextmanager
def _errors(path: Path) -> t.Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise catalog_failure(error, str(path)) from error


def _figures(opened: sqlite3.Connection) -> Figures:
    return Figures(*opened.execute("SELECT commits, objects, placements FROM totals").fetchone())


def _figures_at(path: Path) -> Figures | None:
    """What the snapshot there speaks of; None for one that is not there or cannot be read, which is replaced."""
    try:
        with _open(path) as opened:
            return _figures(opened)
    except sqlite3.Error:
        return None


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _own_like(model: str, path: Path) -> None:
    """Give what is new owner, group and mode of what it stands for: root may take the snapshot for any owner."""
    facts, now = Path(model).stat(), path.stat()
    if (facts.st_uid, facts.st_gid) != (now.st_uid, now.st_gid):
        os.chown(path, facts.st_uid, facts.st_gid)
    path.chmod(stat.S_IMODE(facts.st_mode))


# The catalog of a restored archive


def refuse_unknown(store: Store, catalog: Catalog) -> None:
    """Before a run writes: raise StoreError when the catalog was restored from a snapshot and does not know all objects.

    They came after the snapshot and may be the last copies of messages that were deleted on their servers since. A run would not
    count them, and the sweep after an unclean end would remove them. Without any the catalog is like any other from now on.
    """
    if not catalog.get_meta(META):
        return
    unknown = uncommitted(store, catalog, 0)
    # What is not whole is what the copying caught half written: nobody's last copy.
    whole = [digest for digest in unknown if _whole(store, digest)]
    if whole:
        raise StoreError(
            catalog.path,
            f"it was restored from a snapshot, and {len(whole):,} objects of the archive are newer than it",
            "Bring it forward first, as docs/backup.md says",
        )
    catalog.set_meta(META, "")


def _whole(store: Store, digest: bytes) -> bool:
    try:
        for _piece in store.read_chunks(digest):
            pass
    except StoreError:
        return False
    return True
