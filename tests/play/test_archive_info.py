# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_info in playbooks: figures of an archive counted by hand, its runs, and what it says without an archive."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import MAILBOXES, furnish
from tests.play.helpers import Step, assert_one_sentence, play
from tests.play.trees import tree


def info(root: Path, runs: int = 10, python: str = sys.executable) -> Step:
    return Step("archive_info", {"root": str(root), "runs": runs}, python=python)


@pytest.mark.shows("run", "check", "by_hand")
def test_figures_of_an_archive(lab_factory: Factory, tmp_path: Path, bare_python: str) -> None:
    root = tmp_path / "archive"
    site = furnish(lab_factory(servers=2, users=2), 40)
    only_first = site.run(root, MAILBOXES, only=["mailboxes"], mailbox="alice@example.com")
    _store, fresh, _users, peopled, _one, _all, answer, last, bare = play(
        site.ready(root)[0],
        info(root),
        site.ready(root)[1],
        info(root),
        only_first,
        site.run(root, MAILBOXES),
        info(root),
        info(root, runs=1),
        info(root, python=bare_python),
    )
    nothing = {"objects": 0, "bytes": 0, "stored_bytes": 0, "placements": 0}
    assert fresh.result["totals"] == {**nothing, "users": 0}
    assert (fresh.result["runs"], fresh.result["unknown_addresses"]) == ([], [])
    assert peopled.result["totals"] == {**nothing, "users": 4}

    objects = [path for path in (root / "objects").glob("*/*") if path.is_file()]
    totals = answer.result["totals"]
    assert totals["objects"] == len(objects) == len({path.stat().st_ino for path in (root / "mail").rglob("cur/*")})
    assert totals["placements"] == len(list((root / "mail").rglob("cur/*")))
    assert totals["stored_bytes"] == sum(path.stat().st_size for path in objects)
    seen = {one.digest: one.size for one in site.placed if not one.copy_of}
    assert totals["bytes"] == sum(seen[path.name] for path in objects)
    assert set(answer.result["states"].values()) == {0}
    assert answer.msg == f"{len(objects):,} messages in {totals['placements']:,} places of 4 users"
    newer, older = answer.result["runs"]
    assert (newer["outcome"], older["outcome"]) == ("ok", "ok")
    assert newer["id"] > older["id"] and older["started"] <= older["finished"] <= newer["finished"]
    assert newer["summary"]["new"] + older["summary"]["new"] == site.expected()
    assert last.result["runs"] == [newer]
    assert bare.result["totals"] == totals
    for each in (fresh, answer, bare):
        assert (each.changed, each.warnings) == (False, [])

    before = tree(root)
    _real, check = play(info(root), replace(info(root), check=True))
    assert (check.status, check.result["totals"]) == ("ok", totals)
    assert tree(root) == before


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    absent, empty = play(info(tmp_path / "absent"), info(tmp_path / "empty"))
    for answer, name in ((absent, "absent"), (empty, "empty")):
        assert_one_sentence(answer, f"{tmp_path}/{name}: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
