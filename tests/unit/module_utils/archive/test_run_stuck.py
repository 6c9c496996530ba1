# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of messages that could not be archived: one of them, an entry to paste, and what is told twice."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_stuck
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import Acknowledged, parse_acknowledged

Data = dict[str, t.Any]


@pytest.mark.parametrize(("count", "text"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages"), (4310, "4,310 messages")])
def test_one_is_one(count: int, text: str) -> None:
    assert run_stuck.failed(count) == f"{text} could not be archived"


@pytest.mark.parametrize(
    "folder", ["INBOX", "a  \"b\" \\ 'c': {d}", "x\x01y\n", "\u05ea\u202eeman\u2069", "Fotos \U0001f4f7", "\U000e0041x"]
)
def test_an_entry_can_be_pasted_whatever_a_folder_is_called(folder: str) -> None:
    entry = Acknowledged("mail1", "alice@example.com", folder, 1, 2)
    assert str(entry).isprintable()
    assert parse_acknowledged(yaml.safe_load(f"- {entry}")) == (entry,)


def message(uid: int, state: str, folder: str = "INBOX") -> Data:
    return {"server": "mail1", "mailbox": "alice@example.com", "folder": folder, "uidvalidity": 1, "uid": uid, "state": state}


def test_a_failure_that_only_names_listed_messages_is_found() -> None:
    where = "mail1 alice@example.com INBOX"
    odd = "x could not be archived in \x01"
    failures = [
        "mail1: nothing answers",
        f"{where}: {run_stuck.quarantined(1, 7, 1, 'NO internal error', 'entry')}",
        f"{where}: {run_stuck.quarantined(1, 77, 5, 'NO internal error', 'entry')}",
        f"{where}: {run_stuck.failed(2)}",
        f"mail1 alice@example.com Sent: {run_stuck.failed(2)}",
        f"{run_stuck.place('mail1 alice@example.com', odd)}: {run_stuck.quarantined(1, 7, 2, 'NO', 'entry')}",
    ]
    assert "UID 7 could not be archived in 1 attempt: NO" in failures[1] and "in 5 attempts: NO" in failures[2]
    listed = [message(7, "quarantined"), message(8, "failed"), message(9, "failed"), message(8, "failed", "Sent")]
    # UID 77 is not listed, nor one of the two of Sent, and what cannot be told apart is not left out.
    assert run_stuck.told_of(failures, [*listed, message(7, "quarantined", odd)]) == [1, 3]
