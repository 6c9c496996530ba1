# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd has to do with the Kerio Connect service: the time that it leaves for a stop, and whose process a server is."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

# What an init script may expect; the environment of a module (Python's and Ansible's variables, a C locale) is not the server's.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"}
# What the default of stop_timeout has beyond the time that the stop itself may take.
PROOF_SECONDS = 30.0
# Settings that are gone after the next boot. Of all files for a unit, wherever they are, the one with the last name wins.
RUNTIME = Path("/run/systemd/system")
OVERRIDE = "zz-kerio-archive.conf"
ANSWER_SECONDS = 60.0
# How systemctl writes a span of time.
_SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}


def has_systemd() -> bool:
    """Tell whether systemd runs this host."""
    return RUNTIME.is_dir()


def shown(systemctl: str, unit: str, name: str) -> str:
    """Return a property of a unit; "" when it cannot be told."""
    return _asked([systemctl, "show", f"--property={name}", "--value", unit])[1]


def hasty_stop(stop_command: t.Sequence[str], stop_timeout: float) -> str:
    """Return a warning when systemd would kill the server before the end of the stop that ``stop_timeout`` allows; else ""."""
    span = _too_short(stop_command, stop_timeout)
    if not span:
        return ""
    unit = stop_command[-1]
    return (
        f"systemd kills {unit} when its stop takes longer than {span} (TimeoutStopSec), and a stop of Kerio Connect may take "
        f"{stop_timeout - PROOF_SECONDS:.0f} s while it writes its stores. Here it is given that time, but not when the host is "
        f"shut down: run 'systemctl edit {unit}', write [Service] and TimeoutStopSec={stop_timeout:.0f}, then run 'systemctl "
        "daemon-reload'. Where the stop never takes so long, declare a smaller stop_timeout (kerio_mailserver_cfg_stop_timeout "
        "of the role)"
    )


@contextlib.contextmanager
def patience(stop_command: t.Sequence[str], stop_timeout: float) -> t.Iterator[None]:
    """Have systemd wait for the stop as long as ``stop_timeout`` allows: what it kills loses what was not written yet.

    The unit's own limit holds again afterwards, or, when this process is killed, after the next boot at the latest.
    """
    systemctl, unit = stop_command[0], stop_command[-1]
    file = RUNTIME / f"{unit}.d" / OVERRIDE
    # One that a killed process has left is taken away, too.
    if not has_systemd() or not (file.exists() or _too_short(stop_command, stop_timeout)):
        yield
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"[Service]\nTimeoutStopSec={stop_timeout:.0f}\n", encoding="ascii")
        _asked([systemctl, "daemon-reload"])
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
            _asked([systemctl, "daemon-reload"])
        with contextlib.suppress(OSError):
            file.parent.rmdir()


def apart(start_command: t.Sequence[str]) -> list[str]:
    """Return the command with which systemd has the server in a unit of its own when an init script starts it.

    Else it would live in the control group of the SSH session, with its limits, and end with it where sessions are tidied up.
    """
    command = list(start_command)
    program = shutil.which("systemd-run", path=ENVIRONMENT["PATH"])
    if Path(command[0]).name == "systemctl" or not has_systemd() or program is None:
        return command
    scope = [program, "--quiet", "--scope", "--collect", "--slice=system.slice", f"--description=Started by {command[0]}"]
    # Tried without the server first, so that nothing of systemd can keep it from its start.
    return [*scope, *command] if _asked([*scope, "true"])[0] == 0 else command


def _too_short(stop_command: t.Sequence[str], stop_timeout: float) -> str:
    """Return the time that the unit leaves for its stop, as systemd writes it, when that is too short; else ""."""
    systemctl, unit = stop_command[0], stop_command[-1]
    if Path(systemctl).name != "systemctl":
        return ""
    span = shown(systemctl, unit, "TimeoutStopUSec")
    limit = _seconds(span)
    return "" if limit is None or limit >= stop_timeout - PROOF_SECONDS else span


def _asked(command: list[str]) -> tuple[int, str]:
    """Return exit code and answer of a program of systemd; it never keeps a server waiting for long."""
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, check=False, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return 1, ""
    return answer.returncode, answer.stdout.decode("utf-8", "replace").strip()


def _seconds(span: str) -> float | None:
    """Return the seconds of a span such as ``1min 30s``; None for ``infinity`` and for what is not known."""
    parts = re.findall(r"([0-9.]+)([a-z]+)", span)
    if not parts or "".join(number + unit for number, unit in parts) != span.replace(" ", ""):
        return None
    return sum(float(number) * _SPANS[unit] for number, unit in parts) if all(unit in _SPANS for _number, unit in parts) else None
