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
    unordered: bool = False
    elements: str = ""


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


def switched_number(switch: str, number: str) -> Codec:
    """Return the codec of a limit with a switch beside it: 0 is no limit. Switching off leaves the number in place."""

    def decode(value: t.Any) -> t.Any:
        return value.get(number) or 0 if value.get(switch) else 0

    def encode(value: t.Any, current: t.Any) -> t.Any:
        return {**current, switch: bool(value), number: value or current.get(number) or 0}

    return Codec("int", decode, encode, members=(switch, number))


def reference(switch: str, *inside: str) -> Codec:
    """Return the codec of an id with a switch beside it, in ``inside`` or beside the switch; the empty name is off.

    Switching off leaves the id in place. ``encode`` takes the id and name of the object, or the empty string.
    """

    def decode(value: t.Any) -> t.Any:
        holder = value.get(inside[0]) or {} if inside else value
        return holder.get("id") or "" if value.get(switch) else ""

    def encode(value: t.Any, current: t.Any) -> t.Any:
        holder = current.get(inside[0]) or {} if inside else current
        kept = {"id": holder.get("id") or "", "name": holder.get("name") or ""}
        new = {**holder, **kept, **(value or {})}
        return {**current, switch: bool(value), **({inside[0]: new} if inside else new)}

    return Codec("str", decode, encode, members=(switch, *inside))


UNITS = ("Bytes", "KiloBytes", "MegaBytes", "GigaBytes", "TeraBytes", "PetaBytes")


def _decode_size(value: t.Any) -> t.Any:
    """Return whole megabytes, at least 1 while there is a limit; 0 is none. The server changes the unit with the magnitude."""
    limit = value["limit"]
    shaped = isinstance(limit, dict) and limit.get("units") in UNITS and isinstance(limit.get("value"), int)
    if not shaped:
        return value
    size = limit["value"] << 10 * UNITS.index(limit["units"])
    return max(1, size >> 20) if value["isActive"] and size else 0


def _encode_size(value: t.Any, current: t.Any) -> t.Any:
    limit = {"value": value, "units": "MegaBytes"} if value else current.get("limit") or {"value": 0, "units": "MegaBytes"}
    return {**current, "isActive": bool(value), "limit": limit}


# Where a service listens: the option's word to the literal. The text beside AllAddresses is localised, so the literal decides.
_PLACES = {"all": "AllAddresses", "localhost": "Localhost"}
_WORDS = {literal: word for word, literal in _PLACES.items()}


def _decode_listeners(value: t.Any) -> t.Any:
    shaped = isinstance(value, list) and all(isinstance(entry, dict) and {"type", "port"} <= set(entry) for entry in value)
    if not shaped:
        return value
    return [{"address": _WORDS.get(entry["type"]) or entry.get("address"), "port": entry["port"]} for entry in value]


def _encode_listeners(value: t.Any, current: t.Any) -> t.Any:
    known = {str(word): entry for word, entry in zip((e["address"] for e in _decode_listeners(current)), current, strict=True)}
    return [
        {
            **known.get(entry["address"], {"type": _PLACES.get(entry["address"], "RealIpAddress"), "address": entry["address"]}),
            "port": entry["port"],
        }
        for entry in value
    ]


def lower_cases(value: t.Any) -> t.Any:
    return [lower_case(item) for item in value] if isinstance(value, list) else value


BOOLEAN = Codec("bool")
INTEGER = Codec("int")
TEXT = Codec("str")
TIME_OF_DAY = Codec("str", _decode_time, _encode_time, members=("hour", "min"), sanitize=_two_digits, check=_check_time)
SWITCHES = Codec("dict", _decode_switches, _encode_switches, partial=True)
SIZE_LIMIT = Codec("int", _decode_size, _encode_size, members=("isActive", "limit"))
LISTENERS = Codec("list", _decode_listeners, _encode_listeners, elements="dict", unordered=True)
NAMES = Codec("list", elements="str", sanitize=lower_cases, unordered=True)
# The KId of another object; the option holds its name, which api.py looks up.
REFERENCE = Codec("str")
