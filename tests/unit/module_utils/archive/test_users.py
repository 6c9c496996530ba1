# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_declared
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError, UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, actions, person, wish


def plan(desired: users.Wish, current: t.Sequence[User] = ()) -> users.UserPlan:
    return users.plan_users("/srv/archive", desired, current)


def applied(steps: t.Sequence[UserStep], current: t.Sequence[User] = ()) -> list[User]:
    """What the catalog would hold after the steps."""
    rows = {user.id: user for user in current}
    for step in steps:
        number = step.user_id or max(rows, default=0) + 1
        tree = rows[number].tree if number in rows else step.values.name
        values = {item.name: getattr(step.values, item.name) for item in dataclasses.fields(step.values)}
        rows[number] = User(id=number, tree=tree, deleted=1 if step.delete else None, **values)
    return list(rows.values())


def test_a_second_plan_is_empty() -> None:
    desired = wish(person("ann", full_name="Ann", groups=["b", "a"]), users=[{"name": "auditor", "privileges": ["read"]}])
    current = applied(plan(desired).steps)
    again = plan(desired, current)
    assert (again.steps, again.shown.changes) == ((), ())


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (users.Scope(), {"ann", "ben", "carl"}),
        (users.Scope(domains=frozenset({"example.org"})), {"carl"}),
        (users.Scope(groups=frozenset({"sales"})), {"ben"}),
        (users.Scope(groups=frozenset({"sales@example.com"})), {"ben"}),
        (users.Scope(groups=frozenset({"sales@example.org"})), set()),
        (users.Scope(frozenset({"example.org"}), frozenset({"sales"})), {"ben", "carl"}),
    ],
)
def test_the_scope_takes_members_of_domains_or_groups(scope: users.Scope, expected: set[str]) -> None:
    people = person("ann"), person("ben", groups=["Sales"]), person("carl", domain="Example.org")
    found = plan(wish(*people, scope=scope, user_name="login"))
    assert set(actions(found)) == expected
    assert set(found.left_out) == {"ann", "ben", "carl"} - expected


def test_a_scope_may_be_for_a_server_that_could_not_be_read() -> None:
    scope = users.Scope(domains=frozenset({"example.org"}))
    assert [text.partition(":")[0] for text in plan(wish(person("ann"), scope=scope)).warnings] == ["scope"]
    assert plan(wish(person("ann"), scope=scope, unread=frozenset({"mail2"}))).warnings == ()


def test_accounts_that_are_no_people_are_left_out() -> None:
    desired = wish(person("ann"), person("archive"), person("robot"), not_users=frozenset({"archive@example.com", "robot"}))
    found = plan(desired)
    assert set(actions(found)) == {"ann@example.com"}
    assert found.left_out == ("archive@example.com", "robot@example.com")


def test_nobody_is_left_out_for_a_further_address_and_entries_that_fit_nobody_are_told() -> None:
    ann = person("ann", addresses=["ann@example.com", "postmaster@example.com"])
    told = frozenset({"postmaster@example.com", "robto", "robot@example.com", "archive@elsewhere.example", "skaner@example.com"})
    found = plan(wish(ann, person("robot"), not_users=told))
    assert (set(actions(found)), found.left_out) == ({"ann@example.com"}, ("robot@example.com",))
    assert found.warnings == (
        "not_users: postmaster@example.com is a further address of ann@example.com, whom that does not leave out."
        " Name the login or the default address, or take it out",
        "not_users: no account of the directories is called robto. Correct the name, or take it out",
        "not_users: no account of the directories is called skaner@example.com. Correct the name, or take it out",
    )
    # The account may be on the server that could not be read.
    assert plan(wish(ann, not_users=told, unread=frozenset({"mail2"}))).warnings == ()


def test_an_account_is_left_out_by_its_login_with_the_domain_whatever_it_is_called() -> None:
    robot = person("robot", address="r2d2@example.com", addresses=[])
    found = plan(wish(person("ann"), robot, user_name="login", not_users=frozenset({"robot@example.com"})))
    assert (found.left_out, found.warnings) == (("robot",), ())


def test_default_privileges_are_for_new_users_alone() -> None:
    current = applied(plan(wish(person("ann"))).steps)
    assert current[0].privileges == ("login", "read")
    desired = wish(person("ann"), person("ben"), default_privileges=("none",))
    found = applied(plan(desired, current).steps, current)
    assert [user.privileges for user in found] == [("login", "read"), ("none",)]


def test_a_rename_onto_the_name_of_a_leaver_cannot_adopt() -> None:
    current = applied(plan(wish(person("ann"), person("ben"))).steps)
    renamed = person("ann", id="id-ben")
    with pytest.raises(UserPlanError, match="cannot take over another one"):
        plan(wish(renamed, reused_names={"ann@example.com": "adopt"}), current)
    after = applied(plan(wish(renamed, reused_names={"ann@example.com": "separate"}), current).steps, current)
    assert {user.kerio_id: user.name for user in after if user.deleted is None} == {"id-ben": "ann@example.com"}


def test_a_declared_target_becomes_the_user_of_the_directory() -> None:
    target = User(4, "ann@example.com", "ann@example.com", origin=users.PROFILE)
    found = applied(plan(wish(person("ann")), [target]).steps, [target])
    assert [(user.id, user.kerio_id, user.privileges) for user in found] == [(4, "id-ann", ("login", "read"))]


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([person("ann", id="")], "gives no id"),
        ([{**person("ann"), "login": None}], "gives no login"),
        ([person("ann"), person("ann", id="id-2")], "both have it"),
        ([person("ann", addresses=["x@example.com"]), person("ben", addresses=["X@EXAMPLE.COM"])], "the address x@example.com"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(people: list[Data], words: str) -> None:
    with pytest.raises(ArchiveToolError, match=words):
        plan(wish(*people))


def test_the_same_login_on_two_domains_needs_addresses_as_names() -> None:
    people = person("ann"), person("ann", id="id-2", domain="example.org", address="ann@example.org", addresses=[])
    assert set(actions(plan(wish(*people)))) == {"ann@example.com", "ann@example.org"}
    with pytest.raises(UserPlanError, match="the name ann"):
        plan(wish(*people, user_name="login"))


def test_masks_are_found_anywhere() -> None:
    for value in ({"a": ["x", {"b": "al********"}]}, {"********": 1}, ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"]):
        with pytest.raises(InputError, match="masked by Ansible"):
            users_declared.refuse_masked(value, "directories")
    users_declared.refuse_masked({"a": ["*", 5, None, True]}, "directories")
