# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory declares of users: who there is besides the directories, privileges, and whose archives they read."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_homes
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError, UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, Scene, directory, person, scene, why, wish

__all__ = ["scene"]
ANN, BEN = person("ann"), person("ben")
KERIO = {"name": "remote", "authentication": "kerio", "server": "mail1", "kerio_login": "Remote@Example.com"}


def test_declared_rights_are_the_truth_and_others_stay(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN))
    rights = [
        {"user": "ANN@example.com", "privileges": ["login", "audit"], "reads": ["ben@example.com"]},
        {"user": "auditor", "reads": ["ann@example.com"]},
    ]
    found = scene.sync(wish(ANN, BEN, users=[{"name": "auditor"}], rights=rights))
    assert why(found)["ann@example.com"] == "privileges, reads as the inventory declares"
    ann, ben, auditor = (scene.user(name) for name in ("ann@example.com", "ben@example.com", "auditor"))
    assert (ann.privileges, ann.reads) == (("audit", "login"), ("ben@example.com",))
    assert (ben.privileges, ben.reads) == (("login", "read"), ())
    assert (auditor.privileges, auditor.reads) == (("login", "read"), ("ann@example.com",))
    # What is declared no more stays; an empty list takes it away, and touches nothing else.
    assert scene.sync(wish(ANN, BEN, users=[{"name": "auditor"}])).steps == ()
    scene.sync(wish(ANN, BEN, users=[{"name": "auditor"}], rights=[{"user": "ann@example.com", "reads": []}]))
    assert (scene.user("ann@example.com").privileges, scene.user("ann@example.com").reads) == (("audit", "login"), ())


def test_entries_of_users_have_privileges_and_reads_too(scene: Scene) -> None:
    scene.sync(wish(ANN, users=[{"name": "boss", "privileges": ["administer"], "reads": ["ann@example.com"]}]))
    assert (scene.user("boss").privileges, scene.user("boss").reads) == (("administer",), ("ann@example.com",))


def test_reads_names_leavers_and_the_catchall_by_name_and_users_by_address(scene: Scene) -> None:
    scene.catalog.ensure_user("@catchall", origin=users.PROFILE)
    people = person("ann", addresses=["ann@example.com", "a.smith@example.com"]), BEN, person("carl")
    scene.sync(wish(*people))
    scene.sync(wish(*people[:2], delete=True))
    rights = [
        {"user": "ben@example.com", "reads": ["A.Smith@example.com", "carl@example.com", "@catchall", "ben@example.com", "new"]}
    ]
    scene.sync(wish(*people[:2], rights=rights, users=[{"name": "new"}]))
    assert scene.user("ben@example.com").reads == ("@catchall", "ann@example.com", "carl@example.com", "new")


def test_a_user_whose_server_could_not_be_read_gets_rights_all_the_same(scene: Scene) -> None:
    two = directory(person("gina", "example.org"), server="mail2", domains=["example.org"])
    scene.sync(wish(directories=[directory(ANN), two]))
    rights = [{"user": "gina@example.org", "reads": ["ann@example.com"]}, {"user": "never seen", "privileges": ["login"]}]
    found = scene.sync(wish(ANN, unread=frozenset({"mail2"}), rights=rights))
    assert scene.user("gina@example.org").reads == ("ann@example.com",)
    assert found.warnings == (
        "rights: never seen: no archive user is called so, but mail2 could not be read, so that this waits",
    )


def test_a_right_of_a_leaver_is_told_and_gives_nothing(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN))
    rights = [{"user": "ben@example.com", "privileges": ["administer"], "reads": ["ann@example.com"]}]
    found = scene.sync(wish(ANN, delete=True, rights=rights))
    assert found.warnings == (
        "rights: ben@example.com: ben@example.com has left, so that this gives nothing. Take the entry out",
    )
    assert (scene.user("ben@example.com").privileges, scene.user("ben@example.com").reads) == (("login", "read"), ())


def test_a_user_of_the_inventory_who_has_the_name_of_one_of_a_directory_is_that_one(scene: Scene) -> None:
    scene.sync(wish(ANN))
    row = scene.user("ann@example.com").id
    entry = {"name": "Ann@example.com", "full_name": "Ann A.", "addresses": ["Sales@example.com"], "privileges": ["login"]}
    scene.sync(wish({**ANN, "enabled": False, "groups": ["x"]}, users=[entry]))
    ann = scene.user("ann@example.com")
    assert (ann.id, ann.kerio_id, ann.origin, ann.authentication) == (row, "id-ann", "directory", "integrated")
    assert (ann.full_name, ann.addresses, ann.groups) == ("Ann A.", ("ann@example.com", "sales@example.com"), ("x",))
    # Her password is no matter of Kerio's, so whether Kerio lets her in is none either.
    assert (ann.enabled, ann.privileges) == (True, ("login",))
    kerio = {**entry, "authentication": "kerio", "server": "mail1", "kerio_login": "ann@example.com"}
    scene.sync(wish({**ANN, "authentication": "internal", "enabled": False}, users=[kerio]))
    assert (scene.user("ann@example.com").authentication, scene.user("ann@example.com").enabled) == ("internal", False)


def test_declared_users_are_found_without_comparing_them_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*_: object) -> bool:
        raise AssertionError("2,000 declared of 10,000 users would take 15 seconds")

    monkeypatch.setattr(users_homes.Candidate, "__eq__", compare)
    entries: list[Data] = [{"name": "ben@example.com"}, {"name": "auditor"}]
    found = users.plan_users("/srv/archive", wish(ANN, BEN, users=entries), [])
    assert [(step.values.name, step.values.authentication) for step in found.steps] == [
        ("ann@example.com", ""),
        ("ben@example.com", "integrated"),
        ("auditor", "integrated"),
    ]


def test_a_user_of_an_unread_server_may_be_declared_further(scene: Scene) -> None:
    two = directory(person("gina", "example.org", groups=["x"]), server="mail2", domains=["example.org"])
    scene.sync(wish(directories=[directory(ANN), two]))
    before = scene.user("gina@example.org")
    scene.sync(wish(ANN, unread=frozenset({"mail2"}), users=[{"name": "gina@example.org", "full_name": "Gina"}]))
    after = scene.user("gina@example.org")
    assert (after.id, after.kerio_id, after.server, after.addresses) == (before.id, before.kerio_id, "mail2", before.addresses)
    assert (after.full_name, after.authentication, after.groups) == ("Gina", "integrated", ("x",))


def test_a_login_at_kerio_is_kept_in_lower_case(scene: Scene) -> None:
    scene.sync(wish(person("Ann", address="ann@example.com"), users=[KERIO]))
    remote = scene.user("remote")
    assert (remote.authentication, remote.server, remote.kerio_login) == ("kerio", "mail1", "remote@example.com")
    assert scene.user("ann@example.com").kerio_login == "ann@example.com"
    assert scene.user("ann@example.com").addresses[0] == "ann@example.com"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": " "}, "it is no name for a user"),
        ({"name": "@catchall"}, "it is no name for a user"),
        ({"name": "a\nb"}, "it is no name for a user"),
        ({"name": "x", "authentication": "local"}, "'local' is no authentication"),
        ({**KERIO, "server": ""}, "needs the server and the login there"),
        ({**KERIO, "kerio_login": ""}, "needs the server and the login there"),
        ({**KERIO, "kerio_login": "remote"}, "needs the server and the login there"),
        ({**KERIO, "server": "mail9"}, "'mail9' is no server of this run"),
        ({**KERIO, "authentication": "integrated"}, "kerio_login is for authentication: kerio"),
        ({"name": "x", "privileges": ["none", "login"]}, "users: x: none stands beside others"),
        ({"name": "x", "reads": ["nobody"]}, "users: x: reads names nobody, and no archive user, leavers included"),
        ({"name": "ann@example.com", "server": "mail2"}, "the name ann@example.com: .* both have it"),
        ({**KERIO, "name": "ann@example.com"}, "the name ann@example.com: .* both have it"),
        ({"name": "boss", "addresses": ["ANN@example.com"]}, "the address ann@example.com: .* both have it"),
        ({"name": "BOSS"}, "users: boss: two entries have this name|users: BOSS: two entries have this name"),
    ],
)
def test_what_is_declared_wrong_is_refused(scene: Scene, entry: Data, words: str) -> None:
    two = directory(person("gina", "example.org"), server="mail2", domains=["example.org"])
    with pytest.raises(ArchiveToolError, match=words):
        scene.plan(
            wish(directories=[directory(ANN), two], users=[{"name": "boss"}, entry] if entry["name"] != "boss" else [entry])
        )


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ([{"user": "nobody"}], "rights: nobody: no archive user is called so"),
        ([{"user": "ann@example.com", "reads": ["nobody"]}], "rights: ann@example.com: reads names nobody"),
        ([{"user": "ann@example.com", "privileges": ["none", "read"]}], "rights: ann@example.com: none stands beside others"),
        ([{"user": "ann@example.com", "privileges": ["delete"]}], "'delete' is no privilege"),
        ([{"user": "@catchall", "privileges": ["login"]}], "nobody logs in as that"),
        (
            [{"user": "ann@example.com", "privileges": ["login"]}, {"user": "a@example.com", "privileges": ["read"]}],
            "rights: a@example.com: privileges are declared twice for ann@example.com",
        ),
        ([{"user": "boss", "reads": []}], "rights: boss: reads are declared twice for boss"),
    ],
)
def test_rights_that_cannot_be_given_are_refused(scene: Scene, rights: list[Data], words: str) -> None:
    scene.catalog.ensure_user("@catchall", origin=users.PROFILE)
    ann = person("ann", addresses=["ann@example.com", "a@example.com"])
    with pytest.raises((InputError, UserPlanError), match=words):
        scene.plan(wish(ann, users=[{"name": "boss", "reads": ["ann@example.com"]}], rights=rights))


def test_masks_in_rights_are_refused() -> None:
    with pytest.raises(InputError, match=r"rights\[0\]\.user: .* masked by Ansible"):
        users.plan_users("/srv/archive", wish(ANN, rights=[{"user": "a********@example.com"}]), [])


def test_the_same_rights_may_be_split_over_two_entries(scene: Scene) -> None:
    rights = [{"user": "ann@example.com", "privileges": ["login"]}, {"user": "ann@example.com", "reads": ["ben@example.com"]}]
    scene.sync(wish(ANN, BEN, rights=rights))
    assert (scene.user("ann@example.com").privileges, scene.user("ann@example.com").reads) == (("login",), ("ben@example.com",))
