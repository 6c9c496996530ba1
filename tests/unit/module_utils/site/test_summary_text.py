# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told at the end is cut between words, and names are told as a whole."""

from __future__ import annotations

import random

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import summary_text

CAUSE = "mail1: nothing answers at 192.0.2.1:4040 and it is not known why it does not"
REMEDY = "Start the server, see to it that the firewall lets the controller in, and run again"


def unfolded(lines: list[str]) -> str:
    assert all(len(line) <= 76 for line in lines)
    assert [line.startswith("  ") for line in lines] == [False] + [True] * (len(lines) - 1)
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("lines", [2, 3])
def test_the_beginning_and_the_end_stay_and_no_word_is_cut(lines: int) -> None:
    chance = random.Random(lines)
    for _ in range(200):
        middle = " ".join("x" * chance.randint(1, 30) for _ in range(chance.randint(20, 60)))
        whole = f"{CAUSE}. {middle}. {REMEDY}"
        found = summary_text.fitted(whole, lines)
        head, tail = unfolded(found).split(" ... ")
        assert len(found) == lines
        assert f"{whole} ".startswith(f"{head} ") and f" {whole}".endswith(f" {tail}")
        # Nearly all of the room is used: what is left is less than the longest word and its space for each line.
        assert len(head) + len(tail) > lines * (76 - 31) - 10


def test_what_fits_stays_as_it_is() -> None:
    assert unfolded(summary_text.fitted(f"{CAUSE}.\n{REMEDY}", 3)) == f"{CAUSE}.; {REMEDY}"


def test_only_a_word_that_is_longer_than_the_room_is_cut() -> None:
    (first, *_rest) = found = summary_text.fitted("/srv/" + "a" * 500, 3)
    assert first.startswith("/srv/aaa") and len(found) == 3 and " ... " in unfolded(found)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["mail1"], "mail1"),
        (["mail1", "mail2", "mail3"], "mail1, mail2, mail3"),
        (["mail1.example.com", "mail2.example.com", "mail3.example.com"], "mail1.example.com, mail2.example.com and 1 more"),
        (["a" * 60, "mail2"], "a" * 33 + "... and 1 more"),
    ],
)
def test_names_of_hosts_are_told_as_far_as_there_is_room(names: list[str], told: str) -> None:
    assert summary_text.listed(names, 36) == told
