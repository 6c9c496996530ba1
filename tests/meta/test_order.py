# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the tests names files that are there, and folders as well."""

from __future__ import annotations

from tests.order import FOLDERS, LONG, TESTS, rank


def test_long_files_are_there_and_come_first() -> None:
    files = sorted(TESTS.rglob("test_*.py"), key=rank)
    assert tuple(file.relative_to(TESTS).as_posix() for file in files[: len(LONG)]) == LONG


def test_the_rest_goes_by_folder() -> None:
    folders = [file.relative_to(TESTS).parts[0] for file in sorted(TESTS.rglob("test_*.py"), key=rank)[len(LONG) :]]
    assert tuple(dict.fromkeys(folders))[: len(FOLDERS)] == FOLDERS
