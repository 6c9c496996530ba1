# SPDX-License-Identifier: GPL-3.0-or-later
"""What is nowhere else comes back from the server: a repair asks for it, the next run fetches it, and all is as before."""

from __future__ import annotations

import hashlib
import shutil
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.repair_scene import Inline, kinds, repaired, whole
from tests.unit.module_utils.archive.verify_tampers import STRANGER

ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Two users, of whom each has the same message, and one of its own."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    for number, user in enumerate((ALICE, BOB), 2):
        made.user(user)
        servers.folder("mail1", user).add(mail(1), mail(number))
    made.run()
    return made


def shared(archive: Archive) -> Path:
    """The object that both users have."""
    return max((archive.root / "objects").glob("*/*"), key=lambda path: path.stat().st_nlink)


def damages(archive: Archive) -> list[str]:
    wish = Wish(str(archive.root), processes=1, keep=False)
    return [f"{one.kind} {one.subject}" for one in Verification(wish, Silent()).run().findings]


def remove(archive: Archive) -> None:
    name = shared(archive).name
    shared(archive).unlink()
    for path in (archive.root / "mail").rglob(f"cur/*.{name}_*"):
        path.unlink()


def rot(archive: Archive) -> None:
    path = shared(archive)
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-5])
    path.chmod(0o440)


@pytest.mark.parametrize("damage", [remove, rot])
@pytest.mark.parametrize("gone_from", ["", ALICE])
def test_an_object_and_its_placements_come_back_with_the_next_run(
    archive: Archive, damage: t.Callable[[Archive], None], gone_from: str
) -> None:
    before, messages = archive.substance(), whole(archive.root)
    damage(archive)
    if gone_from:
        archive.servers.folder("mail1", gone_from).expunge(1)
    asked = repaired(archive.root, from_server=True)
    assert Counter(step.action for step in asked.steps) == {"read_again": 2}
    assert archive.rows("SELECT count(*) FROM source_messages WHERE state = 5") == [(2,)]
    assert "placement_missing" in kinds(asked) or damage is rot
    archive.run()
    assert damages(archive) == []
    assert whole(archive.root) == messages
    after = archive.substance()
    assert (after["objects"], after["placements"]) == (before["objects"], before["placements"])
    assert (after["messages"] == before["messages"]) is not bool(gone_from)
    again = archive.run()
    assert (again.changed, again.swept) == (False, None)


def test_a_run_puts_no_link_in_the_place_of_another_message_that_is_nowhere_else(archive: Archive) -> None:
    (one, other) = sorted((archive.root / "mail").rglob(f"cur/*.{shared(archive).name}_*"))
    object_file = shared(archive)
    remove(archive)
    one.write_bytes(Compressor().compress(STRANGER))
    repaired(archive.root, from_server=True)
    report = archive.run()
    path = str(one.relative_to(archive.root))
    assert report.damaged == [path]
    assert (other.samefile(object_file), one.samefile(object_file)) == (True, False)
    assert hashlib.sha256(STRANGER).digest() in whole(archive.root)
    assert repaired(archive.root).left == []
    assert (one.samefile(object_file), hashlib.sha256(STRANGER).digest() in whole(archive.root)) == (True, True)


def test_what_the_server_has_no_more_stays_damage(archive: Archive) -> None:
    remove(archive)
    for user in (ALICE, BOB):
        archive.servers.folder("mail1", user).expunge(1)
    repaired(archive.root, from_server=True)
    archive.run()
    result = repaired(archive.root, from_server=True)
    assert kinds(result) == {"object_missing", "placement_missing"}
    assert result.steps == []


def test_what_is_asked_for_is_asked_for_once_and_not_declared_lost(archive: Archive) -> None:
    digest = bytes.fromhex(shared(archive).name)
    remove(archive)
    asks = {"from_server": True, "declare_lost": frozenset({digest}), "reason": "gone", "by": "alice"}
    check, first, second = (repaired(archive.root, write=write, **asks) for write in (False, True, True))
    assert [{step.action for step in one.steps} for one in (check, first, second)] == [{"read_again"}, {"read_again"}, set()]
    assert [one.useless for one in (check, first, second)] == [[digest]] * 3
    assert archive.rows("SELECT * FROM lost") == []


def test_what_a_repair_adopts_is_told_to_the_ledger(archive: Archive, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(archive.root, backup)
    path = shared(archive)
    path.chmod(0o640)
    path.write_bytes(Compressor().compress(b"Subject: nobody archived this\r\n\r\n"))
    path.chmod(0o440)
    assert repaired(archive.root, backup).left == []
    archive.run()
    assert damages(archive) == []


def forget_rows(archive: Archive) -> None:
    """Of an object that is damaged: nobody counts it then, though its placements are there."""
    digest = bytes.fromhex(shared(archive).name)
    rot(archive)
    with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
        catalog._db.execute("DELETE FROM objects WHERE digest = ?", (digest,))
        counted = "(SELECT count(*), sum(size), sum(stored_size) FROM objects)"
        catalog._db.execute(f"UPDATE totals SET (objects, bytes, stored_bytes) = {counted}")  # noqa: S608


@pytest.mark.parametrize("damage", [remove, rot, forget_rows])
def test_what_was_declared_lost_and_comes_again_is_lost_no_more(archive: Archive, damage: t.Callable[[Archive], None]) -> None:
    path = shared(archive)
    digest = bytes.fromhex(path.name)
    damage(archive)
    for user in (ALICE, BOB):
        archive.servers.folder("mail1", user).expunge(1)
    archive.run()
    assert repaired(archive.root, declare_lost=frozenset({digest}), reason="gone", by="alice").lost == 1
    archive.servers.folder("mail1", ALICE, "Again").add(mail(1), mail(1))
    archive.run()
    assert digest in whole(archive.root)
    assert archive.rows("SELECT found > 0 FROM lost") == [(1,)]
    ledger = (archive.root / ENTRIES).read_text().splitlines()
    assert [line.count(path.name) for line in ledger if line.startswith('{"event":"found"')] == [1]
    assert damages(archive) == []
    assert archive.rows("SELECT count(*) FROM objects WHERE digest = ?", (digest,)) == [(1,)]
    rot(archive)
    assert f"object_damaged objects/{path.name[:2]}/{path.name}" in damages(archive)


@pytest.mark.parametrize(("word", "done"), [("objects", set()), ("steps done", {"set_mode"})])
def test_a_repair_that_is_stopped_says_so_and_the_next_one_goes_on(
    archive: Archive, tmp_path: Path, word: str, done: set[str]
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(archive.root, backup)
    remove(archive)
    min((archive.root / "objects").glob("*/*")).chmod(0o660)
    result = repaired(archive.root, backup, reporter=Impatient(word))
    assert (result.incomplete, {step.action for step in result.steps}) == ("stopped before its end", done)
    assert done == set() or kinds(result) == {"object_missing", "placement_missing"}
    again = repaired(archive.root, backup)
    assert (again.incomplete, again.left) == ("", [])


class Impatient(Silent):
    """Asks to stop once a word is said."""

    def __init__(self, word: str) -> None:
        self._word = word

    def progress(self, line: str, **_data: t.Any) -> None:
        self.stop_requested = self.stop_requested or self._word in line
