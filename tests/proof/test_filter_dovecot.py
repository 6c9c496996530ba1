# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters against a real IMAP server in the first and the last time zone of the world, with messages around midnight."""

from __future__ import annotations

import datetime
import imaplib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filters, worker_filter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MailboxFiling
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import DAY, MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Access, Examine, Fetch, Item
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection, open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access as Protocol
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from tests.lab.dovecot import Dovecot

MIDNIGHT = int(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp())
NOW = MIDNIGHT + 40 * DAY
INBOX = Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True, None)
# Seconds from midnight UTC, and the zone in which the message says when it came in.
DATES = [(seconds, hours) for seconds in (-90_000, -43_201, -1, 0, 1, 43_200, 90_000) for hours in (-12, 0, 14)]
SUBJECTS = [
    "invoice 7",
    "=?utf-8?B?SW52b2ljZSA3?=",
    "Your\r\n invoice\r\n 7",
    "=?utf-8?Q?in?=\r\n =?utf-8?Q?voice_7?=",
    "bill",
    "=?utf-8?Q?f=C3=A4llig?=",
]


@pytest.fixture(scope="module", params=["EAST-14", "UTC", "WEST+12"])
def mailbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Connection]:
    """A mailbox on a server that lives in that time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        with Dovecot(Path(tmp_path_factory.mktemp("zone")) / "dovecot") as server:
            user, password = server.master_login("alice")
            fill(server.port, user, password)
            endpoint = Endpoint("127.0.0.1", server.port, Protocol("IMAP"))
            connection = open_connection(endpoint, Credentials(user, password))
            yield connection
            connection.close()


def fill(port: int, user: str, password: str) -> None:
    client = imaplib.IMAP4("127.0.0.1", port)
    client.login(user, password)
    for number, (seconds, hours) in enumerate(DATES):
        zone = datetime.timezone(datetime.timedelta(hours=hours))
        date = datetime.datetime.fromtimestamp(MIDNIGHT + seconds, zone).strftime('"%d-%b-%Y %H:%M:%S %z"')
        flags = "(\\Seen)" if number % 2 else "(\\Flagged)" if number % 3 else "()"
        subject = SUBJECTS[number % len(SUBJECTS)]
        body = f"From: a@example.com\r\nSubject: {subject}\r\n\r\n{'x' * number * 10}\r\n".encode()
        answer = client.append("INBOX", flags, date, body)
        assert answer[0] == "OK", answer
    client.logout()


def archived(connection: Connection, rule: MessageFilter) -> tuple[set[int], set[int], list[str]]:
    """What the server finds, what passes in the end, and what is to be told of the latter."""
    imap = Imap()
    examined = worker_filter.examined(imap, connection, Examine(access(connection), INBOX, rule, NOW))
    assert not examined.note
    assert len(examined.uids) == len(DATES)
    found = set(examined.uids if examined.matched is None else examined.matched)
    unmatched = tuple(sorted(set(examined.uids) - found))
    order = Fetch(access(connection), INBOX, 1, examined.uids, FILING, filter=rule, now=NOW, unmatched=unmatched)
    passed, notes = set(), []
    for message in worker_filter.passing(imap, connection, order, examined.uids):
        if not isinstance(message, Item):
            passed.add(message.uid)
            notes += getattr(message, "problems", ())
    return found, passed, notes


FILING = MailboxFiling(1, "alice@example.com", ("INBOX",))


def access(connection: Connection) -> Access:
    return Access(connection.endpoint, Credentials("", ""))


def uids(wanted: t.Callable[[int], bool]) -> set[int]:
    return {number + 1 for number in range(len(DATES)) if wanted(number)}


@pytest.mark.parametrize("seconds", [-43_201, -1, 0, 1, 43_200])
def test_dates_are_exact_to_the_second_whatever_the_zone_of_the_server(mailbox: Connection, seconds: int) -> None:
    edge = MIDNIGHT + seconds
    for rule, wanted in (
        (MessageFilter(since=edge), lambda date: date >= seconds),
        (MessageFilter(before=edge), lambda date: date < seconds),
        (MessageFilter(older_than_days=40), lambda date: date <= 0),
        (MessageFilter(younger_than_days=40), lambda date: date > 0),
        (MessageFilter(since=edge, before=edge + 1), lambda date: date == seconds),
    ):
        found, passed, notes = archived(mailbox, rule)
        assert passed == {number + 1 for number, (date, _) in enumerate(DATES) if wanted(date)}, rule
        assert passed <= found
        assert not notes


def test_flags_and_sizes_are_the_servers(mailbox: Connection) -> None:
    for rule, wanted in (
        (MessageFilter(seen=True), lambda number: number % 2 == 1),
        (MessageFilter(seen=False), lambda number: number % 2 == 0),
        (MessageFilter(flagged=True), lambda number: number % 2 == 0 and number % 3 != 0),
        (MessageFilter(flagged=False, seen=False), lambda number: number % 6 == 0),
    ):
        found, passed, notes = archived(mailbox, rule)
        assert passed == found == uids(wanted)
        assert not notes
    sizes = {listed.uid: listed.size for listed in Imap().listing(mailbox, range(1, len(DATES) + 1))}
    edge = sorted(sizes.values())[7]
    assert archived(mailbox, MessageFilter(larger_than=edge))[:2] == ({uid for uid in sizes if sizes[uid] > edge},) * 2
    assert archived(mailbox, MessageFilter(smaller_than=edge))[:2] == ({uid for uid in sizes if sizes[uid] < edge},) * 2


@pytest.mark.parametrize(
    ("texts", "subjects"),
    [
        (("invoice 7",), {0, 1, 2, 3}),
        (("INVOICE", "bill"), {0, 1, 2, 3, 4}),
        (("fällig",), {5}),
        (("=?utf-8?B",), {1}),
        (('quo"te',), set()),
        (("(",), set()),
    ],
)
def test_headers_are_found_folded_and_encoded(mailbox: Connection, texts: tuple[str, ...], subjects: set[int]) -> None:
    holders = uids(lambda number: number % len(SUBJECTS) in subjects)
    found, passed, notes = archived(mailbox, MessageFilter(headers=(("subject", texts),)))
    assert passed == holders
    assert passed <= found and not notes
    found, passed, notes = archived(mailbox, MessageFilter(not_headers=(("subject", texts),)))
    assert passed == uids(lambda _: True) - holders
    assert passed <= found and not notes


def test_header_fields_come_without_bodies(mailbox: Connection) -> None:
    Imap().examine(mailbox, INBOX)
    told = Imap().headers(mailbox, [3, 1, 999], ["subject", "x-none"])
    assert set(told) == {1, 3}
    assert told[1].strip() == b"Subject: invoice 7"
    assert filters.header_reason(MessageFilter(headers=(("subject", ("your invoice 7",)),)), told[3]) == ""
