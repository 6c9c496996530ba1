# SPDX-License-Identifier: GPL-3.0-or-later
"""How servers are reached: by archiving, and by logins to the archive, which know when they act on guesses, and no secret."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import reached, relations
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader

SECRET = "not-a-secret-master"


def servers(policy: dict[str, t.Any], **facts: t.Any) -> list[dict[str, t.Any]]:
    reached_by = {
        "kerio_connect_imap_access": "IMAP-TLS",
        "kerio_connect_ca_file": "/ca.pem",
        "kerio_connect_validate_certs": False,
    }
    master = {"kerio_connect_master_authentication": {"password": SECRET}}
    known = {"kerio_connect_name": "one", "kerio_connect_security_policy": policy, **reached_by, **master, **facts}
    hosts = {"mail1": known, "mail2": {"kerio_connect_name": "two"}}
    return reached.for_logins(Reader(hosts), list(hosts))


def test_servers_are_reached_as_for_archiving_and_their_secrets_stay_behind() -> None:
    first, second = servers({})
    assert (first["name"], second["name"], second["host"]) == ("one", "two", "mail2")
    expected = {"port": None, "access": "IMAP-TLS", "ca_file": "/ca.pem", "validate_certs": False}
    assert {name: first[name] for name in expected} == expected
    assert SECRET not in json.dumps(first)


@pytest.mark.parametrize(
    ("policy", "lock", "block"),
    [
        ({}, None, None),
        ({"failed_logins_to_lock": 5, "anti_hammering_failed_logins": 60}, 5, 60),
        ({"failed_logins_to_lock": "many", "anti_hammering_failed_logins": [60]}, None, None),
        ({"lockout": False, "failed_logins_to_lock": 5}, None, None),
        ({"anti_hammering": False, "anti_hammering_failed_logins": 60}, None, None),
        ({"anti_hammering_exception_group": "Archive hosts", "anti_hammering_failed_logins": 60}, None, None),
        ({"anti_hammering_exception_group": "", "anti_hammering_failed_logins": 60}, None, 60),
    ],
)
def test_kerio_acts_where_its_policy_says_so(policy: dict[str, t.Any], lock: int | None, block: int | None) -> None:
    first, second = servers(policy)
    assert (first["failed_logins_to_lock"], first["failed_logins_to_block"]) == (lock, block)
    assert (second["failed_logins_to_lock"], second["failed_logins_to_block"]) == (None, None)


@pytest.mark.parametrize(
    ("facts", "lock"),
    [({}, 5), ({"kerio_variables_wrong": True}, None), ({"kerio_variables_wrong": True, "kerio_values_refused": True}, 5)],
)
def test_a_policy_counts_when_it_can_be_read_though_the_server_is_left_out(facts: dict[str, t.Any], lock: int | None) -> None:
    assert servers({"failed_logins_to_lock": 5}, **facts)[0]["failed_logins_to_lock"] == lock


def test_of_two_servers_with_one_name_the_first_is_asked() -> None:
    hosts = {"mail1": {"kerio_connect_name": "one"}, "mail2": {"kerio_connect_name": "one"}}
    assert [server["host"] for server in reached.for_logins(Reader(hosts), list(hosts))] == ["mail1"]


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
    assert reached.mailboxes(Reader(servers), list(servers)) == ["archive@example.com", "keep@a.example"]
    assert reached.mailboxes(Reader({}), []) == []


def test_mail_is_read_from_the_host_of_the_administration_without_its_port() -> None:
    given = {"mail1": "mail1.example.com:4041", "mail2": "[::1]:4041", "mail3": "::1", "mail4": "192.0.2.1"}
    servers: dict[str, t.Any] = {name: {"kerio_connect_host": host} for name, host in given.items()}
    servers["mail5"] = {"kerio_connect_host": "mail5:4041", "kerio_connect_imap_host": "imap.example.com"}
    found = reached.servers(Reader(servers), list(servers))
    assert [server["host"] for server in found] == ["mail1.example.com", "::1", "::1", "192.0.2.1", "imap.example.com"]


def test_of_a_server_whose_variables_are_wrong_the_name_alone_is_known() -> None:
    wrong = {
        "kerio_connect_name": "two",
        "kerio_variables_wrong": True,
        "kerio_connect_host": "192.0.2.1",
        "kerio_connect_archiving": {"remote_address": "a@b.example"},
    }
    reader = Reader({"mail1": {}, "mail2": wrong})
    found = reached.servers(reader, ["mail1", "mail2"])
    assert [(server["name"], server["host"]) for server in found] == [("mail1", "mail1"), ("two", "mail2")]
    assert reached.mailboxes(reader, ["mail2"]) == []
    assert relations.other_servers(reader, ["mail2"]) == []
