# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading objects past the page cache."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_reread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_reread import DIRECT, DROPPED, PIECE, Rereader
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

SIZES = [0, 1, 4095, 4096, 4097, 200_000, PIECE - 40, PIECE, 2 * PIECE + 5]
Open = t.Callable[..., int]


def stored(root: Path, size: int) -> bytes:
    """A file that holds a message that cannot be compressed; its digest."""
    body = random.Random(size).randbytes(size)
    (root / "object").write_bytes(Compressor().compress(body))
    return hashlib.sha256(body).digest()


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The flags of every file that is opened."""
    seen: list[int] = []
    real: Open = os.open

    def watched(path: str, flags: int, *more: t.Any) -> int:
        seen.append(flags)
        return real(path, flags, *more)

    monkeypatch.setattr(store_reread.os, "open", watched)
    return seen


@pytest.mark.parametrize("size", SIZES)
def test_an_object_of_any_size_is_read_with_o_direct(tmp_path: Path, flags: list[int], size: int) -> None:
    digest = stored(tmp_path, size)
    reader = Rereader(str(tmp_path))
    assert sum(len(piece) for piece in reader.pieces("object", digest)) == size
    assert reader.method == DIRECT
    assert all(one & os.O_DIRECT and one & os.O_NOFOLLOW for one in flags)


@pytest.mark.parametrize("size", SIZES)
def test_where_o_direct_is_refused_clean_pages_are_dropped_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    real: Open = os.open
    steps: list[str] = []

    def refusing(path: str, flags: int, *more: t.Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument", path)
        return real(path, flags, *more)

    digest = stored(tmp_path, size)
    monkeypatch.setattr(store_reread.os, "open", refusing)
    monkeypatch.setattr(store_reread.os, "fsync", lambda _descriptor: steps.append("fsync"))
    monkeypatch.setattr(store_reread.os, "posix_fadvise", lambda *values: steps.append(f"fadvise {values[1:]}"))
    reader = Rereader(str(tmp_path))
    assert sum(len(piece) for piece in reader.pieces("object", digest)) == size
    assert reader.method == DROPPED
    assert steps == ["fsync", f"fadvise (0, 0, {os.POSIX_FADV_DONTNEED})"]


def test_another_digest_is_damage(tmp_path: Path) -> None:
    stored(tmp_path, 5000)
    with pytest.raises(StoreError, match="another digest"):
        list(Rereader(str(tmp_path)).pieces("object", b"\0" * 32))


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="absent: No such file"):
        list(Rereader(str(tmp_path)).pieces("absent", b"\0" * 32))


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    digest = stored(tmp_path, 10)
    (tmp_path / "link").symlink_to("object")
    with pytest.raises(StoreError):
        list(Rereader(str(tmp_path)).pieces("link", digest))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    digest = stored(tmp_path, 5000)
    reader = Rereader(str(tmp_path))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        list(reader.pieces("object", digest))
    with pytest.raises(StoreError):
        list(reader.pieces("object", b"\0" * 32))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
