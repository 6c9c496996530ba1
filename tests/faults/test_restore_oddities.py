# SPDX-License-Identifier: GPL-3.0-or-later
"""Ugly mail goes back byte for byte, large and small, and a run afterwards knows all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore import Restore, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import IN_MEMORY
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from tests.faults.imap_server import PASSWORD, ImapServer
from tests.faults.imap_state import Folder
from tests.faults.raw_run import ALICE, RawRun
from tests.lab.oddities import oddities
from tests.proof.independent_archive import Archive


def placed(root: Path) -> list[tuple[str, str]]:
    return sorted((one.directory, one.digest) for one in Archive(root).placements)


def held(folder: Folder) -> list[tuple[str, float, tuple[str, ...]]]:
    return sorted((hashlib.sha256(one.body[:]).hexdigest(), one.internaldate.timestamp(), one.flags) for one in folder.messages)


def test_oddities_go_back_as_they_came_and_a_run_files_none_of_them_twice(tmp_path: Path) -> None:
    mail = oddities()
    assert max(map(len, mail.values())) > IN_MEMORY
    with ImapServer() as server:
        server.state.folder(ALICE).add(*mail.values(), flags=("\\Answered", "\\Seen"))
        run = RawRun(tmp_path / "archive", {"mail1": server})
        run.go()
        before, archived = held(server.state.folder(ALICE)), placed(run.archive.root)
        # As after the loss of the mailbox.
        server.state.restore({ALICE: {b"INBOX": Folder(uidvalidity=2)}})
        where = parse_servers([{"name": "mail1", "host": "127.0.0.1", "port": server.port, "access": "IMAP"}])
        wish = Wish(str(run.archive.root), ALICE, where, Secrets(), password=PASSWORD)
        report = Restore(wish, Silent()).run()
        assert (report.total("appended"), report.total("compared"), report.failures) == (len(mail), len(mail), [])
        assert held(server.state.folder(ALICE)) == before
        again = run.go()
        # Their UIDs are new; the messages are not.
        assert (again.accounts().seen, again.problems()) == (len(mail), [])
        assert (again.objects, again.placements) == (0, 0)
        assert placed(run.archive.root) == archived
