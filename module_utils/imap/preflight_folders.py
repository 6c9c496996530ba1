# SPDX-License-Identifier: GPL-3.0-or-later
"""What LIST and NAMESPACE of a mailbox tell before archiving begins. Nothing is opened or changed."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import (
    DEFAULT_EXCLUDES,
    ROLE_ATTRIBUTES,
    Folder,
    StatusFailed,
    statuses,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError, Value, clean, parse_values
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import CANNOT_TELL, HOLDS, Finding, judged

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection

SEPARATOR = "/"
SPECIAL = ("trash", "drafts", "junk", "sent")
# How the names of what is left out by default begin.
KNOWN_BEGINNINGS = ("~", "#", "public folders")
_ANSWER = b"* NAMESPACE "
KINDS = 3  # of namespaces
VENDOR = "Report it to the vendor of the server"

Folders = t.Sequence[Folder]


def _namespaces(conn: Connection) -> list[list[tuple[str, str]]] | None:
    """Return prefix and separator of personal, others' and shared namespaces (RFC 2342); None when the server has no such
    command. Raises ``ImapError``."""
    if "NAMESPACE" not in conn.capabilities:
        return None
    told: list[bytes] = []

    def take(response: Response) -> None:
        if response.text()[: len(_ANSWER)].upper() == _ANSWER:
            told.append(response.text()[len(_ANSWER) :])

    (result,) = conn.reader.run([b"NAMESPACE"], take)
    if not result.ok:
        raise ImapError(conn.name, f"the server refused NAMESPACE: {result.status} {result.text}", "See its log")
    # Read only now: the connection is used on, so the end of the command must have been taken from it.
    try:
        found = [_kind(value) for line in told for value in parse_values(line, 0, len(line))]
    except MalformedError:
        cause = f"the server's NAMESPACE cannot be read: {clean(b' '.join(told))}"
        raise ImapError(conn.name, cause, VENDOR) from None
    if len(found) < KINDS:
        raise ImapError(conn.name, f"the server's NAMESPACE tells {len(found)} of its {KINDS} kinds", VENDOR)
    return found


def _kind(value: Value) -> list[tuple[str, str]]:
    entries = value if isinstance(value, list) else []
    return [(_text(one[0]), _text(one[1])) for one in entries if isinstance(one, list) and len(one) > 1]


def _text(value: Value) -> str:
    return names.decode(value) if isinstance(value, bytes) else ""


def _namespace(conn: Connection, _folders: Folders) -> Finding:
    found = _namespaces(conn)
    if found is None:
        return CANNOT_TELL, "The server does not announce NAMESPACE"
    told = ", ".join(f"{prefix!r} with {separator!r}" for prefix, separator in found[0]) or "none"
    return judged([prefix for prefix, _separator in found[0]] == [""], f"Personal namespaces: {told}.")


def _foreign(conn: Connection, _folders: Folders) -> Finding:
    found = _namespaces(conn)
    if found is None:
        return CANNOT_TELL, "The server does not announce NAMESPACE"
    prefixes = [prefix for kind in found[1:3] for prefix, _separator in kind]
    odd = [prefix for prefix in prefixes if not prefix.casefold().startswith(KNOWN_BEGINNINGS)]
    told = ", ".join(map(repr, odd or prefixes)) or "none"
    return judged(not odd, f"Prefixes of others: {told}.")


def _separator(_conn: Connection, folders: Folders) -> Finding:
    found = sorted({folder.separator or "none" for folder in folders})
    return judged(found == [SEPARATOR], f"The separator is {', '.join(found)}.")


def _special(_conn: Connection, folders: Folders) -> Finding:
    by_attribute = {role for folder in folders for attribute, role in ROLE_ATTRIBUTES.items() if attribute in folder.attributes}
    missing = [role for role in SPECIAL if role not in by_attribute]
    by_name = {folder.role: folder.name for folder in folders if folder.role in missing}
    if not missing:
        return HOLDS, "All four have them."
    told = ", ".join(f"{role} ({f'known by the name {by_name[role]}' if role in by_name else 'not found'})" for role in missing)
    return judged(False, f"Without an attribute: {told}.")


def _names(_conn: Connection, folders: Folders) -> Finding:
    odd = [folder.name for folder in folders if any(part.startswith(names.MARK) for part in folder.parts)]
    return judged(not odd, f"Other names: {', '.join(odd)}." if odd else f"{len(folders)} names can be read.")


def _groupware(_conn: Connection, folders: Folders) -> Finding:
    tops = dict.fromkeys(folder.parts[0] for folder in folders)
    odd = [top for top in tops if top.casefold() in DEFAULT_EXCLUDES["groupware"].tops]
    listed = f"Listed: {', '.join(odd)}. " if odd else ""
    return judged(not odd, f"{listed}Top folders: {', '.join(tops)}.")


def _opened(conn: Connection, folders: Folders) -> Finding:
    failed = [name for name, status in statuses(conn, folders).items() if isinstance(status, StatusFailed)]
    return judged(not failed, f"No answer of {', '.join(failed)}." if failed else "All of them answer.")


QUESTIONS: dict[str, t.Callable[[Connection, Folders], Finding]] = {
    "imap-namespace": _namespace,
    "imap-foreign-folders": _foreign,
    "imap-separator": _separator,
    "imap-special-use": _special,
    "imap-names": _names,
    "imap-groupware": _groupware,
    "imap-folders-open": _opened,
}
