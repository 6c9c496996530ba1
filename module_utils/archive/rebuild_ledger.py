# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger of an archive (``evidence/entries``) tells a catalog that does not know it. ``docs/evidence.md``."""

from __future__ import annotations

import contextlib
import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_log
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import QUARANTINE_AFTER, REASON_CHARACTERS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASH_BYTES, HASHES, size_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_tree import leaf_hash, stored_count, stored_index
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Intact
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import History

STEP = 5_000  # entries in one transaction
_NO_RUN = 0
Entry = dict[str, t.Any]
Row = tuple[str, tuple[t.Any, ...]]


def entries(root: str, since: Position, report: Report) -> t.Iterator[tuple[bytes, Position]]:
    """The complete entries behind ``since``, each with the position behind it.

    An entry counts when its hashes are there too: without them no run could go on from it. One that is not what was hashed when
    it was written, and what follows it, is not believed.
    """
    path = Path(root, ENTRIES)
    hashed = size_of(f"{root}/{HASHES}")
    count, end = since
    try:
        if size_of(str(path)) < end:
            report.tell(Problem("ledger", ENTRIES, f"it is shorter than the {end:,} bytes that the catalog knows of"))
            return
        with path.open("rb") as file, contextlib.ExitStack() as stack:
            file.seek(end)
            hashes = stack.enter_context(Path(root, HASHES).open("rb")) if hashed else None
            for line in file:
                if not line.endswith(b"\n") or stored_count(count + 1) * HASH_BYTES > hashed:
                    report.tell(
                        Problem("ledger", ENTRIES, f"what follows entry {count:,} is not complete; the next run cuts it off")
                    )
                    return
                if hashes is None or not _is_hashed(hashes, count, line[:-1]):
                    report.tell(
                        Problem("ledger_changed", ENTRIES, f"entry {count:,} is not the one that was hashed when it was written")
                    )
                    return
                count, end = count + 1, end + len(line)
                yield line[:-1], Position(count, end)
    except FileNotFoundError:
        return
    except OSError as error:
        raise os_failure(error, str(path)) from error


def _is_hashed(hashes: t.BinaryIO, index: int, entry: bytes) -> bool:
    hashes.seek(stored_index(0, index) * HASH_BYTES)
    return hashes.read(HASH_BYTES) == leaf_hash(entry)


def digests(root: str, since: Position) -> set[bytes]:
    """The objects that the entries behind ``since`` say were archived."""
    told = (parsed(line) for line, _at in entries(root, since, Report.unread()))
    return {bytes.fromhex(entry["digest"]) for entry in told if entry.get("event") == "archived"}


def spoken_of(root: str, wanted: t.AbstractSet[bytes]) -> set[bytes]:
    """Which of these objects came into the archive, as the ledger says, whatever the catalog knows of it.

    All of them when the ledger cannot be read to its end.
    """
    report = Report.unread()
    told = (parsed(line) for line, _at in entries(root, Position(0, 0), report))
    found = {bytes.fromhex(entry["digest"]) for entry in told if entry.get("event") in ("archived", "adopted")}
    return set(wanted) if report.problems else found & wanted


def parsed(line: bytes) -> Entry:
    """An entry; one that cannot be read is empty."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


@dataclass
class Telling:
    """Brings what the entries behind ``since`` say into a catalog.

    ``intact``: the objects that are there. ``history`` is told of users, and is for the caller to use.
    """

    catalog: RebuiltCatalog
    intact: Intact
    history: History
    report: Report
    folders: dict[tuple[str, str, str], int] = field(default_factory=dict)
    position: Position = field(default=Position(0, 0))
    _rows: list[Row] = field(default_factory=list)
    _validities: dict[int, int] = field(default_factory=dict)
    _runs: set[int] = field(default_factory=set)

    def run(self, root: str, since: Position) -> None:
        """Read all entries, and write them some thousand at a time. ``position`` is for the caller to commit, at the end."""
        self.position = since
        self.catalog.begin_telling()
        waiting = self.catalog.waiting_texts()
        arrived: list[int] = []
        for line, position in entries(root, since, self.report):
            self.position = position
            self._take(line)
            if waiting and (text := line.decode("ascii", "replace")) in waiting:
                arrived.append(waiting[text])
            if position.entries % STEP == 0:
                self._flush()
        self._flush()
        self.catalog.remember_validities(self._validities)
        self.catalog.forget_waiting(arrived)
        self.report.figures["ledger_entries"] += self.position.entries - since.entries

    def _flush(self) -> None:
        self.catalog.write(self._rows)
        self._rows = []

    def _take(self, line: bytes) -> None:
        entry = parsed(line)
        take = _EVENTS.get(entry.get("event", ""))
        try:
            if take is not None:
                take(self, entry)
            elif "event" not in entry:
                raise ValueError(line)
        except (KeyError, TypeError, ValueError):
            self.report.tell(
                Problem("ledger", ENTRIES, f"entry {self.position.entries - 1:,} cannot be understood, and is left out")
            )

    def _key(self, entry: Entry) -> tuple[int, int, int]:
        place = (str(entry["server"]), str(entry["mailbox"]), str(entry["folder"]))
        if place not in self.folders:
            # Rows that wait go first: the folder is a transaction of its own.
            self.folders[place] = self.catalog.source_folder(*place).id
        key = (self.folders[place], int(entry["uidvalidity"]), int(entry["uid"]))
        self._validities[key[0]] = key[1]
        return key

    def _run(self, entry: Entry) -> int:
        """The number of the entry's run; its row is there before others refer to it."""
        run = int(entry.get("run") or _NO_RUN)
        if run not in self._runs:
            self._runs.add(run)
            self._rows.append(("run", (run, int(entry["at"]), None, "", "{}")))
        return run

    def archived(self, entry: Entry) -> None:
        """A message came in."""
        digest, size, date, at = bytes.fromhex(entry["digest"]), int(entry["size"]), int(entry["date"]), int(entry["at"])
        facts = self.intact.get(digest)
        key, run = self._key(entry), self._run(entry)
        vsize = None if facts is None else facts.vsize
        self._rows.append(("archived", (*key, State.ARCHIVED, digest, size, vsize, date, run, at)))
        self._rows.append(("told", (digest,)))
        self.report.figures["messages_archived"] += 1

    def adopted(self, entry: Entry) -> None:
        """An object came in without a run."""
        self._rows.append(("told", (bytes.fromhex(entry["digest"]),)))

    def quarantined(self, entry: Entry) -> None:
        """A message could not be archived again and again."""
        reason = str(entry["reason"])[:REASON_CHARACTERS]
        self._rows.append(("quarantined", (*self._key(entry), reason, QUARANTINE_AFTER, self._run(entry))))
        self.report.figures["messages_quarantined"] += 1

    def deleted(self, entry: Entry) -> None:
        """A message was deleted on its server."""
        key, run, digest, size = self._key(entry), self._run(entry), bytes.fromhex(entry["digest"]), int(entry["size"])
        at = int(entry["at"])
        self._rows.append(("deleted", (*key, digest, size, run)))
        self._rows.append(("receipt", (*key, digest, size, at, at, run, json.dumps({"rebuilt": "from the ledger"}))))
        self.report.figures["receipts"] += 1

    def ran(self, entry: Entry) -> None:
        """A run ended."""
        summary = {key: value for key, value in entry.items() if key not in ("event", "at", "run", "outcome")}
        run, at = self._run(entry), int(entry["at"])
        self._rows.append(("run", (run, at, at, str(entry["outcome"]), json.dumps(summary))))

    def lost(self, entry: Entry) -> None:
        """An object was declared lost."""
        row = (bytes.fromhex(entry["digest"]), int(entry["size"]), int(entry["at"]), str(entry["by"]), str(entry["reason"]))
        self._rows.append(("lost", row))

    def found(self, entry: Entry) -> None:
        """A lost object is there again."""
        self._rows.append(("found", (int(entry["at"]), bytes.fromhex(entry["digest"]))))

    def users(self, entry: Entry) -> None:
        """Users changed."""
        self.history.play(entry["changes"], int(entry["at"]))


_EVENTS: dict[str, t.Callable[[Telling, Entry], None]] = {
    "archived": Telling.archived,
    "adopted": Telling.adopted,
    "quarantined": Telling.quarantined,
    "deleted": Telling.deleted,
    "run": Telling.ran,
    "lost": Telling.lost,
    "found": Telling.found,
    "users": Telling.users,
}


def folder_names(folders: t.Iterable[tuple[str, str, str]]) -> t.Iterator[str]:
    """The names that folders of trees may be called by, of source folders as (server, mailbox, name)."""
    for _server, mailbox, name in folders:
        yield mailbox
        yield from name.split("/")


def files(root: str) -> list[str]:
    """The files of the ledger that are there, relative to the archive root."""
    return [name for name, _bytes in evidence_log.ends(Position(0, 0)) if Path(root, name).exists()]


def is_cut_short(root: str, position: Position) -> bool:
    """Whether the files of the ledger hold more than what is committed."""
    return any(evidence_log.size_of(f"{root}/{name}") > end for name, end in evidence_log.ends(position))
