# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("journal", "sent", "words"),
    [
        ({}, "Sent Items", []),
        ({}, None, []),
        ({}, "Gesendete Objekte", ["sent_folder", "alice@example.com/Sent Items", "alice@example.com/Gesendete Objekte"]),
        ({"sent_folder": "{u-email}/Gesendete Objekte"}, "Gesendete Objekte", []),
        (
            {"target_folder": "{u-email}/Inbox"},
            "Sent Items",
            ["target_folder", "2 users", "set target_folder to {u-email}/INBOX"],
        ),
        ({"target_folder": "{h-email}/INBOX"}, "Sent Items", ["target_folder", "a.angstrom@example.com/INBOX"]),
        ({"target_folder": "journal/{u-email}"}, "Sent Items", ["target_folder", "journal/alice@example.com"]),
    ],
)
def test_other_folder_names_than_those_of_the_mailboxes_are_told(
    tmp_path: Path, journal: dict[str, t.Any], sent: str | None, words: list[str], check: bool
) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user(ALICE, "a.angstrom@example.com")
    archive.user(BOB)
    for user in (ALICE, BOB):
        servers.folder("mail1", user, role="inbox").add(mail(1, user))
    if sent:
        servers.folder("mail1", ALICE, sent, role="sent")
    servers.folder("mail1", JOURNAL)
    archive.profiles = [multidrop(credentials="master", **journal), MULTIPLE]
    report = Preview(archive.options(), Silent(), servers.imap()).go() if check else archive.run()
    assert len(report.warnings) == bool(words)
    for word in words:
        assert word in report.warnings[0]
