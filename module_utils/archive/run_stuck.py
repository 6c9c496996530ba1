# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of messages that it could not archive, and which of its texts speak of which message. Pure: no I/O."""

from __future__ import annotations

import json
import typing as t
from collections import Counter

from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import printable
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

Data = dict[str, t.Any]
REMEDY = "Repair it on the server, or accept it with this entry in the list of what is acknowledged"


def place(mailbox: str, folder: str) -> str:
    """A folder, in one line; ``mailbox`` with its server."""
    return printable(f"{mailbox} {folder}")


def failed(count: int) -> str:
    """Of a folder, some messages of which failed."""
    return f"{counted(count, 'message')} could not be archived"


def quarantined(uidvalidity: int, uid: int, attempts: int, reason: str, entry: str) -> str:
    """Of one message; ``entry`` accepts it."""
    return f"{_of_message(uidvalidity, uid)} in {counted(attempts, 'attempt')}: {reason}. {REMEDY}: {entry}"


def _of_message(uidvalidity: int, uid: int) -> str:
    return f"UIDVALIDITY {uidvalidity}, UID {uid} could not be archived"


def quoted(value: str | int) -> str:
    """A value as YAML and JSON read it, with everything escaped that cannot be seen or that turns the text around it."""
    if isinstance(value, int):
        return str(value)
    return "".join(one if one.isprintable() else _escaped(one) for one in json.dumps(value, ensure_ascii=False))


def _escaped(character: str) -> str:
    # YAML, other than JSON, has a form for these, and no pairs of surrogates.
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"


def told_of(failures: t.Sequence[str], messages: t.Iterable[Data]) -> list[int]:
    """Which of the failures say no more than that these messages, all of them, could not be archived: places in the list."""
    heads: set[str] = set()
    counts: Counter[str] = Counter()
    for one in messages:
        where = place(f"{one['server']} {one['mailbox']}", one["folder"])
        if one["state"] == "quarantined":
            heads.add(f"{where}: {_of_message(one['uidvalidity'], one['uid'])} in ")
        else:
            counts[where] += 1
    whole = {f"{where}: {failed(count)}" for where, count in counts.items()}
    return [index for index, text in enumerate(failures) if text in whole or _head(text) in heads]


def _head(text: str) -> str:
    """The beginning of a text of ``quarantined`` with its place before it. A folder may be called anything."""
    head, words, rest = text.partition(" could not be archived in ")
    return f"{head}{words}" if rest else ""
