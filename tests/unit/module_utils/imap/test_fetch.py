# SPDX-License-Identifier: GPL-3.0-or-later
"""The bulk FETCH: every UID has exactly one outcome, whatever the server does."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Failed, Fetched, Gone, StreamedBody, fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus
from tests.unit.imap_script import Expect, Mailbox, Peer, RefusedError, connected, fetch_line

BOX = {uid: b"Message-ID: <%d@example.com>\r\n\r\n" % uid + b"\0\r\n\r)\n* " * (uid % 50) for uid in range(1, 301)}
ARCHIVED = 1594946665


def taken(items: t.Iterable[t.Any]) -> dict[int, t.Any]:
    """Return UID -> bytes of what was fetched, or the item; no UID may come twice."""
    found: dict[int, t.Any] = {}
    for item in items:
        assert item.uid not in found
        if isinstance(item, Fetched):
            assert (item.internaldate, item.flags) == (ARCHIVED, ("\\Seen",))
            found[item.uid] = whole(item.body)
            if isinstance(item.body, StreamedBody):
                item.body.sink.close()
        else:
            found[item.uid] = item
    return found


def run(box: Mailbox, uids: t.Iterable[int] | None = None, **options: t.Any) -> dict[int, t.Any]:
    with connected(box) as conn:
        return taken(fetch(conn, sorted(box.messages) if uids is None else uids, **options))


@pytest.mark.parametrize("hold", [0, 1])
@pytest.mark.parametrize("batch", [1, 7, 100, 1000])
def test_all_messages_come_byte_for_byte_across_tags(batch: int, hold: int) -> None:
    box = Mailbox(BOX)
    box.hold = hold if batch == 100 else 0
    known = {uid: len(body) for uid, body in BOX.items()} if hold else None
    if hold:
        box.messages = {uid: BOX[uid] for uid in range(1, 201)}
    assert run(box, batch_messages=batch, known_sizes=known) == box.messages


def test_bodies_are_peeked_in_batches_by_count_and_bytes() -> None:
    box = Mailbox(dict.fromkeys(range(1, 11), b"x" * 1000) | {11: b"x" * 9000, 12: b"x"})
    run(box, batch_messages=6, batch_bytes=4000)
    bodies = [command for command in box.commands if "BODY" in command]
    assert bodies == [
        f"UID FETCH {uids} (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])" for uids in ("1:4", "5:8", "9:10", "11", "12")
    ]
    assert [command for command in box.commands if "BODY" not in command] == ["UID FETCH 1:12 (UID RFC822.SIZE)"]


def test_two_commands_are_in_flight() -> None:
    seen: list[bytes] = []

    def wait_for_two(peer: Peer) -> None:
        seen.extend([peer.line(), peer.line()])
        tags = [line.split()[0] for line in seen]
        data = [fetch_line(uid, b"body %d" % uid) for uid in (1, 2, 3, 4)]
        peer.send(data[3] + data[0] + data[2] + tags[1] + b" OK done\r\n" + data[1] + tags[0] + b" OK done\r\n")

    with connected(wait_for_two) as conn:
        sizes = dict.fromkeys((1, 2, 3, 4), 6)
        assert taken(fetch(conn, [1, 2, 3, 4], batch_messages=2, known_sizes=sizes)) == {u: b"body %d" % u for u in (1, 2, 3, 4)}
    assert [re.findall(rb"\d:\d", line) for line in seen] == [[b"1:2"], [b"3:4"]]


def test_unsolicited_responses_change_nothing() -> None:
    noise = b"* 301 EXISTS\r\n* 2 FETCH (FLAGS (\\Deleted))\r\n* 2 FETCH (UID 2 FLAGS ())\r\n"
    noise += b"* OK [ALERT] hello {3}\r\n* 1 EXPUNGE\r\n"
    box = Mailbox(BOX)
    box.odd[5] = lambda uid, _items: (
        noise + fetch_line(uid, BOX[uid]) + fetch_line(1, b"again") + fetch_line(999, b"unasked") + noise
    )
    assert run(box) == BOX


def test_message_that_the_server_refuses_is_isolated() -> None:
    box = Mailbox(BOX)

    def refuse(_uid: int, _items: str) -> bytes:
        raise RefusedError(b"[SERVERBUG] damaged")

    box.odd[42] = refuse
    found = run(box, batch_messages=50)
    assert found.pop(42) == Failed(42, "NO [SERVERBUG] damaged")
    assert found == {uid: body for uid, body in BOX.items() if uid != 42}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"* 7 FETCH (UID 7 RFC822.SIZE 10 BODY[] NIL)\r\n", "the server sent NIL instead of the message"),
        (b"* 7 FETCH (UID 7 FLAGS (\\Seen))\r\n", "the server lists the message, but sent nothing for it"),
        (b"", "the server lists the message, but sent nothing for it"),
        (b"* 7 FETCH (UID 7 =)\r\n", "the server's answer cannot be read: =)"),
    ],
)
def test_message_without_a_body_fails_and_others_come(answer: bytes, text: str) -> None:
    box = Mailbox(BOX)
    box.odd[7] = lambda _uid, _items: answer
    found = run(box)
    failed = found.pop(7)
    assert isinstance(failed, Failed)
    assert text in failed.text
    assert found == {uid: body for uid, body in BOX.items() if uid != 7}
    assert sum("FETCH 7 (" in command for command in box.commands) == 1


def test_what_comes_only_when_asked_alone_is_fetched() -> None:
    box = Mailbox(BOX)
    answers = iter([b"", fetch_line(7, BOX[7])])
    box.odd[7] = lambda _uid, _items: next(answers)
    assert run(box) == BOX


def test_expunged_messages_are_gone() -> None:
    box = Mailbox({uid: BOX[uid] for uid in (1, 3, 5)})
    found = run(box, [1, 2, 3, 4, 5, 5])
    assert found == {1: BOX[1], 2: Gone(2), 3: BOX[3], 4: Gone(4), 5: BOX[5]}
    assert box.commands[-2:] == ["NOOP", "UID SEARCH UID 2,4"]


def test_odd_sizes_dates_and_split_answers_are_told() -> None:
    answers = [
        fetch_line(1, b"12345", size=7),
        b'* 2 FETCH (UID 2 BODY[] "ab" INTERNALDATE "soon" FLAGS ())\r\n',
        b'* 3 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE "17-Jul-2020 02:44:25 +0200")\r\n* 3 FETCH (UID 3 BODY[] {2}\r\nab)\r\n',
        b"* 4 FETCH (BODY[] {2}\r\nab UID 4)\r\n",
    ]
    with connected(Expect(b"UID FETCH 1:4 .*", b"".join(answers) + b"{tag} OK done\r\n")) as conn:
        items = [(i.uid, whole(i.body), i.size, i.reported_size, i.internaldate, i.problems) for i in fetched(conn, range(1, 5))]
    assert items == [
        (1, b"12345", 5, 7, ARCHIVED, ("RFC822.SIZE says 7 bytes, but 5 came",)),
        (2, b"ab", 2, None, 0, ("INTERNALDATE cannot be read: b'soon'",)),
        (3, b"ab", 2, None, ARCHIVED, ()),
        (4, b"ab", 2, None, 0, ("INTERNALDATE cannot be read: None", "the server sent no FLAGS")),
    ]


def whole(body: memoryview | StreamedBody) -> bytes:
    return b"".join(body.chunks()) if isinstance(body, StreamedBody) else bytes(body)


def fetched(conn: Connection, uids: t.Sequence[int]) -> t.Iterator[Fetched]:
    for item in fetch(conn, uids, known_sizes=dict.fromkeys(uids, 2)):
        assert isinstance(item, Fetched)
        yield item


def cut(uid: int, body: bytes) -> t.Callable[[Peer], None]:
    def send_half(peer: Peer) -> None:
        peer.line()
        peer.send(fetch_line(1, BOX[1]) + fetch_line(uid, body)[:-4])
        peer.sock.close()

    return send_half


@pytest.mark.parametrize("stream_above", [10, 10_000])
def test_lost_connection_tells_what_was_completed(stream_above: int) -> None:
    sinks: list[io.BytesIO] = []

    def staging(_size: int) -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    with connected(cut(2, BOX[2])) as conn:
        found = {}
        with pytest.raises(NetworkError) as lost:
            for item in fetch(conn, [1, 2, 3], known_sizes={1: 1, 2: 1, 3: 1}, stream_above=stream_above, staging=staging):
                found[item.uid] = item
        assert not conn.usable
    assert list(found) == [1]
    assert (lost.value.details["completed"], lost.value.details["in_flight"]) == ("1", "2:3")
    assert [sink.closed for sink in sinks] == ([False, True] if stream_above == 10 else [])


def test_bye_and_silence_are_network_errors() -> None:
    for answer, words in ((b"* BYE shutting down\r\n", "shutting down"), (b"", r"did not answer within 0\.5 seconds")):
        with connected(Expect(b"UID FETCH .*", answer), timeout=0.5) as conn, pytest.raises(NetworkError, match=words):
            list(fetch(conn, [1], known_sizes={1: 1}))


def test_answer_to_nothing_is_a_protocol_error() -> None:
    with connected(Expect(b"UID FETCH .*", b"Q9 OK done\r\n")) as conn, pytest.raises(ProtocolError, match="out of turn"):
        list(fetch(conn, [1], known_sizes={1: 1}))


def test_server_that_refuses_everything_is_given_up() -> None:
    box = Mailbox(dict.fromkeys(range(1, 1001), b"x"))

    def refuse(_uid: int, _items: str) -> bytes:
        raise RefusedError(b"disk failure")

    box.odd = dict.fromkeys(box.messages, refuse)
    with connected(box) as conn:
        with pytest.raises(ImapError, match="refused 100 messages in a row: NO disk failure"):
            list(fetch(conn, sorted(box.messages)))
        assert conn.usable
    assert len(box.commands) < 120


def test_iterator_that_is_left_closes_the_connection() -> None:
    with connected(Mailbox(BOX)) as conn:
        items = fetch(conn, sorted(BOX), batch_messages=10)
        next(iter(items))
        items.close()
        assert not conn.usable


def test_large_messages_are_streamed() -> None:
    box = Mailbox({1: b"small", 2: bytes(range(256)) * 20_000, 3: b"small"})
    assert run(box, stream_above=1_000_000) == box.messages


SENDER = r"""
import resource, socket, sys
sys.path[:0] = {path!r}
from tests.unit.imap_script import connected, fetch_line
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import fetch

SIZE = 20_000_000
def send(peer):
    tag = peer.line().split()[0]
    head, tail = fetch_line(1, b"", size=SIZE).split(b"{{0}}\r\n")
    peer.send(head + b"{{%d}}\r\n" % SIZE)
    for _ in range(SIZE // 100_000):
        peer.send(b"\0\r\n\n\rx" * 16_666 + b"wxyz")
    peer.send(tail + tag + b" OK done\r\n")

with connected(send) as conn:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (item,) = fetch(conn, [1], known_sizes={{1: SIZE}})
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    count = sum(map(len, item.body.chunks()))
    item.body.sink.seek(0)
    first = item.body.sink.read(100_000)
    item.body.sink.close()
print(count, first == b"\0\r\n\n\rx" * 16_666 + b"wxyz", item.problems, grown)
"""


def test_twenty_megabytes_pass_through_bounded_memory() -> None:
    script = SENDER.format(path=[path for path in sys.path if path])
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60).stdout
    count, same, problems, grown = output.split()
    assert (count, same, problems) == ("20000000", "True", "()")
    assert int(grown) < 8 * 1024


def test_examine_search_and_sizes() -> None:
    select = (
        b"* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 77] ok\r\n* OK [UIDNEXT 9] ok\r\n"
        b"* OK [HIGHESTMODSEQ 12] ok\r\n{tag} OK [READ-ONLY] SELECT completed\r\n"
    )
    listed = b"* 2 FETCH (UID 8 RFC822.SIZE 20 FLAGS ())\r\n"
    listed += b'* 1 FETCH (UID 3 RFC822.SIZE 10 FLAGS () INTERNALDATE " 1-Jan-1970 00:00:01 +0000")\r\n'
    steps = [
        Expect(rb'EXAMINE "a\\"b"', select),
        Expect(b"UID SEARCH ALL", b"* SEARCH 8 3 3\r\n{tag} OK done\r\n"),
        Expect(b"UID FETCH 3,5,8 .*", listed + b"{tag} OK done\r\n"),
        Expect(b"UID FETCH 3 .*", b"{tag} NO damaged\r\n"),
        Expect(rb"EXAMINE .*", b"{tag} NO no such folder\r\n"),
    ]
    folder = Folder('a"b', b'a"b', frozenset(), "/", ('a"b',), True)
    with connected(*steps, capabilities=b"CONDSTORE") as conn:
        assert imap_fetch.examine(conn, folder) == FolderStatus(77, 9, 3, 12)
        assert imap_fetch.search_uids(conn) == [3, 8]
        assert imap_fetch.sizes(conn, [8, 3, 5]) == {3: 10, 8: 20}
        with pytest.raises(ImapError, match="NO damaged"):
            imap_fetch.listing(conn, [3])
        with pytest.raises(ImapError, match="no such folder"):
            imap_fetch.examine(conn, folder)
        with pytest.raises(ImapError, match="line break"):
            imap_fetch.examine(conn, Folder("x", b'a"\r\nZ LOGOUT', frozenset(), "/", ("x",), True))
        assert conn.usable


def test_connection_that_the_server_ends_under_imapclient() -> None:
    with connected(Expect(b"NOOP", b"* BYE shutting down\r\n"), lambda peer: peer.sock.close()) as conn:
        with pytest.raises(NetworkError, match="shutting down"), conn.errors("NOOP"):
            conn.client.noop()
        assert not conn.usable


def test_streamed_literals_that_nobody_wants_are_closed() -> None:
    sinks: list[io.BytesIO] = []

    def staging(_size: int) -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    body = b"x" * 100
    unreadable = b"* 9 FETCH (UID 9 BODY[] {100}\r\n" + body + b" =)\r\n"
    answer = fetch_line(1, body) + fetch_line(1, body) + unreadable + b"{tag} OK done\r\n"
    with connected(Expect(b"UID FETCH 1 .*", answer)) as conn:
        (item,) = fetch(conn, [1], known_sizes={1: 100}, stream_above=10, staging=staging)
    assert isinstance(item, Fetched)
    assert whole(item.body) == body
    assert [sink.closed for sink in sinks] == [False, True, True]
