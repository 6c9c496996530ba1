# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of archive format 1: objects, user trees, folders, placements. Pure: no I/O. ``docs/format-v1.md`` states every rule."""

from __future__ import annotations

import functools
import hashlib
import re
import typing as t

FORMAT = "kerio-archive 1"
FORMAT_FILE = "format"
CATALOG_FILE = "catalog.sqlite3"
LOCK_FILE = "lock"
DIRTY_FILE = "dirty"
CLOCK_FILE = "dirty.clock"
OBJECTS = "objects"
MAIL = "mail"
JOBS = "jobs"
REPORTS = "reports"
STAGING = "staging"
EVIDENCE = "evidence"
LEDGER = frozenset({"entries", "hashes", "checkpoint"})  # the files in it
BACKUP = "backup"  # made with the first snapshot; the first of all names, so that every tool copies it before the rest
SKELETON = (OBJECTS, MAIL, JOBS, REPORTS, STAGING, EVIDENCE)
DIRECTORIES = 256  # of objects: one for each first byte of a digest
MAILDIR_PARTS = ("cur", "new", "tmp")
INBOX = "INBOX"  # every tree has it, with or without mail

NAME_BYTES = 200  # an escaped name that is longer is cut; with its mark it stays below the 255 bytes of every file system
SHORTENED = "%~"
_HASH_DIGITS = 16

FLAG_NAMES = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen"}
FLAG_LETTERS = {name.lower(): letter for letter, name in FLAG_NAMES.items()}
_KNOWN_LETTERS = "DFPRST"

# "%" itself, "/" and control characters (C1 and the line separators included) everywhere; surrogates stand for bytes
# that are not UTF-8 (surrogateescape) or for broken UTF-16 names.
_EVERYWHERE = re.compile("[%/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TRAILING_BLANKS = re.compile(r" +\Z")
_ESCAPED = re.compile("(?:%[0-9A-F]{2})+")
_OBJECT = re.compile(r"([0-9a-f]{64})(?:\.[1-9][0-9]*)?\Z")
_PLACEMENT = re.compile(r"(\d+)\.([0-9a-f]{64})_(0)\.a,S=(\d+),W=(\d+)(?::2,([A-Za-z]*))?\Z")
# What ``staged_file`` and ``staged_link`` call things.
_STAGED = re.compile(rf"{STAGING}/[0-9]+\.(?:[0-9]+\.[0-9]+|[0-9]+\.[0-9a-f]{{64}}_[0-9]\.a,[^/]*)\Z")


def percent(text: str) -> str:
    """``%`` and two hexadecimal digits for each byte of the UTF-8 form."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def escape(component: str) -> str:
    """The directory name of one user or folder name: itself, but for what a file system or Dovecot would take for something else.

    Two different names never give the same directory name; ``unescape`` gives the name back unless it had to be cut.
    """
    name = _EVERYWHERE.sub(lambda match: percent(match[0]), component)
    name = _TRAILING_BLANKS.sub(lambda match: percent(match[0]), name)
    if name[:1] in (".", "~", " ") or name in MAILDIR_PARTS:
        name = percent(name[0]) + name[1:]
    elif not name:
        name = "%"
    raw = name.encode()
    if len(raw) <= NAME_BYTES:
        return name
    # A cut may not leave half a character, nor half an escape, which would read as another one.
    kept = re.sub("%[0-9A-F]?\\Z", "", raw[:NAME_BYTES].decode("utf-8", "ignore"))
    digest = hashlib.sha256(component.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{kept}{SHORTENED}{digest}"


def unescape(name: str) -> str | None:
    """The true name of a directory that ``escape`` named; None when it was cut, so that only the catalog has the true name."""
    if SHORTENED in name:
        return None
    if name == "%":
        return ""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass"), name)


def object_path(digest: bytes, copy: int = 0) -> str:
    """Where an object lies, relative to the archive root; ``copy`` counts the inodes that a link limit made necessary."""
    name = digest.hex()
    return f"{OBJECTS}/{name[:2]}/{name}.{copy}" if copy else f"{OBJECTS}/{name[:2]}/{name}"


def object_dir(number: int) -> str:
    """The directory of the objects whose digests begin with this byte, relative to the archive root."""
    return f"{OBJECTS}/{number:02x}"


def digest_of(name: str) -> bytes | None:
    """The digest that names one of the files of an object; None for any other file."""
    match = _OBJECT.match(name)
    return None if match is None else bytes.fromhex(match[1])


def folder_dir(user: str, parts: t.Sequence[str]) -> str:
    """A folder in the tree of a user, relative to the archive root; no ``parts``: the user's top folder."""
    return "/".join((MAIL, escape(user), *map(escape, parts)))


def flag_letters(flags: t.Iterable[str]) -> str:
    r"""The Maildir letters of IMAP flags, sorted. ``\Deleted`` and flags without a letter are left out."""
    return _letters(tuple(flags))


@functools.lru_cache(maxsize=4096)
def _letters(flags: tuple[str, ...]) -> str:
    return "".join(sorted({letter for flag in flags if (letter := FLAG_LETTERS.get(flag.lower()))}))


def placement_name(internaldate: int, digest: bytes, size: int, vsize: int, flags: str) -> str:
    """The file name of a placement; ``flags`` are Maildir letters (``flag_letters``). Dates before 1970 count as 0 here."""
    letters = _known_letters(flags)
    return f"{max(0, internaldate)}.{digest.hex()}_0.a,S={size},W={vsize}:2,{letters}"


@functools.lru_cache(maxsize=256)
def _known_letters(flags: str) -> str:
    return "".join(sorted(set(flags) & set(_KNOWN_LETTERS)))


def staged_file(process: int, number: int, instant: int) -> str:
    """What a process calls a new file until it is whole, relative to the archive root. ``number`` and ``instant`` make it new."""
    return f"{STAGING}/{process}.{number}.{instant}"


def staged_link(process: int, name: str) -> str:
    """What a process calls the link that is about to take the place of a placement."""
    return f"{STAGING}/{process}.{name}"


def is_staged(path: str) -> bool:
    """Whether the archive itself left this file in staging; what somebody else put there has another name."""
    return _STAGED.match(path) is not None


def base_name(name: str) -> str:
    """A placement's name without its flags: what identifies it."""
    return name.partition(":2,")[0]


class PlacementName(t.NamedTuple):
    """The parts of a placement's name."""

    internaldate: int
    digest: bytes
    size: int
    vsize: int
    flags: str


def parse_placement_name(name: str) -> PlacementName | None:
    """The parts of a placement's name, None for any other file."""
    match = _PLACEMENT.match(name)
    if match is None:
        return None
    return PlacementName(int(match[1]), bytes.fromhex(match[2]), int(match[4]), int(match[5]), match[6] or "")
