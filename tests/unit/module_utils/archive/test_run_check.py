# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB = "alice@example.com", "bob@example.com"


def test_a_mailbox_that_two_profiles_read_counts_as_new_once(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "log")
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    servers.folder("mail1", BOB)
    archive = Archive(tmp_path / "archive", servers)
    archive.user(ALICE)
    archive.user(BOB)
    leaver = {"method": "single_mailbox", "mailbox": ALICE, "target_user": BOB, "credentials": "master"}
    archive.profiles = [{"name": "of alice for bob", **leaver}, MULTIPLE]
    before = archive.dump()
    preview = Preview(archive.options(), Silent(), servers.imap()).go()
    assert archive.dump() == before
    real = archive.run()
    for report in (preview, real):
        figures = [profile.accounts() for profile in report.profiles]
        assert [(found.new, found.known) for found in figures] == [(2, 0), (0, 2)]


@pytest.mark.parametrize("check", [True, False])
def test_one_mailbox_that_no_profile_reads_is_a_problem(tmp_path: Path, check: bool) -> None:
    servers = FakeServers(tmp_path / "log")
    servers.folder("mail1", ALICE)
    servers.folder("mail1", "archive@example.com")
    archive = Archive(tmp_path / "archive", servers)
    archive.user(ALICE)
    archive.profiles = [MULTIPLE, multidrop(credentials="master")]

    def problems_with(mailbox: str) -> list[tuple[str, str]]:
        preview = Preview(archive.options(mailbox=mailbox), Silent(), servers.imap())
        report = preview.go() if check else archive.run(mailbox=mailbox)
        return [(problem.where, problem.message) for problem in report.problems()]

    ((where, message),) = problems_with("alic@example.com")
    assert where == "mailbox alic@example.com"
    assert "no profile of this run reads it" in message
    assert problems_with(ALICE) == problems_with("archive@example.com") == []
