# SPDX-License-Identifier: GPL-3.0-or-later
"""The bones of the admin API: errors, sessions, the table of methods, and the check of parameters (sheet 1.3-1.5)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from tests.lab import switch_methods
from tests.lab.state import ServerState
from tests.lab.switches import Switches

NO_SESSION, INVALID_REQUEST, NO_METHOD, BAD_PARAMS, PARSE_ERROR = -32001, -32600, -32601, -32602, -32700
FAILED, EXISTS, MISSING, LICENCE, DENIED, TOO_LARGE = 1000, 1001, 1002, 1003, 1004, 413

GERMAN = {
    "User %1 has no administrator rights.": "Benutzer %1 hat keine Administratorrechte.",
    "Invalid user name or password.": "Benutzername oder Kennwort ungültig.",
    "Method %1 not found.": "Methode %1 nicht gefunden.",
    "Invalid params: %1.": "Ungültige Parameter: %1.",
    "Access denied.": "Zugriff verweigert.",
    "Item %1 already exists.": "%1 existiert bereits.",
    "Item %1 does not exist.": "%1 existiert nicht.",
    "Item %1 is in use.": "%1 wird verwendet.",
    "Operation failed for item %1.": "Vorgang für %1 fehlgeschlagen.",
    "All addresses": "Alle Adressen",
}


class ApiError(Exception):
    """A call-level error; also the makings of a per-item error."""

    def __init__(self, code: int, message: str, *positional: str) -> None:
        super().__init__(code, message, positional)
        self.code, self.message, self.positional = code, message, list(positional)

    def text(self, how: Switches) -> str:
        """Localised, and with %1 left in place or filled, as the switches say."""
        text = translate(self.message, how)
        if how.placeholders == "filled":
            for number, value in enumerate(self.positional, 1):
                text = text.replace(f"%{number}", value)
        return text

    def parameters(self) -> dict[str, Any]:
        return {"positionalParameters": self.positional, "plurality": 1}

    def item(self, index: int, how: Switches) -> dict[str, Any]:
        """Per-item form: `messageParameters` sits right in the entry."""
        parameters = self.parameters()
        return {"inputIndex": index, "code": self.code, "message": self.text(how), "messageParameters": parameters}

    def body(self, how: Switches) -> dict[str, Any]:
        """Call-level form: `messageParameters` sits under `data`."""
        body: dict[str, Any] = {"code": self.code, "message": self.text(how)}
        if how.error_data:
            body["data"] = {"messageParameters": self.parameters()}
        return body


class HangError(Exception):
    """This call gets no answer (sheet 1.4: some calls timed out at the client instead of erring)."""


def translate(text: str, how: Switches) -> str:
    return GERMAN.get(text, text) if how.language == "de" else text


def missing(name: str) -> ApiError:
    return ApiError(MISSING, "Item %1 does not exist.", name)


def exists(name: str) -> ApiError:
    return ApiError(EXISTS, "Item %1 already exists.", name)


def in_use(name: str) -> ApiError:
    return ApiError(FAILED, "Item %1 is in use.", name)


def bad_params(what: str) -> ApiError:
    return ApiError(BAD_PARAMS, "Invalid params: %1.", what)


@dataclasses.dataclass
class Session:
    token: str
    cookie: str
    user: str
    role: str
    user_id: str
    client: str
    application: str = ""
    calls: int = 0
    last: float = dataclasses.field(default_factory=time.monotonic)

    def expired(self, how: Switches) -> bool:
        idle = time.monotonic() - self.last
        return bool(
            (how.session_calls and self.calls >= how.session_calls) or (how.session_seconds and idle > how.session_seconds)
        )

    def used(self) -> None:
        self.calls += 1
        self.last = time.monotonic()


@dataclasses.dataclass
class Context:
    """What a method sees of its call."""

    state: ServerState
    how: Switches
    session: Session
    client: str
    sessions: list[Session]
    method: str = ""
    item_errors: list[tuple[int, int]] = dataclasses.field(default_factory=list)  # (inputIndex, code), for the record

    def each(self, items: list[Any], work: Callable[[Any], str | None]) -> dict[str, Any]:
        """Do `work` for every item; its ApiErrors become per-item errors, the ids it returns the `result` list."""
        errors, result = [], []
        for index, item in enumerate(items):
            try:
                self._provoked(index, item)
                kid = work(item)
                result.append({"inputIndex": index, "id": kid})
            except ApiError as error:
                errors.append(error.item(index, self.how))
                self.item_errors.append((index, error.code))
        return {"errors": errors, "result": result}

    def _provoked(self, index: int, item: Any) -> None:
        code = switch_methods.code_of_item(self.how.fail_items, self.method, index)
        if code:
            raise ApiError(code, "Operation failed for item %1.", label(item))

    def each_only_errors(self, items: list[Any], work: Callable[[Any], str | None]) -> dict[str, Any]:
        return {"errors": self.each(items, work)["errors"]}


def label(item: Any) -> str:
    """What a message calls the item: its name, else its id."""
    if not isinstance(item, dict):
        return str(item)
    return str(next((item[member] for member in LABELS if item.get(member)), ""))


LABELS = ("loginName", "groupName", "name", "userId", "groupId", "id")
Handler = Callable[[Context, dict[str, Any]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Method:
    """`params`: name -> a value whose shape tells the type. `optional`: names that may be missing."""

    handler: Handler
    params: dict[str, Any]
    writes: bool
    optional: frozenset[str]
    roles: frozenset[str]

    @property
    def works_on_items(self) -> bool:
        """Its errors are per item, inside success."""
        return self.writes and any(isinstance(like, list) for like in self.params.values())


METHODS: dict[str, Method] = {}
ADMINS = frozenset({"BuiltInAdmin", "FullAdmin"})
ACCOUNT_ADMINS = ADMINS | {"AccountAdmin"}
EVERYONE = ACCOUNT_ADMINS | {"Auditor"}


def method(
    name: str,
    params: dict[str, Any] | None = None,
    *,
    writes: bool = False,
    optional: tuple[str, ...] = (),
    roles: frozenset[str] = ADMINS,
) -> Callable[[Handler], Handler]:
    """Put a function into the table of methods."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(handler, params or {}, writes, frozenset(optional), roles)
        return handler

    return register


QUERY: dict[str, Any] = {
    "fields": [""],
    "conditions": [{"fieldName": "", "comparator": "", "value": ""}],
    "combining": "",
    "start": 0,
    "limit": 0,
    "orderBy": [{"columnName": "", "direction": "", "caseSensitive": False}],
}


def check_params(spec: Method, params: Any, how: Switches) -> dict[str, Any]:
    """Named parameters, all required ones there, all of the right type; else -32602."""
    if params is None or params == "":
        params = {}
    if not isinstance(params, dict):
        raise bad_params("parameters must be named")
    for name in spec.params:
        if name not in params and name not in spec.optional:
            raise bad_params(f"missing parameter {name}")
    if how.unknown_members == "reject" and set(params) - set(spec.params):
        raise bad_params("unknown parameter " + min(set(params) - set(spec.params)))
    for name, value in params.items():
        if name in spec.params:
            check_type(value, spec.params[name], name)
    return params


def check_type(value: Any, like: Any, path: str) -> None:
    """Wrong types are refused at any depth. Members that `like` does not know are judged elsewhere."""
    if like is None:
        return
    if type(value) is not type(like):
        raise bad_params(f"{path} has the wrong type")
    if isinstance(like, dict):
        for member, item in value.items():
            if member in like:
                check_type(item, like[member], f"{path}.{member}")
    elif isinstance(like, list) and like:
        for index, item in enumerate(value):
            check_type(item, like[0], f"{path}[{index}]")
