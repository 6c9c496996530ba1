# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a message: addresses out of raw headers, and the filing of both kinds of methods."""

from __future__ import annotations

import typing as t
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import (
    CATCHALL_FOLDER,
    LISTED_ADDRESSES,
    Decision,
    Directory,
    MailboxFiling,
    MultidropFiling,
    Person,
    Target,
    reopened,
    unknown_addresses,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import (
    HEADER_LIMIT,
    addresses,
    header_block,
    scan,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Alice <Alice@Example.COM>, bob@example.org", ["alice@example.com", "bob@example.org"]),
        ('"Doe, John" <john@x.example>', ["john@x.example"]),
        ('"john doe"@example.com', ['"john doe"@example.com']),
        ('"alice"@example.com', ["alice@example.com"]),
        ("Team: a@x.example, b@x.example;, c@x.example", ["a@x.example", "b@x.example", "c@x.example"]),
        ("undisclosed-recipients:;", []),
        ("a@x.example (comment (nested, no@x.example)), b@x.example", ["a@x.example", "b@x.example"]),
        ("smile :-( a@x.example, b@x.example", ["a@x.example", "b@x.example"]),
        ("<@relay,@other:a@x.example>", ["a@x.example"]),
        ('"a@x.example" <b@x.example>', ["b@x.example"]),
        ('"a@x.example"', ["a@x.example"]),
        ('"unclosed <a@x.example>', ["a@x.example"]),
        ("<a@x.example", ["a@x.example"]),
        ("A <a@x.example> B <b@x.example>", ["a@x.example", "b@x.example"]),
        # Python's own email package writes a comma like this after a name that it had to encode
        ("=?utf-8?q?A?= <a@x.example> =?utf-8?q?=2C?= b@x.example", ["a@x.example", "b@x.example"]),
        ("a@x.example =?utf-8?q?=2C?= B <b@x.example>", ["a@x.example", "b@x.example"]),
        ("=?utf-8?q?M=C3=BCller?= =?utf-8?q?=2C?= Hans <m@x.example>", ["m@x.example"]),
        ("a@x.example;b@x.example", ["a@x.example", "b@x.example"]),
        ("=?utf-8?Q?M=C3=BCller=2C_no=40x?= <m@x.example>", ["m@x.example"]),
        ("=?UTF-8?B?QWxpY2UgPGFsaWNlQGV4YW1wbGUuY29tPg==?=", ["alice@example.com"]),
        ("=?bogus?Q?a=40x.example?=", []),
        ("a@x.example,\r\n\tb@x.example", ["a@x.example", "b@x.example"]),
        ("nobody", []),
        ("", []),
        ("@x.example, a@", []),
    ],
)
def test_addresses(value: str, expected: list[str]) -> None:
    assert addresses(value) == expected


ATOM = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_+'", min_size=1, max_size=12)
DISPLAY = st.text(max_size=20).filter(lambda text: text.isprintable())


@given(
    st.lists(st.builds(lambda name, local, host: (name, local, f"{host}.example"), DISPLAY, ATOM, ATOM), min_size=1, max_size=8)
)
def test_addresses_that_the_standard_library_wrote_are_read_back(people: list[tuple[str, str, str]]) -> None:
    message = EmailMessage()
    message["To"] = [Address(name, local, host) for name, local, host in people]
    header = header_block(message.as_bytes())
    assert scan(header).recipients == tuple(dict.fromkeys(f"{local}@{host}".lower() for _, local, host in people))


@given(st.binary(max_size=400))
def test_the_scanner_takes_any_bytes(junk: bytes) -> None:
    for message in (junk, b"To: " + junk, b"Received: " + junk + b"\r\nX-Envelope-To: " + junk + b"\r\n\r\n" + junk):
        found = scan(header_block(message))
        for address in (*found.envelope, *found.recipients, *found.senders):
            local, at, domain = address.rpartition("@")
            assert local and at and domain
            assert address == address.lower()


@pytest.mark.parametrize("line", [b'"', b"<", b"a@", b'("\\(', b"a@b ", b"=?a?q?", b'@"\\"', b"for ", b" ", b"a@b:"])
def test_a_header_line_of_a_megabyte_costs_no_more_than_its_length(line: bytes) -> None:
    # Quadratic work would run into the time-out of the tests.
    scan(header_block(b"Received: " + line * (HEADER_LIMIT // len(line))))
    scan(header_block(b"To: " + line * (HEADER_LIMIT // len(line))))


def test_nothing_below_the_header_is_read() -> None:
    assert scan(header_block(b"Subject: x\r\n\r\nTo: a@x.example\r\n")).recipients == ()
    assert scan(header_block(b"Subject: x\n\nTo: a@x.example\n")).recipients == ()
    assert header_block(b"a" * (HEADER_LIMIT + 5)) == b"a" * HEADER_LIMIT


RECEIVED = b"Received: from x (y [1.2.3.4]) by mail1 with ESMTP\r\n\tfor <real@x.example>; Sat, 1 Jan 2022 00:00:00 +0000\r\n"


@pytest.mark.parametrize(
    ("header", "envelope"),
    [
        (b"X-Envelope-To: a@x.example\r\n" + RECEIVED, ("a@x.example", "real@x.example")),
        (b"X-Envelope-To: a@x.example\r\nX-Envelope-To: b@x.example\r\nSubject: x\r\n", ("a@x.example", "b@x.example")),
        (b"Return-Path: <s@x.example>\r\nDelivered-To: a@x.example\r\nSubject: x\r\n", ("a@x.example",)),
        (RECEIVED + b"X-Envelope-To: a@x.example\r\nSubject: x\r\n", ("real@x.example", "a@x.example")),
        # a second Received, or a field of the sender, ends what the server wrote
        (RECEIVED + RECEIVED.replace(b"real", b"forged"), ("real@x.example",)),
        (RECEIVED + b"Received: by y\r\nX-Envelope-To: forged@x.example\r\n", ("real@x.example",)),
        (RECEIVED + b"Subject: x\r\nX-Envelope-To: forged@x.example\r\n", ("real@x.example",)),
        (
            b"X-Envelope-To: a@x.example\r\n" + RECEIVED + b"X-Envelope-To: forged@x.example\r\n",
            ("a@x.example", "real@x.example"),
        ),
        (b"From: s@x.example\r\nDelivered-To: forged@x.example\r\n", ()),
        (b"Received: from (for <forged@x.example>) by mail1; date\r\n", ()),
    ],
)
def test_only_what_the_last_server_wrote_counts_as_envelope(header: bytes, envelope: tuple[str, ...]) -> None:
    assert scan(header).envelope == envelope


ALICE = Person(1, "alice", ("alice@example.com", "sales@example.com"), ("team@example.com",))
BOB = Person(2, "bob", ("bob@example.com",), ("team@example.com",))
DIRECTORY = Directory((ALICE, BOB))


def filing(**more: t.Any) -> MultidropFiling:
    facts: dict[str, t.Any] = {"target_folder": "{u-email}/INBOX", "sent_folder": "{u-email}/Sent Items"}
    return MultidropFiling(DIRECTORY, "archive@example.com", **{**facts, **more})


def targets(decision: Decision) -> dict[int, str]:
    return {target.user_id: "/".join(target.parts) for target in decision.targets}


def test_mailbox_methods_file_under_the_address() -> None:
    decision = MailboxFiling(7, "alice@example.com", ("Projects", "a/b")).decide(b"")
    assert decision.targets == (Target(7, ("alice@example.com", "Projects", "a/b")),)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"To: SALES@example.com\r\nFrom: x@else.example", {1: "alice@example.com/INBOX"}),
        (b"To: team@example.com, bob@example.com", {1: "alice@example.com/INBOX", 2: "bob@example.com/INBOX"}),
        (b"Cc: bob@example.com\r\nFrom: alice@example.com", {1: "alice@example.com/Sent Items", 2: "bob@example.com/INBOX"}),
        (b"To: x@else.example\r\nFrom: a <alice@example.com>\r\nSender: alice@example.com", {1: "alice@example.com/Sent Items"}),
        (b"To: alice@example.com\r\nFrom: alice@example.com", {1: "alice@example.com/INBOX"}),
        (b"X-Envelope-To: bob@example.com\r\nTo: list@else.example", {2: "bob@example.com/INBOX"}),
        (b"X-Envelope-To: archive@example.com\r\nTo: alice@example.com", {1: "alice@example.com/INBOX"}),
    ],
)
def test_multidrop_files_once_for_each_user(header: bytes, expected: dict[int, str]) -> None:
    assert targets(filing().decide(header)) == expected


def test_the_archive_mailbox_is_never_a_recipient_even_when_a_user_has_its_address() -> None:
    directory = Directory((Person(9, "archive", ("Archive@example.com",)),))
    drop = MultidropFiling(directory, "ARCHIVE@example.com", "x", "y")
    assert drop.decide(b"To: archive@example.com").state is State.LEFT


def test_placeholders() -> None:
    assert targets(filing(target_folder="{h-email}/in/{u-email}").decide(b"To: sales@example.com")) == {
        1: "sales@example.com/in/alice@example.com"
    }
    strange = Directory((Person(3, "x", ("a/b@example.com",)),))
    drop = MultidropFiling(strange, "archive@example.com", "{u-email}/INBOX", "s")
    assert drop.decide(b"To: a/b@example.com").targets[0].parts == ("a/b@example.com", "INBOX")


UNKNOWN = b"To: carol@example.com\r\nFrom: x@else.example"
RELAYED = b"To: y@else.example\r\nFrom: x@else.example"


def test_what_happens_to_unknown_addresses() -> None:
    assert filing().decide(UNKNOWN) == Decision((), State.LEFT, "carol@example.com x@else.example")
    assert filing(unknown="drop_relayed").decide(UNKNOWN).state is State.LEFT
    dropped = filing(unknown="drop_relayed").decide(RELAYED)
    assert (dropped.state, unknown_addresses(dropped.reason)) == (State.EXCLUDED, ["y@else.example", "x@else.example"])
    caught = filing(unknown="catchall", catchall=5).decide(UNKNOWN)
    assert caught.targets == (Target(5, CATCHALL_FOLDER),)
    assert unknown_addresses(caught.reason) == ["carol@example.com", "x@else.example"]
    assert filing().decide(b"Subject: none").reason == "(no-address)"


def test_a_hostile_header_cannot_fill_the_catalog() -> None:
    many = ", ".join(f"u{number}@else.example" for number in range(10_000)).encode()
    assert len(unknown_addresses(filing().decide(b"To: " + many).reason)) == LISTED_ADDRESSES


@pytest.mark.parametrize(
    ("state", "reason", "rules", "expected"),
    [
        (State.LEFT, "carol@example.com", {}, False),
        (State.LEFT, "carol@example.com bob@example.com", {}, True),
        (State.LEFT, "carol@example.com", {"unknown": "catchall", "catchall": 5}, True),
        (State.LEFT, "carol@example.com", {"unknown": "drop_relayed"}, False),
        (State.LEFT, "c@else.example", {"unknown": "drop_relayed"}, True),
        (State.EXCLUDED, "relayed: c@else.example", {"unknown": "drop_relayed"}, False),
        (State.EXCLUDED, "relayed: c@else.example", {}, True),
        (State.ARCHIVED, "caught: carol@example.com", {"unknown": "catchall", "catchall": 5}, False),
        (State.ARCHIVED, "caught: carol@example.com", {}, False),
        (State.ARCHIVED, "caught: bob@example.com", {}, True),
        (State.FAILED, "NO internal error", {}, True),
    ],
)
def test_what_todays_rules_open_again(state: State, reason: str, rules: dict[str, t.Any], expected: bool) -> None:
    assert reopened(state, reason, filing(**rules)) is expected


def test_the_fingerprint_changes_with_who_has_which_address() -> None:
    assert Directory((BOB, ALICE)).fingerprint() == DIRECTORY.fingerprint()
    assert Directory((ALICE,)).fingerprint() != DIRECTORY.fingerprint()
    assert Directory((ALICE, Person(2, "bob", ("bob@example.com",)))).fingerprint() != DIRECTORY.fingerprint()
