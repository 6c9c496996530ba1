# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front ends ask of the state: logins, lockout in time, master authentication, recipients, archiving."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab import state_defaults, state_logins
from tests.lab.fixtures import LabServer
from tests.lab.state import ServerState
from tests.lab.state_guard import Guard
from tests.lab.users import new_id

OUTSIDE, INSIDE = "192.0.2.1", "10.1.2.3"


@pytest.fixture
def state(idle: LabServer) -> ServerState:
    idle.reset_switches()
    return ServerState(idle.install)


def local_clients(state: ServerState) -> str:
    return next(str(e["groupId"]) for e in state.settings["IpAddressGroups"] if e["groupName"] == "Local clients")


def test_api_095_lockout_ends_after_its_minutes() -> None:
    now = [0.0]
    policy: dict[str, Any] = state_defaults.security_policy() | {
        "enableLockout": True,
        "failedLoginsToLock": 2,
        "minutesToUnlock": 5,
    }
    guard = Guard(lambda: policy, lambda _group, _ip: False, clock=lambda: now[0])
    guard.failed("alice", OUTSIDE, "imap")
    assert not guard.locked("alice")
    guard.failed("alice", INSIDE, "imap")
    assert guard.locked("alice")
    assert not guard.locked("bob")
    now[0] = 299.0
    assert guard.locked("alice")
    now[0] = 300.0
    assert not guard.locked("alice")


def test_api_096_a_blocked_address_is_free_after_its_minutes() -> None:
    now = [0.0]
    policy: dict[str, Any] = state_defaults.security_policy()
    policy["antiHammering"] |= {"isEnabled": True, "failedLoginsToBlock": 2, "minutesToBlock": 1}
    guard = Guard(lambda: policy, lambda _group, _ip: False, clock=lambda: now[0])
    guard.failed("alice", OUTSIDE, "imap")
    guard.failed("bob", OUTSIDE, "imap")
    assert guard.blocked(OUTSIDE, "imap")
    assert not guard.blocked(INSIDE, "imap")
    now[0] = 60.0
    assert not guard.blocked(OUTSIDE, "imap")


def test_api_097_logins(state: ServerState) -> None:
    for name in ("alice", "ALICE", "alice@example.com"):
        user = state.find_user(name)
        assert user is not None
        assert user.addresses == ("alice@example.com", "a.angstrom@example.com")
    for name in ("a.angstrom", "info", "sales", "alice@example.org", "nobody", ""):
        assert state.find_user(name) is None, name


def test_api_098_a_disabled_account_cannot_log_in(state: ServerState) -> None:
    right = state_logins.password("not-a-secret-alice")
    assert state.logins.check("alice", right, OUTSIDE, "imap").user == state.find_user("alice")
    state.directory.users[0]["isEnabled"] = False
    assert state.logins.check("alice", right, OUTSIDE, "imap") == state_logins.Verdict(None, "disabled")


@pytest.mark.parametrize(("switch", "admitted"), [("everyone", True), ("nobody", False)])
def test_api_099_master_authentication_and_its_group(idle: LabServer, state: ServerState, switch: str, admitted: bool) -> None:
    idle.set_switches(empty_group_restriction=switch)
    options = state.settings["AdvancedOptions"]["masterAuthentication"]
    options.update(isEnabled=True, password="not-a-secret-master")
    master = state.master_authentication()
    assert (master.enabled, master.password, master.allows(OUTSIDE)) == (True, "not-a-secret-master", admitted)
    options["groupRestriction"] = local_clients(state)
    assert [state.master_authentication().allows(ip) for ip in (OUTSIDE, INSIDE)] == [False, True]


@pytest.mark.parametrize("counts", [True, False])
def test_api_100_wrong_master_passwords_may_count_for_anti_hammering(idle: LabServer, state: ServerState, counts: bool) -> None:
    idle.set_switches(master_failure_counts=counts)
    state.settings["SecurityPolicy"]["antiHammering"].update(isEnabled=True, failedLoginsToBlock=2)
    state.logins.master_failed(OUTSIDE)
    state.logins.master_failed(OUTSIDE)
    assert state.blocked(OUTSIDE, "imap") is counts


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ({"type": "Host", "host": "192.0.2.1"}, "192.0.2.1", "192.0.2.2"),
        ({"type": "Network", "addr1": "192.0.2.0", "addr2": "255.255.255.128"}, "192.0.2.127", "192.0.2.128"),
        ({"type": "Range", "addr1": "192.0.2.5", "addr2": "192.0.2.7"}, "192.0.2.7", "192.0.2.8"),
        ({"type": "IpPrefix", "addr1": "2001:db8::", "addr2": "32"}, "2001:db8::1", "2001:db9::1"),
        ({"type": "ThisMachine"}, "127.0.0.1", "192.0.2.1"),
    ],
)
def test_api_101_address_entries(state: ServerState, entry: dict[str, str], inside: str, outside: str) -> None:
    group = new_id("ipaddressgroup")
    line = state_defaults.address_entry(group, "Mine", **entry)
    parent = state_defaults.address_entry("parent", "Parent", type="ChildGroup", childGroupId=group)
    state.settings["IpAddressGroups"] += [line, parent]
    assert [state.in_group(group, ip) for ip in (inside, outside)] == [True, False]
    assert [state.in_group("parent", ip) for ip in (inside, outside)] == [True, False]
    line["enabled"] = False
    assert not state.in_group(group, inside)


@pytest.mark.parametrize(
    ("address", "logins"),
    [
        ("alice@example.com", ["alice"]),
        ("<Alice@EXAMPLE.NET>", ["alice"]),
        ("a.angstrom@example.com", ["alice"]),
        ("sales@example.com", ["bob", "carol"]),
        ("orders@example.net", ["bob", "carol"]),
        ("info@example.com", ["alice"]),
        ("nobody@example.com", []),
        ("alice@example.org", []),
    ],
)
def test_api_102_recipients(state: ServerState, address: str, logins: list[str]) -> None:
    assert [user.login for user in state.resolve_recipient(address)] == logins
    assert state.is_local(address) is not address.endswith("example.org")


def test_api_103_aliases_that_point_at_each_other_end(state: ServerState) -> None:
    domain = state.directory.domains[0]["id"]
    for name, target in (("ring", "rong"), ("rong", "ring")):
        state.directory.aliases.append(state_defaults.alias(new_id("alias"), domain, name, target))
    assert state.resolve_recipient("ring@example.com") == []


def test_api_104_archiving_of_the_moment(state: ServerState) -> None:
    options = state.settings["Archive"]
    assert not state.archiving().enabled
    options.update(isEnabled=True, remoteArchive={"enabled": True, "value": "archive@example.com"}, archiveOutgoingMessages=False)
    settings = state.archiving()
    assert (settings.enabled, settings.remote_address) == (True, "archive@example.com")
    assert (settings.local, settings.incoming, settings.outgoing, settings.relayed) == (True, True, False, False)
    assert settings.per_domain == {}
    options["isEnabledPerDomain"] = True
    domain = {"useRemoteArchiveAddress": True, "remoteArchiveAddress": "d@example.com", "archiveIncomingMessages": True}
    state.directory.domains[0].update(domain)
    mine = state.archiving().per_domain["example.com"]
    assert (mine.remote_address, mine.local, mine.incoming, mine.outgoing) == ("d@example.com", False, True, False)


def test_api_105_services_with_a_group(state: ServerState) -> None:
    assert state.service_allows("imap", OUTSIDE)
    state.service("IMAP")["group"] = {"isUsed": True, "ipGroup": {"id": local_clients(state), "name": ""}}
    assert [state.service_allows("imap", ip) for ip in (OUTSIDE, INSIDE)] == [False, True]
    state.service("IMAP")["isRunning"] = False
    assert not state.service_allows("imap", INSIDE)
    assert state.service_allows("imaps", OUTSIDE)
