# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's login is no way to guess passwords of Kerio: how many wrong ones reach a server, and who goes on meanwhile."""

from __future__ import annotations

import os
import time
import typing as t
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.access_stage import HERE, LIMITS, Access, Ask, Told, finish
from tests.faults.imap_script import Action
from tests.faults.imap_server import ImapServer

WRONG = "no-secret-wrong"
OTHER = "198.51.100.7"
PEOPLE = [f"user{number}" for number in range(40)]


@pytest.fixture
def server() -> t.Iterator[ImapServer]:
    with ImapServer() as server:
        for name in ("alice", "bob", *PEOPLE):
            server.state.folder(name)
        yield server


@pytest.fixture
def access(tmp_path: Path, server: ImapServer) -> Access:
    access = Access(tmp_path)
    access.serve(server)
    for name in ("alice", "bob", *PEOPLE):
        access.person(name, name)
    return access


def reached(server: ImapServer) -> int:
    return server.verbs().count("LOGIN")


def spray(people: t.Sequence[str], count: int, source: str = HERE) -> list[Ask]:
    return [Ask(people[number % len(people)], f"{WRONG}{number}", source) for number in range(count)]


# Processes that surely come between each other may all be refused, but no more than the limit get through.
@pytest.mark.parametrize(("delay", "at_least"), [(0, 3), (0.2, 0)])
def test_a_server_that_hangs_has_some_logins_under_way_and_the_rest_is_told_so(
    access: Access, server: ImapServer, delay: float, at_least: int
) -> None:
    access.at_once, access.timeout, access.delay = 3, 3, delay
    server.script.on("LOGIN", script.hang)
    processes = [access.start() for _ in range(8)]
    with ThreadPoolExecutor(len(processes)) as pool:
        told = list(pool.map(lambda each: finish(each[0], [Ask(each[1])])[0], zip(processes, PEOPLE, strict=False)))
    asked = reached(server)
    assert at_least <= asked <= 3
    assert Counter(one.outcome for one in told) == Counter(unclear=asked, unsent=8 - asked)
    busy = {one for one in told if one.outcome == "unsent"}
    assert busy == {Told("unavailable", "unsent", "3 logins are under way at mail1; it was not asked")}


def test_logins_of_processes_that_died_are_forgotten_soon(access: Access) -> None:
    access.guesses.mkdir()
    slot = int(time.time()) // int(2 * access.timeout + 2)
    noted = access.guesses / f"busy.mail1.{slot}+"
    noted.write_text("+" * access.at_once)
    assert access.one().answer == "unavailable"
    noted.rename(access.guesses / f"busy.mail1.{slot - 3}+")
    assert access.one().answer == "ok"


def test_200_wrong_passwords_for_one_person_reach_the_server_three_times(access: Access, server: ImapServer) -> None:
    told = access.login(*spray(["alice"], 200))
    assert reached(server) == LIMITS["account_and_source"]
    assert [one.outcome for one in told] == ["wrong"] * 3 + ["throttled"] * 197
    assert {one.answer for one in told} == {"refused"}
    assert told[-1].why == "the limit account_and_source is reached; mail1 was not asked"
    # What was refused has made no file longer, but for those of seconds.
    assert sum(path.stat().st_size for path in access.guesses.iterdir() if not path.name.startswith("busy.")) < 300


def test_200_wrong_passwords_for_many_from_one_source_reach_it_as_often_as_stated(access: Access, server: ImapServer) -> None:
    told = access.login(*spray(PEOPLE, 200))
    assert reached(server) == LIMITS["source"]
    assert told[-1].why.startswith("the limit source is reached")
    # Right ones of the same source wait; others, elsewhere, go on.
    assert access.one().outcome == "throttled"
    assert access.one(source=OTHER).outcome == "right"


def test_all_sources_together_are_limited_too(access: Access, server: ImapServer) -> None:
    asked = [Ask(PEOPLE[number % 40], WRONG, f"203.0.113.{number}") for number in range(200)]
    told = access.login(*asked)
    assert reached(server) == LIMITS["server"]
    assert told[-1].why.startswith("the limit server is reached")


def test_an_account_is_guarded_against_guesses_from_everywhere(access: Access, server: ImapServer) -> None:
    told = access.login(*(Ask("alice", WRONG, f"203.0.113.{number}") for number in range(20)))
    assert reached(server) == LIMITS["account"]
    assert told[-1].why.startswith("the limit account is reached")
    assert access.one(user="bob").outcome == "right"


def together(access: Access, asked: t.Sequence[t.Sequence[Ask]]) -> list[Told]:
    """Several processes at the same time, each with its own logins."""
    processes = [access.start() for _ in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        return [told for part in pool.map(finish, processes, asked) for told in part]


@pytest.mark.parametrize(("people", "limit"), [(["alice"] * 40, "account_and_source"), (PEOPLE, "source")])
def test_processes_that_ask_at_the_same_time_do_not_pass_a_limit(
    access: Access, server: ImapServer, people: list[str], limit: str
) -> None:
    access.delay = 0.01
    access.limits["source"] = 8
    server.script.on("LOGIN", script.delay(0.1))
    told = together(access, [spray(people[own:], 5) for own in range(10)])
    assert reached(server) == access.limits[limit]
    assert sum(one.outcome == "wrong" for one in told) == access.limits[limit]


def test_many_right_logins_at_the_same_time_wait_for_each_other_instead_of_being_refused(
    access: Access, server: ImapServer
) -> None:
    server.script.on("LOGIN", script.delay(0.1))
    told = together(access, [[Ask(), Ask()]] * 6)
    assert {one.outcome for one in told} == {"right"}


def test_right_passwords_are_never_too_many_and_take_back_the_wrong_ones_from_there_alone(access: Access) -> None:
    wrong, elsewhere = Ask("alice", WRONG), Ask("alice", WRONG, OTHER)
    told = access.login(
        wrong, wrong, *[Ask()] * 60, wrong, wrong, Ask(), elsewhere, elsewhere, Ask(), elsewhere, Ask(), elsewhere
    )
    assert [one.outcome for one in told if one.outcome != "right"] == ["wrong"] * 7 + ["throttled"]
    assert sum(one.outcome == "right" for one in told) == 63


def test_a_source_has_no_more_guesses_for_a_right_password_of_its_own(access: Access) -> None:
    told = access.login(*(ask for number in range(30) for ask in (Ask("bob"), Ask(PEOPLE[number], WRONG))))
    assert sum(one.outcome == "wrong" for one in told) == LIMITS["source"]


@pytest.mark.parametrize(
    ("source", "trusted"),
    [
        (HERE, True),
        ("10.9.8.7", True),
        ("::ffff:10.9.8.7", True),
        ("2001:db8:5:1::1", True),
        ("2001:db8:6::1", False),
        ("11.0.0.1", False),
    ],
)
def test_behind_webmail_the_source_is_not_counted(access: Access, source: str, trusted: bool) -> None:
    access.trusted = ["10.0.0.0/8", HERE, "2001:db8:5::/48"]
    last = access.login(*spray(PEOPLE, 30, source))[-1]
    assert last.outcome == ("wrong" if trusted else "throttled")


def test_a_network_of_ipv6_is_one_source(access: Access) -> None:
    access.limits["server"] = 0
    access.login(*(Ask(PEOPLE[number], WRONG, f"2001:db8:0:1::{number:x}") for number in range(20)))
    assert access.one(source="2001:0DB8:0:1:ffff::1").outcome == "throttled"
    assert access.one(source="2001:db8:0:2::1").outcome == "right"


@pytest.mark.parametrize(
    ("verb", "action", "answers"),
    [
        ("GREETING", script.bye("busy"), ["unsent"] * 5),
        ("LOGIN", script.no("[UNAVAILABLE] later"), ["temporary"] * 5),
        ("LOGIN", script.bye("going down"), ["unclear"] * 3 + ["throttled"] * 2),
    ],
)
def test_what_kerio_may_have_counted_counts_against_the_account_and_nothing_else_does(
    access: Access, server: ImapServer, verb: str, action: Action, answers: list[str]
) -> None:
    access.limits |= {"source": 3, "server": 3}
    server.script.on(verb, action)
    assert [one.outcome for one in access.login(*[Ask()] * 5)] == answers
    server.script.clear()
    assert access.one(user="bob").outcome == "right"


def next_second() -> None:
    time.sleep(1.02 - time.time() % 1)


def test_a_limit_holds_over_the_end_of_a_slot_and_ends_with_the_next_one(access: Access) -> None:
    access.limits["window"] = 1
    next_second()
    told = access.login(*spray(["alice"], 5))
    assert [one.outcome for one in told] == ["wrong"] * 3 + ["throttled"] * 2
    next_second()
    assert access.one().outcome == "throttled"
    next_second()
    assert access.one().outcome == "right"


def test_old_counts_are_removed_and_recent_ones_are_kept(access: Access, server: ImapServer) -> None:
    access.login(Ask("alice", WRONG), Ask("bob", WRONG))
    old, new = sorted(access.guesses.glob("account.*"))
    for path in access.guesses.iterdir():
        if path != new:
            os.utime(path, (0, time.time() - 4 * LIMITS["window"]))
    access.person("alice", "alice", "mail2")
    access.serve(server, "mail2")
    access.one()
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize(("name", "broken"), [("source.192.0.2.1.%d+", "/dev/full"), ("account.mail1%%7Ealice.%d", "/")])
def test_nobody_gets_in_when_nothing_can_be_counted(access: Access, server: ImapServer, name: str, broken: str) -> None:
    access.guesses.mkdir()
    slot = int(time.time()) // LIMITS["window"]
    for number in (slot, slot + 1):
        (access.guesses / (name % number)).symlink_to(broken)
    told = access.one()
    assert (told.answer, told.outcome) == ("unavailable", "unsent")
    assert reached(server) == 0
