# SPDX-License-Identifier: GPL-3.0-or-later
"""How an option's value and the API's value become each other. Pure.

A codec works on the API value at the path of its field. What it does not know it passes on unchanged, so that a server that
answers something new is shown as it is instead of being misread.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError


def _same(value: t.Any) -> t.Any:
    return value


def _replace(value: t.Any, _current: t.Any) -> t.Any:
    return value


@dataclass(frozen=True)
class Codec:
    """``encode`` takes the option's value and the current API value, so that members that it does not know survive.

    ``members`` are what the API value must have, if it is an object; ``sanitize`` is for comparison alone; ``check`` raises
    ``InputError`` on a value that cannot be meant.
    """

    option_type: str
    decode: t.Callable[[t.Any], t.Any] = _same
    encode: t.Callable[[t.Any, t.Any], t.Any] = _replace
    members: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    sanitize: t.Callable[[t.Any], t.Any] | None = None
    check: t.Callable[[str, t.Any], None] | None = None
    partial: bool = False


def choice(literals: t.Mapping[str, str]) -> Codec:
    """Return the codec of an enumeration: option value to API literal."""
    names = {literal: name for name, literal in literals.items()}
    return Codec(
        "str",
        decode=lambda value: names.get(value, value),
        encode=lambda value, _current: literals.get(value, value),
        choices=tuple(literals),
    )


def switched_address(switch: str, text: str) -> Codec:
    """Return the codec of an address with a switch beside it: the empty string is off.

    Switching off leaves the address in place, as the administration does.
    """

    def decode(value: t.Any) -> t.Any:
        return value.get(text) or "" if value.get(switch) else ""

    def encode(value: t.Any, current: t.Any) -> t.Any:
        return {**current, switch: bool(value), text: value or current.get(text) or ""}

    return Codec("str", decode, encode, members=(switch, text), sanitize=lower_case, check=_check_address)


def _check_address(subject: str, value: t.Any) -> None:
    # A name without a domain is an address of the primary domain to the server.
    if value and not re.fullmatch(r"[^\s,;<>@]+(@[^\s,;<>@]+)?", str(value)):
        raise InputError(subject, f"{value!r} is not one e-mail address", "Write an address such as archive@example.com")


def lower_case(value: t.Any) -> t.Any:
    return value.strip().lower() if isinstance(value, str) else value


def _decode_time(value: t.Any) -> t.Any:
    hour, minute = value["hour"], value["min"]
    return f"{hour:02d}:{minute:02d}" if isinstance(hour, int) and isinstance(minute, int) else value


def _encode_time(value: t.Any, current: t.Any) -> t.Any:
    hour, minute = str(value).split(":")
    return {**current, "hour": int(hour), "min": int(minute)}


def _two_digits(value: t.Any) -> t.Any:
    match = re.fullmatch(r"(\d):(\d\d)", value) if isinstance(value, str) else None
    return f"0{value}" if match else value


def _check_time(subject: str, value: t.Any) -> None:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", str(value)):
        raise InputError(
            subject, f"{value!r} is not a time of day", 'Write it as "02:30", in quotes: YAML reads 22:30 without them as 1350'
        )


def _decode_switches(value: t.Any) -> t.Any:
    shaped = isinstance(value, list) and all(isinstance(entry, dict) and {"value", "enabled"} <= set(entry) for entry in value)
    return {entry["value"]: entry["enabled"] for entry in value} if shaped else value


def _encode_switches(value: t.Any, current: t.Any) -> t.Any:
    """Set the named switches and send all others as received: Kerio takes one that is missing from the list for switched on."""
    known = {entry["value"] for entry in current}
    unknown = sorted(set(value) - known)
    if unknown:
        raise InputError(
            ", ".join(unknown),
            f"the server does not know it; it knows {', '.join(sorted(known))}",
            "Correct the name or remove it",
        )
    return [{**entry, "enabled": value.get(entry["value"], entry["enabled"])} for entry in current]


BOOLEAN = Codec("bool")
INTEGER = Codec("int")
TEXT = Codec("str")
TIME_OF_DAY = Codec("str", _decode_time, _encode_time, members=("hour", "min"), sanitize=_two_digits, check=_check_time)
SWITCHES = Codec("dict", _decode_switches, _encode_switches, partial=True)
# The KId of another object; the option holds its name, which api.py looks up.
REFERENCE = Codec("str")
