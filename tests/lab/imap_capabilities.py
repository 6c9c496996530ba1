# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server announces, and which commands it therefore does not know (sheet 3.1: the real list is unknown)."""

from __future__ import annotations

import re

POSITIONS = {
    "minimal": "IMAP4rev1 ID SPECIAL-USE",
    "typical": "IMAP4rev1 LITERAL+ ID IDLE NAMESPACE UIDPLUS QUOTA ACL SPECIAL-USE",
    "rich": (
        "IMAP4rev1 LITERAL+ ID IDLE NAMESPACE UIDPLUS QUOTA ACL SPECIAL-USE ENABLE UNSELECT MOVE CONDSTORE QRESYNC ESEARCH "
        "SORT THREAD=REFERENCES MULTIAPPEND LIST-EXTENDED LIST-STATUS STATUS=SIZE SEARCHRES WITHIN BINARY CHILDREN "
        "SASL-IR"
    ),
}

# A command that only an extension knows.
COMMANDS = {
    "IDLE": "IDLE",
    "ID": "ID",
    "NAMESPACE": "NAMESPACE",
    "UID EXPUNGE": "UIDPLUS",
    "ENABLE": "ENABLE",
    "UNSELECT": "UNSELECT",
    "MOVE": "MOVE",
    "UID MOVE": "MOVE",
    "SORT": "SORT",
    "UID SORT": "SORT",
    "THREAD": "THREAD",
    "UID THREAD": "THREAD",
    "COMPRESS": "COMPRESS=DEFLATE",
    "NOTIFY": "NOTIFY",
    "GETQUOTA": "QUOTA",
    "GETQUOTAROOT": "QUOTA",
    "SETQUOTA": "QUOTA",
    "GETACL": "ACL",
    "SETACL": "ACL",
    "DELETEACL": "ACL",
    "LISTRIGHTS": "ACL",
    "MYRIGHTS": "ACL",
    "GETMETADATA": "METADATA",
    "SETMETADATA": "METADATA",
    "GENURLAUTH": "URLAUTH",
    "RESETKEY": "URLAUTH",
    "URLFETCH": "URLAUTH",
    "UNAUTHENTICATE": "UNAUTHENTICATE",
}

SEARCHES = ("SEARCH", "UID SEARCH")
FETCHES = ("FETCH", "UID FETCH")
STORES = ("STORE", "UID STORE")
OPENS = ("SELECT", "EXAMINE")

# An argument that only an extension knows: commands, pattern over the upper-case arguments, capability.
ARGUMENTS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (OPENS, re.compile(r"\(\s*CONDSTORE"), "CONDSTORE"),
    (OPENS, re.compile(r"\(\s*QRESYNC"), "QRESYNC"),
    (("STATUS", "LIST"), re.compile(r"\bHIGHESTMODSEQ\b"), "CONDSTORE"),
    (("STATUS", "LIST"), re.compile(r"\bSIZE\b"), "STATUS=SIZE"),
    (FETCHES, re.compile(r"\bMODSEQ\b|\bCHANGEDSINCE\b"), "CONDSTORE"),
    (FETCHES, re.compile(r"\bVANISHED\b"), "QRESYNC"),
    (FETCHES, re.compile(r"\bBINARY(\.PEEK|\.SIZE)?\["), "BINARY"),
    (FETCHES, re.compile(r"\bPREVIEW\b|\bSNIPPET\b"), "PREVIEW"),
    (FETCHES, re.compile(r"\bSAVEDATE\b"), "SAVEDATE"),
    (STORES, re.compile(r"\bUNCHANGEDSINCE\b"), "CONDSTORE"),
    (SEARCHES, re.compile(r"\bMODSEQ\b"), "CONDSTORE"),
    (SEARCHES, re.compile(r"^RETURN\b"), "ESEARCH"),
    (SEARCHES, re.compile(r"(^|\s)\$(\s|$)"), "SEARCHRES"),
    (SEARCHES, re.compile(r"\bYOUNGER\b|\bOLDER\b"), "WITHIN"),
    (("LIST",), re.compile(r"\bSTATUS\b"), "LIST-STATUS"),
    (("LIST",), re.compile(r"\bSPECIAL-USE\b"), "SPECIAL-USE"),
    (("LIST",), re.compile(r"^\((?!\s*SPECIAL-USE\s*\))|\bRETURN\b"), "LIST-EXTENDED"),
    (("APPEND",), re.compile(r"\bCATENATE\b"), "CATENATE"),
)


def announced(switch: str) -> list[str]:
    """The capabilities behind the switch: a position's name or the list itself."""
    return POSITIONS.get(switch, switch).split()


def missing(name: str, arguments: bytes, capabilities: list[str]) -> str | None:
    """The capability that the command would need and that is not announced."""
    known = {capability.partition("=")[0] if capability.startswith("THREAD") else capability for capability in capabilities}
    need = COMMANDS.get(name)
    if need and need not in known:
        return need
    text = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', arguments).decode("ascii", "replace").upper()
    for names, pattern, capability in ARGUMENTS:
        if name in names and capability not in known and pattern.search(text):
            return capability
    return None
