# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError, UserPlanError


def person(login: str, **more: t.Any) -> dict[str, t.Any]:
    address = f"{login}@example.com"
    return {"id": f"id-{login}", "login": login, "domain": "example.com", "address": address, "addresses": [address], **more}


def wish(*people: dict[str, t.Any], **more: t.Any) -> users.Wish:
    return users.Wish(directories=[{"server": "mail1", "users": list(people)}], **more)


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


def actions(found: users.UserPlan) -> dict[str, str]:
    return {change.key: change.action for change in found.shown.changes}


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


def test_accounts_that_are_no_people_are_left_out() -> None:
    desired = wish(person("ann"), person("archive"), person("robot"), not_users=frozenset({"archive@example.com", "robot"}))
    found = plan(desired)
    assert set(actions(found)) == {"ann@example.com"}
    assert found.left_out == ("archive@example.com", "robot@example.com")


def test_default_privileges_are_for_new_users_alone() -> None:
    current = applied(plan(wish(person("ann"))).steps)
    assert current[0].privileges == ("login", "read")
    desired = wish(person("ann"), person("ben"), default_privileges=("none",))
    found = applied(plan(desired, current).steps, current)
    assert [user.privileges for user in found] == [("login", "read"), ("none",)]


def test_deletion_is_opt_in_and_only_for_servers_that_were_read() -> None:
    both = users.Wish(
        directories=[{"server": "mail1", "users": [person("ann")]}, {"server": "mail2", "users": [person("ben")]}],
        users=[{"name": "auditor"}],
    )
    current = [*applied(plan(both).steps), User(9, "@catchall", "@catchall", origin=users.PROFILE)]
    assert plan(wish(person("carl")), current).shown.counts() == {"create": 1, "change": 0, "delete": 0}
    found = plan(wish(person("carl"), delete=True), current)
    assert actions(found) == {"carl@example.com": "create", "ann@example.com": "delete", "auditor": "delete"}


def test_an_empty_directory_deletes_nobody() -> None:
    current = applied(plan(wish(person("ann"))).steps)
    with pytest.raises(UserPlanError, match="directory is empty, and 1 archive users"):
        plan(wish(delete=True), current)


def test_somebody_else_under_the_name_of_a_leaver_stops_until_it_is_decided() -> None:
    current = applied(plan(wish(person("ann"), person("ben"))).steps)
    rehired = person("ann", id="id-other")
    for delete in (False, True):
        with pytest.raises(UserPlanError, match="under the name of somebody else"):
            plan(wish(rehired, person("ben"), delete=delete), current)
        adopted = plan(wish(rehired, person("ben"), delete=delete, reused_names={"ann@example.com": "adopt"}), current)
        ann = next(user for user in current if user.name == "ann@example.com")
        assert [step.user_id for step in adopted.steps] == [ann.id]
        assert adopted.why == {"ann@example.com": "takes over the archive of that name"}
        separate = plan(wish(rehired, person("ben"), delete=delete, reused_names={"ann@example.com": "separate"}), current)
        after = applied(separate.steps, current)
        kept = next(user for user in after if user.id == ann.id)
        assert (kept.name, kept.deleted is None, kept.kerio_id) == (f"ann@example.com (left, {ann.id})", False, "id-ann")
        new = next(user for user in after if user.name == "ann@example.com")
        assert (new.kerio_id, new.deleted) == ("id-other", None)
        assert plan(wish(rehired, person("ben"), delete=delete), after).steps == ()


def test_a_rename_onto_the_name_of_a_leaver_cannot_adopt() -> None:
    current = applied(plan(wish(person("ann"), person("ben"))).steps)
    renamed = person("ann", id="id-ben")
    with pytest.raises(UserPlanError, match="cannot take over another one"):
        plan(wish(renamed, reused_names={"ann@example.com": "adopt"}), current)
    after = applied(plan(wish(renamed, reused_names={"ann@example.com": "separate"}), current).steps, current)
    assert {user.kerio_id: user.name for user in after if user.deleted is None} == {"id-ben": "ann@example.com"}


def test_two_users_may_swap_their_names() -> None:
    current = applied(plan(wish(person("ann"), person("ben"))).steps)
    found = plan(wish(person("ann", id="id-ben"), person("ben", id="id-ann")), current)
    assert {user.kerio_id: user.name for user in applied(found.steps, current)} == {
        "id-ann": "ben@example.com",
        "id-ben": "ann@example.com",
    }


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
def test_a_set_that_contradicts_itself_is_refused(people: list[dict[str, t.Any]], words: str) -> None:
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
            users.refuse_masked(value, "directories")
    users.refuse_masked({"a": ["*", 5, None, True]}, "directories")
