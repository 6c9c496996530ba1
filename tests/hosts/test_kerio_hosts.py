# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of mailserver.cfg on hosts with systemd, over SSH: slow stops, starts that fail, and hosts that are gone in the middle.

What a failure does to an edit is in tests/faults/test_cfg_failures.py; here is what takes a host of its own. One host is cut off
during the first tests, and a playbook asks for it all the while, so they deal with the two others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.hosts import edits
from tests.hosts.edits import Edits, Watched
from tests.hosts.fleet import Fleet
from tests.lab.playbooks import Playing

SLOW = 60  # seconds that a stop takes
HASTY = 5  # seconds after which a unit kills what it stops
REFUSED_ONCE = "ExecStartPre=/bin/sh -c '! rm /opt/kerio/refuse 2> /dev/null'"
STARTS_LATE = "ExecStartPre=/bin/sleep 30"


@pytest.fixture(scope="module")
def book(fleet: Fleet) -> Edits:
    return Edits(fleet)


@dataclasses.dataclass
class Cut:
    host: Watched
    playing: Playing
    rights: tuple[bool, int, int, str]


@pytest.fixture(scope="module")
def cut(fleet: Fleet, book: Edits) -> Iterator[Cut]:
    """kerio2, whose cable was pulled after the stop and before the start, and the playbook that had begun the edit."""
    host = Watched(fleet, "kerio2")
    rights = host.rights()
    playing = book.begin({"kerio2": "1"}, settle=4)
    try:
        edits.until(host.stopped, "stopped")
        host.machine.cut()
        assert (host.value, host.started()) == ("0", False)
        yield Cut(host, playing, rights)
    finally:
        host.machine.mend()


def test_server_comes_back_while_its_host_is_cut_off(cut: Cut) -> None:
    host = cut.host
    edits.until(lambda: host.started() and host.answers(), "back")
    assert (host.value, host.rights()) == ("1", cut.rights)
    assert cut.playing.process.poll() is None, cut.playing.output()
    print(host.unit())


def test_stop_that_takes_a_minute(fleet: Fleet, book: Edits, cut: Cut) -> None:
    hosts = patient, hasty = [Watched(fleet, name) for name in ("kerio1", "kerio3")]
    rights = [host.rights() for host in hosts]
    assert rights[1][0] and not rights[0][0]
    patient.server.set_switches(stop_seconds=SLOW)
    hasty.server.set_switches(stop_seconds=4 * HASTY)
    hasty.override(f"TimeoutStopSec={HASTY}")
    options = hasty.unsaved()
    done = book.play({"kerio1": "1", "kerio3": "1"})
    assert done.rc == 0, done.output
    said = edits.of(done)
    for host in hosts:
        print(host.name, said[host.name].result)
        print(host.unit(), host.value, host.rights())
    print(options, hasty.unsaved_now())
    for host in hosts:
        host.server.set_switches(stop_seconds=0)
    hasty.override("")


def test_server_that_does_not_come_back(fleet: Fleet, book: Edits, cut: Cut) -> None:
    refused, silent = [Watched(fleet, name) for name in ("kerio1", "kerio3")]
    refused.override(REFUSED_ONCE)
    refused.machine.path("/opt/kerio/refuse").touch()
    silent.server.set_switches(start_mode="no_ports")
    playing = book.begin({"kerio1": "0", "kerio3": "0"}, ready={"timeout": 4})
    edits.until(silent.started, "started")
    silent.server.set_switches(start_mode="normal")
    done = playing.wait()
    for host in (refused, silent):
        print(host.name, edits.of(done)[host.name].result)
        print(host.unit(), host.value, host.answers())
    refused.override("")
    done = book.play({"kerio1": "0", "kerio3": "0"})
    print([(h, t.status, t.result["msg"]) for h, t in edits.of(done).items()])


def test_cut_is_told(fleet: Fleet, book: Edits, cut: Cut) -> None:
    done = cut.playing.wait()
    print(done.rc, done.seconds, [(t.status, t.result) for t in done.failed()])
    print(done.output[-3000:])
    cut.host.machine.mend()
    cut.host.machine.wait()
    done = book.play({"kerio2": "1"})
    print(done.rc, edits.of(done)["kerio2"])


def test_power_losses(fleet: Fleet, book: Edits, cut: Cut) -> None:
    stopped, dying, written = hosts = [Watched(fleet, name) for name in ("kerio1", "kerio2", "kerio3")]
    written.override(STARTS_LATE)
    dying.server.set_switches(start_mode="dies")
    playing = book.begin({"kerio1": "1", "kerio2": "0", "kerio3": "1"}, settle=4, ready={"timeout": 6})
    edits.until(stopped.stopped, "stopped")
    stopped.machine.kill()
    assert (stopped.value, stopped.started()) == ("0", False)
    stopped.machine.start()
    edits.until(dying.started, "started")
    dying.server.set_switches(start_mode="normal")
    edits.until(lambda: written.said() == "starting the service", "written")
    written.machine.kill()
    assert (written.value, written.started()) == ("1", False)
    written.override("", running=False)
    written.machine.start()
    for host in (stopped, written):
        host.machine.wait()
        edits.until(host.answers, "answers")
    print(stopped.value, written.value)
    done = playing.wait()
    print(done.rc, [(h, t.status, t.result) for h, t in edits.of(done).items()])
    for host in hosts:
        print(host.name, host.value, host.unit(), host.answers())
    done = book.play({"kerio1": "1", "kerio2": "0", "kerio3": "1"})
    print(done.rc, [(h, t.status, t.result) for h, t in edits.of(done).items()])
    for host in hosts:
        print(host.name, host.value, host.unit(), host.answers())
