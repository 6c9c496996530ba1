# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be read may be a message that is whole: it is told, and not declared lost."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import repair_module, spread, verify
from tests.unit.module_utils.archive.format_fixtures import Archive
from tests.unit.module_utils.archive.repair_scene import Inline, copied, repaired
from tests.unit.module_utils.archive.verify_tampers import DIGEST, OBJECT, placement


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)


def lose(archive: Archive) -> None:
    (archive.root / OBJECT).unlink()
    placement(archive).unlink()


def link(path: Path) -> None:
    """Have what lies there be whole, outside archive and backup."""
    path.symlink_to(path.rename(path.parents[3] / "elsewhere"))


def declared(archive: Archive, *backups: Path) -> tuple[int, list[str]]:
    """How many are declared lost, and the warnings."""
    result = repaired(archive.root, *backups, declare_lost=frozenset({DIGEST}), reason="gone", by="alice")
    return result.lost, repair_module.outcome_of(result, True)["warnings"]


@pytest.mark.parametrize("here", [True, False])
def test_a_linked_object_is_not_declared_lost(filled: Archive, here: bool) -> None:
    backup = copied(filled.root)
    path = (filled.root if here else backup) / OBJECT
    if here:
        shutil.rmtree(backup / "objects")
        placement(filled).unlink()
    else:
        lose(filled)
    link(path)
    lost, warnings = declared(filled, backup)
    assert lost == 0
    assert warnings[0].startswith(f"{path} cannot be read (Too many levels of symbolic links)")
    assert DIGEST.hex() in warnings[1]


def test_what_nobody_lets_us_open_is_not_declared_lost(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = copied(filled.root)
    lose(filled)
    closed = str(backup / OBJECT)
    opened, exists = os.open, os.path.lexists

    def open_(path: t.Any, *args: t.Any, **more: t.Any) -> int:
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return opened(path, *args, **more)

    # As in a directory that may not be searched.
    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os.path, "lexists", lambda path: str(path) != closed and exists(path))
    lost, warnings = declared(filled, backup)
    assert lost == 0
    assert warnings[0].startswith(f"{closed} cannot be read (Permission denied)")


def test_what_is_not_there_is_lost(filled: Archive) -> None:
    backup = copied(filled.root)
    lose(filled)
    (backup / OBJECT).unlink()
    assert declared(filled, backup) == (1, [])
