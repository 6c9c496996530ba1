# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups against a server in memory: whatever it has and whatever is declared."""

from __future__ import annotations

import copy
import ipaddress
import itertools
import typing as t

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_entries, address_groups
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Server

Object = dict[str, t.Any]
NAMES = {"g1": "Archive hosts", "g2": "Local clients", "g3": "Zone"}
WRITES = ("create", "set", "remove")


class Memory:
    """The client of a server that keeps rows as the fact sheet says: groups are what rows name."""

    def __init__(self, rows: list[Object]) -> None:
        self.name = "mail1"
        self.calls: list[str] = []
        self.warnings: list[str] = []
        self.rows = {row["id"]: copy.deepcopy(row) for row in rows}
        self.ids = {row["groupName"].lower(): row["groupId"] for row in rows}
        self.fresh = (f"n{number}" for number in itertools.count())
        self.kept: set[str] = set()
        self.answers: dict[str, t.Callable[[Object], Object]] = {
            "getGroupList": self._list,
            "get": self._get,
            "create": self._create,
            "set": self._set,
            "remove": self._remove,
            "validateSet": lambda _sent: {"errors": []},
            "validateRemove": lambda _sent: {"errors": []},
        }

    def call(self, method: str, parameters: Object | None = None, _effect: object = None) -> Object:
        self.calls.append(method)
        action = method.partition(".")[2]
        result: Object = self.answers[action](parameters or {})
        if action in WRITES:
            there = {row["groupId"] for row in self.rows.values()}
            assert self.kept <= there, "a group that stays was empty for a moment"
        return result

    def _list(self, _sent: Object) -> Object:
        listed = {row["groupId"]: row["groupName"] for row in self.rows.values()}
        return {"groups": [{"id": group_id, "name": name} for group_id, name in listed.items()]}

    def _get(self, sent: Object) -> Object:
        assert sent["query"]["conditions"] == []
        return {"list": copy.deepcopy(list(self.rows.values())), "totalItems": len(self.rows)}

    def _create(self, sent: Object) -> Object:
        for entry in sent["groups"]:
            group_id = self.ids.setdefault(entry["groupName"].lower(), next(self.fresh))
            row = {**entry, "id": next(self.fresh), "groupId": group_id}
            assert row["type"] != "ChildGroup" or row["childGroupId"] in self.ids.values()
            self.rows[row["id"]] = row
        return {"errors": []}

    def _set(self, sent: Object) -> Object:
        for row_id in sent["groupIds"]:
            self.rows[row_id].update(sent["details"])
        return {"errors": []}

    def _remove(self, sent: Object) -> Object:
        for row_id in sent["groupIds"]:
            del self.rows[row_id]
        return {"errors": []}


def declare(memory: Memory, groups: list[Object], check: bool = False) -> t.Any:
    return address_groups.declare_groups(Server(t.cast("t.Any", memory)), {"groups": groups}, check)


def written(memory: Memory) -> list[str]:
    return [method for method in memory.calls if method.partition(".")[2] in WRITES]


texts = st.text(max_size=6)
hosts = st.sampled_from(
    ["192.0.2.1", "2001:DB8::1", "::ffff:10.0.0.1", "a.example.com", "A.example.com.", "10.0.0.0/8", "*.x", ""]
)
v4 = st.ip_addresses(v=4, network="10.0.0.0/29").map(str)
masks = st.sampled_from(["255.0.0.0", "255.255.255.252", "30", "0", "255.0.255.0", "", "ffff::"])
row_values = st.one_of(
    st.builds(lambda host: {"type": "Host", "host": host}, hosts | texts),
    st.builds(lambda first, mask: {"type": "Network", "addr1": first, "addr2": mask}, v4, masks),
    st.builds(lambda first, last: {"type": "Range", "addr1": first, "addr2": last}, v4, v4 | st.just("2001:db8::9")),
    st.builds(
        lambda first, size: {"type": "IpPrefix", "addr1": first, "addr2": size},
        st.sampled_from(["2001:db8::7", "::1%a-b", "10.0.0.1"]),
        st.sampled_from(["32", "128", "129", "ffff::"]),
    ),
    st.sampled_from([{"type": "IpPrefix", "host": "2001:DB8::/32"}, {"type": "IpPrefix", "addr1": "2001:db8::/32"}]),
    st.sampled_from([{"type": "ThisMachine"}, {"type": "Tomorrow", "host": "192.0.2.1"}]),
    st.builds(lambda child: {"type": "ChildGroup", "childGroupId": child}, st.sampled_from([*NAMES, "gone", ""])),
)


def full(group_id: str, name: str, value: Object, description: str, enabled: bool) -> Object:
    members = dict.fromkeys(("host", "addr1", "addr2", "childGroupId", "childGroupName", "sharedId"), "")
    shared = {"groupId": group_id, "groupName": name, "description": description, "enabled": enabled}
    return {**members, **shared, "status": "StoreStatusClean", **value}


rows_of_one_group = st.lists(st.tuples(row_values, st.sampled_from(["", "one", "two"]), st.booleans()), max_size=4)


@st.composite
def servers(draw: st.DrawFn) -> list[Object]:
    names = draw(st.sampled_from([NAMES, {**NAMES, "g3": " zone "}, {**NAMES, "g3": "ARCHIVE hosts"}, {**NAMES, "g3": ""}]))
    drawn = [full(group_id, name, *row) for group_id, name in names.items() for row in draw(rows_of_one_group)]
    return [{**row, "id": f"r{number}"} for number, row in enumerate(drawn)]


@given(servers())
@settings(max_examples=400, deadline=None)
def test_what_is_read_and_declared_again_changes_nothing(rows: list[Object]) -> None:
    memory = Memory(rows)
    server = Server(t.cast("t.Any", memory))
    groups = address_groups.read_groups(server)
    assert len(groups) + len(server.warnings) == len({row["groupName"].strip().lower() for row in rows})
    assert not declare(memory, groups).changed
    assert written(memory) == []


option_values = st.one_of(
    st.builds(lambda host: {"host": host}, st.sampled_from(["192.0.2.1", "2001:db8:0::1", "A.example.com"])),
    st.builds(lambda length: {"network": f"10.0.0.0/{length}"}, st.sampled_from(["8", "255.0.0.0", "255.255.255.252"])),
    st.builds(lambda last: {"range": f"10.0.0.0-{last}"}, v4),
    st.just({"prefix": "2001:DB8::/32"}),
    st.just({"this_machine": True}),
    st.builds(lambda name: {"group": name}, st.sampled_from(["archive HOSTS", "Local clients", "New", "Newer"])),
)
options = st.builds(
    lambda value, description, enabled: {**value, "description": description, "enabled": enabled},
    option_values,
    st.sampled_from([None, "", "one", "three"]),
    st.booleans(),
)
wanted_groups = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(
            st.builds(lambda entries: {"state": "present", "entries": entries}, st.lists(options, min_size=1, max_size=4)),
            st.just({"state": "absent", "entries": None}),
            st.just({"state": "present", "entries": None}),
        )
        for name in ("ARCHIVE hosts", "Local clients", "New", "Newer", "Zone")
    },
).map(lambda groups: [{"name": name, **group} for name, group in groups.items()])


class Unused(Memory):
    """No settings refer to a group."""

    def call(self, method: str, parameters: Object | None = None, effect: object = None) -> Object:
        if method == "Services.get":
            return {"services": []}
        return super().call(method, parameters, effect) if method.startswith("IpAddressGroups") else {"options": {}}


@given(servers(), wanted_groups)
@settings(max_examples=300, deadline=None)
def test_any_declaration_comes_true_at_once_and_is_foreseen(rows: list[Object], groups: list[Object]) -> None:
    memory = Unused(rows)
    try:
        foreseen = declare(memory, groups, check=True)
    except InputError:
        assume(False)
    assert written(memory) == []
    if memory.warnings:
        with pytest.raises(InputError, match="still used by IP address group"):
            declare(memory, groups)
        assert written(memory) == []
        return
    absent = {group["name"].lower() for group in groups if group["state"] == "absent"}
    memory.kept = {row["groupId"] for row in rows if row["groupName"].strip().lower() not in absent}
    plan = declare(memory, groups)
    assert plan.diff() == foreseen.diff()
    assert not declare(memory, groups).changed
    named = {group["name"].lower() for group in groups}
    others = [row for row in rows if row["groupName"].strip().lower() not in named]
    assert [row for row in memory.rows.values() if row["groupName"].strip().lower() not in named] == others
    before = {row["id"]: row for row in rows}
    survivors = [row for row in memory.rows.values() if row["id"] in before]
    assert all(
        {**row, "description": "", "enabled": 0} == {**before[row["id"]], "description": "", "enabled": 0} for row in survivors
    )
    assert_admitted(memory, groups)


def assert_admitted(memory: Memory, groups: list[Object]) -> None:
    """Assert that what was written is read as what was declared, by the answer that a group gives for an address."""
    read = {group["name"]: group["entries"] for group in address_groups.read_groups(Server(t.cast("t.Any", memory)))}
    declared = {group["name"].lower(): group["entries"] for group in groups if group["entries"]}
    everything = {**{name.lower(): entries for name, entries in read.items()}, **declared}
    for name in declared:
        if name in {spelling.lower() for spelling in read}:
            for address in ("10.0.0.3", "2001:db8::1", "203.0.113.1"):
                assert address_groups.admits(read, name, address) is address_groups.admits(everything, name, address)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mask_and_its_length_are_one_network(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.ip_network((address, length), strict=False)
    short = address_entries.value_of("", {"network": str(network)})
    assert short == address_entries.value_of("", {"network": network.with_netmask})
    assert address_entries.read_value({"type": "Network", **address_entries.written(short)}, {}) == short


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"type": "Host", "host": "10.0.0.0/8"}, ("network", "10.0.0.0/8")),
        ({"type": "IpPrefix", "host": "2001:DB8::/32"}, ("prefix", "2001:db8::/32")),
        ({"type": "IpPrefix", "addr1": "2001:db8::/32", "addr2": None}, ("prefix", "2001:db8::/32")),
        ({"type": "IpPrefix", "addr1": "2001:db8::", "addr2": 32}, ("prefix", "2001:db8::/32")),
        ({"type": "IpPrefix", "addr1": "2001:db8::", "addr2": "ffff:ffff::"}, ("prefix", "2001:db8::/32")),
        ({"type": "ChildGroup", "childGroupId": "", "childGroupName": "Zone"}, None),
        ({"type": "Range", "addr1": "10.0.0.9", "addr2": "10.0.0.1"}, None),
    ],
)
def test_rows_are_understood_in_every_form_that_is_open(row: Object, value: tuple[str, str] | None) -> None:
    assert address_entries.read_value(row, {"": "Nameless", "g1": "Zone"}) == value


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([{"type": "Network", "addr1": "10.0.0.0", "addr2": "255.0.255.0"}], "Network 10.0.0.0 255.0.255.0"),
        ([{"type": "ChildGroup", "childGroupId": "g1"}], "it contains itself"),
        ([{"type": "Host", "host": "A.example.com"}, {"type": "Host", "host": "a.example.com", "enabled": False}], "twice"),
    ],
)
def test_a_group_that_cannot_be_declared_as_it_is_is_left_out_with_a_warning(members: list[Object], reason: str) -> None:
    rows = [{**full("g1", "Odd", {}, "", True), **value, "id": str(number)} for number, value in enumerate(members)]
    rows.append({**full("g2", "Good", {"type": "Host", "host": "A.example.com."}, "one", False), "id": "good"})
    server = Server(t.cast("t.Any", Memory(rows)))
    good = {"name": "Good", "entries": [{"host": "a.example.com", "description": "one", "enabled": False}]}
    assert address_groups.read_groups(server) == [good]
    assert len(server.warnings) == 1
    assert server.warnings[0].startswith("mail1: IP address group Odd is left out: ")
    assert reason in server.warnings[0]


def test_a_group_that_a_task_before_would_have_created_counts_in_a_check_alone() -> None:
    memory = Memory([{**full("g1", "Zone", {"type": "ThisMachine"}, "", True), "id": "1"}])
    server = Server(t.cast("t.Any", memory))
    server.expected["ip_address_group"] = {"Offices"}
    groups = {"groups": [{"name": "Zone", "entries": [{"this_machine": True}, {"group": "offices"}]}]}
    assert address_groups.declare_groups(server, groups, check_mode=True).changed
    with pytest.raises(InputError, match="the group 'offices', and the server has Zone"):
        address_groups.declare_groups(server, groups, check_mode=False)
