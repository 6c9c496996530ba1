# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's own arithmetic and its table."""

from __future__ import annotations

from tests.bench.engine import Task
from tests.bench.figures import Claim, Result, Sample, aligned, bound, lines
from tests.bench.server import MANY_FOLDERS, many_folders, short


def raced() -> Result:
    result = Result("Race")
    for seconds, cpu in ((4.0, 1.0), (2.0, 9.0), (8.0, 2.0)):
        result.add("hare", Sample(seconds, cpu, 80))
    result.add("tortoise", Sample(16.0, 3.0, 80, process=17.0))
    return result


def test_each_figure_has_its_own_median() -> None:
    hare = raced().median("hare")
    assert (hare.seconds, hare.cpu, hare.rate) == (4.0, 2.0, 20.0)
    assert raced().median("tortoise").process == 17.0


def test_a_claim_is_reached_on_its_side_of_the_target_and_on_it() -> None:
    at_least = [Claim("", value, 3.0, at_least=True, unit="x").reached for value in (2.9, 3.0, 3.1)]
    at_most = [Claim("", value, 3.0, at_least=False, unit="s").reached for value in (2.9, 3.0, 3.1)]
    assert (at_least, at_most) == ([False, True, True], [True, True, False])


def test_the_table_names_target_figure_and_what_falls_short() -> None:
    result = raced()
    result.at_least("hare / tortoise", 4.0, 3.0)
    result.at_most("hare", 4.0, 3.5, "s")
    table = lines(result)
    assert [line.split() for line in table] == [
        ["Race"],
        ["seconds", "process", "CPU", "s", "messages/s"],
        ["hare", "4.000", "2.00", "20"],
        ["tortoise", "16.000", "17.00", "3.00", "5"],
        ["target", "reached"],
        ["hare", "/", "tortoise", ">=", "3.00x", "4.00x"],
        ["hare", "<=", "3.50", "s", "4.00", "s", "short"],
    ]
    assert table[2].index("4.000") + len("4.000") == table[3].index("16.000") + len("16.000")


def test_a_case_without_a_target_has_no_claims_in_its_table() -> None:
    assert len(lines(raced())) == 4


def test_columns_stand_under_each_other() -> None:
    assert aligned([("a", "1", "x"), ("bbb", "22", "")]) == ["a     1  x", "bbb  22"]
    assert bound(Claim("", 1, 2, at_least=False, unit="x")) == "<= 2.00x"


def test_the_data_hold_every_run_and_whether_a_target_was_reached() -> None:
    result = raced()
    result.at_most("hare", 4.0, 3.5, "s")
    data = result.as_data()
    assert [run["seconds"] for run in data["runs"]["hare"]] == [4.0, 2.0, 8.0]
    assert data["medians"]["hare"]["rate"] == 20.0
    assert [claim["reached"] for claim in data["claims"]] == [False]


def test_the_engine_is_asked_for_one_mailbox_or_for_all_with_the_connections_of_the_case() -> None:
    one = Task("/archive", 1, "not-a-secret-one", mailbox="ann@example.com", connections=4).options()
    assert [profile.method for profile in one.profiles] == ["single_mailbox"]
    assert (one.processes, one.servers["mail1"].connections, one.servers["mail1"].access) == (4, 4, "IMAP")
    everybody = Task("/archive", 1, "not-a-secret-all", ca_file="/ca.crt", connections=16).options()
    assert [profile.method for profile in everybody.profiles] == ["multiple_mailboxes"]
    assert (everybody.servers["mail1"].access, everybody.servers["mail1"].ca_file) == ("IMAP-SSL", "/ca.crt")


def test_generated_mailboxes_hold_what_the_cases_say() -> None:
    folders = many_folders()
    assert len(set(folders)) == MANY_FOLDERS
    assert short("seed", 1) == short("seed", 1) != short("seed", 2)
