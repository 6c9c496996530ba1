# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a folder, in one piece."""

from __future__ import annotations

import io

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import Fetched, StreamedBody, bytes_of

TEXT = b"Subject: one\r\n\r\nbody\r\n"


def fetched(body: memoryview | StreamedBody) -> Fetched:
    return Fetched(1, len(TEXT), 0, (), body, None, ())


def test_the_bytes_outlive_the_buffer_that_they_came_in() -> None:
    buffer = bytearray(TEXT)
    got = bytes_of(fetched(memoryview(buffer)))
    buffer[:] = bytes(len(buffer))
    assert got == TEXT


def test_a_sink_is_read_from_its_start_and_closed() -> None:
    sink = io.BytesIO(TEXT)
    sink.seek(0, io.SEEK_END)
    assert bytes_of(fetched(StreamedBody(len(TEXT), sink))) == TEXT
    assert sink.closed


def test_a_sink_that_cannot_be_read_is_closed_all_the_same() -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    sink = Broken(TEXT)
    with pytest.raises(OSError, match="Input/output error"):
        bytes_of(fetched(StreamedBody(len(TEXT), sink)))
    assert sink.closed
