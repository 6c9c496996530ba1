# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive host gets what of the inventory when servers, or users of them, are assigned to several."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached, users
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader
from tests.unit.playbooks.templating import evaluate

HOSTS = ["archive1", "archive2", "archive3"]
SERVERS: dict[str, t.Any] = {
    "mail1": {"kerio_connect_archive_hosts": "archive1", "kerio_connect_archiving": {"remote_address": "archive@one.example"}},
    "mail2": {
        "kerio_connect_name": "two",
        "kerio_connect_archive_hosts": ["archive1", "archive2"],
        "kerio_connect_master_authentication": {"password": "not-a-secret-of-two"},
    },
    "mail3": {},
}


GROUPS = {"kerio_servers": list(SERVERS), "archive_hosts": HOSTS}


def scope_of(host: str, **servers: t.Any) -> assigned.Scope:
    reader = Reader({**SERVERS, **{one: {} for one in HOSTS}, **servers})
    return assigned.scope(reader, GROUPS, host, ())


@pytest.mark.parametrize(
    ("host", "own", "elsewhere"),
    [
        ("archive1", ["mail1", "two", "mail3"], []),
        ("archive2", ["two", "mail3"], ["mail1"]),
        ("archive3", ["mail3"], ["mail1", "two"]),
    ],
)
def test_each_host_reads_its_servers_and_knows_no_password_of_others(host: str, own: list[str], elsewhere: list[str]) -> None:
    scope = scope_of(host)
    servers = reached.servers(Reader(SERVERS), scope["named"])
    assert [server["name"] for server in servers] == own
    assert ("not-a-secret-of-two" in str(servers)) is ("two" in own)
    assert scope["elsewhere"] == elsewhere
    assert reached.mailboxes(Reader(SERVERS), scope["named"]) == (["archive@one.example"] if "mail1" in own else [])


def test_names_that_several_servers_have_and_servers_that_cannot_be_read_are_left_out() -> None:
    reader = Reader({**SERVERS, "mail3": {"kerio_variables_wrong": True}, **{one: {} for one in HOSTS}})
    assert assigned.scope(reader, GROUPS, "archive1", {"two"})["left_out"] == ["two", "mail3"]
    assert assigned.scope(reader, GROUPS, "archive3", {"two"})["left_out"] == ["mail3"]


def test_directories_that_another_host_reads_are_neither_read_nor_unread_here() -> None:
    read = {name: {**values, "kerio_connect_directory": {"server": name}} for name, values in SERVERS.items() if name != "mail3"}
    hosts = {"archive1": {}, "archive2": {"archive_users_scope": {"domains": ["a.example"]}}, "archive3": {}}
    known = {**SERVERS, **read, **hosts}
    assert users.sources(Reader(known), GROUPS, "archive3") == {
        "directories": [],
        "unread": ["mail3"],
        "elsewhere": {
            "servers": ["mail1", "two"],
            "scopes": [{"servers": ["mail3"]}, {"servers": ["mail3"], "domains": ["a.example"]}],
        },
    }
    first = users.sources(Reader(known), GROUPS, "archive1")
    assert [directory["server"] for directory in first["directories"]] == ["mail1", "mail2"]
    assert first["elsewhere"]["scopes"] == [{"servers": ["two", "mail3"], "domains": ["a.example"]}, {"servers": ["mail3"]}]
    # Of whom it is not known whom it takes, everybody stays.
    everybody = [{"servers": ["two", "mail3"]}, {"servers": ["mail3"]}]
    for odd in ({**hosts["archive2"], "archive_variables_wrong": True}, {"archive_users_scope": "a.example"}):
        found = users.sources(Reader({**known, "archive2": odd}), GROUPS, "archive1")
        assert found["elsewhere"]["scopes"] == everybody


PROFILES = [
    {"name": "mailboxes", "method": "multiple_mailboxes"},
    {"name": "one", "method": "multidrop", "servers": "mail1", "mailbox": "a"},
    {"name": "both", "method": "multidrop", "servers": ["two", "mail3"], "mailbox": "b"},
    {"name": "typing error", "method": "multidrop", "servers": ["mail4"], "mailbox": "b"},
]


@pytest.mark.parametrize(
    ("host", "only", "wanted"),
    [
        ("archive1", [], {"mailboxes": None, "one": "mail1", "both": ["two", "mail3"], "typing error": ["mail4"]}),
        ("archive2", [], {"mailboxes": None, "both": ["two", "mail3"], "typing error": ["mail4"]}),
        ("archive3", [], {"mailboxes": None, "both": ["mail3"], "typing error": ["mail4"]}),
        ("archive3", ["ONE"], {}),
        ("archive3", "one, both", {"mailboxes": None, "both": ["mail3"], "typing error": ["mail4"]}),
    ],
)
def test_each_host_has_the_profiles_of_its_servers(host: str, only: t.Any, wanted: dict[str, t.Any]) -> None:
    given = {"groups": GROUPS, "hostvars": {**SERVERS, **{one: {} for one in HOSTS}}, "inventory_hostname": host}
    given |= {"archive_profiles": PROFILES, "archive_only": only}
    found = evaluate("servers.yml", "archive_profiles_here", **given)
    assert {profile["name"]: profile.get("servers") for profile in found} == wanted
    assert evaluate("servers.yml", "archive_only_here", **given) == (["both"] if isinstance(only, str) else [])


def test_a_host_without_a_server_has_nothing_to_do_and_one_without_servers_in_the_inventory_says_so() -> None:
    assert assigned.profiles(PROFILES[:1], ["mail1"], False) == []
    assert assigned.profiles(PROFILES[:1], [], False) == PROFILES[:1]


def test_acknowledged_messages_of_other_servers_are_left_out() -> None:
    entries = [{"server": "mail1", "uid": 1}, {"server": "mail3", "uid": 2}, "not one"]
    assert assigned.acknowledged(entries, ["mail1", "two"]) == entries[1:]


def wrong(server: str, hosts: t.Mapping[str, t.Any], **values: t.Any) -> str:
    servers = {**SERVERS, server: values}
    groups = {"kerio_servers": list(servers), "archive_hosts": list(hosts)}
    reader = Reader({**servers, **hosts})
    takers, declared = assigned.takers(reader, groups, server), "kerio_connect_archive_hosts" in values
    return assigned.refusal(server, declared, takers, groups, assigned.Keepers(reader, groups))


DELETES = {"name": "d", "method": "multidrop", "mailbox": "Archive@one.example", "delete": {"after_days": 7}}
READS = {"name": "r", "method": "multidrop", "mailbox": "archive@ONE.example"}


def test_an_assignment_that_cannot_be_is_refused_in_one_sentence() -> None:
    assert wrong("mail1", {"archive1": {}}) == ""
    assert wrong("mail1", {}) == ""
    assert wrong("mail1", {"archive1": {}}, kerio_connect_archive_hosts="archive1") == ""
    strange = wrong("mail1", {"archive1": {}}, kerio_connect_archive_hosts=["archive1", "archive9"])
    assert strange.startswith("kerio_connect_archive_hosts names archive9, which is no host of the group archive_hosts.")
    assert "so that no archive host archives the server" in wrong("mail1", {"archive1": {}}, kerio_connect_archive_hosts=[])


def test_what_two_hosts_read_is_not_deleted_by_one() -> None:
    hosts = {"archive1": {"archive_profiles": [DELETES]}, "archive2": {"archive_profiles": [READS]}}
    told = wrong("mail1", hosts)
    assert told.startswith("the profile d of archive1 deletes in a mailbox that several archive hosts read (archive1, archive2)")
    assert wrong("mail1", hosts, kerio_connect_archive_hosts=["archive1"]) == ""
    assert wrong("mail1", {**hosts, "archive2": {"archive_profiles": [{**READS, "servers": ["two"]}]}}) == ""
    assert wrong("mail1", {**hosts, "archive2": {"archive_profiles": [{**READS, "mailbox": "other@one.example"}]}}) == ""
    single = {**DELETES, "method": "single_mailbox", "mailbox": " archive@one.example"}
    for other in (READS, {**READS, "method": "single_mailbox"}):
        told = wrong("mail1", {"archive1": {"archive_profiles": [single]}, "archive2": {"archive_profiles": [other]}})
        assert told.startswith("the profile d of archive1 deletes in a mailbox that several archive hosts read")
    kept = {"archive1": {"archive_profiles": [READS]}, "archive2": {"archive_profiles": [READS]}}
    assert wrong("mail1", kept) == ""
