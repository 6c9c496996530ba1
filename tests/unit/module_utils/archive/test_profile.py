# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles and servers as inventory data: what is taken, and errors that name the profile, the key and what is allowed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import (
    DEFAULT_FOLDER_RULES,
    METHODS,
    FolderRules,
    Profile,
    Server,
    parse_profiles,
    parse_servers,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import DEFAULT_EXCLUDES

SERVERS = parse_servers([{"name": "mail1"}, {"name": "mail2", "access": "IMAP-TLS"}, {"name": "plain", "access": "IMAP"}])
SINGLE = {
    "name": "p",
    "method": "single_mailbox",
    "servers": "mail1",
    "mailbox": "alice@example.com",
    "target_user": "bob",
}
MULTIPLE = {"name": "p", "method": "multiple_mailboxes", "servers": ["mail1", "mail2"]}
MULTIDROP = {"name": "p", "method": "multidrop", "servers": ["mail1"], "mailbox": "archive@example.com"}


def parsed(raw: dict[str, t.Any], **more: t.Any) -> Profile:
    return parse_profiles([{**raw, **more}], SERVERS)[0]


def refusal(raw: dict[str, t.Any], **more: t.Any) -> str:
    with pytest.raises(InputError) as caught:
        parsed(raw, **more)
    return str(caught.value)


def test_what_is_not_said_has_its_default() -> None:
    single, multiple, drop = parsed(SINGLE), parsed(MULTIPLE), parsed(MULTIDROP)
    assert (single.credentials, multiple.credentials, drop.credentials) == ("password", "master", "password")
    assert multiple.users.chooses("anybody", [])
    assert multiple.servers == ("mail1", "mail2")
    assert drop.unknown_addresses == "leave"
    assert (drop.target_folder, drop.sent_folder) == ("{u-email}/INBOX", "{u-email}/Sent Items")
    assert single.folders == FolderRules()
    assert parsed(MULTIDROP, users=None, folders=None) == drop


def test_servers_default_to_all_that_are_declared() -> None:
    only = {"mail1": SERVERS["mail1"]}
    assert parse_profiles([{"name": "p", "method": "multiple_mailboxes"}], only)[0].servers == ("mail1",)


def test_the_default_folder_rules_are_those_of_the_imap_client() -> None:
    assert set(DEFAULT_FOLDER_RULES) == set(DEFAULT_EXCLUDES)


@pytest.mark.parametrize(
    ("raw", "change", "words"),
    [
        (SINGLE, {"method": "pop3"}, ["profile p", "key method", "'pop3'", *METHODS]),
        (SINGLE, {"method": None}, ["profile p", "key method", "missing"]),
        (SINGLE, {"method": None, "methd": "multidrop"}, ["key method", "missing", "no profile has a key methd"]),
        (MULTIPLE, {"name": None}, ["profile number 1", "key name"]),
        (SINGLE, {"mailbox": None}, ["key mailbox", "single_mailbox needs it"]),
        (SINGLE, {"target_user": None}, ["key target_user"]),
        (SINGLE, {"mailbox": ["x"]}, ["key mailbox", "a text"]),
        (SINGLE, {"mailbox": "a\r\nb"}, ["key mailbox"]),
        (SINGLE, {"servers": ["mail1", "mail2"]}, ["key servers", "one mailbox"]),
        (MULTIDROP, {"mailbox": None}, ["key mailbox", "multidrop needs it"]),
        (MULTIPLE, {"mailbox": "x"}, ["key mailbox", "multiple_mailboxes has no such key", "users"]),
        (MULTIPLE, {"mail_box": "x"}, ["key mail_box", "no profile has such a key", "folders"]),
        (MULTIPLE, {"servers": ["mail9"]}, ["key servers", "no server mail9", "mail1, mail2"]),
        (MULTIPLE, {"servers": ["plain"]}, ["server plain", "without TLS", "IMAP-TLS or IMAP-SSL"]),
        (MULTIDROP, {"servers": ["plain"], "credentials": "master"}, ["server plain", "without TLS"]),
        (MULTIPLE, {"credentials": "password"}, ["key credentials", "master"]),
        (MULTIPLE, {"users": {"only": []}}, ["key users", "at least one"]),
        (MULTIPLE, {"users": {"only": ["a"], "except": ["b"]}}, ["key users", "one of all_with_address"]),
        (MULTIPLE, {"users": {"all_with_address": False}}, ["key users", "all_with_address: true"]),
        (MULTIPLE, {"users": "alice"}, ["key users", "only: [names]"]),
        (MULTIPLE, {"users": {}}, ["key users", "with_privilege: archive"]),
        (MULTIPLE, {"users": {"with_privilege": "read"}}, ["key users.with_privilege", "'read'", "Give archive"]),
        (MULTIPLE, {"users": {"with_privilege": None}}, ["key users.with_privilege", "Give archive"]),
        (MULTIPLE, {"users": {"with_privilege": "archive", "only": ["a"], "except": ["b"]}}, ["key users", "one of all_with"]),
        (MULTIPLE, {"users": {"with_privilege": "archive", "privilege": "b"}}, ["key users", "one of all_with_address"]),
        (MULTIDROP, {"users": {"with_privilege": "archive"}}, ["key users", "multidrop has no such key"]),
        (MULTIPLE, {"folders": {"includes": []}}, ["key folders", "include, exclude, defaults"]),
        (MULTIPLE, {"folders": {"defaults": ["spam"]}}, ["key folders", "junk"]),
        (MULTIPLE, {"folders": {"include": 5}}, ["key folders", "list of names"]),
        (MULTIPLE, {"connections": 0}, ["key connections", "1 to 64"]),
        (MULTIPLE, {"connections": True}, ["key connections", "1 to 64"]),
        (MULTIDROP, {"unknown_addresses": "drop"}, ["key unknown_addresses", "leave, catchall, drop_relayed"]),
        (MULTIDROP, {"target_folder": "{email}/INBOX"}, ["key target_folder", "{u-email} and {h-email}"]),
        (MULTIDROP, {"sent_folder": "a//b"}, ["key sent_folder", "none of them empty"]),
    ],
)
def test_errors_name_profile_key_and_what_is_allowed(raw: dict[str, t.Any], change: dict[str, t.Any], words: list[str]) -> None:
    text = refusal(raw, **change)
    for word in words:
        assert word in text


@pytest.mark.parametrize("name", ["p", "P"])
def test_two_profiles_of_one_name_are_refused_in_any_case(name: str) -> None:
    with pytest.raises(InputError, match=f"profile {name}: two profiles have this name"):
        parse_profiles([SINGLE, {**MULTIDROP, "name": name}], SERVERS)


def test_a_plain_connection_is_for_passwords_of_single_mailboxes_only() -> None:
    assert parsed(SINGLE, servers=["plain"]).servers == ("plain",)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({"all_with_address": True}, ["alice", "bob"]),
        ({"except": ["ALICE"]}, ["bob"]),
        ({"except": ["sales@example.com"]}, ["bob"]),
        ({"only": "Bob@example.com"}, ["bob"]),
    ],
)
def test_users_are_chosen_by_name_or_any_address(users: dict[str, t.Any], expected: list[str]) -> None:
    chosen = parsed(MULTIPLE, users=users).users
    people = {"alice": ["alice@example.com", "sales@example.com"], "bob": ["bob@example.com"]}
    assert [name for name, addresses in people.items() if chosen.chooses(name, addresses)] == expected


@pytest.mark.parametrize(
    ("users", "permitted"),
    [
        ({"with_privilege": "archive"}, ["alice", "bob"]),
        ({"with_privilege": "archive", "all_with_address": True}, ["alice", "bob"]),
        ({"except": ["alice"], "with_privilege": "archive"}, ["bob"]),
        ({"only": ["alice", "carol"], "with_privilege": "archive"}, ["alice"]),
        ({"only": ["alice", "carol"]}, ["alice", "carol"]),
    ],
)
def test_users_may_need_the_privilege_besides(users: dict[str, t.Any], permitted: list[str]) -> None:
    chosen = parsed(MULTIPLE, users=users).users
    people = {"alice": ("archive", "login"), "bob": ("administer",), "carol": ("login", "read"), "dora": ()}
    allowed = [name for name, held in people.items() if chosen.chooses(name, []) and chosen.permits(held)]
    assert allowed == permitted


def test_the_rules_hash_is_of_what_decides_where_mail_goes() -> None:
    assert parsed(SINGLE).rules_hash() == parsed(MULTIPLE).rules_hash()
    same = parsed(MULTIDROP, connections=3, folders={"include": ["INBOX"]}, name="other")
    assert same.rules_hash() == parsed(MULTIDROP).rules_hash()
    for change in (
        {"target_folder": "x"},
        {"sent_folder": "x"},
        {"unknown_addresses": "catchall"},
        {"mailbox": "other@example.com"},
    ):
        assert parsed(MULTIDROP, **change).rules_hash() != parsed(MULTIDROP).rules_hash()


def test_servers_have_ports_by_access_and_keep_no_password() -> None:
    assert SERVERS["mail1"] == Server("mail1", "mail1", 993)
    assert (SERVERS["mail2"].port, SERVERS["plain"].port) == (143, 143)
    assert not SERVERS["plain"].encrypted
    secrets = {"master_password": "not-a-secret-x", "other_master_password": "not-a-secret-y"}
    (server,) = parse_servers([{"name": "m", "host": "h", "port": "10993", "refused": " it is\nwrong ", **secrets}]).values()
    assert (server.host, server.port, server.refused) == ("h", 10993, "it is wrong")
    assert "not-a-secret" not in repr(server)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([{"host": "x"}], ["server number 1", "key name"]),
        ([{"name": "m"}, {"name": "m"}], ["server m", "two servers"]),
        ([{"name": "m", "access": "POP3"}], ["server m, key access", "IMAP, IMAP-TLS, IMAP-SSL"]),
        ([{"name": "m", "port": 70000}], ["key port", "1 to 65535"]),
        ([{"name": "m", "validate_certs": "no"}], ["key validate_certs", "true or false"]),
        ([{"name": "m", "tls": True}], ["key tls", "no server has such a key", "access"]),
    ],
)
def test_wrong_servers_are_named(raw: list[dict[str, t.Any]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_servers(raw)
    for word in words:
        assert word in str(caught.value)
