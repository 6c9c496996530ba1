# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the accounts of a server to what is declared: read, plan, create, change, remove, read back."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, ArchiveToolError, ItemError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import accounts_plan, addresses, directory, kinds, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.accounts_plan import Account, Domain, Options
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import which_item, with_code
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import ObjectKind
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Effect
from ansible_collections.mailops.kerio.plugins.module_utils.plan import ACTIONS, Change, Plan, item_changes
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

USERS = "users"
# So many accounts are created or removed by one call.
BATCH = 100
LIMIT = 5
# The mail of an account that is removed stays in the message store.
REMOVAL = {"method": "UDeleteUser", "removeReferences": False, "targetUserId": ""}
MAIL_STAYS = "the mail of removed accounts stays in the message store"
_DONE = {"create": "created", "change": "changed", "delete": "removed"}


def declare_users(server: Server, options: Options, check_mode: bool) -> Plan:
    """Bring accounts to what is declared.

    Entries without the key ``password`` are for check mode alone: whoever compares has no passwords.
    """
    options = {"users": [], "whole_domains": [], "delete_limit": LIMIT, **{k: v for k, v in options.items() if v is not None}}
    if not check_mode and any("password" not in entry for entry in options["users"]):
        raise ValueError("passwords that are not told cannot be written")
    accounts_plan.check(server.name, options)
    work = _Work(server, options)
    plan = Plan(server.name, tuple(work.changes()))
    server.warnings.extend(accounts_plan.warnings(server.name, plan.changes))
    if plan.changed and not check_mode:
        _Writer(server, work).apply(plan)
    return plan


def read_users(server: Server) -> list[Object]:
    """Return all accounts as the option ``users`` takes them, without passwords; an option that it cannot take is left out."""
    reader = _Reader(server)
    found = [account for domain in reader.own() for account in reader.accounts(domain).values()]
    return [{"address": account.key, **settings.declarable(kinds.USER_FIELDS, account.options())} for account in found]


class _Reader:
    """What the server has, each list asked for once."""

    def __init__(self, server: Server, domains: list[Object] | None = None) -> None:
        """``domains`` as they were received, where they are known already."""
        self.server = server
        self.received = server.objects(kinds.DOMAIN) if domains is None else domains
        self.domains: dict[str, Domain] = {}
        for entry in self.received:
            domain = Domain(entry["id"], tuple(directory.names_of(server.name, entry)))
            self.domains.update({name: self.domains.get(name, domain) for name in domain.names})
        self._lists: dict[tuple[str, str], list[Object]] = {}

    def own(self) -> list[Domain]:
        return list(dict.fromkeys(self.domains.values()))

    def listed(self, kind: ObjectKind, domain: Domain) -> list[Object]:
        place = (kind.name, domain.id)
        if place not in self._lists:
            self._lists[place] = self.server.objects(kind, domain.id)
        return self._lists[place]

    def accounts(self, domain: Domain) -> dict[str, Account]:
        found = [Account(domain, received) for received in self.listed(kinds.USER, domain)]
        for account in found:
            directory.text_of(self.server.name, "user", account.received, "loginName")
        return {account.key: account for account in found}

    def archives(self, domains: t.Iterable[Domain]) -> set[str]:
        """Return the keys of the accounts, in ``domains``, that get archived mail, over whatever address, alias or group.

        An alias or a group of any domain may lead to an account of any other.
        """
        wanted = self._archive_addresses()
        if not wanted:
            return set()
        found = {account.received["id"]: account for domain in domains for account in self.accounts(domain).values()}
        own = {
            identity: addresses.of_user(account.login, account.received.get("emailAddresses"), account.domain.names)
            for identity, account in found.items()
        }
        aliases: list[Object] = []
        for domain in self.own():
            aliases += directory.read_aliases(self.server.name, self.listed(kinds.ALIAS, domain), domain.names)
            for group in self.listed(kinds.GROUP, domain):
                own[group["id"]] = addresses.at_domains(group.get("emailAddresses") or [], domain.names)
        delivered = addresses.delivered(own, aliases)
        getting = {identity for identity, listed in own.items() if wanted & {*listed, *delivered[identity]}}
        return {account.key for account in found.values() if getting & account.identities()}

    def _archive_addresses(self) -> set[str]:
        fields = kinds.DOMAIN_ARCHIVING_FIELDS
        primary = next((entry for entry in self.received if entry.get("isPrimary")), {})
        given = [self.server.read(kinds.ARCHIVING).options.get("remote_address")]
        given += [settings.read_options(fields, entry).get("remote_address") for entry in self.received]
        return {addresses.complete(address, str(primary.get("name", "")).lower()) for address in given if address}


class _Work:
    """One declaration against one server."""

    def __init__(self, server: Server, options: Options) -> None:
        self.where = server.name
        self.reader = _Reader(server)
        self._options = options
        self.wishes = accounts_plan.wishes(self.where, options["users"], self.reader.domains)
        whole = [
            accounts_plan.own_domain(f"{self.where}: whole_domains", name, self.reader.domains)
            for name in options["whole_domains"]
        ]
        accounts_plan.refuse_distributed(self.where, whole, self.reader.received)
        self._whole = set(whole)
        self.touched = list(dict.fromkeys([*(wish.domain for wish in self.wishes.values()), *whole]))
        self.accounts = {key: account for domain in self.touched for key, account in self.reader.accounts(domain).items()}

    def changes(self) -> list[Change]:
        """Return what is to be done, in its order; whatever is refused is refused before that."""
        wanted = [wish for wish in self.wishes.values() if wish.present]
        desired = {wish.key: accounts_plan.desired(self.where, wish, self.accounts.get(wish.key)) for wish in wanted}
        delete = [account.key for account in self._leavers()]
        current = {key: account.options() for key, account in self.accounts.items() if key in desired or key in delete}
        planned = item_changes(USERS, current, desired, settings.rules(kinds.USER_FIELDS), delete)
        self._refuse_own(planned)
        self._refuse_taken(planned)
        # Who loses an address is changed before who gets it.
        return sorted(planned, key=lambda change: (ACTIONS.index(change.action), not accounts_plan.gives_up(change)))

    def _leavers(self) -> list[Account]:
        named = [self.accounts[key] for key, wish in self.wishes.items() if not wish.present and key in self.accounts]
        rest = [
            account
            for account in self.accounts.values()
            if account.domain in self._whole and accounts_plan.undeclared(account, self.wishes)
        ]
        if not (named or rest):
            return []
        removals = self._removals(dict.fromkeys(account.domain for account in (*named, *rest)))
        leavers = [*named, *(account for account in rest if not removals.me.is_own(account))]
        removals.check(leavers)
        return leavers

    def _removals(self, domains: t.Iterable[Domain]) -> accounts_plan.Removals:
        limit, me = self._options["delete_limit"], accounts_plan.me(self.reader.server.receive(kinds.WHO_AM_I))
        return accounts_plan.Removals(self.where, limit, me, self.reader.archives(domains))

    def _refuse_own(self, changes: t.Sequence[Change]) -> None:
        """Refuse what would keep the module out. The server is asked who that is only where the name may be that of the login."""
        user = str(self._options.get("api_user", "")).strip().lower().partition("@")[0]
        for change in changes:
            account = self.accounts.get(change.key)
            harm = accounts_plan.shuts_out(change, self._options.get("api_password")) if account else ""
            names = [address.partition("@")[0] for address in account.claims()] if account else []
            if account and harm and user in names:
                accounts_plan.me(self.reader.server.receive(kinds.WHO_AM_I)).refuse(self.where, account, harm)

    def _refuse_taken(self, changes: t.Sequence[Change]) -> None:
        """Ask for groups and aliases only where somebody gets an address."""
        gaining = [self.wishes[c.key] for c in changes if c.action == "create" or "addresses" in c.after]
        held: Object = {}
        for domain in dict.fromkeys(wish.domain for wish in gaining):
            groups, aliases = (self.reader.listed(kind, domain) for kind in (kinds.GROUP, kinds.ALIAS))
            held.update(accounts_plan.holders(domain, self.reader.accounts(domain).values(), groups, aliases))
        losing = [c for c in changes if c.action == "change"]
        given_up = {self.wishes[c.key].domain.address(name) for c in losing for name in accounts_plan.gives_up(c)}
        for wish in gaining:
            accounts_plan.refuse_taken(self.where, wish, self.accounts.get(wish.key), held, given_up)


class _Writer:
    """Does what is planned. ``done`` are the changes that the server has made so far."""

    def __init__(self, server: Server, work: _Work) -> None:
        self._server = server
        self._work = work
        self.done: list[Change] = []

    def apply(self, plan: Plan) -> None:
        created, changed, removed = ([c for c in plan.changes if c.action == action] for action in ACTIONS)
        try:
            self._batches(created, "Users.create", "users", self._new)
            for change in changed:
                self._set(change)
            self._batches(removed, "Users.remove", "requests", self._removal)
            self._prove(plan)
        except ArchiveToolError as error:
            self._tell(error)
            raise

    def _new(self, change: Change) -> Object:
        return accounts_plan.new_object(self._work.wishes[change.key], change.values)

    def _removal(self, change: Change) -> Object:
        return {"userId": self._work.accounts[change.key].received["id"], **REMOVAL}

    def _set(self, change: Change) -> None:
        received = self._work.accounts[change.key].received
        try:
            self._server.set_object(kinds.USER, received["id"], received, change.values)
        except ItemError as error:
            raise self._named(error, [change]) from None
        except ApiError as error:
            error.subject = f"{error.subject} ({change.key})"
            raise
        self.done.append(change)

    def _batches(self, changes: t.Sequence[Change], method: str, member: str, entry: t.Callable[[Change], Object]) -> None:
        for start in range(0, len(changes), BATCH):
            batch = changes[start : start + BATCH]
            try:
                self._server.call(method, {member: [entry(change) for change in batch]}, Effect.WRITE)
            except ItemError as error:
                raise self._named(error, batch) from None
            self.done += batch

    def _named(self, error: ItemError, batch: t.Sequence[Change]) -> ItemError:
        """Return the error with accounts in place of indices, and count what of the batch was done."""
        keys = dict(enumerate(change.key for change in batch))
        failed = [entry["index"] for entry in error.details["errors"]]
        if set(failed) <= set(keys):
            self.done += [change for index, change in enumerate(batch) if index not in failed]
        named = [{**entry, "item": keys.get(entry["index"], which_item(entry["index"]))} for entry in error.details["errors"]]
        texts = [f"{entry['item']}: {with_code(entry['message'], entry['code'])}" for entry in named]
        return ItemError(
            error.subject, some(texts, accounts_plan.SHOWN, "; "), error.remedy, **{**error.details, "errors": named}
        )

    def _prove(self, plan: Plan) -> None:
        """Read the touched domains again and compare; passwords cannot be."""
        keys = {change.key for change in plan.changes}
        reader = _Reader(self._server, self._work.reader.received)
        found: dict[str, Account] = {}
        for domain in self._work.touched:
            if any(key.endswith(f"@{domain.name}") for key in keys):
                found.update(reader.accounts(domain))
        current = {key: account.options() for key, account in found.items() if key in keys}
        wanted = {change.key: change.values for change in plan.changes if change.action != "delete"}
        self._server.prove_objects(kinds.USER, current, wanted)
        left = sorted(change.key for change in plan.changes if change.action == "delete" and change.key in found)
        if left:
            raise ApiError(
                f"{self._server.name}: user {some(left, accounts_plan.SHOWN)}",
                "Users.remove was answered with success, but the account is still there",
                "Look into the server's error log",
                method="Users.remove",
            )

    def _tell(self, error: ArchiveToolError) -> None:
        """Add what was done before an error: the next run finds it done."""
        by_action = {action: [change.key for change in self.done if change.action == action] for action in ACTIONS}
        told = [f"{_DONE[action]} {some(keys, accounts_plan.SHOWN)}" for action, keys in by_action.items() if keys]
        if told:
            error.cause = f"{error.cause.rstrip('. ')}; done before: {', '.join(told)}"
            error.details["done"] = {_DONE[action]: keys for action, keys in by_action.items() if keys}
