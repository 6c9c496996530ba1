# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore against servers that refuse, break off, hang or lie: told by name, the rest goes on, and no message comes twice."""

from __future__ import annotations

import os
import signal
import sys
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import restore_folder, restore_source
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore import LANDING, LANDING_SILENT, PAUSES, Restore
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_find import Finder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Content, Source
from ansible_collections.mailops.kerio.plugins.module_utils.errors import LoginRefusedError, NetworkError, StoreError
from tests.faults.imap_script import Action, Chunk, Command, bad, before, bye, close, cut, edit, hang, no, raw
from tests.faults.restore_scene import ALICE, ALL, INBOX, PROJECTS, Scene, body_of, causes, counts, make_archive, object_of, once


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("restore") / "archive")


@pytest.fixture
def scene(root: Path) -> t.Iterator[Scene]:
    made = Scene(root)
    with made.server:
        yield made


def is_third(command: Command) -> bool:
    return b"Text 3 " in body_of(command)


def finish(scene: Scene, without: int = 0) -> None:
    """Honest again: what is missing comes, and nothing comes twice."""
    scene.script.clear()
    scene.forget()
    report = scene.restore()
    assert (report.total("appended"), report.total("there")) == (without, ALL - without)
    assert scene.held() == once()


# The server takes the message and breaks off before its answer, or does not take it.
BREAKS = {
    "answer lost": cut(0),
    "answer cut": cut(9),
    "not taken": close,
    "hangs": hang,
    "hangs after it": cut(0, then=b"* OK wait\r\n"),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("without", [(), ("UIDPLUS", "LITERAL+")])
def test_a_message_whose_answer_is_lost_is_looked_for_before_it_is_sent_again(
    scene: Scene, name: str, without: tuple[str, ...]
) -> None:
    scene.server.without(*without)
    scene.script.on("APPEND", BREAKS[name], where=is_third, times=1)
    report = scene.restore(timeout=0.3 if "hangs" in name else 10.0)
    assert (counts(report), report.total("failed")) == ({"appended": ALL, "flags_left_out": 1}, 0)
    assert scene.held() == once()
    finish(scene)


@pytest.mark.parametrize(("action", "seconds"), [(close, LANDING), (hang, LANDING_SILENT)])
def test_a_message_that_lands_after_its_connection_is_gone_is_waited_for(scene: Scene, action: Action, seconds: float) -> None:
    scene.script.on("APPEND", action, where=is_third, times=1)
    scene.meanwhile = lambda: scene.server.state.folder(ALICE).add(INBOX[2])
    report = scene.restore(choice=Choice(include=("INBOX",)), timeout=0.3 if action is hang else 10.0)
    assert (counts(report), report.warnings) == ({"appended": len(INBOX), "dates_changed": 1}, [])
    assert scene.slept == [0.0, seconds, 0.0]
    assert Counter(scene.bodies(b"INBOX")) == Counter(INBOX)


def test_a_message_that_lands_after_the_look_for_it_is_told(scene: Scene) -> None:
    inbox = scene.server.state.folder(ALICE)
    inbox.add(INBOX[2], INBOX[3], flags=("\\Deleted",))  # those were there before
    scene.script.on("APPEND", close, where=is_third, times=1)
    scene.script.on("APPEND", before(lambda _command: inbox.add(INBOX[2])), where=is_third, nth=2, times=1)
    report = scene.restore(choice=Choice(include=("INBOX",)))
    assert report.total("appended") == len(INBOX)
    assert [warning.partition(";")[0] for warning in report.warnings] == ["INBOX: surplus copies on the server: 1"]
    assert Counter(scene.bodies(b"INBOX")) == Counter([*INBOX, *INBOX[2:4], INBOX[2]])
    assert scene.restore(choice=Choice(include=("INBOX",))).warnings == []


def test_the_connection_is_lost_while_messages_are_read_back(scene: Scene) -> None:
    scene.script.on("UID FETCH", cut(300), where=lambda command: command.bodies, times=1)
    assert scene.restore().total("appended") == ALL
    assert scene.held() == once()


def test_one_message_that_breaks_every_connection_costs_only_itself(scene: Scene) -> None:
    scene.script.on("APPEND", close, where=is_third)
    report = scene.restore()
    assert causes(report) == [("INBOX", "connection_lost", 1)]
    assert report.total("appended") == ALL - 1
    assert sum(is_third_text(body) for body in scene.bodies(b"INBOX")) == 0
    finish(scene, without=1)


def is_third_text(body: bytes) -> bool:
    return b"Text 3 " in body


def test_a_server_that_breaks_off_at_every_message_is_given_up(scene: Scene) -> None:
    scene.script.on("APPEND", close)
    report = scene.restore()
    lost = [failure for failure in report.failures if failure.kind == "connection_lost"]
    assert len(lost) == 3
    assert report.kinds["not_tried"] == ALL - 3
    assert scene.server.verbs().count("LOGIN") < 12
    finish(scene, without=ALL)


def test_a_server_that_is_gone_in_the_middle(scene: Scene) -> None:
    scene.server.without("LITERAL+")  # so that the answers to the first two are read before the third is sent
    scene.script.on("APPEND", close, where=is_third)
    scene.script.on("LOGIN", bye("out of service"), nth=2)
    report = scene.restore()
    taken = len(scene.bodies(b"INBOX"))
    assert (taken, report.kinds) == (2, {"connection_lost": taken, "not_tried": ALL - taken})
    assert "out of service" in report.sentence()
    finish(scene, without=ALL - taken)


def test_a_server_that_does_not_answer_again_is_asked_a_few_times(scene: Scene) -> None:
    scene.server.without("LITERAL+")
    scene.script.on("APPEND", close, where=is_third)
    scene.script.on("CONNECT", close, nth=2)
    report = scene.restore()
    assert tuple(scene.slept) == (0.0, LANDING, *PAUSES)
    assert report.kinds == {"connection_lost": 2, "not_tried": ALL - 2}


def test_what_keeps_the_first_connection_from_being_made_is_the_error(scene: Scene) -> None:
    scene.script.on("LOGIN", no("wrong"))
    with pytest.raises(LoginRefusedError, match="wrong"):
        scene.restore()
    scene.server.stop()
    with pytest.raises(NetworkError, match="connection refused"):
        scene.restore()
    assert scene.slept == [0.0, 0.0]


REFUSALS: dict[str, tuple[t.Callable[..., t.Any], str]] = {
    "too large": (no("[TOOBIG] larger than 10 MB"), "too_large"),
    "8bit": (bad("NUL in literal"), "refused"),
    "whatever": (no("not this one"), "refused"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_message_that_is_refused_is_named_and_the_rest_goes_on(scene: Scene, name: str) -> None:
    action, kind = REFUSALS[name]
    scene.script.on("APPEND", action, where=is_third)
    report = scene.restore()
    assert causes(report) == [("INBOX", kind, 1)]
    assert counts(report) == {"appended": ALL - 1, "failed": 1, "flags_left_out": 1}
    assert name == "whatever" or report.failures[0].cause.split(": ", 1)[1] in (
        "NO [TOOBIG] larger than 10 MB",
        "BAD NUL in literal",
    )
    finish(scene, without=1)


def test_a_full_mailbox_ends_the_restore(scene: Scene) -> None:
    scene.script.on("APPEND", no("[OVERQUOTA] the mailbox is full"), where=is_third)
    report = scene.restore()
    appended = report.total("appended")
    assert ("INBOX", "overquota", 1) in causes(report)
    assert report.kinds == {"overquota": 1, "not_tried": ALL - appended - 1}
    assert "[OVERQUOTA] the mailbox is full" in report.sentence()
    assert scene.bodies(b"Projects/X") == []
    finish(scene, without=ALL - appended)


def test_what_is_larger_than_the_server_takes_is_not_sent(scene: Scene) -> None:
    scene.server.capabilities += ("APPENDLIMIT=60",)
    report = scene.restore()
    assert set(report.kinds) == {"too_large"}
    assert report.total("appended") == 1  # the one without a long header
    assert len(scene.appends()) == 1


def test_a_folder_that_vanishes_is_made_again_once(scene: Scene) -> None:
    gone = no("[TRYCREATE] no such folder")

    def vanish(command: Command) -> t.Iterable[Chunk]:
        del command.session.folders()[b"Projects/X"]
        return gone(command)

    scene.script.on("APPEND", vanish, folder="Projects/X", nth=2, times=1)
    scene.script.on("APPEND", gone, where=lambda one: one.folder not in one.session.folders())
    report = scene.restore()
    assert (report.total("appended"), report.total("failed")) == (ALL, 0)
    assert scene.held() == once()
    scene.script.clear()
    scene.script.on("APPEND", no("[TRYCREATE] no such folder"))
    again = scene.restore(choice=Choice(include=("Projects",), target_folder="never"))
    assert causes(again) == [("never/Projects/X", "folder", len(PROJECTS))]


def test_a_folder_that_cannot_be_made_or_opened_stops_no_other(scene: Scene) -> None:
    scene.script.on("CREATE", no("not allowed"), folder="Letters")
    scene.script.on("EXAMINE", no("locked"), folder="Projects/X")
    report = scene.restore()
    assert causes(report) == [("Letters", "folder", 1), ("Projects/X", "folder", len(PROJECTS))]
    assert ["not allowed" in report.failures[0].cause, "locked" in report.failures[1].cause] == [True, True]
    assert report.total("appended") == len(INBOX)
    scene.script.clear()
    scene.script.on("SUBSCRIBE", no("no"))
    assert scene.restore().warnings == ["Letters: the folder was made, but the server did not subscribe it"]


def test_a_server_that_refuses_everything_is_not_sent_everything(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_folder, "GIVE_UP", 2)
    monkeypatch.setattr(restore_folder, "BATCH_MESSAGES", 2)
    scene.script.on("APPEND", no("no mail today"), folder="INBOX")
    report = scene.restore()
    assert ("INBOX", "folder", len(INBOX) - 2) in causes(report)
    assert len(scene.appends()) == 2 + ALL - len(INBOX)


def test_literals_go_unasked_only_behind_an_append_that_was_taken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.restore(choice=Choice(include=("INBOX",)))
    ends = [text.rpartition("{")[2] for text in scene.appends()]
    # The answer to the first one comes with the request for the literal of the second one.
    assert [end.endswith("+}") for end in ends] == [False, False] + [True] * (len(INBOX) - 2)
    # A server that refuses a message may take the next one for commands.
    commands = len(scene.server.log)
    monkeypatch.setattr(restore_folder, "BATCH_MESSAGES", 3)
    scene.script.on("APPEND", no("not this one"), where=is_third)
    scene.restore(choice=Choice(include=("INBOX",), target_folder="again"))
    assert [text.endswith("+}") for text in scene.appends(commands)] == [False, False, True, *[False] * 5]


def test_a_message_that_the_server_takes_and_does_not_list_is_missing(scene: Scene) -> None:
    scene.script.on("APPEND", raw(b"{tag} OK [APPENDUID 1 77] done\r\n"), where=is_third)
    assert causes(scene.restore()) == [("INBOX", "missing", 1)]


def test_garbage_for_an_answer_is_an_error_of_this_connection(scene: Scene) -> None:
    scene.script.on("APPEND", edit(lambda answer: b"zz OK what\r\n" + answer), where=is_third, times=1)
    assert scene.restore().total("appended") == ALL
    assert scene.held() == once()


class Stopping(Silent):
    """Asks to stop once something was put in."""

    def __init__(self) -> None:
        self.lines = 0

    @property
    def stop_requested(self) -> bool:  # type: ignore[override]  # Silent has a constant
        return self.lines > 0

    def progress(self, line: str, **_data: t.Any) -> None:
        self.lines += bool(line)


def test_a_restore_that_is_asked_to_stop_ends_and_says_so(scene: Scene) -> None:
    report: Report = scene.restore(reporter=Stopping())
    assert report.stopped
    assert report.sentence().endswith("stopped before its end")
    assert scene.entries()[-1]["outcome"] == "stopped"
    assert report.kinds == {"not_tried": ALL - len(INBOX)}
    finish(scene, without=ALL - len(INBOX))


def test_a_journal_that_cannot_be_read_costs_time_and_a_warning(scene: Scene) -> None:
    scene.restore()
    (path,) = (scene.root / "jobs" / "archive_restore.known").iterdir()
    path.unlink()
    path.mkdir()
    try:
        report = scene.restore()
    finally:
        scene.forget()
    assert (report.total("there"), scene.held()) == (ALL, once())
    assert [str(path) in warning for warning in report.warnings] == [True]


def test_the_ledger_calls_a_restore_failed_that_an_error_ended(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> t.NoReturn:
        raise StoreError("the archive", "Input/output error", "Check it")

    scene.script.on("EXAMINE", before(lambda _command: monkeypatch.setattr(Finder, "find", fail)), folder="Projects/X")
    with pytest.raises(StoreError, match="Input/output error"):
        scene.restore()
    assert [scene.entries()[-1][key] for key in ("outcome", "asked", "messages")] == ["failed", ALL, ALL - len(PROJECTS)]


def test_a_killed_restore_goes_on_without_duplicates_and_the_ledger_knows_of_it(scene: Scene) -> None:
    noted = len(scene.entries())
    child = os.fork()
    if not child:
        try:
            Restore(scene.wish(), Silent()).run()
        finally:
            os._exit(1)
    scene.script.on("APPEND", before(lambda _command: os.kill(child, signal.SIGKILL)), where=is_third)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [entry["outcome"] for entry in scene.entries()[noted:]] == ["begun"]
    scene.server.break_connections()
    got = len(scene.bodies(b"INBOX"))
    assert 2 <= got < ALL
    report = scene.restore()
    assert (report.total("there"), report.total("failed")) == (got, 0)
    assert scene.held() == once()
    assert Counter(entry["outcome"] for entry in scene.entries()[noted:]) == {"begun": 2, "done": 1}


def test_a_message_that_rots_while_it_is_sent_costs_the_connection_and_nothing_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one is read twice: to be compared, and to be sent."""
    path = object_of(scene.root, INBOX[2])
    whole = path.read_bytes()
    content = Source.content

    def compared(source: Source, digest: bytes) -> Content:
        found = content(source, digest)
        if digest.hex() == path.name:
            path.write_bytes(whole[:-1])
        return found

    lost = restore_folder.FolderWork.lost
    told: list[BaseException | None] = []

    def loses(work: restore_folder.FolderWork) -> bool:
        told.append(sys.exception())
        return lost(work)

    monkeypatch.setattr(restore_source, "IN_MEMORY", 0)
    monkeypatch.setattr(restore_folder.FolderWork, "lost", loses)
    scene.server.without("LITERAL+")
    path.chmod(0o640)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Source, "content", compared)
            report = scene.restore(choice=Choice(include=("INBOX",)))
    finally:
        path.write_bytes(whole)
    assert causes(report) == [("INBOX", "damaged", 1)]
    assert report.failures[0].cause.startswith("the object is damaged (")
    assert Counter(scene.bodies(b"INBOX")) == Counter(INBOX[:2] + INBOX[3:])
    assert len([entry for entry in scene.server.log if entry.verb == "LOGIN"]) == 2
    cause = f"the connection was given up, because {path} changed while it was sent"
    remedy = "Restore this file from a backup; a run that meets the same message on a server replaces it as well"
    assert list(map(str, told)) == [f"127.0.0.1:{scene.server.port}: {cause}. {remedy}."]
    finish(scene, without=ALL - len(INBOX) + 1)
