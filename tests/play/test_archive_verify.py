# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_verify in playbooks: a whole archive, damage done by hand, beside a run's marker, and the playbook verify.yml."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import MAILBOXES, furnish
from tests.play.helpers import Step, assert_one_sentence, play
from tests.play.trees import tree


def verify(root: Path, *, check: bool = False, **options: t.Any) -> Step:
    return Step("archive_verify", {"root": str(root), **options}, check, python=sys.executable)


@pytest.mark.shows("run", "check", "by_hand")
def test_an_archive_of_a_run_is_whole_until_somebody_changes_it(lab_factory: Factory, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    site = furnish(lab_factory(servers=2, users=2), 40)
    *_ready, archived = play(*site.ready(root), site.run(root, MAILBOXES))
    assert archived.changed
    before = tree(root)
    (check,) = play(verify(root, check=True))
    assert tree(root) == before
    whole, share = play(verify(root), verify(root, within_days=16))
    objects = len([path for path in (root / "objects").glob("*/*") if path.is_file()])
    placements = len(list((root / "mail").rglob("cur/*")))
    for answer in (check, whole):
        assert (answer.status, answer.changed, answer.result["damaged"]) == ("ok", False, 0)
        figures = answer.result["verified"]
        assert (figures["objects"], figures["read"], figures["placements"]) == (objects, objects, placements)
    assert share.result["verified"]["directories"] < 256
    assert whole.result["verified"]["oldest"]

    damaged = next(path for path in sorted((root / "objects").glob("*/*")) if path.is_file())
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.chmod(0o640)
    damaged.write_bytes(data)
    damaged.chmod(0o440)
    (answer,) = play(verify(root))
    assert answer.status == "ignored"
    assert [each["kind"] for each in answer.result["damage"]] == ["object_damaged"]
    assert str(damaged.relative_to(root)) in answer.msg


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = play(verify(tmp_path / "empty"))
    assert_one_sentence(empty, f"{tmp_path}/empty: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
