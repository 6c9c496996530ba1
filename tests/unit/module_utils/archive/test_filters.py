# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of filters: the server's criteria never miss what passes, and headers are read as people see them."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import DAY, Facts, MessageFilter
from tests.unit.module_utils.archive.search_fake import Candidate, matches

NOON = int(datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC).timestamp())


def reason(rule: MessageFilter, **facts: t.Any) -> str:
    return filters.reason(rule, Facts(**{"size": 100, "internaldate": NOON, **facts}), NOON).removeprefix(filters.FILTER)


def test_bounds_are_exact_to_the_second_and_the_byte() -> None:
    assert not reason(MessageFilter(since=NOON))
    assert reason(MessageFilter(since=NOON + 1)) == "before 2026-03-01 12:00:01 UTC"
    assert reason(MessageFilter(before=NOON)) == "not before 2026-03-01 12:00:00 UTC"
    assert not reason(MessageFilter(before=NOON + 1))
    assert not reason(MessageFilter(older_than_days=1), internaldate=NOON - DAY)
    assert reason(MessageFilter(older_than_days=1), internaldate=NOON - DAY + 1) == "younger than 1 day"
    assert reason(MessageFilter(younger_than_days=1), internaldate=NOON - DAY) == "1 day old or older"
    assert not reason(MessageFilter(younger_than_days=1), internaldate=NOON - DAY + 1)
    assert reason(MessageFilter(larger_than=100)) == "not larger than 100 bytes"
    assert not reason(MessageFilter(larger_than=99))
    assert reason(MessageFilter(smaller_than=100)) == "not smaller than 100 bytes"
    assert not reason(MessageFilter(smaller_than=101))


def test_flags_count_in_any_case() -> None:
    assert reason(MessageFilter(seen=True)) == "not seen"
    assert not reason(MessageFilter(seen=True), flags=("\\SEEN",))
    assert reason(MessageFilter(flagged=False), flags=("\\flagged",)) == "flagged"


def test_a_message_whose_date_cannot_be_read_meets_every_condition_on_dates() -> None:
    rule = MessageFilter(since=NOON, before=NOON + 1, older_than_days=1, younger_than_days=9)
    assert not reason(rule, internaldate=0)
    assert filters.comes_of_age(rule, 0) == 0


def test_what_lasts_is_named_before_what_may_change() -> None:
    rule = MessageFilter(seen=True, smaller_than=10, older_than_days=1)
    assert reason(rule) == "not smaller than 10 bytes"
    assert filters.lasting_reason(rule, Facts(100, NOON), NOON)
    assert not filters.lasting_reason(rule, Facts(9, NOON), NOON)


HEADER = (
    b"From: Alice <alice@example.com>\r\nSubject: =?utf-8?Q?Rechnung_f=C3=A4l?=\r\n =?utf-8?Q?lig?=\r\nX-Two: one\r\nX-Two:\r\n"
    b"\ttwo   three\r\nX-Latin: M\xfcnchen\r\nX-Raw: =?utf-8?B?w7w=?="
)


@pytest.mark.parametrize(
    ("name", "text", "contained"),
    [
        ("subject", "fällig", True),
        ("subject", "RECHNUNG FÄLLIG", True),
        ("subject", "=?utf-8?q?rechnung", True),
        ("subject", "alice", False),
        ("x-two", "one", True),
        ("x-two", "two three", True),
        ("x-two", "one two", False),
        ("x-latin", "münchen", True),
        ("x-raw", "ü", True),
        ("x-none", "", False),
        ("from", "alice@example", True),
    ],
)
def test_a_text_is_found_as_sent_and_as_decoded(name: str, text: str, contained: bool) -> None:
    wanted, unwanted = MessageFilter(headers=((name, (text,)),)), MessageFilter(not_headers=((name, (text,)),))
    assert (not filters.header_reason(wanted, HEADER)) == contained
    assert bool(filters.header_reason(unwanted, HEADER)) == contained
    assert {filters.header_reason(wanted, HEADER), filters.header_reason(unwanted, HEADER)} - {""} <= (
        filters.header_reasons(wanted) | filters.header_reasons(unwanted)
    )


WORDS = st.sampled_from(["invoice", "bill", "Über", "a b", 'quo"te', "(x)", "nil", "=?x", "12"])
FIELDS = st.lists(
    st.tuples(st.sampled_from(["subject", "x-flag"]), st.lists(WORDS, min_size=1, max_size=3).map(tuple)), max_size=2
).map(lambda fields: tuple(dict(fields).items()))
FLAG = st.none() | st.booleans()
SIZE = st.none() | st.integers(0, 300)
AGE = st.none() | st.integers(1, 40)
INSTANT = st.none() | st.integers(NOON - 40 * DAY, NOON + DAY)
RULES = st.builds(MessageFilter, INSTANT, INSTANT, AGE, AGE, FLAG, FLAG, SIZE, SIZE, FIELDS, FIELDS)
SUBJECTS = st.lists(WORDS | st.just("=?utf-8?B?aW52b2ljZSDDnGJlcg==?="), max_size=3).map(" ".join)


@given(
    RULES,
    SUBJECTS,
    st.integers(NOON - 40 * DAY, NOON),
    st.sets(st.sampled_from(["\\Seen", "\\Flagged"])),
    st.integers(-12, 14),
)
def test_the_server_finds_whatever_passes_here_in_any_time_zone(
    rule: MessageFilter, subject: str, date: int, flags: set[str], hours: int
) -> None:
    body = f"Subject: {subject}\r\nX-Flag: {subject[:3]}\r\n\r\n".encode()
    facts = Facts(len(body), date, tuple(flags))
    passes = not filters.reason(rule, facts, NOON) and not filters.header_reason(rule, body[:-4])
    found = matches(Candidate(body, date, tuple(flags), hours), filters.criteria(rule, NOON))
    assert found or not passes


@given(RULES, st.integers(-12, 14), st.integers(NOON - 40 * DAY, NOON))
def test_the_margin_is_less_than_four_days(rule: MessageFilter, hours: int, date: int) -> None:
    bare = MessageFilter(since=rule.since, before=rule.before)
    if matches(Candidate(b"", date, (), hours), filters.criteria(bare, NOON)):
        assert bare.since is None or date >= bare.since - 4 * DAY
        assert bare.before is None or date < bare.before + 4 * DAY


def test_texts_that_a_search_cannot_carry_are_left_to_us() -> None:
    def asked(*texts: str) -> list[t.Any]:
        return filters.criteria(MessageFilter(headers=(("subject", texts),)), NOON)

    both = ["HEADER", "subject", "unpaid", "HEADER", "subject", "invoices"]
    assert asked("unpaid invoices") == ["OR", both, "HEADER", "subject", "=?"]
    assert asked("unpaid ünd invoices") == asked("unpaid invoices")
    assert asked("a", "ü") == asked('"') == asked("nil") == asked("a\\") == asked("(") == []
    unwanted = (("x", ("spam", "ham and", "=?x")),)
    assert filters.criteria(MessageFilter(not_headers=unwanted), NOON) == ["NOT", "HEADER", "x", "spam"]


def test_the_fingerprint_is_of_the_conditions() -> None:
    assert MessageFilter().fingerprint() == ""
    assert MessageFilter(seen=True).fingerprint() == MessageFilter(seen=True).fingerprint()
    assert (
        len({rule.fingerprint() for rule in (MessageFilter(seen=True), MessageFilter(seen=False), MessageFilter(since=1))}) == 3
    )
