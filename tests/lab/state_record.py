# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened on a server, as JSON lines for tests: API calls, logins, starts, stops, saves. Not part of Kerio."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

SECRET_MEMBERS = {"password", "token", "networkDiskPassword"}


def masked(value: Any) -> Any:
    """The same value with non-empty secrets as `xxxxxx`, as Kerio's own config log masks them (sheet 7)."""
    if isinstance(value, dict):
        return {k: "xxxxxx" if k in SECRET_MEMBERS and isinstance(v, str) and v else masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


class Recorder:
    """Appends one line an event; the file is emptied by tests (`Server.forget`), never by the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, event: str, **members: Any) -> None:
        line = json.dumps({"event": event, "time": round(time.time(), 3), **members}, ensure_ascii=False)
        with self._lock, self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def call(self, method: str, params: Any, outcome: str, *, writes: bool, **who: Any) -> None:
        """`outcome` is ok, error:<code>, hang, refused (refuse-writes mode) or outside (remote administration is limited).

        `who` is client, user, application; `item_errors` the (index, code) of items that failed inside success.
        """
        self.write("call", method=method, params=masked(params), outcome=outcome, writes=writes, **who)

    def login(self, service: str, name: str, client: str, outcome: str, **more: str) -> None:
        """`outcome` is ok, failed, locked, blocked or foreign (another server is the user's home).

        `more` is account (lower-case address, or the name as given), cause, method (IMAP) and application (admin API).
        """
        self.write("login", service=service, name=name, client=client, outcome=outcome, **more)


def events(path: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Everything recorded so far, or the events of one kind."""
    if not path.exists():
        return []
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [e for e in found if event is None or e["event"] == event]
