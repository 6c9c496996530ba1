# SPDX-License-Identifier: GPL-3.0-or-later
"""One host more, which runs playbooks by itself: its repository with an encrypted inventory, and who may sign in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import image
from tests.hosts.fleet import INVENTORY, Fleet
from tests.hosts.midrun import PATIENCE
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import SECRET

ADDRESS = "192.0.2.31"
ACCOUNT = "kerio-archive-control"
HOME = Path("/var/lib/kerio-archive-controller")
METRICS = "/var/lib/kerio-archive-metrics/kerio_archive.prom"
REPOSITORY = "/srv/mail.git"
VAULT_FILE = "/etc/kerio-archive-vault-password"
VAULT_PASSWORD = f"{SECRET}-of-the-vault"
TRUST = "/etc/kerio-authorities"
REQUIREMENTS = ROOT / "requirements.txt"
QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
DRIFT = {"name": "drift", "playbook": "drift", "on_calendar": "*:*:0/5", "randomized_delay": "0", "limit": "kerio1"}
BROKEN = {"name": "broken", "playbook": "nosuch", "on_calendar": "yearly"}
OLD = {"name": "old", "playbook": "verify", "on_calendar": "yearly"}


def wheels() -> Path:
    """What the role installs on a controller, downloaded once."""
    folder = image.cache() / f"controller-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    with (image.cache() / "controller.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            words = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.11")
            image.run(sys.executable, "-m", "pip", "download", *words, "--dest", unfinished, "--requirement", REQUIREMENTS)
            unfinished.rename(folder)
    return folder


class Controller:
    """The host `control1` of a fleet. `work` is where an operator commits."""

    def __init__(self, fleet: Fleet, libraries: Path, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        self.work = folder / "work"
        self.admitted = False
        self.signer = folder / "signer.key"
        image.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f", self.signer)
        (folder / "vault").write_text(VAULT_PASSWORD, encoding="utf-8")
        self.machine = fleet.add("control1", ADDRESS)
        shutil.copytree(libraries, self.machine.path("/srv/wheels"))
        vault = self.machine.path(VAULT_FILE)
        vault.write_text(VAULT_PASSWORD, encoding="utf-8")
        vault.chmod(0o400)
        trust = self.machine.path(TRUST)
        trust.mkdir()
        for authority in fleet.control.glob("kerio*.pem"):
            shutil.copy(authority, trust)
        self._fill_repository()

    # -- the repository ---------------------------------------------------------------------------------------

    def _fill_repository(self) -> None:
        """This project with an inventory of the fleet in it, all of whose passwords are in a vault."""
        image.run("git", "clone", "--quiet", ROOT, self.work, env={**os.environ, **QUIET})
        mine = self.work / "inventory" / "mine"
        shutil.copytree(INVENTORY, mine)
        (mine / "group_vars/all.yml").write_text("---\nansible_user: deploy\n", encoding="utf-8")
        known = (self.fleet.control / "fleet.yml").read_text(encoding="utf-8").replace(str(self.fleet.control), TRUST)
        (mine / "fleet.yml").write_text(known, encoding="utf-8")
        vault = ("-m", "ansible", "vault", "encrypt", "--vault-password-file", self.folder / "vault")
        image.run(sys.executable, *vault, mine / "fleet.yml")
        image.run("git", "init", "--quiet", "--bare", self.machine.path(REPOSITORY))
        self.commit(signed=True)

    def git(self, *words: str) -> str:
        who = {"user.name": "ops", "user.email": "ops@example.com", "gpg.format": "ssh", "user.signingKey": str(self.signer)}
        options = [word for name, value in who.items() for word in ("-c", f"{name}={value}")]
        return image.run("git", "-C", self.work, *options, *words, env={**os.environ, **QUIET}).strip()

    def commit(self, *, signed: bool) -> str:
        """Commit what is in `work` and push it; return the commit."""
        self.git("add", "--force", "--all", ".")
        self.git("commit", "--quiet", "--allow-empty", *(["-S"] if signed else []), "-m", "Change the inventory")
        self._own_repository("root")
        self.git("push", "--quiet", str(self.machine.path(REPOSITORY)), "HEAD:refs/heads/main")
        if self.admitted:
            self._own_repository(ACCOUNT)
        return self.git("rev-parse", "HEAD")

    def _own_repository(self, account: str) -> None:
        """git reads no repository of somebody else on the same host."""
        self.machine.run("chown", "--recursive", account, REPOSITORY)

    # -- the role ---------------------------------------------------------------------------------------------

    def apply(self, *schedules: dict[str, Any], check: bool = False) -> PlaybookRun:
        """Run playbooks/controller.yml over the host."""
        variables = {
            "controller_repository": REPOSITORY,
            "controller_vault_password_file": VAULT_FILE,
            "controller_verify_signature": True,
            "controller_allowed_signers": [f"ops@example.com {self.signer.with_suffix('.key.pub').read_text(encoding='utf-8')}"],
            "controller_known_hosts": (self.fleet.control / "known_hosts").read_text(encoding="utf-8").splitlines(),
            "controller_on_failure": f"/usr/bin/touch {HOME}/state/told-of-%i",
            "controller_pip_args": "--no-index --find-links /srv/wheels",
            "controller_lock_wait": "0",
            "controller_schedules": list(schedules),
        }
        inventory = self.folder / "controllers.yml"
        inventory.write_text(yaml.safe_dump({"controllers": {"hosts": {"control1": variables}}}), encoding="utf-8")
        return self.fleet.play("controller", check=check, more=("-i", str(inventory)))

    def admit(self, public_key: str) -> None:
        """Have the Kerio hosts let the controller in, and its repository be its own."""
        for name in ("kerio1", "kerio2", "kerio3"):
            with self.fleet.machines[name].path("/home/deploy/.ssh/authorized_keys").open("a", encoding="utf-8") as keys:
                keys.write(f"{public_key}\n")
        self._own_repository(ACCOUNT)
        self.admitted = True

    # -- what came of it --------------------------------------------------------------------------------------

    def runs(self, schedule: str) -> list[dict[str, Any]]:
        path = self.machine.path(f"{HOME}/state/results/{schedule}.json")
        return list(json.loads(path.read_text(encoding="utf-8"))["runs"]) if path.exists() else []

    def start(self, schedule: str) -> None:
        """Start a unit and wait until it ended."""
        self.machine.run("systemctl", "start", f"kerio-archive-{schedule}.service", check=False, timeout=PATIENCE)

    def journal(self, unit: str) -> str:
        return self.machine.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def metrics(self) -> dict[str, float]:
        """Series of the textfile, which Prometheus must take."""
        text = self.machine.path(METRICS).read_text(encoding="utf-8")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("kerio_archive_"): float(value) for name, _, value in lines}
