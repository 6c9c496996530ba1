# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server may say without being asked (RFC 3501 section 7): at the start of, within and at the end of every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.stage import COUNT, Stage, of

pytestmark = pytest.mark.fault("hostile")

VERBS = ["CAPABILITY", "LOGIN", "LIST", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH", "LOGOUT"]
# What is harmless by the RFC, and what only a confused server says.
LINES = {
    "EXISTS": b"* 11 EXISTS\r\n* 0 RECENT\r\n",
    "FLAGS": b"* FLAGS (\\Seen \\Deleted)\r\n* OK [PERMANENTFLAGS ()] none\r\n",
    "FETCH of flags": b"* 3 FETCH (FLAGS (\\Seen))\r\n* 4 FETCH (UID 4 FLAGS (\\Deleted) MODSEQ (12345))\r\n",
    "FETCH of nobody": b"* 4000 FETCH (UID 4000 RFC822.SIZE 7 FLAGS ())\r\n* 0 FETCH ()\r\n",
    "ALERT": b"* OK [ALERT] the server goes down at noon {17}\r\n* NO disk nearly full\r\n* BAD you said something odd\r\n",
    "still here": b"* OK Still here\r\n" * 50,
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 X-NEW\r\n",
    "ID and ENABLED": b'* ID ("name" "x")\r\n* ENABLED CONDSTORE\r\n* NAMESPACE NIL NIL NIL\r\n',
    "words nobody knows": b'* X-KERIO-SYNC 1 2 (3 4) "five" {3}\r\nsix\r\n* 17 X-UNKNOWN\r\n',
}


@pytest.mark.parametrize("what", LINES)
def test_unsolicited_answers_everywhere_do_no_harm(tmp_path: Path, what: str) -> None:
    lines = LINES[what]
    with Stage(tmp_path / "archive") as stage:
        stage.server.without("LIST-STATUS")
        for verb in VERBS:
            if (what, verb) == ("EXISTS", "EXAMINE"):
                continue  # there it would be the answer
            stage.script.on(verb, script.around(lines, lines, lines))
        report = stage.go()
        assert not report.problems(), told(report)
        assert len(stage.archived()) == COUNT
        stage.finish()


def test_expunge_told_within_a_fetch_shifts_no_message(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.note_served()

        def renumbered(command: script.Command) -> list[script.Chunk]:
            stage.inbox.expunge(1, 2)
            return [b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n", *command.ordinary()]

        stage.script.on("UID FETCH", renumbered, folder="INBOX", where=lambda command: command.bodies, times=1)
        report = stage.go()
        assert not report.problems(), told(report)
        assert (of(report).accounts.new, of(report).accounts.gone) == (COUNT - 2, 2)
        stage.finish(INBOX=COUNT - 2, Projects=3)


def test_mail_that_arrives_during_a_run_is_fetched_by_the_next(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        deliver = script.during(lambda _command: stage.inbox.add(b"Subject: late\r\n\r\n"), after=3)
        stage.script.on("UID FETCH", deliver, folder="INBOX", where=lambda command: command.bodies, times=1)
        report = stage.go()
        assert not report.problems(), told(report)
        assert of(report).accounts.new == COUNT
        stage.finish(INBOX=COUNT + 1, Projects=3)


def test_answers_of_a_fetch_in_any_order_and_twice(tmp_path: Path) -> None:
    def shuffled(command: script.Command) -> list[script.Chunk]:
        *lines, end = command.ordinary()
        return [*reversed(lines), *lines[:3], end]

    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", shuffled)
        report = stage.go()
        assert not report.problems(), told(report)
        assert of(report).accounts.new == COUNT
        stage.finish()


def test_items_of_a_fetch_split_over_several_answers(tmp_path: Path) -> None:
    def split(chunk: bytes) -> bytes:
        head, _blank, rest = chunk.partition(b" BODY[]")
        number = chunk.split()[1]
        return head + b")\r\n* %s FETCH (BODY[]%s" % (number, rest[:-3] + b" UID 3)\r\n")

    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", script.message(3, split), folder="INBOX", where=lambda command: command.bodies)
        report = stage.go()
        assert not report.problems(), told(report)
        stage.finish()
