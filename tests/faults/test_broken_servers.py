# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broken or hostile IMAP server may do to a run: its own mailbox suffers, nothing else does."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from tests.faults.raw_run import ALICE, BOB, RawRun, folders, messages
from tests.lab.rawimap import CLOSE, RawImapServer, RawMessage, Request

HUGE = 10**30


def tail(request: Request) -> bytes:
    return request.tag + b" OK done\r\n"


def opened(*lines: bytes) -> t.Callable[[Request], list[bytes]]:
    """A hook for EXAMINE that says these untagged lines alone."""
    return lambda request: [*(line + b"\r\n" for line in lines), request.tag + b" OK [READ-ONLY] done\r\n"]


ANSWERS: dict[str, tuple[str, t.Callable[[Request], t.Iterable[bytes]]]] = {
    "no EXISTS": ("EXAMINE", opened(b"* OK [UIDVALIDITY 1] ok", b"* OK [UIDNEXT 4] ok")),
    "no UIDVALIDITY": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDNEXT 4] ok")),
    "UIDVALIDITY is a word": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDVALIDITY x] ok", b"* OK [UIDNEXT 4] ok")),
    "UIDVALIDITY is empty": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDVALIDITY] ok")),
    "UIDVALIDITY is huge": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDVALIDITY %d] ok" % HUGE)),
    "UIDNEXT is a word": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDVALIDITY 1] ok", b"* OK [UIDNEXT x] ok")),
    "UIDNEXT is huge": ("EXAMINE", opened(b"* 3 EXISTS", b"* OK [UIDVALIDITY 1] ok", b"* OK [UIDNEXT %d] ok" % HUGE)),
    "EXISTS is a word": ("EXAMINE", opened(b"* x EXISTS", b"* OK [UIDVALIDITY 1] ok")),
    "EXISTS is huge": ("EXAMINE", opened(b"* %d EXISTS" % HUGE, b"* OK [UIDVALIDITY 1] ok", b"* OK [UIDNEXT 4] ok")),
    "SEARCH gives a word": ("UID SEARCH", lambda request: [b"* SEARCH 1 x 3\r\n", tail(request)]),
    "SEARCH gives a list": ("UID SEARCH", lambda request: [b"* SEARCH 1 (2 3\r\n", tail(request)]),
    "SEARCH gives a huge UID": ("UID SEARCH", lambda request: [b"* SEARCH 1 2 3 %d\r\n" % HUGE, tail(request)]),
    "SEARCH gives a negative UID": ("UID SEARCH", lambda request: [b"* SEARCH -1 2 3\r\n", tail(request)]),
    "SEARCH gives bytes": ("UID SEARCH", lambda request: [b"* SEARCH \xff\xfe\r\n", tail(request)]),
    "STATUS is huge": (
        "STATUS",
        lambda request: [b"* STATUS INBOX (MESSAGES %d UIDNEXT 4 UIDVALIDITY %d)\r\n" % (HUGE, HUGE), tail(request)],
    ),
    "FETCH gives an endless size": (
        "UID FETCH",
        lambda request: [b"* 1 FETCH (UID 1 RFC822.SIZE " + b"9" * 5000 + b")\r\n", tail(request)],
    ),
    "FETCH gives an endless UID": ("UID FETCH", lambda request: [b"* 1 FETCH (UID " + b"9" * 5000 + b")\r\n", tail(request)]),
    "SEARCH gives an endless UID": ("UID SEARCH", lambda request: [b"* SEARCH " + b"9" * 5000 + b"\r\n", tail(request)]),
    "CAPABILITY is missing": ("CAPABILITY", lambda request: [tail(request)]),
    "CAPABILITY is bytes": ("CAPABILITY", lambda request: [b"* CAPABILITY IMAP4rev1 \xff\xfe\r\n", tail(request)]),
    "the answer is no IMAP": ("EXAMINE", lambda _request: [b"\xff\xff\xff garbage \x00\r\n", CLOSE]),
    "the line never ends": ("UID SEARCH", lambda _request: [b"* SEARCH 1 2", CLOSE]),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_server_that_answers_nonsense_stops_no_other(tmp_path: Path, what: str) -> None:
    command, answer = ANSWERS[what]
    bad = RawImapServer({ALICE: {"INBOX": messages(3)}}, hooks={command: answer})
    good = RawImapServer({BOB: {"INBOX": messages(2)}})
    with bad, good:
        run = RawRun(tmp_path / "archive", {"mail1": bad, "mail2": good})
        report = run.go()
        assert folders(report)[f"{BOB} INBOX"].accounts.new == 2
        assert not (run.archive.root / "dirty").exists()
        bad.hooks.clear()
        report = run.go()
        assert not report.problems()
    assert run.archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 3}


def test_more_messages_that_break_the_connection_than_tries_stop_no_others(tmp_path: Path) -> None:
    poison = set(range(1, 8))

    def fetch(request: Request) -> t.Iterator[bytes]:
        numbers = {one.uid for _number, one in request.session.chosen(request.args.split()[0].decode(), by_uid=True)}
        if b"BODY" not in request.args or not numbers & poison:
            yield from request.default()
        yield CLOSE if numbers & poison and b"BODY" in request.args else b""

    with RawImapServer({ALICE: {"INBOX": messages(20)}}, hooks={"UID FETCH": fetch}) as server:
        run = RawRun(tmp_path / "archive", {"mail1": server})
        for _ in range(3):
            report = run.go()
    accounts = folders(report)[f"{ALICE} INBOX"].accounts
    assert (accounts.known, accounts.failed) == (13, 7)


def test_a_message_that_breaks_the_connection_when_its_size_is_asked_stops_no_others(tmp_path: Path) -> None:
    def fetch(request: Request) -> t.Iterator[bytes]:
        numbers = {one.uid for _number, one in request.session.chosen(request.args.split()[0].decode(), by_uid=True)}
        if 3 in numbers:
            yield CLOSE
        else:
            yield from request.default()

    with RawImapServer({ALICE: {"INBOX": messages(20)}}, hooks={"UID FETCH": fetch}) as server:
        report = RawRun(tmp_path / "archive", {"mail1": server}).go()
    accounts = folders(report)[f"{ALICE} INBOX"].accounts
    assert (accounts.new, accounts.failed) == (19, 1)


def test_a_long_range_of_refused_messages_hides_no_message_behind_it(tmp_path: Path) -> None:
    lost = set(range(1, 131))

    def fetch(request: Request) -> t.Iterator[bytes]:
        numbers = {one.uid for _number, one in request.session.chosen(request.args.split()[0].decode(), by_uid=True)}
        if b"BODY" in request.args and numbers & lost:
            yield request.tag + b" NO the file is missing\r\n"
        else:
            yield from request.default()

    with RawImapServer({ALICE: {"INBOX": messages(160)}}, hooks={"UID FETCH": fetch}) as server:
        report = RawRun(tmp_path / "archive", {"mail1": server}).go()
    accounts = folders(report)[f"{ALICE} INBOX"].accounts
    assert (accounts.new, accounts.failed) == (30, 130)


def test_an_empty_answer_for_a_message_that_has_a_size_is_not_archived(tmp_path: Path) -> None:
    def fetch(request: Request) -> t.Iterator[bytes]:
        if b"BODY" not in request.args:
            yield from request.default()
            return
        for number, one in request.session.chosen(request.args.split()[0].decode(), by_uid=True):
            head = b'* %d FETCH (UID %d RFC822.SIZE %d FLAGS () INTERNALDATE "%s" BODY[] {0}\r\n)\r\n'
            yield head % (number, one.uid, len(one.raw), one.date.encode())
        yield tail(request)

    with RawImapServer({ALICE: {"INBOX": messages(1)}}, hooks={"UID FETCH": fetch}) as server:
        run = RawRun(tmp_path / "archive", {"mail1": server})
        report = run.go()
        assert folders(report)[f"{ALICE} INBOX"].accounts.failed == 1
        assert run.archive.files() == []
        server.hooks.clear()
        report = run.go()
    assert folders(report)[f"{ALICE} INBOX"].accounts.new == 1


def test_a_message_that_is_empty_is_archived(tmp_path: Path) -> None:
    with RawImapServer({ALICE: {"INBOX": [RawMessage(1, b"")]}}) as server:
        report = RawRun(tmp_path / "archive", {"mail1": server}).go()
    assert folders(report)[f"{ALICE} INBOX"].accounts.new == 1


@pytest.mark.parametrize("listed", [b"", b" 1 2"])
def test_a_search_that_lists_less_than_the_folder_holds_is_an_error(tmp_path: Path, listed: bytes) -> None:
    with RawImapServer({ALICE: {"INBOX": messages(3)}}) as server:
        run = RawRun(tmp_path / "archive", {"mail1": server})
        run.go()
        server.mailboxes[ALICE]["INBOX"] += messages(1, first=4)
        server.hooks["UID SEARCH"] = lambda request: [b"* SEARCH" + listed + b"\r\n", tail(request)]
        report = run.go()
        assert "4" in folders(report)[f"{ALICE} INBOX"].error
        assert run.archive.rows("SELECT count(*) FROM source_messages WHERE state = 8") == [(0,)]
        server.hooks.clear()
        assert not run.go().problems()
    assert run.archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 4}


def test_uids_used_again_after_the_server_was_restored_are_read_again(tmp_path: Path) -> None:
    with RawImapServer({ALICE: {"INBOX": messages(10)}}) as server:
        run = RawRun(tmp_path / "archive", {"mail1": server})
        run.go()
        # Restored from a backup with six messages; two new ones came since. UIDVALIDITY is what it was.
        server.mailboxes[ALICE]["INBOX"][6:] = [RawMessage(uid, messages(1, first=uid + 50)[0].raw) for uid in (7, 8)]
        report = run.go()
        assert not report.problems()
        assert run.go().changed is False
    assert run.archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 12}


def test_a_password_that_the_server_repeats_is_not_told(tmp_path: Path) -> None:
    secret = "not-a-secret   with  blanks"

    def refuse(request: Request) -> list[bytes]:
        return [request.tag + b" NO cannot log in with " + b" ".join(request.words()) + b"\r\n"]

    with RawImapServer({ALICE: {"INBOX": []}}, password=secret, hooks={"LOGIN": refuse}) as server:
        run = RawRun(tmp_path / "archive", {"mail1": server})
        options = dataclasses.replace(run.options(), secrets=Secrets({}, {f"mail1 {ALICE}": secret}))
        report = Run(options, Silent()).go()
    assert "cannot log in" in report.sentence()
    assert "blanks" not in json.dumps(report.as_data())
    assert "blanks" not in str(run.archive.dump()) + str(run.archive.rows("SELECT summary FROM runs"))


def test_a_folder_whose_line_in_the_list_cannot_be_read_is_reported(tmp_path: Path) -> None:
    def listed(request: Request) -> t.Iterator[bytes]:
        yield b'* LIST (\\HasNoChildren "/" broken\r\n'
        yield from request.default()

    with RawImapServer({ALICE: {"INBOX": messages(2)}}, hooks={"LIST": listed}) as server:
        report = RawRun(tmp_path / "archive", {"mail1": server}).go()
    (problem,) = report.problems()
    assert "broken" in problem.where
    assert folders(report)[f"{ALICE} INBOX"].accounts.new == 2
