# SPDX-License-Identifier: GPL-3.0-or-later
"""From API objects to options and back, by the rows of ``kinds``. Pure."""

from __future__ import annotations

import copy
import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field, Path, Source
from ansible_collections.mailops.kerio.plugins.module_utils.plan import PLAIN, Rule, same

Object = dict[str, t.Any]


# Members that a server may return empty because they are write-only, also those that newer servers will have.
_PASSWORD = re.compile("password|passphrase|secret", re.IGNORECASE)


class _Absent:
    """The server does not know the member."""


ABSENT = _Absent()


def read_options(fields: t.Iterable[Field], received: Object) -> Object:
    """Return the options that the server knows, secrets excepted: a member that it does not have is left out."""
    options = {}
    for field in fields:
        value = ABSENT if field.secret else read_option(field, received)
        if value is not ABSENT:
            options[field.option] = value
    return options


def read_option(field: Field, received: Object) -> t.Any:
    """Return one option's value, or ``ABSENT``."""
    value = _at(received, field.path)
    if value is ABSENT or value is None:
        return ABSENT
    if field.codec.members and not (isinstance(value, dict) and set(field.codec.members) <= set(value)):
        return ABSENT
    return field.codec.decode(value)


def write_options(fields: t.Iterable[Field], received: Object, values: t.Mapping[str, t.Any]) -> Object:
    """Return ``received`` with ``values`` set and everything else untouched, members unknown to us included."""
    changed = received
    for field in fields:
        if field.option in values:
            current = _at(changed, field.path)
            value = field.codec.encode(values[field.option], {} if current is ABSENT else current)
            changed = _put(changed, field.path, value)
    return changed


def sendable(source: Source, changed: Object, written: t.Collection[Path]) -> Object:
    """Return what may be sent: without read-only members, and without write-only ones unless they were ``written``.

    An empty password is left out wherever it stands: sending it would erase the one that is stored.
    """
    kept: Object = copy.deepcopy(without_empty_passwords(changed))
    for path in (*source.read_only, *(path for path in source.write_only if path not in written)):
        parent = _at(kept, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    return kept


def without_empty_passwords(value: t.Any) -> t.Any:
    """Return ``value`` without members that hold an empty password: sending one erases the password that is stored."""
    if isinstance(value, list):
        return [without_empty_passwords(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if not (_PASSWORD.search(name) and inner in ("", None))}
    return {name: without_empty_passwords(inner) for name, inner in kept.items()}


def check_options(where: str, fields: t.Iterable[Field], desired: t.Mapping[str, t.Any]) -> None:
    """Raise ``InputError`` on values that cannot be meant, before anything is asked of the server."""
    for field in fields:
        value = desired.get(field.option)
        if value is not None and field.codec.check is not None:
            field.codec.check(f"{where}: {field.option}", value)


def managed(where: str, fields: t.Iterable[Field], desired: t.Mapping[str, t.Any], current: Object) -> Object:
    """Return the declared options in the server's words; raise ``InputError`` on one that the server does not have.

    Declaring what such a server does anyway is no error, so that one inventory fits servers of several versions.
    """
    wanted = {}
    for field in fields:
        value = desired.get(field.option)
        if value is None:
            continue
        if not field.secret and field.option not in current:
            if field.when_absent is not None and same(field.when_absent, value):
                continue
            raise InputError(
                f"{where}: {field.option}",
                f"the server does not have this setting{f' (known to {field.known_to})' if field.known_to else ''}",
                "Remove the option for this server, or upgrade the server",
            )
        wanted[field.option] = _resolved(where, field, value, current)
    return wanted


def _resolved(where: str, field: Field, value: t.Any, current: Object) -> t.Any:
    resolve = field.codec.resolve
    return value if resolve is None else resolve(f"{where}: {field.option}", value, current[field.option])


def declarable(fields: t.Iterable[Field], options: Object) -> Object:
    """Return the options that a module would take as they are: not those whose value the codec could only pass on."""
    return {field.option: options[field.option] for field in fields if _fits(field, options.get(field.option))}


def _fits(field: Field, value: t.Any) -> bool:
    codec = field.codec
    types: dict[str, type] = {"bool": bool, "int": int, "str": str, "dict": dict, "list": list}
    # A boolean is a number to Python.
    fits = isinstance(value, types[codec.option_type]) and isinstance(value, bool) == (codec.option_type == "bool")
    if not fits or (codec.choices and value not in codec.choices):
        return False
    try:
        if codec.resolve is not None:
            codec.resolve(field.option, value, value)
        if codec.check is not None:
            codec.check(field.option, value)
    except InputError:
        return False
    return True


def rules(fields: t.Iterable[Field]) -> dict[str, Rule]:
    return {field.option: field.rule() for field in fields}


def differing(fields: t.Iterable[Field], current: Object, desired: t.Mapping[str, t.Any]) -> list[str]:
    """Return the options that are not as desired, secrets left aside, because they cannot be read."""
    by_option = rules(fields)
    return [
        name
        for name, value in sorted(desired.items())
        if not by_option.get(name, PLAIN).secret and not same(current.get(name), value, by_option.get(name, PLAIN))
    ]


def _at(value: t.Any, path: Path) -> t.Any:
    for member in path:
        if not isinstance(value, dict) or member not in value:
            return ABSENT
        value = value[member]
    return value


def _put(value: t.Any, path: Path, new: t.Any) -> t.Any:
    """Return a copy with ``new`` at ``path``; what lies beside the path is shared, and nothing is changed in place."""
    if not path:
        return new
    inner = value.get(path[0], {}) if isinstance(value, dict) else {}
    return {**(value if isinstance(value, dict) else {}), path[0]: _put(inner, path[1:], new)}
