# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_services: the exact calls of a change, a second run, a check run and of errors."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError
from ansible_collections.mailops.kerio.plugins.modules import kerio_services
from tests.unit.module_utils.kerio.services_script import GROUPS, HOSTS, imap, imaps, listener, pop, read, start, stop, write
from tests.unit.rpc_script import Script, error, failing, login, logout, run_module

MAIN = kerio_services.main
WANTED = [
    {
        "name": "imap",
        "start_up": "manual",
        "running": False,
        "listeners": [{"port": 1143}, {"address": "192.0.2.1", "port": 143}],
        "ip_address_group": "archive hosts",
        "connection_limit": 0,
    },
    {"name": "POP3", "running": True, "start_up": "automatic"},
]
CHANGED = {
    "howToStart": "Manual",
    "listeners": [listener(1143), listener(143, "RealIpAddress", "192.0.2.1")],
    "group": HOSTS,
    "connectionLimit": {"isSet": False, "value": 1000},
}
DONE = (imap(**CHANGED, isRunning=False), imaps(), {**pop(), "isRunning": True, "howToStart": "Automatic"})


@pytest.mark.shows("change", "diff")
def test_change_writes_whole_objects_and_then_starts_and_stops() -> None:
    script = Script(
        login(),
        read(imap(), imaps(), pop()),
        GROUPS,
        write(imap(**CHANGED), {**pop(), "howToStart": "Automatic"}),
        stop("IMAP"),
        start("POP3"),
        read(*DONE),
        GROUPS,
        logout(),
    )
    result = run_module(MAIN, script, services=WANTED)
    assert (result["failed"], result["changed"], result["warnings"]) == (False, True, [])
    assert result["plan"] == {"create": 0, "change": 2, "delete": 0}
    assert result["msg"] == "mail1: changed services (change IMAP, change POP3)"
    assert result["diff"]["before"]["services"]["POP3"] == {"running": False, "start_up": "manual"}
    assert result["diff"]["after"]["services"]["IMAP"] == {
        "connection_limit": 0,
        "ip_address_group": "Archive hosts",
        "listeners": [{"address": "192.0.2.1", "port": 143}, {"address": "all", "port": 1143}],
        "running": False,
        "start_up": "manual",
    }
    assert result["calls"] == script.sent


@pytest.mark.shows("again")
def test_again_changes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(*DONE), GROUPS, logout()), services=WANTED)
    assert (result["changed"], result["msg"]) == (False, "mail1: nothing to change in services")
    assert result["warnings"] == []


@pytest.mark.shows("check")
def test_check_writes_nothing_and_says_the_same() -> None:
    result = run_module(MAIN, Script(login(), read(imap(), imaps(), pop()), GROUPS, logout()), check=True, services=WANTED)
    assert result["changed"] is True
    assert result["msg"] == "mail1: would change services (change IMAP, change POP3)"


def test_unknown_name_is_refused_with_those_that_the_server_has() -> None:
    result = failing(MAIN, Script(login(), read(imap(), imaps()), logout()), services=[{"name": "IMAPS"}, {"name": "IMAP"}])
    assert "mail1: service IMAPS: the server has IMAP, Secure IMAP. Correct the name" in result["msg"]


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_port_that_is_none_is_refused_before_anything_is_asked(port: int) -> None:
    services = [{"name": "IMAP", "listeners": [{"port": port}]}]
    result = failing(MAIN, Script(login(), logout()), services=services)
    assert f"mail1: service IMAP: listeners: {port} is not a port" in result["msg"]


def test_service_that_is_declared_twice_is_refused() -> None:
    result = failing(MAIN, Script(login(), logout()), services=[{"name": "IMAP"}, {"name": "imap", "running": True}])
    assert "service imap: it is declared twice" in result["msg"]


@pytest.mark.shows("error")
def test_error_inside_success_names_the_service() -> None:
    refused = {"errors": [{"inputIndex": 1, "code": 1000, "message": "Port %1 is used", "messageParameters": {
        "positionalParameters": ["143"], "plurality": 1}}]}  # fmt: skip
    services = [{"name": "IMAP", "connection_limit": 5}, {"name": "Secure IMAP", "listeners": [{"port": 143}]}]
    changed = (imap(connectionLimit={"isSet": True, "value": 5}), imaps(listeners=[listener(143)]))
    script = Script(login(), read(imap(), imaps()), write(*changed, answer=refused), logout())
    result = failing(MAIN, script, services=services)
    assert "mail1: Services.set: Secure IMAP: Port 143 is used (code 1000)" in result["msg"]
    assert (result["changed"], result["error"]["done"]) == (True, ["Services.set (IMAP)"])


def bad_members(*indices: int) -> dict[str, t.Any]:
    words = {"message": "Invalid params: %1.", "messageParameters": {"positionalParameters": ["defaultPort"], "plurality": 1}}
    return {"errors": [{"inputIndex": index, "code": -32602, **words} for index in indices]}


def without_own(service: dict[str, t.Any]) -> dict[str, t.Any]:
    return {member: value for member, value in service.items() if member not in ("isRunning", "defaultPort")}


@pytest.mark.parametrize(
    ("answer", "again"),
    [(bad_members(1), ("Secure IMAP",)), (error(-32602, "Invalid params."), ("IMAP", "Secure IMAP"))],
    ids=["one service", "the whole call"],
)
def test_server_that_refuses_its_own_members_is_sent_the_others(answer: t.Any, again: tuple[str, ...]) -> None:
    limit = {"isSet": True, "value": 5}
    changed = (imap(connectionLimit=limit), imaps(connectionLimit=limit))
    rest = [without_own(entry) for entry in changed if entry["name"] in again]
    script = Script(login(), read(imap(), imaps()), write(*changed, answer=answer), write(*rest), read(*changed), logout())
    result = run_module(MAIN, script, services=[{"name": name, "connection_limit": 5} for name in ("IMAP", "Secure IMAP")])
    assert (result["failed"], result["changed"]) == (False, True), result["msg"]


def test_server_that_refuses_the_others_as_well_is_told_in_its_words() -> None:
    changed = imap(connectionLimit={"isSet": True, "value": 5})
    writes = [write(changed, answer=bad_members(0)), write(without_own(changed), answer=bad_members(0))]
    result = failing(MAIN, Script(login(), read(imap()), *writes, logout()), services=[{"name": "IMAP", "connection_limit": 5}])
    assert "mail1: Services.set: IMAP: Invalid params: defaultPort. (code -32602)" in result["msg"]


def test_service_that_does_not_start_is_named() -> None:
    script = Script(login(), read(imap(), pop()), start("POP3", error(1000, "Cannot bind %1", "port 110")), logout())
    result = failing(MAIN, script, services=[{"name": "POP3", "running": True}])
    assert "mail1: Services.start (POP3): Cannot bind port 110 (code 1000)" in result["msg"]
    assert result["error"]["calls"][-1] == "Session.logout"
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(1000, "Cannot bind."), "mail1: Services.start (POP3): Cannot bind. (code 1000)"),
        (NetworkError("mail1: Services.start", "no answer", "Wait."), "mail1: Services.start (POP3): no answer"),
    ],
)
def test_error_after_a_part_of_the_work_tells_the_part(answer: t.Any, words: str) -> None:
    manual = {**pop(), "howToStart": "Automatic"}
    script = Script(login(), read(imap(), pop()), write(manual), start("POP3", answer), logout())
    result = failing(MAIN, script, services=[{"name": "POP3", "running": True, "start_up": "automatic"}])
    assert f"{words.rstrip('.')}; done before: Services.set (POP3). " in result["msg"]
    assert (result["changed"], result["error"]["done"]) == (True, ["Services.set (POP3)"])
