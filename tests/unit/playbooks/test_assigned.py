# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive host gets what of the inventory when servers, or users of them, are assigned to several."""

from __future__ import annotations

import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader

from tests.unit.playbooks.templating import PLAYBOOKS, evaluate

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


def load(file: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = DataLoader().load_from_file(str(PLAYBOOKS / "vars" / file), trusted_as_template=True)
    return found


def seen(file: str, name: str, host: str, **more: t.Any) -> t.Any:
    """A variable as an archive host has it; those of servers.yml are there for the other files."""
    hosts: dict[str, t.Any] = {one: {} for one in HOSTS}
    given = {"groups": {"kerio_servers": list(SERVERS), "archive_hosts": HOSTS}, "hostvars": {**SERVERS, **hosts}}
    given = {**given, "inventory_hostname": host, **more}
    if file != "servers.yml":
        for own in ("archive_taken_by", "archive_servers_named", "archive_servers_elsewhere"):
            given.setdefault(own, evaluate("servers.yml", own, **given))
    return evaluate(file, name, **given)


@pytest.mark.parametrize(
    ("host", "own", "elsewhere"),
    [
        ("archive1", ["mail1", "two", "mail3"], []),
        ("archive2", ["two", "mail3"], ["mail1"]),
        ("archive3", ["mail3"], ["mail1", "two"]),
    ],
)
def test_each_host_reads_its_servers_and_knows_no_password_of_others(host: str, own: list[str], elsewhere: list[str]) -> None:
    servers = seen("servers.yml", "archive_servers", host)
    assert [server["name"] for server in servers] == own
    assert ("not-a-secret-of-two" in str(servers)) is ("two" in own)
    assert seen("servers.yml", "archive_servers_elsewhere", host) == elsewhere
    assert seen("servers.yml", "archive_mailboxes", host) == (["archive@one.example"] if "mail1" in own else [])


def test_directories_that_another_host_reads_are_neither_read_nor_unread_here() -> None:
    read = {name: {**values, "kerio_connect_directory": {"server": name}} for name, values in SERVERS.items() if name != "mail3"}
    hosts = {"archive1": {}, "archive2": {"archive_users_scope": {"domains": ["a.example"]}}, "archive3": {}}
    more = {"hostvars": {**SERVERS, **read, **hosts}}
    assert [one["server"] for one in seen("users.yml", "archive_users_directories", "archive3", **more)] == []
    assert seen("users.yml", "archive_users_unread", "archive3", **more) == ["mail3"]
    assert seen("users.yml", "archive_users_elsewhere", "archive3", **more) == {
        "servers": ["mail1", "two"],
        "scopes": [{"servers": ["mail3"]}, {"servers": ["mail3"], "domains": ["a.example"]}],
    }
    first = seen("users.yml", "archive_users_elsewhere", "archive1", **more)
    assert first["scopes"] == [{"servers": ["two", "mail3"], "domains": ["a.example"]}, {"servers": ["mail3"]}]
    # Of whom it is not known whom it takes, everybody stays.
    everybody = [{"servers": ["two", "mail3"]}, {"servers": ["mail3"]}]
    for odd in ({**hosts["archive2"], "archive_variables_wrong": True}, {"archive_users_scope": "a.example"}):
        wrong = {"hostvars": {**more["hostvars"], "archive2": odd}}
        assert seen("users.yml", "archive_users_elsewhere", "archive1", **wrong)["scopes"] == everybody


def test_logins_are_asked_of_every_server() -> None:
    # vars/access.yml comes behind vars/servers.yml, so that its own list counts.
    both = {**load("servers.yml"), **load("access.yml"), "inventory_hostname": "archive3"}
    hosts = {"groups": {"kerio_servers": list(SERVERS), "archive_hosts": HOSTS}, "hostvars": {**SERVERS, "archive3": {}}}
    found = evaluate("access.yml", "archive_access_servers", **{**both, **hosts})
    assert [server["name"] for server in found] == ["mail1", "two", "mail3"]
    assert "not-a-secret" not in str(found)


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
    more = {"archive_profiles": PROFILES, "archive_only": only}
    found = seen("servers.yml", "archive_profiles_here", host, **more)
    assert {profile["name"]: profile.get("servers") for profile in found} == wanted
    assert seen("servers.yml", "archive_only_here", host, **more) == (["both"] if isinstance(only, str) else [])


def test_a_host_without_a_server_has_nothing_to_do_and_one_without_servers_in_the_inventory_says_so() -> None:
    more = {"archive_profiles": PROFILES[:1], "groups": {"kerio_servers": ["mail1"], "archive_hosts": HOSTS}}
    assert seen("servers.yml", "archive_profiles_here", "archive2", **more) == []
    nobody = {**more, "groups": {"archive_hosts": HOSTS}}
    assert seen("servers.yml", "archive_profiles_here", "archive2", **nobody) == PROFILES[:1]


def test_acknowledged_messages_of_other_servers_are_left_out() -> None:
    entries = [{"server": "mail1", "uid": 1}, {"server": "mail3", "uid": 2}, "not one"]
    assert seen("servers.yml", "archive_acknowledged_here", "archive3", archive_acknowledged=entries) == entries[1:]


def wrong(server: str, hosts: t.Mapping[str, t.Any], **more: t.Any) -> str:
    given = {"groups": {"kerio_servers": list(SERVERS), "archive_hosts": list(hosts)}, "hostvars": {**SERVERS, **hosts}}
    return str(evaluate("relations.yml", "archive_takers_wrong", **given, inventory_hostname=server, **more)).strip()


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
