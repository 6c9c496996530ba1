# SPDX-License-Identifier: GPL-3.0-or-later
"""What deleting over IMAP does on a server, tried with one message of ours in a folder of ours in a scratch mailbox.

Nothing else of the mailbox is touched: what is deleted is known by a mark that is drawn anew for each look.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import expunge
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection, open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Fetched, examine, fetch, search_uids, select
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, list_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import bytes_of
from ansible_collections.mailops.kerio.plugins.module_utils.imap.scratch import Scratch
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import CANNOT_TELL, Finding, judged

FOLDER = "kerio-archive preflight"
AGE = 86400  # seconds; so that a server which takes the time of now is seen


@dataclass
class _Try:
    """One message. ``mark`` is in its header and nowhere else."""

    conn: Connection
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    date: int = field(default_factory=lambda: int(time.time()) - AGE)

    @property
    def subject(self) -> str:
        return f"{FOLDER} {self.mark}"

    @property
    def body(self) -> bytes:
        lines = ("From: preflight@example.com", "To: preflight@example.com", f"Subject: {self.subject}")
        more = (f"Message-ID: <{self.mark}@example.com>", "", "A look at what deleting does. It may be removed.", "")
        return "\r\n".join((*lines, *more)).encode()

    def uids(self) -> list[int]:
        """The UIDs of our message in the open folder: the server's search is proven by the bytes."""
        told = search_uids(self.conn, "HEADER", "Message-ID", f"{self.mark}@example.com")
        came = (item for item in fetch(self.conn, told) if isinstance(item, Fetched))
        return [item.uid for item in came if self.mark.encode() in bytes_of(item)]

    def folder(self, name: str = "", role: str = "") -> Folder | None:
        return next((one for one in list_folders(self.conn) if (one.name == name if name else one.role == role)), None)

    def there(self, folder: Folder | None) -> bool:
        """Whether the message is in a folder, which is opened read-only."""
        if folder is None:
            return False
        examine(self.conn, folder)
        return bool(self.uids())

    def delete(self, folder: Folder) -> None:
        """Delete our message in a folder for good, and nothing else; ImapError when that is not possible."""
        select(self.conn, folder)
        uids = self.uids()
        if uids:
            expunge.mark(self.conn, uids)
            self.expunge()

    def expunge(self) -> None:
        """Expunge our message, if the open folder still has it, and nothing else."""
        uids = self.uids()
        if not uids:
            return
        if expunge.has_uidplus(self.conn):
            expunge.expunge(self.conn, uids)
        elif expunge.marked(self.conn) == set(uids):
            expunge.expunge_all(self.conn)
        else:
            cause = "without UIDPLUS the messages that others have marked as deleted would be expunged too"
            raise ImapError(f"{self.conn.name}, mailbox {self.conn.user}", cause, "Empty the folder by hand")


def try_deleting(endpoint: Endpoint, credentials: Credentials) -> tuple[dict[str, Finding], list[str]]:
    """Put a message in, delete it, look where it is; return the findings, and warnings of what is left behind.

    Raises what ``open_connection`` and ``Scratch`` raise. What was made is removed over another connection, whatever happened.
    """
    with open_connection(endpoint, credentials) as conn:
        scratch = Scratch(conn, FOLDER)
        one = _Try(conn)
        scratch.create()
        try:
            findings = _look(one, scratch)
        finally:
            warnings = _clean(endpoint, credentials, one)
    return findings, warnings


def _look(one: _Try, scratch: Scratch) -> dict[str, Finding]:
    findings: dict[str, Finding] = {"write-append": _append(one, scratch)}
    here, trash = one.folder(FOLDER), one.folder(role="trash")
    if here is None:
        return findings
    select(one.conn, here)
    expunge.mark(one.conn, one.uids())
    moved, stayed = one.there(trash), one.there(here)
    findings["write-moment"] = judged(stayed, "It stayed." if stayed else f"It left its folder{_to(trash, moved)} at STORE.")
    if stayed:
        select(one.conn, here)
        one.expunge()
    at_last = one.there(trash)
    gone = "It is gone." if trash else "It is gone from its folder; the mailbox has no Deleted Items."
    findings["write-delete"] = judged(not at_last, f"It is in {trash.name}." if trash and at_last else gone)
    return findings


def _to(trash: Folder | None, moved: bool) -> str:
    return f" for {trash.name}" if trash and moved else ""


def _append(one: _Try, scratch: Scratch) -> Finding:
    result = scratch.append(one.body, one.date)
    if not result.ok:
        cause = f"the server refused APPEND: {result.status} {result.text}"
        raise ImapError(f"{one.conn.name}, mailbox {one.conn.user}", cause, "Choose another mailbox")
    came = [(bytes_of(item), item.internaldate) for item in scratch.messages()]
    if not came:
        return CANNOT_TELL, "The server took it, and does not give it back"
    data, date = came[0]
    told = [text for text, wrong in (("bytes", data != one.body), ("INTERNALDATE", date != one.date)) if wrong]
    return judged(not told, f"Others came back: {', '.join(told)}." if told else "It came back as it was.")


def _clean(endpoint: Endpoint, credentials: Credentials, used: _Try) -> list[str]:
    """Remove message and folder; return warnings of what could not be removed."""
    where = f"{endpoint.label}, mailbox {credentials.user}"
    try:
        with open_connection(endpoint, credentials) as conn:
            scratch, one = Scratch(conn, FOLDER), _Try(conn, used.mark)
            scratch.made = True
            left = scratch.remove()
            trash = one.folder(role="trash")
            if trash is not None:
                one.delete(trash)
    except ArchiveToolError as error:
        return [f"{where}: what the look made may be left: the folder {FOLDER}, or a message {used.subject!r}. {error}"]
    return [f"{where}: the server moved the folder of the look to {name}, where it may be removed by hand" for name in left]
