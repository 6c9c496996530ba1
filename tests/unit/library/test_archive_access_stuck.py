# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_access beside a Dovecot whose programs hang or find nobody: nobody may do more, and the next call does the rest."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_apply, access_instance, access_trial
from tests.unit.access_scene import Scene, person, scene

ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
def archive() -> t.Iterator[Scene]:
    with scene() as made:
        yield made


@contextlib.contextmanager
def stale_number(archive: Scene) -> t.Iterator[None]:
    """After a crash of the archive's Dovecot, the master of another one has its number."""
    program = shutil.copy("/bin/sleep", archive.base / "dovecot")
    with subprocess.Popen([program, "60"]) as other:
        (archive.state / "run").mkdir(exist_ok=True)
        number = archive.state / "run" / "master.pid"
        number.write_text(f"{other.pid}\n")
        try:
            yield
        finally:
            other.kill()
            number.unlink()


def test_who_lost_a_right_is_out_though_nobody_answers_whose_sessions_there_are(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_apply, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(access_trial.Trial, "run", lambda _trial: None)
    archive.users(person(ALICE), person(BOB))
    archive.in_force()
    archive.users(person(ALICE, "archive"), person(BOB))
    with stale_number(archive):
        failed = archive.declare()
    assert failed["failed"] and failed["changed"]
    assert failed["msg"].startswith("doveadm -f tab who -1: ")
    assert str(archive.state / "run" / "anvil") in failed["msg"]
    assert failed["msg"].endswith("Restart the archive's Dovecot, run again.")
    assert (ALICE in archive.live("users"), BOB in archive.live("users")) == (False, True)
    again = archive.declare()
    assert not again["failed"] and again["changed"]
    assert not archive.declare()["changed"]


def test_a_program_of_dovecot_that_does_not_end_is_given_up_before_anything_is_in_force(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_instance, "SECONDS", 0.6)
    pipe = archive.base / "pipe"
    os.mkfifo(pipe)
    text = (archive.state / "candidate" / "dovecot.conf").read_text()
    archive.candidate("dovecot.conf", f"{text}!include {pipe}\n")
    failed = archive.declare()
    assert failed["failed"] and not failed["changed"]
    assert failed["msg"].startswith(f"{access_instance.DOVECONF} -x -c {archive.state}/next/dovecot.conf: ")
    assert (
        "it did not end within 1 seconds. Look at the files that its configuration includes, and into its log." in failed["msg"]
    )
    assert list((archive.state / "live").iterdir()) == []
