# SPDX-License-Identifier: GPL-3.0-or-later
"""No way round the guard of deletions: neither by the names that others have now, nor server by server, nor in small steps."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, Scene, actions, person, scene, wish

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
