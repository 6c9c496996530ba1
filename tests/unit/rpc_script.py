# SPDX-License-Identifier: GPL-3.0-or-later
"""A transport that follows a script: each call must come in its place with its parameters, and none may be left over.

A check run is proven by a script that lists no write. ``run_module`` runs a module's ``main`` in this process.
"""

from __future__ import annotations

import copy
import json
import typing as t
from dataclasses import dataclass, field
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import rpc
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import Reply

TOKEN = "0f" * 32
PASSWORD = "not-a-secret-admin"
CONNECTION = {"api_host": "mail1.example.com", "api_user": "Admin", "api_password": PASSWORD, "server_name": "mail1"}
ANYTHING = object()


@dataclass
class Call:
    """One expected call. ``answer`` is a result, a ``Reply``, or an exception of the transport to raise.

    ``params`` of ``None`` means that the call must have none; ``ANYTHING`` leaves them unchecked.
    """

    method: str
    params: t.Any = None
    answer: t.Any = field(default_factory=dict)


def login(answer: t.Any = None) -> Call:
    params = {
        "userName": "Admin",
        "password": PASSWORD,
        "application": {"name": "kerio-archive", "vendor": "mailops", "version": "1"},
    }
    return Call("Session.login", params, {"token": TOKEN} if answer is None else answer)


def logout() -> Call:
    return Call("Session.logout")


def error(code: int, message: str, *parameters: str) -> Reply:
    body: dict[str, t.Any] = {"code": code, "message": message}
    if parameters:
        body["data"] = {"messageParameters": {"positionalParameters": list(parameters), "plurality": 1}}
    return Reply(200, json.dumps({"jsonrpc": "2.0", "id": 1, "error": body}).encode())


def query(order_by: str, start: int = 0, limit: int = 1000) -> dict[str, t.Any]:
    order = [{"columnName": order_by, "direction": "Asc", "caseSensitive": False}]
    return {"fields": [], "conditions": [], "combining": "And", "start": start, "limit": limit, "orderBy": order}


def listing(*entries: dict[str, t.Any], total: int | None = None) -> dict[str, t.Any]:
    return {"list": list(entries), "totalItems": len(entries) if total is None else total}


class Script:
    """The calls of one session, in order."""

    def __init__(self, *calls: Call) -> None:
        self.remaining = list(calls)
        self.sent: list[str] = []
        self.closed = False

    def exchange(self, method: str, payload: bytes, headers: t.Mapping[str, str]) -> Reply:
        request = json.loads(payload)
        self.sent.append(method)
        assert self.remaining, f"{method} was called after the end of the script, with {request.get('params')}"
        expected = self.remaining.pop(0)
        assert method == request["method"] == expected.method
        if expected.params is not ANYTHING:
            assert request.get("params") == expected.params
        assert headers == ({} if method == "Session.login" else {"X-Token": TOKEN})
        return self._reply(request, expected.answer)

    def close(self) -> None:
        self.closed = True

    def finish(self) -> None:
        assert not self.remaining, f"never called: {[call.method for call in self.remaining]}"
        assert self.closed

    @staticmethod
    def _reply(request: dict[str, t.Any], answer: t.Any) -> Reply:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Reply):
            return answer
        return Reply(200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}).encode())


class Ended(Exception):  # noqa: N818 - it is the end of a module, not an error
    """What a module ended with."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        super().__init__(result)
        self.result = result


def _end(failed: bool) -> t.Callable[..., t.NoReturn]:
    def end(_module: basic.AnsibleModule, **result: t.Any) -> t.NoReturn:
        # What the module says here is what Ansible serialises, so it must survive that.
        raise Ended(json.loads(json.dumps({**result, "failed": failed})))

    return end


def run_module(main: t.Callable[[], None], script: Script, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """Run a module in this process against ``script``; return its result with ``failed`` and ``warnings``."""
    arguments = {**CONNECTION, **copy.deepcopy(options), "_ansible_check_mode": check, "_ansible_diff": True}
    said: list[str] = []
    with (
        mock.patch.object(rpc, "Transport", lambda _endpoint: script),
        mock.patch.object(basic.AnsibleModule, "exit_json", _end(failed=False)),
        mock.patch.object(basic.AnsibleModule, "fail_json", _end(failed=True)),
        mock.patch.object(basic.AnsibleModule, "warn", lambda _module, text: said.append(text)),
        patch_module_args(arguments),
    ):
        try:
            main()
        except Ended as ended:
            script.finish()
            return {**ended.result, "warnings": said}
    raise AssertionError("the module ended without a result")


def failing(main: t.Callable[[], None], script: Script, **options: t.Any) -> dict[str, t.Any]:
    """Run a module that must fail; return its result."""
    result = run_module(main, script, **options)
    assert result["failed"], result
    return result
