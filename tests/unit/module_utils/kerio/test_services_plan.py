# SPDX-License-Identifier: GPL-3.0-or-later
"""Services: what is written when, what is proved, what is said, and what is adopted."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import services
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan
from tests.unit.module_utils.kerio.services_script import GROUPS, HOSTS, imap, imaps, listener, pop, read, start, stop, write
from tests.unit.module_utils.kerio.sessions import session
from tests.unit.rpc_script import Call


def declare(*declared: dict[str, t.Any], calls: t.Sequence[Call], check: bool = False) -> tuple[Plan, list[str]]:
    return session(lambda server: services.declare_services(server, {"services": list(declared)}, check), *calls)


@pytest.fixture(autouse=True)
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(services.time, "sleep", slept.append)
    return slept


def test_start_alone_writes_no_object() -> None:
    running = {**pop(), "isRunning": True}
    plan, _ = declare({"name": "POP3", "running": True}, calls=[read(imap(), pop()), start("POP3"), read(imap(), running)])
    assert [(change.kind, change.key) for change in plan.changes] == [("services", "POP3")]


def test_object_alone_starts_and_stops_nothing() -> None:
    after = imap(connectionLimit={"isSet": True, "value": 7})
    declare({"name": "IMAP", "connection_limit": 7, "running": True}, calls=[read(imap()), write(after), read(after)])


def test_service_is_known_by_name_whatever_its_id() -> None:
    other = imap(id="keriodb://service/another-installation")
    call = Call("Services.stop", {"service": "keriodb://service/another-installation"})
    declare({"name": "imap", "running": False}, calls=[read(imaps(), other), call, read(imaps(), {**other, "isRunning": False})])


def test_object_is_sent_with_all_members_also_without_those_that_are_new() -> None:
    old = {"id": "s1", "name": "IMAP", "howToStart": "Automatic", "listeners": [listener(143)], "isRunning": True}
    after = {**old, "howToStart": "Manual"}
    declare({"name": "IMAP", "start_up": "manual"}, calls=[read(old), write(after), read(after)])
    with pytest.raises(InputError, match="IMAP: connection_limit: the server does not have this setting"):
        declare({"name": "IMAP", "connection_limit": 5}, calls=[read(old)])


def test_other_service_that_moved_is_an_error() -> None:
    after = imap(howToStart="Manual")
    moved = imaps(connectionLimit={"isSet": True, "value": 1})
    with pytest.raises(ApiError, match=r"service Secure IMAP: .*connection_limit is 1 instead of 1000"):
        declare({"name": "IMAP", "start_up": "manual"}, calls=[read(imap(), imaps()), write(after), read(after, moved)])


def test_service_that_is_gone_is_an_error() -> None:
    after = imap(howToStart="Manual")
    with pytest.raises(ApiError, match="Secure IMAP"):
        declare({"name": "IMAP", "start_up": "manual"}, calls=[read(imap(), imaps()), write(after), read(after)])


def test_service_that_needs_a_moment_is_waited_for(sleeps: list[float]) -> None:
    stopped = imap(isRunning=False)
    declare({"name": "IMAP", "running": False}, calls=[read(imap()), stop("IMAP"), read(imap()), read(imap()), read(stopped)])
    assert sleeps == [0.2, 0.4]


def test_service_that_does_not_stop_is_an_error_in_the_end(sleeps: list[float]) -> None:
    looks = [read(imap()) for _ in range(1 + len(services.PATIENCE))]
    with pytest.raises(ApiError, match="running is True instead of False"):
        declare({"name": "IMAP", "running": False}, calls=[read(imap()), stop("IMAP"), *looks])
    assert sum(sleeps) < 10


@pytest.mark.parametrize(
    ("running", "literal", "declared", "words"),
    [
        (False, "Automatic", {"running": False}, "IMAP is stopped only until the server is restarted, because"),
        (True, "Manual", {"running": True}, "IMAP runs only until the server is restarted, because start_up is manual"),
        (True, "Manual", {"running": True, "start_up": "manual"}, "runs only until"),
        (True, "Automatic", {"running": True}, ""),
        (False, "Manual", {"running": False}, ""),
        (False, "Automatic", {"start_up": "automatic"}, ""),  # nobody declares whether it runs
        (False, "OnDemand", {"running": False}, ""),  # a literal of tomorrow
    ],
)  # fmt: skip
def test_state_that_a_restart_ends_is_warned_of(running: bool, literal: str, declared: dict[str, t.Any], words: str) -> None:
    today = imap(isRunning=running, howToStart=literal)
    _, warnings = declare({"name": "IMAP", **declared}, calls=[read(today)], check=True)
    assert len(warnings) == bool(words)
    assert all(words in warning for warning in warnings)


def test_warning_is_of_the_outcome() -> None:
    _, warnings = declare({"name": "IMAP", "running": False, "start_up": "manual"}, calls=[read(imap())], check=True)
    assert warnings == []


def test_localised_text_of_a_listener_is_neither_compared_nor_destroyed() -> None:
    today = imap(listeners=[listener(143, address="Todas las direcciones")])
    plan, _ = declare({"name": "IMAP", "listeners": [{"address": "all", "port": 143}]}, calls=[read(today)])
    assert not plan.changed
    after = imap(listeners=[listener(144, address="Todas las direcciones")])
    declare({"name": "IMAP", "listeners": [{"address": "all", "port": 144}]}, calls=[read(today), write(after), read(after)])


def test_name_of_a_group_that_is_stale_is_not_compared() -> None:
    today = imap(group={"isUsed": True, "ipGroup": {"id": "keriodb://g/1", "name": "its name of yesterday"}})
    plan, _ = declare({"name": "IMAP", "ip_address_group": "archive hosts"}, calls=[read(today), GROUPS])
    assert not plan.changed


def test_group_that_is_taken_away_keeps_its_id() -> None:
    after = imap(group={**HOSTS, "isUsed": False})
    calls = [read(imap(group=HOSTS)), GROUPS, write(after), read(after)]
    declare({"name": "IMAP", "ip_address_group": ""}, calls=calls)


def test_adopted_services_change_nothing() -> None:
    today = [imap(group=HOSTS), imaps(connectionLimit={"isSet": False, "value": 1000}), pop()]
    adopted, _ = session(services.read_services, read(*today), GROUPS)
    assert adopted == [
        {
            "name": "IMAP",
            "running": True,
            "start_up": "automatic",
            "listeners": [{"address": "all", "port": 143}],
            "ip_address_group": "Archive hosts",
            "connection_limit": 1000,
        },
        {
            "name": "POP3",
            "running": False,
            "start_up": "manual",
            "listeners": [{"address": "all", "port": 110}],
            "ip_address_group": "",
            "connection_limit": 1000,
        },
        {
            "name": "Secure IMAP",
            "running": True,
            "start_up": "automatic",
            "listeners": [{"address": "all", "port": 993}],
            "ip_address_group": "",
            "connection_limit": 0,
        },
    ]
    plan, warnings = declare(*adopted, calls=[read(*today), GROUPS])
    assert (plan.changed, warnings) == (False, [])


def test_adoption_leaves_out_what_is_new_to_us() -> None:
    odd = imap(
        howToStart="OnDemand",
        listeners=[{"type": "AllAddresses", "ports": "1-9"}],
        group={"isUsed": True, "ipGroup": {"id": "", "name": ""}},
        connectionLimit={"isSet": True, "value": "1000"},
    )
    adopted, _ = session(services.read_services, read(odd))
    assert adopted == [{"name": "IMAP", "running": True}]
