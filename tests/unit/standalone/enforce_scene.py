# SPDX-License-Identifier: GPL-3.0-or-later
"""A remote repository with signers, a controller's checkout of it, and an ansible-playbook that does what a test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from standalone.kerio_enforce import config as configuration
from standalone.kerio_enforce.checkout import Checkout, Git, update

# The playbook of the repository says what the fake does: it runs it as Python, with its own arguments.
# Both reports are there, and say nothing.
FAKE = """#!{python}
import json, os, signal, subprocess, sys, time
arguments = sys.argv[1:]
playbook = next(one for one in arguments if one.startswith("playbooks/"))
with open(arguments[arguments.index("-e") + 1][1:]) as file:
    variables = json.load(file)
for name in ("site_report", "drift_report"):
    open(variables[name], "w").write('{{"version": 1}}')
exec(compile(open(playbook).read(), playbook, "exec"))
"""
MAIN = "refs/heads/main"


def clock_of(sign: Path) -> types.SimpleNamespace:
    """A module ``time`` whose clock makes a leap when a file is there, so that no test depends on how fast a program starts."""
    return types.SimpleNamespace(monotonic=lambda: time.monotonic() + (100_000 if sign.exists() else 0))


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """Run git; its own configuration is nobody's."""
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", **environment}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **quiet}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def ssh_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


@dataclass
class Scene:
    """``work`` is where somebody commits, ``remote`` where it is pushed to, ``checkout`` the controller's."""

    root: Path
    settings: dict[str, t.Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (self.remote, self.work, self.checkout, self.textfiles):
            path.mkdir()
        git(self.remote, "init", "--quiet", "--bare", "--initial-branch=main")
        git(self.work, "init", "--quiet", "--initial-branch=main")
        fake = self.root / "ansible-playbook"
        fake.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
        fake.chmod(0o755)

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def textfiles(self) -> Path:
        return self.root / "textfiles"

    @property
    def textfile(self) -> str:
        return (self.textfiles / "kerio_archive.prom").read_text(encoding="utf-8")

    def data(self, **more: t.Any) -> dict[str, t.Any]:
        """The configuration as the role writes it."""
        schedule = {"name": "hourly-site", "playbook": "site", "time_limit": "1min", "max_age": "3h"}
        return {
            "checkout": str(self.checkout),
            "repository": str(self.remote),
            "version": "main",
            "state": str(self.state),
            "inventory": "inventory/mine",
            "ansible_playbook": str(self.root / "ansible-playbook"),
            "textfile_dir": str(self.textfiles),
            "lock_wait": 0,
            "grace": 5,
            "schedules": [schedule, {**schedule, "name": "drift", "playbook": "drift"}],
            **self.settings,
            **more,
        }

    def config(self, **more: t.Any) -> configuration.Config:
        return configuration.parse(self.data(**more))

    def config_file(self, **more: t.Any) -> Path:
        file = self.root / "enforce.json"
        file.write_text(json.dumps(self.data(**more)), encoding="utf-8")
        return file

    def commit(self, key: Path | None = None, push: bool = True, **files: str) -> str:
        """Commit playbooks by name, signed with an SSH key or not; return the commit."""
        for name, text in files.items():
            path = self.work / "playbooks" / f"{name}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        git(self.work, "add", ".")
        git(self.work, *author(key), "commit", "--quiet", "--allow-empty", "-m", "Change it", *(["-S"] if key else []))
        if push:
            self.push()
        return git(self.work, "rev-parse", "HEAD")

    def tag(self, name: str, key: Path | None = None, message: str = "") -> None:
        how = ["-s", "-m", message] if key else ["-a", "-m", message] if message else []
        git(self.work, *author(key), "tag", "--force", *how, name)
        git(self.work, "push", "--quiet", "--force", str(self.remote), f"refs/tags/{name}")

    def push(self) -> None:
        git(self.work, "push", "--quiet", "--force", str(self.remote), "HEAD:refs/heads/main")

    def trust(self, *keys: Path) -> None:
        """From now on only what these keys signed is run."""
        signers = self.root / "allowed_signers"
        public = [Path(f"{key}.pub").read_text(encoding="utf-8") for key in keys]
        signers.write_text("".join(f"ops@example.com {line}" for line in public), encoding="utf-8")
        self.settings |= {"verify_signature": True, "allowed_signers": str(signers)}

    def update(self, **more: t.Any) -> Checkout:
        config = self.config(**more)
        return update(config, Git(config))

    def result(self, schedule: str = "hourly-site") -> dict[str, t.Any]:
        """The newest result of a schedule."""
        found: dict[str, t.Any] = json.loads((self.state / "results" / f"{schedule}.json").read_text(encoding="utf-8"))["runs"][0]
        return found


def author(key: Path | None) -> list[str]:
    options = {"user.name": "ops", "user.email": "ops@example.com", "gpg.format": "ssh", "user.signingKey": str(key or "")}
    return [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
