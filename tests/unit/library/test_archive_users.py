# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import json
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_users
from tests.unit.library.module_run import run_module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    Store.create(str(path)).close()
    Catalog.open(str(path / "catalog.sqlite3")).close()
    return path


def person(login: str, **more: t.Any) -> dict[str, t.Any]:
    address = f"{login}@example.com"
    return {"id": f"id-{login}", "login": login, "domain": "example.com", "address": address, "addresses": [address], **more}


def directory(*users: dict[str, t.Any], server: str = "mail1") -> dict[str, t.Any]:
    return {"server": server, "users": list(users), "domains": [], "groups": [], "aliases": []}


def run(root: Path, *users: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_users.main, root=str(root), **{"directories": [directory(*users)], **options})


def names(root: Path) -> dict[str, int]:
    with Catalog.open(str(root / "catalog.sqlite3"), readonly=True) as catalog:
        return {user.name: user.id for user in catalog.users()}


@pytest.mark.shows("change", "again")
def test_a_first_and_a_second_synchronisation(root: Path) -> None:
    result = run(root, person("ann"), person("ben"))
    assert not result["failed"], result
    assert result["counts"] == {"create": 2, "change": 0, "delete": 0}
    assert result["users"][0] == {"name": "ann@example.com", "action": "create", "why": "is new in mail1"}
    assert set(names(root)) == {"ann@example.com", "ben@example.com"}
    again = run(root, person("ann"), person("ben"))
    assert (again["changed"], again["users"], again["diff"]["after"]) == (False, [], {})


def test_the_ledger_is_told_who_has_it_done(root: Path) -> None:
    run(root, person("ann"), by="admin@controller")
    run(root, person("ann", full_name="Ann"))
    with Catalog.open(str(root / "catalog.sqlite3"), readonly=True) as catalog:
        waiting = [json.loads(text) for _number, text in catalog.evidence_waiting()]
    assert [(entry["event"], entry["by"]) for entry in waiting] == [("users", "admin@controller"), ("users", "")]


@pytest.mark.shows("check", "diff")
def test_check_mode_says_why_and_writes_nothing(root: Path, tmp_path: Path) -> None:
    run(root, person("ann"), person("ben"))
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    result = run(root, person("anna", id="id-ann"), delete=True, check=True)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before
    assert result["changed"]
    assert {(user["name"], user["action"]): user["why"] for user in result["users"]} == {
        ("anna@example.com", "change"): "was ann@example.com",
        ("ben@example.com", "delete"): "is not in the directory of mail1 any more",
    }
    assert result["msg"].endswith(
        ": would change archive users (change anna@example.com: was ann@example.com;"
        " delete ben@example.com: is not in the directory of mail1 any more)"
    )
    assert result["diff"]["before"]["users"]["anna@example.com"]["name"] == "ann@example.com"
    assert set(names(root)) == {"ann@example.com", "ben@example.com"}
    missing = run(tmp_path / "not there yet", person("ann"), check=True)
    assert not missing["failed"] and missing["counts"]["create"] == 1


def test_a_renamed_user_keeps_row_and_tree(root: Path) -> None:
    run(root, person("ann"))
    before = names(root)["ann@example.com"]
    result = run(root, person("anna", id="id-ann"))
    assert result["counts"] == {"create": 0, "change": 1, "delete": 0}
    assert names(root) == {"anna@example.com": before}
    with Catalog.open(str(root / "catalog.sqlite3")) as catalog:
        assert catalog.users()[0].tree == "ann@example.com"


def test_a_deleted_user_can_come_back(root: Path) -> None:
    run(root, person("ann"), person("ben"))
    before = names(root)["ben@example.com"]
    assert run(root, person("ann"), delete=True)["counts"]["delete"] == 1
    assert "ben@example.com" not in names(root)
    assert not run(root, person("ann"), delete=True)["changed"]
    back = run(root, person("ann"), person("ben"))
    assert back["users"] == [{"name": "ben@example.com", "action": "change", "why": "had left and is back"}]
    assert names(root)["ben@example.com"] == before


def test_who_left_within_a_day_counts_for_the_limits(root: Path) -> None:
    run(root, person("ann"), person("ben"), person("carl"))
    assert not run(root, person("ann"), person("ben"), delete=True)["failed"]
    refused = run(root, person("ann"), delete=True)
    assert refused["failed"] and "1 left in the last 24 hours, and 1 may be within 24 hours" in refused["msg"]
    with contextlib.closing(sqlite3.connect(root / "catalog.sqlite3")) as database, database:
        database.execute("UPDATE users SET deleted = deleted - 86401 WHERE deleted IS NOT NULL")
    database.close()
    assert run(root, person("ann"), delete=True)["counts"]["delete"] == 1


@pytest.mark.parametrize("mask", ["********@example.com", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"])
def test_masked_values_are_refused(root: Path, mask: str) -> None:
    result = run(root, person("ann", address=mask))
    assert result["failed"] and "masked by Ansible" in result["msg"]
    assert "directories[0].users[0].address" in result["msg"]
    assert names(root) == {}


@pytest.mark.shows("error")
def test_a_collision_names_both_users_and_stops(root: Path) -> None:
    result = run(
        root, person("ann", addresses=["ann@example.com", "INFO@example.com"]), person("ben", addresses=["info@example.com"])
    )
    assert result["failed"] and "ann@example.com (mail1 id id-ann) and ben@example.com (mail1 id id-ben)" in result["msg"]
    assert names(root) == {}


@pytest.mark.shows("error", "again", "check")
def test_a_refusal_that_keeps_a_newcomer_out_says_so_and_that_something_changed(root: Path) -> None:
    run(root, person("ann"), person("ben"))
    newcomer = person("ann", id="id-other"), person("ben")
    results = [run(root, *newcomer, check=check) for check in (True, False, False)]
    assert [(result["failed"], result["changed"]) for result in results] == [(True, False), (True, True), (True, False)]
    assert [result["error"]["held"] for result in results] == [["ann@example.com"]] * 3
    assert "; ann@example.com could not log in to the archive meanwhile, if this were not check mode. " in results[0]["msg"]
    assert "; ann@example.com cannot log in to the archive meanwhile, from the next access.yml" in results[1]["msg"]
    assert results[2]["msg"] == results[1]["msg"]


def test_wrong_options_are_refused(root: Path) -> None:
    assert "stands beside others" in run(root, default_privileges=["none", "read"])["msg"]
    assert "is no rule" in run(root, reused_names={"ann": "maybe"})["msg"]
    assert "is no directory" in run(root, directories=[{"server": "mail1"}])["msg"]
    assert "is a second directory of mail1" in run(root, directories=[directory(), directory()])["msg"]
    assert "Give a number from 0." in run(root, delete_limit=-1)["msg"]
    assert "Give a number from 0 to 100" in run(root, delete_limit_share=101)["msg"]
    assert "users: x: kerio_login is for" in run(root, users=[{"name": "x", "kerio_login": "x@example.com"}])["msg"]
    assert "rights: nobody: no archive user" in run(root, person("ann"), rights=[{"user": "nobody", "reads": []}])["msg"]


def test_what_would_leave_waits_or_is_bounded_is_returned(root: Path) -> None:
    two = directory(person("gina", domain="example.org"), server="mail2")
    run(root, directories=[directory(*(person(f"p{number}") for number in range(4))), two])
    waits = person("p0", home_server="Mail-Two")
    result = run(root, waits, person("p1"), unread=["mail2"], home_servers={"MAIL-TWO": "mail2"})
    assert not result["changed"] and result["left_out"] == []
    assert result["would_leave"] == [
        {"name": f"p{number}@example.com", "why": "is not in the directory of mail1 any more"} for number in (2, 3)
    ]
    assert result["waiting"] == [{"name": "p0@example.com", "why": "the directory of the home server mail2 could not be read"}]
    refused = run(root, person("p1"), unread=["mail2"], delete=True)
    assert refused["failed"] and refused["error"]["allowed"] == 1
    assert refused["error"]["users"] == ["p0@example.com", "p2@example.com", "p3@example.com"]
    allowed = run(root, person("p1"), delete=True, delete_limit=3, delete_limit_share=60, gone={"servers": ["mail2"]})
    assert allowed["failed"] and allowed["error"]["count"] == 4
    done = run(root, person("p1"), delete=True, delete_limit=4, delete_limit_share=80, gone={"servers": ["mail2"]})
    assert (done["counts"]["delete"], done["would_leave"], set(names(root))) == (4, [], {"p1@example.com"})


def test_rights_and_logins_are_kept_in_the_catalog(root: Path) -> None:
    kerio = {"name": "remote", "authentication": "kerio", "server": "mail1", "kerio_login": "Remote@example.com"}
    rights = [{"user": "ann@example.com", "privileges": ["login", "audit"], "reads": ["remote"]}]
    result = run(root, person("ann"), users=[kerio, {"name": "boss", "privileges": ["administer"]}], rights=rights)
    assert not result["failed"], result
    with Catalog.open(str(root / "catalog.sqlite3"), readonly=True) as catalog:
        found = {user.name: (user.authentication, user.kerio_login, user.privileges, user.reads) for user in catalog.users()}
    assert found == {
        "ann@example.com": ("", "ann@example.com", ("audit", "login"), ("remote",)),
        "boss": ("integrated", "", ("administer",), ()),
        "remote": ("kerio", "remote@example.com", ("login", "read"), ()),
    }
    assert not run(root, person("ann"), users=[kerio, {"name": "boss"}])["changed"]


def test_a_root_without_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "it holds no archive" in run(tmp_path / "empty", person("ann"))["msg"]


def test_a_run_that_goes_on_is_not_waited_for(root: Path) -> None:
    with Store.open(str(root), lock="archive_run"), Catalog.open(str(root / "catalog.sqlite3")) as catalog:
        catalog.begin_run({})
        assert run(root, person("ann"))["changed"]


def test_a_name_in_the_scope_that_takes_nobody_is_told(root: Path) -> None:
    scope = {"domains": ["EXAMPLE.com", "exampel.com"], "groups": ["staff@example.com", "staf"]}
    ann = person("ann", groups=["staff"])
    assert run(root, ann, scope=scope)["warnings"] == [
        "scope: no user of the directories is in the domain exampel.com. Correct the name, or take it out",
        "scope: no user of the directories is in the group staf. Correct the name, or take it out",
    ]
    assert run(root, scope=scope)["warnings"] == []
