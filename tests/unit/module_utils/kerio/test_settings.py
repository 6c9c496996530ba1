# SPDX-License-Identifier: GPL-3.0-or-later
"""From API objects to options and back: what is read, what is kept, what must never be sent."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import codecs, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field, Source

SOURCE = Source(
    "A.get", "A.set", "options", read_only=(("updated", "at"),), write_only=(("box", "password"), ("gone", "password"))
)
FIELDS = (
    Field("on", ("box", "isOn"), codecs.BOOLEAN),
    Field("address", ("remote",), codecs.switched_address("enabled", "value")),
    Field("newer", ("newer",), codecs.BOOLEAN, varies=True, known_to="9.1 and newer", when_absent=False),
    Field("password", ("box", "password"), codecs.TEXT, secret=True),
)
RECEIVED: dict[str, t.Any] = {
    "box": {"isOn": False, "password": "", "unknown": {"deep": [1]}},
    "remote": {"enabled": True, "value": "a@b.example", "unknown": 1},
    "updated": {"at": 5, "by": "x"},
}


def test_secrets_and_what_the_server_does_not_have_are_left_out() -> None:
    assert settings.read_options(FIELDS, RECEIVED) == {"on": False, "address": "a@b.example"}


@pytest.mark.parametrize("broken", [{"enabled": True}, None, "text", []])
def test_member_without_its_parts_is_absent(broken: object) -> None:
    assert "address" not in settings.read_options(FIELDS, {**RECEIVED, "remote": broken})


def test_writing_touches_nothing_else_and_not_what_was_received() -> None:
    before = copy.deepcopy(RECEIVED)
    changed = settings.write_options(FIELDS, RECEIVED, {"on": True, "address": ""})
    assert before == RECEIVED
    assert changed == {
        "box": {"isOn": True, "password": "", "unknown": {"deep": [1]}},
        "remote": {"enabled": False, "value": "a@b.example", "unknown": 1},
        "updated": {"at": 5, "by": "x"},
    }


def test_password_that_is_not_set_is_not_sent_and_read_only_members_neither() -> None:
    kept = settings.sendable(SOURCE, RECEIVED, [])
    assert kept == {
        "box": {"isOn": False, "unknown": {"deep": [1]}},
        "remote": RECEIVED["remote"],
        "updated": {"by": "x"},
    }
    assert RECEIVED["box"]["password"] == ""


def test_empty_password_that_nobody_knows_of_is_not_sent_either() -> None:
    received = {
        "box": {"isOn": True, "networkDiskPassword": "", "passwordMinimumLength": 0, "passwordHint": "x"},
        "relays": [{"host": "", "password": ""}, {"host": "b", "clientSecret": None, "password": "kept"}],
    }
    assert settings.sendable(SOURCE, received, []) == {
        "box": {"isOn": True, "passwordMinimumLength": 0, "passwordHint": "x"},
        "relays": [{"host": ""}, {"host": "b", "password": "kept"}],
    }


def test_password_that_is_set_is_sent() -> None:
    changed = settings.write_options(FIELDS, RECEIVED, {"password": "not-a-secret-new"})
    assert settings.sendable(SOURCE, changed, [("box", "password")])["box"]["password"] == "not-a-secret-new"


def test_password_is_managed_although_it_is_never_read() -> None:
    assert settings.managed("x", FIELDS, {"password": "p", "on": None}, {"on": True}) == {"password": "p"}


def test_server_without_the_setting() -> None:
    assert settings.managed("x", FIELDS, {"newer": False}, {"on": True}) == {}
    with pytest.raises(InputError, match=r"known to 9\.1 and newer"):
        settings.managed("x", FIELDS, {"newer": True}, {"on": True})


def test_difference_after_writing_leaves_secrets_aside() -> None:
    current = {"on": False, "address": "A@B.example"}
    assert settings.differing(FIELDS, current, {"on": True, "address": "a@b.example", "password": "p"}) == ["on"]


METHODS = (
    Field("methods", ("methods",), codecs.SWITCHES),
    Field("listeners", ("listeners",), codecs.LISTENERS),
    Field("limit", ("limit",), codecs.switched_number("on", "value")),
    Field("mode", ("mode",), codecs.choice({"one": "First"})),
    *FIELDS,
)


def test_declared_options_are_told_in_the_words_of_the_server() -> None:
    current = {"methods": {"LOGIN": True, "NTLM": False}, "on": True}
    assert settings.managed("mail1: x", METHODS, {"methods": {"ntlm": True}}, current) == {
        "methods": {"LOGIN": True, "NTLM": True}
    }
    with pytest.raises(InputError, match="mail1: x: methods: APOP: the server does not know it; it knows LOGIN, NTLM"):
        settings.managed("mail1: x", METHODS, {"methods": {"APOP": True}}, current)
    with pytest.raises(InputError, match="it knows none at all"):
        settings.managed("mail1: x", METHODS, {"methods": {"APOP": True}}, {**current, "methods": {}})


def test_what_can_be_pasted_is_what_the_module_takes() -> None:
    fine = {
        "methods": {"LOGIN": True},
        "listeners": [{"address": "all", "port": 143}, {"address": "AddressOfTomorrow", "port": 144}],
        "limit": 0,
        "mode": "one",
        "on": False,
        "address": "",
    }
    assert settings.declarable(METHODS, fine) == fine
    passed_on = {
        "methods": [{"value": "LOGIN"}],
        "listeners": [{"type": "AllAddresses"}],
        "limit": {"on": True, "value": "7"},
        "mode": "Third",
        "on": 1,
        "address": 5,
    }
    assert settings.declarable(METHODS, passed_on) == {}
    assert settings.declarable(METHODS, {"limit": True, "on": True, "listeners": []}) == {"on": True}
