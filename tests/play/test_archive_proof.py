# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_proof in a playbook: files are written, left as they are, mended, and refused where nothing can be proven."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from tests.play.helpers import Step, assert_one_sentence, play
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.test_evidence import SIGNED

DIGEST = hashlib.sha256(mail(1)).hexdigest()


@pytest.mark.shows("run", "again", "check", "by_hand", "broken")
def test_proofs_are_written_once_and_again_when_somebody_changes_them(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user("alice@example.com")
    archive.profiles = [MULTIPLE]
    servers.folder("mail1", "alice@example.com").add(mail(1), mail(2))
    archive.run(ledger=SIGNED)
    message = tmp_path / "proofs" / f"{DIGEST}.eml"
    options = {"root": str(archive.root), "messages": [DIGEST], "dest": str(message.parent)}

    def prove(*, check: bool = False, **changed: object) -> Step:
        return Step("archive_proof", {**options, **changed}, check, python=sys.executable)

    by_hand = Step("ansible.builtin.copy", {"dest": str(message), "content": "forged", "mode": "0644"})
    unknown = prove(messages=[hashlib.sha256(mail(9)).hexdigest()])
    nowhere = prove(root=str(tmp_path / "nowhere"))
    check, first, again, _changed, mended, refused, absent = play(
        prove(check=True), prove(), prove(), by_hand, prove(), unknown, nowhere
    )
    assert [answer.status for answer in (check, first, again, mended)] == ["changed", "changed", "ok", "changed"]
    assert check.diff == first.diff
    assert sorted(mended.diff["after"]["files"]) == [message.name]
    assert (message.read_bytes(), message.stat().st_mode & 0o777) == (mail(1), 0o600)
    assert message.with_suffix(".tlog-proof").read_text() == first.result["proofs"][0]["proof"]
    assert_one_sentence(refused, "it has no entry of", "mail programs change the bytes")
    assert_one_sentence(absent, "it holds no archive", "Give the root of an archive, or mount its disk")
