# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_services, run by ansible-playbook against the lab."""

from __future__ import annotations

import imaplib
import typing as t

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play, settle, written

Service = dict[str, t.Any]


def services(server: LabServer, *entries: dict[str, t.Any]) -> Step:
    return Step("kerio_services", {**connection(server), "services": list(entries)})


def found(server: LabServer) -> dict[str, Service]:
    """Return the services as an administrator sees them, by name."""
    return {entry["name"]: entry for entry in server.api("Services.get")["services"]}


def group_id(server: LabServer, name: str) -> str:
    groups = server.api("IpAddressGroups.getGroupList")["groups"]
    return str(next(entry["id"] for entry in groups if entry["name"] == name))


def test_every_option_reaches_the_server_and_other_services_stay(mail1: LabServer) -> None:
    before = found(mail1)
    step = services(
        mail1,
        {
            "name": "secure http",
            "listeners": [{"port": 9443}, {"address": "LOCALHOST", "port": 8443}, {"address": mail1.host, "port": 443}],
            "ip_address_group": "archive HOSTS",
            "connection_limit": 50,
            "start_up": "manual",
            "running": False,
        },
        {"name": "NNTP", "running": True, "start_up": "automatic", "connection_limit": 0},
        {"name": "Secure NNTP"},
    )
    real = settle(mail1, step, "Services.set", "Services.start", "Services.stop")
    assert real.warnings == []
    assert real.diff["before"]["services"]["NNTP"] == {"connection_limit": 1000, "running": False, "start_up": "manual"}
    after = found(mail1)
    others = set(before) - {"Secure HTTP", "NNTP"}
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    on = {"howToStart": "Automatic", "isRunning": True, "connectionLimit": {"isSet": False, "value": 1000}}
    assert after["NNTP"] == {**before["NNTP"], **on}
    http = after["Secure HTTP"]
    assert {(entry["type"], entry["port"]) for entry in http["listeners"]} == {
        ("AllAddresses", 9443),
        ("Localhost", 8443),
        ("RealIpAddress", 443),
    }
    assert http["group"]["ipGroup"]["id"] == group_id(mail1, "Archive hosts")
    assert (http["group"]["isUsed"], http["isRunning"], http["howToStart"]) == (True, False, "Manual")
    assert (http["id"], http["defaultPort"]) == (before["Secure HTTP"]["id"], 443)


@pytest.mark.shows("by_hand")
def test_imap_is_there_again_after_somebody_stopped_it(mail1: LabServer) -> None:
    imap = services(mail1, {"name": "IMAP", "running": True, "start_up": "automatic"})
    mail1.api("Services.stop", {"service": found(mail1)["IMAP"]["id"]})
    limit = {"isSet": True, "value": 3}
    mail1.api("Services.set", {"services": [{**found(mail1)["POP3"], "connectionLimit": limit}]})
    mail1.forget()
    real, again = play(imap, imap)
    assert (real.status, again.status) == ("changed", "ok")
    assert real.diff["after"] == {"services": {"IMAP": {"running": True}}}
    assert written(mail1) == ["Services.start"]
    with imaplib.IMAP4(mail1.host, mail1.imap_port) as client:
        assert client.welcome.startswith(b"* OK")
    assert found(mail1)["POP3"]["connectionLimit"] == limit


def test_state_that_ends_with_the_next_restart_is_warned_of_every_time(mail1: LabServer) -> None:
    pop = services(mail1, {"name": "POP3", "running": False})
    real, again = play(pop, pop)
    assert (real.status, again.status) == ("changed", "ok")
    for answer in (real, again):
        assert answer.warnings == ["mail1: POP3 is stopped only until the server is restarted, because start_up is automatic"]
    mail1.service("restart")
    assert found(mail1)["POP3"]["isRunning"] is True


@pytest.mark.parametrize(
    "switches",
    [
        {"language": "de", "extra_members": True, "incomplete_struct": "reject", "partial_options": "reject"},
        {"read_only_members": "reject", "void_result": "null", "session_calls": 3},
    ],
)
def test_server_that_is_stricter_or_speaks_another_language(mail1: LabServer, switches: dict[str, t.Any]) -> None:
    wanted = {"name": "POP3", "listeners": [{"port": 110}, {"port": 1110}], "connection_limit": 7, "running": False}
    with mail1.switched(**switches):
        before = found(mail1)
        real, again = play(services(mail1, wanted), services(mail1, wanted))
        assert (real.status, again.status) == ("changed", "ok"), real
        after = found(mail1)
    listeners = before["POP3"]["listeners"]
    assert after["POP3"]["listeners"] == [*listeners, {**listeners[0], "port": 1110}]
    touched = {name: after["POP3"][name] for name in ("listeners", "connectionLimit")}
    assert after["POP3"] == {**before["POP3"], **touched, "isRunning": False}
    assert {**after, "POP3": None} == {**before, "POP3": None}


@pytest.mark.shows("broken")
def test_what_cannot_be_had_is_one_sentence(mail1: LabServer) -> None:
    before = found(mail1)
    mail1.forget()
    unknown, port, place, twice = play(
        services(mail1, {"name": "IMAP4"}),
        services(mail1, {"name": "IMAP", "listeners": [{"port": 70000}]}),
        services(mail1, {"name": "IMAP", "listeners": [{"address": "All addresses", "port": 143}]}),
        services(mail1, {"name": "IMAP"}, {"name": "imap"}),
    )
    assert_one_sentence(unknown, "mail1: service IMAP4", "the server has HTTP, IMAP, LDAP", "Secure IMAP", "Correct the name")
    assert_one_sentence(port, "mail1: service IMAP: listeners", "70000 is not a port", "1 to 65535")
    assert_one_sentence(place, "listeners: All addresses", "it is no IP address", "Write all, localhost")
    assert_one_sentence(twice, "mail1: service imap", "declared twice")
    assert_untouched(mail1)
    with mail1.switched(fail_items="Services.set:1=1000"):
        refused = one(services(mail1, {"name": "IMAP", "connection_limit": 9}, {"name": "POP3", "connection_limit": 9}))
    assert refused.failed
    assert "mail1: Services.set" in refused.msg
    assert "POP3: " in refused.msg
    with mail1.switched(fail_methods="Services.start=1000"):
        dead = one(services(mail1, {"name": "Secure NNTP", "running": True}))
    assert_one_sentence(dead, "mail1: Services.start", "Secure NNTP", "(code 1000)")
    assert found(mail1)["POP3"] == before["POP3"]
