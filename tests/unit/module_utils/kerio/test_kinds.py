# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds is refused when its rows contradict each other."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

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


def test_what_the_update_check_found_is_read_only() -> None:
    # Marked so in the interface description; a server may refuse to be told.
    assert ("updateChecker", "updateInfo") in kinds.ADVANCED_OPTIONS.source.read_only
    assert ("updateChecker", "autoCheck") not in kinds.ADVANCED_OPTIONS.source.read_only


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({"PLAIN": False, "LOGIN": False, "CRAM-MD5": True}, True),
        ({"plain": False, "NTLM": True}, True),
        ({"PLAIN": False, "LOGIN": True}, False),
        ({"PLAIN": True, "LOGIN": False}, False),
        ({"CRAM-MD5": False}, False),  # what the server does not offer, it does not switch off either
        (["a shape of tomorrow"], False),
        (None, False),
    ],
)
def test_caution_when_nobody_can_send_a_plain_password(methods: t.Any, said: bool) -> None:
    assert kinds.SECURITY_POLICY.caution is not None
    text = kinds.SECURITY_POLICY.caution({"authentication_methods": methods})
    assert ("PLAIN and LOGIN are both off" in text) is said
    assert bool(text) is said
