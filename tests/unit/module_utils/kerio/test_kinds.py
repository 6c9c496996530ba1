# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds is refused when its rows contradict each other, and codecs go both ways."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import codecs, kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field, ObjectKind, SettingsKind, Source

SOURCE = Source("A.get", "A.set", "options")
SWITCH = Field("on", ("isOn",), codecs.BOOLEAN)


@pytest.mark.parametrize(
    ("fields", "source", "words"),
    [
        ([SWITCH, dataclasses.replace(SWITCH, path=("other",))], SOURCE, "has on twice"),
        ([SWITCH, dataclasses.replace(SWITCH, option="other")], SOURCE, "isOn. twice"),
        ([dataclasses.replace(SWITCH, path=())], SOURCE, "has no place"),
        ([dataclasses.replace(SWITCH, reference="nothing")], SOURCE, "unknown kind"),
        ([dataclasses.replace(SWITCH, varies=True)], SOURCE, "which servers"),
        ([dataclasses.replace(SWITCH, when_absent=False)], SOURCE, "never absent"),
        ([dataclasses.replace(SWITCH, secret=True)], SOURCE, "write-only"),
        ([SWITCH], Source("A.get", "A.set", "options", write_only=(("isOn",),)), "write-only"),
        ([SWITCH], Source("A.get", "A.set", "options", read_only=(("isOn",),)), "read-only"),
        ([dataclasses.replace(SWITCH, path=("box", "isOn"))], Source("A.get", "A.set", "o", read_only=(("box",),)), "read-only"),
        ([SWITCH], Source("get", "A.set", "options"), "Interface.method"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(fields: list[Field], source: Source, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kinds.check_settings(SettingsKind("a", source, tuple(fields)), kinds.OBJECTS)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ObjectKind("a", "get", "list", "name", order_by="name"), "Interface.method"),
        (ObjectKind("a", "A.get", "list", "name"), "order"),
        (ObjectKind("a", "A.get", "list", "name", order_by="name", set="A.set"), "parameters"),
        (ObjectKind("a", "A.get", "list", "name", order_by="name", fields=(SWITCH,)), "no way to write"),
        (ObjectKind("a", "A.get", "list", "name", paged=False, per_domain=True), "per domain"),
    ],
)
def test_objects_that_contradict_themselves_are_refused(kind: ObjectKind, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kinds.check_objects(kind, kinds.OBJECTS)


def test_every_password_of_a_structure_is_known_as_write_only() -> None:
    assert set(kinds.MASTER_AUTHENTICATION.source.write_only) == {("masterAuthentication", "password"), ("httpProxy", "password")}


@pytest.mark.parametrize(
    ("codec", "api", "option"),
    [
        (codecs.TIME_OF_DAY, {"hour": 2, "min": 5}, "02:05"),
        (codecs.choice({"day": "periodDay"}), "periodDay", "day"),
        (codecs.choice({"day": "periodDay"}), "periodOfTomorrow", "periodOfTomorrow"),
        (codecs.switched_address("on", "text"), {"on": True, "text": "a@b.example", "more": 1}, "a@b.example"),
        (codecs.switched_address("on", "text"), {"on": False, "text": "a@b.example"}, ""),
        (
            codecs.SWITCHES,
            [{"value": "LOGIN", "enabled": True}, {"value": "NTLM", "enabled": False}],
            {"LOGIN": True, "NTLM": False},
        ),
    ],
)
def test_codecs_go_both_ways(codec: codecs.Codec, api: t.Any, option: t.Any) -> None:
    assert codec.decode(api) == option
    assert codec.encode(option, api) == api


def test_time_that_is_new_to_us_is_passed_on() -> None:
    assert codecs.TIME_OF_DAY.decode({"hour": "2", "min": "5"}) == {"hour": "2", "min": "5"}


def test_switch_that_is_not_named_is_sent_as_received() -> None:
    # A method that is missing from SecurityPolicy.set comes back enabled.
    current = [{"value": "CRAM-MD5", "enabled": True}, {"value": "NTLM", "enabled": False}, {"value": "LOGIN", "enabled": True}]
    assert codecs.SWITCHES.encode({"CRAM-MD5": False}, current) == [
        {"value": "CRAM-MD5", "enabled": False},
        {"value": "NTLM", "enabled": False},
        {"value": "LOGIN", "enabled": True},
    ]


def test_switch_that_the_server_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="it knows LOGIN"):
        codecs.SWITCHES.encode({"APOP": False}, [{"value": "LOGIN", "enabled": True}])
