# SPDX-License-Identifier: GPL-3.0-or-later
"""How an object looks to a client of this version, and how what a client sends is laid over what is stored (sheet 2)."""

from __future__ import annotations

import copy
import dataclasses
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
    """`like`: the shape of the API object. `read_only`: never taken from a client. `hidden`: the double's own members."""

    name: str
    like: Record
    read_only: frozenset[str] = frozenset({"id"})
    hidden: frozenset[str] = frozenset()
    structs_whole: bool = True


def _absent(kind: Kind, how: Switches) -> tuple[str, ...]:
    return ABSENT[how.profile].get(kind.name, ())


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
    value = {k: copy.deepcopy(v) for k, v in record.items() if k not in kind.hidden}
    _hide_secrets(value, how)
    for path in _absent(kind, how):
        _drop(value, path)
    if how.extra_members:
        value = {**copy.deepcopy(EXTRA), **value}
    else:
        for member in EXTRA:
            value.pop(member, None)
    return value


def shape(kind: Kind, how: Switches) -> Record:
    """The members that this version knows, with values that tell their type."""
    like = copy.deepcopy(kind.like)
    for path in _absent(kind, how):
        _drop(like, path)
    return {**like, **EXTRA} if how.extra_members else like


def _zero(like: Any) -> Any:
    """What a C++ structure holds when nobody assigned it."""
    if isinstance(like, dict):
        return {k: _zero(v) for k, v in like.items()}
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


def _judge_members(kind: Kind, new: Record, like: Record, how: Switches) -> None:
    check_type(new, like, kind.name)
    unknown = sorted(set(new) - set(like))
    if unknown and how.unknown_members == "reject":
        raise bad_params(f"unknown member {unknown[0]}")
    sent_read_only = sorted(set(new) & kind.read_only)
    if sent_read_only and how.read_only_members == "reject":
        raise bad_params(f"member {sent_read_only[0]} is read-only")


def merged(kind: Kind, old: Record, new: Record, how: Switches) -> Record:
    """The stored object after a sparse set; raises -32602 where the switches say so."""
    like = shape(kind, how)
    _judge_members(kind, new, like, how)
    result = copy.deepcopy(old)
    for member in (m for m in like if m in new and m not in kind.read_only):
        if member in WRITE_ONLY:
            result[member] = _password(old.get(member, ""), new, how)
        elif isinstance(like[member], dict):
            result[member] = _struct(old.get(member, {}), new[member], like[member], how, member)
        else:
            result[member] = copy.deepcopy(new[member])
    return result


def merged_options(kind: Kind, old: Record, new: Record, how: Switches) -> Record:
    """As `merged`, for the `options` of server-wide settings, which may have to be complete (switch)."""
    if how.partial_options == "reject":
        lacking = sorted(set(shape(kind, how)) - set(new) - kind.read_only - WRITE_ONLY)
        if lacking:
            raise bad_params(f"options.{lacking[0]} is missing")
    return merged(kind, old, new, how)
