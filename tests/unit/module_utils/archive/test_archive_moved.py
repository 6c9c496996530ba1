# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that is moved by the commands of docs/growth.md while runs go on is whole, and nothing is fetched again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from tests.unit.module_utils.archive import backup_steps
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.profiles = [{**MULTIPLE, "moves": "follow"}]
    servers.folder("mail1", ALICE).add(*map(mail, range(4)))
    servers.folder("mail1", ALICE, "Work")
    made.run()
    return made


def test_an_archive_is_moved(archive: Archive, tmp_path: Path) -> None:
    places = {"ARCHIVE": archive.root, "NEW": tmp_path / "new"}
    most, rest = backup_steps.commands("growth.md", "Move an archive")
    (archive.root / "dirty").write_text("{}")  # a run goes on while most of it is copied
    backup_steps.run(most, **places)
    (archive.root / "dirty").unlink()
    archive.servers.folder("mail1", ALICE).add(mail(9))
    archive.servers.folder("mail1", ALICE).expunge(2)
    archive.servers.folder("mail1", ALICE, "Work").add(mail(1))
    archive.run()
    backup_steps.run(rest, **places)

    moved = Archive(tmp_path / "new", archive.servers)
    moved.profiles = archive.profiles
    assert moved.tree() == archive.tree()
    assert backup_steps.links(moved.root) == backup_steps.links(archive.root)
    assert len(backup_steps.links(moved.root)) == 5
    assert Verification(Wish(str(moved.root), processes=1), Silent()).run().findings == []
    archive.servers.log.unlink()
    assert not moved.run().changed
    assert archive.servers.commands("FETCH") == []


def test_nothing_is_moved_onto_what_is_there(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    most, _rest = backup_steps.commands("growth.md", "Move an archive")
    with pytest.raises(AssertionError, match="File exists"):
        backup_steps.run(most, ARCHIVE=archive.root, NEW=tmp_path / "new")


def test_the_last_step_is_refused_while_a_run_goes_on(archive: Archive, tmp_path: Path) -> None:
    _most, rest = backup_steps.commands("growth.md", "Move an archive")
    with Store.open(str(archive.root), lock="archive_run"), pytest.raises(AssertionError):
        backup_steps.run(rest, ARCHIVE=archive.root, NEW=tmp_path / "new")
    assert not (tmp_path / "new").exists()
