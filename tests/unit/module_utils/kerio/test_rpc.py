# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of the session: what is repeated and what never, the new login, the logout at the end."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
    SessionExpiredError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import rpc
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import GatewayError, Reply
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Client, Effect
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc_transport import ConnectionRefusedByHostError, Endpoint
from tests.unit.rpc_script import ANYTHING, PASSWORD, Call, Script, error, login, logout

EXPIRED = error(-32001, "User Anonymous has no administrator rights")
REFUSED = ConnectionRefusedByHostError("mail1", "Connection refused", "Start it")
STARTING = Reply(503, b"starting")
LATER = Call("Archive.get", None, {"options": 1})


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        monkeypatch.setattr(rpc.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def client(script: Script, clock: t.Callable[[], float]) -> Client:
    return Client("mail1", "Admin", PASSWORD, script, clock)


def call(script: Script, clock: Clock, effect: Effect = Effect.READ) -> dict[str, t.Any]:
    try:
        with client(script, clock) as session:
            return session.call("Archive.get", None, effect)
    finally:
        script.finish()


def test_one_login_calls_one_logout(clock: Clock) -> None:
    script = Script(login(), LATER, logout())
    assert call(script, clock) == {"options": 1}


def test_calls_are_recorded_with_those_of_the_logout(clock: Clock) -> None:
    session = client(Script(login(), LATER, logout()), clock)
    with session:
        session.call("Archive.get")
    assert session.calls == ["Session.login", "Archive.get", "Session.logout"]


@pytest.mark.parametrize("effect", Effect)
def test_expired_session_is_renewed_once_and_the_call_repeated(clock: Clock, effect: Effect) -> None:
    # What is answered with "no session" was not carried out, so that even a create may be repeated.
    script = Script(login(), Call("Archive.get", None, EXPIRED), login(), LATER, logout())
    assert call(script, clock, effect) == {"options": 1}


@pytest.mark.parametrize("effect", [Effect.SETTLE, Effect.WRITE])
@pytest.mark.parametrize(
    "lost",
    [
        NetworkError("mail1: Archive.get", "the connection broke: reset by peer", "Run again"),
        NetworkError("mail1: Archive.get", "no answer within 30 s", "Raise timeout"),
        Reply(504, b""),
        Reply(500, b"<html>"),
        Reply(200, b""),
    ],
)
def test_write_whose_answer_is_lost_is_not_repeated(clock: Clock, effect: Effect, lost: t.Any) -> None:
    script = Script(login(), Call("Archive.get", None, lost), logout())
    with pytest.raises((NetworkError, ProtocolError)):
        call(script, clock, effect)


def test_answer_that_is_lost_after_the_new_login_is_not_asked_for_again(clock: Clock) -> None:
    broken = NetworkError("mail1: Archive.get", "the connection broke: reset by peer", "Run again")
    script = Script(login(), Call("Archive.get", None, EXPIRED), login(), Call("Archive.get", None, broken), logout())
    with pytest.raises(NetworkError, match="broke"):
        call(script, clock, Effect.WRITE)


def test_session_that_ends_again_is_a_matter_of_rights(clock: Clock) -> None:
    script = Script(login(), Call("Archive.get", None, EXPIRED), login(), Call("Archive.get", None, EXPIRED), logout())
    with pytest.raises(SessionExpiredError, match="FullAdmin"):
        call(script, clock)


def test_long_work_outlives_several_sessions(clock: Clock) -> None:
    expired = Call("Archive.get", None, EXPIRED)
    script = Script(login(), LATER, expired, login(), LATER, expired, login(), LATER, logout())
    with client(script, clock) as session:
        for _ in range(3):
            session.call("Archive.get")
    script.finish()


def test_login_that_did_not_help_is_not_made_again(clock: Clock) -> None:
    expired = Call("Archive.get", None, EXPIRED)
    script = Script(login(), expired, login(), expired, expired, logout())
    with client(script, clock) as session:
        for _ in range(2):
            with pytest.raises(SessionExpiredError, match="right after a new login"):
                session.call("Archive.get")
    script.finish()


@pytest.mark.parametrize("trouble", [REFUSED, Reply(502, b""), STARTING, Reply(504, b"")])
def test_read_is_repeated_until_the_server_is_there(clock: Clock, trouble: t.Any) -> None:
    down = Call("Archive.get", None, trouble)
    assert call(Script(login(), down, down, LATER, logout()), clock) == {"options": 1}
    assert len(clock.sleeps) == 2
    assert 0.25 <= clock.sleeps[0] <= 0.5 <= clock.sleeps[1] <= 1.0


def test_repeating_ends_and_says_how_long_it_took(clock: Clock) -> None:
    answers: list[Call] = [Call("Archive.get", None, STARTING) for _ in range(40)]
    script = Script(login(), *answers)
    session = client(script, clock)
    session.login()
    with pytest.raises(GatewayError, match=r"\d attempts in \d s"):
        session.call("Archive.get")
    assert clock.now <= rpc.RETRY_SECONDS


@pytest.mark.parametrize("effect", [Effect.SETTLE, Effect.WRITE])
@pytest.mark.parametrize("trouble", [REFUSED, STARTING])
def test_write_is_not_repeated(clock: Clock, effect: Effect, trouble: t.Any) -> None:
    with pytest.raises(NetworkError):
        call(Script(login(), Call("Archive.get", None, trouble), logout()), clock, effect)
    assert clock.sleeps == []


def test_hang_is_not_repeated(clock: Clock) -> None:
    hang = NetworkError("mail1: Archive.get", "no answer within 30 s", "Raise the timeout")
    with pytest.raises(NetworkError, match="no answer"):
        call(Script(login(), Call("Archive.get", None, hang), logout()), clock)
    assert clock.sleeps == []


def test_login_waits_for_a_server_that_is_not_there_yet(clock: Clock) -> None:
    assert call(Script(login(REFUSED), login(), LATER, logout()), clock) == {"options": 1}


@pytest.mark.parametrize(
    "refusal", [error(-32001, "no"), error(-32000, "no"), error(1004, "no"), error(-32602, "no"), error(1000, "no")]
)
def test_login_that_is_refused_is_never_repeated(clock: Clock, refusal: Reply) -> None:
    script = Script(login(refusal))
    with pytest.raises(LoginRefusedError, match="login of Admin: no") as caught:
        call(script, clock)
    assert caught.value.details["calls"] == ["Session.login"]
    assert PASSWORD not in str(caught.value.as_result())


def test_login_behind_a_gateway_is_not_repeated(clock: Clock) -> None:
    # It may have reached the server, and failed logins are counted there.
    with pytest.raises(GatewayError):
        call(Script(login(STARTING)), clock)


@pytest.mark.parametrize("answer", [{}, {"token": ""}, {"token": None}, {"token": 5}])
def test_login_without_a_token_is_refused(clock: Clock, answer: dict[str, t.Any]) -> None:
    with pytest.raises(ProtocolError, match="no token"):
        call(Script(login(answer)), clock)


def test_refusal_of_the_new_login_ends_the_session(clock: Clock) -> None:
    script = Script(login(), Call("Archive.get", None, EXPIRED), login(error(1, "locked")))
    with pytest.raises(LoginRefusedError, match="locked"):
        call(script, clock)


def test_error_is_told_with_server_and_calls_and_ends_with_a_logout(clock: Clock) -> None:
    with pytest.raises(ApiError) as caught:
        call(Script(login(), Call("Archive.get", None, error(1004, "no")), logout()), clock)
    assert caught.value.details["server"] == "mail1"
    assert caught.value.details["calls"] == ["Session.login", "Archive.get", "Session.logout"]


def test_bug_of_ours_ends_with_a_logout_too(clock: Clock) -> None:
    script = Script(login(), logout())
    with pytest.raises(KeyError), client(script, clock):
        raise KeyError
    script.finish()


@pytest.mark.parametrize("answer", [NetworkError("mail1", "gone", "Wait"), error(1000, "no"), Reply(200, b"")])
def test_logout_that_fails_is_a_warning(clock: Clock, answer: t.Any) -> None:
    script = Script(login(), LATER, Call("Session.logout", None, answer))
    session = client(script, clock)
    with session:
        session.call("Archive.get")
    assert "stays open" in session.warnings[0]


def test_logout_of_a_session_that_is_gone_is_nothing(clock: Clock) -> None:
    session = client(Script(login(), Call("Session.logout", None, EXPIRED)), clock)
    with session:
        pass
    assert session.warnings == []


def test_logout_that_fails_does_not_hide_the_error(clock: Clock) -> None:
    broken = Call("Session.logout", None, NetworkError("mail1", "gone", "Wait"))
    with pytest.raises(ApiError, match="no right"):
        call(Script(login(), Call("Archive.get", None, error(1004, "no right")), broken), clock)


def test_requests_are_numbered_and_parameterless_ones_have_no_params(clock: Clock) -> None:
    seen: list[dict[str, t.Any]] = []

    class Recorder(Script):
        def exchange(self, method: str, payload: bytes, headers: t.Mapping[str, str]) -> Reply:
            seen.append(json.loads(payload))
            return super().exchange(method, payload, headers)

    with client(Recorder(login(), Call("A.b", ANYTHING), Call("A.c", ANYTHING), logout()), clock) as session:
        session.call("A.b")
        session.call("A.c", {"query": {}})
    assert [request["id"] for request in seen] == [1, 2, 3, 4]
    assert ["params" in request for request in seen] == [True, False, True, False]
    assert {request["jsonrpc"] for request in seen} == {"2.0"}


def test_unverified_certificate_is_told_every_time() -> None:
    session = rpc.connect(Endpoint("mail1", "127.0.0.1", validate_certs=False), "Admin", PASSWORD)
    assert "not verified" in session.warnings[0]
    assert rpc.connect(Endpoint("mail1", "127.0.0.1"), "Admin", PASSWORD).warnings == []


def test_failure_carries_the_warnings_of_the_session(clock: Clock) -> None:
    script = Script(login(), Call("Archive.get", None, error(1004, "no")), logout())
    session = client(script, clock)
    session.warnings.append("not verified")
    with pytest.raises(ApiError) as caught, session:
        session.call("Archive.get", None, Effect.READ)
    assert caught.value.details["warnings"] == ["not verified"]
