# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose tree is whose after a rebuild: by name, by the ledger, and never by a guess that shows somebody another's mail."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_names import Names, is_name, owners
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import History
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users import Wish, plan_users
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import ALICE, BOB, lose_catalog, lose_ledger, rebuilt, scene, verified

__all__ = ["scene"]

LONG = "l" * 240 + "@example.com"
ODD = ("bob@example.com", "cur", "a/b", ".hidden", "50%", " x ", "größe", "")


@pytest.mark.parametrize("name", [*ODD, LONG])
def test_what_escape_makes_is_a_name(name: str) -> None:
    assert is_name(layout.escape(name))


@pytest.mark.parametrize("directory", ["cur", "a b ", ".x", "~x", "%41", "%zz", "%FF", "x\udcff"])
def test_what_escape_never_makes_is_none(directory: str) -> None:
    assert not is_name(directory)


def test_a_name_that_was_cut_is_known_by_those_who_tell_it() -> None:
    cut = layout.escape(LONG)
    assert Names().true(cut) is None
    assert Names([BOB, LONG]).true(cut) == LONG
    assert [Names().true(layout.escape(name)) for name in ODD] == list(ODD)


def test_the_newest_tree_of_a_name_is_that_of_its_user() -> None:
    found = owners(["bob", "bob%~7", "bob%~12", "carol"], Names())
    assert {tree: name for tree, (name, _) in found.items()} == {
        "bob%~12": "bob",
        "bob": "bob (renamed)",
        "bob%~7": "bob%~7 (renamed)",
        "carol": "carol",
    }
    assert [tree for tree, (_, reason) in found.items() if not reason] == ["carol"]


def change(action: str, name: str, **more: t.Any) -> dict[str, t.Any]:
    return {"action": action, "name": name, "origin": "directory", **more}


def test_the_history_of_users_tells_who_has_which_tree() -> None:
    history = History(["bob", "bob%~2"])
    history.play([change("created", "bob", kerio_id="1", addresses=["bob@x"], privileges=["read"])], 1)
    history.play([change("changed", "robert", was="bob", tree="bob", kerio_id="1")], 2)
    history.play([change("created", "bob", kerio_id="2")], 3)
    history.play([change("left", "robert", was="robert", tree="bob", kerio_id="1")], 4)
    assert {tree: (user.values.name, user.values.kerio_id, user.deleted) for tree, user in history.users.items()} == {
        "bob": ("robert", "1", 4),
        "bob%~2": ("bob", "2", None),
    }


def test_users_may_swap_names_and_come_back() -> None:
    history = History(["a", "b"], {"a": UserValues("a", "directory"), "b": UserValues("b", "directory")})
    history.play([change("changed", "b", was="a", tree="a"), change("changed", "a", was="b", tree="b")], 1)
    history.play([change("left", "a", was="a", tree="b")], 2)
    history.play([change("created", "a")], 3)
    assert {tree: (user.values.name, user.deleted) for tree, user in history.users.items()} == {
        "a": ("b", None),
        "b": ("a", None),
    }


def test_grants_are_told_by_the_tree_because_names_change() -> None:
    history = History([])
    told = {"reads": ["alice"], "archives": ["alice"], "kerio_login": "bob@example.com"}
    history.play([change("created", "bob", tree="bob", **told), change("created", "alice", tree="alice")], 1)
    history.play([change("changed", "anna", was="alice", tree="alice"), change("created", "alice", tree="alice%~9")], 2)
    assert (history.users["bob"].archives, history.users["bob"].values.kerio_login) == (("alice",), "bob@example.com")
    assert history.users["alice"].values.name == "anna"
    assert history.users["alice%~9"].values.name == "alice"
    history.play([change("changed", "bob", was="bob", tree="bob", reads=["alice"], archives=["alice%~9"])], 3)
    assert history.users["bob"].archives == ("alice%~9",)
    # An older release told nothing of them.
    history.play([change("changed", "bob", was="bob", tree="bob")], 4)
    assert (history.users["bob"].archives, history.users["bob"].values.kerio_login) == ((), "")


def entry(name: str) -> dict[str, t.Any]:
    return {"id": f"keriodb://user/{name[:8]}", "login": name, "address": name, "domain": "example.com"}


def test_archive_users_gives_everybody_the_own_tree_again(scene: Archive) -> None:
    scene.user(LONG)
    scene.servers.folder("mail1", LONG).add(mail(500, to=LONG))
    scene.run()
    trees = dict(scene.rows("SELECT name, tree FROM users"))
    lose_ledger(scene)
    lose_catalog(scene)
    report = rebuilt(scene)
    assert [problem.subject for problem in report.problems if problem.kind == "user_name"] == [f"mail/{layout.escape(LONG)}"]
    with Catalog.open(scene.catalog_file) as catalog:
        wish = Wish([{"server": "mail1", "users": [entry(ALICE), entry(BOB), entry(LONG)]}], delete=True)
        catalog.apply_users(plan_users(str(scene.root), wish, catalog.users(deleted=True)).steps)
        users = {user.name: user for user in catalog.users(deleted=True)}
        again = plan_users(str(scene.root), wish, catalog.users(deleted=True))
    assert {name: user.tree for name, user in users.items()} == trees
    assert again.steps == ()
    assert users[LONG].addresses == (LONG,)
    # They have what new users get, and nobody who is in no directory was deleted.
    assert users[ALICE].privileges == ("login", "read")
    assert all(user.deleted is None for user in users.values())
    tree = scene.tree()
    scene.run()
    assert scene.tree() == tree
    assert verified(scene) == []
