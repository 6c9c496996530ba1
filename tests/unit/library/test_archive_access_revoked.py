# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_access takes rights away: whatever people are called, however busy their sessions are, and also when a trial fails."""

from __future__ import annotations

import imaplib
import os
import signal
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_apply, access_instance
from ansible_collections.mailops.kerio.plugins.module_utils.errors import AccessError
from tests.unit.access_scene import Scene, count, person, scene

ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
def archive() -> t.Iterator[Scene]:
    with scene() as made:
        yield made


def goes_on(imap: imaplib.IMAP4) -> bool:
    try:
        return bool(imap.noop()[0] == "OK")
    except (imaplib.IMAP4.abort, OSError):
        return False


def logs_in(archive: Scene, user: str) -> bool:
    try:
        return goes_on(archive.log_in(user))
    except imaplib.IMAP4.error:
        return False


def test_a_right_that_is_lost_does_not_wait_for_a_trial_that_fails(archive: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.users(person(ALICE), person(BOB, reads=(ALICE,)), person("carl"))
    archive.in_force()
    whole = (archive.state / "candidate" / "dovecot.conf").read_text()
    with archive.serving():
        bob, carl = archive.log_in(BOB), archive.log_in("carl")
        archive.users(person(BOB), person("erik"), person("carl", reads=(ALICE,)))
        archive.candidate("dovecot.conf", f"{whole}nonsense = 5\n")
        failed = archive.declare()
        assert failed["failed"] and failed["changed"] and "Unknown setting: nonsense" in failed["msg"]
        told = f"Until then {BOB} cannot log in, because of rights that were lost, and their sessions have ended."
        assert failed["msg"].endswith(told)
        assert (goes_on(bob), goes_on(carl)) == (False, True)
        # Where the script looks once more when Kerio has said yes.
        logins = (archive.state / "live" / "logins.lua").read_text()
        assert [name in logins for name in (BOB, "carl", ALICE)] == [False, True, True]
        assert [logs_in(archive, user) for user in (BOB, "erik", "carl", ALICE)] == [False, False, True, True]
        assert count(archive.log_in("carl"), f"Archives/{ALICE}") is None

        monkeypatch.setattr(access_apply, "SETTLE_SECONDS", 0.0)
        again = archive.declare()
        assert again["failed"] and not again["changed"] and again["msg"].endswith(told)
        archive.candidate("dovecot.conf", whole)
        archive.in_force()
        assert [logs_in(archive, user) for user in (BOB, "erik")] == [True, True]
        assert count(archive.log_in("carl"), f"Archives/{ALICE}") == 0


def test_names_that_are_addresses_or_masks_end_the_sessions_of_their_owners_alone(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_apply, "SETTLE_SECONDS", 0.0)
    archive.users(*map(person, ("10.0.0.1", "10.0.0.2", "::1", "a*c", "abc")))
    archive.in_force()
    with archive.serving():
        sessions = {name: archive.log_in(name) for name in ("10.0.0.1", "10.0.0.2", "a*c", "abc")}
        archive.users(person("10.0.0.1", "archive"), person("a*c", "archive"))
        assert archive.declare()["kicked"] == ["10.0.0.1", "a*c"]
        assert {name: goes_on(imap) for name, imap in sessions.items()} == {
            "10.0.0.1": False,
            "10.0.0.2": True,
            "a*c": False,
            "abc": True,
        }


def test_a_session_that_does_not_hear_is_killed_and_one_that_stays_is_named(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.users(person(ALICE), person(BOB))
    archive.in_force()
    with archive.serving():
        bob, alice = archive.log_in(BOB), archive.log_in(ALICE)
        instance = access_instance.Instance(archive.state / "live" / "dovecot.conf")
        ((_, busy),) = [session for session in instance._sessions() if session[0] == BOB]
        os.kill(busy, signal.SIGSTOP)
        monkeypatch.setattr(access_instance, "PATIENCE_SECONDS", 0.2)
        assert instance.end_sessions({BOB}) == {BOB}
        assert (goes_on(bob), goes_on(alice)) == (False, True)
        monkeypatch.setattr(access_instance, "_stop", lambda _pid, _number: None)
        with pytest.raises(AccessError, match=f"the sessions of {ALICE} do not end"):
            instance.end_sessions(None)
