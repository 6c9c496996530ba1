# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program that checks proofs takes as proven, and what it says then."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest
import zstandard

from standalone import check_proof
from tests.unit.standalone.ledgers import (
    ORIGIN,
    SIGNER,
    Program,
    Signer,
    b64,
    checkpoint,
    checkpoint_text,
    consistency_proof,
    entry,
    ledger,
    message,
    message_proof,
    mth,
)

ROOT = Path(__file__).parents[3]
SIZES = [*range(1, 18), 31, 32, 33]

# Known answers: the leaves that the tests of many implementations of RFC 6962 share, and the roots of the first 0 to 8 of them.
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# The example of golang.org/x/mod/sumdb/note.
KNOWN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
KNOWN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
KNOWN_LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


@pytest.mark.parametrize("count", range(9))
def test_roots_are_those_that_everybody_knows(count: int) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in KNOWN_LEAVES[:count]]
    tree = check_proof.Tree()
    for leaf in leaves:
        tree.add(hashlib.sha256(b"\x00" + leaf).digest())
    assert tree.root().hex() == mth(leaves).hex() == KNOWN_ROOTS[count]


@pytest.mark.parametrize(("text", "right"), [(KNOWN_TEXT, True), (KNOWN_TEXT.upper(), False)])
def test_a_signature_of_another_implementation_is_right(text: str, right: bool) -> None:
    signature = check_proof.signature_of(KNOWN_LINE, "it")
    note = check_proof.Checkpoint("it", text.encode(), signature[0], 0, b"", [signature])
    keys = check_proof.keys_of([KNOWN_KEY])
    if right:
        assert signature[:2] in keys
        check_proof.check_signed(note, keys)
    else:
        with pytest.raises(check_proof.NotProvenError, match="is wrong"):
            check_proof.check_signed(note, keys)


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_of_a_tree_can_be_proven(program: Program, size: int) -> None:
    entries = ledger(size)
    for index in range(size):
        status, said = program.message(message(index), message_proof(index, entries))
        assert status == 0, said
        assert f"Entry {index}, counted from 0, of the {size} entries of the ledger {ORIGIN}." in said


@pytest.mark.parametrize("size", SIZES)
def test_every_tree_begins_with_every_smaller_one(program: Program, size: int) -> None:
    entries = ledger(size)
    for older in range(size + 1):
        status, said = program.consistency(consistency_proof(older, entries))
        assert status == 0, said
        assert f"of {size} entries begins with the {older} of the older checkpoint" in said


def test_when_and_where_a_message_was_archived_is_said(program: Program) -> None:
    _status, said = program.message(message(2), message_proof(2, ledger(5)))
    assert said.startswith("PROVEN\n2023-11-14 22:13:22 UTC: the message was archived.\n")
    for fact in ("server: mail1.example.com", "mailbox: alice@example.com", "folder: INBOX", "uidvalidity: 3", "uid: 42"):
        assert f"  {fact}\n" in said


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("adopted", "the message came into the archive without a run"),
        ("deleted", "the message was in the archive and was deleted on the server"),
        ("found", "the message had been declared lost and was in the archive again"),
    ],
)
def test_other_events_that_the_archive_had_the_message_at_say_which(program: Program, event: str, words: str) -> None:
    entries = [entry(0), entry(1, event=event, why="by hand", by="root")]
    status, said = program.message(message(1), message_proof(1, entries))
    assert (status, words in said) == (0, True)


@pytest.mark.parametrize("event", ["lost", "quarantined", "run", "no\x1bvel", 7, {"archived": 1}, ["archived"]])
def test_an_event_that_does_not_say_that_the_message_was_there_proves_nothing(program: Program, event: object) -> None:
    entries = [entry(0), entry(1, event=event)]
    status, said = program.message(message(1), message_proof(1, entries))
    assert status == 1
    assert "does not say that a message was there" in said
    assert "\x1b" not in said


def test_what_an_entry_says_cannot_write_to_the_terminal(program: Program) -> None:
    entries = [entry(0, folder="A\x1b[31m\u202e\n\x7f\u0085Z", mailbox="jörg\\n@example.com")]
    status, said = program.message(message(0), message_proof(0, entries))
    assert status == 0
    assert "  folder: A\\x1b[31m\\u202e\\n\\x7f\\x85Z\n" in said
    assert "  mailbox: jörg\\\\n@example.com\n" in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


def test_a_compressed_message_is_told_from_another_one(program: Program) -> None:
    proof = message_proof(0, ledger(3))
    status, said = program.message(zstandard.compress(message(0)), proof)
    assert (status, "run zstd -d on it first" in said) == (1, True)
    status, said = program.message(message(1), proof)
    assert (status, "zstd" in said) == (1, False)
    assert hashlib.sha256(message(1)).hexdigest() in said


def test_a_message_larger_than_one_read_is_read_whole(program: Program) -> None:
    large = bytes(range(256)) * 2000
    entries = [entry(0, digest=hashlib.sha256(large).hexdigest(), size=len(large))]
    assert program.message(large, message_proof(0, entries))[0] == 0
    assert program.message(large + b"\n", message_proof(0, entries))[0] == 1


def test_the_checkpoint_that_was_kept_must_be_that_of_the_proof(program: Program) -> None:
    entries = ledger(9)
    kept = program.file("kept", "\n".join(checkpoint(entries[:size]) for size in (4, 9)))
    older = program.file("older", checkpoint(entries[:4]))
    key = ("--key", SIGNER.vkey, "--checkpoint")
    assert program.message(message(2), message_proof(2, entries), *key, kept)[0] == 0
    assert program.message(message(2), message_proof(2, entries), *key, older, "--checkpoint", kept)[0] == 0
    fork = program.file("fork", checkpoint([*entries[:8], entry(99)]))
    for other in (older, fork):
        status, said = program.message(message(2), message_proof(2, entries), *key, other)
        assert (status, "check a proof of consistency" in said) == (1, True)


def test_without_a_key_it_says_loudly_that_nobody_signed(program: Program) -> None:
    entries = ledger(3)
    unsigned = checkpoint_text(entries) + "\n"
    for note in (unsigned, checkpoint(entries)):
        status, said = program.message(message(1), message_proof(1, entries, note), "--unsigned")
        assert status == 0
        assert said.startswith("WARNING: NO SIGNATURE WAS CHECKED")
        assert "\nPROVEN, BUT UNSIGNED\n" in said
    assert program.consistency(consistency_proof(1, entries, checkpoint_text(entries[:1]) + "\n", unsigned), "--unsigned")[0] == 0
    status, said = program.message(message(1), message_proof(1, entries, unsigned))
    assert (status, "Nobody signed" in said) == (1, True)


@pytest.mark.parametrize(
    "words", [[], ["--key", SIGNER.vkey, "--unsigned"], ["--key"], ["--key", SIGNER.vkey, "--check", "kept"]], ids=str
)
def test_either_a_key_or_unsigned_must_be_given(program: Program, words: list[str]) -> None:
    note = program.file("checkpoint", checkpoint(ledger(2)))
    assert program.run("checkpoint", note, *words)[0] == 2
    assert program.run("checkpoint", note, "--key", SIGNER.vkey)[0] == 0


def test_signatures_of_others_are_ignored_and_one_of_several_keys_is_enough(program: Program) -> None:
    old, witness = Signer(seed=2), Signer("witness.example/w", 3)
    note = checkpoint(ledger(4), witness, SIGNER)
    assert program.checkpoint(note)[0] == 0
    assert program.checkpoint(note, "--key", old.vkey, "--key", SIGNER.vkey)[0] == 0
    status, said = program.checkpoint(note, "--key", old.vkey)
    assert status == 1
    assert f"witness.example/w+{witness.key_id.hex()}" in said
    wrong = note.replace(
        b64(SIGNER.key_id + SIGNER.private.sign(checkpoint_text(ledger(4)).encode())), b64(SIGNER.key_id + bytes(64))
    )
    assert program.checkpoint(wrong, "--key", SIGNER.vkey, "--key", witness.vkey)[0] == 1


def test_many_signatures_are_taken(program: Program) -> None:
    others = [Signer(f"witness.example/{seed}", seed) for seed in range(2, 40)]
    assert program.checkpoint(checkpoint(ledger(4), *others, SIGNER))[0] == 0


def test_the_checkpoint_and_the_key_of_the_documentation_fit(program: Program) -> None:
    texts = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8"), re.DOTALL)
    note, vkey = (text for text in texts if text.startswith("archive1."))
    status, said = program.checkpoint(note, "--key", vkey.strip())
    assert (status, "20852 entries" in said) == (0, True), said
    assert program.checkpoint(note.replace("20852", "20853"), "--key", vkey.strip())[0] == 1


def test_lines_that_others_added_to_a_checkpoint_are_signed_like_the_rest(program: Program) -> None:
    text = checkpoint_text(ledger(3)) + "added by somebody\n"
    note = f"{text}\n{SIGNER.line(text)}"
    assert program.message(message(1), message_proof(1, ledger(3), note))[0] == 0
    assert program.message(message(1), message_proof(1, ledger(3), note.replace("somebody", "somebodx")))[0] == 1


def test_a_key_with_another_name_than_the_origin_proves_nothing(program: Program) -> None:
    note = checkpoint(ledger(4), SIGNER, origin="archive2.example.com/srv/archive")
    status, said = program.checkpoint(note)
    assert (status, "No given key of archive2.example.com" in said) == (1, True)


def test_without_the_library_for_signatures_nothing_is_proven(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    status, said = program.checkpoint(checkpoint(ledger(2)))
    assert (status, "need the Python package cryptography" in said) == (2, True)
    assert program.checkpoint(checkpoint(ledger(2)), "--unsigned")[0] == 0


@pytest.mark.parametrize("missing", ["message.eml", "message.tlog-proof"])
def test_a_file_that_is_not_there_is_named(program: Program, missing: str) -> None:
    program.message(message(0), message_proof(0, ledger(2)))
    (program.folder / missing).unlink()
    files = [str(program.folder / name) for name in ("message.eml", "message.tlog-proof")]
    status, said = program.run("message", *files, "--key", SIGNER.vkey)
    assert status == 2
    assert missing in said
    assert "No such file" in said
