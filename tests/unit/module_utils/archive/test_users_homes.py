# SPDX-License-Identifier: GPL-3.0-or-later
"""A user whom several servers of a distributed domain list: the home server counts, and what is not told stops or is told."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, Scene, actions, directory, person, scene, why, wish

__all__ = ["scene"]
HOSTS = {"mail1": "kerio-one.example.com", "mail2": "kerio-two.example.com"}


def listed(home: str | None, login: str = "ann", *, number: int, **more: t.Any) -> Data:
    """An account as the server of that number lists it; each server has an id of its own for it."""
    return person(login, id=f"id-{login}-{number}", full_name=f"{login} of {number}", home_server=home, **more)


def both(one: Data | None, two: Data | None, **more: t.Any) -> users.Wish:
    """mail1 and mail2 list these accounts, besides one each that is nobody else's."""
    rows = {"mail1": [one, listed(None, "zoe", number=1)], "mail2": [two, listed(None, "yan", number=2)]}
    found = [directory(*filter(None, people), server=name, host=HOSTS[name]) for name, people in rows.items()]
    return wish(**{"directories": found, **more})


@pytest.mark.parametrize(
    "name", ["mail2", "MAIL2", "kerio-two.example.com", "Kerio-Two.Example.com", "KERIO-TWO", "of the operator's own"]
)
def test_the_account_of_the_home_server_counts_whatever_it_is_called(scene: Scene, name: str) -> None:
    declared = {"of the operator's own": "mail2"}
    found = scene.sync(both(listed(name, number=1), listed(name, number=2), home_servers=declared))
    ann = scene.user("ann@example.com")
    assert actions(found) == dict.fromkeys(["ann@example.com", "yan@example.com", "zoe@example.com"], "create")
    assert (ann.server, ann.kerio_id, ann.full_name) == ("mail2", "id-ann-2", "ann of 2")
    assert found.warnings == ()


def test_the_home_server_itself_need_not_name_it(scene: Scene) -> None:
    scene.sync(both(listed("mail2", number=1), listed(None, number=2)))
    assert scene.user("ann@example.com").server == "mail2"


@pytest.mark.parametrize(
    ("one", "two"),
    [(None, None), (None, "mail1x"), ("mail1", "mail2"), ("mail1", None), (None, "mail2"), ("mail1", "mail7"), ("x", "y")],
)
def test_what_no_home_server_settles_names_both_and_stops(scene: Scene, one: str | None, two: str | None) -> None:
    accounts = listed(one, number=1), listed(two, number=2)
    with pytest.raises(UserPlanError) as raised:
        scene.plan(both(*accounts))
    text = str(raised.value)
    assert text.startswith(
        "the name ann@example.com: ann@example.com (mail1 id id-ann-1) and ann@example.com (mail2 id id-ann-2)"
    )
    assert "Say in home_servers which server has the mailbox" in text
    # The remedy works, for the one login.
    scene.sync(both(*accounts, home_servers={"ann@example.com": "mail1"}))
    assert scene.user("ann@example.com").server == "mail1"


def test_a_domain_without_home_servers_may_be_declared_as_one(scene: Scene) -> None:
    scene.sync(both(listed(None, number=1), listed(None, number=2), home_servers={"example.com": "mail2"}))
    assert {user.name: user.server for user in scene.catalog.users()} == {
        "ann@example.com": "mail2",
        "yan@example.com": "mail2",
        "zoe@example.com": "mail2",
    }


def test_a_name_that_fits_two_servers_settles_nothing() -> None:
    rows = [
        directory(listed("mail", number=number), server=name, host=name)
        for number, name in enumerate(("mail.example.com", "mail.example.org"), 1)
    ]
    found = users.plan_users("/srv/archive", wish(directories=rows), [])
    assert found.warnings[0].startswith(
        "home server mail: no server of this run is called so. The users whose mailbox is there (ann@"
    )


def test_the_name_of_a_server_comes_before_the_first_part_of_another_one(scene: Scene) -> None:
    rows = [
        directory(listed("MAIL", number=number), server=name, host=f"host{number}.example.net")
        for number, name in enumerate(("mail.example.com", "mail"), 1)
    ]
    scene.sync(wish(directories=rows))
    assert scene.user("ann@example.com").server == "mail"


def test_a_home_server_that_no_server_of_the_run_is_makes_a_user_of_who_lists_the_account(scene: Scene) -> None:
    found = scene.sync(both(listed("mail7", number=1), listed("mail7", number=2)))
    assert scene.user("ann@example.com").server == "mail1"
    assert found.warnings == (
        "home server mail7: no server of this run is called so. The users whose mailbox is there (ann@example.com) are taken for"
        " users of the server that lists them. Say in home_servers which server it is",
    )
    # It stays with that one in whatever order the servers come.
    again = scene.plan(both(listed("mail7", number=1), listed("mail7", number=2)))
    turned = wish(directories=list(reversed(both(listed("mail7", number=1), listed("mail7", number=2)).directories)))
    assert (again.steps, scene.plan(turned).steps) == ((), ())


def test_home_servers_must_be_of_this_run() -> None:
    with pytest.raises(InputError, match=r"home_servers of mail7: 'mail9' is no server of this run\. Give one of mail1, mail2"):
        users.plan_users("/srv/archive", both(None, None, home_servers={"mail7": "mail9"}), [])


@pytest.mark.parametrize("everywhere", [True, False], ids=["each server lists all users", "each server lists its own users"])
def test_a_user_whose_home_server_changes_keeps_row_and_tree(scene: Scene, everywhere: bool) -> None:
    def at(home: str) -> users.Wish:
        one, two = listed(home, number=1), listed(home, number=2)
        return both(one if everywhere or home == "mail1" else None, two if everywhere or home == "mail2" else None, delete=True)

    scene.sync(at("mail1"))
    row = scene.user("ann@example.com").id
    found = scene.sync(at("mail2"))
    ann = scene.user("ann@example.com")
    assert why(found) == {"ann@example.com": "the mailbox is on mail2 now, was on mail1"}
    assert (ann.id, ann.server, ann.kerio_id) == (row, "mail2", "id-ann-2")
    scene.sync(at("mail1"))
    assert (scene.user("ann@example.com").id, scene.user("ann@example.com").server) == (row, "mail1")


def test_a_user_whom_the_home_server_does_not_list_is_there_all_the_same(scene: Scene) -> None:
    scene.sync(both(listed("mail2", number=1), None))
    assert (scene.user("ann@example.com").server, scene.user("ann@example.com").kerio_id) == ("mail2", "id-ann-1")


def test_the_id_that_another_server_told_is_no_other_account(scene: Scene) -> None:
    scene.sync(both(listed("mail2", number=1), None))
    row = scene.user("ann@example.com").id
    scene.sync(both(listed("mail2", number=1), listed("mail2", number=2)))
    assert (scene.user("ann@example.com").id, scene.user("ann@example.com").kerio_id) == (row, "id-ann-2")


def renamed(*, old: Data, new: Data, **more: t.Any) -> users.Wish:
    """Both servers list one account by the same id, and mail2, the home server, alone has the new name already."""
    return both({**old, "id": "id-one"}, {**new, "id": "id-one"}, **more)


def test_a_rename_that_has_not_reached_the_other_server_is_one_rename(scene: Scene) -> None:
    old, new = listed("mail2", number=1), listed("mail2", "anna", number=2)
    scene.sync(renamed(old=old, new=old, delete=True))
    row = scene.user("ann@example.com").id
    # The name of before counts as long as the home server has it, whatever the other server says.
    assert scene.sync(renamed(old=new, new=old, delete=True)).steps == ()
    found = scene.sync(renamed(old=old, new=new, delete=True))
    assert (why(found), scene.user("anna@example.com").id) == ({"anna@example.com": "was ann@example.com"}, row)
    assert scene.sync(renamed(old=new, new=new, delete=True)).steps == ()


@pytest.mark.parametrize("home", ["mail2", None], ids=["the home server names itself", "the home server names none"])
def test_a_new_user_who_is_called_otherwise_on_the_other_server_is_made_once(scene: Scene, home: str | None) -> None:
    found = scene.sync(renamed(old=listed("mail2", number=1), new=listed(home, "anna", number=2)))
    assert actions(found) == dict.fromkeys(["anna@example.com", "yan@example.com", "zoe@example.com"], "create")


def test_who_gets_a_name_that_another_server_still_has_for_somebody_else_does_not_get_the_archive(scene: Scene) -> None:
    scene.sync(renamed(old=listed("mail1", number=1), new=listed("mail1", number=2)))
    row = scene.user("ann@example.com").id
    # The mailbox has moved, the user is renamed, and somebody else has the name at the new home server.
    desired = renamed(old=listed("mail2", number=1), new=listed("mail2", "anna", number=2))
    desired.directories[1]["users"].append(listed("mail2", number=2))
    scene.sync(desired)
    anna, ann = scene.user("anna@example.com"), scene.user("ann@example.com")
    assert (anna.id, anna.kerio_id, ann.id == row, ann.kerio_id) == (row, "id-one", False, "id-ann-2")


@pytest.mark.parametrize("left", [True, False], ids=["the one before has left", "between two runs"])
def test_another_account_of_the_login_on_the_home_server_is_somebody_else(scene: Scene, left: bool) -> None:
    one, two = listed("mail2", number=1), listed("mail2", number=2)
    scene.sync(both(one, two, rights=[{"user": "ann@example.com", "privileges": ["login", "audit"]}]))
    if left:
        scene.sync(both(None, None, delete=True))
    rehired = both({**one, "id": "id-other-1"}, {**two, "id": "id-other-2"})
    with pytest.raises(UserPlanError, match=r"under the name of somebody else \(mail2 id id-ann-2\)"):
        scene.plan(rehired)


def test_the_login_of_one_who_left_is_somebody_else_on_another_home_server(scene: Scene) -> None:
    scene.sync(both(listed("mail1", number=1), None))
    scene.sync(both(None, None, delete=True))
    newcomer = {**listed("mail2", number=2), "id": "id-other"}
    with pytest.raises(UserPlanError, match=r"under the name of somebody else \(mail1 id id-ann-1\)"):
        scene.plan(both(None, newcomer))
    # The id says that it is the same person, wherever the mailbox is now.
    back = scene.sync(both(None, {**newcomer, "id": "id-ann-1"}))
    assert why(back) == {"ann@example.com": "had left and is back"}


def test_a_user_of_a_home_server_that_could_not_be_read_waits(scene: Scene) -> None:
    scene.sync(both(listed("mail2", number=1), listed("mail2", number=2)))
    before = scene.user("ann@example.com")
    one = directory(
        listed("kerio-two", number=1, enabled=False),
        listed("MAIL2", "new", number=1),
        listed(None, "zoe", number=1),
        host=HOSTS["mail1"],
    )
    unread = wish(directories=[one], unread=frozenset({"mail2"}), delete=True, home_servers={"kerio-two": "mail2"})
    found = scene.sync(unread)
    assert (found.steps, scene.user("ann@example.com")) == ((), before)
    told = "the directory of the home server mail2 could not be read"
    assert found.waiting == {"ann@example.com": told, "new@example.com": told}


def test_scope_and_not_users_look_at_the_account_that_counts(scene: Scene) -> None:
    sales = users.Scope(groups=frozenset({"sales"}))
    one, two = listed("mail2", number=1, groups=["sales"]), listed("mail2", number=2)
    found = scene.sync(both(one, two, scope=sales))
    assert (scene.present(), found.left_out) == (set(), ("ann@example.com", "yan@example.com", "zoe@example.com"))
    scene.sync(both(listed("mail2", number=1), {**two, "groups": ["sales"]}, scope=sales))
    assert scene.present() == {"ann@example.com"}


def test_an_account_that_is_not_wanted_is_no_collision(scene: Scene) -> None:
    sales = users.Scope(groups=frozenset({"sales"}))
    found = scene.sync(both(listed(None, number=1), listed(None, number=2, groups=["sales"]), scope=sales))
    assert {user.name: user.server for user in scene.catalog.users()} == {"ann@example.com": "mail2"}
    assert "ann@example.com" in found.left_out


def test_two_users_who_turn_out_to_be_one_keep_the_archive_of_the_home_server(scene: Scene) -> None:
    # While the domain was not distributed, each server had an account, and the archive called them by different names.
    one, two = listed(None, number=1), listed(None, "other", number=2)
    scene.sync(both(one, {**two, "id": "id-ann-2"}))
    found = scene.sync(
        both(listed("mail2", number=1), listed("mail2", number=2), delete=True, reused_names={"ann@example.com": "separate"})
    )
    rows = {user.kerio_id: user for user in scene.catalog.users(deleted=True)}
    assert (rows["id-ann-2"].name, rows["id-ann-2"].tree) == ("ann@example.com", "other@example.com")
    assert (rows["id-ann-1"].deleted is None, rows["id-ann-1"].tree) == (False, "ann@example.com")
    assert why(found)["ann@example.com"] == "was other@example.com"
