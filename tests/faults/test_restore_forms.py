# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server makes of restored mail is archived by the next run; no restore behind it may put that message in again."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_folder import ALTERED, ALTERED_BEFORE
from tests.faults.imap_script import close
from tests.faults.imap_server import ImapServer
from tests.faults.imap_state import DATE, Folder
from tests.faults.raw_run import RawRun
from tests.faults.restore_scene import ALICE, BARE, Scene, body_of, causes, changed, counts
from tests.unit.module_utils.archive.engine_fake import mail

MORE = b"X-More: yes\r\n" + mail(1)  # a message of its own that differs from another one in its header alone
LATER = [b"X-More: yes\r\n" + mail(2), mail(3)]  # of another date
MAIL = [BARE, mail(1), MORE, mail(2), *LATER]


def crlf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def stamping() -> t.Callable[[bytes], bytes]:
    """A field on top that no two messages have alike."""
    numbers = itertools.count()
    return lambda body: b"X-Server-Id: %d\r\n" % next(numbers) + crlf(body)


@contextlib.contextmanager
def lost_mailbox(root: Path, bodies: list[bytes], later: list[bytes]) -> t.Iterator[tuple[RawRun, Scene]]:
    """The archive of a mailbox that was lost behind it, and its server."""
    with ImapServer() as server:
        server.state.folder(ALICE).add(*bodies)
        server.state.folder(ALICE).add(*later, date=DATE + datetime.timedelta(days=1))
        run = RawRun(root, {"mail1": server})
        run.go()
        server.state.restore({ALICE: {b"INBOX": Folder(uidvalidity=2)}})
        scene = Scene(run.archive.root)
        scene.server.stop()
        scene.server = server
        yield run, scene


@pytest.fixture
def archived(tmp_path: Path) -> t.Iterator[tuple[RawRun, Scene]]:
    with lost_mailbox(tmp_path / "archive", MAIL[: -len(LATER)], LATER) as made:
        yield made


@pytest.mark.parametrize(("change", "more"), [(crlf, 1), (stamping(), len(MAIL))])
@pytest.mark.parametrize("notes", [True, False])
def test_a_message_that_was_archived_in_another_form_is_not_put_in_again(
    archived: tuple[RawRun, Scene], change: t.Callable[[bytes], bytes], more: int, notes: bool
) -> None:
    run, scene = archived
    scene.script.on("APPEND", changed(change))
    assert scene.restore().total("appended") == len(MAIL)
    held = scene.bodies(b"INBOX")
    assert run.go().placements == more
    for _again in range(2):
        if not notes:
            scene.forget()
        assert counts(scene.restore(write=False)) == counts(scene.restore()) == {"there": len(MAIL) + more}
        assert scene.bodies(b"INBOX") == held
        assert run.go().placements == 0


def test_messages_that_differ_in_a_header_field_are_two_for_a_restore_that_put_one_of_them_in(
    archived: tuple[RawRun, Scene],
) -> None:
    _run, scene = archived
    scene.script.on("APPEND", close, where=lambda command: body_of(command) == MORE, times=1)
    assert counts(scene.restore()) == {"appended": len(MAIL)}
    assert Counter(scene.bodies(b"INBOX")) == Counter(MAIL)


def test_a_message_with_more_fields_is_another_one_if_its_date_is_another(archived: tuple[RawRun, Scene]) -> None:
    _run, scene = archived
    scene.server.state.folder(ALICE).add(mail(1), mail(2), mail(3))
    assert counts(scene.restore()) == {"appended": 2, "there": 4}  # MORE may be what a server made of mail(1)
    assert Counter(scene.bodies(b"INBOX")) == Counter([BARE, mail(1), mail(2), *LATER])


def as_dovecot(body: bytes) -> bytes:
    return body.replace(b"\0", b"\x80").replace(b"\r\r\n", b"\r\n")


def test_what_a_server_cannot_take_as_it_is_comes_once_also_when_the_notes_are_lost(tmp_path: Path) -> None:
    altered = [mail(4).replace(b"Text", b"T\0xt"), mail(5).replace(b"\r\n", b"\r\r\n")]
    with lost_mailbox(tmp_path / "archive", [mail(1), *altered], [mail(4)]) as (run, scene):
        scene.script.on("APPEND", changed(as_dovecot))
        scene.script.on("UID FETCH", close, where=lambda command: command.bodies, times=1)
        report = scene.restore()
        assert (counts(report), causes(report)) == ({"appended": 2, "failed": 2}, [("INBOX", "altered", 1)] * 2)
        assert {failure.cause for failure in report.failures} == {ALTERED}
        held = scene.bodies(b"INBOX")
        for there in (2, 4):  # behind a run, the archive has the altered ones as well
            for _notes in (True, False):
                report = scene.restore()
                assert (counts(report), causes(report)) == ({"there": there, "failed": 2}, [("INBOX", "altered", 1)] * 2)
                assert {failure.cause for failure in report.failures} == {ALTERED_BEFORE}
                assert scene.bodies(b"INBOX") == held
                scene.forget()
            scene.restore()  # for the notes
            run.go()
