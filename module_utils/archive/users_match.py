# SPDX-License-Identifier: GPL-3.0-or-later
"""Which row of the catalog somebody is already. Pure: no I/O.

A user is known by the id that Kerio gives. Somebody new under the name of one who left is somebody else, and what happens to the
leaver's archive is for the operator to say.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, users_declared
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import Id, described
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_homes import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_rights import OVER_OTHERS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import (
    ADOPT,
    DIRECTORY,
    INVENTORY,
    PROFILE,
    SEPARATE,
    Wish,
    named,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

_TOLD = 10  # names in the refusal of undecided ones
_REMEDY = (
    "Say in reused_names, for the name or for @domain, whether it is the same person under another id (same), or somebody else,"
    " and whether the archive of that name is to be taken over (adopt) or kept apart (separate)"
)
_RENAMED = "Say separate in reused_names: a renamed user has an archive already and cannot take over another one"


@dataclass
class Match:
    """``user``: the row that the candidate is; ``another``: that was somebody else's; ``waits``: why nothing is done yet."""

    candidate: Candidate
    user: User | None = None
    another: bool = False
    waits: str = ""

    @property
    def values(self) -> UserValues:
        return self.candidate.values


def by_identity(candidates: t.Iterable[Candidate], current: t.Sequence[User], wish: Wish) -> list[Match]:
    """Match by what proves the person: the id, or the login of somebody whose home server is known."""
    candidates = list(candidates)
    by_id = {(user.server, user.kerio_id): user for user in current if user.kerio_id}
    # One id is one account, whatever its server is called by now. Users of the inventory may have come from any server.
    moved = {
        user.kerio_id: user
        for user in current
        if user.kerio_id and (user.server in wish.gone.servers or user.origin == INVENTORY)
    }
    ids = {identity for candidate in candidates for identity in candidate.ids}
    # A login moves from server to server with somebody who is there. Who left is known by the id alone.
    by_login = {
        user.kerio_login: user
        for user in current
        if user.kerio_login and user.origin == DIRECTORY and user.deleted is None and (user.server, user.kerio_id) not in ids
    }
    matches = [Match(candidate, _of_ids(candidate, by_id)) for candidate in candidates]
    taken = {match.user.id for match in matches if match.user is not None}
    for match in matches:
        values = match.values
        if match.user is None and values.kerio_id:
            user = moved.get(values.kerio_id) or _of_login(match.candidate, by_login)
            if user is not None and user.id not in taken:
                match.user = user
                taken.add(user.id)
    return matches


def _of_ids(candidate: Candidate, by_id: t.Mapping[Id, User]) -> User | None:
    rows = [by_id[identity] for identity in sorted(candidate.ids) if identity in by_id]
    # Two rows from before the domain was distributed: that of the home server counts, and the other one leaves.
    return min(rows, key=lambda user: (user.server != candidate.values.server, user.deleted is not None), default=None)


def _of_login(candidate: Candidate, by_login: t.Mapping[str, User]) -> User | None:
    """Who has the login and came from another server, which may have had another id. On one server that is another account."""
    user = by_login.get(candidate.values.kerio_login) if candidate.settled else None
    if user is None or user.server != candidate.values.server or user.kerio_id in {one for _server, one in candidate.ids}:
        return user
    return None


def by_name(matches: t.Sequence[Match], current: t.Sequence[User], wish: Wish) -> None:
    """Match the others by their names, or make them wait; raises UserPlanError where the operator has to decide."""
    held = {user.name.lower(): user for user in current} | {user.name: user for user in current}
    taken = {match.user.id: match for match in matches if match.user is not None}
    undecided: list[tuple[Match, User, str]] = []
    for match in matches:
        values = match.values
        holder = held.get(values.name) or held.get(values.name.lower()) or _nameless(values.name, held)
        if holder is not None and holder.id not in taken:
            why = _decide(match, holder, wish)
            undecided += [(match, holder, why)] if why else []
            taken.update({match.user.id: match} if match.user is not None else {})
        elif holder is not None and values.origin == INVENTORY:
            raise users_declared.declared_under_former_name(values, taken[holder.id].values, "that user is now")
    _refuse_undecided(undecided)


def _nameless(name: str, held: t.Mapping[str, User]) -> User | None:
    """The user whose name a rebuilt catalog has only as it was cut for the tree, if ``name`` is cut to the same."""
    tree = layout.escape(name)
    return held.get(tree) if layout.SHORTENED in tree else None


def _decide(match: Match, holder: User, wish: Wish) -> str:
    """Decide whether ``holder``, a row under the wanted name that no other wanted user is, is the same person.

    Returns why the operator has to say it, "" where that is not needed.
    """
    values, known = match.values, match.user
    own = known is None and not values.kerio_id  # declared in the inventory, under the name that was meant
    if own or (known is None and not holder.kerio_id and not _at_stake(match, holder)):
        match.user = holder
        return ""
    if holder.origin == DIRECTORY and holder.server in wish.unread and holder.deleted is None:
        match.waits = f"the name is that of a user of {holder.server}, whose directory could not be read"
        return ""
    if known is None and holder.kerio_id == values.kerio_id:
        match.user = holder
        return ""
    rule = wish.reuse(values)
    if rule == SEPARATE:
        return ""
    if rule and known is None:
        match.user, match.another = holder, rule == ADOPT
        return ""
    if holder.kerio_id:
        other = f"somebody else ({holder.server} id {holder.kerio_id}) who is not there any more"
    else:
        other = f"a user {_at_stake(match, holder) or 'who is known by the name alone'}"
    return f"{described(values)} comes under the name of {other}"


def _at_stake(match: Match, holder: User) -> str:
    """What an account would get with a row that is known by its name alone, so that nothing proves that it is the same person."""
    if holder.origin == PROFILE:
        return ""
    if holder.deleted is not None:
        return "who has left and is known by the name alone"
    if match.candidate.entry is not None:
        return ""  # The inventory still says that this name is that user.
    powers = [power for power in OVER_OTHERS if power in holder.privileges]
    powers += [f"reads {named(holder.reads)}"] if holder.reads else []
    return f"whom the inventory declares no more, and who still has: {', '.join(powers)}" if powers else ""


def _refuse_undecided(undecided: t.Sequence[tuple[Match, User, str]]) -> None:
    """Raise UserPlanError once for all names that the operator has to decide about; ``rows``: the ids of who had them."""
    if not undecided:
        return
    names = [match.values.name for match, _holder, _why in undecided]
    remedies = dict.fromkeys(_REMEDY if match.user is None else _RENAMED for match, _holder, _why in undecided)
    raise UserPlanError(
        f"the user name {names[0]}" if len(names) == 1 else f"{len(names):,} user names",
        some([why for _match, _holder, why in undecided], _TOLD, "; "),
        ". ".join(remedies),
        users=names,
        count=len(names),
        rows=[holder.id for _match, holder, _why in undecided],
    )
