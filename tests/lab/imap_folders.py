# SPDX-License-Identifier: GPL-3.0-or-later
"""Kerio's looks of LIST and SELECT answers (sheet 3.3), made from Dovecot's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.lab import imap_names
from tests.lab.imap_wire import LITERAL, tokens

if TYPE_CHECKING:
    from tests.lab.switches import Switches

FLAGS = rb"\Deleted \Seen \Answered \Draft \Flagged $MDNSent $Forwarded $AutoJunk $AutoNotJunk $Junk $NotJunk"
GROUPWARE = ("Contacts", "Calendar", "Tasks", "Notes", "Journal", "Suggested Contacts")
PUBLIC = "Public Folders"
ARCHIVE_OF_A_MONTH = "#archive/2005-Jan"
HIDDEN_ATTRIBUTES = {b"\\marked", b"\\unmarked"}
CHILD_ATTRIBUTES = {b"\\haschildren", b"\\hasnochildren"}
LISTED = re.compile(rb'\* LIST \(([^)]*)\) ("/"|NIL) (.*)\r\n\Z', re.DOTALL)


def wanted(switches: Switches) -> list[str]:
    """Folders that must exist in every mailbox for the switches' sake."""
    chosen = {
        GROUPWARE: switches.groupware_folders,
        (f"{PUBLIC}/Announcements",): switches.public_folders,
        (ARCHIVE_OF_A_MONTH,): switches.archive_folders,
    }
    return [name for names, there in chosen.items() if there for name in names]


def rewrite_list(units: list[bytes], arguments: list[bytes], switches: Switches) -> list[bytes]:
    """Attributes as Kerio has them, names always quoted, INBOX first, `Public Folders` in place."""
    special = bool(arguments) and arguments[0].upper().startswith(b"(") and b"SPECIAL-USE" in arguments[0].upper()
    hidden = HIDDEN_ATTRIBUTES | (set() if switches.list_children else CHILD_ATTRIBUTES)
    found: dict[str, bytes] = {}
    others = []
    for unit in units:
        match = LISTED.match(unit)
        if match is None:
            others.append(unit)
            continue
        name = _name(match[3])
        found[name] = _line(name, [word for word in match[1].split() if word.lower() not in hidden])
    patterns = [] if special and len(arguments) < 3 else _patterns(arguments[1:] if special else arguments)
    if special and any(imap_names.matches(pattern, "INBOX") for pattern in patterns):
        found["INBOX"] = _line("INBOX", [])
    if not special and any(imap_names.matches(pattern, PUBLIC) for pattern in patterns):
        found[PUBLIC] = _line(PUBLIC, [b"\\Noselect"])
    rows = [found[name] for name in sorted(found, key=lambda name: (not name.startswith("INBOX"), name))]
    return rows + others


def _patterns(arguments: list[bytes]) -> list[str]:
    """Reference and pattern as one text, decoded."""
    if len(arguments) < 2:
        return []
    reference = arguments[0].decode("ascii", "replace")
    several = tokens([arguments[1][1:-1]]) if arguments[1].startswith(b"(") else [arguments[1]]
    return [imap_names.decode(reference + one.decode("ascii", "replace")) for one in several]


def _name(argument: bytes) -> str:
    match = re.match(rb"\{\d+\}\r\n", argument)
    raw = argument[match.end() :] if match else (tokens([argument]) or [b""])[0]
    return imap_names.decode(raw.decode("ascii", "replace"))


def _line(name: str, attributes: list[bytes]) -> bytes:
    if name == "INBOX":
        attributes = [b"\\Inbox", *attributes]
    return b'* LIST (%s) "/" %s\r\n' % (b" ".join(attributes), imap_names.wire(name))


def rewrite_select(units: list[bytes], capabilities: list[str]) -> list[bytes]:
    """Kerio's flags, no custom keywords; HIGHESTMODSEQ only where CONDSTORE is announced."""
    rewritten = []
    for unit in units:
        if unit.startswith(b"* FLAGS "):
            rewritten.append(b"* FLAGS (" + FLAGS + b")\r\n")
        elif unit.startswith(b"* OK [PERMANENTFLAGS "):
            rewritten.append(b"* OK [PERMANENTFLAGS (" + FLAGS + b")] Permanent flags\r\n")
        elif (b"MODSEQ]" not in unit and b"[HIGHESTMODSEQ " not in unit) or "CONDSTORE" in capabilities:
            rewritten.append(unit)
    return rewritten


def without_uidplus(line: bytes) -> bytes:
    return re.sub(rb"\[(APPENDUID|COPYUID) [^\]]*\] ?", b"", line) if LITERAL.search(line) is None else line
