# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a declared IP address group admits an address: yes, no, or nobody can tell."""

from __future__ import annotations

import ipaddress
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_groups import admits

Entry = dict[str, t.Any]


@pytest.mark.parametrize(
    ("entry", "address", "answer"),
    [
        ({"host": "10.0.0.5"}, "10.0.0.5", True),
        ({"host": "10.0.0.5"}, "10.0.0.6", False),
        ({"host": "10.0.0.5", "enabled": False}, "10.0.0.5", False),
        ({"host": "10.0.0.5", "enabled": True, "network": None}, " 10.0.0.5 ", True),
        ({"host": "2001:DB8:0::1"}, "2001:db8::1", True),
        ({"host": "::ffff:10.0.0.5"}, "10.0.0.5", True),
        ({"host": "10.0.0.5"}, "::FFFF:10.0.0.5", True),
        ({"network": "10.0.0.0/255.0.0.0"}, "10.255.255.255", True),
        ({"network": "10.0.0.0/8"}, "11.0.0.0", False),
        ({"network": "10.0.0.0/8"}, "::ffff:10.1.2.3", True),
        ({"network": "10.0.0.0/8"}, "2001:db8::1", False),
        ({"range": "10.0.0.2-10.0.0.4"}, "10.0.0.1", False),
        ({"range": "10.0.0.2-10.0.0.4"}, "10.0.0.2", True),
        ({"range": "10.0.0.2-10.0.0.4"}, "10.0.0.4", True),
        ({"range": "10.0.0.2-10.0.0.4"}, "10.0.0.5", False),
        ({"range": "2001:db8::1-2001:db8::f"}, "2001:db8::e", True),
        ({"range": "::ffff:10.0.0.2-::ffff:10.0.0.4"}, "10.0.0.3", True),
        ({"prefix": "2001:db8::/32"}, "2001:db8:ffff::1", True),
        ({"prefix": "2001:db8::/32"}, "2001:db9::1", False),
        ({"prefix": "2001:db8::/32"}, "10.0.0.5", False),
        ({"prefix": "::ffff:10.0.0.0/104"}, "10.0.0.5", True),
        # Whether a server that takes IPv4 on an IPv6 socket sees it as IPv6 is its own affair.
        ({"prefix": "::/0"}, "10.0.0.5", None),
        ({"prefix": "::/0"}, "2001:db8::1", True),
        ({"host": "archive.example.com"}, "10.0.0.5", None),
        ({"host": "Archive.Example.com."}, "archive.example.COM", True),
        ({"host": "10.0.0.5"}, "archive.example.com", None),
        ({"this_machine": True}, "127.0.0.1", None),
        ({"this_machine": True, "enabled": False}, "127.0.0.1", False),
        ({"unreadable": "Range 10.0.0.9-10.0.0.1"}, "10.0.0.5", None),
        ({"network": "10.0.0.0/255.0.255.0"}, "10.0.0.5", None),
        ({"host": "10.0.0.5"}, "no address at all", None),
    ],
)
def test_one_entry(entry: Entry, address: str, answer: bool | None) -> None:
    assert admits({"Archive hosts": [entry]}, "Archive hosts", address) is answer


def test_an_entry_that_matches_outweighs_those_that_nobody_can_tell() -> None:
    entries: list[Entry] = [{"host": "archive.example.com"}, {"this_machine": True}, {"group": "elsewhere"}, {"host": "10.0.0.5"}]
    assert admits({"Archive hosts": entries}, "Archive hosts", "10.0.0.5") is True
    assert admits({"Archive hosts": entries}, "Archive hosts", "10.0.0.6") is None


def test_the_group_is_found_in_any_case_and_one_that_is_not_there_cannot_be_told() -> None:
    groups = {"Archive hosts": [{"host": "10.0.0.5"}]}
    assert admits(groups, "ARCHIVE hosts ", "10.0.0.5") is True
    assert admits(groups, "Archive host", "10.0.0.5") is None
    assert admits({"Empty": []}, "Empty", "10.0.0.5") is False
    assert admits({"Empty": []}, "Empty", "archive.example.com") is False


def test_child_groups_are_followed_also_in_circles() -> None:
    groups: dict[str, list[Entry]] = {
        "All": [{"group": "offices"}, {"group": "Closed", "enabled": False}],
        "Offices": [{"network": "10.1.0.0/16"}, {"group": "ALL"}],
        "Closed": [{"host": "10.2.0.1"}, {"host": "vpn.example.com"}],
    }
    assert admits(groups, "All", "10.1.2.3") is True
    assert admits(groups, "All", "10.2.0.1") is False
    assert admits(groups, "Closed", "10.2.0.2") is None


addresses = st.ip_addresses(v=4, network="10.0.0.0/28").map(str)
names = st.sampled_from(["a", "b", "c"])
networks = st.tuples(addresses, st.integers(28, 32)).map(lambda pair: ipaddress.ip_network(pair, strict=False))
ranges = st.tuples(addresses, addresses).map(lambda pair: sorted(pair, key=ipaddress.ip_address))


def reference(groups: dict[str, list[Entry]], name: str) -> set[str]:
    """Return all addresses of a group, written out."""
    found: set[str] = set()
    for reached in closure(groups, name):
        for entry in groups[reached]:
            found |= written_out(entry)
    return found


def closure(groups: dict[str, list[Entry]], name: str) -> set[str]:
    reached = {name}
    for _ in groups:
        reached |= {entry["group"] for name in reached for entry in groups[name] if "group" in entry and entry["enabled"]}
    return reached


def written_out(entry: Entry) -> set[str]:
    if not entry["enabled"] or "group" in entry:
        return set()
    if "range" in entry:
        first, last = (int(ipaddress.ip_address(end)) for end in entry["range"].split("-"))
        return {str(ipaddress.ip_address(number)) for number in range(first, last + 1)}
    return {str(address) for address in ipaddress.ip_network(entry.get("network") or entry["host"])}


values = st.one_of(
    st.builds(lambda text: {"host": text}, addresses),
    st.builds(lambda network: {"network": str(network)}, networks),
    st.builds(lambda network: {"network": network.with_netmask}, networks),
    st.builds(lambda ends: {"range": "-".join(ends)}, ranges),
    st.builds(lambda name: {"group": name}, names),
)
entries = st.builds(lambda value, enabled: {**value, "enabled": enabled}, values, st.booleans())


@given(st.fixed_dictionaries({name: st.lists(entries, max_size=4) for name in "abc"}), names, addresses)
def test_admits_what_the_group_written_out_holds(groups: dict[str, list[Entry]], name: str, address: str) -> None:
    assert admits(groups, name, address) is (address in reference(groups, name))
