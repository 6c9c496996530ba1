# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_audit in a playbook: what a run wrote, nothing written by looking, and a ledger that somebody changed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.play.helpers import Step, assert_one_sentence, play
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.test_evidence import ORIGIN, PEM, SIGNED, evidence_note


@pytest.mark.shows("run", "check", "by_hand", "broken")
def test_what_the_ledger_says_until_somebody_changes_it(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user("alice@example.com")
    archive.profiles = [MULTIPLE]
    servers.folder("mail1", "alice@example.com").add(mail(1), mail(2))
    archive.run(ledger=SIGNED)
    key = evidence_note.Signer(PEM, ORIGIN).verifier_key

    def audit(*, check: bool = False, **options: object) -> Step:
        given = {"root": str(archive.root), "ledger_verifier_key": key, **options}
        return Step("archive_audit", given, check, python=sys.executable)

    by_hand = {"path": str(archive.root / "evidence/entries"), "regexp": '"uid":', "replace": '"uID":'}
    check, found, _changed, forged, absent = play(
        audit(check=True), audit(events=["archived"]), Step("ansible.builtin.replace", by_hand), audit(), audit(root="/nowhere")
    )
    assert [answer.status for answer in (check, found)] == ["ok", "ok"]
    assert check.result["ledger"] == found.result["ledger"]
    assert [entry["uid"] for entry in found.result["entries"]] == [1, 2]
    assert forged.failed and forged.result["ledger"]["fits"] is False
    assert "the ledger was changed" in forged.msg
    assert_one_sentence(absent, "/nowhere: it holds no archive", "Give the root of an archive")
