# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that is not what was signed is refused, and the first checkpoint that does not fit is named."""

from __future__ import annotations

import tracemalloc
import typing as t

import pytest

from standalone import check_proof
from tests.unit.standalone.ledgers import SIGNER, Program, Signer, checkpoint, checkpoint_text, entry, ledger

LEDGER = ledger(20)
SHORT = [b'{"event":"run","at":%d}' % number for number in range(3)]  # nothing but bytes matters here
KEPT = (3, 8, 15, 20)


def lines(entries: t.Sequence[bytes]) -> bytes:
    return b"".join(one + b"\n" for one in entries)


def collected(entries: t.Sequence[bytes], *sizes: int) -> str:
    return "".join(checkpoint(entries[:size]) + "\n" for size in sizes or KEPT)


@pytest.mark.parametrize("size", range(34))
def test_a_ledger_fits_all_its_checkpoints(program: Program, size: int) -> None:
    entries = ledger(size)
    status, said = program.ledger(lines(entries), collected(entries, *range(size + 1)))
    assert status == 0, said
    assert f"PROVEN\nThe first {size} entries of " in said
    assert f"Checkpoints that fit: {size + 1}." in said
    assert said.endswith("Entries behind it, not proven: 0.\n")


def test_entries_behind_the_newest_checkpoint_are_counted_and_an_unfinished_line_is_none(program: Program) -> None:
    more = lines([*LEDGER, entry(20), entry(21)]) + b'{"event":"arch'
    status, said = program.ledger(more, collected(LEDGER))
    assert (status, said.endswith("Entries behind it, not proven: 2.\n")) == (0, True)


def test_checkpoints_may_come_from_several_files_in_any_order_and_with_or_without_signature(program: Program) -> None:
    entries = program.file("entries", lines(LEDGER))
    files = [program.file(str(size), checkpoint(LEDGER[:size])) for size in (15, 20, 3)]
    words = [word for file in files for word in ("--checkpoint", file)]
    status, said = program.run("ledger", entries, *words, "--key", SIGNER.vkey)
    assert (status, "Checkpoints that fit: 3." in said) == (0, True)
    unsigned = "".join(checkpoint_text(LEDGER[:size]) + "\n\n" for size in KEPT)
    status, said = program.ledger(lines(LEDGER), unsigned, "--unsigned")
    assert (status, "Checkpoints that fit: 4." in said) == (0, True)
    assert program.ledger(lines(LEDGER), unsigned)[0] == 1


TAMPERS: dict[str, t.Callable[[list[bytes]], list[bytes]]] = {
    "an entry is changed": lambda old: [*old[:9], entry(9, uid=1), *old[10:]],
    "an entry is removed": lambda old: [*old[:9], *old[10:]],
    "two entries are swapped": lambda old: [*old[:9], old[10], old[9], *old[11:]],
    "an entry is put in": lambda old: [*old[:9], entry(99), *old[9:]],
    "an entry is there twice": lambda old: [*old[:10], *old[9:]],
    "an entry is empty": lambda old: [*old[:9], b"", *old[9:]],
    "an entry is blank": lambda old: [*old[:9], old[9] + b" ", *old[10:]],
    "an entry ends as on Windows": lambda old: [*old[:9], old[9] + b"\r", *old[10:]],
    "two entries are one": lambda old: [*old[:9], old[9] + old[10], *old[11:]],
    "one entry is two": lambda old: [*old[:9], old[9][:20], old[9][20:], *old[10:]],
}


@pytest.mark.parametrize("tamper", TAMPERS)
def test_the_first_checkpoint_that_does_not_fit_is_named(program: Program, tamper: str) -> None:
    changed = TAMPERS[tamper](LEDGER)
    assert program.ledger(lines(changed), collected(LEDGER, 3, 8))[0] == 0
    status, said = program.ledger(lines([*changed, entry(20)]), collected(LEDGER))
    assert status == 1
    assert "NOT PROVEN: checkpoint 3 of " in said
    assert "it is of 15 entries, but the first 15 of the ledger are not those. " in said
    assert f"checkpoint 2 of {program.folder}/checkpoints, of 8 entries, fits." in said


def test_every_swap_of_neighbours_every_order_and_every_missing_entry_is_found(program: Program) -> None:
    others = [[*LEDGER[:at], LEDGER[at + 1], LEDGER[at], *LEDGER[at + 2 :]] for at in range(19)]
    others += [[*LEDGER[:at], *LEDGER[at + 1 :], entry(20)] for at in range(20)]
    others += [LEDGER[::-1], [*LEDGER[1:], LEDGER[0]]]
    for other in others:
        status, said = program.ledger(lines(other), collected(LEDGER))
        assert (status, "are not those" in said) == (1, True)


def test_every_changed_byte_is_found(program: Program) -> None:
    good, kept = lines(SHORT), checkpoint(SHORT)
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1
        assert program.ledger(bytes(bad), kept)[0] == 1, position
        bad[position] = ord("\n")
        assert (program.ledger(bytes(bad), kept)[0] == 0) == (bytes(bad) == good), position


def test_a_ledger_that_was_cut_at_any_byte_is_found(program: Program) -> None:
    good, kept = lines(SHORT), checkpoint(SHORT)
    for length in range(len(good)):
        status, said = program.ledger(good[:length], kept)
        assert status == 1
        assert f"but the ledger has only {good[:length].count(10)}; it was cut off or rolled back. " in said


def test_a_rolled_back_ledger_is_found_though_its_own_checkpoint_is_right(program: Program) -> None:
    own = checkpoint(LEDGER[:15])
    assert program.ledger(lines(LEDGER[:15]), own)[0] == 0
    status, said = program.ledger(lines(LEDGER[:15]), collected(LEDGER))
    assert (status, "checkpoint 4 of" in said, "has only 15; it was cut off or rolled back" in said) == (1, True, True)
    again = [*LEDGER[:15], *(entry(number) for number in range(30, 40))]
    assert program.ledger(lines(again), checkpoint(again))[0] == 0
    status, said = program.ledger(lines(again), collected(LEDGER))
    assert (status, "checkpoint 4 of" in said, "checkpoint 3 of" in said) == (1, True, True)


def test_two_checkpoints_of_one_size_and_two_roots_cannot_both_fit(program: Program) -> None:
    other = [*LEDGER[:19], entry(77)]
    status, said = program.ledger(lines(LEDGER), checkpoint(LEDGER) + "\n" + checkpoint(other))
    assert (status, "checkpoint 2 of" in said) == (1, True)


KEPT_TAMPERS = {
    "none is there": ("", 2, "is empty or was cut off"),
    "one was cut in its text": (collected(LEDGER)[:-200], 2, "was cut off"),
    "the last has no signature": (collected(LEDGER, 3, 8) + checkpoint_text(LEDGER) + "\n", 1, "Nobody signed checkpoint 3 of"),
    "another key": (collected(LEDGER, 3) + checkpoint(LEDGER, Signer(seed=2)), 1, "No given key of"),
    "no empty line between two": (checkpoint(LEDGER[:3]) + checkpoint(LEDGER), 2, "that is no signature: archive1"),
    "an empty line too many": (collected(LEDGER, 3) + "\n" + collected(LEDGER, 8), 2, "checkpoint 2 of"),
    "no empty line behind the text": (checkpoint_text(LEDGER), 2, "must begin with three lines"),
}


@pytest.mark.parametrize("case", KEPT_TAMPERS)
def test_checkpoints_that_are_not_whole_or_not_signed_prove_nothing(program: Program, case: str) -> None:
    content, expected, words = KEPT_TAMPERS[case]
    status, said = program.ledger(lines(LEDGER), content)
    assert (status, words in said) == (expected, True), said


def test_long_lines_and_large_ledgers_need_little_memory(program: Program) -> None:
    long = [*LEDGER, b"x" * 6_000_000, *(b"%d" % number for number in range(100)), LEDGER[0]]
    entries, kept = program.file("entries", lines(long)), program.file("checkpoints", checkpoint(long))
    tracemalloc.start()
    try:
        status = check_proof.main(["ledger", entries, "--checkpoint", kept, "--key", SIGNER.vkey])
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == 0
    assert peak < 1_000_000


def test_a_file_of_checkpoints_that_is_too_large_is_not_taken_for_its_beginning(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = len(collected(LEDGER, 1, 2).encode())
    monkeypatch.setattr(check_proof, "MAX_TEXT", limit)
    monkeypatch.setattr(check_proof, "CHUNK", 1)
    assert program.checkpoint(collected(LEDGER, 1, 2))[0] == 0
    status, said = program.checkpoint(collected(LEDGER, 1, 2, 3))
    assert (status, f"has more than {limit} bytes" in said) == (2, True)
