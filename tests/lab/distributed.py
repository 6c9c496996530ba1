# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to the directory service behind a distributed domain; the servers follow at their next look, running or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.lab import cluster, switches, users_shared
from tests.lab.users import Record


class DirectoryService:
    """`lab.directory`. Users are those of lab.json's `distributed`; changes are not written there."""

    def __init__(self, part: dict[str, Any], how: dict[str, Any]) -> None:
        self.file = Path(part["file"])
        self.domain: str = part["domain"]
        self._how = switches.Switches.from_mapping(how)
        self._pristine = json.loads(self.file.read_text(encoding="utf-8"))

    @property
    def users(self) -> list[dict[str, Any]]:
        """As they are now: login, address, password, home, and `ids` by server."""
        found: list[dict[str, Any]] = users_shared.overview(self.file, self._how)["users"]
        return found

    def user(self, login: str) -> dict[str, Any]:
        return next(one for one in self.users if one["login"] == login)

    def add(self, login: str, home: str, **members: Any) -> dict[str, Any]:
        """A new person, never seen before even if the login was. `members`: full_name, enabled, password, addresses, groups."""
        document = self._document()
        taken = {one["login"] for one in document["users"]}
        if login in taken:
            raise ValueError(f"{login} is in the directory already")
        document["users"].append({**users_shared.person(login, login.title(), home, taken), **members})
        cluster.write(self.file, document)
        return self.user(login)

    def change(self, login: str, /, **members: Any) -> None:
        """The same person with another login, name, addresses, groups, password, enabled or home."""
        document = self._document()
        entry: Record = next(one for one in document["users"] if one["login"] == login)
        unknown = sorted(set(members) - set(entry))
        if unknown:
            raise ValueError(f"a user of the directory has no {', '.join(unknown)}; it has {', '.join(entry)}")
        entry.update(members)
        cluster.write(self.file, document)

    def move(self, login: str, home: str) -> None:
        """Another home server; the mail stays where it was (its migration is not played)."""
        self.change(login, home=home)

    def remove(self, login: str) -> None:
        document = self._document()
        document["users"] = [one for one in document["users"] if one["login"] != login]
        cluster.write(self.file, document)

    def reset(self) -> None:
        """As when the lab was made."""
        cluster.write(self.file, self._pristine)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        return document
