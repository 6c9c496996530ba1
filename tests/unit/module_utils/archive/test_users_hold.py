# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes under the name of somebody else does not read that archive while the operator has not said who it is."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_users, users, users_sync
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.users_scene import Data, directory, person, why, wish

ANN, BEN, CARL = person("ann"), person("ben"), person("carl")
NEW_ANN, NEW_BEN = person("ann", id="id-other"), person("ben", id="id-third")
MEANWHILE = "cannot log in to the archive meanwhile, from the next access.yml or site.yml on"


class Held:
    """An archive, as archive_users sees it."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        Store.create(self.root).close()
        Catalog.open(f"{self.root}/catalog.sqlite3").close()

    def sync(self, *people: Data, **more: t.Any) -> users.UserPlan:
        return users_sync.synchronise(self.root, wish(*people, **more), check_mode=False, owner="admin")

    def refused(self, *people: Data, check: bool = False, **more: t.Any) -> UserPlanError:
        with pytest.raises(UserPlanError) as raised:
            users_sync.synchronise(self.root, wish(*people, **more), check_mode=check, owner="admin")
        assert "rows" not in raised.value.details
        return raised.value

    def rows(self) -> dict[str, User]:
        with Catalog.of(self.root, readonly=True) as catalog:
            return {user.name.partition("@")[0]: user for user in catalog.users(deleted=True)}

    def enabled(self) -> dict[str, bool]:
        return {name: user.enabled for name, user in self.rows().items()}

    def ledger(self) -> list[Data]:
        with Catalog.of(self.root, readonly=True) as catalog:
            return [json.loads(text) for _, text in catalog.evidence_waiting()]

    def accounts(self) -> dict[str, access_users.Account]:
        """What Dovecot will know, by name."""
        with Catalog.of(self.root, readonly=True) as catalog:
            found, _ = access_users.decide(catalog.users(deleted=True), ["ann@example.com"])
        return {account.name: account for account in found}

    def logins(self) -> set[str]:
        return {name for name, account in self.accounts().items() if account.way}


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path / "archive")


def test_nobody_logs_in_as_who_had_the_name_and_a_second_refusal_writes_nothing(held: Held) -> None:
    held.sync(
        ANN, BEN, CARL, rights=[{"user": "ann@example.com", "privileges": ["login", "audit"], "reads": ["ben@example.com"]}]
    )
    before, told = held.rows(), len(held.ledger())
    first = held.refused(NEW_ANN, NEW_BEN, {**CARL, "full_name": "Carl"})
    assert str(first).count(f"; ann@example.com, ben@example.com {MEANWHILE}. Say in reused_names") == 1
    assert (first.details["held"], first.details["done"]) == (["ann@example.com", "ben@example.com"], True)
    after = held.rows()
    assert held.enabled() == {"ann": False, "ben": False, "carl": True}
    # Nothing else of the plan is written, and nothing else of the rows is changed.
    assert after["carl"] == before["carl"]
    for name in ("ann", "ben"):
        assert vars(after[name]) == {**vars(before[name]), "enabled": False}
    # One transaction, told as any other change.
    (entry,) = held.ledger()[told:]
    assert (entry["event"], entry["by"]) == ("users", "admin")
    assert [(change["action"], change["tree"], change["enabled"]) for change in entry["changes"]] == [
        ("changed", "ann@example.com", False),
        ("changed", "ben@example.com", False),
    ]
    assert held.logins() == {"carl@example.com"}
    ann = held.accounts()["ann@example.com"]
    assert (ann.audits, ann.own, ann.reads) == (False, False, ())
    again = held.refused(NEW_ANN, NEW_BEN, CARL)
    assert (str(again), again.details["done"]) == (str(first), False)
    assert (held.rows(), len(held.ledger())) == (after, told + 1)


@pytest.mark.parametrize("already", [False, True])
def test_check_mode_tells_and_writes_nothing(held: Held, already: bool) -> None:
    held.sync(ANN, BEN)
    if already:
        held.refused(NEW_ANN, BEN)
    before, told = held.rows(), len(held.ledger())
    error = held.refused(NEW_ANN, BEN, check=True)
    would = "could not log in to the archive meanwhile, if this were not check mode"
    assert f"; ann@example.com {MEANWHILE if already else would}. Say" in str(error)
    assert (error.details["held"], error.details["done"]) == (["ann@example.com"], False)
    assert (held.rows(), len(held.ledger())) == (before, told)


@pytest.mark.parametrize("rule", ["same", "adopt", "separate"])
def test_once_it_is_said_who_it_is_the_directory_says_who_may_log_in(held: Held, rule: str) -> None:
    held.sync(ANN, BEN)
    row = held.rows()["ann"].id
    held.refused(NEW_ANN, BEN)
    held.sync(NEW_ANN, BEN, reused_names={"ann@example.com": rule})
    with Catalog.of(held.root, readonly=True) as catalog:
        ann = catalog.user_by_name("ann@example.com")
        old = catalog.user(row)
    assert ann is not None and old is not None
    assert (ann.enabled, ann.kerio_id, ann.id == row) == (True, "id-other", rule != "separate")
    assert held.logins() == {"ann@example.com", "ben@example.com"}
    # Who left is no more let in than before.
    assert (old.deleted is not None, old.enabled) == ((True, False) if rule == "separate" else (False, True))
    assert held.sync(NEW_ANN, BEN, reused_names={"ann@example.com": rule}).steps == ()


def test_one_whose_account_is_disabled_stays_so_when_it_is_said_who_it_is(held: Held) -> None:
    held.sync({**ANN, "enabled": False}, BEN)
    told = len(held.ledger())
    error = held.refused(NEW_ANN, BEN)
    assert (error.details["done"], len(held.ledger())) == (False, told)
    assert f"; ann@example.com {MEANWHILE}" in str(error)
    held.sync({**NEW_ANN, "enabled": False}, BEN, reused_names={"@example.com": "same"})
    assert held.enabled() == {"ann": False, "ben": True}


def test_who_had_the_name_and_is_back_may_log_in_again(held: Held) -> None:
    held.sync(ANN, BEN)
    held.refused(NEW_ANN, BEN)
    assert why(held.sync(ANN, BEN)) == {"ann@example.com": "enabled changed in mail1"}
    assert held.enabled() == {"ann": True, "ben": True}


def test_a_newcomer_who_is_left_out_afterwards_is_not_let_in(held: Held) -> None:
    held.sync(ANN, BEN)
    held.refused(NEW_ANN, BEN)
    assert held.sync(NEW_ANN, BEN, not_users=frozenset({"ann@example.com"})).steps == ()
    assert held.enabled() == {"ann": False, "ben": True}


def test_a_renamed_user_does_not_read_the_archive_of_who_had_that_name(held: Held) -> None:
    held.sync(ANN, BEN)
    error = held.refused(person("ben", id="id-ann"))
    assert error.details["held"] == ["ben@example.com"]
    assert held.enabled() == {"ann": True, "ben": False}


def test_a_leaver_and_a_user_with_a_password_of_the_archive_are_not_touched(held: Held) -> None:
    """No password of Kerio's opens these archives."""
    held.sync(ANN, BEN, users=[{"name": "ann@example.com"}])
    held.sync(ANN, users=[{"name": "ann@example.com"}], delete=True)
    before, told = held.rows(), len(held.ledger())
    error = held.refused(NEW_ANN, NEW_BEN, users=[{"name": "ann@example.com"}])
    assert error.subject == "2 user names" and "log in" not in str(error) and "held" not in error.details
    assert (held.rows(), len(held.ledger())) == (before, told)
    assert held.accounts()["ann@example.com"].way == "integrated"


def test_the_target_of_a_profile_as_whom_nobody_logs_in_is_not_touched(held: Held) -> None:
    held.sync(ANN, BEN)
    held.sync(ANN, delete=True)
    with Catalog.of(held.root) as catalog:
        catalog.ensure_user("ben@example.com", origin=users.PROFILE)
    before = held.rows()
    assert "held" not in held.refused(ANN, NEW_BEN).details
    assert held.rows() == before


def test_a_user_of_the_inventory_whose_password_kerio_checks_is_held_until_declared_again(held: Held) -> None:
    entry = {"name": "aud@example.com", "authentication": "kerio", "server": "mail1", "kerio_login": "aud@example.com"}
    declared = [{**entry, "privileges": ["login", "audit"]}]
    held.sync(ANN, users=declared)
    held.refused(ANN, person("aud"))
    assert held.enabled() == {"ann": True, "aud": False}
    held.sync(ANN, person("aud"), users=declared)
    assert held.enabled() == {"ann": True, "aud": True}


@pytest.mark.parametrize(
    ("desired", "told"),
    [
        ({"rights": [{"user": "alise@example.com", "reads": []}]}, "no archive user is called so"),
        ({"directories": [directory(BEN, CARL)], "delete": True, "delete_limit": 0}, "would be deleted"),
        ({"directories": [directory(ANN, person("carl", addresses=["ann@example.com"]))]}, "both have it"),
    ],
    ids=["typo", "guard", "collision"],
)
def test_a_refusal_for_another_reason_holds_nobody(held: Held, desired: Data, told: str) -> None:
    held.sync(ANN, BEN, CARL)
    before, entries = held.rows(), len(held.ledger())
    error = held.refused(**{"directories": [directory(ANN, BEN, CARL)], **desired})
    assert told in str(error) and "held" not in error.details
    assert (held.rows(), len(held.ledger())) == (before, entries)


NOT_ANN: tuple[Data, ...] = ({"not_users": frozenset({"ann"})}, {"scope": users.Scope(domains=frozenset({"example.org"}))})


@pytest.mark.parametrize("left_out", NOT_ANN, ids=["not_users", "scope"])
def test_a_newcomer_whom_nobody_wants_does_not_get_in_by_the_row_of_the_one_before(held: Held, left_out: Data) -> None:
    held.sync(ANN, BEN)
    plan = held.sync(NEW_ANN, BEN, **left_out)
    assert held.enabled()["ann"] is False
    assert why(plan)["ann@example.com"] == "cannot log in: another account (id id-other) has the login ann@example.com now"
    assert "ann@example.com" not in held.logins()
    assert held.sync(NEW_ANN, BEN, **left_out).steps == ()
    held.sync(ANN, BEN)
    assert held.enabled()["ann"] is True


def test_who_is_left_out_alone_keeps_the_login(held: Held) -> None:
    held.sync(ANN, BEN)
    held.sync(ANN, BEN, not_users=frozenset({"ann"}))
    assert held.enabled() == {"ann": True, "ben": True}
