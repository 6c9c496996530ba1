# SPDX-License-Identifier: GPL-3.0-or-later
"""Dovecot's own programs: what a configuration says, whether its instance runs, ending sessions, reloading."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import AccessError

DOVECOT, DOVECONF, DOVEADM = "/usr/sbin/dovecot", "/usr/bin/doveconf", "/usr/bin/doveadm"
SECONDS = 60.0
PATIENCE_SECONDS = 5.0
_SESSION = "imap"
_INSTALL = "Install dovecot-core and dovecot-imapd, as the role archive_access does"
_OPENS = re.compile(r"\s*(\w+)(?: (\S+))? \{\Z")
_REMARK = " auth: Info: "
# What a log line has before Dovecot's own words.
_PREFIX = re.compile(r"\A.*?\b(?:Fatal|Panic|Error): ")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run one of Dovecot's programs to its end. Raises AccessError when it is not there or does not end."""
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
            cwd="/",
        )
    except FileNotFoundError as error:
        raise AccessError(argv[0], "the program is not there", _INSTALL) from error
    except subprocess.TimeoutExpired as error:
        cause = f"it did not end within {SECONDS:.0f} seconds"
        raise AccessError(" ".join(argv), cause, "Look at the files that its configuration includes, and into its log") from error


def complaint(text: str) -> str:
    """The first thing that Dovecot calls an error in some lines of output or log, without date and process; "" for none.

    The master only says that another process failed, and may be the first to say so.
    """
    lines = [line for line in text.splitlines() if _PREFIX.match(line)]
    told = next((line for line in lines if " master: " not in line), lines[0] if lines else "")
    return _PREFIX.sub("", told).strip()


def remark(text: str) -> str:
    """The last thing that the process which checks logins said in a log; "" for nothing."""
    return next((line.partition(_REMARK)[2] for line in reversed(text.splitlines()) if _REMARK in line), "")


def setting(configuration: Path, name: str, *conditions: str) -> str:
    """The value of one setting, where ``protocol=imap`` or the like holds. AccessError: Dovecot cannot read the configuration."""
    asked = run(DOVECONF, "-c", str(configuration), *(f"-f{condition}" for condition in conditions), "-h", name)
    if asked.returncode != 0:
        raise AccessError(
            str(configuration), complaint(asked.stderr) or asked.stderr.strip(), "Correct it where it comes from, then run again"
        )
    return asked.stdout.strip()


def listeners(configuration: Path) -> list[tuple[str, str]]:
    """Service and name of every listener on a TCP port."""
    found, inside = [], []
    for line in run(DOVECONF, "-c", str(configuration), "service").stdout.splitlines():
        if opened := _OPENS.match(line):
            inside.append(opened)
        elif line.strip() == "}":
            inside.pop()
        elif line.strip().startswith("port = ") and line.strip() != "port = 0" and inside[-1][1] == "inet_listener":
            found.append((inside[-2][2], inside[-1][2]))
    return found


def _stop(pid: int, number: signal.Signals) -> None:
    """Send a signal to the process of a session, unless the process has gone and another one has its number."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == _SESSION:
            os.kill(pid, number)


class Instance:
    """The running Dovecot of a configuration; ``base`` is its base_dir."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = str(configuration)
        self._base = Path(setting(configuration, "base_dir"))

    def runs(self) -> bool:
        """Whether its master process is there."""
        try:
            pid = int((self._base / "master.pid").read_text(encoding="ascii"))
            return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "dovecot"
        except (OSError, ValueError):
            return False

    def reload(self) -> None:
        """Have it read configuration and Lua again; sessions go on."""
        self._doveadm("reload")

    def end_sessions(self, users: t.Container[str] | None) -> set[str]:
        """End all sessions of users (None: of everybody), and return whose there were. AccessError: somebody is still there.

        By their processes, because ``doveadm kick`` takes some names for masks or addresses. A session that is busy hears of it
        when it is done, so it is killed after a while; the processes only read.
        """
        ended: set[str] = set()
        begun = time.monotonic()
        while there := {pid: user for user, pid in self._sessions() if users is None or user in users}:
            ended.update(there.values())
            waited = time.monotonic() - begun
            if waited > 2 * PATIENCE_SECONDS:
                cause = f"the sessions of {', '.join(sorted(set(there.values())))} do not end"
                raise AccessError("the archive's Dovecot", cause, "Restart it, run again")
            for pid in there:
                _stop(pid, signal.SIGTERM if waited < PATIENCE_SECONDS else signal.SIGKILL)
            time.sleep(0.05)
        return ended

    def _sessions(self) -> list[tuple[str, int]]:
        """Key and process of every session."""
        lines = [line.split("\t") for line in self._doveadm("-f", "tab", "who", "-1").splitlines()[1:]]
        return [(line[0], int(line[2])) for line in lines if len(line) > 2]

    def _doveadm(self, *words: str) -> str:
        done = run(DOVEADM, "-c", self._configuration, *words)
        if done.returncode != 0:
            raise AccessError(
                f"doveadm {' '.join(words)}",
                complaint(done.stderr) or done.stderr.strip(),
                "Restart the archive's Dovecot, run again",
            )
        return done.stdout
