# SPDX-License-Identifier: GPL-3.0-or-later
"""The guarded edit on real disks in trouble: each case mounts what it needs in a mount namespace of its own."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.cfg_host import EDITED, SAVED
from tests.faults.cfg_namespace import play
from tests.unit.module_utils.kerio.fake_kerio import CFG

DISK = "mount -t tmpfs -o size=400k tmpfs disk; "
# A disk that knows immutable files: tmpfs does on newer kernels (Debian 12's is older), else the disk of the test's own folder.
FLAGS = DISK + "touch disk/probe; if chattr +i disk/probe; then chattr -i disk/probe; rm disk/probe; else umount disk; fi; "
FULL = "head -c 4m /dev/zero > disk/filler; "
LONG = {"variables": [{"path": "Imap/Greeting", "value": "x" * 9000}]}


@dataclass(frozen=True)
class Trouble:
    """``before`` sets the disk up; ``at_stop`` is the trouble, at the end of the service's stop; ``heal`` ends it. ``says`` are
    words of the error. ``calls`` of the service's script, number of ``backups`` and ``file`` are what holds afterwards."""

    before: str
    at_stop: str
    heal: str
    says: tuple[str, ...]
    file: bytes = SAVED
    calls: tuple[str, ...] = ("stop", "start")
    backups: int = 0
    restored: bool = False
    options: dict[str, t.Any] = field(default_factory=dict)


FAILURES = {
    "disk full before the stop": Trouble(
        "mount -t tmpfs -o size=64k tmpfs disk",
        "",
        "mount -o remount,size=400k disk",
        ("has less than", "Make room on the disk"),
        file=CFG,
        calls=(),
    ),
    "folder immutable before the stop": Trouble(
        FLAGS + "cp original.cfg disk/mailserver.cfg; chattr +i disk",
        "",
        "chattr -i disk",
        ("Operation not permitted",),
        file=CFG,
        calls=(),
    ),
    "disk full for the backup": Trouble(DISK, FULL, "rm disk/filler", ("No space left on device", "needed no restoring")),
    "disk full for the new file": Trouble(
        DISK,
        FULL + "truncate -s -4096 disk/filler",
        "rm disk/filler",
        ("No space left on device", "needed no restoring"),
        backups=1,
    ),
    "disk full in the middle of a write in place": Trouble(
        DISK + "cp original.cfg disk/mailserver.cfg; ln disk/mailserver.cfg disk/second-name",
        FULL + "truncate -s -4096 disk/filler",
        "rm disk/filler",
        ("No space left on device", "The file was restored: Imap/Greeting = ."),
        backups=1,
        restored=True,
        options=LONG,
    ),
    "disk read-only": Trouble(
        DISK, "mount -o remount,ro disk", "mount -o remount,rw disk", ("Read-only file system", "needed no restoring")
    ),
    "rename fails": Trouble(
        FLAGS,
        "chattr +i disk/mailserver.cfg",
        "chattr -i disk/mailserver.cfg",
        ("Operation not permitted", "needed no restoring"),
        backups=1,
    ),
    "folder refuses new files": Trouble(
        FLAGS, "chattr +i disk", "chattr -i disk", ("Operation not permitted", "needed no restoring")
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_disk_in_trouble_ends_with_the_service_running_and_the_next_run_completes_it(tmp_path: Path, name: str) -> None:
    trouble = FAILURES[name]
    case = {"before": trouble.before, "at_stop": trouble.at_stop, "heal": trouble.heal, "options": trouble.options}
    story = play(tmp_path, case)
    faulty, after = story["faulty"], story["after"]

    error = faulty["answer"]["error"]
    assert [words for words in trouble.says if words not in faulty["answer"]["msg"]] == [], faulty["answer"]["msg"]
    assert (error["kind"], error["subject"]) == ("mailserver_cfg", str(tmp_path / "disk" / "mailserver.cfg"))
    assert faulty["file"].encode() == trouble.file
    assert faulty["missing"] == []
    assert (faulty["calls"][1:], len(faulty["ours"])) == (list(trouble.calls), trouble.backups)
    assert [left for left in faulty["ours"] if left.endswith("new")] == []
    if trouble.calls:
        assert (error["state"]["pid"], error["state"]["restored"]) == (faulty["pid"], trouble.restored)
        assert f"The service runs as process {faulty['pid']} and answers" in error["cause"]

    assert after["answer"]["changed"]
    wanted = EDITED if not trouble.options else SAVED.replace(b'"Greeting"/>', b'"Greeting">' + b"x" * 9000 + b"</variable>")
    assert after["file"].encode() == after["read"].encode() == wanted
    assert after["missing"] == []


def test_file_that_is_a_bind_mount_is_changed_where_it_is(tmp_path: Path) -> None:
    # As in a container that is given the file of its host.
    before = "mkdir host; cp original.cfg host/mailserver.cfg; touch disk/mailserver.cfg; mount --bind host/mailserver.cfg "
    story = play(tmp_path, {"before": before + "disk/mailserver.cfg"})
    first, again = story["faulty"], story["after"]
    assert (first["answer"]["changed"], again["answer"]["changed"]) == (True, False)
    assert first["file"].encode() == first["read"].encode() == EDITED
    assert first["inode"] == story["begin"]["inode"]
    assert (tmp_path / "host" / "mailserver.cfg").read_bytes() == EDITED, "the host has it too"
    assert (tmp_path / "disk" / "mailserver.cfg").read_bytes() == b"", "what lies under the mount is not touched"
    assert [name.rpartition(".")[0] for name in first["ours"]] == ["mailserver.cfg.kerio-archive"]
    assert not list((tmp_path / "state").rglob("in-place.json"))


def test_result_that_finds_no_room_is_told_to_the_next_run(tmp_path: Path) -> None:
    story = play(
        tmp_path,
        {
            "before": "mount -t tmpfs -o size=200k,mode=700 tmpfs state",
            "at_stop": "head -c 4m /dev/zero > state/filler",
            "heal": "rm state/filler",
            # Asked again and again, also while nobody can note that he asks.
            "options": {"permanent_delete": True, "job_wait": 0},
        },
    )
    faulty, after = story["faulty"], story["after"]
    assert "ended without a result: it was killed, or the disk is full" in faulty["answer"]["msg"]
    assert (faulty["file"].encode(), faulty["missing"]) == (EDITED, [])
    assert (after["answer"]["changed"], after["pid"]) == (False, faulty["pid"])


def test_state_folder_that_becomes_read_only_does_not_leave_the_service_stopped(tmp_path: Path) -> None:
    case = {
        "before": "mount -t tmpfs -o mode=700 tmpfs state",
        "at_stop": "mount -o remount,ro state",
        "heal": "mount -o remount,rw state",
    }
    # The log is not open for writing while the stop waits.
    story = play(tmp_path, case)
    faulty = story["faulty"]
    assert (faulty["file"].encode(), faulty["missing"]) == (EDITED, [])
    assert story["after"]["answer"]["changed"] is False
