# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as an operator has it: installed from its file, with nothing of the checkout on any path."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

from tests.dist.tarball import NAME, PackagingError

# What README.md of the collection has an operator take out of the file before anything is installed.
BEGINNING = ("requirements.txt", "ansible.cfg", "inventory")


class Installed:
    """A folder in which an operator works; ``python`` has Ansible."""

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self.folder = folder
        self.python = python
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.collections = self.home / ".ansible" / "collections"

    @property
    def collection(self) -> Path:
        return self.collections / "ansible_collections" / Path(*NAME.split("."))

    def begin(self, file: Path) -> None:
        """Take what an operator begins with out of the file, and install it, as README.md of the collection says."""
        with tarfile.open(file) as tar:
            wanted = [member for member in tar.getmembers() if member.name.split("/")[0] in BEGINNING]
            tar.extractall(self.folder, wanted, filter="data")
        done = self.run("galaxy", "collection", "install", "--offline", str(file))
        if done.returncode:
            raise PackagingError(done.stdout)

    def environment(self) -> dict[str, str]:
        """Return an environment that knows nothing of this checkout."""
        ours = ("ANSIBLE_", "PYTHON", "TESTS_", "VIRTUAL_ENV", "PYTEST_")
        rest = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return {**rest, "HOME": str(self.home), "PATH": path, "LC_ALL": "C.UTF-8"}

    def run(
        self, program: str, *arguments: str, show: bool = False, variables: t.Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ansible-<program>`` in the folder; the result has what it printed, unless that is shown."""
        command = [str(self.python), "-m", "ansible", program, *arguments]
        output = None if show else subprocess.PIPE
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment(), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if show else subprocess.STDOUT,
            text=True,
            check=False,
        )
