# SPDX-License-Identifier: GPL-3.0-or-later
"""`make matrix`: the tests on each version that is supported, part after part; what a part found is kept for the table.

`python -m tests.dist.matrix [PART...]` runs some parts, and always prints the table of all that were ever run.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tests.dist import kerio_hosts, oldest, pythons

ROOT = pythons.ROOT
BUILD = ROOT / "build" / "matrix"
WORKERS = os.environ.get("PYTEST_WORKERS", "2")
CONTROLLER = ("unit", "play")
ROW = "{:<42} {:>6} {:>7} {:>7} {:>8}"


@dataclass(frozen=True)
class Part:
    """One run of pytest: its command without what is the same for all, and what of the environment is its own."""

    title: str
    command: list[str]
    variables: dict[str, str]


def controller(version: str) -> dict[str, Part]:
    """Return the parts of a controller with this Python, and the ansible-core that requirements.txt pins for it."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        python = Path(sys.executable)
    else:
        requirements = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
        python = pythons.environment(_found(version), f"matrix-{version}", *requirements)
    words = [str(python), "-c", "import ansible.release; print(ansible.release.__version__)"]
    core = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    options = ["-n", WORKERS, "--dist", "loadfile", "--no-loadscope-reorder", "--quiet"]
    return {
        f"{version}-{folder}": Part(
            f"ansible-core {core}, Python {version}, {folder}", [str(python), "-m", "pytest", *options, f"tests/{folder}"], {}
        )
        for folder in CONTROLLER
    }


def kerio_host() -> dict[str, Part]:
    """Return the parts of what runs on Kerio hosts: its unit tests, and its plays with a controller of today and an old host."""
    version = pythons.OLDEST_ON_HOSTS
    python = _found(version)
    unit = oldest.test_command(python, kerio_hosts.tests(), "-n", WORKERS, "--quiet")
    play = [sys.executable, "-m", "pytest", "--quiet", *(f"tests/play/test_{name}.py" for name in kerio_hosts.modules())]
    # Without what the tests put into the Python of controllers, which is too new for this one.
    alone = BUILD / "host-python"
    alone.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {shlex.quote(python)} "$@"\n', encoding="utf-8")
    alone.chmod(0o755)
    return {
        f"{version}-unit": Part(f"Kerio hosts, Python {version}, unit", unit, oldest.environment()),
        f"{version}-play": Part(f"Kerio hosts, Python {version}, play", play, {"KERIO_HOST_PYTHON": str(alone)}),
    }


# Part -> how its command is found; only those that are run need their Python.
PARTS: dict[str, t.Callable[[], dict[str, Part]]] = {
    "3.11-unit": lambda: controller("3.11"),
    "3.11-play": lambda: controller("3.11"),
    "3.13-unit": lambda: controller(pythons.NEWEST),
    "3.13-play": lambda: controller(pythons.NEWEST),
    "3.8-unit": kerio_host,
    "3.8-play": kerio_host,
}


def _found(version: str) -> str:
    python = pythons.find(version)
    if python is None:
        sys.exit(f"matrix: there is no Python {version} that can make environments, neither on the PATH nor of pyenv")
    return python


def run(name: str) -> int:
    """Run a part with its output on the terminal, and keep what it found."""
    part = PARTS[name]()[name]
    print(f"\n==== {part.title}", flush=True)
    report = BUILD / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [*part.command, "--junit-xml", str(report), "-o", f"junit_suite_name={part.title}"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **part.variables}, check=False).returncode


def table(folder: Path) -> list[str]:
    """Return the lines of the table of all parts that were run."""
    lines = [ROW.format("version", "tests", "passed", "failed", "skipped")]
    for report in (folder / f"{name}.xml" for name in PARTS):
        if report.exists():
            suite = next(ET.parse(report).iter("testsuite"))
            tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
            failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            lines.append(ROW.format(suite.attrib["name"], tests, tests - failed - skipped, failed, skipped))
        else:
            lines.append(ROW.format(f"{report.stem} (not run)", *["-"] * 4))
    return lines


def main(names: list[str]) -> int:
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"matrix: no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    failed = [name for name in names or PARTS if run(name)]
    print("", *table(BUILD), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
