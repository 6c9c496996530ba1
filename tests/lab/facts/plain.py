# SPDX-License-Identifier: GPL-3.0-or-later
"""The plainest client of the admin API there is: one requests session that says what it is told to say."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import requests
import requests.adapters

from tests.lab.fixtures import LabServer

APPLICATION = {"name": "facts", "vendor": "tests", "version": "1"}
Answer = dict[str, Any]


class FromAddress(requests.adapters.HTTPAdapter):
    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more, source_address=(self.source, 0))


class Plain:
    """Keeps cookies and token. Use as a context manager. `source`: the loopback address that it calls from."""

    def __init__(self, server: LabServer, source: str = "") -> None:
        self.server = server
        self.url: str = server.admin_url
        self.http = requests.Session()
        self.http.trust_env = False  # else REQUESTS_CA_BUNDLE of the environment wins over verify
        self.http.verify = server.ca_file
        if source:
            self.http.mount("https://", FromAddress(source))
        self.response: requests.Response | None = None

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()

    def send(self, envelope: Any, timeout: float = 30, **how: Any) -> Answer:
        self.response = self.http.post(self.url, json=envelope, timeout=timeout, **how)
        answer: Answer = self.response.json()
        return answer

    def call(self, method: str, params: Any = None, timeout: float = 30, **how: Any) -> Answer:
        """The whole answer; `params` None leaves the member out."""
        envelope = {"jsonrpc": "2.0", "id": 7, "method": method}
        return self.send(envelope if params is None else {**envelope, "params": params}, timeout, **how)

    def result(self, method: str, params: Any = None) -> Any:
        answer = self.call(method, params)
        assert not answer.get("error"), answer
        return answer["result"]

    def code(self, method: str, params: Any = None) -> int:
        """The code of the error that must come; 0 when none came."""
        return int((self.call(method, params).get("error") or {"code": 0})["code"])

    def login(self, user: str | None = None, password: str | None = None, application: Any = None) -> Answer:
        params = {
            "userName": user or self.server.admin_user,
            "password": self.server.admin_password if password is None else password,
            "application": APPLICATION if application is None else application,
        }
        answer = self.call("Session.login", params)
        if "result" in answer:
            self.http.headers["X-Token"] = answer["result"]["token"]
        return answer


def admin(server: LabServer, source: str = "") -> Plain:
    """Logged in as the built-in administrator."""
    client = Plain(server, source)
    assert "result" in client.login()
    return client


def get(client: Plain, interface: str, domain: Answer, **query: Any) -> Answer:
    """All of a kind in a domain, or those that `query` asks for."""
    answer: Answer = client.result(f"{interface}.get", {"query": query, "domainId": domain["id"]})
    return answer


def by(rows: list[Answer], member: str, value: str) -> Answer:
    """The first row whose member has this value."""
    return next(row for row in rows if row[member] == value)
