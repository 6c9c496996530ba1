# SPDX-License-Identifier: GPL-3.0-or-later
"""Responses: every form of FETCH, wherever the network cuts it, and never a byte changed."""

from __future__ import annotations

import io
import socket
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import StreamedBody
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Reader, tagged_result
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import (
    USUAL_DATE,
    MalformedError,
    Message,
    clean,
    parse_fetch,
    parse_flags,
    parse_internaldate,
    parse_values,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import LONGEST, Wire


class CutSocket:
    """Delivers prepared bytes in pieces of prepared sizes; then the stream ends."""

    def __init__(self, data: bytes, cuts: t.Iterable[int]) -> None:
        self._data = memoryview(data)
        self._cuts = iter(cuts)

    def recv_into(self, target: memoryview) -> int:
        size = min(next(self._cuts, len(self._data)), len(target), len(self._data))
        target[:size] = self._data[:size]
        self._data = self._data[size:]
        return size

    def sendall(self, data: bytes) -> None: ...
    def settimeout(self, seconds: float) -> None: ...
    def close(self) -> None: ...
    def gettimeout(self) -> float:
        return 1.0


def reader_of(data: bytes, cuts: t.Iterable[int] = ()) -> Reader:
    return Reader(Wire(t.cast(socket.socket, CutSocket(data, cuts)), "mail1.example.com:993"))


def general(reader: Reader) -> Message:
    return reader.next().message()


def at_one_look(reader: Reader) -> Message:
    """As the bulk reader does it."""
    return reader.next_usual(LONGEST) or reader.next().message()


READS = pytest.mark.parametrize("read", [general, at_one_look])
Read = t.Callable[[Reader], Message]

BODIES = [
    b"",
    b"Subject: x\r\n\r\nbody",
    b"no final line end",
    b"\0NUL\0\0 bare CR \r bare LF \n and 8 bit \xff\x80\r",
    b"* 9 FETCH (UID 9)\r\nZ1 OK not the end\r\n)\r\n",
    b"ends like a literal {5}\r\n",
    b")",
]
DATE = b'INTERNALDATE "17-Jul-2020 02:44:25 +0200"'


def forms(body: bytes) -> list[bytes]:
    """Return one answer in the forms that servers give it."""
    literal = b"{%d}\r\n%s" % (len(body), body)
    return [
        b"* 1 FETCH (UID 7 RFC822.SIZE %d FLAGS (\\Seen $X) %s BODY[] %s)\r\n" % (len(body), DATE, literal),
        b"* 1 FETCH (BODY[] %s FLAGS (\\Seen $X) %s RFC822.SIZE %d UID 7)\r\n" % (literal, DATE, len(body)),
        b"* 1 fetch (flags (\\Seen $X) body[] ~%s uid 7 %s MODSEQ (12) rfc822.size %d)\r\n" % (literal, DATE.lower(), len(body)),
        b'* 1 FETCH (X-A NIL UID 7 X-B ("a)" {3}\r\n(\r\n) BODY[] %s FLAGS (\\Seen $X) %s RFC822.SIZE %d)\r\n'
        % (literal, DATE, len(body)),
    ]


def assert_is_the_message(message: Message, body: bytes) -> None:
    assert (message.uid, message.size, message.sequence) == (7, len(body), 1)
    assert parse_flags(message.flags or b"") == ("\\Seen", "$X")
    assert parse_internaldate(message.date or b"") == 1594946665
    assert bytes(message.body) == body


@READS
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("body", BODIES)
def test_every_form_reads_the_same_however_it_is_cut(body: bytes, cut: int, read: Read) -> None:
    data = b"".join(forms(body)) + b"Z1 OK done {3}\r\n"
    reader = reader_of(data, [cut] * len(data))
    for _form in forms(body):
        assert_is_the_message(read(reader), body)
    tagged = tagged_result(reader.next())
    assert tagged is not None
    assert tagged[0] == b"Z1"
    assert tagged[1].text == "done {3}"


@READS
@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(1, 60), min_size=30), form=st.integers(0, 3))
def test_random_bodies_and_random_cuts(body: bytes, cuts: list[int], form: int, read: Read) -> None:
    reader = reader_of(forms(body)[form] + b"* 3 EXISTS\r\n", cuts)
    assert_is_the_message(read(reader), body)
    assert reader.next().text() == b"* 3 EXISTS"


@settings(max_examples=60, deadline=None)
@given(body=st.binary(min_size=11, max_size=300), cuts=st.lists(st.integers(1, 60), min_size=30), form=st.integers(0, 2))
def test_streaming_gives_the_same_bytes_wherever_it_is_cut(body: bytes, cuts: list[int], form: int) -> None:
    reader = reader_of(forms(body)[form] * 2, cuts)
    for _time in range(2):
        message = reader.next(10, lambda _size: io.BytesIO()).message()
        assert isinstance(message.body, StreamedBody)
        assert b"".join(message.body.chunks(7)) == body
        message.body = body
        assert_is_the_message(message, body)


@READS
def test_message_larger_than_the_buffer_fits(read: Read) -> None:
    body = bytes(range(256)) * 12_000
    reader = reader_of(b"".join(forms(body)[:2]), [65_536] * 200)
    for _form in range(2):
        assert_is_the_message(read(reader), body)


def test_the_usual_form_is_read_at_one_look_and_any_other_is_left() -> None:
    body = b"Subject: x\r\n\r\nbody"
    usual, *others = forms(body)
    reader = reader_of(usual)
    message = reader.next_usual(len(body))
    assert message is not None
    assert_is_the_message(message, body)
    assert reader.taken == len(usual)
    longer = usual.replace(b")\r\n", b" MODSEQ (12))\r\n")
    for left in (*others, longer, usual.replace(b"body)", b"body )"), usual[:40], b"* BYE\r\n", b"Z1 OK done\r\n"):
        reader = reader_of(left)
        assert reader.next_usual(LONGEST) is None
        assert bytes(reader.wire.view[reader.wire.start : reader.wire.end]) == left


def test_a_literal_to_be_streamed_is_not_read_at_one_look() -> None:
    body = b"Subject: x\r\n\r\nbody"
    reader = reader_of(forms(body)[0])
    assert reader.next_usual(len(body) - 1) is None
    assert_is_the_message(reader.next().message(), body)


def test_large_literal_nobody_takes_is_an_error() -> None:
    reader = reader_of(b"* 1 FETCH (UID 7 BODY[] {99999999999}\r\n")
    with pytest.raises(ProtocolError, match="99999999999 bytes unasked"):
        reader.next()


def test_sink_of_a_cut_literal_is_closed() -> None:
    sink = io.BytesIO()
    reader = reader_of(b"* 1 FETCH (UID 7 BODY[] {100}\r\nonly this")
    with pytest.raises(NetworkError, match="closed the connection"):
        reader.next(10, lambda _size: sink)
    assert sink.closed


@pytest.mark.parametrize(
    ("text", "body"),
    [(b'"a \\"quoted\\" \\\\ body)"', b'a "quoted" \\ body)'), (b'""', b"")],
)
def test_quoted_body(text: bytes, body: bytes) -> None:
    message = reader_of(b"* 1 FETCH (BODY[] %s UID 3)\r\n" % text).next().message()
    assert (bytes(message.body), message.uid) == (body, 3)


@pytest.mark.parametrize("more", [b" MODSEQ (12)", b" FLAGS (\\Seen $X)", b" X-B NIL"])
@pytest.mark.parametrize("body", BODIES)
def test_more_behind_the_body_is_not_taken_for_the_body(body: bytes, more: bytes) -> None:
    usual = forms(body)[0]
    reader = reader_of(usual[:-3] + more + b")\r\n")
    assert_is_the_message(reader.next().message(), body)


def test_nil_body_and_flags_alone() -> None:
    nil = reader_of(b"* 1 FETCH (UID 3 BODY[] NIL)\r\n").next().message()
    assert (nil.nil, nil.body) == (True, None)
    flags = reader_of(b"* 1 FETCH (FLAGS (\\Seen))\r\n").next().message()
    assert (flags.uid, flags.body, flags.flags) == (None, None, b"\\Seen")


@pytest.mark.parametrize(
    "line",
    [
        b"* 1 EXISTS",
        b"* 1 FETCH (UID 3",
        b"* 1 FETCH (UID 3 BODY[] {9}\r\nabc)",
        b"* 1 FETCH (=)",
        b"Z1 OK done",
        b"* 1 FETCH (UID x",
    ],
)
def test_what_is_no_fetch_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_fetch(line, memoryview(line), 0, len(line), {})


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        (b"17-Jul-1996 02:44:25 -0700", 837596665),
        (b" 1-Jan-1970 00:00:00 +0000", 0),
        (b"1-jan-1970 01:00:00 +0100", 0),
        (b"31-Dec-1969 23:59:59 GMT", -1),
        (b"29-Feb-2024 12:00:00 +05:30", 1709188200),
        (b"01-Jan-2000 00:00:00", 946684800),
        (b"30-Jun-2015 23:59:60 +0000", 1435708800),
    ],
)
def test_internaldate_forms(text: bytes, epoch: int) -> None:
    assert parse_internaldate(text) == epoch


@given(
    st.sampled_from(["17-Jul-1996", " 1-Jan-1970", "29-Feb-2024", "30-Feb-2024", "17-Foo-2020", "17-Jul-0000"]),
    st.text("0123456789 :a", min_size=8, max_size=8) | st.times().map(lambda time: f"{time:%H:%M:%S}"),
    st.sampled_from(["+0000", "-0700", "+9999", "+0 00", " GMT "]),
)
def test_dates_that_share_a_day_are_read_like_any_other(day: str, clock: str, zone: str) -> None:
    date = f"{day} {clock} {zone}".encode()
    assert len(date) == USUAL_DATE
    assert parse_internaldate(date) == parse_internaldate(date + b" ")  # which is too long to be usual


@pytest.mark.parametrize("text", [b"", b"yesterday", b"17-Foo-2020 02:44:25 +0200", b"17-Jul-0000 02:44:25 +0200"])
def test_internaldate_that_cannot_be_read(text: bytes) -> None:
    assert parse_internaldate(text) is None


def test_flags_with_odd_atoms() -> None:
    assert parse_flags(b"\\Seen \\Recent $Forwarded [x] \\* caf\xc3\xa9") == ("\\Seen", "$Forwarded", "[x]", "\\*", "caf\u00e9")
    assert parse_flags(b"caf\xe9") == ("caf\u00e9",)


def test_values_of_control_responses() -> None:
    line = b'(\\Noselect) NIL "a \\"b\\"" {4}\r\n(x) atom[1] NILE'
    assert parse_values(line, 0, len(line)) == [[b"\\Noselect"], None, b'a "b"', b"(x) ", b"atom[1]", b"NILE"]


def test_words_of_a_server_become_one_printable_line() -> None:
    assert clean(b"bad\x1b[31m \r\n  words \xff") == "bad\N{REPLACEMENT CHARACTER}[31m words \N{REPLACEMENT CHARACTER}"
    assert clean(b"x" * 400) == "x" * 300 + "..."
