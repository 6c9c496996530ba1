# SPDX-License-Identifier: GPL-3.0-or-later
"""Which accounts an address of a server reaches, and how. Pure.

Built from what the directory says and from the accounts that are declared in the same run, because those will exist.
"""

from __future__ import annotations

import fnmatch
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import addresses, kinds, settings

Object = t.Mapping[str, t.Any]
NO_FORWARDING = "UForwardNone"
PUBLIC_FOLDER, FOREIGN, CAUGHT = "public_folder", "foreign", "caught"


@dataclass(frozen=True)
class Account:
    """``further``: addresses beside the default one, at the domain's own name. ``reversible``: None when nobody says.

    ``clean_out``: days by folder, None where the domain's holds. ``forwarding``: literal of the API.
    """

    id: str
    address: str
    login: str
    domain: str
    enabled: bool = True
    further: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()
    disk_limit_mb: int = 0
    item_limit: int = 0
    forwarding: str = NO_FORWARDING
    forwards_to: tuple[str, ...] = ()
    from_directory: bool = False
    reversible: bool | None = None
    clean_out: Object | None = None

    @property
    def names(self) -> frozenset[str]:
        """What an operator calls it by."""
        return frozenset({self.address, self.login, *self.further})


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    addresses: tuple[str, ...]
    members: tuple[str, ...]


@dataclass(frozen=True)
class Alias:
    """``target`` is an address, or the name of a public folder; ``target_id`` wins where it is the id of an account or group."""

    address: str
    target: str
    target_id: str = ""
    public_folder: bool = False


@dataclass(frozen=True)
class Domain:
    """``continued`` says how mail for people who are not on this server is delivered elsewhere; empty where it is not."""

    name: str
    aliases: tuple[str, ...] = ()
    primary: bool = False
    clean_out: Object | None = None
    continued: str = ""


@dataclass(frozen=True)
class End:
    """Where an address leads: to an ``account``, or to something else that ``kind`` names. ``way`` reads after "it"."""

    way: str
    account: Account | None = None
    kind: str = ""


@dataclass(frozen=True)
class People:
    domains: tuple[Domain, ...]
    accounts: tuple[Account, ...]
    groups: tuple[Group, ...] = ()
    aliases: tuple[Alias, ...] = ()
    _by_id: dict[str, Account] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {account.id: account for account in self.accounts})

    @property
    def primary(self) -> str:
        """The domain of a name that has none."""
        return next((domain.name for domain in self.domains if domain.primary), self.domains[0].name if self.domains else "")

    def full(self, address: str) -> str:
        return addresses.complete(address, self.primary)

    def is_foreign(self, address: str) -> bool:
        return self._own_name(address.rpartition("@")[2]) is None

    def by_own_name(self, address: str) -> str:
        """Return an address with the name of its domain in place of a domain alias."""
        local, at, domain = address.rpartition("@")
        return f"{local}{at}{self._own_name(domain) or domain}"

    def continued(self, address: str) -> str:
        """Return how mail to an address that nobody here has may be delivered elsewhere; empty: it is not."""
        own = self._own_name(address.rpartition("@")[2])
        return next((domain.continued for domain in self.domains if domain.name == own), "")

    def reach(self, address: str) -> tuple[End, ...]:
        """Return all ends of an address, each account once; none means that nobody has it."""
        ends: dict[str, End] = {}
        for end in self._follow(self.full(address), (), frozenset()):
            ends.setdefault(end.account.id if end.account else end.way, end)
        return tuple(ends.values())

    def _own_name(self, domain: str) -> str | None:
        return next((own.name for own in self.domains if domain in (own.name, *own.aliases)), None)

    def _follow(self, address: str, clauses: tuple[str, ...], seen: frozenset[str]) -> list[End]:
        local, _at, domain = address.rpartition("@")
        own = self._own_name(domain)
        if own is None:
            return [End(_said((*clauses, "is of a domain that the server does not have"), address), kind=FOREIGN)]
        if own != domain:
            address = f"{local}@{own}"
            clauses = (*clauses, f"is, by the domain alias {domain}, {address}")
        if address in seen:
            return []
        return self._ends_at(address, clauses, seen | {address})

    def _ends_at(self, address: str, clauses: tuple[str, ...], seen: frozenset[str]) -> list[End]:
        ends = [End(_said(clauses, address), account) for account in self.accounts if account.address == address]
        for account in self.accounts:
            if address in account.further and account.address != address:
                ends.append(End(_said((*clauses, f"is a further address of {account.address}"), address), account))
        for group in self.groups:
            if address in group.addresses:
                ends += self._members(group, (*clauses, f"is the address of the group {group.name}"))
        named = [alias for alias in self.aliases if alias.address == address]
        for alias in named:
            ends += self._behind(alias, clauses, seen)
        return ends or self._caught(address, clauses)

    def _members(self, group: Group, clauses: tuple[str, ...]) -> list[End]:
        return [End(_said(clauses, ""), self._by_id[member]) for member in group.members if member in self._by_id]

    def _behind(self, alias: Alias, clauses: tuple[str, ...], seen: frozenset[str]) -> list[End]:
        if alias.public_folder:
            return [End(_said((*clauses, f"is an alias of the public folder {alias.target}"), ""), kind=PUBLIC_FOLDER)]
        if alias.target_id in self._by_id:
            account = self._by_id[alias.target_id]
            return [End(_said((*clauses, f"is an alias of {account.address}"), ""), account)]
        for group in self.groups:
            if alias.target_id == group.id:
                return self._members(group, (*clauses, f"is an alias of the group {group.name}"))
        return self._follow(alias.target, (*clauses, f"is an alias of {alias.target}"), seen)

    def _caught(self, address: str, clauses: tuple[str, ...]) -> list[End]:
        """A wild card: no source says how the server applies one, so where it leads is not followed."""
        matching = [
            alias for alias in self.aliases if set("*?") & set(alias.address) and fnmatch.fnmatchcase(address, alias.address)
        ]
        return [End(_said((*clauses, f"is caught by the alias {alias.address}"), ""), kind=CAUGHT) for alias in matching]


def _said(clauses: tuple[str, ...], address: str) -> str:
    return ", which ".join(clauses) if clauses else f"is the address of the account {address}"


def people_of(
    directory: Object,
    raw: t.Mapping[str, tuple[t.Sequence[Object], t.Sequence[Object]]],
    domains: t.Sequence[Object] = (),
) -> People:
    """Build it from ``directory.read_directory`` and from what the server sends: domains, and by their ids users and aliases."""
    received = {entry["id"]: entry for entry in domains}
    users = {user["id"]: user for listed, _aliases in raw.values() for user in listed}
    return People(
        domains=tuple(
            Domain(
                domain["name"],
                tuple(domain["aliases"]),
                domain["is_primary"],
                domain.get("clean_out"),
                _continued(domain, received),
            )
            for domain in directory["domains"]
        ),
        accounts=tuple(_account(user, users[user["id"]], directory) for user in directory["users"]),
        groups=tuple(
            Group(group["id"], group["name"], tuple(group["addresses"]), tuple(group["members"])) for group in directory["groups"]
        ),
        aliases=tuple(_alias(alias, domain["name"]) for domain in directory["domains"] for alias in raw[domain["id"]][1]),
    )


def _continued(domain: Object, received: t.Mapping[str, Object]) -> str:
    entry = received.get(domain["id"], {})
    if entry.get("isDistributed"):
        return f"the domain {domain['name']} is distributed over several servers"
    if (entry.get("forwardingOptions") or {}).get("isEnabled"):
        return f"the domain {domain['name']} hands over mail for people whom it does not have to another host"
    return ""


def _account(user: Object, received: Object, directory: Object) -> Account:
    options = settings.read_options(kinds.USER_FIELDS, dict(received))
    names = next((domain["name"], *domain["aliases"]) for domain in directory["domains"] if domain["name"] == user["domain"])
    further = _further(user["login"], options.get("addresses"), names)
    forwarding = received.get("emailForwarding") or {}
    member = [group for group in directory["groups"] if user["id"] in group["members"]]
    short = [group["name"].lower() for group in member]
    at_domain = [f"{group['name']}@{group['domain']}".lower() for group in member]
    return Account(
        id=user["id"],
        address=user["address"],
        login=user["login"].lower(),
        domain=user["domain"],
        enabled=user["enabled"],
        further=further,
        groups=frozenset([*short, *at_domain]),
        disk_limit_mb=options.get("disk_limit_mb") or 0,
        item_limit=options.get("item_limit") or 0,
        forwarding=forwarding.get("mode") or NO_FORWARDING,
        forwards_to=tuple(str(address).lower() for address in forwarding.get("emailAddresses") or ()),
        from_directory=user["authentication"] == "directory",
        reversible=options.get("password_reversible"),
        clean_out=user.get("clean_out"),
    )


def _further(login: str, listed: t.Iterable[str] | None, names: t.Sequence[str]) -> tuple[str, ...]:
    return tuple(addresses.complete(local, names[0]) for local in addresses.further(login, listed or (), names))


def _alias(received: Object, domain: str) -> Alias:
    public = received.get("type") == "TypePublicFolder"
    target = str(received.get("deliverTo") or "")
    return Alias(
        address=addresses.complete(str(received.get("name") or ""), domain),
        target=target if public else addresses.complete(target, domain),
        target_id=str(received.get("deliverToId") or ""),
        public_folder=public,
    )


# Members of an account that a declaration may set, by option.
_DECLARED = ("enabled", "disk_limit_mb", "item_limit")


def with_declared(people: People, declared: t.Sequence[Object]) -> People:
    """Return the people as they are after ``users`` was applied: accounts that are declared exist, absent ones do not."""
    accounts = {account.address: account for account in people.accounts}
    for entry in declared:
        address = people.full(str(entry["address"]))
        if entry.get("state") == "absent":
            accounts.pop(address, None)
        else:
            login, _at, domain = address.rpartition("@")
            known = accounts.get(address) or Account(f"declared {address}", address, login, domain)
            names = next(((own.name, *own.aliases) for own in people.domains if own.name == domain), (domain,))
            accounts[address] = _as_declared(known, entry, names)
    return replace(people, accounts=tuple(accounts.values()))


def _as_declared(account: Account, entry: Object, names: t.Sequence[str]) -> Account:
    values: dict[str, t.Any] = {name: entry[name] for name in _DECLARED if entry.get(name) is not None}
    if entry.get("addresses") is not None:
        values["further"] = _further(account.login, entry["addresses"], names)
    if entry.get("password_reversible") is not None:
        values["reversible"] = entry["password_reversible"]
    return replace(account, **values)
