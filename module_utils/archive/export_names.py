# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of an export that every file system takes: Windows and macOS too, whatever their case and Unicode forms. Pure: no I/O.

``docs/export.md`` states the rules.
"""

from __future__ import annotations

import hashlib
import re
import time
import typing as t
import unicodedata

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout

NAME_BYTES = 100  # one name; with its mark and the ending of a file it stays below 143 bytes, the least that is in use
PATH_UNITS = 150  # the path of a folder, in UTF-16 units: with the name of a message and a dest of 40 it is below 260
MARK = layout.SHORTENED
LATEST = 253_402_300_799  # the end of the year 9999
_HASH_DIGITS = 16

# "%" itself, what Windows refuses, control characters, line separators, halves of UTF-16 pairs.
_EVERYWHERE = re.compile('[%<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_ENDS = re.compile(r"\A[ .~]|[ .]+\Z")
# What Windows takes for a device, whatever follows the first dot; the last three digits are superscripts.
_DEVICE = re.compile("(?:CON|PRN|AUX|NUL|CONIN\\$|CONOUT\\$|(?:COM|LPT)[0-9\xb9\xb2\xb3])\\s*(?:\\.|\\Z)", re.IGNORECASE)
_OUR_ENDING = re.compile(r"\.(?=(?:eml|mbox)\Z)", re.IGNORECASE)

Parts = tuple[str, ...]


def _mark(text: str) -> str:
    return MARK + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]


def _cut(name: str, mark: str) -> str:
    """The beginning of an escaped name, and the mark. No cut leaves half a character or half an escape."""
    room = NAME_BYTES - len(mark)
    return re.sub("%[0-9A-F]?\\Z", "", name.encode()[:room].decode("utf-8", "ignore")) + mark


def safe(component: str) -> str:
    """The file name of one user or folder name: itself, but for what some file system refuses or takes for something else.

    Two different names never give the same one; ``layout.unescape`` gives the name back unless it was cut. Names that only some
    file systems take for the same are kept apart by ``Names``.
    """
    name = _EVERYWHERE.sub(lambda match: layout.percent(match[0]), component)
    name = _ENDS.sub(lambda match: layout.percent(match[0]), name)
    name = _OUR_ENDING.sub("%2E", name)
    if _DEVICE.match(name) or name.casefold() in layout.MAILDIR_PARTS:
        name = layout.percent(name[0]) + name[1:]
    elif not name:
        name = "%"
    return name if len(name.encode()) <= NAME_BYTES else _cut(name, _mark(component))


def alike(name: str) -> str:
    """What two names have in common that some file system takes for one: case, composed characters, characters unseen."""
    seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", seen).upper().casefold())


class Names:
    """The directories of folders, relative to dest. A folder is a tree of the archive and its true name in parts.

    What an earlier export named keeps its name (``know``); of new folders that are alike, the first keeps the plain one.
    """

    def __init__(self, reserved: t.Iterable[str]) -> None:
        """``reserved``: names at the top that are not for users."""
        self._taken = {("", alike(name)) for name in reserved}
        self._paths: dict[tuple[str, Parts], str] = {}

    def know(self, tree: str, parts: Parts, path: str) -> None:
        """A folder that has its path, and with it its parents."""
        names = path.split("/")
        self._paths[tree, parts] = path
        straight = len(names) == len(parts) + 1
        for count in range(1, len(names) + 1):
            self._taken.add(("/".join(names[: count - 1]), alike(names[count - 1])))
            if straight:
                self._paths.setdefault((tree, parts[: count - 1]), "/".join(names[:count]))
        self._paths.setdefault((tree, ()), names[0])

    def path(self, tree: str, user: str, parts: Parts) -> str:
        """The path of a folder. A path that would be too long becomes one name below that of the user."""
        found = self._paths.get((tree, parts))
        if found is None:
            parent = self.path(tree, user, parts[:-1]) if parts else ""
            found = self._new(parent, parts[-1] if parts else user)
            if len(found.encode("utf-16-le")) // 2 > PATH_UNITS and parts:
                found = f"{self.path(tree, user, ())}/{_cut('', _mark(repr(parts)))}"
            self._paths[tree, parts] = found
        return found

    def _new(self, parent: str, component: str) -> str:
        name, told = safe(component), component
        while (parent, alike(name)) in self._taken:
            name = _cut(name.partition(MARK)[0], _mark(told))
            told += "\0"
        self._taken.add((parent, alike(name)))
        return f"{parent}/{name}" if parent else name


def moment(date: int) -> str:
    """An INTERNALDATE (epoch seconds) as ISO 8601 in UTC; the number itself for one before 1970 or after 9999."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(date)) if 0 <= date <= LATEST else str(date)


def eml_name(date: int, digest: bytes, *, full: bool = False) -> str:
    """``20260131T120000Z_<digits of the digest>.eml``; all 64 of them where ``full``."""
    stamp = re.sub("[-:]", "", moment(max(0, date)))
    return f"{stamp}_{_digits(digest, full)}.eml"


def maildir_name(date: int, digest: bytes, size: int, flags: str, separator: str, *, full: bool = False) -> str:
    """The name below ``cur``; ``flags`` are Maildir letters, ``separator`` stands before ``2,``."""
    return f"{max(0, date)}.{_digits(digest, full)}.archive,S={size}{separator}2,{flags}"


def _digits(digest: bytes, full: bool) -> str:
    return digest.hex() if full else digest.hex()[:_HASH_DIGITS]
