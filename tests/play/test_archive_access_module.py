# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_access in playbooks, over the users of an inventory: check, run, again, a change by hand, a broken candidate."""

from __future__ import annotations

import typing as t

import pytest

from tests.play.helpers import SECRET, Step, assert_one_sentence, play
from tests.unit.access_scene import GROUP, READER, Scene, count, scene

PASSWORD = f"{SECRET}-of-dora"


@pytest.fixture
def archive() -> t.Iterator[Scene]:
    with scene() as made:
        yield made


def access(archive: Scene, *, check: bool = False, **more: t.Any) -> Step:
    given = {"root": str(archive.root), "state_dir": str(archive.state), "group": GROUP, "mail_user": READER}
    return Step("archive_access", {**given, "passwords": {"dora": PASSWORD}, **more}, check)


def copied(archive: Scene, name: str, text: str) -> Step:
    # The candidate holds the password that the double of Kerio knows.
    return Step("ansible.builtin.copy", {"dest": str(archive.state / name), "content": text}, also={"diff": False})


@pytest.mark.shows("run", "again", "check", "by_hand", "broken")
def test_users_of_the_inventory_can_log_in_and_nothing_broken_goes_live(archive: Scene) -> None:
    users = [
        {"name": "dora", "privileges": ["login", "read"], "authentication": "integrated"},
        {"name": "erik", "privileges": ["login", "read"], "authentication": "integrated"},
    ]
    answers = play(
        Step("archive_users", {"root": str(archive.root), "users": users}),
        access(archive, check=True),
        access(archive),
        access(archive),
        copied(archive, "live/acl", "by hand\n"),
        access(archive, check=True),
        access(archive),
        copied(archive, "candidate/kerio.lua", "function (\n"),
        access(archive),
    )
    _users, would, made, again, _by_hand, noticed, mended, _copied, refused = answers
    assert would.changed and made.changed, made
    assert would.diff == made.diff
    assert set(made.diff["after"]["people"]) == {"dora"}
    assert [warning for warning in made.warnings if "erik cannot log in" in warning]
    assert (again.changed, again.diff["before"], again.diff["after"]) == (False, {}, {})
    for answer in (noticed, mended):
        assert (answer.changed, answer.diff["after"]) == (True, {"files": {"acl": {"state": "new"}}})
    assert_one_sentence(refused, "candidate/kerio.lua:1:", "nothing was put in use")
    with archive.serving():
        assert count(archive.log_in("dora", PASSWORD), "INBOX") == 0
