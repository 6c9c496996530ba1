# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains, users, groups and aliases: who may log in, and whom an envelope address reaches."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]


def new_id(kind: str, *parents: str) -> str:
    """Sheet 1.7: `keriodb://<kind>/<guid>`, for users with the domain's guid in between."""
    return f"keriodb://{kind}/" + "/".join([*parents, str(uuid.uuid4())])


def guid(kid: str) -> str:
    return kid.rsplit("/", 1)[-1]


@dataclasses.dataclass(frozen=True)
class User:
    """One mailbox, as the front ends see it. `addresses` starts with login@domain.

    `reversible`: the server can read the password back. `home`: id of the home server, in a distributed domain only.
    """

    id: str
    login: str
    domain: str
    full_name: str
    enabled: bool
    password: str
    addresses: tuple[str, ...]
    archive_folder_right: bool = False
    reversible: bool = False
    home: str = ""

    @property
    def address(self) -> str:
        return f"{self.login}@{self.domain}"


@dataclasses.dataclass
class Directory:
    """Records in the shape of the API plus `password` (plain, lab only) and `groupIds` on users."""

    domains: list[Record] = dataclasses.field(default_factory=list)
    users: list[Record] = dataclasses.field(default_factory=list)
    groups: list[Record] = dataclasses.field(default_factory=list)
    aliases: list[Record] = dataclasses.field(default_factory=list)

    def domain(self, name: str, *, aliases: bool = True) -> Record | None:
        """The domain of this name, or (aliases) the one that lists the name as its alias."""
        wanted = name.lower()
        for record in self.domains:
            if record["name"].lower() == wanted or (aliases and wanted in map(str.lower, record["aliasList"])):
                return record
        return None

    def domain_by_id(self, kid: str) -> Record | None:
        return next((d for d in self.domains if d["id"] == kid), None)

    def primary(self) -> Record | None:
        return next((d for d in self.domains if d["isPrimary"]), None)

    def view(self, record: Record) -> User | None:
        domain = self.domain_by_id(record["domainId"])
        if domain is None:
            return None
        name = domain["name"]
        local_parts = [record["loginName"], *record["emailAddresses"]]
        return User(
            id=record["id"],
            login=record["loginName"],
            domain=name,
            full_name=record["fullName"],
            enabled=record["isEnabled"],
            password=record["password"],
            addresses=tuple(dict.fromkeys(f"{part}@{name}" for part in local_parts)),
            archive_folder_right=bool(record["role"]["archiveFolderRight"]),
            reversible=_reversible(record),
            home=record["homeServer"]["id"],
        )

    def views(self, records: Iterable[Record] | None = None) -> list[User]:
        return [user for user in map(self.view, self.users if records is None else records) if user]

    def login(self, name: str, *, domain_alias: bool) -> Record | None:
        """The record whose login this is: bare in the primary domain, else login@domain. Aliases are not logins."""
        login, at, domain_name = name.strip().rpartition("@")
        if not at:
            login, domain = domain_name, self.primary()
        else:
            domain = self.domain(domain_name, aliases=domain_alias)
        if domain is None:
            return None
        for record in self.users:
            if record["domainId"] == domain["id"] and record["loginName"].lower() == login.lower():
                return record
        return None

    def is_local(self, address: str) -> bool:
        return self.domain(address.strip("<> ").rpartition("@")[2]) is not None

    def resolve(self, address: str, seen: frozenset[str] = frozenset()) -> list[User]:
        """The mailboxes that an envelope recipient reaches, each once: user, e-mail address, group, alias, domain alias."""
        address = address.strip("<> ").lower()
        local, _at, domain_name = address.rpartition("@")
        domain = self.domain(domain_name)
        if domain is None or address in seen:
            return []
        seen |= {address}
        here = [r for r in self.users if r["domainId"] == domain["id"]]
        found = [r for r in here if local in _locals(r, "loginName")]
        for group in (g for g in self.groups if g["domainId"] == domain["id"] and local in _locals(g, None)):
            found += [r for r in self.users if group["id"] in r["groupIds"]]
        reached = self.views(found)
        for alias in (a for a in self.aliases if a["domainId"] == domain["id"] and a["name"].lower() == local):
            target = alias["deliverTo"]
            reached += self.resolve(target if "@" in target else f"{target}@{domain['name']}", seen)
        return list(dict.fromkeys(reached))


def _reversible(record: Record) -> bool:
    """Not stored as SHA, and the server's own: nobody mapped from a directory (sheet 2.6, 2.9)."""
    is_own = record["authType"] == "UInternalAuth" and record["itemSource"] == "DSInternalSource"
    return bool(record["isPasswordReversible"] and is_own)


def _locals(record: Record, login_member: str | None) -> set[str]:
    names = {part.lower() for part in record["emailAddresses"]}
    return names | {record[login_member].lower()} if login_member else names
