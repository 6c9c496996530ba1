# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts as they are declared, against those of the server: what is meant, what is refused, what follows. Pure."""

from __future__ import annotations

import re
import typing as t
import unicodedata
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import addresses, kinds, settings
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Change
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted, some

Object = dict[str, t.Any]
Options = t.Mapping[str, t.Any]
INTERNAL = "DSInternalSource"
FULL_ADMIN = "FullAdmin"
# Roles of administrators that are no account of any domain; only Session.whoAmI tells them.
BUILT_IN = ("BuiltInAdmin", "BuiltInDomainAdmin")
# Stands for a password that whoever only compares does not have; it is never sent.
NOT_TOLD = "(not told)"
ADDRESS = re.compile(r"[^\s,;<>@*?]+@[^\s,;<>@*?]+")
NAME = re.compile(r"[^\s,;<>@*?]+(@[^\s,;<>@*?]+)?")
SHOWN = 5


@dataclass(frozen=True)
class Domain:
    """One of the server's own domains; ``names`` are its name and its aliases, lower-case."""

    id: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0]

    def address(self, name: str) -> str:
        """Return ``name`` as an address in the one spelling of all that the domain's aliases allow."""
        return addresses.complete(addresses.local(name, self.names), self.name)


@dataclass(frozen=True)
class Wish:
    """One declared account; ``key`` is its address, lower-case, ``login`` the login name as it was written."""

    key: str
    login: str
    domain: Domain
    entry: Options

    @property
    def present(self) -> bool:
        return bool(self.entry.get("state") != "absent")

    def declared(self) -> Object:
        """Return the options that are managed; the addresses in the form in which they are compared."""
        values = {name: self.entry[name] for name in _OPTIONS if self.entry.get(name) is not None}
        if "addresses" in values:
            values["addresses"] = addresses.further(self.login, values["addresses"], self.domain.names)
        if "password" not in self.entry:
            values["password"] = NOT_TOLD
        return values

    def claims(self) -> list[str]:
        """Return every address that the account shall have, as far as it is declared."""
        return [self.key, *map(self.domain.address, self.declared().get("addresses", ()))]


@dataclass(frozen=True)
class Account:
    """An account that the server has."""

    domain: Domain
    received: Object

    @property
    def login(self) -> str:
        return str(self.received.get("loginName", ""))

    @property
    def key(self) -> str:
        return f"{self.login.lower()}@{self.domain.name}"

    @property
    def internal(self) -> bool:
        return bool(self.received.get("itemSource") == INTERNAL)

    @property
    def full_admin(self) -> bool:
        """Whether it administers the server, by itself or through a group."""
        return any(role_of(self.received.get(member)) == FULL_ADMIN for member in ("role", "groupRole", "effectiveRole"))

    def options(self) -> Object:
        """Return its options as they are declared, without the password, which no server returns."""
        options = settings.read_options(kinds.USER_FIELDS, self.received)
        if isinstance(options.get("addresses"), list):
            options["addresses"] = addresses.further(self.login, options["addresses"], self.domain.names)
        return options

    def identities(self) -> set[str]:
        """Return the ids of the account and of the groups that it is in."""
        return {self.received["id"], *(str(group.get("id")) for group in self.received.get("userGroups") or ())}

    def claims(self) -> list[str]:
        return [self.key, *map(self.domain.address, self.options().get("addresses") or ())]


_OPTIONS = tuple(field.option for field in kinds.USER_FIELDS)
Accounts = t.Mapping[str, Account]


def role_of(right: t.Any) -> t.Any:
    return right.get("userRole") if isinstance(right, dict) else right


def check(where: str, options: Options) -> None:
    """Raise ``InputError`` on what cannot be meant, before anything is asked of the server."""
    for entry in options["users"]:
        subject = f"{where}: user {entry['address']}"
        _require(ADDRESS.fullmatch(entry["address"].strip()), subject, "it is not an e-mail address", "Write one with its domain")
        settings.check_options(subject, kinds.USER_FIELDS, entry)
        names = entry.get("addresses") or ()
        wrong = [name for name in names if not NAME.fullmatch(name.strip())]
        _require(not wrong, subject, f"addresses has {', '.join(map(repr, wrong))}", "Write local parts, one in each entry")
        odd = [name for name in (entry["address"], *names) if not _typed(name.strip())]
        cause = f"{', '.join(map(ascii, odd))} has characters that look like others or like nothing"
        _require(not odd, subject, cause, "Type it anew, without what was copied along")
        _require(
            entry.get("password") != "",
            subject,
            "its password is empty, which would erase the one that is stored",
            "Declare a password, or remove the option",
        )
    _require(options["delete_limit"] >= 0, f"{where}: delete_limit", "it is negative", "Write 0 to remove no account")


def _typed(name: str) -> bool:
    """Whether a name has no invisible and no decomposed characters: with them it is another account than it looks like."""
    return name.isprintable() and unicodedata.is_normalized("NFC", name)


def _require(holds: object, subject: str, cause: str, remedy: str) -> None:
    if not holds:
        raise InputError(subject, cause, remedy)


def own_domain(subject: str, name: str, domains: t.Mapping[str, Domain]) -> Domain:
    """Return the domain of that name; an alias is refused, so that one account has one spelling."""
    name = name.strip().lower()
    found = domains.get(name)
    if found is None:
        known = sorted({domain.name for domain in domains.values()})
        raise InputError(
            subject,
            f"the server has no domain {name}; it has {', '.join(known) if known else 'none at all'}",
            "Correct the name, or remove the entry for this server",
        )
    _require(found.name == name, subject, f"{name} is an alias of the domain {found.name}", f"Write {found.name} instead")
    return found


def refuse_distributed(where: str, whole: t.Iterable[Domain], received: t.Iterable[Object]) -> None:
    """Raise ``InputError`` when a whole domain lives on several servers: each lists the accounts of the others as well."""
    distributed = {entry["id"] for entry in received if entry.get("isDistributed")}
    for domain in whole:
        _require(
            domain.id not in distributed,
            f"{where}: whole_domains",
            f"{domain.name} is a distributed domain, in which accounts of other servers would be removed as well",
            "Declare the accounts that shall go with state absent",
        )


def wishes(where: str, users: t.Iterable[Options], domains: t.Mapping[str, Domain]) -> dict[str, Wish]:
    """Return the declared accounts by address; raises ``InputError`` when two of them contradict each other."""
    found: dict[str, Wish] = {}
    for entry in users:
        login, _at, name = entry["address"].strip().rpartition("@")
        subject = f"{where}: user {entry['address'].strip()}"
        wish = Wish(entry["address"].strip().lower(), login, own_domain(subject, name, domains), entry)
        _require(wish.key not in found, subject, "it is declared twice", "Merge the two entries of users")
        found[wish.key] = wish
    claimed: dict[str, str] = {}
    for wish in found.values():
        for address in wish.claims() if wish.present else ():
            other = claimed.setdefault(address, wish.key)
            cause = f"{address} is declared for {other} too"
            _require(other == wish.key, f"{where}: user {wish.key}", cause, "Declare each address once")
    return found


def desired(where: str, wish: Wish, account: Account | None) -> Object:
    """Return what is to hold for one account; a password only when it is to be written."""
    subject, values = f"{where}: user {wish.key}", wish.declared()
    had = account.options().get("addresses") or () if account else ()
    elsewhere = [name for name in values.get("addresses", ()) if "@" in name and name not in had]
    _require(
        not elsewhere,
        subject,
        f"addresses has {', '.join(elsewhere)}, which is not at {wish.domain.name}, and may be somebody else's",
        "Write local parts, or make an alias of the other domain on the server",
    )
    if account is None:
        _require(
            "password" in values,
            subject,
            "the account does not exist, and none is created without a password",
            "Declare password, best from a vault",
        )
        # What the server makes of an account about which this is not said is not documented.
        return {"enabled": True, **values}
    if wish.entry.get("update_password") != "always":
        values.pop("password", None)
    return settings.managed(subject, kinds.USER_FIELDS, values, account.options())


def new_object(wish: Wish, values: Options) -> Object:
    """Return the object of an account that is created; what belongs together is whole in it."""
    role = {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": False}
    begun: Object = {"role": role} if any(f.path[:1] == ("role",) for f in kinds.USER_FIELDS if f.option in values) else {}
    made = settings.write_options(kinds.USER_FIELDS, begun, values)
    return {"domainId": wish.domain.id, "loginName": wish.login, **made}


def holders(domain: Domain, accounts: t.Iterable[Account], groups: t.Sequence[Object], aliases: t.Sequence[Object]) -> Object:
    """Return who has each address of a domain, in words. A wild card stays one, so that no declared address meets it."""
    held = {address: f"the account {account.key}" for account in accounts for address in account.claims()}
    for group in groups:
        for name in group.get("emailAddresses") or ():
            held.setdefault(domain.address(name), f"the group {group.get('name')}")
    for alias in aliases:
        name = str(alias.get("name", ""))
        held.setdefault(domain.address(name), f"the alias {name}, which delivers to {alias.get('deliverTo')}")
    return held


def refuse_taken(where: str, wish: Wish, account: Account | None, held: Options, given_up: t.Container[str]) -> None:
    """Raise ``InputError`` when an address that the account would get is somebody else's: it would take their mail.

    ``given_up``: what accounts that are changed before this one lose in the same call.
    """
    had = account.claims() if account else []
    for address in wish.claims():
        if address in had or address not in held or (account and address in given_up):
            continue
        what = "the account would be created" if account is None else "it would be added"
        raise InputError(
            f"{where}: user {wish.key}",
            f"{address} is an address of {held[address]}, and would take its mail if {what}",
            "Take the address from there first, in a run of its own, or declare another one",
        )


def gives_up(change: Change) -> set[str]:
    """Return the addresses that an account loses by a change."""
    return set(change.before.get("addresses") or ()) - set(change.after.get("addresses") or ())


def warnings(where: str, changes: t.Iterable[Change]) -> list[str]:
    """Say what a change does not do yet."""
    waiting = [c.key for c in changes if "password_reversible" in c.values and "password" not in c.values]
    if not waiting:
        return []
    return [
        f"{where}: password_reversible of {some(waiting, SHOWN)} says how the next password is stored; the present one stays as "
        "it is until it is set again (password with update_password: always does it in the same run)"
    ]


@dataclass(frozen=True)
class Me:
    """Who the module is logged in as. The built-in administrator has no id and is no account: both are empty."""

    id: str
    name: str

    def is_own(self, account: Account) -> bool:
        if self.id:
            return bool(account.received["id"] == self.id)
        return bool(self.name) and account.login.lower() == self.name.lower().partition("@")[0]

    def refuse(self, where: str, account: Account, harm: str) -> None:
        """Raise ``InputError`` when the account is the module's own."""
        subject, cause = f"{where}: user {account.key}", f"this module is logged in with it, and {harm}"
        _require(not self.is_own(account), subject, cause, "Log in with another account (api_user), or change it on the server")


def me(received: Object) -> Me:
    """Return it from what ``Session.whoAmI`` tells."""
    built_in = role_of(received.get("effectiveRole")) in BUILT_IN
    return Me(received.get("id") or "", "" if built_in else received.get("loginName") or "")


def shuts_out(change: Change, api_password: t.Any) -> str:
    """Return what in a change of the module's own account would keep the module out from then on, or the empty string."""
    ranks = [role for field in kinds.USER_FIELDS if field.option == "role" for role in field.codec.choices]
    had, role = change.before.get("role"), change.values.get("role")
    if role in ranks and not (had in ranks and ranks.index(had) <= ranks.index(role)):
        return f"its role would be {role}"
    if change.values.get("enabled") is False:
        return "it would be disabled"
    return "its password would be another one" if change.values.get("password", api_password) != api_password else ""


@dataclass(frozen=True)
class Removals:
    """Which accounts may not be removed: ``archives`` holds the keys of those that get the archived mail."""

    where: str
    limit: int
    me: Me
    archives: t.Container[str]

    def check(self, leavers: t.Sequence[Account]) -> None:
        """Raise ``InputError`` when one of them must stay, or when they are too many."""
        for account in leavers:
            subject = f"{self.where}: user {account.key}"
            _require(account.internal, subject, "it comes from a directory service", "Remove it in the directory")
            _require(
                not self.me.is_own(account), subject, "this module is logged in with it", "Use another account, or let it stay"
            )
            _require(
                account.key not in self.archives,
                subject,
                "it would be removed, and it gets the archived mail of the server",
                "Declare it in users, or declare another archive address first",
            )
        names = sorted(account.key for account in leavers)
        _require(
            len(names) <= self.limit,
            f"{self.where}: users",
            f"{counted(len(names), 'account')} would be removed ({some(names, SHOWN)}), and delete_limit is "
            f"{self.limit}; nothing was changed",
            "Declare the accounts that shall stay, or raise delete_limit",
        )


def undeclared(account: Account, declared: t.Container[str]) -> bool:
    """Whether an account of a whole domain goes because nobody declares it; administrators go only by name."""
    return account.key not in declared and account.internal and not account.full_admin
