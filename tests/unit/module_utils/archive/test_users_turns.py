# SPDX-License-Identifier: GPL-3.0-or-later
"""Two synchronisations of the same archive at the same time: one after the other, and the second one finds nothing to do."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_lock, store_setup, users, users_sync
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError
from tests.unit.module_utils.archive.users_scene import person, wish


@pytest.fixture
def root(tmp_path: Path) -> str:
    path = str(tmp_path / "archive")
    store_setup.ensure(store_setup.Wish(path), check_mode=False)
    return path


def test_the_second_one_plans_from_what_the_first_one_wrote(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_users = users.plan_users
    known: list[int] = []
    second: list[bool] = []
    other = threading.Thread(target=lambda: second.append(users_sync.synchronise(root, wished, check_mode=False).shown.changed))
    wished = wish(person("alice"), person("bob"))

    def planned(place: str, desired: users.Wish, current: t.Any, *rest: t.Any) -> users.UserPlan:
        known.append(len(current))
        if len(known) == 1:
            other.start()
            other.join(0.3)  # it has every chance to plan from the same users
        return plan_users(place, desired, current, *rest)

    monkeypatch.setattr(users, "plan_users", planned)
    assert users_sync.synchronise(root, wished, check_mode=False).shown.changed
    other.join()
    assert (known, second) == ([0, 2], [False])


def test_who_waits_too_long_is_told_so(root: str) -> None:
    with store_lock.turn(root), pytest.raises(BusyError) as caught, store_lock.turn(root, seconds=0):
        raise AssertionError("two at once")
    assert str(caught.value).startswith(f"{root}: somebody else has been at it for 0 seconds")


def test_a_check_waits_for_nobody(root: str) -> None:
    with store_lock.turn(root):
        assert users_sync.synchronise(root, wish(person("alice")), check_mode=True).shown.changed
