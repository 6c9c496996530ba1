# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that caught objects and the ledger, but not the placements: no message counts as a copy for that."""

from __future__ import annotations

import shutil

import pytest

from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import ALICE, _delete, lose_catalog, rebuilt, verified
from tests.unit.module_utils.archive.rebuild_small import object_of, placement_of, small

__all__ = ["small"]

LATE = mail(90)  # UID 3 of Alice's INBOX


@pytest.fixture
def late(small: Archive) -> Archive:
    """The catalog is older than the message, whose placement is not there."""
    shutil.copy(small.catalog_file, small.root / "reports/old")
    small.servers.folder("mail1", ALICE).add(LATE)
    small.run()
    return small


def restore(archive: Archive) -> None:
    placement_of(archive, LATE).unlink()
    lose_catalog(archive)
    shutil.copy(archive.root / "reports/old", archive.catalog_file)


def test_the_next_run_files_what_is_still_on_the_server(late: Archive) -> None:
    restore(late)
    rebuilt(late, "orphans", orphans="adopt")
    fetched = len(late.servers.commands("FETCH"))
    late.run()
    assert len(late.servers.commands("FETCH")) == fetched
    assert placement_of(late, LATE).samefile(object_of(late, LATE))
    assert verified(late) == []


@pytest.mark.parametrize("what", ["orphans", "catalog"])
def test_what_nothing_can_file_any_more_is_told(late: Archive, what: str) -> None:
    _delete(late, ALICE, "INBOX", [3])
    late.run()
    restore(late)
    if what == "catalog":
        lose_catalog(late)
    report = rebuilt(late, what, orphans="adopt")
    told = [(problem.subject, problem.detail) for problem in report.problems if problem.kind == "unfiled"]
    assert told == [(str(object_of(late, LATE).relative_to(late.root)), f"mail1/{ALICE}/INBOX")]


def test_a_copy_of_what_is_filed_is_not_told(late: Archive) -> None:
    late.servers.folder("mail1", ALICE).add(mail(1, top="Received: by somebody\r\n"))
    late.run()
    lose_catalog(late)
    assert rebuilt(late).problems == []
