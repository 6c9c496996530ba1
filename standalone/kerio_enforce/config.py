# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role controller declares for this program. Pure but for ``load``."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from pathlib import Path

from .problem import EnforceError

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
PLAYBOOK = re.compile(r"[a-z0-9_]+")
_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"\s*([0-9]+)\s*([a-z]*)")
# What a URL says before the host: over HTTPS that is, or has, a secret.
_SECRET = re.compile(r"https?://[^/]*@|[a-z+]+://[^/@]*:[^/@]*@", re.IGNORECASE)
REMEDY = "Correct it in the inventory and run playbooks/controller.yml"


@dataclasses.dataclass(frozen=True)
class Schedule:
    """One playbook that is run again and again. Times are seconds; ``max_age``: how old its last success may become."""

    name: str
    playbook: str
    time_limit: int
    max_age: int
    limit: str = ""
    check: bool = False
    extra_vars: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Config:
    """All that a run needs to know. ``offline``: "run" or "refuse", for a remote that cannot be reached.

    ``lock_wait``: how long a start waits for another one; ``history``: how many results of a schedule are kept.
    ``allowed_signers`` and ``gpg_keys``: files that say who may sign, for SSH and GPG.
    ``vault`` and ``token``: names of systemd credentials, "" for none; ``requirements``: what the environment was made from.
    """

    checkout: Path
    repository: str
    version: str
    state: Path
    inventory: str
    ansible_playbook: str
    schedules: t.Mapping[str, Schedule]
    verify_signature: bool = False
    allowed_signers: str = ""
    gpg_keys: str = ""
    offline: str = "run"
    ssh_command: str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"
    requirements: str = ""
    textfile_dir: str = ""
    mailbox_metrics: bool = True
    vault: str = ""
    token: str = ""
    git_timeout: int = 120
    lock_wait: int = 600
    grace: int = 60
    history: int = 100
    log_bytes: int = 8 << 20

    def schedule(self, name: str) -> Schedule:
        """The schedule of that name."""
        if name not in self.schedules:
            known = ", ".join(sorted(self.schedules)) or "none"
            raise EnforceError("configuration", f"schedule {name}", f"it is not declared (declared: {known})", REMEDY)
        return self.schedules[name]


def seconds(span: str | int, where: str) -> int:
    """A time span as systemd writes it, such as "1h 30min"."""
    text, position, total = str(span).strip(), 0, 0
    while found := _SPAN.match(text, position):
        if found[2] not in _UNITS:
            break
        total += int(found[1]) * _UNITS[found[2]]
        position = found.end()
    if not text or position != len(text):
        raise EnforceError("configuration", where, f"{span!r} is no time span", "Write it like 90min, 3h or 1h 30min")
    return total


def load(path: Path) -> Config:
    """Read the configuration; raises ``EnforceError``."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnforceError("configuration", str(path), str(error), "Run playbooks/controller.yml") from error
    return parse(data)


def parse(data: t.Mapping[str, t.Any]) -> Config:
    """The configuration as data; raises ``EnforceError``."""
    fields = {one.name for one in dataclasses.fields(Config)}
    unknown = sorted(set(data) - fields)
    if unknown:
        raise EnforceError("configuration", ", ".join(unknown), "this program does not know that", REMEDY)
    known = dict(data)
    try:
        schedules = [_schedule(entry) for entry in known.pop("schedules")]
        known.update(checkout=Path(known["checkout"]), state=Path(known["state"]))
        for key in ("git_timeout", "lock_wait", "grace"):
            if key in known:
                known[key] = seconds(known[key], key)
        config = Config(**known, schedules={one.name: one for one in schedules})
    except (KeyError, TypeError) as error:
        raise EnforceError("configuration", "configuration", f"it is not complete ({error})", REMEDY) from error
    if config.offline not in ("run", "refuse"):
        raise EnforceError("configuration", "offline", f"{config.offline!r} is not run or refuse", REMEDY)
    if _SECRET.match(config.repository):
        cause = "it has a user or a password in it, which command lines and messages would tell"
        raise EnforceError("configuration", "repository", cause, "Use controller_git_token_file and run playbooks/controller.yml")
    if len(config.schedules) != len(schedules):
        raise EnforceError("configuration", "schedules", "two of them have the same name", REMEDY)
    return config


def _schedule(entry: t.Mapping[str, t.Any]) -> Schedule:
    known = dict(entry)
    where = f"schedule {known.get('name')}"
    for key, pattern in (("name", NAME), ("playbook", PLAYBOOK)):
        if not pattern.fullmatch(str(known[key])):
            raise EnforceError("configuration", where, f"{known[key]!r} cannot be a {key}", REMEDY)
    for key in ("time_limit", "max_age"):
        known[key] = seconds(known[key], f"{where}, {key}")
    return Schedule(**known)
