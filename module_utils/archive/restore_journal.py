# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages of a mailbox were compared with archived ones before, so that a second restore need not fetch them again.

It is never believed alone. A message under a UID cannot change while UIDVALIDITY is the same (RFC 3501, section 2.3.1.1), and an
entry counts only if the server has that UID, with the size and the date that the entry has. A lost journal costs time; but a
message whose text the server changed when it was put in (see ``restore_prints``) is known again by the journal alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure

FOLDER = "archive_restore.known"


class Entry(t.NamedTuple):
    """A message of the server: what it was compared with, and how it came (see ``restore_find.Match``)."""

    uid: int
    size: int
    date: int
    digest: bytes
    came: str


class Journal:
    """The journal of one mailbox of one server, below ``jobs`` of the archive; one line of JSON for each message."""

    def __init__(self, root: str, server: str, mailbox: str) -> None:
        name = hashlib.sha256(f"{server}\0{mailbox.lower()}".encode()).hexdigest()[:32]
        self._path = Path(root, layout.JOBS, FOLDER, f"{name}.jsonl")

    def entries(self, folder: bytes, uidvalidity: int) -> dict[int, Entry]:
        """UID -> entry; later ones win. Lines that cannot be read are passed over, such as the last one of a crash."""
        found: dict[int, Entry] = {}
        # As ``add`` writes it: to read the lines of all folders for each of them would take minutes.
        start = json.dumps(_place(folder, uidvalidity)).removesuffix("}").encode("ascii") + b","
        try:
            with self._path.open("rb") as lines:
                for line in lines:
                    entry = _parse(line) if line.startswith(start) else None
                    if entry is not None:
                        found[entry.uid] = entry
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise os_failure(error, str(self._path)) from error
        return found

    def add(self, folder: bytes, uidvalidity: int, entries: t.Iterable[Entry]) -> None:
        """Append entries, durably."""
        place = _place(folder, uidvalidity)
        lines = [json.dumps({**place, **entry._asdict(), "digest": entry.digest.hex()}) + "\n" for entry in entries]
        if not lines:
            return
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            # Begins a line of its own, should a crash have left half of one.
            with self._path.open("ab") as file:
                file.write(("\n" + "".join(lines)).encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise os_failure(error, str(self._path)) from error


def _place(folder: bytes, uidvalidity: int) -> dict[str, t.Any]:
    """What each line begins with."""
    return {"folder": folder.decode("latin-1"), "uidvalidity": uidvalidity}


def _parse(line: bytes) -> Entry | None:
    try:
        told = json.loads(line)
        return Entry(int(told["uid"]), int(told["size"]), int(told["date"]), bytes.fromhex(told["digest"]), str(told["came"]))
    except (ValueError, LookupError, TypeError):
        return None
