# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the ledger as lines for people: time, who, what. Pure: no I/O."""

from __future__ import annotations

import json
import typing as t
from datetime import UTC, datetime

Entry = t.Mapping[str, t.Any]

_DIGEST = "{digest:.16}"
_PLACE = "{server} {mailbox} {folder} UID {uid}"
_TOLD: dict[str, str] = {
    "archived": f"archived {_DIGEST}, {{size}} bytes, from {_PLACE}",
    "adopted": f"adopted {_DIGEST}, {{size}} bytes: {{why}}",
    "deleted": f"deleted on the server {_PLACE}: {_DIGEST}, {{size}} bytes",
    "quarantined": f"quarantined {_PLACE}: {{reason}}",
    "lost": f"declared {_DIGEST} lost, {{size}} bytes: {{reason}}",
    "found": f"found {_DIGEST} again, {{size}} bytes",
    "exported": "exported ({outcome}) {messages} messages, {bytes} bytes, as {format} to {to}, selected {selection}",
    "restored": "restored ({outcome}) {messages} of {asked} messages of {user} to {server} {mailbox} {folder}",
}
_OVER_OTHERS = ("audit", "administer")  # privileges that reach the mail of others; those of each user would fill the screen
_HEAD = ("index", "event", "at", "by")  # of which a line tells otherwise, or not at all


def printable(value: t.Any) -> str:
    """A value as text that cannot move the cursor or turn text round: names of folders may hold anything."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def moment(at: t.Any) -> str:
    """A time of the ledger; itself when no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
    except (TypeError, ValueError, OverflowError, OSError):
        return printable(at)


def who(entry: Entry) -> str:
    """Who did it, as the ledger has it: a caller, or else the run."""
    return printable(entry["by"]) if entry.get("by") else f"run {printable(entry['run'])}" if "run" in entry else ""


def what(entry: Entry) -> str:
    """What was done."""
    event = printable(entry.get("event", "?"))
    if event in _TOLD:
        return _TOLD[event].format_map(_Values(entry)) + _hearsay(entry)
    if event in _LISTS:
        return _LISTS[event](entry)
    rest = [
        f"{printable(key)} {printable(value)}" for key, value in entry.items() if key not in _HEAD and value not in (0, "", [])
    ]
    return f"{event}: {', '.join(rest)}"


def _hearsay(entry: Entry) -> str:
    """Which other ledger says so, of what an import brought."""
    return f" (as {printable(entry['origin'])} has it)" if "origin" in entry else ""


class _Values(dict[str, str]):
    """The values of an entry, fit to be shown; "?" for one that it has not."""

    def __init__(self, entry: Entry) -> None:
        super().__init__((key, printable(value)) for key, value in entry.items())

    def __missing__(self, key: str) -> str:
        return "?"


def _users(entry: Entry) -> str:
    return f"users: {', '.join(map(_user, entry['changes']))}"


def _user(change: Entry) -> str:
    """What became of a user, with the former name, and the rights over mail of others."""
    one = _Values(change)
    was = f" (was {one['was']})" if one.get("was", one["name"]) != one["name"] else ""
    reads = [f"reads {printable(name)}" for name in change.get("reads", ())]
    rights = [right for right in _OVER_OTHERS if right in change.get("privileges", ())] + reads
    return f"{one['action']} {one['name']}{was}" + (f" [{', '.join(rights)}]" if rights else "")


def _declared(entry: Entry) -> str:
    names = ", ".join(printable(one.get("name", one)) for one in entry["declared"])
    return f"declared {printable(entry['event'])}: {names or 'none'}"


_LISTS: dict[str, t.Callable[[Entry], str]] = {"users": _users, "profiles": _declared, "acknowledged": _declared}


def lines(entries: t.Sequence[Entry]) -> list[str]:
    """One line for each."""
    width = max((len(who(entry)) for entry in entries), default=0)
    return [f"{moment(entry.get('at'))}  {who(entry):{width}}  {what(entry)}".rstrip() for entry in entries]
