# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role archive_access is told of the Kerio servers: how to reach them, when they act on guesses, and no secret."""

from __future__ import annotations

import json
import typing as t

import pytest

from tests.unit.playbooks.templating import evaluate

SECRET = "not-a-secret-master"


def servers(policy: dict[str, t.Any], **facts: t.Any) -> list[dict[str, t.Any]]:
    reached = {"name": "one", "host": "mail1", "port": None, "access": "IMAP-TLS", "ca_file": "/ca.pem", "validate_certs": False}
    known = {"mail1": {"kerio_connect_security_policy": policy, **facts}, "mail2": {}}
    archive_servers = [{**reached, "master_password": SECRET, "timeout": 60}, {**reached, "name": "two", "host": "mail2"}]
    given = {"archive_servers_named": ["mail1", "mail2"], "hostvars": known, "archive_servers": archive_servers}
    found: list[dict[str, t.Any]] = evaluate("access.yml", "archive_access_servers", **given)
    return found


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
    hosts = {"mail1": {}, "mail2": {}}
    given = {"archive_servers_named": list(hosts), "hostvars": hosts}
    reached = {"name": "one", "port": None, "access": "IMAP-SSL", "ca_file": None, "validate_certs": True}
    given["archive_servers"] = [{**reached, "host": "mail1"}, {**reached, "host": "mail2"}]
    assert [server["host"] for server in evaluate("access.yml", "archive_access_servers", **given)] == ["mail1"]
