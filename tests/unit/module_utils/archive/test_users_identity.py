# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who: the outcomes of docs/users.md, each over a catalog, each once more without a change."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, Scene, directory, person, scene, why, wish

__all__ = ["scene"]
ANN, BEN = person("ann"), person("ben")


def auditor(**more: object) -> list[Data]:
    return [{"name": "auditor", "privileges": ["login", "audit"], **more}]


def test_a_renamed_user_keeps_row_tree_privileges_and_grants(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, rights=[{"user": "ben@example.com", "privileges": ["login"], "reads": ["ann@example.com"]}]))
    before = scene.user("ben@example.com")
    found = scene.sync(wish(person("anna", id="id-ann"), person("bernd", id="id-ben")))
    assert why(found) == {"anna@example.com": "was ann@example.com", "bernd@example.com": "was ben@example.com"}
    after = scene.user("bernd@example.com")
    assert (after.id, after.tree, after.kerio_login) == (before.id, "ben@example.com", "bernd@example.com")
    assert (after.privileges, after.reads) == (("login",), ("anna@example.com",))


def test_a_changed_primary_address_renames_the_user_who_is_called_by_it(scene: Scene) -> None:
    scene.sync(wish(ANN))
    row = scene.user("ann@example.com").id
    moved = person("ann", "example.net", addresses=["ann@example.net", "ann@example.com"])
    # The domain was renamed: nobody is in the old one, and everybody who was is found by the id.
    found = scene.sync(wish(moved, delete=True))
    assert why(found) == {"ann@example.net": "was ann@example.com"}
    after = scene.user("ann@example.net")
    assert (after.id, after.addresses) == (row, ("ann@example.net", "ann@example.com"))


def test_a_changed_address_of_a_user_who_is_called_by_login_is_a_change(scene: Scene) -> None:
    scene.sync(wish(ANN, user_name="login"))
    found = scene.sync(wish(person("ann", addresses=["ann@example.com", "a@example.com"]), user_name="login"))
    assert why(found) == {"ann": "addresses changed in mail1"}


def test_a_disabled_account_stays_and_cannot_log_in(scene: Scene) -> None:
    scene.sync(wish(ANN))
    found = scene.sync(wish({**ANN, "enabled": False}, delete=True))
    assert why(found) == {"ann@example.com": "enabled changed in mail1"}
    assert (scene.user("ann@example.com").enabled, scene.present()) == (False, {"ann@example.com"})


def test_names_that_two_users_swap_follow_the_ids(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, rights=[{"user": "ann@example.com", "reads": ["ben@example.com"]}]))
    rows = {user.kerio_id: user.id for user in scene.catalog.users()}
    found = scene.sync(wish(person("ann", id="id-ben"), person("ben", id="id-ann")))
    assert why(found) == {"ann@example.com": "was ben@example.com", "ben@example.com": "was ann@example.com"}
    after = {user.kerio_id: user for user in scene.catalog.users()}
    assert {kerio_id: user.id for kerio_id, user in after.items()} == rows
    assert after["id-ann"].reads == ("ann@example.com",)


def test_a_leaver_who_comes_back_is_the_same_user_without_the_grants(scene: Scene) -> None:
    rights = [{"user": "ben@example.com", "privileges": ["login"], "reads": ["ann@example.com"]}]
    scene.sync(wish(ANN, BEN, rights=rights))
    row = scene.user("ben@example.com").id
    scene.sync(wish(ANN, delete=True))
    assert (scene.present(), scene.user("ben@example.com").reads) == ({"ann@example.com"}, ())
    found = scene.sync(wish(ANN, BEN))
    after = scene.user("ben@example.com")
    assert why(found) == {"ben@example.com": "had left and is back"}
    assert (after.id, after.privileges, after.reads) == (row, ("login",), ())


def test_a_rehired_name_is_somebody_else_until_it_is_said(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, rights=[{"user": "ann@example.com", "privileges": ["administer"], "reads": ["ben@example.com"]}]))
    row = scene.user("ann@example.com").id
    rehired = person("ann", id="id-other")
    with pytest.raises(
        UserPlanError, match=r"the user name ann@example.com: .* under the name of somebody else \(mail1 id id-ann\)"
    ):
        scene.plan(wish(rehired, BEN))
    found = scene.sync(wish(rehired, BEN, reused_names={"@example.com": "adopt"}))
    after = scene.user("ann@example.com")
    assert why(found) == {"ann@example.com": "takes over the archive of that name"}
    # The archive comes with the name; what the one before could do does not.
    assert (after.id, after.kerio_id, after.privileges, after.reads) == (row, "id-other", ("login", "read"), ())


def test_a_rehired_name_that_is_kept_apart_gets_an_archive_of_its_own(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, rights=[{"user": "ben@example.com", "reads": ["ann@example.com"]}]))
    row = scene.user("ann@example.com").id
    found = scene.sync(wish(person("ann", id="id-other"), BEN, reused_names={"ann@example.com": "separate"}))
    left = f"ann@example.com (left, {row})"
    assert why(found) == {"ann@example.com": "is new in mail1", left: "left; somebody else is ann@example.com now"}
    assert (scene.user(left).id, scene.user(left).tree) == (row, "ann@example.com")
    assert scene.user("ann@example.com").tree != "ann@example.com"
    # Who could read the leaver's archive still does, and not the newcomer's.
    assert scene.user("ben@example.com").reads == (left,)


def test_from_the_inventory_to_the_directory_and_back_it_is_one_user(scene: Scene) -> None:
    declared: list[Data] = [{"name": "Ann@example.com", "privileges": ["login", "read", "export"]}]
    scene.sync(wish(BEN, users=declared))
    row = scene.user("Ann@example.com").id
    found = scene.sync(wish(ANN, BEN))
    assert why(found) == {"ann@example.com": "was Ann@example.com"}
    there = scene.user("ann@example.com")
    assert (there.id, there.origin, there.kerio_id, there.privileges) == (row, "directory", "id-ann", ("export", "login", "read"))
    found = scene.sync(wish(BEN, users=[{"name": "ann@example.com"}], delete=True))
    assert why(found) == {"ann@example.com": "comes from the inventory now"}
    back = scene.user("ann@example.com")
    assert (back.id, back.origin, back.kerio_id, back.kerio_login) == (row, "inventory", "id-ann", "")
    # Who she was at Kerio is not forgotten: an account with another id is somebody else.
    with pytest.raises(UserPlanError, match="under the name of somebody else"):
        scene.plan(wish(person("ann", id="id-other"), BEN))
    assert why(scene.sync(wish(person("anna", id="id-ann"), BEN))) == {"anna@example.com": "was ann@example.com"}
    assert scene.user("anna@example.com").id == row


def test_a_user_of_the_inventory_leaves_when_that_is_declared_and_not_before(scene: Scene) -> None:
    scene.sync(wish(ANN, users=auditor()))
    kept = scene.sync(wish(ANN, delete=True, delete_limit=0))
    assert (kept.steps, kept.warnings) == (
        (),
        ("users: declared no more, and still there: auditor. Declare them with state: absent to have them leave",),
    )
    found = scene.sync(wish(ANN, users=auditor(state="absent")))
    assert why(found) == {"auditor": "is declared to be absent"}
    assert (scene.present(), found.warnings) == ({"ann@example.com"}, ())
    with pytest.raises(InputError, match=r"users: ann@example\.com: state is absent, and the directory of mail1"):
        scene.plan(wish(ANN, users=[{"name": "ANN@example.com", "state": "absent"}]))


def test_an_address_of_a_leaver_goes_to_who_has_it_now(scene: Scene) -> None:
    scene.sync(wish(ANN, person("ben", addresses=["ben@example.com", "info@example.com"])))
    found = scene.sync(wish(person("ann", addresses=["ann@example.com", "info@example.com"])))
    assert why(found) == {
        "ann@example.com": "addresses changed in mail1",
        "ben@example.com": "info@example.com is an address of ann@example.com now",
    }
    assert scene.user("ben@example.com").addresses == ("ben@example.com",)
    assert found.staying == {"ben@example.com": "is not in the directory of mail1 any more"}


def test_a_server_that_could_not_be_read_keeps_its_users_their_names_and_addresses(scene: Scene) -> None:
    gina = person("gina", "example.org", addresses=["gina@example.org", "info@example.com"])
    two = directory(gina, server="mail2", domains=["example.org"])
    scene.sync(wish(directories=[directory(ANN, BEN), two]))
    before = scene.user("gina@example.org")
    # mail1 has an account now that takes her name, and one that takes an address of hers.
    taken = person("ann", addresses=["ann@example.com", "info@example.com"])
    found = scene.sync(wish(taken, person("gina", "example.org", id="id-new"), unread=frozenset({"mail2"}), delete=True))
    assert why(found) == {"ben@example.com": "is not in the directory of mail1 any more"}
    assert scene.user("gina@example.org") == before
    assert found.waiting == {"gina@example.org": "the name is that of a user of mail2, whose directory could not be read"}
    assert found.warnings == (
        "ann@example.com: the address info@example.com stays with gina@example.org, whose directory could not be read",
    )


def test_a_server_that_is_called_otherwise_keeps_its_users_also_renamed_ones(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN))
    rows = {user.kerio_id: user.id for user in scene.catalog.users()}
    renamed = directory(person("anna", id="id-ann"), BEN, server="mx1")
    gone = users.Gone(servers=frozenset({"mail1"}))
    found = scene.sync(wish(directories=[renamed], gone=gone, delete=True))
    assert why(found) == {"anna@example.com": "was ann@example.com", "ben@example.com": "the mailbox is on mx1 now, was on mail1"}
    assert {user.kerio_id: user.id for user in scene.catalog.users()} == rows


def test_an_account_with_its_id_and_name_on_another_server_is_the_same_user(scene: Scene) -> None:
    scene.sync(wish(directories=[directory(ANN, BEN), directory(server="mail2", domains=[])]))
    row = scene.user("ann@example.com").id
    found = scene.sync(wish(directories=[directory(BEN), directory(ANN, server="mail2")], delete=True))
    assert why(found) == {"ann@example.com": "the mailbox is on mail2 now, was on mail1"}
    assert scene.user("ann@example.com").id == row


def test_a_user_of_the_inventory_on_another_server_is_known_by_the_id_when_renamed(scene: Scene) -> None:
    two = directory(person("gina", "example.org"), server="mail2", domains=["example.org"])
    scene.sync(wish(directories=[directory(ANN, BEN), two]))
    row = scene.user("ann@example.com").id
    scene.sync(wish(directories=[directory(BEN), two], users=[{"name": "ann@example.com", "server": "mail2"}]))
    assert (scene.user("ann@example.com").server, scene.user("ann@example.com").kerio_id) == ("mail2", "id-ann")
    found = scene.sync(wish(directories=[directory(person("anna", id="id-ann"), BEN), two]))
    assert (why(found), scene.user("anna@example.com").id) == ({"anna@example.com": "was ann@example.com"}, row)


def test_a_user_of_the_inventory_may_be_written_otherwise(scene: Scene) -> None:
    scene.sync(wish(ANN, users=auditor()))
    row = scene.user("auditor").id
    found = scene.sync(wish(ANN, users=[{"name": "Auditor"}]))
    assert (why(found), scene.user("Auditor").id) == ({"Auditor": "was auditor"}, row)


def test_the_sentence_says_who_and_why_and_how_many_would_leave(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN))
    found = scene.plan(wish(person("anna", id="id-ann")))
    assert found.sentence(check_mode=True) == (
        "/srv/archive: would change archive users (change anna@example.com: was ann@example.com);"
        " 1 would leave with delete: true (ben@example.com)"
    )
    many = scene.plan(wish(ANN, BEN, *(person(f"p{number:02}") for number in range(1200))))
    assert many.sentence(check_mode=False).startswith(
        "/srv/archive: changed archive users (create p00@example.com: is new in mail1;"
    )
    assert many.sentence(check_mode=False).endswith("; and 1,192 more)")
    assert scene.plan(wish(ANN, BEN)).sentence(check_mode=True) == "/srv/archive: nothing to change in archive users"
