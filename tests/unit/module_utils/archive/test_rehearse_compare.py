# SPDX-License-Identifier: GPL-3.0-or-later
"""What came back of a message: the same, other line ends, more headers, another message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import Came, compare

MAIL = b"From: a\r\nSubject: one\r\n two\r\n\r\nbody\r\n\r\nmore\r\n"


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (MAIL, Came.SAME),
        (MAIL.replace(b"\r\n", b"\n"), Came.LINE_ENDS),
        (MAIL[:-2], Came.LINE_ENDS),
        (b"X-Top: 1\r\n" + MAIL, Came.HEADERS),
        (MAIL.replace(b"\r\n\r\nbody", b"\r\nX-Low: 1\r\n\r\nbody"), Came.HEADERS),
        ((b"X-Top: 1\r\n\tfolded\r\n" + MAIL).replace(b"\r\n", b"\n"), Came.HEADERS),
        (MAIL.replace(b" two", b" 2"), Came.OTHER),
        (MAIL.replace(b"From: a\r\n", b""), Came.OTHER),
        (MAIL.replace(b"more", b"less"), Came.OTHER),
        (MAIL.replace(b"From: a\r\nSubject: one\r\n two\r\n", b"Subject: one\r\n two\r\nFrom: a\r\n"), Came.OTHER),
        (b"X-Top: 1\r\n" + MAIL.replace(b"more", b"less"), Came.OTHER),
        (b"", Came.OTHER),
    ],
)
def test_known_changes(came: bytes, expected: Came) -> None:
    assert compare(MAIL, came) is expected


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_only_the_very_bytes_are_the_same(sent: bytes, came: bytes) -> None:
    assert (compare(sent, came) is Came.SAME) == (sent == came)
    assert compare(sent, sent) is Came.SAME


FIELD = st.builds(lambda name, value: b"%s: %s\r\n" % (name, value), st.sampled_from([b"A", b"B", b"C"]), st.just(b"x"))


@given(st.lists(FIELD, min_size=1, max_size=5), st.data())
def test_a_field_that_is_added_anywhere_is_told_as_that(fields: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(fields)))
    more = [*fields[:place], b"X-New: 1\r\n", *fields[place:]]
    sent, came = (b"".join([*each, b"\r\nbody\r\n"]) for each in (fields, more))
    assert compare(sent, came) is Came.HEADERS
    assert compare(came, sent) is Came.OTHER
