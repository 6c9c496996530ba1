# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reply of the admin API means: JSON-RPC 2.0 inside HTTP, with errors at the call and errors inside success. Pure.

Errors come with HTTP status 200. Anything else is a proxy, another service, or a server in trouble; a JSON error in it is
believed all the same.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    ItemError,
    NetworkError,
    ProtocolError,
    SessionExpiredError,
)

NO_SESSION, NO_SUCH_METHOD, BAD_MEMBERS = -32001, -32601, -32602
# An operator of the modules knows the one name of a connection option, an operator of the role the other.
API_HOST = "api_host (kerio_connect_host in the role)"
API_PORT = "api_port (kerio_connect_port in the role)"
FULL_ADMINISTRATOR = (
    "Use an account whose role on the server is full administrator (FullAdmin) as api_user (kerio_connect_user in the role)"
)
# What the operator can do, where a code says more than its text does.
REMEDIES = {
    NO_SUCH_METHOD: "Compare the version of the server with the supported ones: it does not have this method",
    BAD_MEMBERS: "Compare the version of the server with the supported ones: it did not accept the members that were sent",
    413: "Declare fewer objects at a time",
    1001: "Give the object another name, or remove the one that has it",
    1002: "Run again: the object was removed in the meantime",
    1003: "Compare the number of users with the licence",
    1004: FULL_ADMINISTRATOR,
}
# An Auditor who lists domains is told of an internal database error: it looks like corruption and is a matter of rights.
RIGHTS_IN_DISGUISE = 1000
OTHERWISE = "Look into the server's error log at this time of day"


class GatewayError(NetworkError):
    """HTTP 502, 503 or 504: the server behind is starting, stopping or overloaded."""


@dataclass(frozen=True)
class Reply:
    """The HTTP part of an answer."""

    status: int
    body: bytes


def result_of(where: str, method: str, reply: Reply, sent: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Return the named out-parameters of a call.

    Raises ``SessionExpiredError``, ``ItemError``, ``ApiError``, ``GatewayError`` or ``ProtocolError``.
    """
    envelope = _parse(where, method, reply)
    error = envelope.get("error")
    if error:
        raise _call_error(where, method, error, sent)
    if reply.status != 200:
        raise _status_error(where, method, reply)
    result = envelope.get("result")
    if result is None:
        return {}
    if not isinstance(result, dict):
        raise ProtocolError(
            f"{where}: {method}", f"the result is {type(result).__name__} instead of an object", "Report this version"
        )
    if result.get("errors"):
        raise _item_error(where, method, result)
    return result


def fill(text: t.Any, parameters: t.Any) -> str:
    """Return a message with ``%1``, ``%2`` … replaced; the server sends them unfilled. A number without a value stays."""
    values = parameters if isinstance(parameters, list) else []

    def value_of(match: re.Match[str]) -> str:
        index = int(match.group(1)) - 1
        return str(values[index]) if 0 <= index < len(values) else match.group(0)

    return re.sub(r"%(\d+)", value_of, str(text))


def _parse(where: str, method: str, reply: Reply) -> dict[str, t.Any]:
    try:
        envelope = json.loads(reply.body)
    except ValueError:  # includes bytes that are not UTF-8
        envelope = None
    if isinstance(envelope, dict) and ("result" in envelope or "error" in envelope):
        return envelope
    if reply.status != 200:
        raise _status_error(where, method, reply)
    raise ProtocolError(
        f"{where}: {method}",
        f"the answer is not one of the admin API: {_beginning(reply.body)}",
        f"Check {API_PORT}: the administration listens on 4040 unless it was moved",
    )


def _status_error(where: str, method: str, reply: Reply) -> ProtocolError | GatewayError:
    cause = f"HTTP status {reply.status}: {_beginning(reply.body)}"
    if reply.status in (502, 503, 504):
        return GatewayError(f"{where}: {method}", cause, "Wait until the server is up, then run again", status=reply.status)
    return ProtocolError(
        f"{where}: {method}",
        cause,
        f"Check {API_HOST} and {API_PORT}: the administration listens on 4040 unless it was moved",
        status=reply.status,
    )


def _beginning(body: bytes) -> str:
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return repr(text[:80]) if text else "an empty body"


def _call_error(where: str, method: str, error: t.Any, sent: t.Mapping[str, t.Any] | None) -> ApiError:
    error = error if isinstance(error, dict) else {"message": error}
    code, raw = error.get("code"), error.get("message") or "no text"
    data = error.get("data")
    parameters = data.get("messageParameters") if isinstance(data, dict) else None
    text = fill(raw, _positional(parameters))
    details: dict[str, t.Any] = {"method": method, "code": code, "raw_message": raw}
    if code == BAD_MEMBERS:
        details["sent_members"] = sorted(set(_member_names(sent or {})))
    cause = with_code(text, code)
    if code == NO_SESSION:
        return SessionExpiredError(f"{where}: {method}", cause, "Run again", **details)
    return ApiError(f"{where}: {method}", cause, _remedy(code, method), **details)


def _remedy(code: t.Any, method: str) -> str:
    if code == RIGHTS_IN_DISGUISE and method.endswith(".get"):
        return f"{FULL_ADMINISTRATOR}: to others the server answers like this; if it is one, {OTHERWISE.lower()}"
    return REMEDIES.get(code, OTHERWISE)


def _item_error(where: str, method: str, result: dict[str, t.Any]) -> ItemError:
    entries = result["errors"] if isinstance(result["errors"], list) else [result["errors"]]
    errors = [_item(entry if isinstance(entry, dict) else {"message": entry}) for entry in entries]
    texts = "; ".join(f"{which_item(entry['index'])}: {with_code(entry['message'], entry['code'])}" for entry in errors)
    remedy = _remedy(errors[0]["code"], method)
    return ItemError(f"{where}: {method}", texts, remedy, method=method, code=errors[0]["code"], errors=errors)


def which_item(index: t.Any) -> str:
    """How an item of a call is named by its place among them; servers may leave it out, as the code."""
    return "an item" if index is None else f"item {index}"


def with_code(text: str, code: t.Any) -> str:
    """The words of the server with its code."""
    return f"{text} (without a code)" if code is None else f"{text} (code {code})"


def _item(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    raw = entry.get("message") or "no text"
    return {
        "index": entry.get("inputIndex"),
        "code": entry.get("code"),
        "message": fill(raw, _positional(entry.get("messageParameters"))),
        "raw_message": raw,
    }


def _positional(parameters: t.Any) -> t.Any:
    return parameters.get("positionalParameters") if isinstance(parameters, dict) else None


def _member_names(value: t.Any, path: str = "") -> t.Iterator[str]:
    """Yield the names of all members sent, never their values: a password may be among them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _member_names(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from _member_names(inner, path)
    elif path:
        yield path
