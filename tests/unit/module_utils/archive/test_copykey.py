# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import copykey

KEPT = b"From: <alice@example.com>\r\nSubject: hello\r\n folded\r\nMessage-ID: <1@example.com>\r\n"
BODY = b"\r\nReceived: this line is body\r\nhello\r\n"
ORIGINAL = KEPT + BODY
# Pieces that headers, line ends and folds are made of, in any order, and any bytes.
MESSAGES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"Received: a", b"X-Spam-Level: *", b"Subject: b", b" fold", b"\tfold", b":"])
    | st.binary(max_size=8),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize(
    "trace",
    [
        b"Received: from a\r\n\tby b;\r\n date\r\n",
        b"RETURN-PATH: <a@example.com>\r\n",
        b"delivered-to: bob\r\nEnvelope-To: bob\r\nX-Original-To: bob\r\n",
        b"X-Envelope-To: <bob@example.com>\r\n",
        b"Authentication-Results: b;\r\n\tspf=pass\r\nReceived-SPF: pass\r\nDKIM-Signature: v=1;\r\n b=abc\r\n",
        b"X-Spam-Status: No\r\nX-Spam-Level: **\r\nX-Kerio-Anti-Spam: build\r\nX-Footer: ZXhhbXBsZQ==\r\n",
        b"Received : blank before the colon\r\n",
    ],
)
def test_trace_headers_make_no_other_message(trace: bytes) -> None:
    for copy in (trace + ORIGINAL, KEPT + trace + BODY, KEPT[:27] + trace + KEPT[27:] + BODY):
        assert copykey.copy_key(copy) == copykey.copy_key(ORIGINAL)
        assert copykey.same_message(copy, ORIGINAL)


@pytest.mark.parametrize(
    "other",
    [
        KEPT + b"X-Footer-less: no\r\n" + BODY + b".",
        KEPT.replace(b"hello", b"hallo") + BODY,
        KEPT.replace(b"\r\n", b"\n") + BODY,
        KEPT + BODY.replace(b"Received", b"received"),
        KEPT + b"Receivedx: a\r\n" + BODY,
        KEPT + b"X-Received: a\r\n" + BODY,
        ORIGINAL + b"\0",
        KEPT,
        b"",
    ],
)
def test_anything_else_makes_another_message(other: bytes) -> None:
    assert copykey.copy_key(other) != copykey.copy_key(ORIGINAL)
    assert not copykey.same_message(other, ORIGINAL)


def test_equal_keys_are_no_proof() -> None:
    one, other = KEPT + b"\r\nplumless", KEPT + b"\r\nbuckeroo"  # the known collision of CRC-32
    assert copykey.copy_key(one) == copykey.copy_key(other)
    assert not copykey.same_message(one, other)


@given(MESSAGES, st.integers(1, 40))
@example(b"", 1)
@example(b"\r\nbody", 1)
@example(b"A: b\r\n\r\nbody", 7)
@example(b"no header end", 3)
def test_pieces_make_no_difference(message: bytes, step: int) -> None:
    stream = copykey.CopyKeyStream()
    pieces = [message[start : start + step] for start in range(0, len(message), step)]
    for piece in pieces:
        stream.update(piece)
    assert stream.digest() == copykey.copy_key(memoryview(message)) == copykey.copy_key(bytearray(message))
    assert copykey.same_pieces(iter(pieces), iter([message]))


@given(MESSAGES, MESSAGES)
def test_the_same_message_always_has_the_same_key(one: bytes, other: bytes) -> None:
    assert copykey.same_message(one, one)
    if copykey.same_message(one, other):
        assert copykey.copy_key(one) == copykey.copy_key(other)
    if one == b"Received: x\r\n" + other:
        assert copykey.same_message(one, other)


def test_a_header_without_end_is_cut_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copykey, "HEADER_LIMIT", 16)
    message = b"X: " + b"y" * 60
    stream = copykey.CopyKeyStream()
    for start in range(0, len(message), 5):
        stream.update(message[start : start + 5])
    assert stream.digest() == copykey.copy_key(message)
    assert copykey.same_message(message, message)
    assert not copykey.same_message(message, message[:-1] + b"z")
