# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is asked about the service, by programs that stand for it; on real hosts it is in tests/hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service_unit


def fake_systemctl(folder: Path, shown: str) -> str:
    """Return a systemctl that knows how long the stop of ``kms.service`` may take."""
    program = folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/calls\n'
        f'[ "$*" = "show --property=TimeoutStopUSec --value kms.service" ] && echo "{shown}"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("shown", "stop_timeout", "warned"),
    [
        ("1min 30s", 330, True),  # systemd's own default
        ("4min 59.999999s", 330, True),
        ("500ms", 330, True),
        ("5min", 330, False),  # what systemd makes of an init script
        ("1h", 330, False),
        ("1min 30s", 120, False),
        ("5min", 900, True),
        ("infinity", 330, False),
        ("", 330, False),
        ("[not set]", 330, False),
        ("3 fortnights", 330, False),
    ],
)
def test_unit_that_would_kill_the_server_in_its_stop_is_warned_of(
    tmp_path: Path, shown: str, stop_timeout: float, warned: bool
) -> None:
    stop = [fake_systemctl(tmp_path, shown), "stop", "kms.service"]
    warning = service_unit.hasty_stop(stop, stop_timeout)
    assert bool(warning) is warned
    if warned:
        assert f"systemd kills kms.service when its stop takes longer than {shown} (TimeoutStopSec)" in warning
        assert f"may take {stop_timeout - 30:.0f} s" in warning
        assert f"'systemctl edit kms.service', write [Service] and TimeoutStopSec={stop_timeout}" in warning
        assert "kerio_mailserver_cfg_stop_timeout" in warning


def test_init_script_has_no_such_limit() -> None:
    assert service_unit.hasty_stop(["/etc/init.d/kerio-connect", "stop"], 330) == ""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host that systemd runs."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(service_unit, "RUNTIME", folder)
    return folder


def reloads(folder: Path) -> int:
    calls = folder / "calls"
    return calls.read_text(encoding="utf-8").splitlines().count("daemon-reload") if calls.exists() else 0


def test_stop_is_given_the_time_that_it_may_take(runtime: Path, tmp_path: Path) -> None:
    stop = [fake_systemctl(tmp_path, "1min 30s"), "stop", "kms.service"]
    folder = runtime / "kms.service.d"
    with service_unit.patience(stop, 330):
        (file,) = folder.iterdir()
        assert file.read_text(encoding="ascii") == "[Service]\nTimeoutStopSec=330\n"
        # Behind what `systemctl edit` writes.
        assert file.name > "override.conf"
        assert reloads(tmp_path) == 1
    assert (folder.exists(), reloads(tmp_path)) == (False, 2)


def test_what_a_killed_process_has_left_is_taken_away(runtime: Path, tmp_path: Path) -> None:
    stop = [fake_systemctl(tmp_path, "5min 30s"), "stop", "kms.service"]
    folder = runtime / "kms.service.d"
    folder.mkdir()
    (folder / service_unit.OVERRIDE).touch()
    with service_unit.patience(stop, 330):
        pass
    assert (folder.exists(), reloads(tmp_path)) == (False, 1 + 1)


def test_limit_of_the_unit_holds_again_after_a_failed_stop(runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), service_unit.patience([fake_systemctl(tmp_path, "5s"), "stop", "kms.service"], 330):
        raise RuntimeError
    assert (list(runtime.iterdir()), reloads(tmp_path)) == ([], 2)


@pytest.mark.parametrize("shown", ["5min", "infinity"])
def test_patient_unit_is_left_alone(runtime: Path, tmp_path: Path, shown: str) -> None:
    with service_unit.patience([fake_systemctl(tmp_path, shown), "stop", "kms.service"], 330):
        assert list(runtime.iterdir()) == []
    assert reloads(tmp_path) == 0


def test_settings_that_cannot_be_written_keep_no_server_from_its_stop(runtime: Path, tmp_path: Path) -> None:
    (runtime / "kms.service.d").touch()
    with service_unit.patience([fake_systemctl(tmp_path, "5s"), "stop", "kms.service"], 330):
        assert reloads(tmp_path) == 0


def fake_systemd_run(folder: Path, monkeypatch: pytest.MonkeyPatch, works: bool) -> Path:
    program = folder / "systemd-run"
    refusal = "" if works else "exit 1\n"
    program.write_text(f'#!/bin/sh\n{refusal}while [ "${{1#-}}" != "$1" ]; do shift; done\nexec "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setitem(service_unit.ENVIRONMENT, "PATH", f"{folder}:/usr/bin:/bin")
    return program


@pytest.mark.usefixtures("runtime")
def test_server_of_an_init_script_gets_a_unit_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = fake_systemd_run(tmp_path, monkeypatch, works=True)
    command = service_unit.apart(["/bin/echo", "start"])
    assert command[0] == str(program)
    assert {"--scope", "--slice=system.slice"} <= set(command)
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"start\n"


@pytest.mark.usefixtures("runtime")
def test_server_is_started_all_the_same_where_systemd_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_systemd_run(tmp_path, monkeypatch, works=False)
    assert service_unit.apart(["/bin/echo", "start"]) == ["/bin/echo", "start"]


@pytest.mark.usefixtures("runtime")
def test_unit_needs_no_other_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_systemd_run(tmp_path, monkeypatch, works=True)
    command = ["/usr/bin/systemctl", "start", "kms.service"]
    assert service_unit.apart(command) == command


def test_host_without_systemd_starts_the_script_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_systemd_run(tmp_path, monkeypatch, works=True)
    monkeypatch.setattr(service_unit, "RUNTIME", tmp_path / "nowhere")
    assert service_unit.apart(["/bin/echo", "start"]) == ["/bin/echo", "start"]
