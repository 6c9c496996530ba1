# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done to the ledger of an archive is found: any bit, entry or row, and a roll-back of everything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_read, layout, verify, verify_ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Signer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_ledger import KnownElsewhere, look_at
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import Report
from tests.unit.module_utils.archive import ledger_tampers
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers, mail
from tests.unit.module_utils.archive.ledger_tampers import CHECKPOINT, TAMPERS, sql
from tests.unit.module_utils.archive.test_evidence import ALICE, ORIGIN, PEM, SIGNED
from tests.unit.module_utils.archive.test_evidence import archive as archive

KEYS = (Signer(PEM, ORIGIN).verifier_key,)
LOST = "ab" * 32


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def kept(archive: Archive, servers: FakeServers) -> tuple[str, ...]:
    """The checkpoints of two runs; between them a message was deleted, one declared lost, and new mail came."""
    first = archive.run(ledger=SIGNED).checkpoint
    saved = archive.root.parent / "saved"
    saved.mkdir()
    for name in (ENTRIES, HASHES, CHECKPOINT, layout.CATALOG_FILE):
        shutil.copy2(archive.root / name, saved)
    with Catalog.open(archive.catalog_file) as catalog:
        folder = catalog.source_folder("mail1", ALICE, "INBOX")
        (row,) = catalog.messages(folder.id, folder.uidvalidity, [1]).values()
        with catalog.transaction():
            statement = "INSERT INTO receipts VALUES (?, ?, 1, ?, ?, 0, NULL, 1, '{}')"
            catalog._db.execute(statement, (folder.id, folder.uidvalidity, row.digest, row.size))
            catalog._db.execute("INSERT INTO lost VALUES (?, 7, 0, 'admin', 'a test', NULL)", (bytes.fromhex(LOST),))
            catalog.note("lost", by="admin", digest=LOST, size=7, reason="a test")
        catalog.complete_receipts(folder.id, folder.uidvalidity, 1, [1], {})
    servers.folder("mail1", ALICE).add(mail(7, body="the largest of them all" * 99))
    return first, archive.run(ledger=SIGNED).checkpoint


def verified(archive: Archive, kept: tuple[str, ...]) -> Report:
    return Verification(Wish(str(archive.root), processes=1, known=KnownElsewhere(kept, KEYS)), Silent()).run()


def test_a_ledger_that_nobody_touched_is_found_intact(archive: Archive, kept: tuple[str, ...]) -> None:
    report = verified(archive, kept)
    assert report.findings == []
    assert report.entries == len((archive.root / ENTRIES).read_bytes().splitlines())


@pytest.mark.parametrize("name", TAMPERS)
def test_whatever_is_done_to_the_ledger_is_found(archive: Archive, kept: tuple[str, ...], name: str) -> None:
    tamper, expected = TAMPERS[name]
    tamper(archive)
    found = verified(archive, kept).findings
    named = {subject for _kind, subject in expected}
    assert {(one.kind, one.subject if one.subject in named else "*") for one in found} == expected
    assert all(one.cause and one.remedy for one in found)


@pytest.mark.parametrize("name", [ENTRIES, HASHES, CHECKPOINT])
def test_any_changed_byte_is_found(archive: Archive, kept: tuple[str, ...], name: str) -> None:
    path = archive.root / name
    content = path.read_bytes()
    with Catalog.open(archive.catalog_file, readonly=True) as catalog:
        assert look_at(str(archive.root), catalog, KnownElsewhere(kept, KEYS)) == (
            [],
            content.count(b"\n") if name == ENTRIES else _entries(archive),
        )
        unseen = []
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
            findings, _ = look_at(str(archive.root), catalog, KnownElsewhere(kept, KEYS))
            unseen += [] if findings else [at]
    assert unseen == []


def _entries(archive: Archive) -> int:
    return len((archive.root / ENTRIES).read_bytes().splitlines())


def test_without_checkpoints_from_elsewhere_a_forged_history_with_its_key_is_not_seen(
    archive: Archive, kept: tuple[str, ...]
) -> None:
    """Why they have to be kept elsewhere: who has the key and the archive can write any history."""
    entries = ledger_tampers.changed(ledger_tampers.lines(archive))
    ledger_tampers.forged(archive, entries, Signer(PEM, ORIGIN))
    assert verified(archive, ()).findings == []
    assert {one.subject for one in verified(archive, kept).findings} == {ledger_tampers.ELSEWHERE, ledger_tampers.NEWER}


def test_what_a_run_is_writing_is_no_damage(archive: Archive, kept: tuple[str, ...]) -> None:
    with (archive.root / ENTRIES).open("ab") as file:
        file.write(json.dumps({"event": "archived"}).encode() + b"\n")
    (archive.root / "dirty").write_text(json.dumps({"started": 1, "run": "3", "commits": 0}))
    assert verified(archive, kept).findings == []


def test_an_archive_without_a_ledger_yet_is_no_damaged_one(archive: Archive) -> None:
    report = Verification(Wish(str(archive.root), processes=1), Silent()).run()
    assert (report.findings, report.entries) == ([], 0)


def test_many_groups_of_digests_find_the_same(archive: Archive, kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_ledger, "GROUP", 1)
    monkeypatch.setattr(evidence_read, "CHUNK_ENTRIES", 2)
    assert verified(archive, kept).findings == []
    sql(archive, "DELETE FROM objects WHERE size = (SELECT max(size) FROM objects)")
    assert "ledger_lost" in {one.kind for one in verified(archive, kept).findings}


def test_the_path_of_a_lost_message_is_told(archive: Archive, kept: tuple[str, ...]) -> None:
    digest: str = archive.rows("SELECT lower(hex(digest)) FROM objects ORDER BY size DESC LIMIT 1")[0][0]
    ledger_tampers.message_gone(archive)
    (finding,) = verified(archive, kept).findings
    assert finding.subject == layout.object_path(bytes.fromhex(digest)) and Path(finding.subject).name == digest
