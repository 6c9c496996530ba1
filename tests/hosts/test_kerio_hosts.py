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
HASTY = 4  # seconds after which a unit kills what it stops
REFUSED_ONCE = "ExecStartPre=/bin/sh -c '! rm /opt/kerio/refuse 2> /dev/null'"
STARTS_LATE = "ExecStartPre=/bin/sleep 60"
OWN = "kerio-connect.service"


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
        edits.until(host.stopped, playing)
        host.machine.cut()
        assert (host.value, host.started()) == ("0", False)
        yield Cut(host, playing, rights)
    finally:
        host.machine.mend()
        playing.process.kill()
        playing.process.wait()


def test_server_comes_back_while_its_host_is_cut_off(cut: Cut) -> None:
    host = cut.host
    edits.until(lambda: host.started() and host.answers())
    assert (host.value, host.rights()) == ("1", cut.rights)
    assert cut.playing.process.poll() is None, cut.playing.output()
    # Not that of the SSH session: an init script started it.
    assert host.unit().endswith(".scope")
    assert host.outlives_ssh()


@pytest.mark.usefixtures("cut")
def test_stop_that_takes_a_minute(fleet: Fleet, book: Edits) -> None:
    """One unit leaves the time for it, the other one would kill the server, and with it what it has not written yet."""
    patient, hasty = hosts = [Watched(fleet, name) for name in ("kerio3", "kerio1")]
    rights = [host.rights() for host in hosts]
    assert [link for link, *_rest in rights] == [True, False]
    patient.server.set_switches(stop_seconds=SLOW)
    hasty.server.set_switches(stop_seconds=4 * HASTY)
    hasty.override(f"TimeoutStopSec={HASTY}")
    options = hasty.server.api("AdvancedOptions.get")["options"]["miscellaneous"]
    unwritten = not options["logHostNames"]
    hasty.server.api("AdvancedOptions.set", {"options": {"miscellaneous": {**options, "logHostNames": unwritten}}})

    done = book.play({"kerio1": "1", "kerio3": "1"})
    assert done.rc == 0, done.output
    said = edits.of(done)
    assert [host.value for host in hosts] == ["1", "1"]
    assert [host.rights() for host in hosts] == rights
    assert [host.unit() for host in hosts] == [OWN, OWN]
    assert hasty.shown("MainPID") == str(hasty.server.pid)
    assert said["kerio3"].result["down_seconds"] >= SLOW
    assert said["kerio1"].result["down_seconds"] >= 4 * HASTY
    assert edits.warned(said["kerio3"]) == ""
    assert f"systemd kills {OWN} when its stop takes longer than {HASTY}s (TimeoutStopSec)" in edits.warned(said["kerio1"])
    assert hasty.server.api("AdvancedOptions.get")["options"]["miscellaneous"]["logHostNames"] is unwritten
    # What the operator has declared holds again.
    assert hasty.shown("TimeoutStopUSec") == f"{HASTY}s"
    assert [host.outlives_ssh() for host in hosts] == [True, True]

    for host in hosts:
        host.server.set_switches(stop_seconds=0)
    hasty.override("")


@pytest.mark.usefixtures("cut")
def test_server_that_does_not_come_back(fleet: Fleet, book: Edits) -> None:
    refused, silent = hosts = [Watched(fleet, name) for name in ("kerio1", "kerio3")]
    rights = [host.rights() for host in hosts]
    refused.override(REFUSED_ONCE)
    refused.machine.path("/opt/kerio/refuse").touch()
    silent.server.set_switches(start_mode="no_ports")
    playing = book.begin({"kerio1": "0", "kerio3": "0"}, ready={"timeout": 4})
    edits.until(silent.started, playing)
    silent.server.set_switches(start_mode="normal")
    done = playing.wait()

    assert done.rc == 2, done.output
    said = edits.of(done)
    assert {task.status for task in said.values()} == {"failed"}
    for host, causes in (
        (refused, ("no answer from its process", "Job for kerio-connect.service failed", "(exit code 1)")),
        (silent, ("no answer from admin API on 127.0.0.1:4040, IMAP on 127.0.0.1:143",)),
    ):
        text = said[host.name].result["msg"]
        told = f"The file was restored: AutoExpungeOnDelete = 1. The service runs as process {host.server.pid} and answers"
        assert all(words in text for words in (*causes, told)), text
        assert "\n" not in text
    assert [host.value for host in hosts] == ["1", "1"]
    assert [host.answers() for host in hosts] == [True, True]
    assert [host.unit() for host in hosts] == [OWN, OWN]

    refused.override("")
    done = book.play({"kerio1": "0", "kerio3": "0"})
    assert done.rc == 0, done.output
    assert sorted(task.host for task in done.changed()) == ["kerio1", "kerio3"]
    assert [edits.warned(task) for task in done.changed()] == ["", ""]
    assert [host.value for host in hosts] == ["0", "0"]
    assert [host.rights() for host in hosts] == rights


def test_what_became_of_the_host_that_was_cut_off_is_told(book: Edits, cut: Cut) -> None:
    done = cut.playing.wait()
    assert done.rc == 4, done.output
    (lost,) = done.failed()
    assert lost.status == "unreachable"
    assert "kerio2" in lost.result["msg"]
    assert lost.result["msg"].endswith("A job that has begun there goes on by itself, and the next run tells how it ended")

    cut.host.machine.mend()
    cut.host.machine.wait()
    pid = cut.host.server.pid
    done = book.play({"kerio2": "1"})
    assert (done.rc, done.changed()) == (0, []), done.output
    told = edits.warned(edits.of(done)["kerio2"])
    assert "ended without anybody waiting for it and succeeded: AutoExpungeOnDelete = 1" in told
    assert cut.host.server.pid == pid


def test_power_that_is_lost_in_an_edit(fleet: Fleet, book: Edits, cut: Cut) -> None:
    """Of one host when the server had stopped, of another one when the file was written; and a server that dies in its start."""
    cut.host.machine.mend()
    stopped, dying, written = hosts = [Watched(fleet, name) for name in ("kerio1", "kerio2", "kerio3")]
    rights = [host.rights() for host in hosts]
    wanted = {"kerio1": "1", "kerio2": "0", "kerio3": "1"}
    written.override(STARTS_LATE)
    dying.server.set_switches(start_mode="dies")
    playing = book.begin(wanted, settle=4, ready={"timeout": 5})
    edits.until(stopped.stopped, playing)
    stopped.machine.kill()
    assert (stopped.value, stopped.started()) == ("0", False)
    stopped.machine.start()
    edits.until(dying.started, playing)
    dying.server.set_switches(start_mode="normal")
    edits.until(lambda: written.said() == "starting the service", playing)
    written.machine.kill()
    assert (written.value, written.started()) == ("1", False)
    written.override("", running=False)
    written.machine.start()
    for host in (stopped, written):
        host.machine.wait()
        edits.until(lambda host=host: host.started() and host.answers())  # type: ignore[misc]  # the type of a default is not inferred
    assert [host.value for host in (stopped, written)] == ["0", "1"]
    assert [host.unit() for host in (stopped, written)] == [OWN, OWN]
    done = playing.wait()
    assert done.rc != 0, done.output
    said = edits.of(done)
    # Whether this run or the next one hears of it hangs on how soon the host is back.
    heard = {host.name: said[host.name].result["msg"] for host in (stopped, written)}
    assert {said[name].status for name in heard} <= {"unreachable", "failed"}
    text = said[dying.name].result["msg"]
    told = f"The file was restored: AutoExpungeOnDelete = 1. The service runs as process {dying.server.pid} and answers"
    assert "no answer from its process, admin API" in text and told in text, text
    assert dying.unit().endswith(".scope")

    done = book.play(wanted)
    assert done.rc == 0, done.output
    said = edits.of(done)
    assert {host: task.status for host, task in said.items()} == {"kerio1": "changed", "kerio2": "changed", "kerio3": "ok"}
    for name, first in heard.items():
        assert "the host was restarted before it had ended" in first + edits.warned(said[name])
    assert edits.warned(said[dying.name]) == ""
    assert {host.name: host.value for host in hosts} == wanted
    assert [host.rights() for host in hosts] == rights
