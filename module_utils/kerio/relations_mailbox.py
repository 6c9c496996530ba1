# SPDX-License-Identifier: GPL-3.0-or-later
"""Relations of the archive mailbox: it exists, it is nobody's, and nothing but copies comes into it or goes out of it. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import (
    CAUGHT,
    FOREIGN,
    NO_FORWARDING,
    PUBLIC_FOLDER,
    Account,
    People,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import (
    MULTIDROP,
    Copies,
    Found,
    Options,
    Problem,
    State,
    Unclear,
    copies_of,
    few,
    names_in,
    profiles_here,
)

NOBODYS = "give the archive mailbox an account of its own that is nobody's"


def exists(state: State) -> Found:
    for copies in copies_of(state):
        ways = [end.way for end in copies.ends if end.kind in (FOREIGN, CAUGHT)]
        if ways:
            yield Unclear(f"{copies.where}: it {ways[0]}, and nobody can tell from here what becomes of mail to it")
        elif not copies.ends and state.people.continued(copies.address):
            how = state.people.continued(copies.address)
            yield Unclear(f"{copies.where}: nobody on this server has it, but {how}, so it may be on another one")
        elif not copies.ends:
            yield Problem(
                copies.where,
                "nobody on the server has this address, so every copy would come back as undeliverable",
                f"Declare the account (users: [{{address: {copies.address}, state: present}}]), or correct the address",
            )
        for account in copies.accounts:
            if not account.enabled:
                yield Problem(
                    copies.where,
                    f"it reaches {account.address}, which is disabled, so nobody can log in to read the copies",
                    f"Enable it (users: [{{address: {account.address}, enabled: true}}])",
                )


def is_nobodys(state: State) -> Found:
    for copies in copies_of(state):
        yield from _one_account(copies)
        for end in copies.ends:
            if end.account is not None:
                yield from _not_an_archive_user(state, copies, end.account, end.way)


def _one_account(copies: Copies) -> Found:
    ways = [end.way for end in copies.ends if end.kind == PUBLIC_FOLDER]
    if ways:
        yield Problem(copies.where, f"it {ways[0]}, so whoever may see the folder may read all mail", f"Instead, {NOBODYS}")
    if len(copies.accounts) > 1:
        names = few([account.address for account in copies.accounts])
        yield Problem(
            copies.where,
            f"it {copies.ends[0].way}, so {len(copies.accounts)} accounts get the copies of all mail ({names})",
            f"Instead, {NOBODYS}",
        )


def _not_an_archive_user(state: State, copies: Copies, account: Account, way: str) -> Found:
    named = _named_as_archive_user(state, copies.address, account)
    if named:
        yield Problem(
            copies.where,
            f"it {way}, and {account.address} is named as an archive user: {named}",
            "Take it out there, or give the archive mailbox another address: it must be nobody's",
        )
    elif account.address != copies.address and _in_scope(state, account):
        yield Problem(
            copies.where,
            f"it {way}, and {account.address} is an archive user, into whose mailbox everybody's mail would come",
            f"Instead, {NOBODYS}; or name {account.address} in archive.users_excluded",
        )


def _named_as_archive_user(state: State, address: str, account: Account) -> str:
    names = account.names | {address}
    for user in state.archive.get("users_declared") or ():
        if names & {str(user.get("name", "")).lower(), *names_in(user.get("addresses"))}:
            return f"{user.get('name')} in archive.users_declared"
    for profile in profiles_here(state):
        users = profile.get("users")
        if isinstance(users, dict) and names & names_in(users.get("only")):
            return f"users.only of the profile {profile.get('name')}"
        if names & names_in(profile.get("target_user")):
            return f"target_user of the profile {profile.get('name')}"
    return ""


def _in_scope(state: State, account: Account) -> bool:
    scope = state.archive.get("users_scope")
    # As users.yml does it: a further address leaves nobody out.
    if scope is None or {account.address, account.login} & names_in(state.archive.get("users_excluded")):
        return False
    domains, groups, users = (names_in(scope.get(key)) for key in ("domains", "groups", "users"))
    named = {account.address, account.login, f"{account.login}@{account.domain}"} & users
    return not (domains or groups or users) or account.domain in domains or bool(account.groups & groups or named)


def _alone(state: State) -> t.Iterator[tuple[Copies, Account]]:
    """Yield each archive mailbox that is one: an account that gets the copies alone."""
    for copies in copies_of(state):
        if len(copies.accounts) == 1:
            yield copies, copies.accounts[0]


def gets_other_mail(state: State) -> Found:
    for copies, account in _alone(state):
        others = _other_ways(state.people, copies.address, account)
        somebodys = account.address != copies.address and _in_scope(state, account)
        if others and not somebodys:
            yield Problem(
                copies.where,
                f"beside the copies, mail to {few(others)} comes into the archive mailbox {account.address}",
                "Take these addresses away from it: that mail is read as if it had been archived",
            )


def _other_ways(people: People, address: str, account: Account) -> list[str]:
    """Return the addresses whose mail comes into the account as well, each with the reason; the way of the copies is none."""
    own = account.further if account.address == address else (account.address, *account.further)
    ways = [(other, "its own address") for other in own]
    ways += [
        (alias.address, "alias")
        for alias in people.aliases
        if not set("*?") & set(alias.address) and any(end.account == account for end in people.reach(alias.address))
    ]
    ways += [
        (group.addresses[0], f"group {group.name}") for group in people.groups if group.addresses and account.id in group.members
    ]
    ways += [
        (other.address, "forwards to it")
        for other in people.accounts
        if other.forwarding != NO_FORWARDING and account.address in map(people.full, other.forwards_to)
    ]
    meant = [end.way for end in people.reach(address)]
    return [f"{other} ({why})" for other, why in ways if other != address and not any(other in way for way in meant)]


def has_a_limit(state: State) -> Found:
    for copies, account in _alone(state):
        limits = [f"{account.disk_limit_mb} MB"] if account.disk_limit_mb else []
        limits += [f"{account.item_limit} items"] if account.item_limit else []
        if limits:
            yield Problem(
                copies.where,
                f"the archive mailbox {account.address} is limited to {' and '.join(limits)}, and when it is full the copies of "
                "new mail are lost",
                f"Take the limit away (users: [{{address: {account.address}, disk_limit_mb: 0, item_limit: 0}}])",
            )


def forwards(state: State) -> Found:
    for copies, account in _alone(state):
        if account.forwarding != NO_FORWARDING:
            targets = few(list(account.forwards_to)) or "elsewhere"
            kept = "and keeps a copy" if account.forwarding == "UForwardDeliver" else "and may keep nothing"
            yield Problem(
                copies.where,
                f"the archive mailbox {account.address} forwards all that it gets to {targets}, {kept}",
                "Switch forwarding off at this account in the administration of the server",
            )


def into_nothing(state: State) -> Found:
    options = state.archiving
    where = f"{state.server}: archiving"
    if not options.get("enabled"):
        yield from _read_but_off(state, where)
        return
    per_domain = options.get("per_domain") and any(domain.get("remote_address") for domain in state.domains.values())
    if not (options.get("remote_address") or options.get("to_local_folder") or per_domain):
        yield Problem(
            where,
            "it is on, but has neither a remote address nor a local folder to copy to, so nothing is archived",
            "Set archiving.remote_address, or archiving.to_local_folder to true",
        )
    classes = [f"{name}_messages" for name in ("local", "incoming", "outgoing", "relayed")]
    if not per_domain and not any(options.get(name) for name in classes):
        yield Problem(
            where,
            f"it is on, but {', '.join(classes)} are all off, so nothing is archived",
            "Set those to true whose mail is to be archived",
        )


def _read_but_off(state: State, where: str) -> Found:
    for profile in profiles_here(state, MULTIDROP):
        yield Problem(
            where,
            f"it is off, and the profile {profile.get('name')} reads the archive mailbox {profile.get('mailbox')}, into which "
            "nothing new comes",
            "Set archiving.enabled to true, or remove the profile",
        )


def read_by_its_profile(state: State) -> Found:
    """A multidrop profile should read the mailbox that gets the copies."""
    targets = copies_of(state)
    if not targets or any(not copies.accounts for copies in targets):
        return
    accounts = [account for copies in targets for account in copies.accounts]
    for profile in profiles_here(state, MULTIDROP):
        mailbox = str(profile.get("mailbox", "")).strip().lower()
        if not {mailbox, state.people.by_own_name(mailbox)} & {name for account in accounts for name in account.names}:
            yield Problem(
                f"{state.server}: profile {profile.get('name')}",
                f"it reads the mailbox {mailbox}, but the copies go to {few([account.address for account in accounts])}",
                "Correct mailbox of the profile or archiving.remote_address, or say in its servers which ones it reads",
            )


def idle_domains(server: str, outcome: Options, declared: t.Mapping[str, Options]) -> Problem | None:
    """Return what is wrong when domains have archive addresses of their own that are not used."""
    idle = sorted(name for name, entry in declared.items() if entry.get("remote_address"))
    if not idle or outcome.get("per_domain"):
        return None
    cause = f"per_domain is off, so the archive addresses of {', '.join(idle)} have no effect until it is true"
    return Problem(server, cause, "Set archiving.per_domain to true, or remove the addresses")


def domains_are_idle(state: State) -> Found:
    problem = idle_domains(state.server, state.archiving, state.declared_domains)
    if problem is not None:
        yield problem


def compressed_folders(state: State) -> Found:
    options = state.archiving
    if options.get("enabled") and options.get("to_local_folder") and options.get("compress_old_folders"):
        yield Problem(
            f"{state.server}: archiving.compress_old_folders",
            "archive folders on the server are compressed when a new one begins, and mail clients cannot read compressed ones",
            "Set it to false, unless the folders are read before that time",
        )
