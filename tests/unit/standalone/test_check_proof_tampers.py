# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs in which anything was changed are refused."""

from __future__ import annotations

import argparse
import base64
import json
import re
import typing as t
from pathlib import Path

import pytest

from standalone import check_proof
from tests.unit.standalone.ledgers import (
    ORIGIN,
    SIGNER,
    Program,
    Signer,
    b64,
    checkpoint,
    checkpoint_text,
    consistency,
    consistency_proof,
    entry,
    inclusion,
    ledger,
    message,
    message_proof,
    mth,
    sha256,
)

LEDGER = ledger(11)
INDEX = 4
PROOF = message_proof(INDEX, LEDGER)
CHANGES = consistency_proof(6, LEDGER)


SMALL = b"Hello"
SMALL_ENTRY = json.dumps({"event": "found", "at": 1, "digest": sha256(SMALL).hex(), "size": 5}, separators=(",", ":")).encode()
SMALL_PROOF = message_proof(1, [LEDGER[0], SMALL_ENTRY])
SMALL_CHANGES = consistency_proof(1, LEDGER[:2])


def without(hashes: list[bytes], at: int) -> list[bytes]:
    return hashes[:at] + hashes[at + 1 :]


def each_byte(data: bytes) -> list[bytes]:
    """Return the data with one byte changed, for each of them."""
    return [data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :] for at in range(len(data))]


def proof_with(
    *,
    raw: bytes = LEDGER[INDEX],
    index: object = INDEX,
    hashes: t.Sequence[bytes] = tuple(inclusion(INDEX, LEDGER)),
    origin: str = ORIGIN,
    size: object = len(LEDGER),
    root: bytes = mth(LEDGER),
    signature: bytes = SIGNER.key_id + SIGNER.private.sign(checkpoint_text(LEDGER).encode()),
) -> str:
    """Return the proof with other parts, under the signature of the right one."""
    path = "".join(f"{b64(hashed)}\n" for hashed in hashes)
    note = f"{origin}\n{size}\n{b64(root)}\n\n— {SIGNER.name} {b64(signature)}\n"
    return f"c2sp.org/tlog-proof@v1\nextra {b64(raw)}\nindex {index}\n{path}\n{note}"


HASHES = inclusion(INDEX, LEDGER)
PARTS: dict[str, list[str]] = {
    "entry": [proof_with(raw=raw) for raw in each_byte(LEDGER[INDEX])],
    "another entry": [proof_with(raw=raw) for raw in LEDGER if raw != LEDGER[INDEX]] + [proof_with(raw=b"")],
    "index": [proof_with(index=index) for index in (*range(INDEX), *range(INDEX + 1, 40), 10**17)],
    "hash": [
        proof_with(hashes=[*HASHES[:at], other, *HASHES[at + 1 :]])
        for at, hashed in enumerate(HASHES)
        for other in (*each_byte(hashed), bytes(32))
    ],
    "hash gone": [proof_with(hashes=without(HASHES, at)) for at in range(len(HASHES))],
    "hash twice": [proof_with(hashes=[*HASHES[: at + 1], *HASHES[at:]]) for at in range(len(HASHES))],
    "hashes in another order": [proof_with(hashes=HASHES[::-1]), proof_with(hashes=[*HASHES[1:], HASHES[0]])],
    "size": [proof_with(size=size) for size in (*range(11), *range(12, 40))],
    "root": [proof_with(root=root) for root in each_byte(mth(LEDGER))],
    "origin": [
        proof_with(origin=origin) for origin in (ORIGIN + "x", ORIGIN[:-1], ORIGIN.upper(), ORIGIN + " ", "\ufeff" + ORIGIN)
    ],
    "signature": [
        proof_with(signature=signature)
        for signature in each_byte(SIGNER.key_id + SIGNER.private.sign(checkpoint_text(LEDGER).encode()))
    ],
    "signature of another length": [
        proof_with(signature=SIGNER.key_id + SIGNER.private.sign(checkpoint_text(LEDGER).encode())[:length])
        for length in range(2, 64)
    ],
    "signature of another checkpoint": [
        proof_with(signature=SIGNER.key_id + SIGNER.private.sign(checkpoint_text(LEDGER[:10]).encode()))
    ],
}


def test_base64_that_is_loose_gives_the_same_bytes_to_a_lenient_decoder() -> None:
    assert loose(b64(HASHES[1])) != b64(HASHES[1])
    assert base64.b64decode(loose(b64(HASHES[1])), validate=True) == HASHES[1]


def test_the_proof_that_the_tampers_begin_with_is_right(program: Program) -> None:
    assert proof_with() == PROOF
    assert program.message(message(INDEX), PROOF)[0] == 0


@pytest.mark.parametrize(
    ("hashes", "words"), [(HASHES[:-1], "fewer hashes"), ([], "fewer hashes"), ([*HASHES, HASHES[0]], "more hashes")]
)
def test_too_few_hashes_and_too_many_are_told_apart(program: Program, hashes: list[bytes], words: str) -> None:
    status, said = program.message(message(INDEX), proof_with(hashes=hashes))
    assert (status, f"The proof has {words} than a tree of this size needs." in said) == (1, True), said


@pytest.mark.parametrize("part", PARTS)
def test_a_proof_with_any_other_part_is_not_proven(program: Program, part: str) -> None:
    for proof in PARTS[part]:
        status, said = program.message(message(INDEX), proof)
        assert (status, said.startswith("NOT PROVEN: ")) == (1, True), (proof, said)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 11])
def test_the_last_entry_is_not_the_one_behind_it(program: Program, count: int) -> None:
    right = message_proof(count - 1, LEDGER[:count])
    assert program.message(message(count - 1), right)[0] == 0
    status, said = program.message(message(count - 1), right.replace(f"index {count - 1}\n", f"index {count}\n"))
    assert (status, f"but the ledger has {count} entries" in said) == (1, True), said


def test_a_message_with_any_other_byte_is_not_proven(program: Program) -> None:
    good = message(INDEX)
    for bad in (*each_byte(good), b"", good[:-1], good + b"\n", good.replace(b"\r\n", b"\n"), message(INDEX + 1)):
        status, said = program.message(bad, PROOF)
        assert (status, "is not the message of the entry" in said) == (1, True)


@pytest.mark.parametrize("size", [0, 4, 6, -5, None, "5", 5.0, True, [5]])
def test_a_size_that_is_not_the_messages_is_not_proven(program: Program, size: object) -> None:
    content = b"x" if size is True else b"Hello"
    status, said = program.message(content, message_proof(0, [entry(0, digest=sha256(content).hex(), size=size)]))
    assert (status, "bytes, but the entry says" in said) == (1, True), said


@pytest.mark.parametrize("digest", [None, 7, sha256(message(0)).hex().upper(), sha256(message(0)).hex()[:63]])
def test_a_digest_in_another_form_is_not_the_messages(program: Program, digest: object) -> None:
    assert program.message(message(0), message_proof(0, [entry(0, digest=digest)]))[0] == 1


def test_a_key_with_any_other_character_proves_nothing(program: Program) -> None:
    keys = [SIGNER.vkey[:at] + chr(ord(SIGNER.vkey[at]) ^ 1) + SIGNER.vkey[at + 1 :] for at in range(len(SIGNER.vkey))]
    keys += [SIGNER.vkey[:length] for length in range(len(SIGNER.vkey))]
    for key in keys:
        status, said = program.message(message(INDEX), PROOF, f"--key={key}")
        assert status == 2, (key, said)


KEYS = {
    "another key": (Signer(seed=2).vkey, 1, "No given key of"),
    "another name": (Signer("archive2.example.com").vkey, 1, "No given key of"),
    "another key id": (SIGNER.vkey.replace(SIGNER.key_id.hex(), "00000000"), 2, "its key id does not fit"),
    "capital letters": (SIGNER.vkey.replace(SIGNER.key_id.hex(), SIGNER.key_id.hex().upper()), 2, "lower-case"),
    "another type": ("a+aabbccdd+" + b64(b"\x04" + SIGNER.public), 2, "is not an Ed25519 key"),
    "no type": ("a+aabbccdd+" + b64(SIGNER.public), 2, "has 32 bytes, not 33"),
    "no name": ("+aabbccdd+" + b64(b"\x01" + SIGNER.public), 2, "is written as"),
    "no base64": ("a+aabbccdd+!", 2, "is not base64"),
    "a blank": ("a b+aabbccdd+" + b64(b"\x01" + SIGNER.public), 2, "is written as"),
}


@pytest.mark.parametrize("case", KEYS)
def test_each_wrong_key_is_refused_in_its_own_words(program: Program, case: str) -> None:
    key, expected, words = KEYS[case]
    status, said = program.message(message(INDEX), PROOF, "--key", key)
    assert (status, words in said) == (expected, True), said


def loose(text: str) -> str:
    """Return base64 whose last bits, which no byte takes, are not zero: a lenient decoder gives the same bytes."""
    body = text.rstrip("=")
    return body[:-1] + chr(ord(body[-1]) + 1) + text[len(body) :]


EXTRA = f"extra {b64(LEDGER[INDEX])}\n"
MALFORMED = {
    "empty": ("", "is empty or was cut off"),
    "another version": (PROOF.replace("@v1", "@v2"), "is another kind of file"),
    "a blank behind the version": (PROOF.replace("@v1", "@v1 "), "is another kind of file"),
    "the other kind of proof": (CHANGES, "is another kind of file"),
    "no entry": (PROOF.replace(EXTRA, ""), "must be extra and the entry"),
    "two entries": (PROOF.replace(EXTRA, EXTRA * 2), "must be extra and the entry"),
    "no blank behind extra": (PROOF.replace("extra ", "extra"), "must be extra and the entry"),
    "no index": (PROOF.replace("index 4\n", ""), "must be extra and the entry"),
    "a leading zero": (PROOF.replace("index 4", "index 04"), "The index is not a decimal number"),
    "a sign": (PROOF.replace("index 4", "index +4"), "The index is not a decimal number"),
    "a digit that is not ASCII": (PROOF.replace("index 4", "index ٤"), "The index is not a decimal number"),
    "a blank": (PROOF.replace("index 4", "index 4 "), "The index is not a decimal number"),
    "a very large index": (PROOF.replace("index 4", "index " + "9" * 5000), "The index is not a decimal number"),
    "a size with a leading zero": (PROOF.replace("\n11\n", "\n011\n"), "The number of entries of the checkpoint of"),
    "a short hash": (PROOF.replace(b64(HASHES[0]), b64(HASHES[0][:31])), "Hash 1 of"),
    "a hash that is no base64": (PROOF.replace(b64(HASHES[1]), "%" + b64(HASHES[1])[1:]), "is not base64"),
    "a hash in loose base64": (PROOF.replace(b64(HASHES[1]), loose(b64(HASHES[1]))), "is not base64 as an encoder writes it"),
    "a root in loose base64": (PROOF.replace(b64(mth(LEDGER)), loose(b64(mth(LEDGER)))), "is not base64 as an encoder writes it"),
    "a signature in loose base64": (PROOF[:-3] + chr(ord(PROOF[-3]) + 1) + PROOF[-2:], "is not base64 as an encoder writes it"),
    "base64 without padding": (PROOF.replace(b64(HASHES[1]), b64(HASHES[1])[:-1]), "is not base64 as an encoder writes it"),
    "a blank in base64": (PROOF.replace(b64(HASHES[1]), b64(HASHES[1]) + " "), "is not base64"),
    "a short root": (PROOF.replace(b64(mth(LEDGER)), b64(b"short")), "has 5 bytes, not 32"),
    "line ends of Windows": (PROOF.replace("\n", "\r\n"), "control character \\r"),
    "a control character": (PROOF.replace("index 4", "index\t4"), "control character \\t"),
    "no last line end": (PROOF[:-1], "its last line has no end"),
    "a line too many": (PROOF + "\n", "goes on behind its last checkpoint"),
    "two checkpoints": (PROOF + "\n" + checkpoint(LEDGER), "goes on behind its last checkpoint"),
    "no checkpoint": (PROOF.split("\n\n")[0] + "\n\n", "must begin with three lines"),
    "no empty line": (PROOF.split("\n\n")[0] + "\n", "must begin with three lines"),
    "a minus for a dash": (PROOF.replace("\n— ", "\n- "), "a line that is no signature"),
    "a plus in a name": (PROOF.replace("\n— ", "\n— a+"), "a line that is no signature"),
    "a signature without key id": (re.sub("(\n— [^ ]+) .*", r"\1 AAAA", PROOF), "a line that is no signature"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_each_malformed_proof_is_refused_in_its_own_words(program: Program, case: str) -> None:
    proof, words = MALFORMED[case]
    status, said = program.message(message(INDEX), proof)
    assert (status, words in said) == (2, True), said
    assert said.startswith("CANNOT BE CHECKED: ")


def test_a_proof_that_is_not_utf_8_is_refused(program: Program) -> None:
    status, said = program.message(message(INDEX), PROOF.encode().replace(b"extra ", b"extra \xff"))
    assert (status, "is not UTF-8" in said) == (2, True)


BAD_ENTRIES = {
    "no JSON": b'{"event":"archived"',
    "no object": b'["event"]',
    "an empty object": b"{}",
    "event is not first": b'{"at":1,' + entry(0)[1:],
    "a key twice": entry(0)[:-1] + b',"digest":"x"}',
    "not ASCII": entry(0).replace(b"INBOX", "Entwürfe".encode()),
    "a line end": entry(0).replace(b",", b",\n", 1),
    "nested too deep": b'{"event":' + b"[" * 60_000,
    "far too long": entry(0, folder="x" * 70_000),
    "no time": entry(0, at=None),
    "a time that no calendar knows": entry(0, at=10**30),
    "a time in words": entry(0, at="now"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_an_entry_that_cannot_be_read_is_refused(program: Program, case: str) -> None:
    status, said = program.message(message(0), message_proof(0, [BAD_ENTRIES[case], LEDGER[1]]))
    assert (status, said.startswith("CANNOT BE CHECKED: The entry")) == (2, True), said


def consistency_with(hashes: t.Sequence[bytes], older: str, newer: str) -> str:
    return "kerio-archive consistency 1\n" + "".join(f"{b64(one)}\n" for one in hashes) + f"\n{older}\n{newer}"


@pytest.mark.parametrize(("old", "new"), [(old, new) for new in range(1, 12) for old in range(new + 1)])
def test_no_other_hashes_prove_that_a_tree_begins_with_another(program: Program, old: int, new: int) -> None:
    notes = checkpoint(LEDGER[:old]), checkpoint(LEDGER[:new])
    right = consistency(old, LEDGER[:new]) if old else []
    assert program.consistency(consistency_with(right, *notes))[0] == 0
    wrong = [without(right, at) for at in range(len(right))]
    wrong += [[*right[: at + 1], *right[at:]] for at in range(len(right))] + [[*right, bytes(32)], [bytes(32), *right]]
    wrong += [[*right[:at], bytes(32), *right[at + 1 :]] for at in range(len(right))]
    for hashes in wrong:
        assert program.consistency(consistency_with(hashes, *notes))[0] == 1, hashes


CHANGED = [*LEDGER[:2], entry(99), *LEDGER[3:]]
NO_CONTINUATION = {
    "two ledgers of one size": ([], checkpoint(LEDGER), checkpoint(CHANGED), "the hashes lead to another root"),
    "hashes of the old ledger": (consistency(6, LEDGER), checkpoint(LEDGER[:6]), checkpoint(CHANGED), "lead to another root"),
    "hashes of the changed ledger": (
        consistency(6, CHANGED),
        checkpoint(LEDGER[:6]),
        checkpoint(CHANGED),
        "to the root of the older",
    ),
    "rolled back": (
        consistency(6, LEDGER),
        checkpoint(LEDGER),
        checkpoint(LEDGER[:6]),
        "has more entries (11) than the newer one (6)",
    ),
    "another key": (consistency(6, LEDGER), checkpoint(LEDGER[:6], Signer(seed=2)), checkpoint(LEDGER), "No given key of"),
    "no key": (consistency(6, LEDGER), checkpoint(LEDGER[:6]), checkpoint_text(LEDGER) + "\n", "Nobody signed"),
}


@pytest.mark.parametrize("case", NO_CONTINUATION)
def test_a_ledger_that_was_changed_or_rolled_back_does_not_begin_with_the_older_one(program: Program, case: str) -> None:
    *proof, words = NO_CONTINUATION[case]
    status, said = program.consistency(consistency_with(*proof))
    assert (status, words in said) == (1, True), said


def test_two_origins_are_two_ledgers(program: Program) -> None:
    other = Signer("archive2.example.com", 2)
    newer = checkpoint(LEDGER, other, origin=other.name)
    proof = consistency_with(consistency(6, LEDGER), checkpoint(LEDGER[:6]), newer)
    status, said = program.consistency(proof, "--key", SIGNER.vkey, "--key", other.vkey)
    assert (status, "are of two ledgers" in said) == (1, True)


def taken(program: Program, command: str, proofs: t.Iterable[bytes]) -> list[int]:
    """Return the numbers of the proofs that are taken as proven; without the command line, to try many of them."""
    given = argparse.Namespace(proof=program.folder / "proof", message=Path(program.file("message.eml", SMALL)), checkpoint=[])
    keys = check_proof.keys_of([SIGNER.vkey])
    found = []
    for number, proof in enumerate(proofs):
        given.proof.write_bytes(proof)
        try:
            check_proof.COMMANDS[command][0](given, keys)
        except (check_proof.NotProvenError, check_proof.UnreadableError):
            continue
        found.append(number)
    return found


def flips(proof: str, first: int = 0) -> t.Iterator[bytes]:
    """Yield the proof with one bit turned over, for each bit from this byte on."""
    data = proof.encode()
    for bit in range(8 * first, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def cuts(proof: str) -> list[bytes]:
    return [proof.encode()[:length] for length in range(len(proof.encode()))]


def test_the_small_proofs_are_right(program: Program) -> None:
    assert program.message(SMALL, SMALL_PROOF)[0] == 0
    assert program.consistency(SMALL_CHANGES)[0] == 0


def test_no_bit_of_a_proof_can_be_turned_over(program: Program) -> None:
    assert taken(program, "message", [SMALL_PROOF.encode(), *flips(SMALL_PROOF)]) == [0]
    assert taken(program, "consistency", [SMALL_CHANGES.encode(), *flips(SMALL_CHANGES)]) == [0]


def test_a_proof_that_was_cut_at_any_byte_is_refused(program: Program) -> None:
    assert taken(program, "message", [SMALL_PROOF.encode(), *cuts(SMALL_PROOF)]) == [0]
    assert taken(program, "consistency", [SMALL_CHANGES.encode(), *cuts(SMALL_CHANGES)]) == [0]


def test_bits_do_not_matter_in_the_name_and_signature_of_somebody_unknown(program: Program) -> None:
    witness = Signer("witness.example/w", 3)
    entries = [LEDGER[0], SMALL_ENTRY]
    proof = message_proof(1, entries, checkpoint(entries, SIGNER, witness))
    start = len(proof.encode()) - len(witness.line(checkpoint_text(entries)).encode())
    name = start + len("— ".encode())
    found = {start + number // 8 for number in taken(program, "message", flips(proof, start))}
    assert set(range(name, name + len(witness.name))) <= found
    assert found <= set(range(name, len(proof.encode()) - 1)) - {name + len(witness.name)}
