# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own tests of a collection (`ansible-test sanity`), on the copy that is built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_test  # type: ignore[import-untyped]  # it has no types

from tests.dist.tarball import PackagingError

# What ansible-test would fetch from elsewhere to put pip into its environments; Python brings one along.
OWN_PIP = "import runpy, sys\nsys.argv = ['ensurepip']\nrunpy.run_module('ensurepip', run_name='__main__')\n"
RUNS = re.compile(r'^Running sanity test "([a-z0-9-]+)"', re.MULTILINE)
# It is content where it sees no files, as in a tree of links, or where Git ignores the folder, as it does everything below build.
NOTHING = ("No tests applicable", "All targets skipped")


def provide_pip(home: Path) -> None:
    """Put a program that installs pip where ansible-test keeps the one that it fetches."""
    own = Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text(encoding="utf-8")
    version = re.search(r"pip='([0-9.]+)'", own)
    if version is None:
        raise PackagingError("ansible-test does not say any more which pip it wants")
    kept = home / ".ansible" / "test" / "cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(OWN_PIP, encoding="utf-8")


def run(collection: Path, home: Path, *only: str) -> list[str]:
    """Run all sanity tests, or some, with this Python; return the names of those that ran. ``home`` keeps their environments."""
    provide_pip(home)
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *words], cwd=collection, check=True)
    program = str(Path(sys.executable).with_name("ansible-test"))
    variables = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    command = [program, "sanity", "--python", "{}.{}".format(*sys.version_info[:2]), *(f"--test={name}" for name in only)]
    done = subprocess.run(command, cwd=collection, env=variables, capture_output=True, text=True, check=False)
    every = [program, "sanity", "--list-tests"]
    listed = subprocess.run(every, cwd=collection, env=variables, capture_output=True, text=True, check=False)
    return judged(done.stdout + done.stderr, done.returncode, set(only or listed.stdout.split()))


def judged(told: str, status: int, wanted: set[str]) -> list[str]:
    """Return the names of the tests that ran; refuse what failed, and what passed because nothing was looked at."""
    ran = RUNS.findall(told)
    left_out = wanted - set(ran)
    if status or not wanted or left_out or any(words in told for words in NOTHING):
        raise PackagingError(f"{told}\nnot run: {', '.join(sorted(left_out)) or 'none'}")
    return ran
