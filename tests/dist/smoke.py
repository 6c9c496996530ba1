# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator who has one file: README.md of the collection, line by line, in an empty folder, against the lab.

The only things that are not as the README has them: the inventory is the lab's, and there is no vault.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.dist.tarball import COLLECTION, ROOT, PackagingError
from tests.lab import cli

MESSAGES = 40
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The environment of an archive host is made by the role, as on a host of its own, but for Debian's packages.
HOST = {"archive_host_python": "", "archive_host_packages": [], "archive_host_base_python": sys.executable}


def lines() -> tuple[str, str]:
    """Return what README.md of the collection says how to install it, and the first run."""
    install, first = BLOCK.findall((COLLECTION / "README.md").read_text(encoding="utf-8"))
    if "--ask-vault-pass --check --diff" not in first:
        raise PackagingError("the second block of README.md of the collection is no look at what would be done")
    return install, first.replace(" --ask-vault-pass", "")


class Operator:
    """Somebody in an empty folder with the file, a Python without libraries, and nothing of the checkout."""

    def __init__(self, folder: Path, file: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.work = folder / "work"
        self.home = folder / "home"
        programs = folder / "bin"
        for made in (self.work, self.home, programs):
            made.mkdir(parents=True)
        (programs / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]  # known to CPython alone
        shutil.copy(file, self.work)
        self._variables = {"HOME": str(self.home), "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

    def type(self, text: str, **more: str) -> str:
        """Type lines into a shell; return what was printed."""
        enter = "[ ! -e .venv ] || . .venv/bin/activate\n"
        command = ["bash", "-eu", "-o", "pipefail", "-c", enter + text]
        variables = {**self._variables, **more}
        done = subprocess.run(
            command, cwd=self.work, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PackagingError(f"{text}\n{done.stdout}{done.stderr}")
        return done.stdout

    def mentions(self, what: Path) -> list[str]:
        """Return the files of the environment and the settings of the operator that name a path."""
        places = (self.work / ".venv" / "pyvenv.cfg", self.work / "ansible.cfg", *self.home.rglob("MANIFEST.json"))
        return [str(place) for place in places if str(what) in place.read_text(encoding="utf-8")]


def run(build: Path, file: Path) -> list[str]:
    """Install the file and run its first playbook, as a look, for real, and again; return a line on each."""
    install, first = lines()
    operator = Operator(build / "operator", file)
    operator.type(install)
    lab = build / "smoke-lab"
    if cli.main(["start", "--dir", str(lab), "--servers", "2", "--messages", str(MESSAGES)]):
        raise PackagingError("the lab did not start")
    try:
        return ["installed as README.md says", *_play(operator, first, build / "smoke-lab.json")]
    finally:
        cli.main(["stop", "--dir", str(lab), "--remove"])


def _play(operator: Operator, first: str, lab_json: Path) -> list[str]:
    inventory = operator.work / "inventory" / "mine"
    shutil.rmtree(inventory)
    shutil.copytree(ROOT / "inventory" / "lab", inventory)
    host = {**HOST, "archive_host_python_env": str(operator.work / "host" / "python")}
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / "archive1.yml").write_text(json.dumps(host), encoding="utf-8")
    shutil.copy(lab_json, operator.work / "lab.json")
    (operator.work / "archive").mkdir()
    variables = {"KERIO_LAB_JSON": str(operator.work / "lab.json"), "KERIO_LAB_WORK_DIR": str(operator.work / "archive")}
    real = first.replace(" --check --diff", "")
    told = []
    for name, line in (("look", first), ("run", real), ("again", real)):
        recap = operator.type(line, **variables).strip().splitlines()[-3:]
        told += [f"{name}: {' '.join(part.split())}" for part in recap]
    if any("changed=0" not in part for part in told[-3:]):
        raise PackagingError("the second run changed something: " + "; ".join(told[-3:]))
    if operator.mentions(ROOT / "library"):
        raise PackagingError("something of the checkout was used")
    return told
