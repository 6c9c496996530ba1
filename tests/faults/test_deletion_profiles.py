# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion by what the profiles declare that do not run now, and by when they may run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion, window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.deletion_scene import DAYS, Scene, archived, of
from tests.faults.test_deletion import other_profile
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")


@pytest.mark.parametrize("kept_out", [{}, {"folders": {"exclude": ["INBOX"]}}], ids=["selected", "not selected"])
def test_the_longest_wait_counts_also_of_a_profile_that_does_not_run_now(tmp_path: Path, kept_out: dict[str, object]) -> None:
    with archived(tmp_path / "a") as scene:
        other_profile(scene, **kept_out)["delete"] = {"after_days": DAYS + 30}
        first = scene.run.profiles[0]["name"]
        scene.go(only=["second"])
        before = scene.content()
        report = scene.go(only=[first])
        if kept_out:
            assert report.deleted == 6
            return
        assert report.deleted == 0
        assert scene.content() == before
        scene.age(30)
        assert scene.go(only=[first]).deleted == 6


def test_a_profile_whose_window_closes_deletes_in_no_further_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute = [23 * 60]
    monkeypatch.setattr(window, "local_minute", lambda: minute[0])
    with Scene(tmp_path / "a", window="22:00-06:00") as scene:
        scene.folder("Projects").add(mail(50), mail(51))
        scene.archive()
        scene.script.on("UID EXPUNGE", script.before(lambda _command: minute.__setitem__(0, 6 * 60)))
        report = scene.go()
        assert not report.problems(), told(report)
        assert of(report, "Projects").spared == {deletion.CLOSED: 2}
        assert (scene.inbox.uids(), scene.folder("Projects").uids()) == ([], [1, 2])
        minute[0] = 22 * 60
        assert scene.go().deleted == 2


def test_check_mode_tells_that_a_run_would_delete_what_it_archives_too(tmp_path: Path) -> None:
    with Scene(tmp_path / "a", delete={"after_days": 0}) as scene:
        scene.go(mailbox="nobody@example.com")
        looked = Preview(scene.run.options(), Silent()).go()
        (warning,) = [text for text in looked.warnings if "after_days 0" in text]
        assert "profile mail1 alice@example.com" in warning and "6 messages" in warning
        assert scene.go().deleted == 6
        scene.run.profiles[0]["delete"] = {"after_days": 1}
        scene.inbox.add(mail(50))
        assert not [text for text in Preview(scene.run.options(), Silent()).go().warnings if "after_days" in text]


def test_a_message_whose_date_the_server_never_told_stays(tmp_path: Path) -> None:
    """Its age cannot be told."""

    def undated(answer: bytes) -> bytes:
        return re.sub(rb' INTERNALDATE "[^"]*"', b"", answer)

    with Scene(tmp_path / "a") as scene:
        scene.script.on("UID FETCH", script.edit(undated))
        scene.archive()
        before = scene.content()
        assert of(scene.go()).spared == {deletion.NO_DATE: 6}
        assert scene.content() == before
