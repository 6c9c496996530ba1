# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_repair: what it restores, declares, says and leaves; check mode, diff, and options that cannot be used."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import spread, verify, verify_report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_repair, archive_verify
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail
from tests.unit.module_utils.archive.repair_scene import Inline

NOWHERE = "Disk failure, the server is gone"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive of two messages, and a copy of it in ``backup`` beside it; the object and the placement of one are missing."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)
    made = alices(tmp_path, mail(1), mail(2))
    shutil.copytree(made.root, tmp_path / "backup")
    lost = first_object(made)
    lost.unlink()
    next(path for path in (made.root / "mail").rglob("cur/*") if lost.name in path.name).unlink()
    return made


def first_object(archive: Archive) -> Path:
    return next(path for path in sorted((archive.root / "objects").rglob("*")) if path.is_file())


def missing(archive: Archive) -> str:
    """The digest of what is only in the backup."""
    (path,) = [
        path
        for path in archive.root.with_name("backup").glob("objects/*/*")
        if not (archive.root / "objects" / path.parent.name / path.name).exists()
    ]
    return path.name


def repair(archive: Archive, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_repair.main, check=check, root=str(archive.root), processes=1, **options)


def state(root: Path) -> list[tuple[str, float]]:
    return sorted((str(path), path.stat().st_mtime) for path in root.rglob("*"))


@pytest.mark.shows("change", "again", "diff")
def test_what_is_missing_is_restored_once(archive: Archive) -> None:
    backup, digest = archive.root.with_name("backup"), missing(archive)
    result = repair(archive, backups=[str(backup)], by="alice")
    assert (result["changed"], result["found"], result["left"]) == (True, 2, 0)
    assert result["msg"] == "2 damaged; done: 1 object restored, 1 placement linked; all is repaired"
    path = f"objects/{digest[:2]}/{digest}"
    assert result["steps"][0] == {"action": "restore_object", "subject": path, "source": str(backup / path)}
    before = sorted(line.split()[0] for line in result["diff"]["before"].splitlines())
    assert (before, result["diff"]["after"]) == (["object_missing", "placement_missing"], "")
    (entry,) = archive.rows("SELECT entry FROM evidence_waiting WHERE entry LIKE '%repaired%'")
    assert '"by":"alice"' in entry[0] and digest in entry[0]
    again = repair(archive, backups=[str(backup)])
    assert (again["changed"], again["msg"]) == (False, "No damage")


@pytest.mark.shows("check")
def test_check_mode_tells_the_steps_and_writes_nothing(archive: Archive) -> None:
    before = state(archive.root)
    result = repair(archive, check=True, backups=[str(archive.root.with_name("backup"))])
    assert (result["changed"], result["found"], result["left"]) == (True, 2, 0)
    assert result["msg"] == "2 damaged; to be done: 1 object restored, 1 placement linked; all is repaired"
    assert state(archive.root) == before
    with Store.open(str(archive.root), lock="archive_verify"):
        assert repair(archive, check=True)["found"] == 2


@pytest.mark.shows("error")
def test_what_cannot_be_restored_fails_and_is_named(archive: Archive) -> None:
    result = repair(archive)
    assert result["failed"] and not result["changed"]
    assert (result["found"], result["left"], result["steps"]) == (2, 2, [])
    assert "2 damaged; 2 left: objects/" in result["msg"]
    assert "Restore it from a backup of the archive, with archive_repair" in result["msg"]
    assert not repair(archive, fail_on_damage=False).get("failed")


def test_what_is_declared_lost_is_no_damage_until_it_is_found(archive: Archive) -> None:
    digest = missing(archive)
    result = repair(archive, declare_lost=[digest.upper()], lost_reason=NOWHERE, by="alice")
    assert (result["changed"], result["left"], result["lost"]) == (True, 0, 1)
    rows = archive.rows("SELECT lower(hex(digest)), size, declared_by, reason, found FROM lost")
    assert rows == [(digest, len(mail(1)), "alice", NOWHERE, None)]
    verified = run_module(archive_verify.main, root=str(archive.root), processes=1)
    assert (verified["damaged"], verified["verified"]["lost"]) == (0, 1)
    assert verified["msg"].endswith("no damage; declared lost: 1")
    again = repair(archive, declare_lost=[digest], lost_reason=NOWHERE)
    assert (again["changed"], again["warnings"], again["msg"]) == (False, [], "No damage; declared lost: 1")
    back = repair(archive, backups=[str(archive.root.with_name("backup"))], by="bob")
    assert (back["changed"], back["lost"], back["left"]) == (True, 0, 0)
    assert "1 lost message found" in back["msg"]
    told = [entry for (entry,) in archive.rows("SELECT entry FROM evidence_waiting ORDER BY id") if '"by":"' in entry]
    assert [event for event in ("lost", "found") if any(f'"event":"{event}"' in one and digest in one for one in told)] == [
        "lost",
        "found",
    ]
    run_module(archive_verify.main, root=str(archive.root), processes=1)
    useless = repair(archive, declare_lost=[digest], lost_reason=NOWHERE)
    assert (useless["changed"], len(useless["warnings"])) == (False, 1)


def test_what_a_backup_has_is_not_declared_lost(archive: Archive) -> None:
    digest = missing(archive)
    result = repair(archive, declare_lost=[digest], lost_reason=NOWHERE, backups=[str(archive.root.with_name("backup"))])
    assert (result["lost"], result["left"]) == (0, 0)
    assert digest in result["warnings"][0]
    assert archive.rows("SELECT * FROM lost") == []


def test_while_a_run_goes_on_it_ends_well_and_says_so(archive: Archive) -> None:
    with Store.open(str(archive.root), lock="archive_run"):
        result = repair(archive)
    assert (result["changed"], result["failed"], result["holder"]["what"]) == (False, False, "archive_run")
    assert result["msg"].startswith("Nothing done: ")


def test_a_verification_that_gave_up_is_no_health(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "MOST_FINDINGS", 0)
    result = repair(archive, backups=[str(archive.root.with_name("backup"))], fail_on_damage=False)
    assert result["failed"]
    assert "not all of it was looked at" in result["msg"]


def test_the_diff_is_cut(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_module.LISTED", 1)
    assert verify_report.LISTED == 100
    result = repair(archive, check=True)
    assert result["diff"]["before"].splitlines()[1:] == ["and 1 more"]
    assert (len(result["damage"]), result["left"]) == (1, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backups": ["/nowhere"]}, "backups: /nowhere: there is no copy of an archive. Mount it"),
        ({"backups": ["."]}, "it is the archive itself. Name a copy of it"),
        ({"declare_lost": ["abc"], "lost_reason": "x"}, "declare_lost: abc is no digest. Give 64 hexadecimal digits"),
        ({"declare_lost": ["0" * 64]}, "lost_reason: declare_lost is given without it. Say why"),
        ({"declare_lost": ["0" * 64], "lost_reason": " "}, "lost_reason: declare_lost is given without it. Say why"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_options_that_cannot_be_used(
    archive: Archive, options: dict[str, t.Any], words: str, check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.root)
    before = state(archive.root / "objects")
    result = repair(archive, check=check, **options)
    assert result["failed"]
    assert words in result["msg"]
    assert state(archive.root / "objects") == before
