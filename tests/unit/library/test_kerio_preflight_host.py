# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight_host against a file, and a service that is not there; other forms of the file are in the play tests."""

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service, service_unit
from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight_host
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.kerio.fake_kerio import CFG


class Host:
    """A folder like that of a Kerio Connect host."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mailserver.cfg"
        self.script = folder / "kerio-connect"
        self.script.write_text("#!/bin/sh\n", encoding="ascii")
        self.script.chmod(0o755)
        self.pid_file = folder / "kms.pid"

    def write(self, value: str = "1") -> None:
        self.file.write_bytes(CFG.replace(b">1<", f">{value}<".encode()))

    def look(self, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        service_options = {"script": str(self.script), "pid_file": str(self.pid_file), **options.pop("service", {})}
        return run_module(kerio_preflight_host.main, check=check, path=str(self.file), service=service_options, **options)

    def told(self, **options: t.Any) -> dict[str, tuple[str, str]]:
        result = self.look(**options)
        assert (result["failed"], result["changed"]) == (False, False)
        return {row["id"]: (row["verdict"], row["found"]) for row in result["facts"]}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.shows("read", "check")
@pytest.mark.parametrize("check", [False, True])
def test_a_host_as_it_is_assumed(host: Host, check: bool) -> None:
    host.write()
    host.pid_file.write_text(str(os.getpid()), encoding="ascii")
    host.file.chmod(0o600)
    before = host.file.read_bytes()
    itself = os.readlink("/proc/self/exe")
    running = {"process": itself, "watchdog": itself}
    owned = os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, 0, 0, 1, 0, 0, 0))
    with mock.patch.object(Path, "stat", lambda _path, **_how: owned):
        told = host.told(check=check, service=running)
    assert {name: found for name, (verdict, found) in told.items() if verdict != "holds"} == {
        "cfg-value": "It is 1: the server moves what is deleted over IMAP to Deleted Items."
    }
    assert told["cfg-owner"][1] == "It belongs to root, mode 0600."
    assert told["cfg-variable"][1].startswith("It is Imap/AutoExpungeOnDelete, in line ")
    assert told["service-manager"][1] == f"It is the init script {host.script}."
    assert host.file.read_bytes() == before


@pytest.mark.parametrize(("value", "verdict", "words"), [("0", "holds", "is gone"), ("2", "differs", "not known")])
def test_values_of_the_variable(host: Host, value: str, verdict: str, words: str) -> None:
    host.write(value)
    found = host.told()["cfg-value"]
    assert found[0] == verdict
    assert words in found[1]


def test_a_file_that_others_can_write_a_link_and_one_that_is_no_xml(host: Host, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.cfg"
    real.write_bytes(b"<config>")
    real.chmod(0o666)
    host.file.symlink_to(real)
    told = host.told()
    assert told["cfg-place"] == ("holds", f"It is there, and leads to {real}.")
    assert told["cfg-owner"][0] == "differs"
    assert told["cfg-owner"][1].endswith("mode 0666.")
    assert told["cfg-format"][0] == "differs"
    assert "not well-formed XML" in told["cfg-format"][1]


def test_a_host_without_file_and_service(host: Host) -> None:
    told = host.told(service={"script": "/does/not/exist", "watchdog": "no-such-watchdog"})
    assert told["cfg-place"] == ("differs", f"There is no file {host.file}.")
    untold = {name for name, (verdict, _found) in told.items() if verdict == "cannot_tell"}
    assert untold == {"cfg-owner", "cfg-format", "cfg-variable", "cfg-value"} | {
        f"service-{name}" for name in ("manager", "process", "watchdog", "stop")
    }
    assert "service.script" in told["service-manager"][1]


def test_a_server_that_does_not_run(host: Host) -> None:
    host.write()
    result = host.look(service={"watchdog": "no-such-watchdog"})
    told = {row["id"]: row for row in result["facts"]}
    assert (told["service-process"]["verdict"], told["service-process"]["stops"]) == ("differs", True)
    assert told["service-process"]["found"] == f"No process of {host.file.with_name('mailserver')} was found."
    assert told["service-watchdog"]["verdict"] == "differs"


@pytest.mark.parametrize(
    ("source", "span", "manager", "stop"),
    [
        ("", "infinity", "It is the unit kerio-connect.service.", "holds"),
        ("/etc/init.d/kerio-connect", "1min 30s", "which systemd made of /etc/init.d/kerio-connect.", "differs"),
        ("", "5min", "It is the unit kerio-connect.service.", "holds"),
    ],
)
def test_a_unit_of_systemd(host: Host, source: str, span: str, manager: str, stop: str) -> None:
    host.write()
    shown = {"SourcePath": source, "TimeoutStopUSec": span}
    commands = (["systemctl", "start", "kerio-connect.service"], ["systemctl", "stop", "kerio-connect.service"])
    told_by_systemd = mock.patch.object(service_unit, "shown", lambda _systemctl, _unit, name: shown[name])
    with mock.patch.object(service, "find_commands", lambda _unit, _script: commands), told_by_systemd:
        told = host.told()
    assert told["service-manager"][1].endswith(manager)
    assert told["service-stop"][0] == stop


@pytest.mark.parametrize(
    ("system", "words"), [("Windows", "Kerio Connect Monitor"), ("Darwin", "/usr/local/kerio"), ("Plan9", "Plan9")]
)
def test_another_system_is_done_by_hand(host: Host, system: str, words: str) -> None:
    with mock.patch("platform.system", lambda: system):
        told = host.told()
    verdict, found = told.pop("host-system")
    assert verdict == "differs"
    assert words in found
    assert {verdict for verdict, _found in told.values()} == {"cannot_tell"}


@pytest.mark.shows("error")
def test_a_unit_and_a_script_are_refused_together(host: Host) -> None:
    result = host.look(service={"name": "kerio-connect.service"})
    assert result["failed"]
    assert "mutually exclusive" in result["msg"]
