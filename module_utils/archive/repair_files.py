# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repair does to the files of an archive. No step of it can be the end of a last copy.

Before a name is taken from a file, the file was read: it is damaged, or another intact object holds the same message, or it is
given the name of the object that it is. Damaged is also what decompresses to as many bytes as the message of its name, but to
others, under a digest of which neither catalog nor ledger has ever heard: objects carry no checksum but their name.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import READ_BYTES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import (
    NO_FILE,
    Held,
    held,
    object_names,
    open_regular,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import OBJECT_MODE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written, write_all
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Files:
    """Writes below the root of ``store``; nothing is durable before ``sync``. Paths are relative to the root.

    Raises StoreError when a step is left undone because it could cost a message, OSError as it comes. ``unheard`` tells whether
    nobody has ever heard of a digest. ``adopt`` gives an object that came to light under another name its row, or is None
    where nobody can.
    """

    def __init__(
        self, store: Store, unheard: t.Callable[[bytes], bool], adopt: t.Callable[[Held, str], None] | None = None
    ) -> None:
        self._store = store
        self._unheard = unheard
        self._root = store.root
        self._owners = {0, Path(store.root).stat().st_uid}  # root may archive for any owner
        self._adopt = adopt
        self._written = Written()
        self._serial = itertools.count()
        self._whole: dict[bytes, list[tuple[str, Held]]] = {}

    def sync(self) -> None:
        """Make all of it durable; raises StoreError."""
        self._store.sync(self.take_written())

    def take_written(self) -> Written:
        """What was written since the last call or sync."""
        written, self._written = self._written, Written()
        return written

    # Objects

    def restore(self, digest: bytes, path: str, source: Path, *, copy: bool) -> None:
        """Have the object lie whole at ``path``, out of ``source``: as a link to it, or as a ``copy``."""
        target = Path(self._root, path)
        staged, inside = self._stage(digest, source, copy=copy)
        try:
            self._make_way(path, inside)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
        self._note(path)
        self._whole.pop(digest, None)

    def tidy(self, digest: bytes) -> None:
        """Take second names of one inode from an object: what was saved under one of them has its own name now."""
        seen: set[tuple[int, int]] = set()
        for path in object_names(self._root, digest):
            facts = Path(self._root, path).lstat()
            if (facts.st_dev, facts.st_ino) in seen:
                self.sync()
                self._unlink(path)
            seen.add((facts.st_dev, facts.st_ino))

    def whole_names(self, digest: bytes, but: str = "") -> list[tuple[str, Held]]:
        """Names under which the object lies whole, each read now; ``but``: not counting this one."""
        found = []
        for path in object_names(self._root, digest):
            if path != but and (inside := _held_or_none(Path(self._root, path))) is not None and inside.digest == digest:
                found.append((path, inside))
        return found

    # Placements

    def link(self, digest: bytes, directory: str, name: str) -> bool:
        """Have a placement be a link to its object, which is read before; False when it is one already."""
        whole = self._whole_object(digest)
        path = f"{directory}/cur/{name}"
        target = Path(self._root, path)
        if _inode(target) in {inside.inode for _name, inside in whole}:
            return False
        self._store.make_folder(directory)
        staged = self._link_staged(digest, [one for one, _inside in whole])
        try:
            self._make_way(path, whole[0][1])
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
        self._written.directories.add(f"{directory}/cur")
        return True

    def drop(self, path: str, digest: bytes | None) -> None:
        """Take away a name that nobody needs: one of ``digest``, if of any. Only after a sync of what took its place."""
        inside = held(Path(self._root, path))
        named = next((one for _name, one in self.whole_names(digest, but=path)), None) if digest is not None else None
        if inside is not None and not self._is_rot(inside, named) and not self.whole_names(inside.digest, but=path):
            raise _last_copy(f"{self._root}/{path}")
        self._unlink(path)

    # The rest

    def set_mode(self, path: str, excess: int | None) -> None:
        """Take rights from a file or a directory: ``excess``, or all but those of an object."""
        full = Path(self._root, path)
        mode = full.lstat().st_mode
        if not (stat.S_ISREG(mode) or (excess is not None and stat.S_ISDIR(mode))):
            raise StoreError(str(full), "it is no file", "Find out who put it there")
        full.chmod(OBJECT_MODE if excess is None else stat.S_IMODE(mode) & ~excess)
        self._written.files.append(path)

    def make_directory(self, path: str) -> None:
        """Make a directory of the skeleton with the mode of the root, or those of a folder."""
        if path.startswith(f"{layout.MAIL}/"):
            self._store.make_folder(path.rpartition("/")[0])
            return
        full = Path(self._root, path)
        full.mkdir()
        full.chmod(stat.S_IMODE(Path(self._root).stat().st_mode))
        self._written.directories.update((path, str(Path(path).parent)))

    # Steps

    def _stage(self, digest: bytes, source: Path, *, copy: bool = False) -> tuple[Path, Held]:
        """A name in staging for the message in ``source``, and what was read there."""
        staged = self._staging_name()
        try:
            if copy or not (self._ours(source) and _linked(source, staged)):
                self._copied(source, staged)
            inside = held(staged)
            if inside is None or inside.digest != digest:
                raise StoreError(str(source), "it is not whole", "Repair again, with another backup")
            staged.chmod(OBJECT_MODE)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        return staged, inside

    def _ours(self, source: Path) -> bool:
        facts = source.lstat()
        return stat.S_ISREG(facts.st_mode) and facts.st_uid in self._owners

    def _copied(self, source: Path, staged: Path) -> None:
        """The bytes of the file as they are, and its time, which is the message's date. Durable, for it replaces a file."""
        with open_regular(source) as opened:
            seconds = os.fstat(opened.fileno()).st_mtime
            descriptor = os.open(staged, _CREATE, OBJECT_MODE)
            try:
                while piece := opened.read(READ_BYTES):
                    write_all(descriptor, piece)
                os.utime(descriptor, (seconds, seconds))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _make_way(self, path: str, comes: Held) -> None:
        """Have nothing be lost when the name goes to a whole message. Raises when that cannot be had."""
        try:
            inside = held(Path(self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            raise StoreError(f"{self._root}/{path}", "it is no file", "Move it away, then repair again") from error
        if inside is None or inside.digest == comes.digest or self._is_rot(inside, comes):
            return
        saved = self.whole_names(inside.digest, but=path)
        if self._adopt is None and not saved:
            raise _last_copy(f"{self._root}/{path}")
        if not saved:
            self._save(path, inside)
        self.sync()
        if self._adopt is not None and (not saved or self._unheard(inside.digest)):
            self._adopt(inside, path)

    def _is_rot(self, inside: Held, true: Held | None) -> bool:
        """Whether what decompresses is what became of another message, ``true``, and no message of its own."""
        return true is not None and inside.size == true.size and self._unheard(inside.digest)

    def _save(self, path: str, inside: Held) -> None:
        """Give what lies under a wrong name that of the object that it is."""
        names = set(object_names(self._root, inside.digest))
        free = next(
            one for one in map(layout.object_path, itertools.repeat(inside.digest), itertools.count()) if one not in names
        )
        staged, _held = self._stage(inside.digest, Path(self._root, path))
        try:
            os.link(staged, Path(self._root, free))
        finally:
            staged.unlink(missing_ok=True)
        self._note(free)

    def _whole_object(self, digest: bytes) -> list[tuple[str, Held]]:
        if digest not in self._whole:
            self._whole[digest] = self.whole_names(digest)
        if not self._whole[digest]:
            raise StoreError(f"{self._root}/{layout.object_path(digest)}", "the object to link is not whole", "Repair it first")
        return self._whole[digest]

    def _link_staged(self, digest: bytes, names: t.Sequence[str]) -> Path:
        """A link to the first inode that takes one; a new inode when none does."""
        staged = self._staging_name()
        for name in names:
            if _linked(Path(self._root, name), staged):
                return staged
        self._copied(Path(self._root, names[0]), staged)
        taken = set(object_names(self._root, digest))
        free = next(one for one in map(layout.object_path, itertools.repeat(digest), itertools.count(1)) if one not in taken)
        os.link(staged, Path(self._root, free))
        self._note(free)
        self._whole.pop(digest, None)
        return staged

    def _unlink(self, path: str) -> None:
        Path(self._root, path).unlink(missing_ok=True)
        self._written.directories.add(path.rpartition("/")[0])

    def _note(self, path: str) -> None:
        self._written.files.append(path)
        self._written.directories.add(path.rpartition("/")[0])

    def _staging_name(self) -> Path:
        self._written.directories.add(layout.STAGING)  # or the name, which soon goes, is back after a power loss
        return Path(self._root, layout.staged_file(os.getpid(), next(self._serial), time.monotonic_ns()))


def _linked(source: Path, staged: Path) -> bool:
    """Link; False when the inode has all the links that the file system allows."""
    try:
        os.link(source, staged, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        return False
    return True


def _last_copy(path: str) -> StoreError:
    return StoreError(path, "it may be the last copy of another message", "Move it out of the archive, then repair again")


def _held_or_none(path: Path) -> Held | None:
    try:
        return held(path)
    except OSError:
        return None


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts.st_dev, facts.st_ino
