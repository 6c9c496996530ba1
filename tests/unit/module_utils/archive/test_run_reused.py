# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the mail of a newcomer lies that came while nobody had said whose the name is, then and after ``separate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users_sync
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop
from tests.unit.module_utils.archive.users_scene import Data, person, wish

ALICE, JOURNAL = "alice@example.com", "archive@example.com"
LEFT, INBOX = f"{ALICE} (left, 1)", f'["{ALICE}", "INBOX"]'
OLD, NEW = wish(person("alice")), wish(person("alice", id="id-other"))
SEPARATE = wish(person("alice", id="id-other"), reused_names={ALICE: "separate"})


@pytest.mark.parametrize(
    ("profile", "mailbox", "own"),
    [
        # The mailbox is the newcomer's, and is read once more for whose it is now. The archive mailbox is nobody's.
        pytest.param(MULTIPLE, ALICE, 2, id="a mailbox"),
        pytest.param(multidrop(credentials="master"), JOURNAL, 1, id="the archive mailbox"),
    ],
)
def test_mail_filed_meanwhile_stays_and_that_of_a_mailbox_is_filed_for_its_user_too(
    tmp_path: Path, servers: FakeServers, profile: Data, mailbox: str, own: int
) -> None:
    archive = Archive(tmp_path / "archive", servers)
    archive.profiles = [profile]
    users_sync.synchronise(str(archive.root), OLD, check_mode=False)
    inbox = servers.folder("mail1", mailbox).add(mail(1))
    archive.run()
    inbox.expunge(1)
    inbox.add(mail(2))
    with pytest.raises(UserPlanError):
        users_sync.synchronise(str(archive.root), NEW, check_mode=False)
    archive.run()
    assert archive.placed(ALICE) == {INBOX: 2}
    before = archive.tree()
    users_sync.synchronise(str(archive.root), SEPARATE, check_mode=False)
    inbox.add(mail(3))
    assert archive.run().problems() == []
    assert (archive.placed(ALICE), archive.placed(LEFT)) == ({INBOX: own}, {INBOX: 2})
    # Nothing is taken from the old tree.
    assert set(before) <= set(archive.tree())
    assert not archive.run().changed
