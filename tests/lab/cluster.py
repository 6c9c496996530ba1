# SPDX-License-Identifier: GPL-3.0-or-later
"""A distributed domain: its servers, and the directory service that all of them map their users from (sheet 7).

Both are in <lab>/distributed.json, which every server reads again when it changed: {"domain", "domain_ids": {server: id},
"servers": [Member], "users", "groups", "aliases"}. A user there is {"guid", "login", "full_name", "enabled", "password",
"addresses", "groups", "home"}, a group {"guid", "name", "addresses"}, an alias {"guid", "name", "target", "home"}; `home` is
the name of a server.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from pathlib import Path
from typing import Any

from tests.lab import state_defaults
from tests.lab.switches import Switches
from tests.lab.users import Directory, Record, guid

MAPPED = "DSLDAPSource"
NOWHERE = {"id": "", "name": ""}


@dataclasses.dataclass(frozen=True)
class Member:
    """One server of the domain; `role` is clMaster or clSlave."""

    id: str
    name: str
    hostname: str
    role: str


def write(file: Path, document: dict[str, Any]) -> None:
    """Whole or not at all, and with a time of its own even if the last change was just now."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(file)
    while file.stat().st_mtime_ns == before:
        file.touch()


class Cluster:
    """What the server called `name` knows of the distributed domain."""

    def __init__(self, file: Path, name: str) -> None:
        self.file = file
        self._name = name
        self._read_at = 0
        self.document: dict[str, Any] = {}
        self.changed()

    def changed(self) -> bool:
        """Read the file if it changed since the last time."""
        written = self.file.stat().st_mtime_ns
        if written == self._read_at:
            return False
        self._read_at = written
        self.document = json.loads(self.file.read_text(encoding="utf-8"))
        return True

    @property
    def domain(self) -> str:
        return str(self.document["domain"])

    @property
    def members(self) -> list[Member]:
        return [Member(**one) for one in self.document["servers"]]

    @property
    def own(self) -> Member:
        return self.named(self._name)

    def named(self, name: str) -> Member:
        return next(one for one in self.members if one.name == name)

    def member(self, kid: str) -> Member | None:
        return next((one for one in self.members if one.id == kid), None)

    def home_shown(self, home: Record, how: Switches) -> Record:
        """homeServer as the API shows it; what is not mapped from the directory is at home where it is."""
        member = self.member(home["id"]) or self.own
        return {"id": member.id, "name": member.hostname if how.home_server_name == "hostname" else member.name}

    def lists(self, record: Record, how: Switches) -> bool:
        """Does a list of users or aliases show the record here? (switch)"""
        return how.distributed_lists == "all" or record["homeServer"]["id"] in ("", self.own.id)

    # -- into a server's directory ------------------------------------------------------------------------------

    def kid(self, kind: str, domain_id: str, key: str, how: Switches, at: Member | None = None) -> str:
        """The id of an object on a server (this one without `at`)."""
        own = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{(at or self.own).id} {key}"))
        return f"keriodb://{kind}/{guid(domain_id)}/{key if how.distributed_ids == 'same' else own}"

    def map_into(self, directory: Directory, how: Switches) -> None:
        """Make the mapped objects of the domain those of the directory service. Local ones stay as they are."""
        domain = directory.domain(self.domain, aliases=False)
        if domain is None:
            return
        kid = domain["id"]
        before = {one["id"]: one for one in (*directory.users, *directory.groups)}
        groups = {one["name"]: self._group(kid, one, how) for one in self.document["groups"]}
        directory.groups = [*_local(directory.groups, kid), *groups.values()]
        local = {one["id"] for one in _local(directory.groups, kid)}
        users = []
        for entry in self.document["users"]:
            user_id = self.kid("user", kid, entry["guid"], how)
            old = before.get(user_id) or state_defaults.user(user_id, kid, "")
            kept = [one for one in old["groupIds"] if one in local]
            mapped = [groups[name]["id"] for name in entry["groups"]]
            users.append({**old, **self._user(entry), "groupIds": [*kept, *mapped]})
        directory.users = [*_local(directory.users, kid), *users]
        own = [one for one in directory.aliases if one["domainId"] != kid or not one["homeServer"]["id"]]
        directory.aliases = [*own, *(self._alias(kid, one, how) for one in self.document["aliases"])]

    def _home(self, entry: Record) -> Record:
        member = self.named(entry["home"])
        return {"id": member.id, "name": member.hostname}

    def _user(self, entry: Record) -> Record:
        """What the directory service says of a user; the rest is the server's own."""
        return {
            "loginName": entry["login"],
            "fullName": entry["full_name"],
            "isEnabled": entry["enabled"],
            "password": entry["password"],
            "emailAddresses": list(entry["addresses"]),
            "itemSource": MAPPED,
            "authType": "ULDAPAuth",
            "homeServer": self._home(entry),
        }

    def _group(self, domain_id: str, entry: Record, how: Switches) -> Record:
        kid = self.kid("group", domain_id, entry["guid"], how)
        return state_defaults.group(kid, domain_id, entry["name"], emailAddresses=list(entry["addresses"]), itemSource=MAPPED)

    def _alias(self, domain_id: str, entry: Record, how: Switches) -> Record:
        kid = self.kid("alias", domain_id, entry["guid"], how)
        return state_defaults.alias(kid, domain_id, entry["name"], entry["target"], homeServer=self._home(entry))

    def at_home(self, user_id: str, how: Switches) -> tuple[Member, str]:
        """The home of a mapped user, and his id there."""
        ids = self.document["domain_ids"]
        here = ids[self.own.name]
        entry = next(e for e in self.document["users"] if self.kid("user", here, e["guid"], how) == user_id)
        home = self.named(entry["home"])
        return home, self.kid("user", ids[home.name], entry["guid"], how, home)


def _local(records: list[Record], domain_id: str) -> list[Record]:
    """Those that do not come from the directory service of the domain."""
    return [one for one in records if one["domainId"] != domain_id or one["itemSource"] != MAPPED]
