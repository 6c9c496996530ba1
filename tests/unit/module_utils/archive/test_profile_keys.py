# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters, deletion, moves, order, windows and bandwidth as inventory data; whatever else comes is an error with a name."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import (
    KEYS,
    SERVER_KEYS,
    DeleteRules,
    Profile,
    Window,
    parse_profiles,
    parse_servers,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_filter import FILTER_KEYS
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

SERVERS = parse_servers([{"name": "mail1"}])
MULTIPLE = {"name": "p", "method": "multiple_mailboxes"}
SINGLE = {"name": "p", "method": "single_mailbox", "mailbox": "alice@example.com", "target_user": "bob"}
MULTIDROP = {"name": "p", "method": "multidrop", "mailbox": "archive@example.com"}
NEW_YEAR = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp())


def parsed(raw: dict[str, t.Any] = MULTIPLE, **more: t.Any) -> Profile:
    return parse_profiles([{**raw, **more}], SERVERS)[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.date(2026, 1, 1), NEW_YEAR),
        ("2026-01-01", NEW_YEAR),
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01 01:00+01:00", NEW_YEAR),
        (datetime.datetime.fromisoformat("2026-01-01T00:00:05"), NEW_YEAR + 5),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), NEW_YEAR - 7200),
    ],
)
def test_a_date_is_its_first_second_in_utc(value: t.Any, expected: int) -> None:
    assert parsed(filter={"since": value}).filter == MessageFilter(since=expected)


@pytest.mark.parametrize(("value", "expected"), [("10K", 10_240), ("2 m", 2 << 20), (7, 7), ("7", 7), ("3G", 3 << 30)])
def test_sizes_have_units_of_1024(value: t.Any, expected: int) -> None:
    assert parsed(filter={"larger_than": value}).filter.larger_than == expected


def test_every_key_arrives() -> None:
    found = parsed(
        filter={
            "before": "2026-01-01",
            "older_than_days": 30,
            "younger_than_days": "3650",
            "seen": True,
            "flagged": False,
            "smaller_than": "50M",
            "headers": {"Subject": ["Invoice", "bill", "bill"], "subject": "offer"},
            "not_headers": {"X-Spam-Flag": "YES"},
        },
        delete={"after_days": 90},
        moves="follow",
        order="newest_first",
        window="22:00-6:00",
    )
    assert found.filter == MessageFilter(
        before=NEW_YEAR,
        older_than_days=30,
        younger_than_days=3650,
        seen=True,
        flagged=False,
        smaller_than=50 << 20,
        headers=(("subject", ("Invoice", "bill", "offer")),),
        not_headers=(("x-spam-flag", ("YES",)),),
    )
    assert (found.delete, found.moves, found.order, found.window) == (
        DeleteRules(90),
        "follow",
        "newest_first",
        Window(1320, 360),
    )
    assert parsed(SINGLE, delete={"after_days": 0, "dedicated": True}).delete == DeleteRules(0, True)
    assert parse_servers([{"name": "m", "bandwidth": "20M"}])["m"].bandwidth == 20 << 20


def test_what_is_not_said_changes_nothing() -> None:
    bare = parsed()
    assert not bare.filter and bare.delete is None and bare.window is None
    assert (bare.moves, bare.order) == ("stay", "oldest_first")
    assert parsed(filter={}, delete=None, window=None) == parsed(filter={"seen": None, "headers": {}}) == bare


@pytest.mark.parametrize(
    ("raw", "change", "words"),
    [
        (MULTIPLE, {"filter": ["seen"]}, ["key filter:", "a dictionary of since, before"]),
        (MULTIPLE, {"filter": {"sinse": 1}}, ["key filter.sinse:", "no such key", "since, before"]),
        (MULTIPLE, {"filter": {"since": "yesterday"}}, ["key filter.since:", "'yesterday'", "2020-01-31", "UTC"]),
        (MULTIPLE, {"filter": {"since": "2026-02-30"}}, ["key filter.since:"]),
        (MULTIPLE, {"filter": {"since": "1850-01-01"}}, ["key filter.since:", "from 1970 to 2999"]),
        (MULTIPLE, {"filter": {"since": 20260101}}, ["key filter.since:"]),
        (
            MULTIPLE,
            {"filter": {"since": "2026-01-01", "before": "2026-01-01"}},
            ["key filter.since:", "not earlier than filter.before", "no message could pass"],
        ),
        (
            MULTIPLE,
            {"filter": {"older_than_days": 9, "younger_than_days": 9}},
            ["key filter.older_than_days:", "not less than filter.younger_than_days", "smaller number"],
        ),
        (MULTIPLE, {"filter": {"larger_than": 9, "smaller_than": 10}}, ["key filter.larger_than:", "below filter.smaller_than"]),
        (MULTIPLE, {"filter": {"older_than_days": 0}}, ["key filter.older_than_days:", "1 to 36500"]),
        (MULTIPLE, {"filter": {"seen": "yes"}}, ["key filter.seen:", "true or false"]),
        (MULTIPLE, {"filter": {"larger_than": "10X"}}, ["key filter.larger_than:", "K, M or G"]),
        (MULTIPLE, {"filter": {"larger_than": -1}}, ["key filter.larger_than:"]),
        (MULTIPLE, {"filter": {"headers": ["Subject"]}}, ["key filter.headers:", "dictionary of header fields"]),
        (MULTIPLE, {"filter": {"headers": {"Sub ject": "x"}}}, ["key filter.headers.Sub ject:", "no header field"]),
        (MULTIPLE, {"filter": {"headers": {"Subject": []}}}, ["key filter.headers.Subject:", "at least one text"]),
        (MULTIPLE, {"filter": {"headers": {"Subject": ["x", 1]}}}, ["key filter.headers.Subject:"]),
        (
            MULTIPLE,
            {"filter": {"headers": {"X": ["SPAM one", "spam"]}, "not_headers": {"x": ["Spam"]}}},
            ["key filter.headers:", "not_headers forbids", "no message could pass"],
        ),
        (MULTIPLE, {"delete": {}}, ["key delete.after_days:", "missing"]),
        (MULTIPLE, {"delete": True}, ["key delete:", "after_days, dedicated"]),
        (MULTIPLE, {"delete": {"after": 9}}, ["key delete.after:", "no such key"]),
        (MULTIPLE, {"delete": {"after_days": -1}}, ["key delete.after_days:", "0 to 36500"]),
        (MULTIPLE, {"delete": {"after_days": 9, "dedicated": True}}, ["key delete.dedicated:", "single_mailbox or multidrop"]),
        (MULTIDROP, {"moves": "follow"}, ["key moves:", "multidrop has no such key"]),
        (MULTIPLE, {"moves": "copy"}, ["key moves:", "stay, follow"]),
        (MULTIPLE, {"order": "newest"}, ["key order:", "oldest_first, newest_first"]),
        (MULTIPLE, {"window": "22-06"}, ["key window:", "22:00-06:00"]),
        (MULTIPLE, {"window": "24:00-06:00"}, ["key window:"]),
        (MULTIPLE, {"window": "06:00-06:00"}, ["key window:", "it opens when it closes", "leave window out"]),
    ],
)
def test_errors_name_the_nested_key_and_the_remedy(raw: dict[str, t.Any], change: dict[str, t.Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parsed(raw, **change)
    for word in ["profile p, ", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("bandwidth", [20, "9K", "20 MB", "2T", True, -1, ""])
def test_a_bandwidth_that_cannot_be_meant_names_the_server(bandwidth: t.Any) -> None:
    with pytest.raises(InputError, match=r"server m, key bandwidth: .*10K to 1024G"):
        parse_servers([{"name": "m", "bandwidth": bandwidth}])


def test_the_rules_hash_covers_the_filter_and_nothing_else_that_is_new() -> None:
    bare = parsed().rules_hash()
    assert bare == parsed(delete={"after_days": 1}, moves="follow", order="newest_first", window="1:00-2:00").rules_hash()
    # As archives of earlier releases know it.
    assert bare == "4f53cda18c2baa0c"
    assert parsed(filter={"seen": True}).rules_hash() not in (bare, parsed(filter={"seen": False}).rules_hash())
    assert parsed(MULTIDROP, filter={"seen": True}).rules_hash() != parsed(MULTIDROP).rules_hash()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NESTED = st.dictionaries(st.sampled_from([*FILTER_KEYS, "after_days", "dedicated", "include", "only", "x"]), ANYTHING, max_size=4)


@given(st.sampled_from([SINGLE, MULTIPLE, MULTIDROP]), st.sampled_from([*KEYS, "other"]), ANYTHING | NESTED)
def test_any_value_of_any_key_is_a_profile_or_an_error_with_its_name(raw: dict[str, t.Any], key: str, value: t.Any) -> None:
    try:
        assert isinstance(parsed(raw, **{key: value}), Profile)
    except InputError as error:
        assert error.subject.startswith("profile ") and f", key {key}" in error.subject
        assert error.cause and error.remedy and len(str(error)) < 1500


@pytest.mark.parametrize("name", ["a\nb", "\ud800", " ", 5, None])
def test_a_profile_that_cannot_be_named_has_a_number(name: t.Any) -> None:
    with pytest.raises(InputError, match=r"^profile number 1, key name: [^\n]*$"):
        parsed(name=name)


@pytest.mark.parametrize("raw", [{"connections": 10**5000}, {"filter": {"larger_than": 10**5000}}, {"order": 10**5000}])
def test_a_number_that_cannot_be_written_is_refused_like_any_other(raw: dict[str, t.Any]) -> None:
    with pytest.raises(InputError, match="a number of that length cannot be used"):
        parsed(**raw)


@given(ANYTHING)
def test_any_list_of_anything_is_refused_with_a_number(value: t.Any) -> None:
    with pytest.raises(InputError, match="number 1"):
        parse_profiles([value], SERVERS)
    with pytest.raises(InputError, match="number 1"):
        parse_servers([value])


@given(st.sampled_from([*SERVER_KEYS, "other"]), ANYTHING)
def test_any_value_of_any_key_of_a_server_is_a_server_or_an_error_with_its_name(key: str, value: t.Any) -> None:
    with contextlib.suppress(InputError):
        parse_servers([{"name": "m", key: value}])
