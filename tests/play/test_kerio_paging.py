# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains with thousands of users: every page is read, whatever the server cuts, and one user among them is found."""

from __future__ import annotations

import typing as t

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, connection, one, play, written

MANY = 5200
PASSWORD = "not-a-secret-vault-mailbox"
LAST = f"person{MANY:05}"


def directory(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_directory_info", {**connection(server), **options})


def users(server: LabServer, *entries: dict[str, t.Any], **options: t.Any) -> Step:
    return Step("kerio_users", {**connection(server), "users": list(entries), **options})


def test_thousands_of_users_are_read_and_declared(mail1: LabServer) -> None:
    identities = mail1.fill_users(MANY)
    total = MANY + len(mail1.users)
    found = one(directory(mail1)).result
    assert found["calls"].count("Users.get") == 6
    everybody = {user["id"]: user["address"] for user in found["directory"]["users"]}
    assert (len(everybody), len(set(everybody.values()))) == (total, total)
    assert set(identities) < set(everybody)
    # All of them but one: the set is whole, and what is far behind in the list is changed, removed and proved.
    entries = [{"address": address} for address in everybody.values() if not address.startswith(LAST)]
    chosen = next(entry for entry in entries if entry["address"].startswith("person04321"))
    chosen["description"] = "far behind"
    step = users(mail1, *entries, whole_domains=["example.com"])
    real, again = play(step, step)
    assert (real.status, again.status) == ("changed", "ok")
    assert real.result["accounts"] == {
        "create": [],
        "change": ["person04321@example.com"],
        "delete": [f"{LAST}@example.com"],
    }
    assert written(mail1) == ["Users.set", "Users.remove"]
    # 5,205 users before and 5,204 after are six pages each; nothing is asked for twice.
    assert (real.result["calls"].count("Users.get"), again.result["calls"].count("Users.get")) == (12, 6)
    everybody_else = users(mail1, *entries[:100], whole_domains=["example.com"])
    assert_one_sentence(one(everybody_else), "accounts would be removed", "more), and delete_limit is 5")
    assert written(mail1) == ["Users.set", "Users.remove"]


def test_a_server_that_caps_its_pages_is_read_to_the_end(mail1: LabServer) -> None:
    mail1.fill_users(MANY)
    with mail1.switched(list_limit=700):
        found, made = play(
            directory(mail1),
            users(
                mail1,
                {"address": f"{LAST}@example.com", "enabled": False},
                {"address": "zz@example.com", "password": PASSWORD},
            ),
        )
    assert len(found.result["directory"]["users"]) == MANY + len(mail1.users)
    assert found.result["calls"].count("Users.get") == 8
    assert made.diff["after"]["users"][f"{LAST}@example.com"] == {"enabled": False}
    assert written(mail1) == ["Users.create", "Users.set"]


def test_a_name_that_contains_a_password_is_not_returned_masked(mail1: LabServer) -> None:
    """Ansible masks by substring: the next module would believe the stars."""
    person = mail1.add_user("person", fullName=f"named {mail1.admin_password}")
    read, named = play(
        directory(mail1),
        users(mail1, {"address": "person-of-note@example.com", "password": "person-of-note"}),
    )
    for answer in (read, named):
        assert answer.result["error"]["kind"] == "secret_in_result"
        assert answer.failed
    assert "directory" not in read.result
    assert written(mail1) == []
    mail1.remove_users([person["id"]])
    mail1.forget_settings()
