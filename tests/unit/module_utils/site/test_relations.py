# SPDX-License-Identifier: GPL-3.0-or-later
"""What relations are told of the archive side, from the variables of archive hosts and of other servers."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import relations
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader

READS_MAIL1 = {"archive_profiles": [{"name": "a", "method": "multiple_mailboxes", "servers": ["mail1"]}]}
READS_MAIL2 = {"archive_profiles": [{"name": "b", "method": "multiple_mailboxes", "servers": "mail2"}]}
READS_ALL = {"archive_profiles": [{"name": "c", "method": "multiple_mailboxes"}]}


def side(hosts: dict[str, t.Any], servers: dict[str, t.Any] | None = None, **values: t.Any) -> dict[str, t.Any]:
    names = {"kerio_servers": ["mail1", *(servers or {})], "archive_hosts": list(hosts)}
    groups = names if hosts else {"kerio_servers": names["kerio_servers"]}
    return relations.archive_side(Reader({"mail1": values, **hosts, **(servers or {})}), groups, "mail1")


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ({"archive1": READS_ALL, "archive2": READS_ALL}, ["archive1", "archive2"]),
        ({"archive1": READS_MAIL1, "archive2": READS_MAIL2}, ["archive1"]),
        ({"archive1": {}}, ["archive1"]),
        ({"archive1": {**READS_MAIL1, "archive_host_address": "192.0.2.7"}}, ["192.0.2.7"]),
        ({"archive1": {**READS_MAIL1, "ansible_connection": "local"}}, ["localhost"]),
    ],
)
def test_archive_hosts_are_those_that_read_this_server(hosts: dict[str, t.Any], names: list[str]) -> None:
    assert side(hosts)["archive_hosts"] == names


def test_only_the_archive_hosts_that_a_server_names_must_be_admitted_and_their_profiles_count() -> None:
    hosts = {"archive1": READS_ALL, "archive2": READS_MAIL1, "archive3": READS_ALL}
    found = side(hosts, kerio_connect_archive_hosts=["archive2"])
    assert (found["archive_hosts"], found["profiles"]) == (["archive2"], READS_MAIL1["archive_profiles"])
    assert side(hosts, kerio_connect_archive_hosts="archive3")["archive_hosts"] == ["archive3"]


def test_profiles_know_a_server_by_its_own_name() -> None:
    assert side({"archive1": READS_MAIL2}, kerio_connect_name="mail2")["archive_hosts"] == ["archive1"]
    other = side({"archive1": READS_MAIL2})
    assert "archive_hosts" not in other
    # That there are profiles, and none for this server, is known all the same.
    assert other["profiles"] == READS_MAIL2["archive_profiles"]


def test_without_archive_hosts_nothing_is_said_of_them_nor_of_a_way_in() -> None:
    assert side({}) == {"other_servers": []}
    assert "imap_access" not in side({"archive1": READS_MAIL2})
    assert side({"archive1": READS_MAIL1}, kerio_connect_imap_access="IMAP-TLS")["imap_access"] == "IMAP-TLS"


@pytest.mark.parametrize(
    ("scopes", "together"),
    [
        (
            [{"domains": ["a.example"]}, {"groups": ["staff"]}, {"users": ["bob"]}],
            {"domains": ["a.example"], "groups": ["staff"], "users": ["bob"]},
        ),
        ([{"domains": ["a.example"]}, {"domains": [], "groups": []}], {}),
        ([{"domains": ["a.example"]}, None], {}),
    ],
)
def test_scope_is_that_of_all_archive_hosts_together(scopes: list[t.Any], together: dict[str, t.Any]) -> None:
    hosts = {
        f"archive{number}": {**READS_ALL, **({} if scope is None else {"archive_users_scope": scope})}
        for number, scope in enumerate(scopes, 1)
    }
    assert side(hosts)["users_scope"] == together


def test_interval_is_the_longest_whether_it_is_a_number_or_text() -> None:
    hosts = {"archive1": {"archive_interval_hours": "6"}, "archive2": {"archive_interval_hours": 12}}
    assert side(hosts)["interval_hours"] == 12


def test_other_servers_come_with_the_domains_that_are_declared_of_them() -> None:
    mail2 = {
        "kerio_connect_archiving": {"remote_address": "copies@out.example", "domains": [{"name": "One.example"}]},
        "kerio_connect_users": [{"address": "archive@two.example"}],
    }
    servers = {"mail2": mail2, "mail3": {"kerio_connect_archiving": {"remote_address": "x@y.example"}}, "mail4": {}}
    assert side({}, servers)["other_servers"] == [
        {"name": "mail2", "remote_address": "copies@out.example", "domains": ["one.example", "two.example"]},
        {"name": "mail3", "remote_address": "x@y.example", "domains": []},
    ]


def test_what_is_read_of_archive_hosts_is_tried_before_servers_rely_on_it() -> None:
    """Each variable is read of a host that has them all, and none that prepare.yml has not tried."""

    class Watched(dict[str, t.Any]):
        def __getitem__(self, key: str) -> t.Any:
            read.add(key)
            return super().__getitem__(key)

    read: set[str] = set()
    values = {"archive_profiles": [], "archive_users_scope": {}, "archive_interval_hours": 1, "archive_host_address": "a"}
    host = Watched(
        {**values, "archive_users_declared": [], "archive_users_excluded": [], "archive_profiles": READS_ALL["archive_profiles"]}
    )
    relations.archive_side(Reader({"mail1": {}, "archive1": host}), {"archive_hosts": ["archive1"]}, "mail1")
    assert read == set(relations.READ_OF_ARCHIVE_HOSTS)


@pytest.mark.parametrize("wrong", [False, True])
def test_an_archive_host_whose_variables_are_wrong_is_nothing_that_servers_rely_on(wrong: bool) -> None:
    mark = {"archive_variables_wrong": True} if wrong else {}
    found = side({"archive1": {**READS_MAIL1, **mark, "inventory_hostname": "archive1"}})
    assert ("archive_hosts" in found, "profiles" in found) == (not wrong, not wrong)
