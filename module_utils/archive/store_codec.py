# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression of objects: one zstd frame of level 1 with content size and without a dictionary (Dovecot reads no other kind)."""

from __future__ import annotations

import hashlib
import re
import sys
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import Buffer, CopyKeyStream
from ansible_collections.mailops.kerio.plugins.module_utils.errors import MissingLibraryError

try:
    import zstandard
except ImportError:
    HAS_ZSTANDARD = False
else:
    HAS_ZSTANDARD = True

LEVEL = 1
READ_BYTES = 1 << 20
FRAME_HEADER_BYTES = 18  # at most
# The regex engine searches for the plain "\n" first: 0.4 us per KB of CRLF text; counting both kinds costs three times that.
_BARE_LF = re.compile(rb"\n(?<!\r\n)")


class DamagedFrameError(Exception):
    """The bytes are not one whole zstd frame of the expected size."""


def require_zstandard() -> None:
    """Raise ``MissingLibraryError`` when the interpreter has no zstandard."""
    if not HAS_ZSTANDARD:
        raise MissingLibraryError(
            "zstandard",
            f"the Python library is not installed for {sys.executable}",
            "Let the role archive_host install the Python environment, or install zstandard for that interpreter",
        )


def virtual_size(message: Buffer) -> int:
    """The size of a message once every line end is CRLF: what IMAP calls RFC822.SIZE."""
    if _BARE_LF.search(message) is None:
        return len(message)
    return len(message) + sum(1 for _line in _BARE_LF.finditer(message))


class Compressor:
    """One reused compressor; not for two threads at once."""

    def __init__(self) -> None:
        require_zstandard()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)

    def compress(self, message: Buffer) -> bytes:
        """One frame that holds ``message``."""
        return self._compressor.compress(message)

    def stream(self, size: int) -> StreamEncoder:
        """An encoder for a message of exactly ``size`` bytes that comes in pieces."""
        return StreamEncoder(self._compressor.compressobj(size=size))


class StreamEncoder:
    """Hashes, measures and compresses a message piece by piece."""

    def __init__(self, encoder: zstandard.ZstdCompressionObj) -> None:
        self._encoder = encoder
        self._hash = hashlib.sha256()
        self._copy_key = CopyKeyStream()
        self._last = b""
        self.size = 0
        self.vsize = 0

    def update(self, piece: Buffer) -> bytes:
        """The compressed bytes that are ready after ``piece``."""
        if not len(piece):
            return b""
        self._hash.update(piece)
        self._copy_key.update(piece)
        self.size += len(piece)
        self.vsize += virtual_size(piece)
        if self._last == b"\r" and piece[0] == 0x0A:
            self.vsize -= 1  # a CRLF that two pieces share
        self._last = bytes(piece[-1:])
        return self._encoder.compress(piece)

    def finish(self) -> bytes:
        """The last compressed bytes."""
        return self._encoder.flush()

    def digest(self) -> bytes:
        """SHA-256 of all pieces."""
        return self._hash.digest()

    def copy_key(self) -> bytes:
        """The copy key of all pieces."""
        return self._copy_key.digest()


class Decompressor:
    """One reused decompressor; not for two threads at once."""

    def __init__(self) -> None:
        require_zstandard()
        self._decompressor = zstandard.ZstdDecompressor()

    def decompress(self, frame: bytes, size: int | None = None) -> bytes:
        """The message in ``frame``; ``DamagedFrameError`` when it is not whole, or not ``size`` bytes as expected."""
        try:
            content_size = zstandard.frame_content_size(frame)
            if content_size < 0 or (size is not None and content_size != size):
                raise DamagedFrameError(f"the frame says {content_size} bytes")
            if content_size == 0:
                return b""
            return self._decompressor.decompress(frame)
        except (zstandard.ZstdError, MemoryError) as error:
            # A bit of the header may make the frame announce more than any memory holds.
            raise DamagedFrameError(str(error) or "the frame announces more than memory holds") from error

    def pieces(self, source: t.BinaryIO) -> t.Iterator[bytes]:
        """The message in the file, in pieces; ``DamagedFrameError`` when the frame is broken or ends early."""
        left = self._content_size(source)
        # Not decompressobj(), which gives all that a piece of the frame holds: a megabyte of it may be gigabytes of zeros.
        reader = self._decompressor.stream_reader(source, read_across_frames=True, closefd=False)
        try:
            while data := reader.read(READ_BYTES):
                left -= len(data)
                yield data
        except zstandard.ZstdError as error:
            raise DamagedFrameError(str(error)) from error
        if left:
            raise DamagedFrameError("the frame ends early" if left > 0 else "more follows than the frame announces")

    @staticmethod
    def _content_size(source: t.BinaryIO) -> int:
        try:
            size = zstandard.frame_content_size(source.read(FRAME_HEADER_BYTES))
        except zstandard.ZstdError as error:
            raise DamagedFrameError(str(error)) from error
        if size < 0:
            raise DamagedFrameError(f"the frame says {size} bytes")
        source.seek(0)
        return size
