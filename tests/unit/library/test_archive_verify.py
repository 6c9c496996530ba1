# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_verify: figures, damage, and options that cannot be used."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.modules import archive_verify
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    return alices(tmp_path, mail(1), mail(2))


def verified(archive: Archive, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_verify.main, check=check, root=str(archive.root), processes=1, **options)


@pytest.mark.shows("read")
def test_a_whole_archive(archive: Archive) -> None:
    result = verified(archive)
    assert (result["changed"], result["damaged"], result["damage"]) == (False, 0, [])
    assert result["msg"] == "2 objects and 2 placements compared, 2 messages read; no damage"
    assert {name: result["verified"][name] for name in ("objects", "placements", "read", "directories")} == {
        "objects": 2,
        "placements": 2,
        "read": 2,
        "directories": 256,
    }
    assert (archive.root / "reports/verify.json").exists()


@pytest.mark.shows("check")
def test_check_mode_looks_and_writes_nothing(archive: Archive) -> None:
    before = sorted(archive.root.rglob("*"))
    result = verified(archive, check=True, within_days=30)
    assert (result["damaged"], result["verified"]["objects"]) == (0, 2)
    assert sorted(archive.root.rglob("*")) == before


@pytest.mark.shows("error")
def test_damage_fails_and_is_named(archive: Archive) -> None:
    placement = next((archive.root / "mail").rglob("cur/*"))
    placement.unlink()
    result = verified(archive)
    assert result["failed"]
    assert result["damaged"] == 2
    assert {each["kind"] for each in result["damage"]} == {"placement_missing", "object_links"}
    assert str(placement.relative_to(archive.root)) in result["msg"]
    assert "Restore it from a backup" in result["msg"]
    assert not verified(archive, fail_on_damage=False).get("failed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"within_days": -1}, "within_days: -1 cannot be used"),
        ({"sample": 5, "within_days": 3}, "within_days is given as well"),
        ({"rate": "quick"}, "rate: quick cannot be used"),
        ({"processes": 5000}, "from 0 to 1000"),
    ],
)
def test_options_that_cannot_be_used(archive: Archive, options: dict[str, t.Any], words: str) -> None:
    result = run_module(archive_verify.main, root=str(archive.root), **options)
    assert result["failed"]
    assert words in result["msg"]
