# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses lead to which user. Pure; all addresses are lower-case and have a domain."""

from __future__ import annotations

import typing as t


def complete(name: str, domain: str) -> str:
    """Return ``name`` as an address; Kerio lists e-mail addresses as local parts. Empty stays empty."""
    name = name.strip().lower()
    return f"{name}@{domain}" if name and "@" not in name else name


def local(name: str, domains: t.Container[str]) -> str:
    """Return the local part of an address at one of ``domains``, else the whole, lower-case: the server lists local parts."""
    name = name.strip().lower()
    head, at, domain = name.rpartition("@")
    return head if at and domain in domains else name


def further(login: str, names: t.Iterable[str], domains: t.Container[str]) -> list[str]:
    """Return a user's addresses besides the default one, each once, in the form in which they are compared and sent."""
    found = dict.fromkeys(local(name, domains) for name in names if name.strip())
    found.pop(login.lower(), None)
    return list(found)


def at_domains(names: t.Iterable[str], domains: t.Sequence[str]) -> list[str]:
    """Return each name at each domain, in order, each address once."""
    return list(dict.fromkeys(complete(name, domain) for domain in domains for name in names if name.strip()))


def of_user(login: str, names: t.Iterable[str] | None, domains: t.Sequence[str]) -> list[str]:
    """Return a user's own addresses: the login name at the domain, which the server does not list, then the others, then all of
    them at the aliases of the domain.
    """
    return at_domains([login, *(names or [])], domains)


def delivered(own: t.Mapping[str, t.Sequence[str]], aliases: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, list[str]]:
    """Return by user id the addresses of the aliases that end at that user, also over further aliases.

    ``own`` are the users' own addresses by id. An alias with a wild card is no address, and one that leads to a group or a
    public folder is nobody's.
    """
    owner = {address: user for user, listed in own.items() for address in listed}
    found: dict[str, list[str]] = {user: [] for user in own}
    remaining = [alias for alias in aliases if alias["type"] != "public_folder" and not set("*?") & set(alias["address"])]
    while True:
        settled = [(alias, _target(alias, own, owner)) for alias in remaining]
        reached = [(alias, user) for alias, user in settled if user is not None]
        if not reached:
            return found
        for alias, user in reached:
            found[user].append(alias["address"])
            owner.setdefault(alias["address"], user)
        remaining = [alias for alias, user in settled if user is None]


def _target(alias: t.Mapping[str, t.Any], own: t.Container[str], owner: t.Mapping[str, str]) -> str | None:
    if alias["deliver_to_id"] in own:
        return str(alias["deliver_to_id"])
    return owner.get(alias["deliver_to"])
