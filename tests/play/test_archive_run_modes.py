# SPDX-License-Identifier: GPL-3.0-or-later
"""The modes of archive_run in playbooks: test and estimate, checked or not, before and beside an archive; a stop of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import FETCHED, MAILBOXES, Site, Watch, furnish
from tests.play.helpers import play
from tests.play.trees import tree


@pytest.fixture(scope="module")
def site(lab_factory: Factory) -> Site:
    return furnish(lab_factory(servers=2, users=3), 60)


def test_test_and_estimate_write_nothing_and_tell_what_a_run_finds(site: Site, tmp_path: Path) -> None:
    root, (mail1, mail2) = tmp_path / "archive", site.servers
    play(*site.ready(root))
    before, watch = tree(root), Watch(mail1, mail2)
    tested, checked = play(*(site.run(root, MAILBOXES, mode="test", check=check) for check in (False, True)))
    assert not any(watch.commands()[name] for name in FETCHED)
    for answer in (tested, checked):
        assert (answer.changed, answer.failed) == (False, False)
        assert answer.msg == "6 of 6 mailboxes can be read"
        assert len(answer.result["table"]) == 7
    estimated, nothing = play(site.run(root, MAILBOXES, mode="estimate"), site.run(root, MAILBOXES, mode="stop"))
    assert tree(root) == before
    assert nothing.msg == "Nothing to stop: no run is under way"
    (real,) = play(site.run(root, MAILBOXES))
    for name, ours in (("messages", "new"), ("bytes", "bytes")):
        assert estimated.result["estimate"][name] == real.result["run"][ours] > 0
    assert real.result["table"][0].split()[0] == "profile"


def test_a_wrong_master_password_is_told_before_there_is_an_archive(site: Site, tmp_path: Path) -> None:
    (mail1, mail2), root = site.servers, tmp_path / "none"
    leaver = {
        "name": "leaver",
        "method": "single_mailbox",
        "mailbox": "alice@example.com",
        "target_user": "bob",
        "credentials": "master",
    }
    watch = Watch(mail1, mail2)
    wrong = [site.access(mail1, master_password="not-a-secret-but-wrong")]
    (answer,) = play(site.run(root, leaver, mode="test", servers=wrong))
    assert answer.failed and not root.exists()
    assert [row["verdict"] for row in answer.result["test"]] == ["wrong_master_password"]
    assert len(watch.refused(mail1)) == 1
