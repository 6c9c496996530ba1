# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that somebody who may write to an archive could do to its ledger, and what a verification is to find then.

Each tamper gets the archive; the subject of a finding may hold names that ``test_verify_ledger.py`` puts in.
"""

from __future__ import annotations

import os
import sqlite3
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES, EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint, Signer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.test_evidence import ORIGIN, PEM

CHECKPOINT = "evidence/checkpoint"
ELSEWHERE = "the checkpoint 1 that is kept elsewhere"
NEWER = "the checkpoint 2 that is kept elsewhere"
Tamper = t.Callable[[Archive], object]
Expected = set[tuple[str, str]]


def sql(archive: Archive, statement: str, *values: t.Any) -> None:
    database = sqlite3.connect(archive.catalog_file)
    with database:
        database.execute(statement, values)
    database.close()


def lines(archive: Archive) -> list[bytes]:
    return (archive.root / ENTRIES).read_bytes().splitlines()


def written(archive: Archive, entries: t.Sequence[bytes]) -> None:
    """Change the entries, and nothing else."""
    (archive.root / ENTRIES).write_bytes(b"".join(entry + b"\n" for entry in entries))


def forged(archive: Archive, entries: t.Sequence[bytes], signer: Signer | None = None) -> None:
    """Write the ledger anew with these entries, so that files and catalog agree; sign it, or leave the checkpoint."""
    for name in (ENTRIES, HASHES):
        (archive.root / name).unlink()
    log = EvidenceLog(str(archive.root), Position(0, 0))
    position = log.append(entries)
    if signer is not None:
        note = signer.sign(Checkpoint(ORIGIN, position.entries, log.head()).text())
        (archive.root / CHECKPOINT).write_text(note)
    log.close()
    sql(archive, "UPDATE evidence SET entries = ?, bytes = ?", *position)


def other() -> Signer:
    """A key that is not the archive's."""
    head, body, foot = PEM.splitlines()
    return Signer(f"{head}\n{body[:-8]}AAAAAAA{body[-1]}\n{foot}\n", ORIGIN)


def replaced(name: str, old: str, new: str) -> Tamper:
    def tamper(archive: Archive) -> None:
        path = archive.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return tamper


def without(entries: list[bytes], index: int) -> list[bytes]:
    return entries[:index] + entries[index + 1 :]


def swapped(entries: list[bytes]) -> list[bytes]:
    return [entries[1], entries[0], *entries[2:]]


def changed(entries: list[bytes]) -> list[bytes]:
    return [entry.replace(b'"uid":1,', b'"uid":9,') if b'"archived"' in entry else entry for entry in entries]


def flipped(archive: Archive, name: str, at: int) -> None:
    path = archive.root / name
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def message_gone(archive: Archive) -> None:
    """Take a message away everywhere: object, links, rows, totals."""
    (digest, size, stored) = archive.rows("SELECT digest, size, stored_size FROM objects ORDER BY size DESC LIMIT 1")[0]
    (archive.root / layout.object_path(digest)).unlink()
    gone = [path for path in archive.root.glob("mail/**/cur/*") if digest.hex() in path.name]
    for path in gone:
        path.unlink()
    sql(archive, "DELETE FROM objects WHERE digest = ?", digest)
    sql(archive, "DELETE FROM placements WHERE digest = ?", digest)
    sql(archive, "DELETE FROM source_messages WHERE digest = ?", digest)
    change = (
        "UPDATE totals SET objects = objects - 1, bytes = bytes - ?, stored_bytes = stored_bytes - ?, placements = placements - ?"
    )
    sql(archive, change, size, stored, len(gone))


def message_added(archive: Archive) -> None:
    """Put an object in that no run brought, with all rows that it needs."""
    with Store.open(str(archive.root), lock="a test") as store:
        stored = store.put(mail(99), 1_700_000_000)
    sql(
        archive, "INSERT INTO objects(digest, size, stored_size) VALUES (?, ?, ?)", stored.digest, stored.size, stored.stored_size
    )
    change = "UPDATE totals SET objects = objects + 1, bytes = bytes + ?, stored_bytes = stored_bytes + ?"
    sql(archive, change, stored.size, stored.stored_size)


def rolled_back(archive: Archive) -> None:
    """What was saved before the last run is put back, the ledger and the catalog alike."""
    saved = archive.root.parent / "saved"
    for name in (ENTRIES, HASHES, CHECKPOINT, layout.CATALOG_FILE):
        (archive.root / name).write_bytes((saved / Path(name).name).read_bytes())


LEDGER: tuple[str, str] = ("ledger", ENTRIES)
NEWEST: tuple[str, str] = ("ledger_forked", CHECKPOINT)
KEPT: Expected = {("ledger_forked", ELSEWHERE), ("ledger_forked", NEWER)}
TAMPERS: dict[str, tuple[Tamper, Expected]] = {
    "an entry is changed": (lambda archive: written(archive, changed(lines(archive))), {LEDGER}),
    "two entries change places": (lambda archive: written(archive, swapped(lines(archive))), {LEDGER}),
    "an entry is removed": (lambda archive: written(archive, without(lines(archive), 1)), {LEDGER}),
    "the last entry is removed": (lambda archive: written(archive, lines(archive)[:-1]), {LEDGER}),
    "an entry is there twice": (
        lambda archive: written(archive, [lines(archive)[0], *lines(archive)]),
        {LEDGER, ("ledger_tail", ENTRIES)},
    ),
    "something is appended": (lambda archive: written(archive, [*lines(archive), b"{}"]), {("ledger_tail", ENTRIES)}),
    "a line end is changed": (lambda archive: flipped(archive, ENTRIES, len(lines(archive)[0])), {LEDGER}),
    "the entries are gone": (lambda archive: (archive.root / ENTRIES).unlink(), {LEDGER}),
    "a hash is changed": (lambda archive: flipped(archive, HASHES, 70), {LEDGER}),
    "hashes are cut": (lambda archive: os.truncate(archive.root / HASHES, 64), {("ledger", HASHES)}),
    "the catalog knows of less": (
        lambda archive: sql(archive, "UPDATE evidence SET entries = 1, bytes = ?", len(lines(archive)[0]) + 1),
        {("ledger_tail", ENTRIES), ("ledger_tail", HASHES), NEWEST, *KEPT, ("ledger_untold", "*")},
    ),
    "the catalog counts otherwise": (
        lambda archive: sql(archive, "UPDATE evidence SET entries = entries - 1"),
        {("ledger_tail", HASHES), LEDGER},
    ),
    "a ledger is forged, an entry changed": (lambda archive: forged(archive, changed(lines(archive))), {NEWEST, *KEPT}),
    "a ledger is forged, two entries swapped": (lambda archive: forged(archive, swapped(lines(archive))), {NEWEST, *KEPT}),
    "a ledger is forged and signed by another": (
        lambda archive: forged(archive, changed(lines(archive)), other()),
        {NEWEST, *KEPT},
    ),
    "the last entry is cut off everywhere": (
        lambda archive: forged(archive, lines(archive)[:-1]),
        {NEWEST, ("ledger_forked", NEWER)},
    ),
    "a deletion is taken out": (
        lambda archive: forged(archive, [line for line in lines(archive) if b'"event":"deleted"' not in line]),
        {NEWEST, ("ledger_forked", NEWER)},
    ),
    "the archive is rolled back": (rolled_back, {("ledger_forked", NEWER), ("object_unknown", "*"), ("placement_unknown", "*")}),
    "the checkpoint is gone": (lambda archive: (archive.root / CHECKPOINT).unlink(), {("ledger_tail", CHECKPOINT)}),
    "the checkpoint is of another ledger": (replaced(CHECKPOINT, ORIGIN, "elsewhere"), {NEWEST}),
    "the checkpoint's signature is changed": (replaced(CHECKPOINT, f"{ORIGIN} ", f"{ORIGIN} A"), {NEWEST}),
    "the checkpoint is nothing": (lambda archive: (archive.root / CHECKPOINT).write_text("nothing\n"), {NEWEST}),
    "a message is removed from everywhere": (message_gone, {("ledger_lost", "*")}),
    "a message is put in by hand": (message_added, {("ledger_untold", "*")}),
    "others may write the entries": (lambda archive: (archive.root / ENTRIES).chmod(0o666), {("open_to_others", ENTRIES)}),
    "something lies beside it": (lambda archive: (archive.root / "evidence/more").touch(), {("foreign", "evidence/more")}),
    "a receipt is removed": (lambda archive: sql(archive, "DELETE FROM receipts"), {("ledger_receipt", "*")}),
    "a declared loss is removed": (lambda archive: sql(archive, "DELETE FROM lost"), {("ledger_receipt", "*")}),
}
