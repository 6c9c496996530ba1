# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of proofs: written as docs/evidence.md and c2sp.org/tlog-proof have them, read strictly, enough to verify with."""

from __future__ import annotations

import base64
import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, evidence_tree
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_proof import ConsistencyProof, MessageProof
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError

ENTRIES = [b'{"event":"archived","uid":%d}' % uid for uid in range(5)]
STORED = evidence_tree.appended(0, ENTRIES, lambda _index: b"")


def read(index: int) -> bytes:
    return STORED[32 * index : 32 * index + 32]


def checkpoint(size: int, signatures: int = 0) -> str:
    """A checkpoint of the first entries with so many signatures of nobody."""
    blob = base64.b64encode(bytes(4 + 64)).decode()
    note = evidence_note.unsigned(Checkpoint("archive1.example.com/kerio", size, evidence_tree.root(size, read)).text())
    return note + "".join(f"— witness{number}.example.com {blob}\n" for number in range(signatures))


MESSAGE = MessageProof(ENTRIES[3], 3, tuple(evidence_tree.inclusion(3, 5, read)), checkpoint(5, 1))
GROWTH = ConsistencyProof(tuple(evidence_tree.consistency(2, 5, read)), checkpoint(2, 1), checkpoint(5, 2))


def line(*parts: bytes) -> str:
    """The base64 of a hash, made without the tree."""
    return base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()


LEAVES = [hashlib.sha256(b"\x00" + entry).digest() for entry in ENTRIES]
LEAF_2, LEAF_4 = line(b"\x00", ENTRIES[2]), line(b"\x00", ENTRIES[4])
LEAVES_0_1, LEAVES_2_3 = line(b"\x01", *LEAVES[0:2]), line(b"\x01", *LEAVES[2:4])


def test_a_message_proof_is_written_as_c2sp_has_it() -> None:
    assert MESSAGE.text() == (
        "c2sp.org/tlog-proof@v1\n"
        "extra eyJldmVudCI6ImFyY2hpdmVkIiwidWlkIjozfQ==\n"
        "index 3\n"
        f"{LEAF_2}\n"
        f"{LEAVES_0_1}\n"
        f"{LEAF_4}\n"
        "\n"
        f"{MESSAGE.checkpoint}"
    )


def test_a_consistency_proof_is_written_as_documented() -> None:
    assert GROWTH.text() == (f"kerio-archive consistency 1\n{LEAVES_2_3}\n{LEAF_4}\n\n{GROWTH.older}\n{GROWTH.newer}")


def test_a_message_proof_that_was_read_proves_the_message() -> None:
    proof = MessageProof.parse(MESSAGE.text())
    point = Checkpoint.parse(evidence_note.parse_note(proof.checkpoint)[0])
    leaf = evidence_tree.leaf_hash(proof.entry)
    assert evidence_tree.root_from_inclusion(leaf, proof.index, point.size, proof.path) == point.root


def test_a_consistency_proof_that_was_read_proves_the_growth() -> None:
    proof = ConsistencyProof.parse(GROWTH.text())
    older, newer = (Checkpoint.parse(evidence_note.parse_note(note)[0]) for note in (proof.older, proof.newer))
    assert evidence_tree.check_consistency(older.size, older.root, newer.size, newer.root, proof.path)


HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple)
NOTES = st.builds(checkpoint, st.integers(0, 5), st.integers(0, 3))


@given(st.builds(MessageProof, st.binary(), st.integers(0, 2**40), HASHES, NOTES))
def test_a_message_proof_is_read_as_it_was_written(proof: MessageProof) -> None:
    assert MessageProof.parse(proof.text()) == proof


@given(st.builds(ConsistencyProof, HASHES, NOTES, NOTES))
def test_a_consistency_proof_is_read_as_it_was_written(proof: ConsistencyProof) -> None:
    assert ConsistencyProof.parse(proof.text()) == proof


def test_checkpoints_with_lines_of_others_are_kept_as_they_are() -> None:
    older = evidence_note.unsigned(Checkpoint("o", 2, bytes(32), ("more", "and more")).text())
    proof = dataclasses.replace(GROWTH, older=older)
    assert ConsistencyProof.parse(proof.text()) == proof


TEXT = MESSAGE.text()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", "proof: its first line is not 'c2sp.org/tlog-proof@v1'"),
        ("c2sp.org", "\nc2sp.org", "its first line"),
        ("extra ", "Extra ", "no line 'extra' with the entry in base64"),
        ("extra eyJldmVudCI6ImFyY2hpdmVkIiwidWlkIjozfQ==\n", "", "no line 'extra'"),
        ("fQ==\n", "fQ=\n", "no line 'extra'"),
        ("fQ==\n", "fR==\n", "no line 'extra'"),  # the same bytes, written with other unused bits
        ("fQ==\n", "fQ== \n", "no line 'extra'"),
        ("index 3\n", "", "no line 'index' with the number of the entry"),
        ("index 3", "3", "no line 'index'"),
        ("index 3", "index  3", "no line 'index'"),
        ("index 3", "index 03", "no line 'index'"),
        ("index 3", "index -3", "no line 'index'"),
        ("index 3", "index 3\r", "no line 'index'"),
        ("index 3", "index " + "9" * 5000, "no line 'index'"),
        ("index 3", "index 3\nindex 3", "its path holds a line"),
        (LEAF_2, LEAF_2[4:], "its path holds a line that is not the base64 of 32 bytes"),
        (LEAF_2, f" {LEAF_2}", "its path holds a line"),
        (LEAF_2, "", "each on a line of its own"),  # the path ends, and no checkpoint follows
        ("\n\narchive1", "\narchive1", "its path holds a line"),
        ("\n\narchive1", "\n\n\narchive1", "each on a line of its own"),
        ("\n5\n", "\n05\n", "checkpoint: its size is '05'"),
        ("witness0.example.com ", "witness0+example.com ", "is not a signature"),
    ],
)
def test_what_is_not_quite_a_message_proof_is_refused(old: str, new: str, told: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(EvidenceError) as caught:
        MessageProof.parse(TEXT.replace(old, new))
    assert told in str(caught.value)


def test_a_cut_message_proof_is_refused() -> None:
    unsigned = TEXT.rindex("\n\n") + 2  # what is left there is a whole proof; a verification with a key refuses its checkpoint
    assert evidence_note.parse_note(MessageProof.parse(TEXT[:unsigned]).checkpoint)[1] == []
    for end in {*range(len(TEXT))} - {unsigned}:
        with pytest.raises(EvidenceError):
            MessageProof.parse(TEXT[:end])


def replaced(old: str, new: str) -> str:
    text = GROWTH.text()
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "proof: its first line is not 'kerio-archive consistency 1'"),
        (TEXT, "its first line"),
        (replaced("consistency 1", "consistency 2"), "its first line"),
        (replaced("consistency 1\n", "consistency 1\nindex 1\n"), "its path holds a line"),
        ("kerio-archive consistency 1\n", "two checkpoints"),
        ("kerio-archive consistency 1\n\n", "two checkpoints"),
        (f"kerio-archive consistency 1\n\n{GROWTH.older}", "two checkpoints"),
        (f"kerio-archive consistency 1\n\n{GROWTH.older}{GROWTH.newer}", "'archive1.example.com/kerio' is not a signature"),
        (f"kerio-archive consistency 1\n\n{GROWTH.older}\n\n{GROWTH.newer}", "two checkpoints"),
        (f"kerio-archive consistency 1\n\n\n{GROWTH.older}\n{GROWTH.newer}", "two checkpoints"),
        (f"{GROWTH.text()}\n", "each on a line of its own"),
        (f"{GROWTH.text()}\n{GROWTH.newer}", "each on a line of its own"),
        (replaced("\n2\n", "\n02\n"), "its size is '02'"),
        (replaced("\n5\n", "\n05\n"), "its size is '05'"),
        (replaced("witness0.", "witness+"), "is not a signature"),
        (replaced("witness1.", "witness+"), "is not a signature"),
    ],
    ids=range(16),
)
def test_what_is_not_quite_a_consistency_proof_is_refused(text: str, told: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        ConsistencyProof.parse(text)
    assert told in str(caught.value)
