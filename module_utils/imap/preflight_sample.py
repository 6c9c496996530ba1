# SPDX-License-Identifier: GPL-3.0-or-later
"""Some messages of a mailbox, read as a run reads them: what of them is not as IMAP has it. Nothing is changed."""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Fetched, examine, fetch, listing, search_uids
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import bytes_of
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import CANNOT_TELL, Finding, judged
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_ENVELOPE = re.compile(rb"^X-Envelope-To:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
SHOWN = 5


@dataclass
class Sample:
    """``messages``: how many were read. The lists name what is odd, as "folder/UID" or "folder"; ``heads`` are the headers."""

    messages: int = 0
    uids: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    def judge(self, odd: t.Sequence[str], what: str) -> Finding:
        """Judge one of the lists; a sample of nothing proves nothing."""
        if not self.messages and not odd:
            return CANNOT_TELL, "The mailbox has no message that could be looked at"
        return judged(not odd, f"{what}: {some(odd, SHOWN)}." if odd else f"Of {self.messages} messages all are right.")


def draw(conn: Connection, folders: t.Sequence[Folder], count: int) -> Sample:
    """Read the newest messages, of the first folders that have some."""
    sample = Sample()
    for folder in folders:
        if sample.messages < count:
            _read(conn, folder, count - sample.messages, sample)
    return sample


def _read(conn: Connection, folder: Folder, count: int, sample: Sample) -> None:
    status = examine(conn, folder)
    uids = search_uids(conn)
    if len(uids) != status.messages:
        status, uids = examine(conn, folder), search_uids(conn)  # mail came or went in between
    if len(uids) != status.messages or (uids and status.uidnext and uids[-1] >= status.uidnext):
        told = f"{folder.name} (EXISTS {status.messages}, UIDNEXT {status.uidnext}, {len(uids)} UIDs to {uids[-1:] or 'none'})"
        sample.uids.append(told)
    chosen = uids[-count:]
    before = {one.uid: one for one in listing(conn, chosen)}
    first = _bodies(conn, folder, chosen, sample)
    second = _bodies(conn, folder, chosen, None)
    after = {one.uid: one for one in listing(conn, chosen)}
    sample.messages += len(first)
    for uid in first:
        where = f"{folder.name}/{uid}"
        if uid in second and first[uid] != second[uid]:
            sample.contents.append(where)
        if uid in before and uid in after and set(before[uid].flags) != set(after[uid].flags):
            sample.flags.append(where)
    if examine(conn, folder).uidvalidity != status.uidvalidity:
        sample.uids.append(f"{folder.name} (UIDVALIDITY changed)")


def _bodies(conn: Connection, folder: Folder, uids: t.Sequence[int], sample: Sample | None) -> dict[int, bytes]:
    """Return the digests, and tell ``sample`` what is odd about single messages."""
    found = {}
    for item in fetch(conn, uids):
        if not isinstance(item, Fetched):
            continue
        data = bytes_of(item)
        found[item.uid] = hashlib.sha256(data).digest()
        if sample is not None:
            where = f"{folder.name}/{item.uid}"
            sample.heads.append(_END_OF_HEAD.split(data, 1)[0])
            if not item.internaldate:
                sample.dates.append(where)
            if item.reported_size != len(data):
                sample.sizes.append(f"{where} ({item.reported_size} told, {len(data)} came)")
    return found


def envelopes(sample: Sample) -> list[str]:
    """Return the topmost X-Envelope-To of each message, "" for one without, lower case."""
    found = [_ENVELOPE.search(head) for head in sample.heads]
    return [match[1].strip().decode("utf-8", "replace").lower() if match else "" for match in found]
