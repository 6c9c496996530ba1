# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server may send instead of a message: its neighbours are archived, it is named, and the next honest run has it."""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.imap_script import Action, Command
from tests.faults.stage import COUNT, Stage, named, of
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("hostile")

BAD = 3
ALL = set(range(1, COUNT + 1))


def nil(chunk: bytes) -> bytes:
    return re.sub(rb"BODY\[\] \{.*", b"BODY[] NIL)\r\n", chunk, flags=re.DOTALL)


def without_body(chunk: bytes) -> bytes:
    return re.sub(rb" BODY\[\] \{.*", b")\r\n", chunk, flags=re.DOTALL)


def announced(change: t.Callable[[int], int]) -> t.Callable[[bytes], bytes]:
    return lambda chunk: re.sub(rb"\{(\d+)\}", lambda match: b"{%d}" % change(int(match[1])), chunk, count=1)


def told_size(change: t.Callable[[int], int]) -> t.Callable[[bytes], bytes]:
    return lambda chunk: re.sub(rb"SIZE (\d+)", lambda match: b"SIZE %d" % change(int(match[1])), chunk, count=1)


def cut_inside(chunk: bytes) -> bytes:
    return chunk[: chunk.index(b"Subject")]


def ends_at(uid: int, *last: script.Chunk) -> Action:
    """The ordinary answer up to the message, half of that, then ``last``."""

    def ending(command: Command) -> t.Iterator[script.Chunk]:
        for chunk in command.ordinary():
            if isinstance(chunk, bytes) and b"(UID %d " % uid in chunk:
                yield cut_inside(chunk)
                yield from last
                yield script.CLOSE
            yield chunk

    return ending


def not_of(uid: int) -> t.Callable[[script.Chunk], bool]:
    return lambda chunk: isinstance(chunk, bytes) and b"(UID %d " % uid not in chunk


@dataclass(frozen=True)
class Case:
    """``words``: what the report says of message 3. ``archived``: it is there all the same. ``timeout`` in seconds."""

    action: Action
    words: str
    archived: bool = False
    genuine: bool = True
    timeout: float = 10.0


def of_message(change: t.Callable[[bytes], bytes], words: str, **more: t.Any) -> Case:
    return Case(script.message(BAD, change), words, **more)


CASES = {
    "NIL for the body": of_message(nil, "NIL instead of the message"),
    "no body in the answer": of_message(without_body, "sent nothing for it"),
    "no answer": of_message(lambda _chunk: b"", "sent nothing for it"),
    "an empty body": of_message(
        lambda chunk: re.sub(rb"BODY\[\] \{.*", b"BODY[] {0}\r\n)\r\n", chunk, flags=re.DOTALL), "empty message"
    ),
    "NO": Case(script.no("[SERVERBUG] cannot read store file #3"), "cannot read store file #3"),
    "BAD": Case(script.bad("internal error 0x3"), "internal error 0x3"),
    "NO after half of the answer": Case(
        lambda command: [*itertools.takewhile(not_of(BAD), command.ordinary()), command.fill(b"{tag} NO disk error\r\n")],
        "disk error",
    ),
    "RFC822.SIZE too large": of_message(told_size(lambda size: size + 1000), "RFC822.SIZE says", archived=True),
    "RFC822.SIZE too small": of_message(told_size(lambda _size: 1), "RFC822.SIZE says 1 bytes", archived=True),
    "RFC822.SIZE is endless": of_message(
        lambda chunk: re.sub(rb"SIZE \d+", b"SIZE " + b"9" * 4999, chunk, count=1), "cannot be read"
    ),
    "no FLAGS": of_message(lambda chunk: re.sub(rb"FLAGS \([^)]*\) ", b"", chunk), "no FLAGS", archived=True),
    "an INTERNALDATE that is none": of_message(
        lambda chunk: chunk.replace(b"02-Jan-2024", b"99-Foo-2024"), "INTERNALDATE cannot be read", archived=True
    ),
    "a literal cut short": Case(ends_at(BAD), "the connection broke"),
    "a literal cut short by BYE": Case(ends_at(BAD, b"\r\n* BYE out of memory\r\n"), "the connection broke"),
    "a literal cut short by silence": Case(ends_at(BAD, script.HANG), "the connection broke", timeout=0.3),
    "a literal longer than its announcement": of_message(announced(lambda size: size - 10), "cannot be read"),
    "a literal longer than its announcement, whose rest looks like an end": of_message(
        lambda chunk: announced(lambda size: size - 10)(chunk)[:-13] + b")12345678\n)\r\n", "cannot be read"
    ),
    "a literal shorter than its announcement": of_message(announced(lambda size: size + 10), "the connection broke", timeout=0.3),
    "an announcement of a petabyte": of_message(announced(lambda _size: 10**15), "the connection broke", timeout=0.3),
    "an announcement of 5000 digits": of_message(
        lambda chunk: re.sub(rb"\{\d+", b"{" + b"9" * 4999, chunk, count=1), "cannot be read"
    ),
    "a message with another UID": of_message(lambda chunk: chunk.replace(b"(UID 3 ", b"(UID 300 "), "sent nothing for it"),
    "a message without its UID": of_message(lambda chunk: chunk.replace(b"(UID 3 ", b"("), "sent nothing for it"),
    "lists in lists in lists": of_message(
        lambda chunk: b"* 3 FETCH (X " + b"(" * 5000 + b")" * 5000 + b" " + chunk.partition(b"(")[2], "cannot be read"
    ),
    "a parenthesis that stays open": of_message(lambda chunk: chunk[:-3] + b"\r\n", "cannot be read"),
    "garbage behind the message": of_message(lambda chunk: chunk[:-2] + b" and more\r\n", "cannot be read"),
    "bytes that are no IMAP": of_message(lambda _chunk: b"\xff\xfe\x00\x01\r\n", "sent nothing for it"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_message_that_is_not_given_is_named_and_its_neighbours_are_archived(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", case.action, folder="INBOX", uid=BAD, where=lambda command: command.bodies)
        report = stage.go(timeout=case.timeout)
        assert stage.archived() == (ALL if case.archived else ALL - {BAD})
        assert of(report).accounts.failed == (not case.archived)
        assert case.words in " ".join(of(report).notes)
        if not case.archived:
            named(report, case.words)
        assert of(report, "Projects").accounts.new == 3
        stage.finish()


@pytest.mark.parametrize("name", ["a literal cut short", "a literal cut short by BYE", "a literal cut short by silence"])
def test_a_connection_that_breaks_once_costs_no_message(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", case.action, folder="INBOX", uid=BAD, where=lambda command: command.bodies, times=1)
        report = stage.go(timeout=case.timeout)
        assert not report.problems()
        assert stage.archived() == ALL
        stage.finish()


BODIES = {
    "NUL bytes": b"Subject: nul\r\n\r\n\0\0\0 and \0\r\n",
    "nothing but NUL": b"\0" * 5000,
    "bare CR": b"Subject: cr\r\rText\rwith\rCR\r",
    "bare LF": b"Subject: lf\n\nText\nwith\nLF\n",
    "CR LF mixed up": b"\r\r\n\n\r\n\n\r\n\r",
    "a header line of 1 MB": b"Subject: " + b"x" * (1 << 20) + b"\r\n\r\ntext\r\n",
    "a header without an end": b"Subject: x\r\nTo: y",
    "bytes above 127": bytes(range(256)) * 40,
    "one byte": b"x",
    "lines that look like answers": b"Subject: x\r\n\r\n)\r\n* 4 FETCH (UID 4 BODY[] {5}\r\nwrong)\r\nZ1 OK\r\n* BYE\r\n{99}\r\n",
    "a literal at its end": b"Subject: x\r\n\r\n{17}",
    "a literal's head with CRLF at its end": b"Subject: x\r\n\r\n{17}\r\n",
    "5 MB of what deflates to nothing": b"Subject: x\r\n\r\n" + b"\0" * (5 << 20),
    "8-bit headers": "Subject: Ünïcödé\r\nFrom: Jürgen <j@example.com>\r\n\r\nx\r\n".encode("latin-1"),
    "a second header in the first": mail(1)[:20] + b"\r\n\r\n" + mail(2),
}


def test_bytes_that_are_hard_to_carry_arrive_as_they_were(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("odd").add(*BODIES.values())
        report = stage.go()
        assert not report.problems()
        assert of(report, "odd").accounts.new == len(BODIES)
        assert stage.archived("odd") == set(range(1, len(BODIES) + 1))
        stage.finish(INBOX=COUNT, Projects=3, odd=len(BODIES))


def test_a_message_that_is_refused_for_ever_never_stops_good_ones(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", script.no("corrupt"), folder="INBOX", uid=BAD, where=lambda command: command.bodies)
        for number in range(4):
            stage.inbox.add(mail(200 + number))
            report = stage.go()
            assert (of(report).accounts.new, of(report).accounts.failed) == (1 if number else COUNT, 1)
            named(report, "corrupt")
        assert stage.run.archive.rows("SELECT attempts FROM source_messages WHERE uid = 3 AND state = 5") == [(4,)]
        stage.finish(INBOX=COUNT + 4, Projects=3)


@pytest.mark.parametrize("after", [1, 4])
def test_messages_expunged_while_they_are_fetched_are_gone_not_failed(tmp_path: Path, after: int) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.note_served()
        expunge = script.during(lambda _command: stage.inbox.expunge(5, 6, 9), after=after)
        stage.script.on("UID FETCH", expunge, where=lambda command: command.bodies and 5 in command.uids, times=1)
        report = stage.go()
        assert not report.problems()
        accounts = of(report).accounts
        assert (accounts.new, accounts.gone, accounts.failed) == (COUNT - 3, 3, 0)
        stage.finish(INBOX=COUNT - 3, Projects=3)


def test_a_folder_emptied_between_search_and_fetch_is_no_error(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.note_served()
        empty = script.before(lambda _command: stage.inbox.expunge(*ALL))
        stage.script.on("UID FETCH", empty, folder="INBOX", times=1)
        report = stage.go()
        assert not report.problems()
        assert of(report).accounts.gone == COUNT
        stage.finish(Projects=3)
