# SPDX-License-Identifier: GPL-3.0-or-later
"""What relations are told of the archive side, from the variables of archive hosts and of other servers."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests.unit.playbooks.templating import PLAYBOOKS, evaluate

READS_MAIL1 = {"archive_profiles": [{"name": "a", "method": "multiple_mailboxes", "servers": ["mail1"]}]}
READS_MAIL2 = {"archive_profiles": [{"name": "b", "method": "multiple_mailboxes", "servers": "mail2"}]}
READS_ALL = {"archive_profiles": [{"name": "c", "method": "multiple_mailboxes"}]}


def side(hosts: dict[str, t.Any], servers: dict[str, t.Any] | None = None, **values: t.Any) -> dict[str, t.Any]:
    names = {"kerio_servers": ["mail1", *(servers or {})], "archive_hosts": list(hosts)}
    known = {"mail1": {}, **hosts, **(servers or {})}
    given = {"groups": names if hosts else {"kerio_servers": names["kerio_servers"]}, "hostvars": known}
    found: dict[str, t.Any] = evaluate("relations.yml", "kerio_connect_archive", **given, inventory_hostname="mail1", **values)
    return found


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


def test_archive_mailboxes_of_servers_and_of_single_domains_are_nobodys() -> None:
    servers: dict[str, t.Any] = {
        "mail1": {
            "kerio_connect_archiving": {
                "remote_address": "archive@example.com",
                "domains": [
                    {"name": "a.example", "remote_address": "keep@a.example"},
                    {"name": "b.example", "remote_address": ""},
                ],
            }
        },
        "mail2": {"kerio_connect_archiving": {"enabled": True, "domains": [{"name": "c.example"}]}},
        "mail3": {"kerio_connect_archiving": {"remote_address": "archive@example.com"}},
        "mail4": {},
    }
    given = {"groups": {"kerio_servers": list(servers)}, "hostvars": servers, "archive_servers_named": list(servers)}
    assert evaluate("servers.yml", "archive_mailboxes", **given) == ["archive@example.com", "keep@a.example"]
    assert evaluate("servers.yml", "archive_mailboxes", groups={}, hostvars={}, inventory_hostname="archive1") == []


def test_mail_is_read_from_the_host_of_the_administration_without_its_port() -> None:
    given = {"mail1": "mail1.example.com:4041", "mail2": "[::1]:4041", "mail3": "::1", "mail4": "192.0.2.1"}
    servers: dict[str, t.Any] = {name: {"kerio_connect_host": host} for name, host in given.items()}
    servers["mail5"] = {"kerio_connect_host": "mail5:4041", "kerio_connect_imap_host": "imap.example.com"}
    found = evaluate("servers.yml", "archive_servers", archive_servers_named=list(servers), hostvars=servers)
    assert [server["host"] for server in found] == ["mail1.example.com", "::1", "::1", "192.0.2.1", "imap.example.com"]


def test_what_is_read_of_archive_hosts_is_tried_before_servers_rely_on_it() -> None:
    text = (PLAYBOOKS / "vars" / "relations.yml").read_text(encoding="utf-8")
    body = text.split("kerio_connect_archive:")[1]
    used = set(re.findall(r"attribute='(archive_\w+)'|(?:host|hostvars\[name\])\.(archive_\w+)", body))
    read = {name for pair in used for name in pair if name} - {"archive_variables_wrong"}
    assert read == set(evaluate("relations.yml", "archive_hosts_read"))


@pytest.mark.parametrize("wrong", [False, True])
def test_an_archive_host_whose_variables_are_wrong_is_nothing_that_servers_rely_on(wrong: bool) -> None:
    mark = {"archive_variables_wrong": True} if wrong else {}
    found = side({"archive1": {**READS_MAIL1, **mark, "inventory_hostname": "archive1"}})
    assert ("archive_hosts" in found, "profiles" in found) == (not wrong, not wrong)


def test_of_a_server_whose_variables_are_wrong_the_name_alone_is_known() -> None:
    wrong = {
        "kerio_connect_name": "two",
        "kerio_variables_wrong": True,
        "kerio_connect_archiving": {"remote_address": "a@b.example"},
    }
    given = {"archive_servers_named": ["mail1", "mail2"], "hostvars": {"mail1": {}, "mail2": wrong}}
    found = evaluate("servers.yml", "archive_servers", **given)
    assert [(server["name"], server["host"]) for server in found] == [("mail1", "mail1"), ("two", "mail2")]
    assert evaluate("servers.yml", "archive_mailboxes", **given) == []
    assert side({}, {"mail2": wrong})["other_servers"] == []
