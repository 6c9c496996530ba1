# SPDX-License-Identifier: GPL-3.0-or-later
"""How an option's value and the API's value become each other. Pure.

A codec works on the API value at the path of its field. What it does not know it passes on unchanged, so that a server that
answers something new is shown as it is instead of being misread.
"""

from __future__ import annotations

import ipaddress
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
    ``InputError`` on a value that cannot be meant. ``resolve`` takes what is declared and what the server has, both as options,
    and returns what is declared in the server's words; it raises ``InputError`` on a name that the server does not know.
    """

    option_type: str
    decode: t.Callable[[t.Any], t.Any] = _same
    encode: t.Callable[[t.Any, t.Any], t.Any] = _replace
    members: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    sanitize: t.Callable[[t.Any], t.Any] | None = None
    check: t.Callable[[str, t.Any], None] | None = None
    resolve: t.Callable[[str, t.Any, t.Any], t.Any] | None = None
    partial: bool = False
    unordered: bool = False
    elements: str = ""


def choice(literals: t.Mapping[str, str]) -> Codec:
    """Return the codec of an enumeration: option value to API literal."""
    names = {literal: name for name, literal in literals.items()}
    return Codec(
        "str",
        decode=lambda value: names.get(value, value) if isinstance(value, str) else value,
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


def _check_positive(subject: str, value: t.Any) -> None:
    if value < 1:
        raise InputError(subject, f"{value} is not a positive number", "Write 1 or more")


def _check_limit(subject: str, value: t.Any) -> None:
    if value < 0:
        raise InputError(subject, f"{value} is negative", "Write 0 for no limit")


def _decode_switches(value: t.Any) -> t.Any:
    shaped = isinstance(value, list) and all(isinstance(entry, dict) and {"value", "enabled"} <= set(entry) for entry in value)
    return {str(entry["value"]): entry["enabled"] for entry in value} if shaped else value


def _encode_switches(value: t.Any, current: t.Any) -> t.Any:
    """Set the named switches and send all others as received: Kerio takes one that is missing from the list for switched on."""
    return [{**entry, "enabled": value.get(str(entry["value"]), entry["enabled"])} for entry in current]


def _check_switches(subject: str, value: t.Any) -> None:
    names = [str(name).lower() for name in value]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(subject, f"{', '.join(twice)} is there twice", "Remove one of the two")
    odd = sorted(f"{name}: {on!r}" for name, on in value.items() if not isinstance(on, bool))
    if odd:
        raise InputError(subject, f"{', '.join(odd)} is neither true nor false", "Write true or false, without quotes")


def _resolve_switches(subject: str, value: t.Any, current: t.Any) -> t.Any:
    """Return all switches as they shall be, under the server's names: reading back proves that no other one moved."""
    _refuse_unknown_shape(subject, isinstance(current, dict))
    names = {name.lower(): name for name in current}
    unknown = sorted(str(name) for name in value if str(name).lower() not in names)
    if unknown:
        raise InputError(
            f"{subject}: {', '.join(unknown)}",
            f"the server does not know it; it knows {', '.join(sorted(current)) or 'none at all'}",
            "Correct the name or remove it",
        )
    return {**current, **{names[str(name).lower()]: on for name, on in value.items()}}


def _refuse_unknown_shape(subject: str, known: bool) -> None:
    if not known:
        raise InputError(
            subject,
            "the server returns it in a shape that is not known",
            "Remove the option for this server, and report its version",
        )


def switched_number(switch: str, number: str) -> Codec:
    """Return the codec of a limit with a switch beside it: 0 is no limit. Switching off leaves the number in place.

    A limit that is on and is no positive number is passed on as it is: whether it means none or all is not known.
    """

    def decode(value: t.Any) -> t.Any:
        limit = value[number]
        return (limit if isinstance(limit, int) and limit > 0 else value) if value[switch] else 0

    def encode(value: t.Any, current: t.Any) -> t.Any:
        return {**current, switch: bool(value), number: value or current.get(number) or 0}

    return Codec("int", decode, encode, members=(switch, number), check=_check_limit)


def reference(switch: str, *inside: str) -> Codec:
    """Return the codec of an id with a switch beside it, in ``inside`` or beside the switch; the empty name is off.

    Switching off leaves the id in place. One that is on without an id is passed on as it is. ``encode`` takes the id and name of
    the object, or the empty string; id and name are always sent, because the server wants such structures complete.
    """

    def holder_of(value: t.Any) -> t.Any:
        holder = value.get(inside[0]) if inside else value
        return holder if isinstance(holder, dict) else {}

    def decode(value: t.Any) -> t.Any:
        found = holder_of(value).get("id")
        return (found if isinstance(found, str) and found else value) if value[switch] else ""

    def encode(value: t.Any, current: t.Any) -> t.Any:
        holder = holder_of(current)
        kept = {"id": holder.get("id") or "", "name": holder.get("name") or ""}
        new = {**holder, **kept, **(value or {})}
        return {**current, **({inside[0]: new} if inside else new), switch: bool(value)}

    return Codec("str", decode, encode, members=(switch, *inside))


UNITS = ("Bytes", "KiloBytes", "MegaBytes", "GigaBytes", "TeraBytes", "PetaBytes")


def _decode_size(value: t.Any) -> t.Any:
    """Return whole megabytes, at least 1 while there is a limit; 0 is none. The server changes the unit with the magnitude."""
    if not value["isActive"]:
        return 0
    limit = value["limit"]
    shaped = isinstance(limit, dict) and limit.get("units") in UNITS and isinstance(limit.get("value"), int)
    if not (shaped and limit["value"] > 0):
        return value
    return max(1, (limit["value"] << 10 * UNITS.index(limit["units"])) >> 20)


def _encode_size(value: t.Any, current: t.Any) -> t.Any:
    limit = {"value": value, "units": "MegaBytes"} if value else current.get("limit") or {"value": 0, "units": "MegaBytes"}
    return {**current, "isActive": bool(value), "limit": limit}


# Where a service listens: the option's word to the literal. The text beside AllAddresses is localised, so the literal decides.
_PLACES = {"all": "AllAddresses", "localhost": "Localhost"}
_WORDS = {literal: word for word, literal in _PLACES.items()}


def _place(entry: t.Any) -> str | None:
    """Return the option's word for where an entry listens, or ``None`` when it has no such shape."""
    kind, address, port = (entry.get(name) for name in ("type", "address", "port")) if isinstance(entry, dict) else (None,) * 3
    if not isinstance(kind, str) or not isinstance(port, int):
        return None
    if kind in _WORDS:
        return _WORDS[kind]
    # Of a type that is new to us the text may be localised as well.
    return _address(address) or (address if kind == "RealIpAddress" and isinstance(address, str) else kind)


def _address(text: t.Any) -> str:
    """Return an IP address in the one spelling that is compared, or the empty string when it is none."""
    try:
        return str(ipaddress.ip_address(text.strip())) if isinstance(text, str) else ""
    except ValueError:
        return ""


def _decode_listeners(value: t.Any) -> t.Any:
    if not isinstance(value, list) or None in map(_place, value):
        return value
    return [{"address": _place(entry), "port": entry["port"]} for entry in value]


def _encode_listeners(value: t.Any, current: t.Any) -> t.Any:
    """Keep an entry as received where one fits, else one of the same place, with its type and text, on another port."""
    received = [(_place(entry), entry) for entry in current or ()]
    at_place = dict(reversed(received))
    exact = {(place, entry["port"]): entry for place, entry in received if place}
    listeners = []
    for place, port in ((entry["address"], entry["port"]) for entry in value):
        fresh = {"type": _PLACES.get(place, "RealIpAddress"), "address": "" if place in _PLACES else place}
        listeners.append({**(exact.get((place, port)) or at_place.get(place) or fresh), "port": port})
    return listeners


def _sanitize_listeners(value: t.Any) -> t.Any:
    shaped = isinstance(value, list) and all(isinstance(entry, dict) and {"address", "port"} == set(entry) for entry in value)
    return [{**entry, "address": _spelling(entry["address"])} for entry in value] if shaped else value


def _spelling(place: t.Any) -> t.Any:
    return _address(place) or lower_case(place)


def _check_listeners(subject: str, value: t.Any) -> None:
    for entry in value:
        if not 1 <= entry["port"] <= 65535:
            raise InputError(subject, f"{entry['port']} is not a port", "Write a number from 1 to 65535")
    places = [(_spelling(entry["address"]), entry["port"]) for entry in value]
    twice = sorted({f"{place} port {port}" for place, port in places if places.count((place, port)) > 1})
    if twice:
        raise InputError(subject, f"{', '.join(twice)} is there twice", "Remove one of the two")
    if not value:
        raise InputError(
            subject, "a service without a listener serves nobody", "Declare running false and start_up manual instead"
        )


def _resolve_listeners(subject: str, value: t.Any, current: t.Any) -> t.Any:
    _refuse_unknown_shape(subject, _sanitize_listeners(current) is not current)
    known = {**{place: place for place in _PLACES}, **{_spelling(entry["address"]): entry["address"] for entry in current}}
    resolved = [{**entry, "address": known.get(_spelling(entry["address"])) or _address(entry["address"])} for entry in value]
    for entry, found in zip(value, resolved, strict=True):
        if not found["address"]:
            raise InputError(
                f"{subject}: {entry['address']}",
                "it is no IP address, and the server has no listener of this name",
                "Write all, localhost, or an IP address of the server",
            )
    return resolved


def lower_cases(value: t.Any) -> t.Any:
    return [lower_case(item) for item in value] if isinstance(value, list) else value


BOOLEAN = Codec("bool")
POSITIVE = Codec("int", check=_check_positive)
TEXT = Codec("str")
TIME_OF_DAY = Codec("str", _decode_time, _encode_time, members=("hour", "min"), sanitize=_two_digits, check=_check_time)
SWITCHES = Codec("dict", _decode_switches, _encode_switches, check=_check_switches, resolve=_resolve_switches, partial=True)
SIZE_LIMIT = Codec("int", _decode_size, _encode_size, members=("isActive", "limit"), check=_check_limit)
LISTENERS = Codec(
    "list",
    _decode_listeners,
    _encode_listeners,
    sanitize=_sanitize_listeners,
    check=_check_listeners,
    resolve=_resolve_listeners,
    elements="dict",
    unordered=True,
)
NAMES = Codec("list", elements="str", sanitize=lower_cases, unordered=True)
# The KId of another object; the option holds its name, which api.py looks up.
REFERENCE = Codec("str")
