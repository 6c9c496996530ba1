# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_proof: proofs of messages of real runs, checked by the program that knows nothing of this project."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import zstandard

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, proof_files
from ansible_collections.mailops.kerio.plugins.modules import archive_backup, archive_proof
from tests.play.trees import tree
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.test_evidence import ALICE, BOB, ORIGIN, PEM, SIGNED

VKEY = evidence_note.Signer(PEM, ORIGIN).verifier_key
CHECKER = Path(__file__).parents[3] / "standalone/check_proof.py"
FIRST, SECOND = mail(1), mail(2)


def sha256(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.user(ALICE)
    made.user(BOB)
    servers.folder("mail1", ALICE).add(FIRST, SECOND, SECOND)
    servers.folder("mail1", BOB, "Projects").add(SECOND)
    return made


def prove(archive: Archive, *messages: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_proof.main, check=check, root=str(archive.root), messages=list(messages), **options)


def verdict(*words: str | Path) -> tuple[int, str]:
    """What the independent program says, in a process that cannot import this project."""
    command = [sys.executable, "-I", str(CHECKER), *map(str, words), "--key", VKEY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.shows("change", "again", "diff")
def test_files_prove_messages_of_a_run_to_the_independent_program(archive: Archive, tmp_path: Path) -> None:
    kept = archive.run(ledger=SIGNED).checkpoint
    archive.servers.folder("mail1", ALICE).add(mail(3))
    archive.run(ledger=SIGNED)
    dest = tmp_path / "proofs"
    before = tree(archive.root)
    options = {"dest": str(dest), "since": kept.strip()}
    result = prove(archive, sha256(FIRST), sha256(mail(3)), **options)
    names = sorted([*(f"{sha256(one)}.{end}" for one in (FIRST, mail(3)) for end in ("eml", "tlog-proof")), "consistency.proof"])
    assert result["changed"] and sorted(path.name for path in dest.iterdir()) == names
    assert list(result["diff"]["after"]["files"]) == names and result["diff"]["before"] == {}
    assert {path.stat().st_mode & 0o777 for path in dest.iterdir()} == {0o600}
    for message in (FIRST, mail(3)):
        digest = sha256(message)
        assert (dest / f"{digest}.eml").read_bytes() == message
        status, said = verdict("message", dest / f"{digest}.eml", dest / f"{digest}.tlog-proof")
        assert (status, said.splitlines()[0]) == (0, "PROVEN"), said
        assert f"mailbox: {ALICE}" in said
    assert verdict("message", dest / f"{sha256(FIRST)}.eml", dest / f"{sha256(mail(3))}.tlog-proof")[0] == 1
    status, said = verdict("consistency", dest / "consistency.proof")
    assert (status, f"of {result['tree_size']} entries begins with the {kept.splitlines()[1]}" in said) == (0, True), said
    assert [proof["entry"]["uid"] for proof in result["proofs"]] == [1, 4]
    assert (dest / f"{sha256(FIRST)}.tlog-proof").read_text() == result["proofs"][0]["proof"]

    written = tree(dest)
    again = prove(archive, sha256(FIRST), sha256(mail(3)), **options)
    assert (again["changed"], again["diff"]["after"], again["warnings"]) == (False, {}, [])
    assert tree(dest) == written
    assert tree(archive.root) == before


@pytest.mark.shows("check")
def test_check_mode_tells_the_same_and_writes_nothing(archive: Archive, tmp_path: Path) -> None:
    archive.run(ledger=SIGNED)
    dest = tmp_path / "proofs"
    check = prove(archive, sha256(FIRST), check=True, dest=str(dest))
    assert check["changed"] and not dest.exists()
    real = prove(archive, sha256(FIRST), dest=str(dest))
    assert (real["diff"], real["proofs"]) == (check["diff"], check["proofs"])
    (dest / f"{sha256(FIRST)}.eml").chmod(0o644)
    (dest / f"{sha256(FIRST)}.tlog-proof").write_text("something else")
    mended = prove(archive, sha256(FIRST), dest=str(dest))
    assert mended["diff"]["before"]["files"][f"{sha256(FIRST)}.eml"] == {"mode": "0644"}
    assert sorted(mended["diff"]["after"]["files"][f"{sha256(FIRST)}.tlog-proof"]) == ["sha256"]
    assert not prove(archive, sha256(FIRST), dest=str(dest))["changed"]


def test_a_message_can_be_named_in_every_way(archive: Archive, tmp_path: Path) -> None:
    archive.run(ledger=SIGNED)
    (tmp_path / "saved.eml").write_bytes(FIRST)
    (tmp_path / "packed.eml").write_bytes(zstandard.compress(FIRST))
    placement = next(archive.root.glob(f"mail/*/*/INBOX/cur/*{sha256(FIRST)}*"))
    object_file = archive.root / "objects" / sha256(FIRST)[:2] / sha256(FIRST)
    names = [sha256(FIRST).upper(), placement.name, *map(str, (placement, object_file, *sorted(tmp_path.glob("*.eml"))))]
    (proof,) = prove(archive, *names)["proofs"]
    assert (proof["digest"], proof["messages"]) == (sha256(FIRST), names)


def test_what_a_run_has_not_committed_yet_does_not_disturb(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    for name in ("entries", "hashes"):
        with (archive.root / "evidence" / name).open("ab") as file:
            file.write(b'{"event":"archived","digest":"')
    result = prove(archive, sha256(FIRST))
    assert result["proofs"][0]["entry"]["uid"] == 1
    assert "it has no entry of" in prove(archive, sha256(mail(9)))["msg"]


def test_the_first_time_counts(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    archive.servers.folder("mail1", BOB, "Later").add(FIRST)
    archive.run(ledger=SIGNED)
    (proof,) = prove(archive, sha256(FIRST))["proofs"]
    assert (proof["entry"]["mailbox"], proof["entry"]["folder"]) == (ALICE, "INBOX")


def test_a_copy_that_a_backup_made_proves_as_well_mounted_read_only(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    run_module(archive_backup.main, root=str(archive.root))
    for name in ("catalog.sqlite3", "evidence/checkpoint"):
        (archive.root / name).unlink()
    program = (
        "import sys; from ansible_collections.mailops.kerio.plugins.module_utils.archive import proof_module\n"
        "told = proof_module.declare({'root': sys.argv[1], 'messages': sys.argv[2:], 'since': None, 'dest': None}, False)\n"
        "open(sys.argv[1] + '/written', 'w') if 'proves 1 of' in told['msg'] else sys.exit(told['msg'])"
    )
    mount = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$0" -c "$2" "$1" "$3"'
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-euc", mount]
    done = subprocess.run(
        [*unshare, sys.executable, str(archive.root), program, sha256(FIRST)],
        env={**os.environ, "PYTHONPATH": str(CHECKER.parents[1] / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 30] Read-only file system:"), done.stderr


def forget_checkpoint(archive: Archive) -> None:
    (archive.root / "evidence/checkpoint").unlink()


def change_entries(archive: Archive) -> None:
    path = archive.root / "evidence/entries"
    path.write_bytes(path.read_bytes().replace(b'"uid":', b'"UID":'))


def older_checkpoint(archive: Archive) -> None:
    kept = (archive.root / "evidence/checkpoint").read_bytes()
    archive.servers.folder("mail1", ALICE).add(mail(3))
    archive.run(ledger=SIGNED)
    (archive.root / "evidence/checkpoint").write_bytes(kept)


class Case(t.NamedTuple):
    spoil: t.Callable[[Archive], object]
    message: bytes
    told: tuple[str, ...]


def _nothing(_archive: Archive) -> None:
    pass


CASES = {
    "no checkpoint": Case(forget_checkpoint, FIRST, ("the ledger has no checkpoint", "Run archive_run")),
    "newer than the checkpoint": Case(older_checkpoint, mail(3), (f"that of {sha256(mail(3))} is newer", "Run archive_run")),
    "unknown": Case(_nothing, mail(9), (f"it has no entry of {sha256(mail(9))}", "mail programs change the bytes")),
    "entry changed": Case(change_entries, FIRST, ("is not the one that the checkpoint speaks of",)),
    "entries cut": Case(lambda archive: os.truncate(archive.root / "evidence/entries", 99), FIRST, ("it has 99 bytes",)),
    "no archive": Case(lambda archive: (archive.root / "format").unlink(), FIRST, ("it holds no archive",)),
    "no ledger": Case(lambda archive: (archive.root / "evidence").rename(archive.root / "gone"), FIRST, ("is not there",)),
}


@pytest.mark.shows("error")
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_proven_is_told(archive: Archive, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    archive.run(ledger=SIGNED)
    case.spoil(archive)
    result = prove(archive, sha256(case.message), dest=str(tmp_path / "proofs"))
    assert result["failed"] and not result["changed"], result
    for word in case.told:
        assert word in result["msg"]
    assert not (tmp_path / "proofs").exists()


OPTIONS: dict[str, tuple[dict[str, t.Any], str]] = {
    "nothing": ({}, "there is nothing to prove"),
    "no name": ({"messages": ["invoice.eml"]}, "names no message"),
    "no file": ({"messages": ["/no/such.eml"]}, "No such file"),
    "relative dest": ({"messages": ["0" * 64], "dest": "here"}, "dest"),
    "no checkpoint": ({"since": "yesterday"}, "it is not an origin, a size and a root"),
    "another ledger": ({"since": f"other\n1\n{evidence_note.encoded(bytes(32))}\n\n"}, "it is of the ledger other"),
    "changed": ({"since": f"{ORIGIN}\n1\n{evidence_note.encoded(bytes(32))}\n\n"}, "they were changed"),
    "rolled back": ({"since": f"{ORIGIN}\n999\n{evidence_note.encoded(bytes(32))}\n\n"}, "the ledger was rolled back"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_cannot_be_asked_for_is_told(archive: Archive, name: str) -> None:
    archive.run(ledger=SIGNED)
    options, told = OPTIONS[name]
    result = run_module(archive_proof.main, root=str(archive.root), **options)
    assert result["failed"]
    assert told in result["msg"]


def test_a_checkpoint_that_is_newer_than_that_of_the_archive_waits_for_the_next_run(archive: Archive) -> None:
    archive.run(ledger=SIGNED)
    older = (archive.root / "evidence/checkpoint").read_bytes()
    archive.servers.folder("mail1", ALICE).add(mail(3))
    kept = archive.run(ledger=SIGNED).checkpoint
    (archive.root / "evidence/checkpoint").write_bytes(older)
    result = run_module(archive_proof.main, root=str(archive.root), since=kept)
    sizes = [note.splitlines()[1] for note in (kept, older.decode())]
    told = f"since: it has {sizes[0]} entries, but the newest checkpoint of the archive only {sizes[1]}"
    assert (result["failed"], result["msg"]) == (True, f"{told}. Run archive_run: it signs a checkpoint at its end.")
    archive.run(ledger=SIGNED)
    assert not run_module(archive_proof.main, root=str(archive.root), since=kept)["failed"]


def test_nothing_is_written_into_the_archive_nor_of_a_damaged_message(archive: Archive, tmp_path: Path) -> None:
    archive.run(ledger=SIGNED)
    before = tree(archive.root)
    inside = prove(archive, sha256(FIRST), dest=str(archive.root / "reports/proofs"))
    assert (inside["failed"], tree(archive.root)) == (True, before)
    damaged = archive.root / "objects" / sha256(SECOND)[:2] / sha256(SECOND)
    damaged.chmod(0o640)
    damaged.write_bytes(zstandard.compress(b"forged"))
    result = prove(archive, sha256(FIRST), sha256(SECOND), dest=str(tmp_path / "proofs"))
    assert (result["failed"], "the object is damaged" in result["msg"]) == (True, True)
    assert not (tmp_path / "proofs").exists()
    assert len(prove(archive, sha256(SECOND))["proofs"]) == 1


def test_an_archive_without_a_key_is_proven_and_warned_of(archive: Archive) -> None:
    archive.run()
    (warning,) = prove(archive, sha256(FIRST))["warnings"]
    assert warning.startswith("The checkpoint is not signed")
    assert "vault_archive_ledger_key in the inventory" in warning


def test_a_big_message_is_handed_out_in_pieces(tmp_path: Path) -> None:
    pieces = [b"a" * proof_files.CHUNK] * 3
    content = b"".join(pieces)
    handout = proof_files.Handout("big", sha256(content), lambda: iter(pieces))
    assert proof_files.settle(str(tmp_path / "out"), [handout], check_mode=False).changed
    assert (tmp_path / "out/big").read_bytes() == content
    assert max(map(len, proof_files.pieces_of(tmp_path / "out/big"))) <= proof_files.CHUNK
