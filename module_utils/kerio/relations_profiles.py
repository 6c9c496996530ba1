# SPDX-License-Identifier: GPL-3.0-or-later
"""Relations between a server's settings and what the archive host does with its mail: clean-out, deletion, envelopes. Pure."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import (
    MULTIDROP,
    Found,
    Options,
    Problem,
    State,
    Unclear,
    few,
    profiles_here,
)
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

# What clean-out empties, by its option, as operators know it.
CLEANED = {
    "sent_items": "mail in Sent Items",
    "all_items": "all mail",
    "deleted_items": "mail in Deleted Items",
    "junk_email": "mail in Junk E-mail",
}
# Folders that no profile reads unless it says so: the default rule that leaves them out, and their name.
LEFT_OUT = {"deleted_items": ("trash", "deleted items"), "junk_email": ("junk", "junk e-mail")}


def envelope(state: State) -> Found:
    profiles = [str(profile.get("name")) for profile in profiles_here(state, MULTIDROP)]
    if profiles and not state.advanced.get("insert_x_envelope_to"):
        yield Problem(
            f"{state.server}: advanced_options.insert_x_envelope_to",
            f"it is off, and the multidrop profile {few(profiles)} files by the recipients that the server notes: BCC "
            "recipients and members of lists would not be found",
            "Set it to true; mail that came before has no such note",
        )


def deletion(state: State) -> Found:
    listed = set(state.archive.get("deleting_profiles") or ())
    here = profiles_here(state)
    known = {profile.get("name") for profile in state.archive.get("profiles") or ()}
    deleting = sorted(
        {str(profile.get("name")) for profile in here if profile.get("delete") or profile.get("name") in listed}
        | {name for name in listed if name not in known}
    )
    if deleting and not state.archive.get("permanent_delete"):
        yield Problem(
            f"{state.server}: profile {', '.join(deleting)}",
            "it deletes what is archived, but permanent_delete is not declared true for mailserver.cfg, so the server would move "
            "the messages to Deleted Items instead",
            "Declare permanent_delete: true for this server, or delete nothing",
        )


def clean_out(state: State) -> Found:
    """Mail must outlive two intervals: it comes right after a run, and one run may fail."""
    interval = state.archive["interval_hours"]
    wanted = [name for name in CLEANED if name not in LEFT_OUT or _anybody_reads(state, *LEFT_OUT[name])]
    for name in wanted:
        for domain in state.people.domains:
            days = (domain.clean_out or {}).get(name)
            if _short(days, interval):
                yield _removed(f"{state.server}: clean-out of the domain {domain.name}", name, days, interval)
        short = [account for account in state.people.accounts if _short((account.clean_out or {}).get(name), interval)]
        if short:
            days = min(account.clean_out[name] for account in short if account.clean_out)
            yield _removed(
                f"{state.server}: clean-out of {few([account.address for account in short])}",
                name,
                days,
                interval,
            )


def _short(days: t.Any, interval: float) -> bool:
    return isinstance(days, int) and days * 24 < 2 * interval


def _removed(where: str, name: str, days: t.Any, interval: float) -> Problem:
    least = math.ceil(2 * interval / 24)
    return Problem(
        where,
        f"the server removes {CLEANED[name]} for good after {counted(days, 'day')}, and archiving runs every "
        f"{interval:g} hours: mail may be gone before it is archived, at the latest when one run fails",
        f"Set it to {least} days or more, or run more often",
    )


def _anybody_reads(state: State, rule: str, folder: str) -> bool:
    return any(_reads(profile.get("folders") or {}, rule, folder) for profile in profiles_here(state))


def _reads(folders: Options, rule: str, folder: str) -> bool:
    if folder in _patterns(folders, "exclude"):
        return False
    include = _patterns(folders, "include")
    if any(pattern.split("/")[0] == folder for pattern in include):
        return True
    defaults = folders.get("defaults")
    kept_out = defaults is None or defaults is True or (isinstance(defaults, (list, tuple)) and rule in defaults)
    return not kept_out and not include


def _patterns(folders: Options, name: str) -> list[str]:
    value = folders.get(name) or ()
    return [str(pattern).casefold() for pattern in ([value] if isinstance(value, str) else value)]


def loop(state: State) -> Found:
    """Two servers that send their copies to each other archive each copy again, without end."""
    address = state.people.full(str(state.archiving.get("remote_address") or ""))
    if not (state.archiving.get("enabled") and address and state.people.is_foreign(address)):
        return
    for other in state.archive.get("other_servers") or ():
        theirs = str(other.get("remote_address") or "").strip().lower()
        known = [str(domain).lower() for domain in other.get("domains") or ()]
        if (known and address.rpartition("@")[2] not in known) or "@" not in theirs or state.people.is_foreign(theirs):
            continue
        if not known:
            yield Unclear(
                f"{state.server}: archiving.remote_address {address}: {other.get('name')} sends its copies to {theirs} on this "
                f"server, and which domains {other.get('name')} has is not declared: if it has this address, copies go round"
            )
        else:
            yield Problem(
                f"{state.server}: archiving.remote_address {address}",
                f"copies go out to another server, and {other.get('name')} sends its copies to {theirs} on this one: "
                "each is archived again there and comes back, without end",
                "Let both servers send their copies to a mailbox of their own",
            )
