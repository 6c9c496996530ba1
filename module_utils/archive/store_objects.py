# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects: the exact bytes of a message in a file that its SHA-256 names."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import Buffer, copy_key
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import (
    Compressor,
    DamagedFrameError,
    Decompressor,
    virtual_size,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written, write_all
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

OBJECT_MODE = 0o440
_CLOCK_STEP = 1.0  # seconds; the clock of file times goes in steps, behind the one that time() asks
# Digests that this process has written or compared, so that a repeated message is not compared again. Bounded: 8 MB.
TRUSTED_LIMIT = 50_000
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DAMAGED_REMEDY = "Restore this file from a backup; a run that meets the same message on a server replaces it as well"


class Stored(t.NamedTuple):
    """One object. ``stored_size`` is its compressed size, ``vsize`` its size with every line end as CRLF.

    ``created``: this call wrote the file, so the batch must carry an ``ObjectRow`` for it, also when the message fails later.
    """

    digest: bytes
    size: int
    vsize: int
    stored_size: int
    created: bool
    copy_key: bytes


def open_object(path: str | Path) -> t.BinaryIO:
    """The file of an object to read; never what a link in its place leads to. A pipe there is empty, and not waited for."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _content(path: str | Path) -> bytes:
    with open_object(path) as file:
        return file.read()


def checked_pieces(open_source: t.Callable[[], t.BinaryIO], path: str, digest: bytes) -> t.Iterator[bytes]:
    """The message in an object's file, in pieces; StoreError when it cannot be read, at the end for another digest."""
    total = hashlib.sha256()
    try:
        with open_source() as source:
            # A decompressor of its own: the caller may have two objects open.
            for piece in Decompressor().pieces(source):
                total.update(piece)
                yield piece
    except OSError as error:
        raise os_failure(error, path) from error
    except DamagedFrameError as error:
        raise StoreError(path, f"the object is damaged ({error})", _DAMAGED_REMEDY) from error
    if total.digest() != digest:
        raise StoreError(path, "the object is damaged (its content has another digest)", _DAMAGED_REMEDY)


def kept(pieces: t.Iterable[bytes], most: int) -> tuple[int, list[bytes] | None]:
    """How many bytes there are, read to their end, and the pieces themselves unless they are more than ``most`` bytes."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size <= most:
            held.append(piece)
        else:
            held.clear()
    return size, held if size <= most else None


class Objects:
    """The objects below a root. Creates by O_EXCL; a name that exists is believed only after its content was compared."""

    def __init__(self, root: str, written: Written, began: float | None = None) -> None:
        self.root = root
        self.damaged: list[str] = []
        self._written = written
        self._trusted: set[bytes] = set()
        self._compressor = Compressor()
        self._decompressor = Decompressor()
        self._opened = time.time() - _CLOCK_STEP if began is None else began
        self._serial = itertools.count()

    def put(self, body: Buffer, internaldate: int) -> Stored:
        """See ``Store.put``."""
        digest = hashlib.sha256(body).digest()
        path = layout.object_path(digest)
        try:
            stored_size = self._create(path, body, internaldate)
            created = stored_size is not None
            if stored_size is None:
                stored_size = self._adopt(path, digest, body, internaldate)
        except OSError as error:
            raise os_failure(error, f"{self.root}/{path}") from error
        self._trust(digest)
        return Stored(digest, len(body), virtual_size(body), stored_size, created, copy_key(body))

    def put_stream(self, chunks: t.Iterable[Buffer], size: int, internaldate: int) -> Stored:
        """See ``Store.put_stream``."""
        staged = self._staging_name()
        try:
            return self._put_stream(staged, chunks, size, internaldate)
        except OSError as error:
            raise os_failure(error, staged) from error
        finally:
            Path(staged).unlink(missing_ok=True)

    def read(self, digest: bytes) -> bytes:
        """See ``Store.read``."""
        path = f"{self.root}/{layout.object_path(digest)}"
        try:
            body = self._decompressor.decompress(_content(path))
        except OSError as error:
            raise os_failure(error, path) from error
        except DamagedFrameError as error:
            raise StoreError(path, f"the object is damaged ({error})", _DAMAGED_REMEDY) from error
        if hashlib.sha256(body).digest() != digest:
            raise StoreError(path, "the object is damaged (its content has another digest)", _DAMAGED_REMEDY)
        return body

    def read_chunks(self, digest: bytes) -> t.Iterator[bytes]:
        """See ``Store.read_chunks``."""
        return self._pieces(Path(self.root, layout.object_path(digest)), digest)

    def file_intact(self, path: Path, digest: bytes) -> bool:
        """Whether the file at ``path`` can be read and holds the message of that digest."""
        try:
            for _piece in self._pieces(path, digest):
                pass
        except StoreError:
            return False
        return True

    def _pieces(self, path: Path, digest: bytes) -> t.Iterator[bytes]:
        return checked_pieces(lambda: open_object(path), str(path), digest)

    def has(self, digest: bytes) -> bool:
        """See ``Store.has``."""
        return Path(self.root, layout.object_path(digest)).exists()

    def ensure_copy(self, digest: bytes, copy: int) -> None:
        """Make another inode of an object whose links are used up; believes an existing one only when it is intact."""
        path = layout.object_path(digest, copy)
        if self.file_intact(Path(self.root, path), digest):
            return
        main = Path(self.root, layout.object_path(digest))
        staged = self._staging_name()
        try:
            self._write_new(staged, _content(main), int(main.stat().st_mtime))
            Path(staged).replace(Path(self.root, path))
        finally:
            Path(staged).unlink(missing_ok=True)
        self._note(path)

    def _create(self, path: str, body: Buffer, internaldate: int) -> int | None:
        """Write a new object; None when the name exists. Nothing stays behind when the write fails."""
        full = f"{self.root}/{path}"
        try:
            descriptor = os.open(full, _CREATE, OBJECT_MODE)
        except FileExistsError:
            return None
        try:
            frame = self._compressor.compress(body)
            write_all(descriptor, frame)
            os.utime(descriptor, (max(0, internaldate), max(0, internaldate)))
        except OSError:
            _discard(descriptor, full)
            raise
        finally:
            os.close(descriptor)
        self._note(path)
        return len(frame)

    def _adopt(self, path: str, digest: bytes, body: Buffer, internaldate: int) -> int:
        """Believe the existing file if it holds ``body``, else replace it; return its size.

        After a crash the name may hold an empty or a short file. The same is seen while another process writes it; to replace
        that one does no harm, and it is not reported as damage.
        """
        full = Path(self.root, path)
        # It may be another process's file of a batch that is not durable yet: sync it with this batch too.
        self._note(path)
        if digest in self._trusted:
            return full.stat().st_size
        frame = _content(full)
        if self._holds(frame, body):
            return len(frame)
        if full.stat().st_ctime < self._opened:
            self.damaged.append(path)
        staged = self._staging_name()
        try:
            frame = self._compressor.compress(body)
            self._write_new(staged, frame, internaldate)
            Path(staged).replace(full)
        finally:
            Path(staged).unlink(missing_ok=True)
        return len(frame)

    def _holds(self, frame: bytes, body: Buffer) -> bool:
        try:
            return self._decompressor.decompress(frame, len(body)) == body
        except DamagedFrameError:
            return False

    def _write_new(self, path: str, frame: bytes, internaldate: int) -> None:
        """A whole file, to be renamed; durable with its batch. What it replaces is not whole, so nothing can be lost."""
        descriptor = os.open(path, _CREATE, OBJECT_MODE)
        try:
            write_all(descriptor, frame)
            os.utime(descriptor, (max(0, internaldate), max(0, internaldate)))
        finally:
            os.close(descriptor)

    def _put_stream(self, staged: str, chunks: t.Iterable[Buffer], size: int, internaldate: int) -> Stored:
        encoder = self._compressor.stream(size)
        descriptor = os.open(staged, _CREATE, OBJECT_MODE)
        try:
            for chunk in chunks:
                if encoder.size + len(chunk) > size:
                    raise _wrong_size(encoder.size + len(chunk), size)
                write_all(descriptor, encoder.update(chunk))
            if encoder.size != size:
                raise _wrong_size(encoder.size, size)
            write_all(descriptor, encoder.finish())
            os.utime(descriptor, (max(0, internaldate), max(0, internaldate)))
            stored_size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        digest = encoder.digest()
        created = self._publish(staged, layout.object_path(digest), digest)
        self._trust(digest)
        if not created:
            stored_size = Path(self.root, layout.object_path(digest)).stat().st_size
        return Stored(digest, size, encoder.vsize, stored_size, created, encoder.copy_key())

    def _publish(self, staged: str, path: str, digest: bytes) -> bool:
        """Give a staged file its name; False when an intact object has it."""
        full = Path(self.root, path)
        self._note(path)
        try:
            os.link(staged, full)
        except FileExistsError:
            if digest in self._trusted or self.file_intact(full, digest):
                return False
            if full.stat().st_ctime < self._opened:
                self.damaged.append(path)
            Path(staged).replace(full)
            return False
        return True

    def _trust(self, digest: bytes) -> None:
        if len(self._trusted) >= TRUSTED_LIMIT:
            self._trusted.clear()
        self._trusted.add(digest)

    def _note(self, path: str) -> None:
        self._written.files.append(path)
        self._written.directories.add(path[: path.rindex("/")])

    def _staging_name(self) -> str:
        self._written.directories.add(layout.STAGING)  # or the name, which soon goes, is back after a power loss
        return f"{self.root}/{layout.staged_file(os.getpid(), next(self._serial), time.monotonic_ns())}"


def _discard(descriptor: int, path: str) -> None:
    """Remove the file that failed, not the whole one by which another process may have replaced it."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), Path(path).stat()):
            Path(path).unlink()


def _wrong_size(found: int, announced: int) -> StoreError:
    return StoreError(
        "a streamed message",
        f"{found:,} bytes came where {announced:,} were announced",
        "Run it again: nothing was stored, and the message is fetched anew",
    )
