# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is deleted, and what a wrong answer of a server cannot do."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.users_scene import ROOT, Data, Scene, actions, directory, person, scene, why, wish

__all__ = ["scene"]
ANN, BEN, CARL = person("ann"), person("ben"), person("carl")
GINA, HENRI = person("gina", "example.org"), person("henri", "example.org")
UNLIMITED = {"delete": True, "delete_limit": 1000, "delete_limit_share": 100}


def test_without_delete_nobody_goes_and_it_is_told_who_would(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, CARL))
    found = scene.sync(wish(ANN, BEN, not_users=frozenset({"ben@example.com"})))
    assert found.steps == ()
    assert found.staying == {
        "ben@example.com": "is in not_users",
        "carl@example.com": "is not in the directory of mail1 any more",
    }
    assert scene.sync(wish(ANN, BEN, delete=True)).staying == {}


def test_who_is_out_of_the_scope_is_deleted_and_keeps_row_and_tree(scene: Scene) -> None:
    people = [{**ANN, "groups": ["sales"]}, BEN]
    scene.sync(wish(*people))
    before = scene.user("ben@example.com")
    found = scene.sync(wish(*people, scope=users.Scope(groups=frozenset({"sales"})), **UNLIMITED))
    assert why(found) == {"ben@example.com": "is not in the scope any more"}
    after = scene.user("ben@example.com")
    assert (after.id, after.tree, after.deleted is None, after.addresses) == (before.id, before.tree, False, ())


def test_only_users_of_directories_are_deleted(scene: Scene) -> None:
    declared: list[Data] = [
        {"name": "auditor"},
        {"name": "ben@example.com", "authentication": "integrated"},
        {"name": "remote", "authentication": "kerio", "server": "mail1", "kerio_login": "remote@example.com"},
    ]
    scene.catalog.ensure_user("@catchall", origin=users.PROFILE)
    scene.sync(wish(ANN, BEN, CARL, users=declared))
    # Ben is not in the directory any more, and the inventory has him; then nobody declares anything.
    found = scene.sync(wish(ANN, users=declared, **UNLIMITED))
    assert actions(found) == {"ben@example.com": "change", "carl@example.com": "delete"}
    assert scene.sync(wish(ANN, **UNLIMITED)).steps == ()
    assert scene.present() == {"@catchall", "ann@example.com", "auditor", "ben@example.com", "remote"}


def test_an_integrated_user_stays_when_entry_and_account_go_at_once(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, users=[{"name": "ben@example.com"}]))
    assert scene.user("ben@example.com").authentication == "integrated"
    found = scene.sync(wish(ANN, **UNLIMITED))
    assert (found.steps, found.warnings[0].startswith("users: declared no more, and still there: ben@")) == ((), True)


def test_users_of_an_unread_server_stay_and_those_of_no_known_server_stop(scene: Scene) -> None:
    two = directory(GINA, server="mail2", domains=["example.org"])
    scene.sync(wish(directories=[directory(ANN), two]))
    for delete in (False, True):
        with pytest.raises(UserPlanError) as raised:
            scene.plan(wish(ANN, delete=delete))
        assert str(raised.value) == (
            "the server mail2: it is not in directories, and 1 archive user comes from it (gina@example.org). Add its directory,"
            " or name it in unread if it cannot be read, or in elsewhere if another archive host archives it; if it is gone or"
            " has another name, say gone: servers."
        )
    assert scene.sync(wish(ANN, unread=frozenset({"mail2"}), **UNLIMITED)).steps == ()
    found = scene.sync(wish(ANN, gone=users.Gone(servers=frozenset({"mail2"})), **UNLIMITED))
    assert why(found) == {"gina@example.org": "the server mail2 is gone"}
    # Nobody comes from it any more, so that it need not be named.
    assert scene.sync(wish(ANN, **UNLIMITED)).steps == ()


@pytest.mark.parametrize(
    ("answer", "subject", "cause"),
    [
        (
            directory(ANN),
            "mail1: the domain example.org",
            "has no account of this domain, and 2 archive users come from it (gina@",
        ),
        (
            directory(ANN, domains=["example.com", "example.org"]),
            "mail1: the domain example.org",
            "has no account of this domain, and 2 archive users",
        ),
        (directory(domains=["example.com", "example.org"]), "mail1", "is empty, and "),
    ],
    ids=["the domain is missing", "the domain is empty", "everything is empty"],
)
@pytest.mark.parametrize("delete", [False, True])
def test_an_answer_that_lacks_a_domain_is_an_error(scene: Scene, answer: Data, subject: str, cause: str, delete: bool) -> None:
    scene.sync(wish(ANN, GINA, HENRI))
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(directories=[answer], **{**UNLIMITED, "delete": delete}))
    assert raised.value.subject == subject
    assert cause in str(raised.value) and "name it in gone: domains" in str(raised.value)


def test_a_domain_that_is_really_gone_is_declared(scene: Scene) -> None:
    scene.sync(wish(ANN, GINA, HENRI))
    gone = users.Gone(domains=frozenset({"example.org"}))
    assert scene.sync(wish(ANN, gone=gone)).staying == dict.fromkeys(
        ["gina@example.org", "henri@example.org"], "the domain example.org is gone"
    )
    assert actions(scene.sync(wish(ANN, gone=gone, **UNLIMITED))) == {"gina@example.org": "delete", "henri@example.org": "delete"}
    assert scene.plan(wish(ANN, GINA, gone=gone)).warnings == ("gone: example.org is there. Take it out",)


def test_a_domain_that_moved_is_gone_until_nobody_of_the_first_server_needs_that(scene: Scene) -> None:
    scene.sync(wish(ANN, GINA, HENRI))
    moved = [directory(ANN), directory(person("iris", "example.org"), server="mail2", domains=["example.org"])]
    gone = users.Gone(domains=frozenset({"example.org"}))
    found = scene.sync(wish(directories=moved, gone=gone))
    assert (set(found.staying), found.warnings) == ({"gina@example.org", "henri@example.org"}, ())
    # It could not be taken out.
    with pytest.raises(UserPlanError, match=r"mail1: the domain example\.org: .* 2 archive users come from it"):
        scene.plan(wish(directories=moved))
    scene.sync(wish(directories=moved, gone=gone, **UNLIMITED))
    assert scene.plan(wish(directories=moved, gone=gone)).warnings == ("gone: example.org is there. Take it out",)
    assert scene.sync(wish(directories=moved)).warnings == ()


def test_the_last_user_of_a_domain_that_is_there_may_leave(scene: Scene) -> None:
    scene.sync(wish(ANN, GINA))
    answer = directory(ANN, domains=["example.com", "example.org"])
    assert actions(scene.sync(wish(directories=[answer], delete=True))) == {"gina@example.org": "delete"}


def test_a_catalog_from_before_logins_were_kept_knows_its_domains() -> None:
    old = [
        User(1, "ann", "ann", server="mail1", kerio_id="id-ann", addresses=("ann@example.com",)),
        User(2, "gina", "gina", server="mail1", kerio_id="id-gina", addresses=("gina@example.org",)),
    ]
    with pytest.raises(UserPlanError, match=r"mail1: the domain example\.org: .* 1 archive user comes from it \(gina\)"):
        users.plan_users(ROOT, wish(ANN, user_name="login"), old)
    found = users.plan_users(ROOT, wish(ANN, GINA, user_name="login"), old)
    assert why(found) == dict.fromkeys(["ann", "gina"], "kerio login changed in mail1")


@pytest.mark.parametrize(
    ("there", "leave", "limits", "allowed"),
    [
        (1, 1, {}, 1),
        (3, 1, {}, 1),
        (3, 2, {}, 1),
        (3, 3, {}, 1),
        (2000, 20, {}, 20),
        (2000, 21, {}, 20),
        (2000, 200, {"delete_limit": 500}, 200),
        (2000, 201, {"delete_limit": 500}, 200),
        (2000, 10, {"delete_limit_share": 0}, 1),
        (1, 1, {"delete_limit": 0}, 0),
        (3, 2, {"delete_limit_share": 67}, 2),
        (19, 2, {}, 1),
        (20, 2, {}, 2),
    ],
)
def test_the_smaller_of_number_and_share_bounds_deletions(there: int, leave: int, limits: dict[str, int], allowed: int) -> None:
    people = [person(f"p{number:04}") for number in range(there)]
    current = rows_of(people)
    # Somebody is in the directory in any case, but nobody who is an archive user.
    desired = wish(*people[leave:], person("nobody"), not_users=frozenset({"nobody"}), delete=True, **t.cast("t.Any", limits))
    if leave <= allowed:
        assert actions(users.plan_users(ROOT, desired, current)) == {
            f"p{number:04}@example.com": "delete" for number in range(leave)
        }
        return
    with pytest.raises(UserPlanError) as raised:
        users.plan_users(ROOT, desired, current)
    assert {key: raised.value.details[key] for key in ("count", "total", "allowed")} == {
        "count": leave,
        "total": there,
        "allowed": allowed,
    }
    text = str(raised.value)
    assert f"{leave:,} of {there:,} users of the directories would be deleted (p0000@example.com" in text
    assert f"and {allowed:,} may be within 24 hours" in text
    # What it says to give for once is enough.
    once = dict(
        word.removeprefix("archive_users_").rstrip(".").split("=") for word in text.split() if word.startswith("archive_users_")
    )
    again = wish(
        *desired.directories[0]["users"], not_users=desired.not_users, delete=True, **{key: int(once[key]) for key in once}
    )
    assert len(users.plan_users(ROOT, again, current).steps) == leave


def rows_of(people: t.Sequence[Data]) -> list[User]:
    steps = users.plan_users(ROOT, wish(*people), []).steps
    return [
        User(id=number, tree=step.values.name, **{name: getattr(step.values, name) for name in step.values.__dataclass_fields__})
        for number, step in enumerate(steps, 1)
    ]


def test_a_refusal_names_the_first_few() -> None:
    people = [person(f"p{number}") for number in range(9)]
    with pytest.raises(UserPlanError) as raised:
        users.plan_users(ROOT, wish(person("new"), delete=True), rows_of(people))
    assert "(p0@example.com, p1@example.com, p2@example.com, p3@example.com, p4@example.com and 4 more)" in str(raised.value)
    assert raised.value.details["users"] == [f"p{number}@example.com" for number in range(9)]
