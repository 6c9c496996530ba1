# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option that can differ has a sentence on what that means for archiving, and switches have one for each direction."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import codecs, kinds, meanings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.meanings import MEANINGS, Switch, meaning

# By the kind that plans use.
FIELDS = {
    **{kind.name: kind.fields for kind in kinds.SETTINGS.values()},
    "domain_archiving": kinds.DOMAIN_ARCHIVING_FIELDS,
    "services": kinds.SERVICE_FIELDS,
    "users": kinds.USER_FIELDS,
}
OBJECTS = {"services", "users", "ip_address_groups", "domain_archiving"}
ROWS = [(kind, field) for kind, fields in FIELDS.items() for field in fields if not field.secret]


def test_no_kind_with_options_is_forgotten() -> None:
    written = {fields for kind in kinds.OBJECTS.values() if (fields := kind.fields)}
    assert written <= set(FIELDS.values())
    assert set(MEANINGS) == {*FIELDS, "ip_address_groups"}


@pytest.mark.parametrize(("kind", "field"), ROWS, ids=lambda value: getattr(value, "option", value))
def test_every_row_has_a_sentence(kind: str, field: Field) -> None:
    found = MEANINGS[kind][field.option]
    for text in (found.off, found.on) if isinstance(found, Switch) else (found,):
        assert text[0].isupper()
        assert text.endswith(".")
    if field.codec is codecs.BOOLEAN:
        assert isinstance(found, Switch)
        assert found.off != found.on


def test_no_sentence_is_about_something_that_no_row_has() -> None:
    known = {(kind, field.option) for kind, field in ROWS}
    known |= {("users", "state"), ("users", "password"), ("ip_address_groups", "state"), ("ip_address_groups", "entries")}
    assert {(kind, option) for kind, options in MEANINGS.items() for option in options} == known


@pytest.mark.parametrize(
    ("kind", "option", "server", "words"),
    [
        ("archiving", "relayed_messages", False, "Mail from elsewhere to elsewhere is not archived by this server since"),
        ("archiving", "relayed_messages", True, "Mail from elsewhere to elsewhere is archived although"),
        ("archiving", "remote_address", "", "go to no address"),
        ("archiving", "remote_address", "other@example.com", "go to another address"),
        ("users", "state", "absent", "does not exist"),
        ("users", "state", "present", "exists although"),
        ("users", "item_limit", 0, "another number of messages"),
    ],
)
def test_direction_decides(kind: str, option: str, server: object, words: str) -> None:
    assert words in meaning(kind, option, server)


def test_option_without_a_sentence_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        meanings.meaning("archiving", "nothing", True)
