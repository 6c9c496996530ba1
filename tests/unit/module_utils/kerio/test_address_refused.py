# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that refuses a change of IP address groups: what was done before is taken back, and a check foresees it."""

from __future__ import annotations

import copy
import typing as t

from tests.unit.address_script import (
    AS_DECLARED,
    CREATED,
    CREATES,
    CUT_OFF,
    CUT_OFF_WORDS,
    MAIN,
    NEW_ROWS,
    SETS,
    WANTED,
    create,
    group,
    on_entries,
    read,
    row,
    rows,
    sent,
)
from tests.unit.rpc_script import Script, error, failing, login, logout, run_module


def test_a_refused_removal_takes_back_what_was_done_before() -> None:
    set_done = copy.deepcopy(CREATED)
    set_done[0]["description"] = "archive host"
    script = Script(
        login(),
        *read(),
        CREATES,
        *SETS,
        on_entries("validateRemove", "2", answer=CUT_OFF),
        *read(set_done),
        on_entries("set", "1", description="archive1"),
        on_entries("remove", "8", "9"),
        *read(),
        logout(),
    )
    result = failing(MAIN, script, groups=WANTED)
    assert f"Archive hosts: network 10.0.0.0/8: {CUT_OFF_WORDS}" in result["msg"]
    assert "Keep an enabled entry that admits the address" in result["msg"]
    assert "so that nothing is changed" in result["msg"]
    assert (result["changed"], "done" in result["error"]) == (False, False)
    assert result["error"]["errors"][0]["code"] == 1000


def test_a_refused_change_takes_back_the_created_entries_alone() -> None:
    refused = on_entries("validateSet", "1", description="archive host", answer=CUT_OFF)
    back = (on_entries("remove", "8", "9"), *read())
    script = Script(login(), *read(), CREATES, refused, *read(CREATED), *back, logout())
    assert "so that nothing is changed" in failing(MAIN, script, groups=WANTED)["msg"]


def test_what_cannot_be_taken_back_is_told() -> None:
    refused = on_entries("validateSet", "1", description="archive host", answer=CUT_OFF)
    kept = (on_entries("remove", "8", "9"), *read(CREATED))
    script = Script(login(), *read(), CREATES, refused, *read(CREATED), *kept, logout())
    half = failing(MAIN, script, groups=WANTED)
    assert "Not everything that was done before could be taken back" in half["msg"]
    assert half["changed"] is True
    broken = on_entries("remove", "8", "9", answer=error(1000, "disk full"))
    script = Script(login(), *read(), CREATES, refused, *read(CREATED), broken, logout())
    message = failing(MAIN, script, groups=WANTED)["msg"]
    assert CUT_OFF_WORDS in message
    assert "failed as well (disk full (code 1000)): look at Archive hosts" in message


def test_what_is_taken_back_goes_parents_first_and_leaves_what_somebody_else_created() -> None:
    groups = [
        {"name": "Zone", "entries": [{"group": "Offices"}]},
        {"name": "Offices", "entries": [{"this_machine": True}]},
        *group(AS_DECLARED[0]),
    ]
    offices, everything = sent("Offices", type="ThisMachine"), sent("Zone", type="ChildGroup", childGroupId="group-Offices")
    first = rows(_5={**offices, "groupId": "group-Offices"})
    stranger = row("6", groupName="Offices", type="Host", host="192.0.2.66")
    both = [*first, stranger, row("7", **{**everything, "groupId": "group-Zone"})]
    script = Script(
        login(),
        *read(),
        create(offices),
        read(first)[0],
        create(everything),
        on_entries("validateRemove", "2", answer=CUT_OFF),
        *read(both),
        on_entries("remove", "7", "5"),
        *read([*rows(), stranger]),
        logout(),
    )
    message = failing(MAIN, script, groups=groups)["msg"]
    assert "Not everything that was done before could be taken back: look at " in message


def test_nothing_to_take_back_asks_nothing_more() -> None:
    refused = on_entries("validateRemove", "2", answer=CUT_OFF)
    result = failing(MAIN, Script(login(), *read(), refused, logout()), groups=group(AS_DECLARED[0]))
    assert CUT_OFF_WORDS in result["msg"]
    assert "Nothing was changed" in result["msg"]


def test_an_entry_that_is_refused_takes_back_those_that_were_not() -> None:
    answer = {
        "errors": [{"inputIndex": 1, "code": 1001, "message": "This address group already exists!"}],
        "result": [{"inputIndex": 0, "id": "row-8"}],
    }
    refused = create(*t.cast("dict[str, t.Any]", CREATES.params)["groups"], answer=answer)
    half = rows(_8=NEW_ROWS["_8"])
    script = Script(login(), *read(), refused, *read(half), on_entries("remove", "8"), *read(), logout())
    result = failing(MAIN, script, groups=WANTED)
    assert "Archive hosts: host archive2.example.com: This address group already exists! (code 1001)" in result["msg"]
    assert "so that nothing is changed" in result["msg"]


def test_a_check_without_new_entries_fails_as_the_run_would() -> None:
    refused = on_entries("validateRemove", "2", answer=CUT_OFF)
    result = failing(MAIN, Script(login(), *read(), refused, logout()), check=True, groups=group(AS_DECLARED[0]))
    assert CUT_OFF_WORDS in result["msg"]


def test_a_check_warns_where_new_entries_may_let_us_in() -> None:
    refused = on_entries("validateRemove", "2", answer=CUT_OFF)
    wanted = group(AS_DECLARED[0], {"network": "10.0.0.0/16"})
    result = run_module(MAIN, Script(login(), *read(), refused, logout()), check=True, groups=wanted)
    assert result["changed"] is True
    assert CUT_OFF_WORDS in result["warnings"][0]
    assert "without the new entries" in result["warnings"][0]
    disabled = group(AS_DECLARED[0], {"network": "10.0.0.0/16", "enabled": False})
    assert failing(MAIN, Script(login(), *read(), refused, logout()), check=True, groups=disabled)["changed"] is False


def test_a_check_warns_where_enabling_may_let_us_in() -> None:
    calls = (on_entries("validateSet", "1", enabled=True), on_entries("validateRemove", "2", answer=CUT_OFF))
    script = Script(login(), *read(rows(_1={"enabled": False})), *calls, logout())
    result = run_module(MAIN, script, check=True, groups=group(AS_DECLARED[0]))
    assert CUT_OFF_WORDS in result["warnings"][0]
