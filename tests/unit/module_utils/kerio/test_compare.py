# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison rests on: the addresses of archive hosts, the outcome of a declaration, and one table of declarations."""

from __future__ import annotations

import socket
import typing as t
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import (
    codecs,
    compare,
    compare_hosts,
    compare_state,
    relations,
    specs,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Host

FIELDS = (Field("on", ("isOn",), codecs.BOOLEAN), Field("methods", ("methods",), codecs.SWITCHES))


def infos(*addresses: str) -> list[tuple[t.Any, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


def test_address_is_taken_as_it_is() -> None:
    assert compare_hosts.resolve(" 192.0.2.7 ", "mail1", 4040) == Host("192.0.2.7", ("192.0.2.7",))
    assert compare_hosts.resolve("2001:db8::7", "mail1", 4040).addresses == ("2001:db8::7",)


def test_localhost_is_the_address_towards_the_server() -> None:
    assert compare_hosts.resolve("localhost", "127.0.0.1", 4040) == Host("localhost", ("127.0.0.1",))


def test_name_has_all_its_addresses_once() -> None:
    with mock.patch.object(socket, "getaddrinfo", return_value=infos("192.0.2.7", "192.0.2.8", "192.0.2.7")):
        assert compare_hosts.resolve("archive1", "mail1", 4040) == Host("archive1", ("192.0.2.7", "192.0.2.8"))


def test_own_name_on_the_loopback_is_what_the_server_sees() -> None:
    with (
        mock.patch.object(socket, "getaddrinfo", return_value=infos("127.0.1.1")),
        mock.patch.object(compare_hosts, "_sources", return_value=iter(["192.0.2.7"])) as asked,
    ):
        assert compare_hosts.resolve("archive1", "mail1", 4040).addresses == ("192.0.2.7",)
    asked.assert_called_once_with("mail1", 4040)


@pytest.mark.parametrize("name", ["archive1", "localhost"])
def test_name_that_nobody_knows_says_why(name: str) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with mock.patch.object(socket, "getaddrinfo", side_effect=unknown):
        assert compare_hosts.resolve(name, "mail1", 4040) == Host(name, (), "Name or service not known")


@pytest.mark.parametrize(
    ("current", "declared", "outcome"),
    [
        ({"on": True}, {"on": False}, {"on": False}),
        ({"on": True}, {"on": None}, {"on": True}),
        ({"methods": {"A": True, "B": True}}, {"methods": {"B": False}}, {"methods": {"A": True, "B": False}}),
        ({}, {"methods": {"B": False}}, {"methods": {"B": False}}),
    ],
)
def test_outcome_is_today_with_the_declared_laid_over_it(
    current: dict[str, t.Any], declared: dict[str, t.Any], outcome: dict[str, t.Any]
) -> None:
    assert compare_state.overlaid(FIELDS, current, declared) == outcome


@pytest.mark.parametrize("loopback", ["127.0.0.1", "127.0.1.1", "::1"])
def test_address_of_the_loopback_is_this_host_as_the_server_sees_it(loopback: str) -> None:
    with mock.patch.object(compare_hosts, "_sources", side_effect=lambda *_: iter(["192.0.2.7"])):
        assert compare_hosts.resolve(loopback, "mail1", 4040).addresses == ("192.0.2.7",)


def test_every_declaration_has_an_option_and_every_relation_can_be_given_what_it_needs() -> None:
    own = {"whole_domains", "delete_limit", "archive", "fail_on_refusal", "warn_of_relations", "accept"}
    assert set(specs.COMPARE) == {*compare.DECLARERS, *own}
    known = {*compare.DECLARERS, "archive", *specs.ARCHIVE_SIDE}
    assert {name for relation in relations.RELATIONS for need in relation.needs for name in need.split("|")} <= known


def test_no_password_can_be_given_for_a_comparison() -> None:
    assert "password" not in specs.COMPARE["users"]["options"]
    assert "password" not in specs.COMPARE["master_authentication"]["options"]
