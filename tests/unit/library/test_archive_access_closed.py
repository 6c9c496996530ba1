# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_access where a folder above the archive is closed to the user who reads mail for Dovecot."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_state
from tests.unit.access_scene import Scene, person, scene


@pytest.fixture
def archive() -> t.Iterator[Scene]:
    with scene() as made:
        made.users(person("alice@example.com"))
        made.archive("alice@example.com", "alice@example.com", "INBOX")
        yield made


def test_a_folder_above_the_archive_that_lets_dovecot_not_through_is_named(archive: Scene) -> None:
    closed = archive.base / "closed"
    closed.mkdir(mode=0o700)
    archive.root = archive.root.rename(closed / "root")
    answer = archive.declare()
    if os.geteuid() == 0:
        said = f"{closed}: mode 0700 lets the user who reads mail for Dovecot not through to {archive.root}. Let him through"
        assert answer["failed"] and answer["msg"].startswith(f"{said} (chmod o+x), then run again"), answer["msg"]
        assert not (archive.state / "live" / "users").exists()
        closed.chmod(0o711)
    assert not archive.declare()["failed"]


@pytest.mark.parametrize(
    ("mode", "mail", "found"),
    [
        (0o750, (1, 1), True),
        (0o751, (1, 1), False),
        (0o701, (1, None), True),
        (0o710, (1, None), False),
        (0o100, (None, 1), False),
    ],
)
def test_who_gets_through_a_folder_is_read_as_the_system_does(
    archive: Scene, mode: int, mail: tuple[int | None, int | None], found: bool
) -> None:
    closed = archive.base / "closed"
    closed.mkdir()
    archive.root = archive.root.rename(closed / "root")
    facts = closed.stat()
    reader, group = (facts.st_uid if mail[0] is None else 4711), (facts.st_gid if mail[1] is None else 4711)
    closed.chmod(mode)
    rights = access_state.Rights(0, 0, reader, group)
    assert access_state.closed_above(str(archive.root), rights) == (closed if found else None)
