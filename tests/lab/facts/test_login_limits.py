# SPDX-License-Identifier: GPL-3.0-or-later
"""Lockout and anti-hammering in every position of their switches, and how tests see who tried to log in (sheet 2.9).

What the vendor says beyond the sheet: an address is judged by its failures within one minute, for each service by itself
(support.gfi.com 110122), an account by failures in a row, for all services (support.kerioconnect.gfi.com 360015198319).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import cli, logins, state_defaults, state_logins
from tests.lab.facts import sasl
from tests.lab.facts.imap_rig import PASSWORD, Rig, Wire
from tests.lab.facts.masterauth import master
from tests.lab.facts.plain import Plain
from tests.lab.fixtures import Factory, Lab, LabServer
from tests.lab.state import ServerState
from tests.lab.state_guard import Guard
from tests.lab.switches import Switches

ONE, OTHER = "192.0.2.1", "192.0.2.2"
WRONG, RIGHT = state_logins.password("wrong"), state_logins.password(PASSWORD)


class Clocked:
    """A guard whose clock stands until it is moved; three failures are too many."""

    def __init__(self, **switches: Any) -> None:
        self.now = 0.0
        self.policy: dict[str, Any] = state_defaults.security_policy() | {"enableLockout": True, "failedLoginsToLock": 3}
        self.policy["antiHammering"] |= {"isEnabled": True, "failedLoginsToBlock": 3}
        how = Switches(**switches)
        self.guard = Guard(lambda: self.policy, lambda _group, ip: ip == OTHER, lambda: how, lambda: self.now)

    def fail(self, times: int = 1, account: str = "alice", ip: str = ONE, service: str = "imap") -> None:
        for _ in range(times):
            self.guard.failed(account, ip, service)


@pytest.mark.parametrize(("window", "blocked"), [(60.0, False), (0.0, True)])
def test_api_165_failures_of_an_address_count_within_a_minute(window: float, blocked: bool) -> None:
    made = Clocked(hammering_window=window)
    for made.now in (0.0, 59.0, 60.0):
        made.fail(account="")
    assert made.guard.blocked(ONE, "imap") is blocked
    made.now = 61.0
    made.fail(account="")  # 59, 60, 61
    assert made.guard.blocked(ONE, "imap")


def test_api_166_failures_of_an_account_count_in_a_row_however_long_it_takes() -> None:
    made = Clocked()
    for made.now, service in ((0.0, "imap"), (5000.0, "admin"), (9000.0, "imap")):
        assert not made.guard.locked("alice")
        made.fail(service=service)
    assert made.guard.locked("alice")


@pytest.mark.parametrize(("scope", "elsewhere"), [("service", False), ("server", True)])
def test_api_167_an_address_is_blocked_for_a_service_or_for_all(scope: str, elsewhere: bool) -> None:
    made = Clocked(hammering_scope=scope)
    made.fail(3, "")
    assert made.guard.blocked(ONE, "imap")
    assert made.guard.blocked(ONE, "admin") is elsewhere


@pytest.mark.parametrize(("switch", "left"), [("account", (0, 2)), ("both", (0, 0)), ("none", (2, 2))])
def test_api_168_what_a_success_sets_back(switch: str, left: tuple[int, int]) -> None:
    made = Clocked(success_resets=switch)
    made.fail(2)
    made.guard.succeeded("alice", ONE, "imap")
    assert (made.guard.accounts.count("alice"), made.guard.addresses.count(f"{ONE} imap")) == left


def test_api_169_an_excepted_address_locks_accounts_all_the_same() -> None:
    made = Clocked()
    made.policy["antiHammering"]["exceptionIpGroup"] = {"enabled": True, "id": "group", "name": ""}
    made.fail(3, ip=OTHER)
    assert not made.guard.blocked(OTHER, "imap")
    assert made.guard.locked("alice")


@pytest.fixture
def state(idle: LabServer) -> ServerState:
    """Two failures lock an account for five minutes; anti-hammering waits for three."""
    idle.reset_switches()
    idle.forget()
    made = ServerState(idle.install)
    policy = made.settings["SecurityPolicy"]
    policy.update(enableLockout=True, failedLoginsToLock=2)
    policy["antiHammering"].update(isEnabled=True, failedLoginsToBlock=3)
    return made


@pytest.mark.parametrize(("locks", "cause"), [(True, "locked"), (False, "")])
def test_api_170_the_built_in_administrator_may_be_locked(idle: LabServer, state: ServerState, locks: bool, cause: str) -> None:
    idle.set_switches(lock_admin=locks)
    namesake = state_defaults.user("namesake", state.directory.domains[0]["id"], "admin", password="x")
    state.directory.users.append(namesake)
    for _ in range(2):
        assert state.logins.check_admin("wrong", ONE).cause == "password"
    assert state.logins.check_admin(idle.admin_password, ONE).cause == cause
    assert state.logins.check("admin@example.com", state_logins.password("x"), ONE, "imap").user  # an account of its own


@pytest.mark.parametrize("counts", [True, False])
def test_api_171_attempts_at_a_locked_account(idle: LabServer, state: ServerState, counts: bool) -> None:
    idle.set_switches(locked_attempts_count=counts)
    causes = [state.logins.check("alice", WRONG, ONE, "imap").cause for _ in range(4)]
    assert causes == ["password", "password", "locked", "blocked" if counts else "locked"]


@pytest.mark.parametrize("counts", [True, False])
def test_api_172_an_md5_method_that_cannot_work_may_count(idle: LabServer, state: ServerState, counts: bool) -> None:
    idle.set_switches(md5_failure_counts=counts)
    for _ in range(2):
        assert state.logins.check("alice", lambda _user: "method", ONE, "imap").cause == "method"
    assert (state.logins.check("alice", RIGHT, ONE, "imap").cause == "locked") is counts


def test_api_173_time_can_be_moved(idle: LabServer, state: ServerState) -> None:
    for _ in range(2):
        state.logins.check("alice", WRONG, ONE, "imap")
    idle.pass_minutes(4.9)
    assert state.logins.check("alice", RIGHT, ONE, "imap").cause == "locked"
    idle.pass_minutes(0.2)
    assert state.logins.check("alice", RIGHT, ONE, "imap").user


def test_api_174_every_attempt_is_written_down_with_its_cause(idle: LabServer, state: ServerState) -> None:
    state.directory.users[1]["isEnabled"] = False
    for name, proof in (("Alice", WRONG), ("alice@EXAMPLE.com", RIGHT), ("bob", RIGHT), ("Nobody", WRONG), ("dora", WRONG)):
        state.logins.check(name, proof, ONE, "imap", method="PLAIN")
    seen = [(one["name"], one["account"], one["outcome"], one["cause"]) for one in idle.logins(client=ONE, method="PLAIN")]
    assert seen == [
        ("Alice", "alice@example.com", "failed", "password"),
        ("alice@EXAMPLE.com", "alice@example.com", "ok", ""),
        ("bob", "bob@example.com", "failed", "disabled"),
        ("Nobody", "nobody", "failed", "unknown"),
        ("dora", "dora@example.com", "blocked", "blocked"),
    ]
    assert logins.counts(idle.install)["imap", "alice@example.com", ONE, "failed", "password"] == 1
    assert "wrong" not in json.dumps(idle.logins())
    log = [line.partition("] ")[2] for line in idle.security_log()[-4:]]
    assert log == [
        f"Failed IMAP login from {ONE}, user Alice",
        f"Failed IMAP login from {ONE}, user bob",
        f"IMAP: User Nobody doesn't exist. Attempt from IP address {ONE}.",
        f"IMAP: AntiHammering - IP address {ONE} will be blocked for 5 minutes, too many failed logins from this IP address.",
    ]


# -- as a client sees it --------------------------------------------------------------------------------------------

SOURCE = "127.0.0.6"


def from_source(rig: Rig) -> Wire:
    return rig.wire(source=SOURCE)


@pytest.mark.parametrize("form", ["close", "bye", "no"])
def test_imap_130_how_a_blocked_address_is_turned_away(rig: Rig, form: str) -> None:
    rig.switch(hammering_refusal=form)
    rig.options("SecurityPolicy")["antiHammering"].update(isEnabled=True, failedLoginsToBlock=2)
    rig.master()
    earlier = from_source(rig)
    earlier.line()
    for way in (sasl.command, sasl.plain):
        assert way(earlier, "alice", "wrong").startswith(b"t NO ")
    assert sasl.command(earlier, "alice", PASSWORD).startswith(b"t NO LOGIN ")  # right, and too late
    assert master(earlier).startswith(b"a NO ")
    line = from_source(rig).line()
    assert line[:5] == {"close": b"", "bye": b"* BYE", "no": b"* OK "}[form]
    log = (rig.install / "store" / "logs" / "security.log").read_text(encoding="utf-8")
    assert (f"IMAP: AntiHammering: connection from IP address {SOURCE} is blocked" in log) is (form != "no")
    assert master(rig.greeted()).startswith(b"a OK ")  # from elsewhere all goes on


@pytest.mark.parametrize(("switch", "answer"), [("accept", b"t OK "), ("no", b"t NO ")])
def test_imap_131_a_master_at_a_locked_account(rig: Rig, switch: str, answer: bytes) -> None:
    rig.switch(locked_setuser=switch)
    rig.options("SecurityPolicy").update(enableLockout=True, failedLoginsToLock=1)
    rig.master()
    sasl.command(rig.greeted(), "alice", "wrong")
    wire = rig.greeted()
    master(wire)
    assert wire.ask(b"X-SETUSER alice")[-1].startswith(answer)


# -- a whole server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(lab_factory: Factory) -> Lab:
    return lab_factory(servers=1, users=4)


@pytest.fixture
def limited(whole: Lab) -> Iterator[LabServer]:
    server = whole.servers[0]
    yield server
    server.reset()


def ask(server: LabServer, name: str, password: str, source: str = "127.0.0.1", way: str = "command") -> bytes:
    wire = Wire(server.imap_port, source=source)
    try:
        return sasl.WAYS[way](wire, name, password) if wire.line() else b""
    finally:
        wire.close()


def test_api_175_an_account_is_counted_over_all_ways_in(limited: LabServer, capsys: pytest.CaptureFixture[str]) -> None:
    limited.limit_logins(account=4)
    bob = limited.user("bob")
    for way in ("command", "PLAIN", "CRAM-MD5"):
        assert ask(limited, "bob", "wrong", f"127.0.0.{len(way)}", way).startswith(b"t NO ")
    with Plain(limited) as admin:
        assert "error" in admin.login("bob@example.com", "wrong")
        assert admin.login("bob", bob["password"])["error"]["code"] == 1000  # locked here too; rights would be 1004
    assert ask(limited, "bob", bob["password"]).startswith(b"t NO ")
    rows = limited.logins(account="bob@example.com")
    assert [(one["service"], one["method"], one["outcome"]) for one in rows] == [
        ("imap", "LOGIN", "failed"), ("imap", "PLAIN", "failed"), ("imap", "CRAM-MD5", "failed"),
        ("admin", "", "failed"), ("admin", "", "locked"), ("imap", "LOGIN", "locked"),
    ]  # fmt: skip
    limited.pass_minutes(5)
    assert ask(limited, "bob", bob["password"]).startswith(b"t OK ")
    assert cli.main(["logins", "--dir", str(limited.folder.parent)]) == 0
    assert "     1  imap  bob@example.com  127.0.0.1  ok  -\n" in capsys.readouterr().out


def test_api_176_an_address_is_counted_over_all_accounts(limited: LabServer) -> None:
    limited.limit_logins(address=3, minutes=2)
    for name in ("alice", "bob", "nobody"):
        assert ask(limited, name, "wrong", SOURCE).startswith(b"t NO ")
    carol = limited.user("carol")
    assert ask(limited, "carol", carol["password"], SOURCE) == b""
    assert ask(limited, "carol", carol["password"]).startswith(b"t OK ")
    limited.pass_minutes(2)
    assert ask(limited, "carol", carol["password"], SOURCE).startswith(b"t OK ")
    limited.limit_logins(address=3, excepted="Archive hosts")  # 127.0.0.1
    for _ in range(4):
        assert ask(limited, "carol", "wrong").startswith(b"t NO ")
    assert ask(limited, "carol", carol["password"]).startswith(b"t OK ")
    assert sum("AntiHammering - " in line for line in limited.security_log()) == 1
