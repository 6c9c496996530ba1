# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody could do and read never goes to another person without a word of the operator."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_users, users, users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import History
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.users_scene import Scene, actions, person, scene, why, wish

__all__ = ["scene"]
ANN, BEN = person("ann"), person("ben")
AUDITS = [{"user": "ben@example.com", "privileges": ["login", "audit"], "reads": ["ann@example.com"]}]


def logins(scene: Scene) -> set[str]:
    """Who may log in, as the files of Dovecot will say."""
    return {account.name for account in access_users.decide(scene.catalog.users(deleted=True), ())[0] if account.way}


def left_and_target(scene: Scene) -> User:
    """Ben audits, leaves, and his name becomes the target of a profile."""
    scene.sync(wish(ANN, BEN, rights=AUDITS))
    scene.sync(wish(ANN, delete=True))
    return scene.catalog.ensure_user("ben@example.com", origin=users.PROFILE)


def test_a_leaver_who_becomes_a_target_has_no_right_and_cannot_log_in(scene: Scene) -> None:
    target = left_and_target(scene)
    assert (target.deleted, target.privileges, target.reads, target.kerio_login) == (None, (), (), "")
    assert logins(scene) == {"ann@example.com"}
    assert scene.sync(wish(ANN, delete=True)).steps == ()


def test_a_target_of_an_older_release_that_has_privileges_cannot_log_in_either() -> None:
    target = User(1, "ann", "ann", privileges=("login", "audit"), server="mail1", kerio_login="ann@x", origin=users.PROFILE)
    assert not users_rights.may_log_in(target)
    assert access_users.decide([target], ())[0][0].way == ""


def test_the_ledger_tells_a_leaver_who_becomes_a_target_as_a_change_of_that_tree(scene: Scene) -> None:
    target = left_and_target(scene)
    told = [json.loads(text) for _, text in scene.catalog.evidence_waiting()]
    (change,) = told[-1]["changes"]
    assert (change["action"], change["was"], change["tree"]) == ("changed", "ben@example.com", target.tree)
    history = History([target.tree])
    for entry in told:
        history.play(entry["changes"], entry["at"])
    rebuilt = history.users[target.tree]
    assert (rebuilt.deleted, rebuilt.values.origin, rebuilt.values.privileges) == (None, "profile", ())
    assert (rebuilt.values.server, rebuilt.values.kerio_id) == ("mail1", "id-ben")


def test_a_target_who_is_in_the_directory_again_is_back_with_the_default_privileges(scene: Scene) -> None:
    row = left_and_target(scene).id
    found = scene.sync(wish(ANN, BEN))
    back = scene.user("ben@example.com")
    assert why(found) == {"ben@example.com": "had left and is back"}
    assert (back.id, back.origin, back.privileges, back.reads) == (row, "directory", ("login", "read"), ())


def test_somebody_else_under_the_name_of_a_leaver_who_became_a_target_is_for_the_operator(scene: Scene) -> None:
    left_and_target(scene)
    with pytest.raises(UserPlanError, match=r"under the name of somebody else \(mail1 id id-ben\)"):
        scene.plan(wish(ANN, {**BEN, "id": "id-other"}))


AUDITOR = {"name": "aud@example.com", "privileges": ["login", "audit"]}
AUD = person("aud")


def with_auditor(scene: Scene, **more: object) -> None:
    """An auditor whom the inventory declares, beside Ann."""
    scene.sync(wish(ANN, users=[{**AUDITOR, **more}]))


@pytest.mark.parametrize("privileges", [["login", "audit"], ["login", "read"]])
def test_a_leaver_who_is_known_by_the_name_alone_is_not_the_account_of_that_name(scene: Scene, privileges: list[str]) -> None:
    with_auditor(scene, privileges=privileges)
    row = scene.user("aud@example.com").id
    scene.sync(wish(ANN, users=[{"name": "aud@example.com", "state": "absent"}]))
    with pytest.raises(UserPlanError, match=r"comes under the name of a user who has left and is known by the name alone"):
        scene.plan(wish(ANN, AUD))
    found = scene.sync(wish(ANN, AUD, reused_names={"aud@example.com": "adopt"}))
    after = scene.user("aud@example.com")
    assert why(found) == {"aud@example.com": "takes over the archive of that name"}
    assert (after.id, after.privileges) == (row, ("login", "read"))


def test_a_leaver_whom_the_inventory_declares_again_has_what_is_declared_then(scene: Scene) -> None:
    with_auditor(scene)
    row = scene.user("aud@example.com").id
    scene.sync(wish(ANN, users=[{"name": "aud@example.com", "state": "absent"}]))
    scene.sync(wish(ANN, users=[{"name": "aud@example.com"}]))
    again = scene.user("aud@example.com")
    assert (again.id, again.deleted, again.privileges) == (row, None, ("login", "read"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "whom the inventory declares no more, and who still has: audit. "),
        ({"privileges": ["administer"]}, "still has: administer. "),
        ({"privileges": ["login"], "reads": ["ann@example.com"]}, "still has: reads ann@example.com. "),
    ],
)
def test_powers_of_a_user_whom_the_inventory_declares_no_more_do_not_go_to_an_account(
    scene: Scene, more: dict[str, object], told: str
) -> None:
    with_auditor(scene, **more)
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(ANN, AUD))
    assert raised.value.subject == "the user name aud@example.com"
    assert told in str(raised.value)
    scene.sync(wish(ANN, AUD, reused_names={"@example.com": "adopt"}))
    after = scene.user("aud@example.com")
    assert (after.privileges, after.reads, after.kerio_id) == (("login", "read"), (), "id-aud")


def test_who_is_still_declared_or_has_no_power_over_others_is_the_account_of_the_name(scene: Scene) -> None:
    with_auditor(scene)
    scene.sync(wish(ANN, AUD, users=[AUDITOR]))
    kept = scene.user("aud@example.com")
    # Kerio's password is none for the archive: as declared, it stays the one that is given there.
    assert (kept.kerio_id, kept.privileges, kept.authentication) == ("id-aud", ("audit", "login"), "integrated")
    scene.sync(wish(ANN, AUD, users=[AUDITOR, {"name": "ben@example.com", "privileges": ["login", "export"]}]))
    scene.sync(wish(ANN, AUD, BEN, users=[AUDITOR]))
    assert (scene.user("ben@example.com").kerio_id, scene.user("ben@example.com").privileges) == ("id-ben", ("export", "login"))


def test_all_names_that_somebody_else_has_now_are_told_at_once(scene: Scene) -> None:
    people = [person(f"p{number:02}") for number in range(12)]
    scene.sync(wish(ANN, *people))
    others = [{**one, "id": f"new-{one['id']}"} for one in people]
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(ANN, *others))
    text = str(raised.value)
    assert (raised.value.subject, raised.value.details["count"]) == ("12 user names", 12)
    assert raised.value.details["users"] == [one["address"] for one in people]
    assert text.count("comes under the name of somebody else") == 10 and "; and 2 more" in text
    assert text.count("Say in reused_names") == 1


@pytest.mark.parametrize("keeps", [True, False], ids=["the old address is kept", "the old address is gone"])
def test_a_declared_user_who_is_renamed_at_kerio_is_not_split_in_two(scene: Scene, keeps: bool) -> None:
    entry = {"name": "ann@example.com"}
    scene.sync(wish(ANN, BEN, users=[entry]))
    row = scene.user("ann@example.com").id
    anna = person("anna", id="id-ann", addresses=["anna@example.com", *(["ann@example.com"] if keeps else [])])
    with pytest.raises(UserPlanError) as raised:
        scene.plan(wish(anna, BEN, users=[entry]))
    assert raised.value.subject == "users: ann@example.com"
    assert "anna@example.com (mail1 id id-ann)" in str(raised.value)
    assert "Declare the name anna@example.com if that is meant" in str(raised.value)
    found = scene.sync(wish(anna, BEN, users=[{"name": "anna@example.com"}]))
    assert why(found) == {"anna@example.com": "was ann@example.com"}
    assert (scene.user("anna@example.com").id, scene.user("anna@example.com").authentication) == (row, "integrated")


def test_a_user_of_the_inventory_may_be_called_by_an_own_address(scene: Scene) -> None:
    entry = {"name": "Info@example.com", "addresses": ["info@example.com"]}
    scene.sync(wish(ANN, users=[entry]))
    assert scene.user("Info@example.com").addresses == ("info@example.com",)
    with pytest.raises(UserPlanError, match=r"users: Info@example.com: it is an address of ann@example.com"):
        scene.plan(wish(person("ann", addresses=["ann@example.com", "info@example.com"]), users=[{"name": "Info@example.com"}]))


RESTORED = [{**one, "id": f"new-{one['id']}"} for one in (ANN, BEN)]


@pytest.mark.parametrize("names", ["@example.com", "ben@example.com"])
def test_the_same_person_under_another_id_keeps_archive_privileges_and_grants(scene: Scene, names: str) -> None:
    scene.sync(wish(ANN, BEN, rights=[*AUDITS, {"user": "ann@example.com", "reads": ["ben@example.com"]}]))
    before = {user.name: user for user in scene.catalog.users()}
    scene.sync(wish(*RESTORED, reused_names={names: "same", "ann@example.com": "same"}, delete=True))
    after = {user.name: user for user in scene.catalog.users(deleted=True)}
    assert set(after) == set(before)
    for name, user in after.items():
        assert user.kerio_id == f"new-{before[name].kerio_id}"
        assert (user.id, user.tree, user.privileges, user.reads) == (
            before[name].id,
            before[name].tree,
            before[name].privileges,
            before[name].reads,
        )


@pytest.mark.parametrize(("name", "told"), [("bob", "kerio id changed in mail1"), ("ann", "takes over the archive of that name")])
def test_a_name_that_is_a_login_is_in_the_domain_of_the_account(scene: Scene, name: str, told: str) -> None:
    scene.sync(wish(ANN, user_name="login"))
    row = scene.user("ann").id
    found = scene.sync(wish(RESTORED[0], user_name="login", reused_names={"@example.com": "same", name: "adopt"}))
    assert (why(found), scene.user("ann").id) == ({"ann": told}, row)


def test_a_name_that_is_a_login_is_in_no_other_domain(scene: Scene) -> None:
    scene.sync(wish(ANN, user_name="login"))
    with pytest.raises(UserPlanError, match="Say in reused_names, for the name or for @domain"):
        scene.plan(wish(RESTORED[0], user_name="login", reused_names={"@example.org": "same", "@ann": "same"}))


def test_an_address_is_in_its_own_domain_and_in_that_of_the_account(scene: Scene) -> None:
    one = person("ann", address="ann@alias.example.org", addresses=["ann@alias.example.org", "ann@example.com"])
    scene.sync(wish(one))
    for domain in ("@alias.example.org", "@example.com"):
        found = scene.plan(wish({**one, "id": "id-other"}, reused_names={domain: "same"}))
        assert actions(found) == {"ann@alias.example.org": "change"}


def test_a_leaver_may_be_the_same_person_too_and_a_renamed_user_may_not(scene: Scene) -> None:
    scene.sync(wish(ANN, BEN, rights=AUDITS))
    scene.sync(wish(ANN, delete=True))
    same = {"reused_names": {"ben@example.com": "same"}}
    with pytest.raises(UserPlanError, match=r"Say separate in reused_names: a renamed user has an archive already"):
        scene.plan(wish({**BEN, "id": "id-ann"}, **same))
    scene.sync(wish(ANN, RESTORED[1], **same))
    assert (scene.user("ben@example.com").privileges, scene.user("ben@example.com").deleted) == (("audit", "login"), None)


def test_who_was_granted_to_read_an_archive_does_not_read_the_mail_of_who_takes_it_over(scene: Scene) -> None:
    carl = person("carl")
    rights = [{"user": name, "reads": ["ann@example.com"]} for name in ("ben@example.com", "carl@example.com")]
    scene.sync(wish(ANN, BEN, carl, rights=rights))
    found = scene.sync(wish(RESTORED[0], BEN, carl, rights=rights[1:], reused_names={"ann@example.com": "adopt"}))
    assert [scene.user(name).reads for name in ("ben@example.com", "carl@example.com")] == [(), ("ann@example.com",)]
    assert why(found)["ben@example.com"] == "may not read ann@example.com any more, whose archive somebody else took over"
    assert (
        "reused_names: with adopt, these may not read an archive any more: ben@example.com that of ann@example.com."
        " Declare in reads who may"
    ) in found.warnings


@pytest.mark.parametrize(("rule", "before"), [("separate", " (ann@example.com (left, 1) is the one before)"), ("adopt", "")])
def test_what_is_declared_for_a_name_that_somebody_else_has_now_is_told_once(scene: Scene, rule: str, before: str) -> None:
    rights = [{"user": "ben@example.com", "reads": ["Ann@example.com"]}, {"user": "ann@example.com", "privileges": ["login"]}]
    assert scene.sync(wish(ANN, BEN, rights=rights)).warnings == ()
    desired = wish(RESTORED[0], BEN, rights=rights, reused_names={"ann@example.com": rule})
    assert scene.sync(desired).warnings == (
        "declared for a name that somebody else has now: rights: ben@example.com reads Ann@example.com"
        f"{before}, rights: ann@example.com{before}. Check that the newcomer is meant",
    )
    assert scene.plan(desired).warnings == ()


def test_rights_that_follow_an_address_are_told(scene: Scene) -> None:
    ann = person("ann", addresses=["ann@example.com", "help@example.com"])
    rights = [{"user": "HELP@example.com", "privileges": ["audit"]}, {"user": "ben@example.com", "reads": ["help@example.com"]}]
    assert scene.sync(wish(ann, BEN, rights=rights)).warnings == (
        "declared by an address, so that it goes to whoever gets the address: rights: HELP@example.com, which is ann@example.com,"
        " rights: ben@example.com reads help@example.com, which is ann@example.com. Declare the name",
    )
