# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers and users that another archive host archives are neither gone nor unread: nobody leaves because of them."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_sync
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import Elsewhere
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from ansible_collections.mailops.kerio.plugins.modules import archive_users
from tests.unit.module_utils.archive.users_scene import Data, Scene, directory, person, scene, wish

__all__ = ["scene"]
MAIL2 = [person(f"g{number:02}", "example.org") for number in range(60)]
ANN = person("ann", addresses=["ann@example.com", "sales@example.com"])


def both(**more: t.Any) -> users.Wish:
    return wish(directories=[directory(ANN), directory(*MAIL2, server="mail2", domains=["example.org"])], delete=True, **more)


def assigned(*people: Data, **more: t.Any) -> users.Wish:
    """The same archive host when mail2 is another one's."""
    return wish(*people, delete=True, elsewhere=Elsewhere(frozenset({"mail2"})), **more)


def test_a_server_that_is_assigned_elsewhere_takes_nobody_away(scene: Scene) -> None:
    scene.sync(both())
    before = scene.catalog.users()
    found = scene.sync(assigned(ANN))
    assert (found.steps, found.warnings, dict(found.waiting), dict(found.staying)) == ((), (), {}, {})
    assert scene.catalog.users() == before
    # Without the word it is what a lost directory looks like.
    with pytest.raises(UserPlanError, match="the server mail2: it is not in directories, and 60 archive users come from it"):
        scene.plan(wish(ANN, delete=True))


def test_its_users_leave_once_the_operator_says_so(scene: Scene) -> None:
    scene.sync(both())
    gone = users.Gone(servers=frozenset({"mail2"}))
    found = scene.sync(assigned(ANN, gone=gone, delete_limit=100, delete_limit_share=100))
    assert found.shown.counts() == {"create": 0, "change": 0, "delete": 60}


def test_those_elsewhere_do_not_make_room_for_deletions_here(scene: Scene) -> None:
    people = [person(f"p{number}") for number in range(20)]
    scene.sync(wish(directories=[directory(*people), directory(*MAIL2, server="mail2", domains=["example.org"])]))
    with pytest.raises(UserPlanError) as raised:
        scene.plan(assigned(*people[4:]))
    assert {key: raised.value.details[key] for key in ("count", "total", "allowed")} == {"count": 4, "total": 20, "allowed": 2}


def test_nor_do_those_in_the_scope_of_another_archive_host(scene: Scene) -> None:
    people = [person(f"p{number}") for number in range(20)]
    others = [person(f"n{number}", "example.net") for number in range(60)]

    def seen(*accounts: Data, **more: t.Any) -> users.Wish:
        return wish(directories=[directory(*accounts, *others, domains=("example.com", "example.net"))], **more)

    scene.sync(seen(*people))
    scopes = ((frozenset({"mail1"}), users.Scope(frozenset({"example.net"}))),)
    own = {"scope": users.Scope(frozenset({"example.com"})), "elsewhere": Elsewhere(scopes=scopes), "delete": True}
    assert scene.plan(seen(*people, **own)).steps == ()
    with pytest.raises(UserPlanError) as raised:
        scene.plan(seen(*people[4:], **own))
    assert {key: raised.value.details[key] for key in ("count", "total", "allowed")} == {"count": 4, "total": 20, "allowed": 2}


def test_an_address_goes_to_who_has_it_here_now(scene: Scene) -> None:
    gina = person("gina", "example.org", addresses=["gina@example.org", "sales@example.com"])
    scene.sync(wish(directories=[directory(person("ann")), directory(gina, server="mail2", domains=["example.org"])]))
    found = scene.sync(assigned(ANN))
    assert scene.user("ann@example.com").addresses == ("ann@example.com", "sales@example.com")
    assert scene.user("gina@example.org").addresses == ("gina@example.org",)
    assert found.warnings == ()


def test_who_moves_to_a_server_of_another_archive_host_stays_and_newcomers_there_are_not_made(scene: Scene) -> None:
    here = person("henri", home_server="mail1")
    scene.sync(wish(here))
    moved, new = {**here, "home_server": "mail2"}, person("ines", home_server="mail2")
    found = scene.sync(assigned(moved, new))
    assert scene.present() == {"henri@example.com"}
    assert (found.steps, set(found.waiting)) == ((), {"henri@example.com", "ines@example.com"})
    assert found.waiting["ines@example.com"] == "the mailbox is on mail2, which another archive host archives"
    back = scene.sync(assigned({**moved, "home_server": "mail1"}, new))
    assert (back.steps, set(back.waiting)) == ((), {"ines@example.com"})


def test_who_falls_into_the_scope_of_another_archive_host_stays(scene: Scene) -> None:
    people = [person("ann"), person("bob", "example.net"), person("carol", "example.net"), person("scanner", "example.net")]
    domains = ("example.com", "example.net")

    def seen(*accounts: Data, **more: t.Any) -> users.Wish:
        return wish(directories=[directory(*accounts, domains=domains)], delete=True, delete_limit_share=100, **more)

    scene.sync(seen(*people))
    scope, other = users.Scope(frozenset({"example.com"})), users.Scope(users=frozenset({"bob@example.net", "carol"}))
    narrowed = seen(*people, scope=scope, elsewhere=Elsewhere(scopes=((frozenset({"mail1"}), other),)))
    assert set(scene.plan(dataclasses.replace(narrowed, delete=False)).staying) == {"scanner@example.net"}
    scene.sync(narrowed)
    assert scene.present() == {"ann@example.com", "bob@example.net", "carol@example.net"}
    # Of another server, or without that scope, they fall out as ever; who is removed at Kerio leaves.
    strange = dataclasses.replace(narrowed, elsewhere=Elsewhere(scopes=((frozenset({"mail9"}), other),)))
    assert scene.plan(strange).shown.counts()["delete"] == 2
    removed = dataclasses.replace(narrowed, directories=[directory(people[0], people[1], domains=domains)])
    scene.sync(removed)
    assert scene.present() == {"ann@example.com", "bob@example.net"}


def test_a_scope_takes_users_by_address_and_login() -> None:
    scope = users.Scope(users=frozenset({"bob@example.net", "carol", "dora@example.com"}))
    people = {
        "bob": person("b", "example.net", address="Bob@example.net"),
        "carol": person("carol", "example.org"),
        "dora": person("Dora"),
        "ann": person("ann"),
    }
    assert {name for name, entry in people.items() if scope.takes(entry)} == {"bob", "carol", "dora"}
    (warning,) = users.plan_users("/a", wish(ANN, scope=users.Scope(users=frozenset({"ann", "nobody"}))), []).warnings
    assert "no user of the directories is called nobody" in warning


def test_scopes_of_others_are_read_as_those_of_this_archive_host_are() -> None:
    given = {"servers": ["mail1"], "domains": "Example.NET, example.org", "groups": None, "users": [7]}
    options = {key: value.get("default") for key, value in archive_users.OPTIONS.items()} | {"elsewhere": {"scopes": [given]}}
    (found,) = users_sync.wish(options).elsewhere.scopes
    assert found == (frozenset({"mail1"}), users.Scope(frozenset({"example.net", "example.org"}), users=frozenset({"7"})))
