# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run files again when a mailbox or a server is called otherwise: what docs/changed-names.md says."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_sync
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.users_scene import directory, person, wish

GONE = users.Gone(servers=frozenset({"mail1"}))
ALICE, ALICIA = "alice@example.com", "alicia@example.com"


def filled(root: Path, servers: FakeServers) -> Archive:
    archive = Archive(root, servers)
    archive.profiles = [MULTIPLE]
    users_sync.synchronise(str(archive.root), wish(person("alice")), check_mode=False)
    servers.folder("mail1", ALICE).add(mail(1))
    archive.run()
    assert archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 1}
    return archive


def test_a_mailbox_of_another_name_is_filed_below_that_name_too(tmp_path: Path, servers: FakeServers) -> None:
    archive = filled(tmp_path / "archive", servers)
    renamed = person("alicia", id="id-alice", addresses=[ALICIA, ALICE])
    users_sync.synchronise(str(archive.root), wish(renamed), check_mode=False)
    servers.folder("mail1", ALICIA).add(mail(1))
    assert archive.run().problems() == []
    assert archive.placed(ALICIA) == {f'["{ALICE}", "INBOX"]': 1, f'["{ALICIA}", "INBOX"]': 1}
    assert archive.rows("SELECT count(*) FROM objects") == [(1,)]


def test_a_server_of_another_name_files_nothing_twice(tmp_path: Path, servers: FakeServers) -> None:
    archive = filled(tmp_path / "archive", servers)
    moved = wish(directories=[directory(person("alice"), server="mail2")], gone=GONE)
    users_sync.synchronise(str(archive.root), moved, check_mode=False)
    archive.hosts = ["mail2"]
    inbox = servers.folder("mail2", ALICE)
    inbox.add(mail(1))
    inbox.add(mail(2))
    assert archive.run().problems() == []
    assert archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 2}
