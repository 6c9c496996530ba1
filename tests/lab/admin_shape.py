# SPDX-License-Identifier: GPL-3.0-or-later
"""How an object looks to a client of this version, and how what a client sends is laid over what is stored (sheet 2)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from tests.lab.admin_rpc import bad_params, check_type
from tests.lab.switches import Switches
from tests.lab.users import Record

PER_DOMAIN_ARCHIVE = (
    "useRemoteArchiveAddress",
    "remoteArchiveAddress",
    "archiveLocalMessages",
    "archiveIncomingMessages",
    "archiveOutgoingMessages",
    "archiveBeforeFilter",
)
# Members that a version does not have yet, or not any more, as paths (sheet 2.1-2.3).
ABSENT: dict[str, dict[str, tuple[str, ...]]] = {
    "2013": {"Archive": ("isXmppEnabled", "isEnabledPerDomain"), "Domain": PER_DOMAIN_ARCHIVE},
    "9.0": {
        "Archive": ("isEnabledPerDomain",),
        "Domain": PER_DOMAIN_ARCHIVE,
        "AdvancedOptions": ("miscellaneous.allowUnsupportedActiveSyncDevices",),
    },
    "9.4": {"AdvancedOptions": ("miscellaneous.allowUnsupportedActiveSyncDevices",)},
    "10.0": {"AdvancedOptions": ("miscellaneous.allowUnsupportedActiveSyncDevices",)},
}
EXTRA: Record = {"futureOption": True, "futureOptions": {"isEnabled": False, "level": 3}}
WRITE_ONLY = {"password"}


@dataclasses.dataclass(frozen=True)
class Kind:
    """`like`: the shape of the API object. `read_only`: never taken from a client. `hidden`: the double's own members.

    `write_once`: taken by create alone. `enums`: path of a member -> the values it may have.
    """

    name: str
    like: Record
    read_only: frozenset[str] = frozenset({"id"})
    hidden: frozenset[str] = frozenset()
    write_once: frozenset[str] = frozenset()
    enums: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def copied(value: Any) -> Any:
    """A deep copy of what JSON can hold, for lists of thousands of records."""
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return [copied(v) for v in value] if isinstance(value, list) else value


@functools.cache
def paths(text: str) -> tuple[str, ...]:
    """The switch `absent_members`: `Kind.member[.member]`, comma-separated."""
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def member_paths(like: Record) -> Iterator[str]:
    for member, part in like.items():
        yield member
        if isinstance(part, dict):
            yield from (f"{member}.{path}" for path in member_paths(part))


def _absent(kind: Kind, how: Switches) -> tuple[str, ...]:
    chosen = [path.partition(".") for path in paths(how.absent_members)]
    return (*ABSENT[how.profile].get(kind.name, ()), *(path for name, _, path in chosen if name == kind.name))


def _drop(record: Record, path: str) -> None:
    *parents, last = path.split(".")
    for name in parents:
        record = record.get(name, {})
    record.pop(last, None)


def _hide_secrets(value: Record, how: Switches) -> None:
    for member in list(value):
        if member in WRITE_ONLY and isinstance(value[member], str):
            if how.write_only == "absent":
                del value[member]
            else:
                value[member] = ""
        elif isinstance(value[member], dict):
            _hide_secrets(value[member], how)


def shown(kind: Kind, record: Record, how: Switches) -> Record:
    """A copy as a get returns it: no secrets, the members of this version, unknown extra ones by switch."""
    value = {k: copied(v) for k, v in record.items() if k not in kind.hidden}
    _hide_secrets(value, how)
    for path in _absent(kind, how):
        _drop(value, path)
    if how.extra_members:
        value = {**copied(EXTRA), **value}
    else:
        for member in EXTRA:
            value.pop(member, None)
    if how.size_units == "largest":
        _enlarge_units(value)
    return value


UNITS = ("Bytes", "KiloBytes", "MegaBytes", "GigaBytes", "TeraBytes", "PetaBytes")


def _enlarge_units(value: Record) -> None:
    """The same sizes in the largest unit in which they are whole numbers."""
    if set(value) == {"value", "units"}:
        while value["value"] and value["value"] % 1024 == 0 and value["units"] != UNITS[-1]:
            value.update(value=value["value"] // 1024, units=UNITS[UNITS.index(value["units"]) + 1])
    for part in value.values():
        if isinstance(part, dict):
            _enlarge_units(part)


def shape(kind: Kind, how: Switches) -> Record:
    """The members that this version knows, with values that tell their type."""
    like = copied(kind.like)
    for path in _absent(kind, how):
        _drop(like, path)
    return {**like, **EXTRA} if how.extra_members else like


def _zero(like: Any) -> Any:
    """What a C++ structure holds when nobody assigned it (an enum: its first value, see `_first_values`)."""
    if isinstance(like, dict):
        return {k: UNITS[0] if k == "units" else _zero(v) for k, v in like.items()}
    return type(like)()


def _struct(old: Any, new: Record, like: Record, how: Switches, path: str) -> Record:
    """A nested structure of a set: it must be complete; write-only members may be left out and stay."""
    result: Record = {}
    for member, kind in like.items():
        if member in WRITE_ONLY:
            result[member] = _password(old.get(member, ""), new, how)
        elif member not in new:
            if how.incomplete_struct == "reject":
                raise bad_params(f"{path}.{member} is missing")
            result[member] = _zero(kind)
        elif isinstance(kind, dict):
            result[member] = _struct(old.get(member, {}), new[member], kind, how, f"{path}.{member}")
        else:
            result[member] = new[member]
    return {**old, **result}


def _password(old: str, new: Record, how: Switches) -> str:
    """Absent keeps; empty erases (unless the switch says otherwise)."""
    sent = new.get("password")
    if sent is None or (sent == "" and how.empty_password == "keeps"):
        return old
    return str(sent)


def _unknown(new: Any, like: Any, path: str) -> Iterator[str]:
    """Members at any depth that the shape does not have."""
    if isinstance(new, dict) and isinstance(like, dict):
        for member, value in new.items():
            if member in like:
                yield from _unknown(value, like[member], f"{path}{member}.")
            else:
                yield path + member
    elif isinstance(new, list) and isinstance(like, list) and like:
        for item in new:
            yield from _unknown(item, like[0], path)


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """What stands at a path, through lists; nothing where it is not there."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _check_values(kind: Kind, new: Any) -> None:
    for path, allowed in kind.enums.items():
        if any(value not in allowed for value in _at(new, path.split("."))):
            raise bad_params(f"{path} is none of its values")
    _check_units(new)


def _check_units(new: Any) -> None:
    if isinstance(new, list):
        for item in new:
            _check_units(item)
    elif isinstance(new, dict):
        if "units" in new and new["units"] not in UNITS:
            raise bad_params("units")
        for part in new.values():
            _check_units(part)


def _judge_members(kind: Kind, new: Record, like: Record, how: Switches) -> None:
    check_type(new, like, kind.name)
    unknown = sorted(_unknown(new, like, ""))
    if unknown and how.unknown_members == "reject":
        raise bad_params(f"unknown member {unknown[0]}")
    sent_read_only = sorted(set(new) & (kind.read_only | kind.write_once))
    if sent_read_only and how.read_only_members == "reject":
        raise bad_params(f"member {sent_read_only[0]} is read-only")
    _check_values(kind, new)


def creating(kind: Kind) -> Kind:
    """The same object in a create: what can be written once can be written now."""
    return dataclasses.replace(kind, write_once=frozenset())


def merged(kind: Kind, old: Record, new: Record, how: Switches) -> Record:
    """The stored object after a sparse set; raises -32602 where the switches say so."""
    like = shape(kind, how)
    _judge_members(kind, new, like, how)
    result: Record = copied(old)
    for member in (m for m in like if m in new and m not in kind.read_only | kind.write_once):
        if member in WRITE_ONLY:
            result[member] = _password(old.get(member, ""), new, how)
        elif isinstance(like[member], dict):
            result[member] = _struct(old.get(member, {}), new[member], like[member], how, member)
        else:
            result[member] = copied(new[member])
    _first_values(kind, result)
    return result


def _first_values(kind: Kind, record: Record) -> None:
    for path, allowed in kind.enums.items():
        *parents, last = path.split(".")
        for holder in _at(record, parents):
            if isinstance(holder, dict) and holder.get(last) == "":
                holder[last] = allowed[0]


def merged_options(kind: Kind, old: Record, new: Record, how: Switches) -> Record:
    """As `merged`, for the `options` of server-wide settings, which may have to be complete (switch)."""
    if how.partial_options == "reject":
        lacking = sorted(set(shape(kind, how)) - set(new) - kind.read_only - WRITE_ONLY)
        if lacking:
            raise bad_params(f"options.{lacking[0]} is missing")
    return merged(kind, old, new, how)
