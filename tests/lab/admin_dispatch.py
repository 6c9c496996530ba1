# SPDX-License-Identifier: GPL-3.0-or-later
"""One JSON-RPC request in, one answer out: envelope, session, rights, record (sheet 1.2-1.4, 1.8)."""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from typing import Any

from tests.lab import (
    admin_addresses,
    admin_directory,
    admin_distributed,
    admin_server,
    admin_services,
    admin_settings,
    admin_shape,
    admin_users,
    state_logins,
    switch_methods,
)
from tests.lab.admin_rpc import (
    BAD_PARAMS,
    DENIED,
    EVERYONE,
    FAILED,
    INVALID_REQUEST,
    METHODS,
    NO_METHOD,
    NO_SESSION,
    PARSE_ERROR,
    ApiError,
    Context,
    HangError,
    Method,
    Session,
    bad_params,
    check_params,
    method,
)
from tests.lab.state import ServerState
from tests.lab.state_record import masked
from tests.lab.switches import Switches

# Importing these fills METHODS.
MODULES = (
    admin_addresses,
    admin_directory,
    admin_distributed,
    admin_server,
    admin_services,
    admin_settings,
    admin_users,
)
ANONYMOUS = Session("", "", "Anonymous", "", "", "")
# What an Auditor gets for these is known (sheet 1.4, 2.10): a rights error in disguise, and silence.
AUDITOR = {"Domains.get": FAILED}
AUDITOR_HANGS = {"Queue.get"}
LOGIN = {"userName": "", "password": "", "application": {"name": "", "vendor": "", "version": ""}}


@dataclasses.dataclass
class Reply:
    """`body` None = the connection stays silent; `drop` = it is closed without an answer."""

    body: bytes | None
    status: int = 200
    cookies: tuple[str, ...] = ()
    drop: bool = False


@dataclasses.dataclass
class Request:
    body: bytes
    token: str
    cookies: dict[str, str]
    client: str


@dataclasses.dataclass
class Call:
    """One request on its way; `outcome` is what the record says of it."""

    request: Request
    how: Switches
    id: Any = None
    name: str = ""
    params: Any = None
    user: str = "Anonymous"
    application: str = ""
    outcome: str = "ok"
    cookies: tuple[str, ...] = ()
    item_errors: list[tuple[int, int]] = dataclasses.field(default_factory=list)


class Dispatcher:
    """Holds the sessions of one server."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.sessions: dict[str, Session] = {}

    def handle(self, request: Request) -> Reply:
        call = Call(request, self.state.switches)
        answer: dict[str, Any] = {"jsonrpc": "2.0"}
        status = 200
        try:
            self._open(call)
            if not self.state.administers(request.client):
                return self._outside(call)
            with self.state.lock:
                answer["result"] = self._run(call)
            if call.how.null_error:
                answer["error"] = None
        except ApiError as error:
            call.outcome = "refused" if call.outcome == "refused" else f"error:{error.code}"
            answer["error"] = error.body(call.how)
            status = call.how.error_status
        except HangError:
            call.outcome = "hang"
        answer["id"] = call.id
        self._record(call)
        if call.outcome == "hang":
            return Reply(None)
        return Reply(json.dumps(answer, ensure_ascii=False).encode(), status, call.cookies)

    def _outside(self, call: Call) -> Reply:
        """Remote administration is limited to a group that the caller is not in; how that looks is unknown (switch)."""
        call.outcome = "outside"
        self._record(call)
        if call.how.remote_admin_refusal == "error":
            error = ApiError(DENIED, "Access denied.").body(call.how)
            return Reply(json.dumps({"jsonrpc": "2.0", "error": error, "id": call.id}).encode(), call.how.error_status)
        return Reply(b"", 403, drop=call.how.remote_admin_refusal == "close")

    def _record(self, call: Call) -> None:
        spec = METHODS.get(call.name)
        writes = spec is not None and spec.writes
        who: dict[str, Any] = {"client": call.request.client, "user": call.user, "application": call.application}
        if call.item_errors:
            who["item_errors"] = call.item_errors
        self.state.recorder.call(call.name, call.params, call.outcome, writes=writes, **who)
        if writes and call.outcome == "ok":
            self._log_change(call)
            self.state.changed()

    def _log_change(self, call: Call) -> None:
        """store/logs/config.log: each change with the user's name, passwords as xxxxxx (sheet 7)."""
        log = self.state.install / "store" / "logs" / "config.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%d/%b/%Y %H:%M:%S")
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"[{stamp}] {call.user} - {call.name} {json.dumps(masked(call.params), ensure_ascii=False)}\n")

    def _open(self, call: Call) -> None:
        """Parse the envelope."""
        try:
            envelope = json.loads(call.request.body)
        except ValueError as error:
            raise ApiError(PARSE_ERROR, "Parse error.") from error
        if not isinstance(envelope, dict):
            raise ApiError(INVALID_REQUEST, "Invalid request.")
        call.id = envelope.get("id")
        if envelope.get("jsonrpc") != "2.0" or not isinstance(envelope.get("method"), str):
            raise ApiError(INVALID_REQUEST, "Invalid request.")
        call.name, call.params = envelope["method"], envelope.get("params")

    def _run(self, call: Call) -> Any:
        if call.name in switch_methods.hanging(call.how.hang_methods):
            raise HangError
        if call.name == "Session.login":
            return self._login(call)
        session = self._session(call)
        call.user, call.application = session.user, session.application
        spec = _known(call)
        _check_rights(call, spec, session)
        params = check_params(spec, call.params, call.how)
        _provoked(call)
        session.used()
        if call.name == "Session.logout":
            self.sessions.pop(session.token, None)
        sessions = list(self.sessions.values())
        context = Context(self.state, call.how, session, call.request.client, sessions, call.name, call.item_errors)
        result = spec.handler(context, params)
        return None if result == {} and call.how.void_result == "null" else result

    # -- sessions ---------------------------------------------------------------------------------------------

    def _session(self, call: Call) -> Session:
        """Both the header and the cookie are needed; without either the caller is Anonymous."""
        session = self.sessions.get(call.request.token)
        if session and session.expired(call.how):
            del self.sessions[session.token]
            session = None
        if session is None or call.request.cookies.get(call.how.cookie_name) != session.cookie:
            if call.how.anonymous_version and call.name.startswith("Version."):
                return ANONYMOUS
            raise ApiError(NO_SESSION, "User %1 has no administrator rights.", "Anonymous")
        return session

    def _login(self, call: Call) -> dict[str, Any]:
        spec = METHODS["Session.login"]
        params = check_params(spec, call.params, call.how)
        if set(params["application"]) < set(LOGIN["application"]):
            raise bad_params("application is incomplete")
        call.user, call.application = params["userName"], params["application"]["name"]
        _provoked(call)
        role, user_id = self._authenticate(call, params["userName"], params["password"])
        token, cookie = secrets.token_hex(32), secrets.token_hex(32)
        session = Session(token, cookie, call.user, role, user_id, call.request.client, call.application)
        self.sessions[session.token] = session
        cookies = [f"{call.how.cookie_name}={session.cookie}; Path=/; Secure; HttpOnly"]
        if call.how.second_cookie:
            cookies.append(f"TOKEN_CONNECT_WEBADMIN={session.token}; Path=/; Secure")
        call.cookies = tuple(cookies)
        return {"token": session.token}

    def _authenticate(self, call: Call, name: str, password: str) -> tuple[str, str]:
        """(role, user id). The built-in administrator wins over a user of the same name without a domain part."""
        state, client = self.state, call.request.client
        refused = ApiError(call.how.login_error, "Invalid user name or password.")
        admin = state.settings["Administration"]
        if admin["builtInAdminEnabled"] and name == admin["builtInAdminUsername"]:
            if state.logins.check_admin(password, client, call.application).cause:
                raise refused
            return "BuiltInAdmin", ""
        user = state.logins.check(name, state_logins.password(password), client, "admin", application=call.application).user
        if user is None:
            raise refused
        role = admin_users.effective_role(state, user.id)
        if role not in EVERYONE:
            raise ApiError(DENIED, "User %1 has no administrator rights.", name)
        return role, user.id


def _known(call: Call) -> Method:
    if call.name in METHODS:
        return METHODS[call.name]
    if call.how.unknown_method == "hang":
        raise HangError
    code = NO_METHOD if call.how.unknown_method == "-32601" else BAD_PARAMS
    raise ApiError(code, "Method %1 not found.", call.name)


def _check_rights(call: Call, spec: Method, session: Session) -> None:
    if session is ANONYMOUS or session.role in spec.roles:
        return
    if session.role == "Auditor":
        if call.name in AUDITOR_HANGS:
            raise HangError
        if call.name in AUDITOR:
            raise ApiError(AUDITOR[call.name], "Operation failed, internal database error.")
        if call.how.auditor_reads == "most" and not spec.writes:
            return
    raise ApiError(DENIED, "Access denied.")


def _provoked(call: Call) -> None:
    """Errors that a test asked for."""
    wanted = switch_methods.failing(call.how.fail_methods)
    if call.name in wanted:
        raise ApiError(wanted[call.name], "Operation failed.")
    if METHODS[call.name].writes and call.how.refuse_writes:
        call.outcome = "refused"
        raise ApiError(DENIED, "Access denied.")


def check_switches(how: Switches) -> None:
    """Raises ValueError for a switch that names a method or a member that the double does not have."""
    named = {
        "hang_methods": (switch_methods.hanging(how.hang_methods), METHODS),
        "fail_methods": (switch_methods.failing(how.fail_methods), METHODS),
        "fail_items": (
            [one.method for one in switch_methods.failing_items(how.fail_items)],
            [name for name, spec in METHODS.items() if spec.works_on_items],
        ),
        "absent_members": (admin_shape.paths(how.absent_members), _members()),
    }
    for switch, (wanted, known) in named.items():
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise ValueError(f"switch {switch}: the lab has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def _members() -> list[str]:
    kinds = [value for module in MODULES for value in vars(module).values() if isinstance(value, admin_shape.Kind)]
    return [f"{kind.name}.{path}" for kind in kinds for path in admin_shape.member_paths(kind.like)]


@method("Session.login", LOGIN, roles=EVERYONE)
def _login_is_special(_call: Context, _params: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("Session.login is handled before sessions are looked at")


@method("Session.logout", roles=EVERYONE)
def _logout(_call: Context, _params: dict[str, Any]) -> dict[str, Any]:
    return {"redirectUrl": "/admin/login/"}
