# SPDX-License-Identifier: GPL-3.0-or-later
"""No way round the guard of deletions: neither by the names that others have now, nor server by server, nor in small steps."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.users_scene import ROOT, Data, Scene, actions, directory, person, scene, wish

__all__ = ["scene"]


def people(count: int, *, first: int = 0, domain: str = "example.com", new: str = "") -> list[Data]:
    """Accounts; ``new`` begins the ids that others with the same names have."""
    logins = [f"p{number:03}" for number in range(first, first + count)]
    return [person(login, domain, id=f"{new}{domain} {login}") for login in logins]


@pytest.mark.parametrize("delete", [False, True])
def test_names_that_others_have_now_count_as_deletions(scene: Scene, delete: bool) -> None:
    scene.sync(wish(*people(30)))
    replaced = people(4, new="new ") + people(26, first=4)
    separate = {"reused_names": {"@example.com": "separate"}, "delete": delete}
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(*replaced, **separate))
    assert {key: raised.value.details[key] for key in ("count", "total", "allowed")} == {"count": 4, "total": 30, "allowed": 3}
    # The refusal says what allows it once.
    assert "-e archive_users_delete_limit=4 -e archive_users_delete_limit_share=14" in str(raised.value)
    found = scene.sync(wish(*replaced, **separate, delete_limit=4, delete_limit_share=14))
    assert found.shown.counts() == {"create": 4, "change": 0, "delete": 4}
    assert actions(found) == {
        **{f"p{number:03}@example.com": "create" for number in range(4)},
        **{f"p{number:03}@example.com (left, {number + 1})": "delete" for number in range(4)},
    }
    assert found.staying == {}


def test_who_leaves_because_of_the_name_is_not_told_as_one_who_would_leave(scene: Scene) -> None:
    scene.sync(wish(*people(3)))
    found = scene.sync(wish(*people(1, new="new "), *people(1, first=1), reused_names={"p000@example.com": "separate"}))
    assert found.shown.counts() == {"create": 1, "change": 0, "delete": 1}
    assert set(found.staying) == {"p002@example.com"}


HERE = people(100)
OTHER = people(20, domain="example.org")
DAY = 24 * 3600


def two_servers(one: t.Sequence[Data], other: t.Sequence[Data], **more: t.Any) -> users.Wish:
    two = directory(*other, server="mail2", domains=["example.org"])
    return wish(directories=[directory(*one), two], delete=True, **more)


def allowed_once(refusal: pytest.ExceptionInfo[UserPlanError]) -> dict[str, int]:
    """What the refusal says to give for one run."""
    given = re.findall(r"-e archive_users_(\w+)=(\d+)", str(refusal.value))
    return {option: int(number) for option, number in given}


def test_a_small_server_may_not_lose_the_share_of_all(scene: Scene) -> None:
    scene.sync(two_servers(HERE, OTHER))
    with pytest.raises(UserPlanError) as raised:
        scene.plan(two_servers(HERE, OTHER[3:]))
    assert "3 of 20 users of mail2 would be deleted" in str(raised.value)
    assert {key: raised.value.details[key] for key in ("count", "total", "allowed")} == {"count": 3, "total": 20, "allowed": 2}
    assert raised.value.details["users"] == [f"p{number:03}@example.org" for number in range(3)]
    assert scene.plan(two_servers(HERE, OTHER[2:])).shown.counts()["delete"] == 2
    # One of each server, and what it says is enough for both.
    with pytest.raises(UserPlanError) as raised:
        scene.plan(two_servers(HERE[9:], OTHER[4:]))
    assert scene.plan(two_servers(HERE[9:], OTHER[4:], **allowed_once(raised))).shown.counts()["delete"] == 13


def test_a_server_that_is_gone_on_purpose_counts_in_the_whole_alone(scene: Scene) -> None:
    scene.sync(two_servers(HERE, OTHER[:5]))
    gone = users.Gone(servers=frozenset({"mail2"}))
    assert scene.plan(wish(*HERE, delete=True, gone=gone)).shown.counts()["delete"] == 5


def test_small_steps_within_a_day_are_bounded_together(scene: Scene) -> None:
    scene.sync(wish(*HERE))
    scene.sync(wish(*HERE[8:], delete=True))
    scene.sync(wish(*HERE[10:], delete=True))
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(*HERE[11:], delete=True))
    assert (
        "1 of 90 users of the directories would be deleted (p010@example.com), 10 left in the last 24 hours, and 10 may be"
        in str(raised.value)
    )
    assert allowed_once(raised) == {"delete_limit": 11, "delete_limit_share": 11}
    assert scene.plan(wish(*HERE[11:], delete=True, **allowed_once(raised))).shown.counts()["delete"] == 1


def test_after_a_day_the_next_ones_may_leave(scene: Scene) -> None:
    scene.sync(wish(*people(3)))
    scene.sync(wish(*people(2, first=1), delete=True))
    current = scene.catalog.users(deleted=True)
    last = wish(*people(1, first=2), delete=True)
    left = max(user.deleted or 0 for user in current)
    with pytest.raises(UserPlanError, match=r"1 of 2 users of the directories .*, 1 left in the last 24 hours, and 1 may be"):
        users.plan_users(ROOT, last, current, left + DAY - 1)
    assert actions(users.plan_users(ROOT, last, current, left + DAY)) == {"p001@example.com": "delete"}


def test_users_of_the_inventory_who_left_do_not_count(scene: Scene) -> None:
    scene.sync(wish(*people(3), users=[{"name": "auditor"}]))
    scene.sync(wish(*people(3), users=[{"name": "auditor", "state": "absent"}]))
    assert scene.sync(wish(*people(2), delete=True)).shown.counts()["delete"] == 1
