# SPDX-License-Identifier: GPL-3.0-or-later
"""What relations look at: the server as it will be, the people on it, and the archive side. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import Account, End, People
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

Options = t.Mapping[str, t.Any]
MULTIDROP = "multidrop"
# A sentence names so many of the things that it is about.
SHOWN = 3
# The service that each way of access uses.
IMAP_SERVICES = {"IMAP": "IMAP", "IMAP-TLS": "IMAP", "IMAP-SSL": "Secure IMAP"}


class Problem(t.NamedTuple):
    """A relation that does not hold, as errors are written: subject, cause, remedy."""

    subject: str
    cause: str
    remedy: str


class Unclear(t.NamedTuple):
    """A relation of which nobody can tell whether it holds."""

    text: str


Found = t.Iterator[Problem | Unclear]


@dataclass(frozen=True)
class Host:
    """An archive host; ``addresses`` are empty when its name could not be resolved, ``reason`` says why."""

    name: str
    addresses: tuple[str, ...]
    reason: str = ""


class State(t.Protocol):
    """The outcome: current settings with what is declared laid over them. Members may cost calls, so ask for what is needed.

    ``given`` names the declarations and the parts of ``archive`` that there are. ``domains``: archiving of single domains by
    name; ``declared_domains``: what is declared of them. ``services``: options by name.
    """

    @property
    def server(self) -> str: ...
    @property
    def given(self) -> t.Container[str]: ...
    @property
    def archiving(self) -> Options: ...
    @property
    def domains(self) -> t.Mapping[str, Options]: ...
    @property
    def declared_domains(self) -> t.Mapping[str, Options]: ...
    @property
    def master(self) -> Options: ...
    @property
    def advanced(self) -> Options: ...
    @property
    def security(self) -> Options: ...
    @property
    def services(self) -> t.Mapping[str, Options]: ...
    @property
    def people(self) -> People: ...
    @property
    def archive_hosts(self) -> t.Sequence[Host]: ...
    @property
    def archive(self) -> Options: ...

    def admits(self, group: str, address: str) -> bool | None:
        """Whether an IP address group holds an address; None: nobody can tell."""


class Copies(t.NamedTuple):
    """An address that copies are sent to, where it is declared, and what it reaches."""

    where: str
    address: str
    ends: tuple[End, ...]

    @property
    def accounts(self) -> list[Account]:
        return [end.account for end in self.ends if end.account is not None]


def copies_of(state: State) -> list[Copies]:
    """Return the addresses that archived mail is sent to: none while archiving is off."""
    if not state.archiving.get("enabled"):
        return []
    found = []
    if state.archiving.get("remote_address"):
        found.append(("archiving.remote_address", str(state.archiving["remote_address"])))
    if state.archiving.get("per_domain"):
        named = ((name, options.get("remote_address")) for name, options in sorted(state.domains.items()))
        found += [(f"archiving.domains {name} remote_address", str(address)) for name, address in named if address]
    return [_copies(state, where, address.strip().lower()) for where, address in found]


def _copies(state: State, where: str, address: str) -> Copies:
    full = state.people.full(address)
    return Copies(f"{state.server}: {where} {full}", full, state.people.reach(full))


def profiles_here(state: State, *methods: str) -> list[Options]:
    """Return the profiles that read this server, of some methods or of all."""
    return [
        profile
        for profile in state.archive.get("profiles") or ()
        if (not profile.get("servers") or state.server in _listed(profile["servers"]))
        and (not methods or profile.get("method") in methods)
    ]


def _listed(value: t.Any) -> t.Sequence[str]:
    return [value] if isinstance(value, str) else list(value)


def names_in(value: t.Any) -> frozenset[str]:
    """Return a list of names as it is compared; one name may stand without a list."""
    return frozenset(str(name).strip().lower() for name in _listed(value or ()))


def few(names: t.Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return some(names, SHOWN)
