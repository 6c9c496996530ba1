# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the running process has read the file, whatever the clock was set to in between."""

from __future__ import annotations

import json
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_memory, service
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Selector
from tests.unit.module_utils.kerio.cfg_edit import EDITED, Quiet, edit
from tests.unit.module_utils.kerio.fake_kerio import FakeKerio

FILE, LATER = cfg_memory.FileState("aa", 7, 1000), cfg_memory.FileState("aa", 7, 2000)
OTHER = cfg_memory.FileState("bb", 8, 3000)
MEMORY = cfg_memory.Memory("boot 500", "aa", {"A": "1", "B": "2"}, FILE, "boot", 600.5)
ZERO, ONE = (Wanted(Selector(name="AutoExpungeOnDelete"), value) for value in "01")
GREETING = Wanted(Selector(path="Imap/Greeting"), "")


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    (tmp_path / "state").mkdir()
    fake = FakeKerio(tmp_path)
    fake.service().start()
    yield fake
    fake.end()


@pytest.mark.parametrize(
    ("process", "file", "values", "verdict"),
    [
        ("boot 500", FILE, {"C": "new"}, True),  # the very bytes that it has read
        ("boot 500", LATER, {"A": "9"}, True),
        ("boot 500", OTHER, {"A": "1"}, True),  # the server has saved its file since
        ("boot 500", OTHER, {"A": "0"}, False),  # somebody has changed it since
        ("boot 500", OTHER, {"A": "1", "B": "0"}, False),
        ("boot 500", OTHER, {"A": "1", "C": "3"}, None),
        ("boot 601", FILE, {"A": "9"}, True),  # started later, on a file that was not touched since
        ("later-boot 2", FILE, {"A": "1"}, True),
        ("boot 600", FILE, {"A": "1"}, None),  # started before this was noted
        ("boot 601", LATER, {"A": "1"}, None),  # another file may have been there in between
        ("later-boot 2", OTHER, {"A": "1"}, None),
    ],
)
def test_verdict(process: str, file: cfg_memory.FileState, values: dict[str, str], verdict: bool | None) -> None:
    assert MEMORY.verdict(process, file, values) is verdict


def test_what_is_noted_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "new" / "applied.json"
    cfg_memory.note(path, "boot 500", "aa", {"A": "1"}, FILE)
    memory = cfg_memory.recall(path)
    assert memory is not None
    assert (memory.process, memory.digest, memory.values, memory.file) == ("boot 500", "aa", {"A": "1"}, FILE)
    assert memory.boot == job.boot_id()
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    assert ticks - 1000 < memory.ticks <= ticks


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"process": 1}', b'{"process": "x", "values": 3}'])
def test_memory_that_is_broken_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "applied.json").write_bytes(content)
    assert cfg_memory.recall(tmp_path / "applied.json") is None


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock of the host be off by ``seconds`` from now on; the processes of the fake see the real one."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def changed_when_the_clock_was_off(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, data: bytes, seconds: float) -> None:
    """Write the file with the time that a host shows whose clock is off by ``seconds``."""
    fake.cfg.write_bytes(data)
    when = time.time() + seconds
    os.utime(fake.cfg, (when, when))
    monkeypatch.setattr(CfgFile, "changed_at", lambda _self: when)


@pytest.mark.parametrize("seconds", [-7200.0, 0.0, 7200.0])
def test_hand_edit_after_our_start_is_never_applied_whatever_the_clock_says(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    work = edit(fake, ONE)
    work.settle(work.probe())
    changed_when_the_clock_was_off(fake, monkeypatch, EDITED, seconds)
    assert len(edit(fake, ZERO).probe().reasons) == 1


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
def test_clock_that_jumps_between_edit_and_start_causes_no_restart_at_every_run(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    real = service.Service.start

    def start(self: service.Service) -> service.Process:
        process = real(self)
        set_clock(monkeypatch, seconds)
        return process

    monkeypatch.setattr(service.Service, "start", start)
    edit(fake)(Quiet())
    calls = fake.calls()
    for _ in range(2):
        work = edit(fake)
        probe = work.probe()
        assert probe.reasons == []
        work.settle(probe)
    assert fake.calls() == calls


def test_clock_that_was_set_forth_since_a_hand_edit_does_not_make_the_process_young(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is remembered of this process: the first run of all.
    started = fake.service().processes()[0].started
    while time.time() < started + 0.2:
        time.sleep(0.01)
    fake.cfg.write_bytes(EDITED)
    assert len(edit(fake).probe().reasons) == 1
    set_clock(monkeypatch, 7200)
    assert fake.service().processes()[0].started > started + 7000, "so it looks younger than the file"
    assert len(edit(fake).probe().reasons) == 1


def test_process_of_a_later_boot_has_read_the_file_that_nobody_touched(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    work = edit(fake, ONE)
    work.settle(work.probe())
    file = fake.folder / "state" / "applied.json"
    noted = json.loads(file.read_bytes())
    file.write_text(json.dumps({**noted, "process": "an-earlier-boot 5", "boot": "an-earlier-boot"}), encoding="utf-8")
    monkeypatch.setattr(CfgFile, "changed_at", lambda _self: time.time() + 7200)
    assert edit(fake, ONE).probe().reasons == []
    fake.cfg.chmod(0o600)
    assert len(edit(fake, ONE).probe().reasons) == 1


def test_tasks_with_different_variables_do_not_restart_the_server_in_turns(fake: FakeKerio) -> None:
    edit(fake, ZERO)(Quiet())
    edit(fake, Wanted(Selector(path="Imap/Greeting"), "hello"))(Quiet())
    fake.cfg.write_bytes(fake.cfg.read_bytes().replace(b"<!-- saved -->", b"<!-- saved by the server -->"))
    later = time.time() + 5
    os.utime(fake.cfg, (later, later))
    for wanted in (ZERO, Wanted(Selector(path="Imap/Greeting"), "hello")):
        work = edit(fake, wanted)
        probe = work.probe()
        assert probe.reasons == []
        work.settle(probe)


def test_a_variable_is_remembered_however_it_is_named(fake: FakeKerio) -> None:
    edit(fake, ZERO)(Quiet())
    fake.cfg.write_bytes(fake.cfg.read_bytes() + b"\n")
    later = time.time() + 5
    os.utime(fake.cfg, (later, later))
    assert edit(fake, Wanted(Selector(path="Imap/AutoExpungeOnDelete"), "0")).probe().reasons == []


def test_what_a_process_has_read_is_not_overwritten_by_what_the_file_says_later(fake: FakeKerio) -> None:
    both = edit(fake, ONE, GREETING)
    both.settle(edit(fake, ONE).probe())
    fake.cfg.write_bytes(EDITED.replace(b'"Greeting"/>', b'"Greeting">new</variable>'))
    both._remember(fake.service().processes()[0], both._read())
    memory = cfg_memory.recall(fake.folder / "state" / "applied.json")
    assert memory is not None
    assert memory.values["Imap/AutoExpungeOnDelete"] == "1"
    assert len(edit(fake, ZERO).probe().reasons) == 1


def test_new_backup_is_kept_when_the_clock_was_set_back(fake: FakeKerio) -> None:
    old = [fake.folder / f"mailserver.cfg.kerio-archive.{year}0101T000000Z" for year in (2098, 2099)]
    for path in old:
        path.touch()
    new = CfgFile(str(fake.cfg), fake.folder / "state" / "in-place.json").backup(b"data", 1)
    assert new.read_bytes() == b"data"
    assert [path for path in old if path.exists()] == []
