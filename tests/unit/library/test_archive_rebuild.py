# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_rebuild: results, diffs, check mode, somebody else's lock, and options that cannot be used."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_rebuild
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return alices(tmp_path, mail(1), mail(2))


def rebuilt(archive: Archive, what: str, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_rebuild.main, check=check, root=str(archive.root), what=what, processes=1, **options)


@pytest.mark.shows("change", "again", "diff")
def test_a_lost_catalog_comes_back_once(archive: Archive) -> None:
    Path(archive.catalog_file).unlink()
    result = rebuilt(archive, "catalog")
    assert (result["changed"], result["failed"], result["warnings"]) == (True, False, [])
    assert result["msg"].startswith(f"{archive.root}: the catalog was made anew: 2 objects, ")
    figures = {name: result["rebuilt"][name] for name in ("what", "objects", "placements", "users", "messages_archived")}
    assert figures == {"what": "catalog", "objects": 2, "placements": 2, "users": 1, "messages_archived": 2}
    assert result["diff"]["before"] == "absent\n"
    assert sorted(result["diff"]["after"].splitlines()[1:]) == [f"mail/{path}" for path in archive.tree()]
    assert json.loads((archive.root / "reports/rebuild.json").read_text())["objects"] == 2
    again = rebuilt(archive, "catalog")
    assert again["failed"]
    assert "it can be read, and a new one would know less" in again["msg"]
    assert "replace: true" in again["msg"]


@pytest.mark.shows("change", "again", "check", "diff")
def test_a_ledger_is_made_whole_once(archive: Archive) -> None:
    path = archive.root / "evidence/entries"
    count = path.read_bytes().count(b"\n")
    os.truncate(path, path.stat().st_size - 1)
    check = rebuilt(archive, "ledger", check=True)
    result = rebuilt(archive, "ledger")
    told = f"{count - 1:,} entries kept"
    assert check["msg"] == f"{archive.root}: the ledger would be made whole: {told}"
    assert (result["changed"], result["msg"]) == (True, f"{archive.root}: the ledger was made whole: {told}")
    assert result["diff"]["before"] == f"{count} entries, {count - 1} of them as they were written\n"
    (warning,) = result["warnings"]
    assert f"the first {count - 1} are left" in warning and "Begin a new list of ledger_checkpoints" in warning
    assert result["problem_counts"] == {"checkpoint": 1}
    *_, last = path.read_bytes().splitlines()
    assert json.loads(last).items() >= {"event": "rebuilt", "what": "ledger", "entries_kept": count - 1}.items()
    again = rebuilt(archive, "ledger")
    assert (again["changed"], again["msg"], again.get("diff")) == (False, f"{archive.root}: nothing is missing", None)


@pytest.mark.shows("change", "again")
def test_a_missing_link_is_made_once(archive: Archive) -> None:
    path = archive.tree()[0]
    (archive.root / "mail" / path).unlink()
    result = rebuilt(archive, "trees")
    assert (result["changed"], result["msg"]) == (True, f"{archive.root}: the trees were completed: 1 links")
    assert result["diff"]["after"].splitlines()[1:] == [f"mail/{path}"]
    again = rebuilt(archive, "trees")
    assert (again["changed"], again["msg"], again.get("diff")) == (False, f"{archive.root}: nothing is missing", None)


@pytest.mark.shows("check")
@pytest.mark.parametrize("what", ["catalog", "trees"])
def test_check_mode_says_what_would_be_done(archive: Archive, what: str) -> None:
    lost = Path(archive.catalog_file) if what == "catalog" else archive.root / "mail" / archive.tree()[0]
    lost.unlink()
    (archive.root / "lock").unlink()
    before = sorted(archive.root.rglob("*"))
    result = rebuilt(archive, what, check=True)
    assert (result["changed"], " would be " in result["msg"]) == (True, True)
    assert sorted(archive.root.rglob("*")) == before
    done = rebuilt(archive, what)
    assert {**done["rebuilt"], "seconds": 0} == {**result["rebuilt"], "seconds": 0}
    assert done["diff"] == result["diff"]


def test_orphans_are_told_and_adopted(archive: Archive) -> None:
    with Store.open(str(archive.root)) as store:
        digest = store.put(mail(3), 7).digest.hex()
    told = rebuilt(archive, "orphans")
    assert (told["changed"], told["failed"]) == (False, False)
    assert [problem["kind"] for problem in told["problems"]] == ["object_unknown"]
    assert (told["problem_counts"], digest in told["warnings"][0]) == ({"object_unknown": 1}, True)
    adopted = rebuilt(archive, "orphans", orphans="adopt")
    assert (adopted["changed"], adopted["msg"]) == (True, f"{archive.root}: the catalog was brought forward: 1 objects")
    assert not rebuilt(archive, "orphans", orphans="adopt")["changed"]


def test_somebody_elses_lock_ends_it_well(archive: Archive) -> None:
    with Store.open(str(archive.root), lock="archive_run"):
        result = rebuilt(archive, "trees")
    assert (result["changed"], result["failed"], result["holder"]["what"]) == (False, False, "archive_run")
    assert result["msg"].startswith("Nothing done: ")


@pytest.mark.shows("error")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"what": "trees", "replace": True}, "replace: it means nothing without what: catalog"),
        ({"what": "trees", "orphans": "adopt"}, "orphans: it means nothing without what: orphans"),
        ({"what": "orphans", "remove_last_copies": True}, "without what: orphans and orphans: remove"),
        ({"what": "catalog", "processes": 5000}, "from 0 to 1000"),
        ({"what": "all"}, "value of what must be one of"),
    ],
)
def test_options_that_cannot_be_used(archive: Archive, options: dict[str, t.Any], words: str) -> None:
    result = run_module(archive_rebuild.main, root=str(archive.root), **options)
    assert result["failed"]
    assert words in result["msg"]
