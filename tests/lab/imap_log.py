# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON lines that tests read: what each connection did. Secrets never get here."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

_numbers = itertools.count(1)


def connection_id() -> str:
    """Unique among the connections of a lab, restarts included."""
    return f"{os.getpid()}-{next(_numbers)}"


class JsonLines:
    """Appends one object a line; a line is on disk before the answer leaves."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **members: Any) -> None:
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(members, ensure_ascii=False) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Every line so far; none if nothing was written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
