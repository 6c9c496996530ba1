# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared IP address groups that cannot be meant, whatever the server has."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_plan

Object = dict[str, t.Any]


def group(*entries: Object, **more: t.Any) -> list[Object]:
    return [{"name": "archive HOSTS", **({"entries": list(entries)} if entries else {}), **more}]


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (group({"host": "10.0.0.256"}), "archive HOSTS: entry 1 (host '10.0.0.256'): it is neither an IP address nor a DNS"),
        (group({"host": "a.example.com"}, {"host": "10.0.0.0/8"}), "entry 2 (host '10.0.0.0/8')"),
        (group({"host": ""}), "entry 1 (host '')"),
        (group({"network": "10.0.0.5/8"}), "10.0.0.5 is an address inside the network 10.0.0.0/8"),
        (group({"network": "10.0.0.0/255.0.255.0"}), "255.0.255.0 is not a network mask"),
        (group({"network": "10.0.0.0/33"}), "prefix length of 33"),
        (group({"network": "10.0.0.0"}), "it has no mask"),
        (group({"network": "2001:db8::/32"}), "for IPv6 there is prefix"),
        (group({"prefix": "10.0.0.0/8"}), "for IPv4 there is network"),
        (group({"range": "10.0.0.9-10.0.0.1"}), "it ends before it begins"),
        (group({"range": "10.0.0.9-2001:db8::1"}), "two address families"),
        (group({"range": "10.0.0.9"}), "it has no dash"),
        (group({"host": "fe80::1%eth0"}), "neither an IP address nor a DNS name"),
        (group({"this_machine": False}), "this_machine: true"),
        (group({"host": "10.0.0.1", "range": "10.0.0.1-10.0.0.2"}), "entry 1: it has host and range. Write exactly one of"),
        (group({"description": "nothing"}), "entry 1: it has no value. Write exactly one of"),
        (group({"host": "::1"}, {"host": "0:0::1"}), "entry 2: host ::1 is declared twice"),
        (group({"network": "10.0.0.0/8"}, {"network": "10.0.0.0/255.0.0.0"}), "declared twice"),
        (group({"group": "A"}, {"group": "a "}), "declared twice"),
        ([{"name": "Empty", "entries": []}], "IP address group Empty: a group exists through its entries"),
        ([{"name": " ", "entries": None}], "its name is empty"),
        ([*group(), {"name": "Archive hosts "}], "IP address group Archive hosts: it is declared twice"),
        (group({"group": "archive hosts"}), "it would contain itself"),
        (
            [*group({"group": "Offices"}), {"name": "offices", "entries": [{"group": "Archive hosts"}]}],
            "it would contain itself through",
        ),
        ([*group({"group": "Offices"}), {"name": "offices", "state": "absent"}], "which is declared absent"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_that_names_group_and_entry(groups: list[Object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        address_plan.check("mail1", groups)
    assert words in str(caught.value)
    assert str(caught.value).startswith("mail1: IP address group ")
    assert "\n" not in str(caught.value)
