# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/evidence.md: a key, a printed checkpoint, and a proof that is checked years later."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, proof_module
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from tests.docs import blocks
from tests.unit.module_utils.archive.backup_steps import DOCS, commands
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ORIGIN = "archive1.example.com/srv/archive/kerio"
CHECKER = DOCS.parent / "standalone" / "check_proof.py"
ELSEWHERE = 'python3 check_proof.py message invoice.eml invoice.tlog-proof --key "$(cat archive1.vkey)" --checkpoint kept-in-git'
CHECKED_BY = f"{shlex.quote(sys.executable)} -I"


def run(block: str, folder: Path, **variables: str) -> str:
    """Run one block in a folder; what it printed."""
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_key_a_kept_checkpoint_and_a_proof_years_later(tmp_path: Path, servers: FakeServers) -> None:
    make, publish = commands("evidence.md", "A key")
    (restore,) = commands("evidence.md", "Where checkpoints go")
    check, whole = commands("evidence.md", "Prove a message")
    folder = tmp_path / "years later"
    folder.mkdir()
    for block in (make, publish):
        run(block, folder, ORIGIN=ORIGIN)
    pem = (folder / "ledger.pem").read_text()
    assert (folder / "ledger.vkey").read_text() == evidence_note.Signer(pem, ORIGIN).verifier_key + "\n"
    (folder / "ledger.pem").unlink()

    archive = Archive(tmp_path / "archive", servers)
    archive.profiles = [MULTIPLE]
    archive.user("alice@example.com")
    servers.folder("mail1", "alice@example.com").add(mail(1))
    kept = archive.run(ledger=Ledger(ORIGIN, pem)).checkpoint
    run(restore, folder, LINE="checkpoint: " + " ".join(kept.split()))
    assert (folder / "kept.checkpoints").read_text() == kept + "\n"
    servers.folder("mail1", "alice@example.com").add(mail(2))
    newest = archive.run(ledger=Ledger(ORIGIN, pem)).checkpoint
    digest = hashlib.sha256(mail(2)).hexdigest()
    proof_module.declare({"root": str(archive.root), "messages": [digest], "since": kept, "dest": str(folder)}, False)
    shutil.copy(CHECKER, folder)
    said = run(check.replace("python3", CHECKED_BY), folder, DIGEST=digest)
    assert said.splitlines().count("PROVEN") == 3
    for own, given in (
        (f"{digest}.eml", "invoice.eml"),
        (f"{digest}.tlog-proof", "invoice.tlog-proof"),
        ("ledger.vkey", "archive1.vkey"),
    ):
        shutil.copy(folder / own, folder / given)
    (folder / "kept-in-git").write_text(newest + "\n")
    assert "PROVEN" in run(blocks.documented("standalone/README.md", ELSEWHERE).replace("python3", CHECKED_BY), folder)
    shutil.copy(archive.root / "evidence" / "entries", folder)
    assert "complete and in order" in run(whole.replace("python3", CHECKED_BY), folder)


def test_an_unsigned_checkpoint_in_one_line_becomes_a_file_as_well(tmp_path: Path) -> None:
    (restore,) = commands("evidence.md", "Where checkpoints go")
    checkpoint = f"{ORIGIN}\n7\n{evidence_note.encoded(bytes(32))}\n\n"
    run(restore, tmp_path, LINE="checkpoint: " + " ".join(checkpoint.split()))
    assert (tmp_path / "kept.checkpoints").read_text() == checkpoint + "\n"


def example(first_word: str) -> str:
    blocks = [part.split("```", 1)[0] for part in (DOCS / "evidence.md").read_text("utf-8").split("```yaml\n")[1:]]
    (found,) = [block for block in blocks if block.startswith(first_word)]
    return found


@pytest.mark.parametrize("name", ["vault_archive_ledger_key", "archive_ledger_verifier_keys", "archive_ledger_checkpoints_dir"])
def test_the_variables_of_the_documentation_are_those_of_the_playbooks(name: str) -> None:
    assert list(yaml.safe_load(example(name))) == [name]
    used = [path for path in (DOCS.parent / "playbooks").rglob("*.yml") if name in path.read_text("utf-8")]
    assert used
