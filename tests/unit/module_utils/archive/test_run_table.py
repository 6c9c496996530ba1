# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_table


def profile(name: str, **more: int) -> dict[str, t.Any]:
    return {"name": name, "new": 1, "known": 1200, "copies": 0, "bytes": 1_500_000, "seconds": 1.25, **more}


def test_a_run_is_a_line_for_each_profile_and_one_for_all() -> None:
    header, first, second, everything = run_table.of_run([profile("all mailboxes", deleted=7), profile("journal", quarantined=2)])
    assert header.split() == [
        *("profile", "new", "known", "copies", "excluded", "left", "failed", "quarantined", "deleted", "bytes", "seconds")
    ]
    assert first.split() == ["all", "mailboxes", "1", "1,200", "0", "0", "0", "0", "0", "7", "1.5", "MB", "1.2"]
    assert second.split()[-5:] == ["2", "0", "1.5", "MB", "1.2"]
    assert everything.split() == ["all", "2", "2,400", "0", "0", "0", "0", "2", "7", "3.0", "MB", "2.5"]
    assert len({len(line) for line in (header, first, second, everything)}) == 1


def test_one_profile_needs_no_sum() -> None:
    assert len(run_table.of_run([profile("one")])) == 2


def test_a_table_has_at_most_24_lines_and_tells_how_many_are_left_out() -> None:
    for count in (20, 21, 22, 23, 100):
        table = run_table.of_run([profile(f"profile {number}") for number in range(count)])
        assert len(table) <= run_table.MOST_LINES
        shown = sum(1 for line in table if line.startswith("profile ")) - 1
        assert shown == count or f"... and {count - shown:,} more" in table
        assert table[-1].split()[0] == "all"


def test_findings_of_a_test_come_first() -> None:
    row = {"server": "mail1", "connection": "ok", "login": "ok", "folders": "ok", "messages": 4310, "can_be": []}
    fine = {**row, "mailbox": "alice@example.com", "verdict": "fine"}
    off = {**row, "mailbox": "bob@example.com", "verdict": "cannot_tell", "can_be": ["master_off", "wrong_group"], "messages": 0}
    table = run_table.of_test([fine, off])
    assert "cannot_tell: master_off or wrong_group" in table[1]
    assert table[2].split() == ["mail1", "alice@example.com", "ok", "ok", "ok", "4,310", "fine"]


def test_an_estimate_names_profiles_and_servers() -> None:
    server = {"name": "mail1", "messages": 10, "bytes": 1000, "messages_per_second": 0, "bytes_per_second": 0}
    server["reading_seconds"] = None
    table = run_table.of_estimate({"profiles": [{"name": "all", "messages": 10, "bytes": 1000}], "servers": [server]})
    assert [line.split()[0] for line in table] == ["profile", "all", "server"]
    assert "unknown" in table[2]
    idle = {**server, "messages": 0, "bytes": 0, "reading_seconds": 0.0}
    assert run_table.of_estimate({"profiles": [], "servers": [idle]})[1].split() == ["server", "mail1", "0", "0", "bytes"]
