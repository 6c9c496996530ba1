# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that root must not believe in, because others can write there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError
from ansible_collections.mailops.kerio.plugins.module_utils.job_folder import refuse_unsafe

OTHER = 12345


def made(path: Path, mode: int, owner: int | None = None) -> Path:
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_folder_of_the_user_is_safe(tmp_path: Path, mode: int) -> None:
    refuse_unsafe(made(tmp_path / "state", mode))


def test_folder_that_does_not_exist_is_made_by_us(tmp_path: Path) -> None:
    refuse_unsafe(tmp_path / "a" / "b")
    refuse_unsafe(made(tmp_path / "shared", 0o1777) / "state")


@pytest.mark.parametrize(
    ("mode", "owner", "reason"),
    [(0o777, None, "everybody can write"), (0o1777, None, "everybody can write"), (0o700, OTHER, "belongs to user 12345")],
)
def test_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int, owner: int | None, reason: str) -> None:
    with pytest.raises(JobError, match=reason):
        refuse_unsafe(made(tmp_path / "state", mode, owner))


def test_folder_of_a_group_is_refused(tmp_path: Path) -> None:
    state = made(tmp_path / "state", 0o770)
    refuse_unsafe(state)
    os.chown(state, 0, OTHER)
    with pytest.raises(JobError, match="group 12345 can write"):
        refuse_unsafe(state)


def test_folder_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "open", 0o777)
    with pytest.raises(JobError, match=r"everybody can write to .*open"):
        refuse_unsafe(tmp_path / "open" / "state")


def test_folder_that_somebody_made_first_in_a_shared_place_is_refused(tmp_path: Path) -> None:
    shared = made(tmp_path / "shared", 0o1777)
    made(shared / "theirs", 0o700, OTHER)
    with pytest.raises(JobError, match="theirs belongs to user 12345"):
        refuse_unsafe(shared / "theirs" / "state")


def test_link_of_somebody_else_in_a_shared_place_is_refused(tmp_path: Path) -> None:
    shared, link = made(tmp_path / "shared", 0o1777), tmp_path / "shared" / "link"
    link.symlink_to(made(tmp_path / "real", 0o700))
    refuse_unsafe(link / "state")
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    with pytest.raises(JobError, match="link belongs to user 12345"):
        refuse_unsafe(shared / "link" / "state")
