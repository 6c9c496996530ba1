# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that falls silent, hangs up or says BYE at any point: the run ends, others are archived, the next run completes."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.imap_script import Action
from tests.faults.raw_run import ALICE
from tests.faults.stage import COUNT, Stage, named

pytestmark = pytest.mark.fault("hostile")

TIMEOUT = 0.4  # seconds
POINTS = ["CONNECT", "GREETING", "CAPABILITY", "LOGIN", "LIST", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH"]
OF_FOLDER = ("EXAMINE", "UID SEARCH", "UID FETCH")
HALF = 12  # bytes; every answer is longer

WAYS: dict[str, tuple[Action, str]] = {
    "is silent": (script.hang, f"within {TIMEOUT} seconds"),
    "is silent half way": (script.cut(HALF, script.HANG), f"within {TIMEOUT} seconds"),
    "hangs up": (script.close, "closed the connection"),
    "hangs up half way": (script.cut(HALF), "closed the connection"),
    "resets the connection": (script.raw(script.RESET), ""),
    "says BYE": (script.bye("the disk of the store is full"), "the disk of the store is full"),
    "says BYE half way": (script.cut(0, b"* BYE the disk of the store is full\r\n"), "the disk of the store is full"),
}


def silent_at(stage: Stage, point: str) -> None:
    """A server that is looked at by STATUS, one folder at a time."""
    if point == "STATUS":
        stage.server.without("LIST-STATUS")


@pytest.mark.parametrize(
    ("point", "way"),
    # There is nothing to be cut before the greeting.
    [(point, way) for point in POINTS for way in WAYS if point != "CONNECT" or "half way" not in way],
)
def test_a_server_that_fails_for_good(tmp_path: Path, point: str, way: str) -> None:
    action, words = WAYS[way]
    with Stage(tmp_path / "archive") as stage:
        silent_at(stage, point)
        folder = "INBOX" if point in OF_FOLDER else None
        stage.script.on(point, action, folder=folder)
        report = stage.go(timeout=TIMEOUT)
        named(report, words, "INBOX" if folder else "")
        if folder:
            assert stage.archived("Projects") == {1, 2, 3}, told(report)
        stage.finish()


@pytest.mark.parametrize("way", ["is silent half way", "hangs up", "says BYE"])
@pytest.mark.parametrize("point", ["LIST", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH"])
def test_a_server_that_fails_once_is_asked_again(tmp_path: Path, point: str, way: str) -> None:
    action, _words = WAYS[way]
    with Stage(tmp_path / "archive") as stage:
        silent_at(stage, point)
        stage.script.on(point, action, times=1)
        report = stage.go(timeout=TIMEOUT)
        assert not report.problems(), told(report)
        assert len(stage.archived()) == COUNT
        stage.finish()


@pytest.mark.parametrize("way", WAYS)
def test_what_happens_at_logout_is_nobodys_concern(tmp_path: Path, way: str) -> None:
    action, _words = WAYS[way]
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("LOGOUT", action)
        report = stage.go(timeout=TIMEOUT)
        assert not report.problems(), told(report)
        stage.finish()


@pytest.mark.parametrize("verb", ["LIST", "EXAMINE", "UID SEARCH", "UID FETCH"])
def test_a_server_that_talks_for_ever_without_an_answer(tmp_path: Path, verb: str) -> None:
    """No single read times out, yet the command ends, after ten time-outs."""

    def talk(_command: script.Command) -> t.Iterator[script.Chunk]:
        while True:
            yield b"* OK still here\r\n"
            yield script.Signal(0.03)

    with Stage(tmp_path / "archive") as stage:
        folder = "INBOX" if verb in OF_FOLDER else None
        stage.script.on(verb, talk, folder=folder, where=lambda command: command.verb != "UID FETCH" or 3 in command.uids)
        report = stage.go(timeout=0.1)
        named(report, "but not what it was asked for", "INBOX" if folder else "")
        stage.finish()


def test_a_server_that_is_restarted_in_the_middle_of_a_fetch(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:

        def restart(_command: script.Command) -> None:
            stage.server.break_connections()

        stage.script.on("UID FETCH", script.during(restart, after=4), where=lambda command: command.bodies, times=1)
        report = stage.go()
        assert not report.problems(), told(report)
        stage.finish()


def test_a_server_that_accepts_no_second_connection(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("GREETING", script.bye("too many connections from your address"), nth=2)
        report = stage.go()
        named(report, "too many connections from your address", "")
        stage.finish()


def test_a_login_that_is_refused_is_not_tried_again_in_the_run(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("LOGIN", script.no("account is locked for 5 minutes"))
        report = stage.go()
        named(report, "account is locked for 5 minutes", "")
        assert stage.server.verbs().count("LOGIN") == 1
        assert ALICE in told(report)
        stage.finish()


@pytest.mark.parametrize(("silent", "asked", "there"), [(range(1, 99), 3, set()), ((2, 4, 6, 8), 4, {1, 3, 5, 7, 9, 10})])
def test_a_folder_is_given_up_after_three_silent_messages_in_a_row(
    tmp_path: Path, silent: t.Collection[int], asked: int, there: set[int]
) -> None:
    """Each costs a time-out: with fifty in a folder, and a minute for each, nobody would see the end of it."""
    with Stage(tmp_path / "archive") as stage:
        alone: list[int] = []

        def hits(command: script.Command) -> bool:
            hit = command.bodies and bool({*silent} & {*command.uids})
            alone.extend(command.uids if hit and len(command.uids) == 1 else ())
            return hit

        stage.script.on("UID FETCH", script.hang, folder="INBOX", where=hits)
        report = stage.go(timeout=0.2)
        assert len(alone) == asked
        assert stage.archived() == there
        assert stage.archived("Projects") == {1, 2, 3}
        named(report, "messages could not be archived" if there else "falls silent on one message after the other", "INBOX")
        stage.finish()
