# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_users, run by ansible-playbook against the lab."""

from __future__ import annotations

import imaplib
import ssl
import typing as t

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play, settle, written

PASSWORD = "not-a-secret-vault-mailbox"
QUERY = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
VAULT = {"address": "vault@example.com", "full_name": "Vault", "in_global_address_list": False, "password": PASSWORD}


def users(server: LabServer, *entries: dict[str, t.Any], **options: t.Any) -> Step:
    return Step("kerio_users", {**connection(server), "users": list(entries), **options})


def domain_of(server: LabServer) -> dict[str, t.Any]:
    found: dict[str, t.Any] = server.api("Domains.get", {"query": QUERY})["list"][0]
    return found


def accounts(server: LabServer) -> dict[str, dict[str, t.Any]]:
    """Return all users as an administrator sees them, by login name."""
    found = server.api("Users.get", {"query": QUERY, "domainId": domain_of(server)["id"]})["list"]
    return {entry["loginName"]: entry for entry in found}


def change(server: LabServer, login: str, **members: t.Any) -> None:
    """Change a user as an administrator does, behind the module's back."""
    server.api("Users.set", {"userIds": [accounts(server)[login]["id"]], "pattern": members})


def absent(login: str) -> dict[str, t.Any]:
    return {"address": f"{login}@example.com", "state": "absent"}


def test_accounts_are_created_changed_and_removed_once(mail1: LabServer) -> None:
    before = accounts(mail1)
    bob = {
        "address": "Bob@Example.com",
        "full_name": "Bob of the office",
        "description": "reads the archive",
        "addresses": ["robert", "OFFICE@example.net"],
        "role": "auditor",
        "archive_folder_right": True,
        "public_folder_right": True,
        "may_change_password": False,
        "disk_limit_mb": 1024,
        "item_limit": 5000,
        "enabled": False,
    }
    step = users(mail1, VAULT, bob, absent("carol"), absent("nobody"))
    real = settle(mail1, step, "Users.create", "Users.set", "Users.remove")
    assert real.msg == (
        "mail1: changed users (create vault@example.com, change bob@example.com, delete carol@example.com); "
        "the mail of removed accounts stays in the message store"
    )
    after = accounts(mail1)
    assert set(after) == {*before, "vault"} - {"carol"}
    assert (after["vault"]["isEnabled"], after["vault"]["publishInGal"]) == (True, False)
    assert {name for name, value in after["bob"].items() if value != before["bob"][name]} == {
        *("fullName", "description", "emailAddresses", "role", "effectiveRole", "allowPasswordChange"),
        *("diskSizeLimit", "itemLimit", "isEnabled"),
    }
    assert sorted(after["bob"]["emailAddresses"]) == ["office", "robert"]
    untouched = set(before) - {"bob", "carol"}
    assert {login: after[login] for login in untouched} == {login: before[login] for login in untouched}
    # The password that was written opens the mailbox.
    assert logs_in(mail1, "vault@example.com", PASSWORD)
    assert not logs_in(mail1, "bob@example.com", mail1.user("bob")["password"])


def logs_in(server: LabServer, name: str, password: str) -> bool:
    """Whether the password opens the mailbox."""
    trusted = ssl.create_default_context(cafile=server.ca_file)
    with imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=trusted, timeout=30) as client:
        try:
            return client.login(name, password)[0] == "OK"
        except imaplib.IMAP4.error:
            return False


# Positions of what nobody knows about real servers.
SERVERS: list[dict[str, t.Any]] = [
    {"unknown_members": "reject", "read_only_members": "reject", "incomplete_struct": "reject", "void_result": "null"},
    {"profile": "2013", "language": "de", "write_only": "absent", "list_limit": 2, "session_calls": 10},
    {"profile": "9.4", "extra_members": True, "group_role": "object", "null_error": True},
]


@pytest.mark.parametrize("positions", SERVERS, ids=["strict", "old", "talkative"])
def test_accounts_are_declared_on_servers_of_every_kind(mail1: LabServer, positions: dict[str, t.Any]) -> None:
    alice = {
        "address": "alice@example.com",
        "role": "auditor",
        "disk_limit_mb": 700,
        "item_limit": 70,
        "password_reversible": True,
    }
    step = users(mail1, {**VAULT, "archive_folder_right": True, "item_limit": 9}, alice, absent("carol"))
    with mail1.switched(**positions):
        real, again = play(step, step)
    assert (real.status, again.status) == ("changed", "ok"), (real, again)
    assert real.result["accounts"] == {
        "create": ["vault@example.com"],
        "change": ["alice@example.com"],
        "delete": ["carol@example.com"],
    }
    found = accounts(mail1)
    assert found["vault"]["role"] == {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": True}
    assert found["alice"]["itemLimit"] == {"isActive": True, "limit": 70}


@pytest.mark.shows("by_hand")
def test_what_was_changed_by_hand_is_put_right_and_nothing_else(mail1: LabServer) -> None:
    declared = {"address": "alice@example.com", "full_name": "Alice", "role": "user", "enabled": True}
    one(users(mail1, declared))
    right = accounts(mail1)["alice"]["role"]
    change(mail1, "alice", isEnabled=False, description="by hand", role={**right, "userRole": "Auditor"})
    mail1.forget()
    answer = one(users(mail1, declared))
    assert answer.diff["before"] == {"users": {"alice@example.com": {"enabled": False, "role": "auditor"}}}
    assert written(mail1) == ["Users.set"]
    alice = accounts(mail1)["alice"]
    assert (alice["isEnabled"], alice["description"], alice["role"]) == (True, "by hand", right)


def test_password_is_written_in_every_run_only_if_always_is_declared(mail1: LabServer) -> None:
    always = {"address": "dora@example.com", "password": PASSWORD, "update_password": "always", "password_reversible": True}
    stored, first, again = play(
        users(mail1, {**always, "update_password": "on_create", "password_reversible": False}),
        users(mail1, always),
        users(mail1, always),
    )
    assert [stored.status, first.status, again.status] == ["ok", "changed", "changed"]
    assert again.diff["after"] == {"users": {"dora@example.com": {"password": "(new secret)"}}}
    assert first.warnings == []


def test_a_whole_domain_keeps_who_must_stay(mail1: LabServer) -> None:
    admin = {**accounts(mail1)["dora"]["role"], "userRole": "FullAdmin"}
    change(mail1, "dora", role=admin)
    mail1.add_user("mapped", directory=True)
    kept = [{"address": "alice@example.com"}, {"address": "archive@example.com"}]
    settings = mail1.api("Archive.get")["options"]
    archived = {**settings, "remoteArchive": {"enabled": True, "value": "archive@example.net"}}
    mail1.api("Archive.set", {"options": archived})
    many, archive, none, mapped = play(
        users(mail1, *kept, VAULT, whole_domains=["example.com"], delete_limit=1),
        users(mail1, kept[0], whole_domains=["example.com"]),
        users(mail1, absent("archive")),
        users(mail1, absent("mapped")),
    )
    assert_one_sentence(many, "2 accounts would be removed", "bob@example.com, carol@example.com", "delete_limit is 1")
    for refused in (archive, none):
        assert_one_sentence(refused, "mail1: user archive@example.com", "gets the archived mail")
    assert_one_sentence(mapped, "mail1: user mapped@example.com", "Remove it in the directory")
    assert_untouched(mail1)
    real = settle(mail1, users(mail1, *kept, whole_domains=["example.com"], delete_limit=2), "Users.remove")
    assert real.result["accounts"]["delete"] == ["bob@example.com", "carol@example.com"]
    assert set(accounts(mail1)) == {"alice", "archive", "dora", "mapped"}


def test_what_would_take_the_mail_of_others_or_cannot_be_meant_changes_nothing(mail1: LabServer) -> None:
    change(mail1, "bob", emailAddresses=["post"])
    account, alias, empty, unknown, renamed, bare, masked = play(
        users(mail1, {**VAULT, "address": "post@example.com"}),
        users(mail1, {**VAULT, "address": "info@example.com"}),
        users(mail1, {**VAULT, "password": ""}),
        users(mail1, {**VAULT, "address": "vault@example.org"}),
        users(mail1, {**VAULT, "address": "vault@example.net"}),
        users(mail1, {"address": "vault@example.com"}),
        users(mail1, {"address": "vault@example.com", "password": "vault@example"}),
    )
    assert_one_sentence(account, "post@example.com is an address of the account bob@example.com", "in a run of its own")
    assert_one_sentence(alias, "the alias info, which delivers to alice")
    assert_one_sentence(empty, "mail1: user vault@example.com", "erase")
    assert_one_sentence(unknown, "no domain example.org; it has example.com")
    assert_one_sentence(renamed, "example.net is an alias of the domain example.com")
    assert_one_sentence(bare, "mail1: user vault@example.com", "without a password")
    assert masked.result["error"]["kind"] == "secret_in_result"
    assert_untouched(mail1)


@pytest.mark.shows("broken")
def test_a_server_that_refuses_is_told_in_its_words(mail1: LabServer) -> None:
    two = [VAULT, {**VAULT, "address": "wing@example.com"}]
    with mail1.switched(licensed_users=len(accounts(mail1)) + 1):
        full = one(users(mail1, *two))
    assert (full.status, full.changed) == ("ignored", True)
    assert "wing@example.com: " in full.msg
    assert "(code 1003); done before: created vault@example.com. Compare the number of users with the licence." in full.msg
    with mail1.switched(refuse_writes=True):
        denied = one(users(mail1, two[1]))
    assert_one_sentence(denied, "mail1: Users.create", "Access denied. (code 1004)", "FullAdmin")
    auditor = mail1.add_user("reader", role="Auditor")
    login = connection(mail1, api_user=auditor["address"], api_password=auditor["password"])
    reader = one(Step("kerio_users", {**login, "users": [VAULT]}))
    assert_one_sentence(reader, "mail1: Domains.get", "full administrator")
    assert set(accounts(mail1)) >= {"vault"}
    assert "wing" not in accounts(mail1)
