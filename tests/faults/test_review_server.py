# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broken or hostile IMAP server may do to a run: its own mailbox suffers, nothing else does."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.faults.raw_run import ALICE, BOB, RawRun, folders, messages
from tests.lab.rawimap import CLOSE, RawImapServer, Request

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
