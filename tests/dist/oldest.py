# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs what runs on Kerio hosts, and its unit tests, with the oldest Python there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import ansible

from tests.dist import kerio_hosts, pythons

ROOT = pythons.ROOT
SETTINGS = Path(__file__).with_name("pytest-3.8.ini")
COMPILE_AND_IMPORT = """
import importlib, pathlib, sys
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    compile(path.read_text("utf-8"), name, "exec")
    parts = path.with_suffix("").parts
    where = ("modules", *parts[1:]) if parts[0] == "library" else parts
    importlib.import_module(".".join(("ansible_collections.mailops.kerio.plugins", *where)))
print(sys.version_info[:2], len(sys.argv) - 1)
"""


def environment() -> dict[str, str]:
    """Return an environment in which that Python finds this checkout and, of Ansible, what goes to hosts with a module."""
    own = ROOT / "build" / "hosts-ansible" / "ansible"
    own.mkdir(parents=True, exist_ok=True)
    (own / "__init__.py").touch()
    for part in ("module_utils", "release.py"):
        link, target = own / part, Path(ansible.__path__[0]) / part
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    paths = [str(ROOT), str(ROOT / "collections"), str(own.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def import_all(python: str) -> subprocess.CompletedProcess[str]:
    """Compile and import each file that runs on Kerio hosts; the last line says by which Python, and how many."""
    names = [str(path.relative_to(ROOT)) for path in sorted(kerio_hosts.code())]
    words = [python, "-W", "error", "-c", COMPILE_AND_IMPORT, *names]
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_command(python: str, tests: list[Path], *more: str) -> list[str]:
    """Return the command that runs these test files in an environment of that Python, which is made where it is missing."""
    own = pythons.environment(python, f"python{pythons.OLDEST_ON_HOSTS}", pythons.OLDEST_REQUIREMENTS)
    names = [str(path.relative_to(ROOT)) for path in tests]
    return [str(own), "-m", "pytest", "-c", str(SETTINGS), "--rootdir", str(ROOT), *more, *names]
