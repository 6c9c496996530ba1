# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an archive run can take what a server declares of how it is reached over IMAP.

archive_run refuses a value of one server that cannot be for all of them, so each is looked at before.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.master_password import RULE, weakness
from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader, Variables

FLAGS = ("true", "false", "yes", "no", "on", "off", "y", "n", "t", "f", "1", "0")
UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}
SHOWN = 60
NAMED = re.compile(r"[^\r\n]*[^\s][^\r\n]*")

Doubles = Mapping[str, t.Sequence[str]]


class Rule(t.NamedTuple):
    """What a variable takes. ``fits`` is asked with the value and its text; ``empty``: it may be there without a value."""

    fits: t.Callable[[Json, str], bool]
    wanted: str
    empty: bool = False


def _text(value: Json, text: str) -> bool:
    return isinstance(value, str | int | float) and text != "" and "\n" not in text


def _flag(_value: Json, text: str) -> bool:
    return text.lower() in FLAGS


def _word(*words: str) -> Rule:
    return Rule(lambda value, _text: value in words, f"one of {', '.join(words)}")


def _number(least: int, most: int, *, empty: bool = False) -> Rule:
    return Rule(
        lambda value, text: not isinstance(value, bool) and least <= _whole(text) <= most,
        f"a whole number from {least} to {most}",
        empty,
    )


def _size(value: Json, text: str) -> bool:
    unit = UNITS.get(text[-1:].upper())
    number = _whole(text[:-1].strip()) * unit if unit else _whole(text)
    return not isinstance(value, bool) and UNITS["K"] * 10 <= number <= UNITS["G"] * 1024


def _whole(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else -1


A_TEXT, A_FLAG = "a text that is not empty", "true or false"
A_SIZE = "a number of bytes from 10K to 1024G, as a whole number or with K, M or G behind it"
RULES: dict[str, Rule] = {
    "kerio_connect_host": Rule(_text, A_TEXT),
    "kerio_connect_ca_file": Rule(_text, A_TEXT, empty=True),
    "kerio_connect_validate_certs": Rule(_flag, A_FLAG),
    "kerio_connect_imap_host": Rule(_text, A_TEXT, empty=True),
    "kerio_connect_imap_port": _number(1, 65535, empty=True),
    "kerio_connect_imap_access": _word("IMAP", "IMAP-TLS", "IMAP-SSL"),
    "kerio_connect_imap_ca_file": Rule(_text, A_TEXT, empty=True),
    "kerio_connect_imap_validate_certs": Rule(_flag, A_FLAG),
    "kerio_connect_imap_timeout": _number(1, 3600),
    "kerio_connect_imap_connections": _number(1, 64),
    "kerio_connect_imap_bandwidth": Rule(_size, A_SIZE, empty=True),
}


def name_wrong(reader: Reader, host: str) -> str:
    """Return what is wrong with the name of a server; empty when it can be used. Everything in an archive goes by its name."""
    known = reader.host(host)
    name = reader.item(known, "kerio_connect_name") if "kerio_connect_name" in known else host
    right = isinstance(name, str | int | float) and NAMED.fullmatch(str(name))
    return "" if right else "kerio_connect_name is no text, or empty. Correct it, or take it out"


def wrong(reader: Reader, host: str, hosts: t.Container[Json], keepers: assigned.Keepers, doubles: Doubles) -> str:
    """Return the first thing that is wrong with a server, and what to do; empty when all can be used.

    ``hosts`` are the archive hosts that archive it.
    """
    known = reader.host(host)
    name = reached.name_of(reader, host)
    found = (
        *_values(reader, known),
        _namesakes(str(name).strip(), host, doubles),
        _passwords(reader, known),
        _unencrypted(reader, known, keepers.unencrypted(name, hosts)),
    )
    return next(filter(None, found), "")


def _values(reader: Reader, known: Variables) -> t.Iterator[str]:
    for variable, rule in RULES.items():
        if variable in known:
            value = reader.item(known, variable)
            text = "" if value is None else str(value).strip()
            if value is None and not rule.empty:
                yield f"{variable} is nothing. Give a value, or take the variable out"
            elif value is not None and not rule.fits(value, text):
                shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
                yield f"{variable} is {shown}. Give {rule.wanted}"


def _namesakes(name: str, host: str, doubles: Doubles) -> str:
    others = ", ".join(other for other in doubles.get(name, ()) if other != host)
    return f"kerio_connect_name is {name}, as for {others}. Give each server a name of its own" if others else ""


def _passwords(reader: Reader, known: Variables) -> str:
    """As docs/rotate-master-password.md says; nothing of a password is told."""
    variable = "kerio_connect_master_authentication"
    first, other = (str(reader.value(known, variable, key) or "") for key in ("password", "other_password"))
    if first and weakness(first):
        return f"{variable}.password is not {RULE}. Choose one that is"
    if not other:
        return ""
    if weakness(other):
        cause = f"is not {RULE}. Give the password that the server had before, or take it out"
    elif not first:
        cause = "is there without a password beside it. Give the password that the server has as password"
    elif first == other:
        cause = "is the same as password. Take it out when the rotation is done, or give the one that the server had before"
    else:
        return ""
    return f"{variable}.other_password {cause}"


def _unencrypted(reader: Reader, known: Variables, profiles: t.Sequence[assigned.Profile]) -> str:
    """Whoever listens could open every mailbox."""
    if not profiles or reader.value(known, "kerio_connect_imap_access") != "IMAP":
        return ""
    return (
        f"kerio_connect_imap_access is IMAP, by which the profile {profiles[0].name or 'without a name'} would show the master "
        "password to the network. Give IMAP-TLS or IMAP-SSL"
    )
