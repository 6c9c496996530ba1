# SPDX-License-Identifier: GPL-3.0-or-later
"""Every odd message comes back from rawimap byte for byte; rawimap speaks IMAP as its users expect."""

from __future__ import annotations

import hashlib
import imaplib
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.lab.facts.imap_rig import Wire
from tests.lab.oddities import oddities
from tests.lab.rawimap import CLOSE, RawImapServer, RawMessage, Request

ODD = oddities()


@pytest.fixture(scope="module")
def odd_server() -> Iterator[RawImapServer]:
    messages = [RawMessage(3 * number, raw) for number, raw in enumerate(ODD.values(), 1)]
    with RawImapServer({"alice": {"INBOX": messages}}, uidvalidity=77) as server:
        yield server


@pytest.fixture
def two() -> dict[str, dict[str, list[RawMessage]]]:
    return {
        "alice": {
            "INBOX": [
                RawMessage(5, b"Subject: five\r\n\r\n5\r\n", flags=("\\Seen",)),
                RawMessage(9, b"\0", "01-Feb-2020 00:00:00 +0100"),
            ],
            "Клиенты": [RawMessage(1, b"")],
            "Top": [],
            "Top/Below": [],
        },
        "bob": {"INBOX": []},
    }


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    made: list[Wire] = []
    yield made
    for wire in made:
        wire.close()


def opened(server: RawImapServer, wires: list[Wire], select: bytes = b"EXAMINE INBOX") -> Wire:
    wire = Wire(server.port)
    wires.append(wire)
    assert wire.line().startswith(b"* OK")
    wire.ok(b"LOGIN alice not-a-secret")
    if select:
        wire.ok(select)
    return wire


def body(response: bytes) -> bytes:
    head, _eol, rest = response.partition(b"}\r\n")
    return rest[: int(head.rpartition(b"{")[2])]


def test_generate_040_at_least_sixty_named_and_all_different() -> None:
    assert len(ODD) >= 60
    assert len(set(ODD.values())) == len(ODD)


def test_generate_041_oddities_are_deterministic() -> None:
    """A digest that may only change with the list itself: other tests count on these bytes."""
    again = oddities()
    assert again == ODD
    assert {name: hashlib.sha256(raw).digest() for name, raw in again.items()} == {
        name: hashlib.sha256(raw).digest() for name, raw in ODD.items()
    }


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("nul in body", lambda raw: b"\0" in raw),
        ("bare cr in body", lambda raw: b"\r" in raw.replace(b"\r\n", b"")),
        ("bare lf in body", lambda raw: b"\n" in raw.replace(b"\r\n", b"")),
        ("empty", lambda raw: raw == b""),
        ("50 kb header line", lambda raw: max(map(len, raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))) > 50_000),
        ("50 kb body line", lambda raw: max(map(len, raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))) >= 50_000),
        ("10000 headers", lambda raw: raw.partition(b"\r\n\r\n")[0].count(b"\r\n") >= 10_000),
        ("1 mb of received", lambda raw: len(raw) > 1_000_000 and raw.count(b"Received:") > 10_000),
        ("20 mb attachment", lambda raw: len(raw) > 20_000_000),
        ("nested multipart 100 deep", lambda raw: raw.count(b"multipart/mixed") == 100),
        ("no final line end", lambda raw: not raw.endswith(b"\n")),
        ("message-id missing", lambda raw: b"message-id" not in raw.lower()),
        ("date missing", lambda raw: b"\r\nDate:" not in raw),
        ("from missing", lambda raw: b"From:" not in raw),
        ("8 bit header", lambda raw: any(byte > 127 for byte in raw.partition(b"\r\n\r\n")[0])),
        ("size 65536", lambda raw: len(raw) == 65536),
    ],
)
def test_generate_042_messages_are_as_odd_as_their_names(name: str, holds: object) -> None:
    assert callable(holds)
    assert holds(ODD[name])


def test_generate_043_twins_share_a_message_id_but_not_their_bytes() -> None:
    twins = [ODD[f"message-id duplicate {which}"] for which in ("one", "other")]
    ids = {line for raw in twins for line in raw.split(b"\r\n") if line.startswith(b"Message-ID")}
    assert len(ids) == 1
    assert len(set(twins)) == 2


def test_generate_044_every_oddity_comes_back_byte_for_byte(odd_server: RawImapServer, wires: list[Wire]) -> None:
    wire = opened(odd_server, wires)
    responses = wire.ok(b"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    assert len(responses) == len(ODD)
    for number, (response, (name, raw)) in enumerate(zip(responses, ODD.items(), strict=True), 1):
        assert body(response) == raw, name
        assert response.startswith(b"* %d FETCH (UID %d FLAGS () INTERNALDATE " % (number, 3 * number))
        assert b" RFC822.SIZE %d " % len(raw) in response.partition(b"}\r\n")[0]


def test_generate_045_the_standard_client_reads_them_too(odd_server: RawImapServer) -> None:
    with imaplib.IMAP4("127.0.0.1", odd_server.port) as client:
        client.login("alice", "not-a-secret")
        client.select(readonly=True)
        rows = [row for row in client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]
        assert [row[1] for row in rows] == list(ODD.values())


def test_generate_046_pipelined_fetches_are_answered_in_order(odd_server: RawImapServer, wires: list[Wire]) -> None:
    wire = opened(odd_server, wires)
    names = list(ODD)[:60]
    wire.send(*(b"p%d UID FETCH %d BODY.PEEK[]\r\n" % (n, 3 * n) for n in range(1, len(names) + 1)))
    for number, name in enumerate(names, 1):
        response, _tagged = wire.until(b"p%d" % number)
        assert body(response) == ODD[name]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"UID SEARCH ALL", [b"* SEARCH 5 9\r\n"]),
        (b"SEARCH ALL", [b"* SEARCH 1 2\r\n"]),
        (b"UID SEARCH UID 6:*", [b"* SEARCH 9\r\n"]),
        (b"UID SEARCH UID 100:*", [b"* SEARCH 9\r\n"]),
        (b"UID SEARCH UNSEEN", [b"* SEARCH 9\r\n"]),
        (b"UID SEARCH NOT UNSEEN", [b"* SEARCH 5\r\n"]),
        (b"UID SEARCH BEFORE 1-Jan-2021", [b"* SEARCH 9\r\n"]),
        (b"UID SEARCH SINCE 1-Jan-2021 SMALLER 100", [b"* SEARCH 5\r\n"]),
        (b"UID SEARCH DELETED", [b"* SEARCH\r\n"]),
        (b"UID FETCH 5 (FLAGS)", [b"* 1 FETCH (UID 5 FLAGS (\\Seen))\r\n"]),
        (b"FETCH 2 (RFC822.SIZE INTERNALDATE)", [b'* 2 FETCH (RFC822.SIZE 1 INTERNALDATE "01-Feb-2020 00:00:00 +0100")\r\n']),
        (b"UID FETCH 5 BODY.PEEK[HEADER]", [b"* 1 FETCH (UID 5 BODY[HEADER] {17}\r\nSubject: five\r\n\r\n)\r\n"]),
        (b"UID FETCH 5 BODY.PEEK[]<9.4>", [b"* 1 FETCH (UID 5 BODY[]<9> {4}\r\nfive)\r\n"]),
        (b"UID FETCH 6 FLAGS", []),
        (b"STATUS INBOX (MESSAGES UIDNEXT)", [b'* STATUS "INBOX" (MESSAGES 2 UIDNEXT 10)\r\n']),
        (b"STATUS INBOX (UIDVALIDITY UNSEEN)", [b'* STATUS "INBOX" (UIDVALIDITY 1 UNSEEN 1)\r\n']),
        (b'LIST "" "%"', [b'* LIST () "/" "%s"\r\n' % name for name in (b"INBOX", b"&BBoEOwQ4BDUEPQRCBEs-", b"Top")]),
        (b'LIST "" "Top/%"', [b'* LIST () "/" "Top/Below"\r\n']),
        (b"NOOP", []),
    ],
)  # fmt: skip
def test_generate_047_answers(
    two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire], command: bytes, answer: list[bytes]
) -> None:
    with RawImapServer(two) as server:
        assert opened(server, wires).ok(command) == answer


@pytest.mark.parametrize(
    "command",
    [
        b"UID FETCH 5 (ENVELOPE)",
        b"UID SEARCH TEXT x",
        b"UID FETCH x FLAGS",
        b"FOO",
        b"UID SEARCH",
        b"STATUS INBOX (HIGHESTMODSEQ)",
    ],
)
def test_generate_048_what_it_does_not_know_is_bad(
    two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire], command: bytes
) -> None:
    with RawImapServer(two) as server:
        assert opened(server, wires).ask(command)[-1].startswith(b"t BAD ")


def test_generate_049_states_and_logins(two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire]) -> None:
    with RawImapServer(two, master_password="not-a-secret-master") as server:
        wire = Wire(server.port)
        wires.append(wire)
        wire.line()
        assert wire.ask(b'LIST "" *')[-1].startswith(b"t BAD")
        assert wire.ask(b"LOGIN alice wrong")[-1].startswith(b"t NO")
        assert wire.ask(b"X-SETUSER alice")[-1].startswith(b"t NO")
        wire.send(b"t X-MASTERAUTH\r\n")
        challenge = wire.line()[2:].strip()
        digest = hashlib.md5(challenge + b"not-a-secret-master", usedforsecurity=False).hexdigest()
        wire.send(digest.encode(), b"\r\n")
        assert wire.until(b"t") == [b"t OK X-MASTERAUTH Welcome to server, master\r\n"]
        assert wire.ask(b"X-SETUSER nobody")[-1].startswith(b"t NO")
        wire.ok(b'X-SETUSER "bob"')
        assert wire.ask(b"UID SEARCH ALL")[-1].startswith(b"t BAD")
        assert b"* 0 EXISTS" in b"".join(wire.ok(b"SELECT INBOX"))
        assert wire.ask(b"SELECT Missing")[-1].startswith(b"t NO")


def test_generate_050_deleting(two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire]) -> None:
    with RawImapServer(two) as server:
        wire = opened(server, wires, b"SELECT INBOX")
        assert wire.ok(b"UID STORE 5:9 +FLAGS (\\Deleted)") == [
            b"* 1 FETCH (UID 5 FLAGS (\\Seen \\Deleted))\r\n",
            b"* 2 FETCH (UID 9 FLAGS (\\Deleted))\r\n",
        ]
        assert wire.ok(b"UID EXPUNGE 9") == [b"* 2 EXPUNGE\r\n"]
        assert wire.ok(b"EXPUNGE") == [b"* 1 EXPUNGE\r\n"]
        assert two["alice"]["INBOX"] == []
        wire.ok(b"EXAMINE INBOX")
        assert wire.ask(b"UID STORE 1 +FLAGS (\\Deleted)")[-1].startswith(b"t NO")


def test_generate_051_hooks_replace_change_and_break(two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire]) -> None:
    def fetch(request: Request) -> Iterable[bytes] | None:
        if b"9" not in request.args:
            return None
        chunks = list(request.default())
        return [*chunks[:2], CLOSE]

    hooks = {
        "UID SEARCH": lambda request: [b"* SEARCH 1 2 3\r\n", request.tag + b" OK\r\n"],
        "UID FETCH": fetch,
        "GREETING": lambda _request: [b"* OK changed\r\n"],
    }
    with RawImapServer(two, hooks=hooks) as server:
        wire = opened(server, wires)
        assert wire.ok(b"UID SEARCH ALL") == [b"* SEARCH 1 2 3\r\n"]
        assert len(wire.ok(b"UID FETCH 5 FLAGS")) == 1
        wire.send(b"t UID FETCH 9 BODY.PEEK[]\r\n")
        assert wire.replies.read() == b"* 2 FETCH (UID 9 BODY[] {1}\r\n"
        assert server.names() == ["GREETING", "LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH", "UID FETCH"][1:]


def test_generate_052_tls_from_the_start_and_on_demand(
    two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire], lab_certificate: tuple[Path, Path]
) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(*lab_certificate)
    trusting = ssl.create_default_context(cafile=str(lab_certificate[0]))
    with RawImapServer(two, ssl_context=served) as server:
        wire = Wire(server.port, trusting)
        wires.append(wire)
        wire.line()
        wire.ok(b"LOGIN alice not-a-secret")
    with RawImapServer(two, starttls=served) as server:
        wire = Wire(server.port)
        wires.append(wire)
        wire.line()
        assert b"STARTTLS" in wire.ok(b"CAPABILITY")[0]
        wire.ok(b"STARTTLS")
        wire.starttls(trusting)
        wire.ok(b"LOGIN alice not-a-secret")


def test_generate_053_broken_connections_and_many_at_once(two: dict[str, dict[str, list[RawMessage]]], wires: list[Wire]) -> None:
    with RawImapServer(two, uidvalidity={"INBOX": 4, "Клиенты": 5, "Top": 6, "Top/Below": 7}) as server:
        several = [opened(server, wires, b'EXAMINE "&BBoEOwQ4BDUEPQRCBEs-"') for _ in range(20)]
        for wire in several:
            assert body(wire.ok(b"UID FETCH 1 BODY.PEEK[]")[0]) == b""
            assert b"UIDVALIDITY 5)" in wire.ok(b'STATUS "&BBoEOwQ4BDUEPQRCBEs-" (UIDVALIDITY)')[0]
        server.break_connections()
        assert [wire.line() for wire in several] == [b""] * 20
        opened(server, wires).ok(b"NOOP")
