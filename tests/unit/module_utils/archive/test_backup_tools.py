# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync, restic and Borg by the commands of docs/backup.md: restored elsewhere, for another owner, with every link and byte."""

from __future__ import annotations

import os
import shutil
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import snapshot, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from tests.unit.module_utils.archive import backup_steps
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE, BOB = "alice@example.com", "bob@example.com"
ROOT_USER = 0
OWNER = (65534, 65534) if os.geteuid() == ROOT_USER else (os.getuid(), os.getgid())


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Two users who have the same mail, so that objects have three links, in folders with awkward names."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    for user in (ALICE, BOB):
        made.user(user)
        servers.folder("mail1", user).add(*map(mail, range(4)))
        servers.folder("mail1", user, "Übergröße/100% \\ .hidden").add(mail(9))
    made.run()
    return made


class Tool(t.NamedTuple):
    """A heading of the documentation, what prepares its repository, and its environment."""

    heading: str
    prepare: str
    environment: dict[str, str]


TOOLS = (
    Tool("rsync", 'mkdir "$BACKUP"', {}),
    Tool("restic", "restic init", {"RESTIC_PASSWORD": "not-a-secret", "RESTIC_CACHE_DIR": "$HOME/cache"}),
    Tool("Borg", "borg init --encryption none", {"BORG_BASE_DIR": "$HOME/borg"}),
)


def test_a_second_rsync_forgets_old_folders_of_a_message_and_no_object(archive: Archive, tmp_path: Path) -> None:
    places = {"ARCHIVE": archive.root, "BACKUP": tmp_path / "copy"}
    there, _back = backup_steps.commands("backup.md", "rsync")
    places["BACKUP"].mkdir()
    snapshot.take(str(archive.root))
    backup_steps.run(there, **places)
    copied = backup_steps.links(places["BACKUP"])
    first, second, *_ = sorted((archive.root / "mail").rglob("cur/*"))
    moved = second.parents[2] / "Moved/cur" / first.name
    moved.parent.mkdir(parents=True)
    first.rename(moved)
    lost = next(name for name in copied if second.name.partition(".")[2][:64] in name)
    (archive.root / lost).unlink()
    backup_steps.run(there, **places)
    now = backup_steps.links(places["BACKUP"])
    assert now.keys() == copied.keys()
    names = set().union(*now.values())
    assert str(moved.relative_to(archive.root)) in names
    assert str(first.relative_to(archive.root)) not in names
    assert lost in names


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.heading)
def test_an_archive_comes_back_from_the_second_backup(archive: Archive, tmp_path: Path, tool: Tool) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    environment = {name: value.replace("$HOME", str(tmp_path)) for name, value in tool.environment.items()}
    places = {"ARCHIVE": archive.root, "BACKUP": copy, "RESTIC_REPOSITORY": copy, "BORG_REPO": copy, "NEW": new}
    there, back = backup_steps.commands("backup.md", tool.heading)
    backup_steps.run(tool.prepare, **environment, **places)
    for number in (20, 21):
        archive.servers.folder("mail1", ALICE).add(mail(number))
        archive.run()
        snapshot.take(str(archive.root))
        backup_steps.run(there, **environment, **places)
    was = backup_steps.links(archive.root)
    contents = {name: (archive.root / name).read_bytes() for name in was}
    shutil.rmtree(archive.root)

    backup_steps.run(back, **environment, **places)
    backup_steps.settle(new, ":".join(map(str, OWNER)))
    found = Archive(new, archive.servers)  # makes the directories of the host, as archive_store does
    for name in ("jobs", "reports", "staging"):
        os.chown(new / name, *OWNER)
    assert backup_steps.links(new) == was
    assert sorted(map(len, was.values())) == [2, 2, 3, 3, 3, 3, 3]
    assert {name: (new / name).read_bytes() for name in was} == contents
    assert {stat.S_IMODE((new / name).stat().st_mode) for name in was} == {0o440}
    assert {((new / name).stat().st_uid, (new / name).stat().st_gid) for name in was} == {OWNER}
    assert Verification(Wish(str(new), processes=1), Silent()).run().findings == []
    archive.servers.log.unlink()
    found.profiles = archive.profiles
    assert not found.run().changed
    assert archive.servers.commands("FETCH") == []
