# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of whole runs: every message, deletion and change is in it once, and it stands and falls with the catalog."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence, evidence_log, evidence_note
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import REPLACED
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError
from tests.faults.crash_scene import ledger_of
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE, BOB = "alice@example.com", "bob@example.com"
ORIGIN = "archive1.example.com/srv/archive"
KEY = Ed25519PrivateKey.from_private_bytes(b"not a secret, only for the tests")
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SIGNED = Ledger(ORIGIN, PEM, "admin@controller")


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.user(ALICE)
    made.user(BOB)
    servers.folder("mail1", ALICE).add(mail(1), mail(2), mail(2))
    servers.folder("mail1", BOB, "Projects/Été").add(mail(2))
    return made


def entries(archive: Archive, *events: str) -> list[dict[str, t.Any]]:
    lines = (archive.root / evidence_log.ENTRIES).read_bytes().splitlines()
    return [entry for entry in map(json.loads, lines) if not events or entry["event"] in events]


def newest(archive: Archive) -> evidence_note.Checkpoint:
    note = (archive.root / "evidence/checkpoint").read_text()
    return evidence_note.verify(note, evidence_note.Signer(PEM, ORIGIN).verifier_key)


def test_every_message_has_an_entry_with_its_place_and_digest(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    rows = archive.rows(
        "SELECT server, mailbox, name, m.uidvalidity, uid, lower(hex(digest)), size, internaldate, run_id FROM source_messages m"
        " JOIN source_folders f ON f.id = m.folder_id"
    )
    keys = ("server", "mailbox", "folder", "uidvalidity", "uid", "digest", "size", "date", "run")
    assert len(rows) == 4
    assert Counter(tuple(entry[key] for key in keys) for entry in entries(archive, "archived")) == Counter(rows)
    ledger_of(archive.root)


def test_users_profiles_and_the_run_are_told_with_who_did_it(archive: Archive) -> None:
    declared = {"profiles": [{"name": "mailboxes"}]}
    archive.run(ledger=Ledger(ORIGIN, PEM, "admin@controller", declared))
    archive.run(ledger=Ledger(ORIGIN, PEM, "admin@controller", declared))
    changes = [change for entry in entries(archive, "users") for change in entry["changes"]]
    assert [(change["action"], change["name"]) for change in changes] == [("created", ALICE), ("created", BOB)]
    assert [entry["declared"] for entry in entries(archive, "profiles")] == [[{"name": "mailboxes"}]]
    (run,) = entries(archive, "run")
    assert (run["by"], run["outcome"], run["new"], run["placements"]) == ("admin@controller", "ok", 4, 3)
    archive.run(ledger=Ledger(ORIGIN, PEM, "somebody@else", {"profiles": []}))
    assert [(entry["by"], entry["declared"]) for entry in entries(archive, "profiles")][1:] == [("somebody@else", [])]


def test_the_checkpoint_is_of_all_entries_and_signed(archive: Archive, servers: FakeServers) -> None:
    first = archive.run(ledger=SIGNED)
    assert newest(archive).size == len(entries(archive))
    assert first.checkpoint == (archive.root / "evidence/checkpoint").read_text()
    servers.folder("mail1", ALICE).add(mail(9))
    second = archive.run(ledger=SIGNED)
    assert newest(archive).size == len(entries(archive)) and second.checkpoint != first.checkpoint


def test_a_run_without_news_says_nothing(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    before = {path.name: path.read_bytes() for path in (archive.root / "evidence").iterdir()}
    archive.run(ledger=SIGNED)
    assert {path.name: path.read_bytes() for path in (archive.root / "evidence").iterdir()} == before


def test_without_a_key_checkpoints_are_unsigned_and_a_key_signs_at_once(archive: Archive) -> None:
    first = archive.run(ledger=Ledger(ORIGIN))
    assert first.checkpoint.count("\n") == 4 and first.checkpoint.endswith("\n\n")
    second = archive.run(ledger=SIGNED)
    assert newest(archive).text() + "\n" == first.checkpoint
    assert second.checkpoint.startswith(first.checkpoint)


def test_deletion_and_quarantine_are_told(archive: Archive, servers: FakeServers) -> None:
    archive.run(ledger=SIGNED)
    with Catalog.open(archive.catalog_file) as catalog:
        folder = catalog.source_folder("mail1", ALICE, "INBOX")
        (row,) = catalog.messages(folder.id, folder.uidvalidity, [1]).values()
        statement = "INSERT INTO receipts VALUES (?, ?, 1, ?, ?, 0, NULL, 1, '{}')"
        with catalog.transaction():
            catalog._db.execute(statement, (folder.id, folder.uidvalidity, row.digest, row.size))
        catalog.complete_receipts(folder.id, folder.uidvalidity, 1, [1], {})
    servers.folder("mail1", ALICE).add(mail(7))
    archive.run(ledger=SIGNED)
    (told,) = entries(archive, "deleted")
    place = {"server": "mail1", "mailbox": ALICE, "folder": "INBOX", "uidvalidity": folder.uidvalidity, "uid": 1}
    assert row.digest is not None
    assert place.items() <= told.items() and told["digest"] == row.digest.hex() and told["size"] == row.size


def test_an_archive_that_is_older_than_the_ledger_is_taken_in(archive: Archive) -> None:
    archive.run()
    for path in (archive.root / "evidence").iterdir():
        path.unlink()
    with contextlib.closing(sqlite3.connect(archive.catalog_file)) as database, database:
        database.execute("UPDATE evidence SET entries = 0, bytes = 0")
    database.close()
    archive.run(ledger=SIGNED)
    assert {entry["digest"] for entry in entries(archive, "adopted")} == {
        row[0].lower() for row in archive.rows("SELECT hex(digest) FROM objects")
    }
    ledger_of(archive.root)


@pytest.mark.parametrize("point", ["placed", "synced", "committed", "ending", "sealed"])
def test_a_run_that_dies_leaves_nothing_in_the_ledger_that_the_next_one_says_again(archive: Archive, point: str) -> None:
    class DiedError(Exception):
        pass

    def die(name: str) -> None:
        if name == point:
            raise DiedError

    with pytest.raises(DiedError):
        archive.run(die, ledger=SIGNED)
    archive.run(ledger=SIGNED)
    keys = ("mailbox", "folder", "uid")
    assert all(
        count == 1 for count in Counter(tuple(entry[key] for key in keys) for entry in entries(archive, "archived")).values()
    )
    assert len(entries(archive, "archived")) == 4
    ledger_of(archive.root)


class Case(t.NamedTuple):
    tamper: t.Callable[[Path], object]
    told: str


def change_entry(root: Path) -> None:
    path = root / evidence_log.ENTRIES
    path.write_bytes(path.read_bytes().replace(b'"uid":1', b'"uid":7', 1))


TAMPERS = {
    "entries cut": Case(lambda root: os.truncate(root / evidence_log.ENTRIES, 100), "are committed"),
    "entries gone": Case(lambda root: (root / evidence_log.ENTRIES).unlink(), "are committed"),
    "hashes cut": Case(lambda root: os.truncate(root / evidence_log.HASHES, 32), "are committed"),
    "entry added": Case(lambda root: os.truncate(root / evidence_log.ENTRIES, 9_999), "older than the ledger"),
    "directory gone": Case(lambda root: (root / "evidence").rename(root / "reports/evidence"), "is not there"),
}


@pytest.mark.parametrize("name", TAMPERS)
def test_a_ledger_that_is_not_what_was_committed_is_not_continued(archive: Archive, servers: FakeServers, name: str) -> None:
    archive.run(ledger=SIGNED)
    TAMPERS[name].tamper(archive.root)
    servers.folder("mail1", ALICE).add(mail(8))
    before = archive.substance()
    with pytest.raises(StoreError, match=TAMPERS[name].told):
        archive.run(ledger=SIGNED)
    assert archive.substance() == before


def test_a_forged_history_is_not_signed_but_mail_is_archived(archive: Archive, servers: FakeServers) -> None:
    kept = archive.run(ledger=SIGNED).checkpoint
    change_entry(archive.root)
    lines = (archive.root / evidence_log.ENTRIES).read_bytes().splitlines()
    for name in ("hashes", "checkpoint"):
        (archive.root / "evidence" / name).unlink()
    log = EvidenceLog.__new__(EvidenceLog)
    (archive.root / evidence_log.ENTRIES).write_bytes(b"")
    log = EvidenceLog(str(archive.root), Position(0, 0))
    log.append(lines)
    log.close()
    servers.folder("mail1", ALICE).add(mail(8))
    report = archive.run(ledger=Ledger(ORIGIN, PEM, elsewhere=[kept]))
    assert "they were changed" in report.ledger_problem and report.checkpoint == ""
    # A restored archive that has grown beyond the checkpoint looks the same, and is not damaged.
    assert "begin a new one, if it was restored from a backup that is older than the checkpoint" in report.ledger_problem
    assert [problem.where for problem in report.problems()] == ["ledger"]
    assert report.accounts().new == 1
    assert not (archive.root / "evidence/checkpoint").exists()


def test_a_ledger_that_was_rolled_back_is_found(archive: Archive, servers: FakeServers) -> None:
    archive.run(ledger=SIGNED)
    saved = {path: path.read_bytes() for path in (*(archive.root / "evidence").iterdir(), Path(archive.catalog_file))}
    servers.folder("mail1", ALICE).add(mail(8))
    kept = archive.run(ledger=SIGNED).checkpoint
    for path, content in saved.items():
        path.write_bytes(content)
    report = archive.run(ledger=Ledger(ORIGIN, PEM, elsewhere=[kept]), mailbox=BOB)
    assert "rolled back" in report.ledger_problem


def test_a_catalog_that_is_older_than_a_checkpoint_cuts_nothing(archive: Archive, servers: FakeServers) -> None:
    archive.run(ledger=SIGNED)
    older = Path(archive.catalog_file).read_bytes()
    servers.folder("mail1", ALICE).add(mail(8))
    archive.run(ledger=SIGNED)
    Path(archive.catalog_file).write_bytes(older)
    (archive.root / "dirty").write_text(json.dumps({"started": 1, "run": "1", "commits": 0}))
    before = (archive.root / evidence_log.ENTRIES).read_bytes(), archive.files(), archive.tree()
    with pytest.raises(StoreError, match="the catalog is older"):
        archive.run(ledger=SIGNED)
    assert ((archive.root / evidence_log.ENTRIES).read_bytes(), archive.files(), archive.tree()) == before


def test_the_key_is_checked_and_never_shown(archive: Archive) -> None:
    with pytest.raises(InputError, match="ledger_key") as caught:
        archive.run(ledger=Ledger(ORIGIN, "-----BEGIN PRIVATE KEY-----\nnot-a-key\n-----END PRIVATE KEY-----\n"))
    assert "not-a-key" not in str(caught.value)
    assert "PRIVATE" not in repr(SIGNED)
    assert base64.b64encode(b"not a secret")[:8].decode() not in repr(SIGNED)


def test_nothing_is_signed_in_the_name_of_another_ledger(archive: Archive, servers: FakeServers) -> None:
    archive.run(ledger=SIGNED)
    path = archive.root / "evidence/checkpoint"
    path.write_text(
        evidence_note.unsigned(evidence_note.parse_note(path.read_text())[0].replace(ORIGIN, "another.example.com/srv"))
    )
    servers.folder("mail1", ALICE).add(mail(8))
    report = archive.run(ledger=SIGNED)
    cause = f"it is the ledger {ORIGIN}, a checkpoint is of another.example.com/srv"
    remedy = "Give each archive its own checkpoints, and find out who changed the one in it"
    assert report.ledger_problem == f"{archive.root}/evidence: {cause}. {remedy}."
    assert (report.checkpoint, report.outcome, report.accounts().new) == ("", "problems", 1)
    assert "another" in path.read_text() and "\N{EM DASH}" not in path.read_text()


def test_a_checkpoint_that_cannot_be_read_is_told_with_its_path(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    (archive.root / "evidence/checkpoint").write_bytes(b"\0" * 200)
    report = archive.run(ledger=SIGNED)
    assert "evidence/checkpoint: " in report.ledger_problem and "remove it" in report.ledger_problem
    (archive.root / "evidence/checkpoint").unlink()
    assert archive.run(ledger=SIGNED).ledger_problem == ""
    assert newest(archive).size == len(entries(archive))


def test_a_run_that_ends_with_an_error_signs_what_was_committed(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.run(ledger=SIGNED)
    before = len(entries(archive))
    servers.folder("mail1", ALICE).add(mail(8))
    commit = Catalog.commit
    refusals = ["the next one fails"]

    def fails(catalog: Catalog, batches: t.Any, evidence: t.Any = None, *more: t.Any) -> t.Any:
        if evidence is not None and refusals:
            raise StoreError(refusals.pop(), "no room", "Make room")
        return commit(catalog, batches, evidence, *more)

    monkeypatch.setattr(Catalog, "commit", fails)
    with pytest.raises(StoreError, match="no room") as caught:
        archive.run(ledger=SIGNED)
    assert caught.value.details["checkpoint"] == (archive.root / "evidence/checkpoint").read_text()
    assert [entry["event"] for entry in entries(archive)[before:]] == ["run"]
    assert newest(archive).size == before + 1
    archive.run(ledger=SIGNED)
    assert len(entries(archive, "archived")) == 5
    ledger_of(archive.root)


def test_many_waiting_entries_are_taken_page_by_page(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "PAGE", 2)
    with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
        for number in range(7):
            catalog.note("lost", by="admin", digest=f"{number:064x}", size=1, reason="a test")
    archive.run(ledger=SIGNED)
    assert [int(entry["digest"], 16) for entry in entries(archive, "lost")] == list(range(7))
    ledger_of(archive.root)


def test_another_key_signs_at_once(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    note = archive.run(ledger=Ledger(ORIGIN, fresh)).checkpoint
    assert evidence_note.verify(note, evidence_note.Signer(fresh, ORIGIN).verifier_key).size == len(entries(archive))


def test_a_message_in_quarantine_is_told_once(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).bad.add(1)
    for _ in range(4):
        archive.run(ledger=SIGNED, quarantine_after=1, reconcile_days=0)
    assert [entry["uid"] for entry in entries(archive, "quarantined")] == [1]


def test_no_run_goes_on_with_a_ledger_whose_rebuild_was_cut_short(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    with Catalog.open(archive.catalog_file) as catalog:
        catalog.set_meta(REPLACED, "1")
    (archive.root / "dirty").write_text(json.dumps({"started": 1, "run": "1", "commits": 0}))
    (archive.root / evidence_log.ENTRIES).write_bytes(b"half of another ledger, longer than what is committed\n" * 99)
    with pytest.raises(StoreError, match=r"did not come to its end.*what: ledger"):
        archive.run(ledger=SIGNED)
    assert (archive.root / evidence_log.ENTRIES).read_bytes().count(b"half") == 99
