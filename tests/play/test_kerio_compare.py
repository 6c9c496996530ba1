# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_compare, run by ansible-playbook against the lab: it tells what differs, and touches nothing."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play

QUERY = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
DECLARED: dict[str, t.Any] = {
    "ip_address_groups": [{"name": "Archive hosts", "entries": [{"host": "127.0.0.1"}]}],
    "security_policy": {"authentication_methods": {"CRAM-MD5": False, "DIGEST-MD5": False}, "lockout": False},
    "services": [{"name": "Secure IMAP", "running": True, "start_up": "automatic"}],
    "users": [{"address": "archive@example.com", "enabled": True, "item_limit": 0}],
    "master_authentication": {"enabled": True, "ip_address_group": "Archive hosts"},
    "advanced_options": {"insert_x_envelope_to": True},
    "archiving": {"enabled": True, "remote_address": "archive@example.com", "relayed_messages": True},
}
# Option of the module for those whose declaration is a list.
LISTS = {"ip_address_groups": "groups", "services": "services", "users": "users"}


def compare(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_compare", {**connection(server), **DECLARED, **options})


def declare(server: LabServer) -> list[Step]:
    """The modules that make the declaration true."""
    steps = []
    for kind, value in DECLARED.items():
        options = {LISTS[kind]: value} if kind in LISTS else dict(value)
        if kind == "master_authentication":
            options["password"] = server.master_password
        steps.append(Step(f"kerio_{kind}", {**connection(server), **options}))
    return steps


def change_by_hand(server: LabServer) -> None:
    """Change five things as an administrator does: two settings, a service, an account, and a group's entry."""
    options = server.api("Archive.get")["options"]
    server.api("Archive.set", {"options": {**options, "archiveRelayedMessages": False}})
    policy = server.api("SecurityPolicy.get")["options"]
    methods = [{**method, "enabled": method["value"] != "DIGEST-MD5"} for method in policy["authenticationMethods"]]
    server.api("SecurityPolicy.set", {"options": {**policy, "authenticationMethods": methods}})
    services = {service["name"]: service["id"] for service in server.api("Services.get")["services"]}
    server.api("Services.stop", {"service": services["Secure IMAP"]})
    domain = server.api("Domains.get", {"query": QUERY})["list"][0]
    users = server.api("Users.get", {"query": QUERY, "domainId": domain["id"]})["list"]
    archive = next(user["id"] for user in users if user["loginName"] == "archive")
    server.api("Users.set", {"userIds": [archive], "pattern": {"itemLimit": {"isActive": True, "limit": 10}}})
    entry = {
        "groupId": "",
        "groupName": "Archive hosts",
        "type": "Host",
        "host": "192.0.2.66",
        "enabled": True,
        "description": "",
    }
    server.api("IpAddressGroups.create", {"groups": [entry]})


def rows(result: dict[str, t.Any]) -> list[tuple[t.Any, ...]]:
    return [tuple(row[name] for name in ("kind", "key", "option", "server", "declared")) for row in result["differences"]]


@pytest.mark.shows("run", "check", "by_hand")
def test_differences_are_told_until_there_are_none(mail1: LabServer) -> None:
    mail1.forget()
    mail1.refuse_writes()
    first, check = play(compare(mail1), replace(compare(mail1), check=True))
    mail1.refuse_writes(False)
    assert_untouched(mail1)
    assert (first.status, first.result["differing"]) == (
        "ok",
        ["security_policy", "master_authentication", "advanced_options", "archiving"],
    )
    assert check.result["differences"] == first.result["differences"]
    assert first.msg == (
        "mail1: 7 settings differ (security_policy.authentication_methods, master_authentication.enabled, "
        "master_authentication.ip_address_group, advanced_options.insert_x_envelope_to, archiving.enabled, "
        "archiving.relayed_messages, archiving.remote_address)"
    )
    assert first.result["today"] == {"master_authentication": {"enabled": False, "ip_address_group": ""}}
    *modules, again, twice = play(*declare(mail1), compare(mail1), compare(mail1))
    assert [answer.status for answer in modules] == ["ok", "changed", "ok", "ok", "changed", "changed", "changed"]
    assert again.result["differences"] == twice.result["differences"] == []
    assert (again.msg, again.warnings) == ("mail1: everything is as declared", [])
    assert again.result["today"] == {"master_authentication": DECLARED["master_authentication"]}
    told_when_changed_by_hand(mail1)


def told_when_changed_by_hand(mail1: LabServer) -> None:
    """Assert what is said of a server that was as declared until somebody changed it."""
    change_by_hand(mail1)
    mail1.forget()
    mail1.refuse_writes()
    answer = one(compare(mail1))
    mail1.refuse_writes(False)
    assert_untouched(mail1)
    assert answer.result["differing"] == ["ip_address_groups", "security_policy", "services", "users", "archiving"]
    assert rows(answer.result) == [
        (
            "ip_address_groups",
            "Archive hosts",
            "entries",
            [{"host": "127.0.0.1"}, {"host": "192.0.2.66"}],
            [{"host": "127.0.0.1"}],
        ),
        ("security_policy", "", "authentication_methods", {"CRAM-MD5": True}, {"CRAM-MD5": False}),
        ("services", "Secure IMAP", "running", False, True),
        ("users", "archive@example.com", "item_limit", 10, 0),
        ("archiving", "", "relayed_messages", False, True),
    ]
    assert answer.result["differences"][-1]["meaning"] == (
        "Mail from elsewhere to elsewhere is not archived by this server since it was switched off, and what came meanwhile is "
        "not archived later."
    )
    assert (answer.changed, answer.result["relations"]) == (False, [])
    # One login, each structure once; the question about the entry's removal changes nothing.
    calls = answer.result["calls"]
    assert len(calls) == len(set(calls))
    assert (calls[0], calls[-1]) == ("Session.login", "Session.logout")


@pytest.mark.shows("broken")
def test_what_cannot_be_compared_is_one_sentence_and_no_second_login(mail1: LabServer) -> None:
    mail1.set_switches(fail_methods="Archive.get=1004")
    (broken,) = play(compare(mail1))
    mail1.reset_switches()
    assert_one_sentence(broken, "Archive.get", "1004")
    assert_untouched(mail1)
    unknown = {"name": "No such service", "running": True}
    (wrong,) = play(compare(mail1, services=[unknown]))
    assert_one_sentence(wrong, "No such service", "Secure IMAP")
    assert_untouched(mail1)
