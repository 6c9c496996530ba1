# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that an export goes to: its lock, its rights, and files that are there whole or not at all.

A file is written in the staging directory, made durable, and only then given its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import math
import os
import shutil
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_own, filesystem
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_manifest import MANIFEST, STAGING, Manifest
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Syncer, Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError, StoreError

BATCH_FILES = 2_000
BATCH_BYTES = 128 << 20
PART, JOURNAL = ".part", ".jsonl"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

Made = t.TypeVar("Made")


@dataclass(frozen=True)
class Whole:
    """A file of the staging directory that waits for its name; both relative to dest.

    ``journal``: a file that may have lines already, and that has ``lines`` too before the name is there.
    """

    temporary: str
    file: str
    lines: t.Sequence[bytes]
    journal: Path | None = None


@dataclass
class Destination:
    """``dest``, locked and open to be written. Errors of the operating system come as OSError.

    While it is open, its directories are those of the process alone; they get their rights at the end, when nothing is written by
    name any more. ``ours``: whether the rights of dest itself are set as well. ``touched``: whether anything may be changed.
    """

    dest: str
    rights: Rights
    warnings: list[str] = field(default_factory=list)
    ours: bool = False

    def __post_init__(self) -> None:
        self._serial = 0
        self._waiting: list[Whole] = []
        self._bytes = 0
        self._made: set[str] = set()
        self._new: set[str] = set()
        self._late: set[str] = set()
        self._was: export_own.Facts = {}
        self.touched = False
        self.keeps_rights = True
        self.manifest = Manifest(self.dest)
        self.staging = Path(self.dest, STAGING)
        self._open: t.BinaryIO | None = None

    def __enter__(self) -> Destination:
        if not Path(self.dest).exists():
            Path(self.dest).mkdir(mode=export_own.CLOSED)
            self.ours = self.touched = True
        place = export_own.place_of(self.dest)
        with contextlib.ExitStack() as stack:
            self._descriptor = _locked(self.dest, place)
            stack.callback(os.close, self._descriptor)
            stack.callback(self._hand_over)
            self._take_back(place)
            export_own.refuse_links(self.dest)
            self.staging.mkdir(mode=0o700, exist_ok=True)
            for path in self.staging.iterdir():
                if path.suffix not in (PART, JOURNAL):
                    path.unlink()
            # All that is dirty on that disk is most likely ours: to wait for it is quicker than one fsync for each file.
            self._syncer = Syncer(self.dest, slow_times=math.inf)
            stack.callback(self._syncer.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _take_back(self, place: str) -> None:
        mine = os.fstat(self._descriptor)
        self._was = export_own.take_back(self.dest, place, self._descriptor)
        self.touched = self.touched or bool(self._was)
        if (mine.st_dev, mine.st_ino) in self._was and not self.ours:
            self.ours = True
            self.warnings.append(
                f"{self.dest}: others owned it or could write to it; it gets the declared owner and group, and a mode to match"
            )
        if os.fstat(self._descriptor).st_mode & stat.S_IWOTH:
            self.warnings.append(f"{self.dest}: everybody may write to it, and so change what is exported")

    def _hand_over(self) -> None:
        """Give directories their rights, from the bottom up: those of others can be swapped by them."""
        if not self.touched:
            return
        try:
            for path, _folders, _files, descriptor in os.fwalk(".", topdown=False, onerror=_fail, dir_fd=self._descriptor):
                name = path[2:]
                facts = os.fstat(descriptor)
                asked = name in self._late or export_own.left_over(facts) if name else self.ours
                if asked and name.split("/")[0] not in (STAGING, export_own.SYSTEMS) and self.wrong(facts):
                    self._set_rights(descriptor, folder=True)
        except PermissionError as error:
            self.warnings.append(f"{self.dest}: owner, group or mode of a directory cannot be set ({error.strerror})")

    def clear(self) -> None:
        """All is done: the staging directory is not needed any more."""
        shutil.rmtree(self.staging)

    def probe(self, separator: str) -> None:
        """Try what depends on the file system: rights, and the character in the names of a Maildir."""
        path = self.staging / f"probe{separator}2,"
        try:
            os.close(os.open(path, _CREATE, 0o600))
        except OSError as error:
            cause = f"{self.dest} does not take {separator!r} in names ({error.strerror})"
            raise InputError("maildir_separator", cause, "Give another one, such as ';'") from error
        with contextlib.suppress(PermissionError):
            self.set_rights(str(path))
        self.keeps_rights = not self.wrong(path.stat())
        if not self.keeps_rights:
            self.warnings.append(
                f"{self.dest}: owner, group or mode cannot be set there; what is mounted decides who may read it"
            )
        path.unlink()

    # Rights

    def wrong(self, facts: os.stat_result) -> bool:
        """Whether what these are of has other rights than it should."""
        return self.keeps_rights and self.rights.wrong(facts)

    def was_wrong(self, facts: os.stat_result) -> bool:
        """The same, before directories were taken back."""
        return self.wrong(self._was.get((facts.st_dev, facts.st_ino), facts))

    def set_rights(self, path: str | int) -> None:
        """Give a file the rights that it should have. What a symbolic link leads to keeps its own."""
        if isinstance(path, str):
            descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._set_rights(f"/proc/self/fd/{descriptor}")
            except OSError as error:
                error.filename = path
                raise
            finally:
                os.close(descriptor)
        else:
            self._set_rights(path)

    def _set_rights(self, path: str | int, *, folder: bool = False) -> None:
        if self.keeps_rights:
            if (self.rights.uid, self.rights.gid) != (-1, -1):
                os.chown(path, self.rights.uid, self.rights.gid)
            os.chmod(path, self.rights.folder_mode if folder else self.rights.mode)  # noqa: PTH101 - of a descriptor too

    def amend(self, files: t.Iterable[str]) -> None:
        """Set the rights of what is there; those of directories at the end."""
        for file in files:
            path = Path(self.dest, file)
            if path.is_dir():
                self._late.add(file)
            else:
                self.set_rights(str(path))

    def directory(self, path: str) -> None:
        """Have a directory below dest, and those above it."""
        if path in self._made or not path:
            return
        self.directory(path.rpartition("/")[0])
        full = Path(self.dest, path)
        if not full.is_dir():
            full.mkdir(mode=export_own.CLOSED)
            self._new.add(path)
        self._made.add(path)

    def is_new(self, file: str) -> bool:
        """Whether the directory of a file was made by this export, so that nothing but its own files can be there."""
        directory = file.rpartition("/")[0]
        self.directory(directory)
        return directory in self._new

    # Files

    def temporary(self) -> tuple[int, str]:
        """A new file of the staging directory: a descriptor to write, and its path relative to dest."""
        self._serial += 1
        path = f"{STAGING}/{self._serial}"
        return os.open(f"{self.dest}/{path}", _CREATE, 0o600), path

    def seal(self, descriptor: int, date: int | None = None) -> None:
        """Give a file that is written its rights, and an INTERNALDATE for its time."""
        self.set_rights(descriptor)
        if date is not None:
            os.utime(descriptor, (max(0, date), max(0, date)))

    def add(self, whole: Whole, size: int) -> None:
        """Have a file given its name with the next batch."""
        self._waiting.append(whole)
        self._bytes += size
        if len(self._waiting) >= BATCH_FILES or self._bytes >= BATCH_BYTES:
            self.settle()

    def note(self, line: bytes) -> None:
        """Add a line of a file that was there already."""
        self._appended().write(line)

    def _appended(self) -> t.BinaryIO:
        """The manifest, open to be appended to."""
        if self._open is None:
            self._open = self._stack.enter_context(self.manifest.open())
            self.set_rights(self._open.fileno())
        return self._open

    def settle(self) -> None:
        """Make what waits durable and give it its names. The lines of it become so with the next batch, or at the end."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        self._syncer.sync(Written([whole.temporary for whole in waiting], {STAGING}))
        journals = self._write_journals(waiting)
        manifest = self._appended()
        for whole in waiting:
            self.directory(whole.file.rpartition("/")[0])
            os.replace(f"{self.dest}/{whole.temporary}", f"{self.dest}/{whole.file}")  # noqa: PTH105 - a Path each is slower
            if whole.journal is None:
                manifest.writelines(whole.lines)
            else:
                with whole.journal.open("rb") as lines:
                    next(lines)
                    shutil.copyfileobj(lines, manifest)
        manifest.flush()
        if journals:
            self._syncer.sync(Written([MANIFEST], set()))
            for journal in journals:
                journal.unlink()

    def _write_journals(self, waiting: t.Iterable[Whole]) -> list[Path]:
        """Make the journals durable and return them. The bytes must be so before: the next export believes a journal."""
        journals = []
        for whole in waiting:
            if whole.journal is not None:
                with whole.journal.open("ab") as file:
                    file.writelines(whole.lines)
                journals.append(whole.journal)
        if journals:
            self._syncer.sync(Written([f"{STAGING}/{journal.name}" for journal in journals], {STAGING}))
        return journals

    def finish(self) -> None:
        """The same, and have all of it durable, the names too."""
        self.settle()
        self._appended().flush()
        self._syncer.sync(Written([MANIFEST], {".", *self._made}))

    def replace(self, name: str, write: t.Callable[[Path], Made]) -> Made:
        """Make one of our own files anew; ``write`` writes it, durably, to a path."""
        path = self.staging / name
        path.unlink(missing_ok=True)
        os.close(os.open(path, _CREATE, 0o600))
        told = write(path)
        self.set_rights(str(path))
        path.replace(Path(self.dest, name))
        self._syncer.sync(Written([name], {"."}))
        return told

    def set_aside(self, file: str) -> str:
        """Give a file that is not ours any more another name; return that."""
        serial = next(serial for serial in itertools.count(1) if not Path(self.dest, f"{file}.{serial}").exists())
        Path(self.dest, file).rename(Path(self.dest, f"{file}.{serial}"))
        return f"{file}.{serial}"


def _fail(error: OSError) -> t.NoReturn:
    raise error


def _locked(dest: str, place: str) -> int:
    """A descriptor of the directory that keeps others out. Where a file system knows no locks of directories, nothing does."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BusyError(dest, "another export writes to it", "Wait until that one is over, or give another dest") from None
    except OSError:
        return descriptor
    return descriptor


def check_room(dest: str, needed: int, files: int) -> None:
    """Raise StoreError when less is free where dest is, or will be, than is going to be written."""
    place = dest if Path(dest).exists() else str(Path(dest).parent)
    try:
        free = filesystem.space(place)
    except OSError as error:
        raise filesystem.os_failure(error, place) from error
    if free.bytes < needed:
        cause = f"{free.bytes:,} bytes are free, the export takes about {needed:,}"
        raise StoreError(dest, cause, "Make room there, give another dest, or select less", free=free.bytes, needed=needed)
    if free.inodes is not None and free.inodes < files:
        cause = f"{free.inodes:,} inodes are free, the export takes {files:,}"
        raise StoreError(dest, cause, "Use format: mbox, which has one file for a folder, or another file system")
