# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive host whose disk is full, and one whose clock is set: before a run, and in the middle of one."""

from __future__ import annotations

import hashlib
import os
import re

import zstandard

from tests.hosts import midrun
from tests.hosts.fleet import Fleet
from tests.hosts.image import run
from tests.hosts.midrun import SLOWLY, run_of
from tests.lab.playbooks import PlaybookRun

HOST = "archive1"
MEGABYTE = 1 << 20
RESERVE = 16 * MEGABYTE  # archive_host_reserve of the inventory
HOUR = 3600
YEAR = 365 * 24 * HOUR
# Certificates are as old as the tests, so what goes back stays behind that.
LATER = 2 * YEAR
DELETING = [{"name": "mailboxes", "method": "multiple_mailboxes", "servers": ["kerio1"], "delete": {"after_days": 800}}]


def give_room(fleet: Fleet, free: int) -> None:
    """Let the disk of the archive host, one in memory, have so many bytes free."""
    disk = fleet.disks / HOST
    now = os.statvfs(disk)
    used = (now.f_blocks - now.f_bfree) * now.f_frsize
    run("mount", "-o", f"remount,size={used + free}", disk)


def load(fleet: Fleet, seed: str, messages: int) -> list[str]:
    """Messages of 8 kB on the disk for each of the people of kerio1."""
    numbers = range(len(midrun.people(fleet, "kerio1")))
    return [one for person in numbers for one in midrun.load(fleet, "kerio1", seed, messages=messages, size=9000, person=person)]


def assert_readable(fleet: Fleet, digests: list[str]) -> None:
    objects = fleet.disks / HOST / midrun.ARCHIVE / "objects"
    for digest in digests:
        content = (objects / digest[:2] / digest).read_bytes()
        assert hashlib.sha256(zstandard.ZstdDecompressor().decompressobj().decompress(content)).hexdigest() == digest


def summary_of(done: PlaybookRun) -> str:
    """What the playbook told at its end, in one line."""
    return " ".join(done.output.split("PLAY RECAP")[0].rpartition("TASK [")[2].split())


def assert_whole(done: PlaybookRun) -> None:
    assert done.rc == 0, done.output
    (verified,) = done.of("archive_verify")
    assert verified.result["damaged"] == 0, verified.result["msg"]


def test_full_disk_with_and_without_a_reserve(fleet: Fleet) -> None:
    fleet.shrink_disk(HOST, "500m")
    give_room(fleet, RESERVE + 6 * MEGABYTE)
    mail = load(fleet, "reserve", 400)
    reserved = fleet.play("archive", limit=HOST)
    assert reserved.rc != 0
    error = run_of(reserved, HOST).result["error"]
    assert re.fullmatch(r"[\d,]+ bytes are free, the reserve is 16,777,216", error["cause"])
    assert "archiving goes on where it stopped" in error["remedy"] and error["cause"] in summary_of(reserved)
    part = midrun.places(fleet, HOST, mail)
    assert 0 < error["placements"] <= len(part) < len(mail)
    assert_readable(fleet, list(part))

    mail += load(fleet, "full", 800)
    full = fleet.play("archive", limit=HOST, extra={"archive_host_reserve": 0})
    assert full.rc != 0
    error = run_of(full, HOST).result["error"]
    assert (
        re.search("No space left on device|disk is full", error["cause"]) and "what was committed is untouched" in error["remedy"]
    ), error
    part = midrun.places(fleet, HOST, mail)
    assert len(part) < len(mail)
    assert_readable(fleet, [digest for digest, places in part.items() if places])

    give_room(fleet, 200 * MEGABYTE)
    assert_whole(fleet.play("archive", "verify", limit=HOST))
    assert midrun.everywhere_once(fleet, HOST, mail)


def test_clock_that_is_set_between_runs_and_in_the_middle_of_them(fleet: Fleet) -> None:
    archive = fleet.machines[HOST]
    archive.set_clock(0)
    extra = {**SLOWLY, "archive_profiles": DELETING}
    mail = []
    for before, meanwhile in ((0, YEAR), (-HOUR, -YEAR), (HOUR, 0)):
        # What was archived before is two years old, and seems to be older than the limit in the middle of the first run.
        new = midrun.load(fleet, "kerio1", f"clock {before} {meanwhile}")
        archive.set_clock(LATER + before)
        playing = fleet.start_play("archive", limit=HOST, extra=extra)
        midrun.middle(fleet, HOST, playing)
        with midrun.frozen(archive, midrun.RUN):
            archive.set_clock(LATER + meanwhile)
        done = playing.wait()
        assert done.rc == 0, done.output
        result = run_of(done, HOST).result
        assert (result["run"]["new"], result["run"]["deleted"]) == (len(new), 0), result["msg"]
        mail += new
    archive.set_clock(LATER)
    again = fleet.play("archive", "verify", limit=HOST)
    assert_whole(again)
    assert again.changed() == []
    assert midrun.everywhere_once(fleet, HOST, mail)
