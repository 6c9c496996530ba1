# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive root: its skeleton, its lock, its marker of a run that goes on, its objects and placements."""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import Buffer, same_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_clock import ClockWatch
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_lock import RootLock
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import Objects, Stored
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_places import Places
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Syncer, Written, sync_path, write_durably
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

__all__ = ["DirtyMarker", "Store", "Stored", "Written"]

ROOT_MODE = 0o2750
UMASK = 0o027


@dataclass(frozen=True)
class DirtyMarker:
    """What the marker of an unfinished run says: when it began, what it was, and how many commits the catalog had then.

    ``died``: a process of the run died and the run went on, so what it left may be older than the last commit. ``relied``: how
    many commits the catalog had when the run began to delete on servers; an older one does not know what has no other copy now.
    """

    started: int
    run: str
    commits: int
    died: bool = False
    relied: int | None = None


class Store:
    """An open archive root. One per process: descriptors, compressors and memories of what was written are not for two.

    The process's umask becomes 027. Errors of the operating system come as StoreError.
    """

    def __init__(self, root: str, lock: RootLock | None, reserve: int, began: float | None = None) -> None:
        self.root = root
        self.reserve = reserve
        self._lock = lock
        self._written = Written()
        os.umask(UMASK)
        self._objects = Objects(root, self._written, began)
        self._places = Places(root, self._objects, self._written)
        self._syncer = Syncer(root)
        self._clock = ClockWatch(root)

    @classmethod
    def create(cls, root: str, *, owner: int = -1, group: int = -1, mode: int = ROOT_MODE) -> Store:
        """Make the archive root, or what is missing in it, and open it without the lock. The parent directory must exist.

        ``owner`` and ``group`` are numbers, -1 leaves them; all directories of the skeleton get them, new files take the group.
        """
        try:
            Path(root).mkdir(exist_ok=True)
        except OSError as error:
            raise filesystem.os_failure(error, root) from error
        filesystem.check_root(root)
        ours = filesystem.check_format(root)
        try:
            _make_directory(Path(root), owner, group, mode)
            for name in layout.SKELETON:
                _make_directory(Path(root, name), owner, group, mode)
            for number in range(layout.DIRECTORIES):
                _make_directory(Path(root, layout.object_dir(number)), owner, group, mode)
            sync_path(f"{root}/{layout.OBJECTS}")
            if not ours:
                sync_path(str(Path(root).parent))  # its own name
                # Last, so that a directory with a format file is complete.
                write_durably(f"{root}/{layout.FORMAT_FILE}", layout.FORMAT.encode() + b"\n")
                os.chown(f"{root}/{layout.FORMAT_FILE}", owner, group)
        except OSError as error:
            raise filesystem.os_failure(error, root) from error
        return cls.open(root)

    @classmethod
    def open(cls, root: str, *, lock: str | None = None, reserve: int = 0, began: float | None = None) -> Store:
        """Open an existing root. ``lock``: what the holder is doing ("archive_run"); None: no lock. Raises BusyError, StoreError.

        ``reserve``: bytes that must stay free. ``began``: when the first Store of the run was opened (epoch seconds; None: now);
        an object that changed since and is not whole is no damage, but what a process left when it died.
        """
        filesystem.check_archive(root)
        filesystem.check_owner(root)
        filesystem.check_space(root, reserve)
        try:
            held = RootLock(f"{root}/{layout.LOCK_FILE}", lock) if lock else None
            return cls(root, held, reserve, began)
        except OSError as error:
            raise filesystem.os_failure(error, error.filename or root) from error

    def close(self) -> None:
        """Release descriptors and the lock; once is enough, twice does no harm."""
        self._syncer.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def locked(self) -> bool:
        """Whether this Store holds the lock of its root."""
        return self._lock is not None

    @property
    def damaged(self) -> list[str]:
        """Objects that were found damaged and replaced, as paths relative to the root."""
        return self._objects.damaged

    # The marker of a run that goes on

    def dirty(self) -> DirtyMarker | None:
        """The marker that an unclean end left; None after a clean one."""
        path = Path(self.root, layout.DIRTY_FILE)
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise filesystem.os_failure(error, str(path)) from error
        try:
            content = json.loads(text)
            given = int(content["started"]), str(content["run"]), int(content["commits"])
            return DirtyMarker(*given, bool(content.get("died")), content.get("relied"))
        except (ValueError, KeyError, TypeError):
            return DirtyMarker(0, "unknown", 0)

    def begin(self, run: str, commits: int = 0) -> None:
        """Write the dirty marker: after ``store_sweep.recover``, before the first put. ``commits``: ``Catalog.commits()``."""
        path = f"{self.root}/{layout.DIRTY_FILE}"
        if self.dirty() is not None:
            raise StoreError(
                path, "the last run did not end cleanly and was not repaired", "Repair the archive before it is used"
            )
        self._write_marker(DirtyMarker(int(time.time()), run, commits))

    def renew(self, run: str, commits: int) -> None:
        """Have the next sweep look at what changes from now on: all that lies here was looked at. ``commits``: see the marker."""
        self._write_marker(DirtyMarker(int(time.time()), run, commits))
        try:
            self._clock.forget()
        except OSError as error:
            raise filesystem.os_failure(error, f"{self.root}/{layout.CLOCK_FILE}") from error

    def distrust(self) -> None:
        """Have the next sweep look at everything since the run began: a worker died, and the run goes on without it."""
        marker = self.dirty()
        if marker is not None and not marker.died:
            self._write_marker(replace(marker, died=True))

    def rely_on(self, commits: int) -> None:
        """Before anything is deleted on a server: only a catalog with that many commits may be used to sweep after this run."""
        marker = self.dirty()
        if marker is not None:
            self._write_marker(replace(marker, relied=commits))

    def _write_marker(self, marker: DirtyMarker) -> None:
        path = f"{self.root}/{layout.DIRTY_FILE}"
        content = {key: value for key, value in asdict(marker).items() if value is not False and value is not None}
        try:
            write_durably(path, json.dumps(content).encode() + b"\n")
        except OSError as error:
            raise filesystem.os_failure(error, path) from error

    def clock_was_set(self) -> bool:
        """Whether the clock was set during the run that did not end cleanly."""
        return self._clock.was_set()

    def end(self) -> None:
        """Remove the dirty marker. Only when every object written has its row, not after a worker died or a batch was dropped.

        Not synced: a marker that comes back after a power loss costs the next run a sweep.
        """
        path = Path(self.root, layout.DIRTY_FILE)
        try:
            path.unlink(missing_ok=True)
            self._clock.forget()
        except OSError as error:
            raise filesystem.os_failure(error, str(path)) from error

    # Objects

    def put(self, body: Buffer, internaldate: int) -> Stored:
        """Store the exact bytes; not durable before ``sync``. ``internaldate`` (epoch seconds) becomes the time of a new file."""
        self._check_clock()
        return self._objects.put(body, internaldate)

    def put_stream(self, chunks: t.Iterable[Buffer], size: int, internaldate: int) -> Stored:
        """Like ``put`` for what does not fit memory; ``chunks`` must add up to ``size``, else StoreError and nothing stays."""
        self._check_clock()
        return self._objects.put_stream(chunks, size, internaldate)

    def read(self, digest: bytes) -> bytes:
        """The message's bytes, digest checked; StoreError when the object is absent or damaged."""
        return self._objects.read(digest)

    def read_chunks(self, digest: bytes) -> t.Iterator[bytes]:
        """Like ``read``, bounded in memory; raises at the end when the digest does not match."""
        return self._objects.read_chunks(digest)

    def has(self, digest: bytes) -> bool:
        """Whether the object's file is there (its content is not checked)."""
        return self._objects.has(digest)

    def same_message(self, one: bytes, other: bytes) -> bool:
        """``copykey.same_message`` of two stored objects, re-read and digest checked, bounded in memory."""
        return same_pieces(self._objects.read_chunks(one), self._objects.read_chunks(other))

    # Placements

    def place(self, digest: bytes, directory: str, name: str) -> bool:
        """Link the object as ``<directory>/cur/<name>``; ``directory`` is ``UserFolder.dir`` (made when absent).

        Return False when that name exists and is the same content. Decide placements in ONE process (the committer), against the
        catalog: two processes that file the same digest with other dates make two names.
        """
        self._check_clock()
        return self._places.place(digest, directory, name)

    def fits(self, directory: str) -> bool:
        """Whether the operating system takes the path of a placement in ``directory``."""
        return self._places.fits(directory)

    def unplace(self, directory: str, name: str) -> bool:
        """Remove a link that is not committed (a copy, a duplicate); False when it is not there."""
        return self._places.unplace(directory, name)

    def doom(self, directory: str, name: str) -> None:
        """Have a sweep look at a link that goes after the next commit, should a crash come in between."""
        self._places.doom(directory, name)

    def make_folder(self, directory: str) -> None:
        """Make a folder of a user's tree, empty; ``place`` does it by itself."""
        self._places.make_folder(directory)

    def _check_clock(self) -> None:
        try:
            self._clock.check()
        except OSError as error:
            raise filesystem.os_failure(error, f"{self.root}/{layout.CLOCK_FILE}") from error

    # Durability

    def take_written(self) -> Written:
        """What this Store wrote since the last call; workers hand it to the committer with the batch."""
        taken = Written(self._written.files, self._written.directories)
        self._written.files, self._written.directories = [], set()
        return taken

    def sync(self, written: Written | None = None) -> None:
        """Make ``written`` and what this Store itself wrote durable; raises StoreError, and then nothing may be committed."""
        everything = self.take_written()
        if written is not None:
            everything.update(written)
        try:
            self._syncer.sync(everything)
        except OSError as error:
            raise filesystem.os_failure(error, error.filename or self.root) from error

    def check_space(self) -> filesystem.Space:
        """Raise StoreError when less than the reserve is free; return what is free. Cheap: once per batch."""
        return filesystem.check_space(self.root, self.reserve)


def _make_directory(path: Path, owner: int, group: int, mode: int) -> None:
    path.mkdir(exist_ok=True)
    now = path.stat()
    if (owner not in (-1, now.st_uid)) or (group not in (-1, now.st_gid)):
        os.chown(path, owner, group)
    if now.st_mode & 0o7777 != mode:
        path.chmod(mode)
