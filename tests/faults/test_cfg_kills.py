# SPDX-License-Identifier: GPL-3.0-or-later
"""The job of the guarded edit killed at every step, with its guardian alive, and gone together with the host."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.faults import cfg_host
from tests.faults.cfg_host import EDITED
from tests.faults.cfg_kill import POINTS, deadly
from tests.faults.cfg_namespace import play
from tests.unit.module_utils.kerio.fake_kerio import FakeKerio

# The folder of the pid file is empty after a boot.
OTHER_BOOT = (
    "rm -f kms.pid; echo 00000000-0000-4000-8000-000000000000 > boot; mount --bind boot /proc/sys/kernel/random/boot_id; "
)


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    fake = FakeKerio(tmp_path)
    fake.service().start()
    yield fake
    fake.end()


@pytest.mark.parametrize("name", POINTS)
def test_job_killed_at_any_step_is_rescued_and_the_next_run_completes_it(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    point, marker = POINTS[name], fake.folder / "killed"
    if point.linked:
        (fake.folder / "second-name").hardlink_to(fake.cfg)
    monkeypatch.setattr(point.owner, point.attribute, deadly(point, marker, with_guardian=False))

    answer = cfg_host.run(fake, "first")

    assert marker.exists(), "the job never came there"
    error, now = answer["error"], cfg_host.seen(fake)
    assert "was killed by signal 9" in error["cause"]
    assert f"The service runs as process {now['pid']} and answers" in error["cause"]
    assert (now["missing"], error["state"]["pid"], error["state"]["repair_errors"]) == ([], now["pid"], [])
    assert now["file"].encode() == point.file
    assert fake.read_at_start() == point.file
    assert "new" not in "".join(now["ours"]), "no half-written file is left"

    after = cfg_host.run(fake, "second")
    assert after["changed"] is (point.file != EDITED)
    assert cfg_host.seen(fake)["file"].encode() == fake.read_at_start() == EDITED
    assert cfg_host.check(fake)["data"]["reasons"] == []


# In turns, to save time, whether the service starts at boot; both where it matters what it finds.
BOOTS = [(name, number % 2 == 0) for number, name in enumerate(POINTS)] + [("half written in place", True), ("renamed", False)]


@pytest.mark.parametrize(("name", "autostart"), sorted(set(BOOTS)))
def test_host_that_went_down_at_any_step_is_found_and_completed_by_the_next_run(
    tmp_path: Path, name: str, autostart: bool
) -> None:
    story = play(tmp_path, {"kill": name, "reboot": OTHER_BOOT, "autostart": autostart})
    faulty, after = story["faulty"], story["after"]
    assert "ended without a result: it was killed" in faulty["answer"]["error"]["cause"]
    assert "error" not in after["answer"], after["answer"]["msg"]
    # A server that was not stopped in between has not saved its file.
    assert after["file"].encode() in (EDITED, EDITED.replace(b"<!-- saved -->", b"<!-- kept -->"))
    assert (after["read"], after["missing"]) == (after["file"], [])
    already = autostart and faulty["file"].encode() == EDITED
    assert after["answer"]["changed"] is not already
    assert story["last"]["answer"]["data"]["reasons"] == []
    assert not [left for left in after["ours"] if left.endswith("new")]
