# SPDX-License-Identifier: GPL-3.0-or-later
"""How the values of single keys are checked. Pure: no I/O.

A check takes a raw value and returns what the profile holds; it raises ``NotAllowedError``, never anything else, whatever comes.
``option_of`` is for those who have no profile: the options of a module, checked by the same.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import (
    DEFAULT_FOLDER_RULES,
    PLACEHOLDERS,
    USER_MODES,
    FolderRules,
    UserSelection,
    Window,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_rights import ARCHIVE
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

Check = t.Callable[[t.Any], t.Any]

WITH = "with_privilege"
LONGEST_NUMBER = 18  # digits; Python refuses to read thousands
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class NotAllowedError(Exception):
    """What is allowed instead of the value. ``key``: the nested key that is wrong; ``cause``: why, if not its value."""

    def __init__(self, allowed: str, key: str = "", cause: str = "", value: t.Any = None) -> None:
        super().__init__(allowed)
        self.key, self.cause, self.value = key, cause, value


def option_of(params: t.Mapping[str, t.Any], key: str, check: Check, unit: str = "") -> t.Any:
    """The checked value of an option of a module. Raises ``InputError``; ``unit`` stands behind what is allowed."""
    try:
        return check(params[key])
    except NotAllowedError as allowed:
        raise InputError(key, f"{params[key]} cannot be used", f"Give {allowed}{unit}") from None


def text(value: t.Any) -> str:
    """A line of text that UTF-8 can hold, without the blanks around it."""
    if not isinstance(value, str) or not value.strip() or any(character in value for character in "\0\r\n"):
        raise NotAllowedError("a text that is not empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotAllowedError("a text without halves of characters") from None
    return value.strip()


def names(value: t.Any) -> tuple[str, ...]:
    """A list of texts; one text stands for a list of one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise NotAllowedError("a list of names")
    return tuple(text(entry) for entry in values)


def flag(value: t.Any) -> bool:
    """A boolean, not a word for one."""
    if not isinstance(value, bool):
        raise NotAllowedError("true or false")
    return value


def one_of(*choices: str) -> Check:
    """A check for one of some words."""

    def check(value: t.Any) -> str:
        if value not in choices:
            raise NotAllowedError("one of " + ", ".join(choices))
        return str(value)

    return check


def whole(least: int, most: int) -> Check:
    """A check for a whole number, as a number or as a text (which is what templates make of it)."""

    def check(value: t.Any) -> int:
        number = _number(value)
        if number is None or not least <= number <= most:
            raise NotAllowedError(f"a whole number from {least} to {most}")
        return number

    return check


def _number(value: t.Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, int):
        return value
    digits = value.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= LONGEST_NUMBER else None


def size(least: int, most: int) -> Check:
    """A check for a number of bytes: plain, or with K, M or G (1024 of the next smaller)."""
    allowed = f"a number of bytes from {readable(least)} to {readable(most)}, as a whole number or with K, M or G behind it"

    def check(value: t.Any) -> int:
        unit = value.strip()[-1:].upper() if isinstance(value, str) else ""
        unit = unit if unit in UNITS else ""
        number = _number(value.strip()[:-1] if unit else value)
        if number is None or not least <= number * UNITS[unit] <= most:
            raise NotAllowedError(allowed)
        return number * UNITS[unit]

    return check


def readable(count: int) -> str:
    """A number of bytes in the largest unit that needs no fraction."""
    unit = next(unit for unit in ("G", "M", "K", "") if not unit or (count and count % UNITS[unit] == 0))
    return f"{count // UNITS[unit]}{unit}"


def nested(value: t.Any, keys: t.Mapping[str, Check], what: str) -> dict[str, t.Any]:
    """The checked values of a dictionary whose keys are known; keys without a value are left out."""
    allowed = f"{what} of " + ", ".join(keys)
    if not isinstance(value, dict):
        raise NotAllowedError(allowed)
    for key in value:
        if key not in keys:
            raise NotAllowedError("one of " + ", ".join(keys), str(key), "there is no such key")
    checked: dict[str, t.Any] = {}
    for key, entry in value.items():
        if entry is None:
            continue
        try:
            checked[key] = keys[key](entry)
        except NotAllowedError as error:
            inner = f"{key}.{error.key}" if error.key else key
            raise NotAllowedError(str(error), inner, error.cause, entry if error.value is None else error.value) from None
    return checked


def users(value: t.Any) -> UserSelection:
    """Which archive users a profile is for."""
    choices = f"one of all_with_address: true, except: [names], only: [names]; {WITH}: {ARCHIVE} alone or beside it"
    modes = {key: listed for key, listed in value.items() if key != WITH} if isinstance(value, dict) else {}
    if not isinstance(value, dict) or not value or len(modes) > 1 or not set(modes) <= set(USER_MODES):
        raise NotAllowedError(choices)
    if value.get(WITH, ARCHIVE) != ARCHIVE:
        raise NotAllowedError(ARCHIVE, WITH, value=value[WITH])
    privilege = ARCHIVE if WITH in value else ""
    mode, listed = next(iter(modes.items()), ("all_with_address", True))
    if mode == "all_with_address":
        if listed is not True:
            raise NotAllowedError(choices)
        return UserSelection(privilege=privilege)
    chosen = names(listed)
    if not chosen:
        raise NotAllowedError(f"{mode}: a list of at least one user name or address")
    return UserSelection(mode, frozenset(name.lower() for name in chosen), privilege)


def _folder_defaults(value: t.Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return DEFAULT_FOLDER_RULES if value else ()
    try:
        chosen = names(value)
    except NotAllowedError:
        chosen = ("",)
    if not set(chosen) <= set(DEFAULT_FOLDER_RULES):
        raise NotAllowedError("true, false, or a list of " + ", ".join(DEFAULT_FOLDER_RULES))
    return chosen


FOLDER_KEYS: dict[str, Check] = {"include": names, "exclude": names, "defaults": _folder_defaults}


def folders(value: t.Any) -> FolderRules:
    """Which folders are read."""
    return FolderRules(**nested(value, FOLDER_KEYS, "a dictionary"))


def folder_template(value: t.Any) -> str:
    """A folder path with placeholders."""
    template = text(value)
    bare = template
    for placeholder in PLACEHOLDERS:
        bare = bare.replace(placeholder, "x")
    if "{" in bare or "}" in bare or not all(part.strip() for part in template.split("/")):
        raise NotAllowedError("folder names joined by /, none of them empty; placeholders: " + " and ".join(PLACEHOLDERS))
    return template


def window(value: t.Any) -> Window:
    """A time of day from HH:MM to HH:MM; it may span midnight."""
    ends = value.split("-") if isinstance(value, str) else []
    minutes = [_minutes(end.strip()) for end in ends]
    if len(minutes) != 2 or minutes[0] is None or minutes[1] is None:
        raise NotAllowedError('a time of day as "22:00-06:00", hours from 00 to 23')
    if minutes[0] == minutes[1]:
        raise NotAllowedError("two different times, or leave window out to run at any time", cause="it opens when it closes")
    return Window(minutes[0], minutes[1])


def _minutes(clock: str) -> int | None:
    hours, _colon, rest = clock.partition(":")
    if not (len(hours) in (1, 2) and len(rest) == 2 and (hours + rest).isascii() and (hours + rest).isdecimal()):
        return None
    return int(hours) * 60 + int(rest) if int(hours) < 24 and int(rest) < 60 else None
