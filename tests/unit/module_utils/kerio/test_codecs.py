# SPDX-License-Identifier: GPL-3.0-or-later
"""Codecs go both ways, keep what they do not know, and pass on shapes that they do not understand."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import codecs
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.codecs import Codec
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Rule, same

LIMIT = codecs.switched_number("isSet", "value")
ENTITY = codecs.reference("enabled")
GROUP = codecs.reference("isUsed", "ipGroup")
ADDRESS = codecs.switched_address("on", "text")
PERIOD = codecs.choice({"day": "periodDay"})
METHODS = [
    {"value": "CRAM-MD5", "enabled": True},
    {"value": "NTLM", "enabled": False, "new": 1},
    {"value": "LOGIN", "enabled": True},
]
ALL = {"type": "AllAddresses", "address": "Alle Adressen", "port": 143}
LOCAL = {"type": "Localhost", "address": "Lokaler Rechner", "port": 8143}
REAL = {"type": "RealIpAddress", "address": "192.0.2.1", "port": 143}
NEW = {"type": "TailscaleAddress", "address": "Adresse im VPN", "port": 143, "zone": "z1"}


def listen(address: str, port: int = 143) -> dict[str, t.Any]:
    return {"address": address, "port": port}


@pytest.mark.parametrize(
    ("codec", "api", "option"),
    [
        (codecs.TIME_OF_DAY, {"hour": 2, "min": 5}, "02:05"),
        (PERIOD, "periodDay", "day"),
        (PERIOD, "periodOfTomorrow", "periodOfTomorrow"),
        (ADDRESS, {"on": True, "text": "a@b.example", "more": 1}, "a@b.example"),
        (ADDRESS, {"on": False, "text": "a@b.example"}, ""),
        (codecs.SWITCHES, METHODS, {"CRAM-MD5": True, "NTLM": False, "LOGIN": True}),
        (LIMIT, {"isSet": True, "value": 1000, "more": 1}, 1000),
        (LIMIT, {"isSet": False, "value": 1000}, 0),
        (codecs.SIZE_LIMIT, {"isActive": True, "limit": {"value": 5, "units": "MegaBytes"}, "more": 1}, 5),
        (codecs.SIZE_LIMIT, {"isActive": False, "limit": {"value": 2, "units": "GigaBytes"}}, 0),
        (codecs.LISTENERS, [ALL, LOCAL], [listen("all"), listen("localhost", 8143)]),
        (codecs.LISTENERS, [REAL, NEW], [listen("192.0.2.1"), listen("TailscaleAddress")]),
        (codecs.LISTENERS, [], []),
        (codecs.NAMES, ["Alice", "bob"], ["Alice", "bob"]),
    ],
)  # fmt: skip
def test_codecs_go_both_ways(codec: Codec, api: t.Any, option: t.Any) -> None:
    before = copy.deepcopy(api)
    assert codec.decode(api) == option
    assert codec.encode(option, api) == api == before


@pytest.mark.parametrize(
    ("codec", "odd"),
    [
        (codecs.TIME_OF_DAY, {"hour": "2", "min": "5"}),
        (PERIOD, {"unit": "day"}),
        (PERIOD, ["periodDay"]),
        (codecs.SWITCHES, "LOGIN"),
        (codecs.SWITCHES, [{"value": "LOGIN"}]),
        (codecs.SWITCHES, ["LOGIN"]),
        (LIMIT, {"isSet": True, "value": "1000"}),  # counters of other methods come as texts
        (LIMIT, {"isSet": True, "value": 0}),  # none, or all? nobody knows
        (LIMIT, {"isSet": True, "value": -1}),
        (ENTITY, {"enabled": True, "id": "", "name": ""}),
        (ENTITY, {"enabled": True}),
        (ENTITY, {"enabled": True, "id": 7}),
        (GROUP, {"isUsed": True, "ipGroup": "keriodb://g/1"}),
        (GROUP, {"isUsed": True, "ipGroup": None}),
        (codecs.SIZE_LIMIT, {"isActive": True, "limit": 5}),
        (codecs.SIZE_LIMIT, {"isActive": True, "limit": {"value": 5, "units": "ExaBytes"}}),
        (codecs.SIZE_LIMIT, {"isActive": True, "limit": {"value": "5", "units": "Bytes"}}),
        (codecs.SIZE_LIMIT, {"isActive": True, "limit": {"value": 0, "units": "Bytes"}}),
        (codecs.LISTENERS, {"list": []}),
        (codecs.LISTENERS, ["all"]),
        (codecs.LISTENERS, [{**ALL, "port": "143"}]),
        (codecs.LISTENERS, [{**ALL, "type": ["AllAddresses"]}]),
        (codecs.LISTENERS, [ALL, {"address": "192.0.2.1"}]),
        (codecs.NAMES, "alice"),
        (codecs.NAMES, [1, {"a": 2}]),
    ],
)
def test_shape_that_is_new_to_us_is_passed_on(codec: Codec, odd: t.Any) -> None:
    assert codec.decode(odd) == odd
    assert codec.sanitize is None or codec.sanitize(odd) == odd


@pytest.mark.parametrize(
    ("size", "units", "megabytes"),
    [
        (1, "Bytes", 1),
        (1 << 20, "Bytes", 1),
        (1536, "KiloBytes", 1),
        (2048, "KiloBytes", 2),
        (1, "GigaBytes", 1024),
        (2, "TeraBytes", 2 << 20),
        (1, "PetaBytes", 1 << 30),
    ],
)
def test_size_is_the_same_in_every_unit(size: int, units: str, megabytes: int) -> None:
    assert codecs.SIZE_LIMIT.decode({"isActive": True, "limit": {"value": size, "units": units}}) == megabytes


def test_size_is_sent_in_megabytes_and_kept_when_it_is_switched_off() -> None:
    current = {"isActive": True, "limit": {"value": 1, "units": "GigaBytes"}, "more": 1}
    assert codecs.SIZE_LIMIT.encode(20, current) == {"isActive": True, "limit": {"value": 20, "units": "MegaBytes"}, "more": 1}
    assert codecs.SIZE_LIMIT.encode(0, current) == {**current, "isActive": False}
    # Such a structure must be complete, also that of a new object.
    assert codecs.SIZE_LIMIT.encode(0, {}) == {"isActive": False, "limit": {"value": 0, "units": "MegaBytes"}}


def test_limit_is_kept_when_it_is_switched_off_and_always_complete() -> None:
    assert LIMIT.encode(0, {"isSet": True, "value": 7, "more": 1}) == {"isSet": False, "value": 7, "more": 1}
    assert LIMIT.encode(9, {"isSet": False, "value": 7}) == {"isSet": True, "value": 9}
    assert LIMIT.encode(0, {}) == {"isSet": False, "value": 0}


@pytest.mark.parametrize(
    ("current", "value", "sent"),
    [
        ({"enabled": False, "id": "", "name": ""}, {"id": "g1", "name": "A"}, {"enabled": True, "id": "g1", "name": "A"}),
        ({"enabled": True, "id": "g1", "name": "A", "x": 1}, "", {"enabled": False, "id": "g1", "name": "A", "x": 1}),
        ({"enabled": True, "id": "g1", "name": "A"}, {"id": "g2", "name": "B"}, {"enabled": True, "id": "g2", "name": "B"}),
        ({"enabled": True}, "", {"enabled": False, "id": "", "name": ""}),
        ({}, {"id": "g1", "name": "A"}, {"enabled": True, "id": "g1", "name": "A"}),
    ],
)
def test_entity_is_sent_complete_and_keeps_its_id_when_it_is_switched_off(current: t.Any, value: t.Any, sent: t.Any) -> None:
    assert ENTITY.encode(value, current) == sent
    nested = {"isUsed": bool(current.get("enabled")), "ipGroup": {key: current[key] for key in current if key != "enabled"}}
    inner = {key: inner for key, inner in sent.items() if key != "enabled"}
    assert GROUP.encode(value, nested) == {"isUsed": sent["enabled"], "ipGroup": inner}


def test_entity_is_its_id_while_it_is_on() -> None:
    assert ENTITY.decode({"enabled": True, "id": "g1", "name": "a text of yesterday"}) == "g1"
    assert ENTITY.decode({"enabled": False, "id": "g1", "name": "A"}) == ""
    assert GROUP.decode({"isUsed": True, "ipGroup": {"id": "g1", "name": "A"}}) == "g1"
    assert GROUP.decode({"isUsed": False, "ipGroup": {"id": "", "name": ""}}) == ""


def test_switch_that_is_not_named_is_sent_as_received() -> None:
    # A method that is missing from SecurityPolicy.set comes back enabled.
    assert codecs.SWITCHES.encode({"CRAM-MD5": False}, METHODS) == [{"value": "CRAM-MD5", "enabled": False}, *METHODS[1:]]


def resolve(codec: Codec, value: t.Any, current: t.Any) -> t.Any:
    assert codec.resolve is not None
    return codec.resolve("mail1: option", value, current)


def test_switches_are_known_in_any_case_and_all_of_them_are_compared() -> None:
    known = codecs.SWITCHES.decode(METHODS)
    assert resolve(codecs.SWITCHES, {"cram-md5": False}, known) == {"CRAM-MD5": False, "NTLM": False, "LOGIN": True}


@pytest.mark.parametrize(
    ("value", "current", "words"),
    [
        ({"APOP": False, "login": True}, {"LOGIN": True, "CRAM-MD5": True}, "option: APOP: .* it knows CRAM-MD5, LOGIN"),
        ({"LOGIN": False}, "LOGIN", "shape that is not known"),
    ],
)
def test_switch_that_the_server_does_not_know_is_refused(value: t.Any, current: t.Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        resolve(codecs.SWITCHES, value, current)


def test_listener_keeps_its_type_and_its_localised_text() -> None:
    assert codecs.LISTENERS.encode([listen("all", 1143), listen("TailscaleAddress", 2)], [ALL, NEW]) == [
        {**ALL, "port": 1143},
        {**NEW, "port": 2},
    ]
    # The one that fits is kept whole, whatever else listens at the same place.
    second = {**ALL, "port": 1143, "more": 1}
    assert codecs.LISTENERS.encode([listen("all", 1143), listen("all"), listen("all", 9)], [ALL, second]) == [
        second,
        ALL,
        {**ALL, "port": 9},
    ]


def test_new_listener_is_complete() -> None:
    wanted = [listen("all"), listen("localhost"), listen("2001:db8::1")]
    assert codecs.LISTENERS.encode(wanted, []) == [
        {"type": "AllAddresses", "address": "", "port": 143},
        {"type": "Localhost", "address": "", "port": 143},
        {"type": "RealIpAddress", "address": "2001:db8::1", "port": 143},
    ]


def test_unknown_type_with_an_address_is_known_by_it() -> None:
    new = {"type": "Ipv6Address", "address": "2001:DB8::1", "port": 143}
    assert codecs.LISTENERS.decode([new]) == [listen("2001:db8::1")]
    assert codecs.LISTENERS.encode([listen("2001:db8::1")], [new]) == [new]


@pytest.mark.parametrize(
    ("current", "declared", "equal"),
    [
        ([listen("all"), listen("192.0.2.1")], [listen("192.0.2.1"), listen("ALL")], True),
        ([listen("2001:db8::1")], [listen("2001:0DB8:0:0::1")], True),
        ([listen("all")], [listen("localhost")], False),
        ([listen("all")], [listen("all", 144)], False),
        ([listen("all")], [listen("all"), listen("all", 144)], False),
    ],
)
def test_listeners_are_compared_without_order_and_spelling(current: t.Any, declared: t.Any, equal: bool) -> None:
    rule = Rule(unordered=codecs.LISTENERS.unordered, sanitize=codecs.LISTENERS.sanitize)
    assert same(current, declared, rule) is equal


def test_listeners_are_declared_in_words_of_the_server() -> None:
    wanted = [listen("All"), listen("LOCALHOST"), listen("2001:0db8::1"), listen("tailscaleaddress")]
    assert resolve(codecs.LISTENERS, wanted, [listen("TailscaleAddress")]) == [
        listen("all"),
        listen("localhost"),
        listen("2001:db8::1"),
        listen("TailscaleAddress"),
    ]


@pytest.mark.parametrize(("value", "current", "words"), [
    ([listen("Alle Adressen")], [listen("all")], "Alle Adressen: it is no IP address"),
    ([listen("mail1.example.com")], [], "mail1.example.com: it is no IP address"),
    ([listen("all")], [{**ALL, "port": "143"}], "shape that is not known"),
])  # fmt: skip
def test_place_that_nobody_knows_is_refused(value: t.Any, current: t.Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        resolve(codecs.LISTENERS, value, current)


@pytest.mark.parametrize(
    ("codec", "value", "words"),
    [
        (codecs.POSITIVE, 0, "positive"),
        (codecs.POSITIVE, -3, "positive"),
        (LIMIT, -1, "0 for no limit"),
        (codecs.SIZE_LIMIT, -1, "0 for no limit"),
        (codecs.TIME_OF_DAY, "24:00", "time of day"),
        (codecs.TIME_OF_DAY, "1350", "in quotes"),
        (ADDRESS, "a@b@c", "one e-mail address"),
        (codecs.SWITCHES, {"LOGIN": "no"}, "LOGIN: 'no' is neither"),
        (codecs.SWITCHES, {"LOGIN": 1}, "neither"),
        (codecs.SWITCHES, {"LOGIN": True, "login": False}, "twice"),
        (codecs.LISTENERS, [listen("all", 0)], "0 is not a port"),
        (codecs.LISTENERS, [listen("all"), listen("localhost", 65536)], "65536 is not a port"),
        (codecs.LISTENERS, [listen("all"), listen("ALL")], "all port 143 is there twice"),
        (codecs.LISTENERS, [listen("2001:db8::1"), listen("2001:db8:0::1")], "twice"),
        (codecs.LISTENERS, [], "serves nobody"),
    ],
)
def test_value_that_cannot_be_meant_is_refused(codec: Codec, value: t.Any, words: str) -> None:
    assert codec.check is not None
    with pytest.raises(InputError, match=words):
        codec.check("mail1: option", value)


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (codecs.POSITIVE, 1),
        (LIMIT, 0),
        (codecs.SIZE_LIMIT, 0),
        (codecs.SWITCHES, {"LOGIN": True, "PLAIN": False}),
        (codecs.LISTENERS, [listen("all", 1), listen("all", 65535), listen("localhost", 1)]),
        (ADDRESS, ""),
    ],
)
def test_value_at_the_edge_is_taken(codec: Codec, value: t.Any) -> None:
    assert codec.check is not None
    codec.check("mail1: option", value)
