# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_store in playbooks: --check, create, again, repair, and each file system that is not fit for an archive."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from tests.play import interpreters
from tests.play.helpers import Answer, Step, assert_one_sentence, one, play
from tests.play.trees import tree

LOOK = Path(__file__).with_name("trees.py")


def store(root: Path, **more: t.Any) -> Step:
    how = {key: more.pop(key) for key in ("check", "python", "also") if key in more}
    return Step("archive_store", {"root": str(root), "reserve": 0, **more}, **how)


def look(folder: Path) -> Step:
    """A task that tells what lies in ``folder`` at that moment."""
    return Step("ansible.builtin.command", {"argv": [sys.executable, str(LOOK), str(folder)]})


def seen(answer: Answer) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(answer.result["stdout"])
    return found


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_check_create_again_and_repair(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    root = disk / "archive"
    check = store(root, check=True)
    first = [check, look(disk), store(root), look(disk), store(root), check, look(disk)]
    would, untouched, created, made, again, known, same = play(*first)

    assert (would.changed, would.msg) == (True, f"{root}: the archive would be created")
    assert would.diff["before"] == {"state": "absent"} and would.diff["after"]["state"] == "present"
    assert would.result["archive"]["objects"] == 0
    assert list(seen(untouched)) == [str(disk)]

    assert (created.changed, created.msg) == (True, f"{root}: the archive was created")
    assert (root / "format").read_text("utf-8") == "kerio-archive 1\n"
    assert created.result["archive"]["format"] == "kerio-archive 1"
    assert (again.changed, again.msg) == (False, f"{root}: the archive is as declared")
    assert not known.changed
    assert seen(same) == seen(made)

    root.chmod(0o2755)
    worse = tree(disk)
    would_repair, as_bad, repaired, last = play(check, look(disk), store(root), store(root))
    assert would_repair.changed and would_repair.diff["before"] == {"mode": "2755"}
    assert seen(as_bad) == worse
    assert (repaired.changed, repaired.msg) == (True, f"{root}: the archive was completed")
    assert root.stat().st_mode & 0o7777 == 0o2750
    assert not last.changed


def test_a_root_that_cannot_be_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    file, readonly, foreign, newer = (tmp_path / name for name in ("file", "readonly", "foreign", "newer"))
    file.write_text("a file\n")
    readonly.mkdir()
    (foreign / "photos").mkdir(parents=True)
    newer.mkdir()
    (newer / "format").write_text("kerio-archive 2\n")
    mounted = interpreters.with_mounts(
        tmp_path, "read-only", f"mount --bind {readonly} {readonly}", f"mount -o remount,bind,ro {readonly}"
    )
    bare = interpreters.with_libraries(tmp_path, "bare")
    before = tree(tmp_path)
    answers = play(
        store(file / "archive"),
        store(readonly / "archive", python=mounted),
        store(readonly, python=mounted),
        store(tmp_path / "not mounted" / "archive"),
        store(file),
        store(foreign),
        store(newer),
        store(tmp_path / "big", reserve=1 << 40),
        Step("archive_store", {"root": "/"}),
        store(tmp_path / "bare archive", python=bare),
    )
    below, on_readonly, is_readonly, not_mounted, no_folder, not_ours, other, no_room, no_root, library = answers

    for answer in (on_readonly, is_readonly):
        assert_one_sentence(answer, f"{readonly}: Read-only file system.", "Mount the file system writable")
    assert_one_sentence(
        not_mounted, f"{tmp_path}/not mounted: No such file or directory.", "Mount the disk, or create this folder"
    )
    for answer in (below, no_folder):
        assert_one_sentence(answer, f"{file}: it is not a directory.", "Give the path of a directory")
    assert_one_sentence(not_ours, f"{foreign}: it is not empty and holds no archive (found photos).", "Give an empty directory")
    assert_one_sentence(other, f"{newer}/format:", "'kerio-archive 2'", "'kerio-archive 1'", "Use the release")
    assert_one_sentence(no_room, f"{tmp_path}:", "bytes are free, the reserve is", "Make room")
    assert_one_sentence(no_root, "root:", "cannot be an archive root", "Give the absolute path")
    assert_one_sentence(library, "zstandard:", "not installed for", str(tmp_path / "bare"), "archive_host")
    assert tree(tmp_path) == before


def test_a_file_system_that_is_not_fit_is_told(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    answer = one(store(root, python=interpreters.without_hard_links(tmp_path)))
    assert_one_sentence(answer, f"{root}:", "it has no hard links (Operation not permitted)", "Use a local file system", "ext4")
    assert not list(tmp_path.glob("archive/*"))


@pytest.mark.shows("broken")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    root = disk / "archive"
    small = interpreters.with_mounts(tmp_path, "small", f"mount -t tmpfs -o size=64k,mode=755 none {disk}")
    few = interpreters.with_mounts(tmp_path, "few", f"mount -t tmpfs -o nr_inodes=100,mode=755 none {disk}")
    no_bytes, no_inodes, reserved = play(store(root, python=small), store(root, python=few), store(root, python=few, reserve=1))
    assert_one_sentence(no_bytes, str(root), "Make room")
    assert_one_sentence(no_inodes, f"{root}", "No space left on device", "Make room on that file system (blocks or inodes)")
    assert_one_sentence(reserved, f"{disk}:", "inodes are free, each message needs one", "Use a file system with more inodes")
