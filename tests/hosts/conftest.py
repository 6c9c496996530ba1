# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of hosts as fixtures. A test that has one stands on its controller: what it connects and starts is in that network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.hosts import converged, image, machine, remains
from tests.hosts.fleet import Fleet
from tests.play.conftest import kept

__all__ = ["kept"]

PROGRAMS = ("mmdebstrap", "systemd-nspawn", "ip", "nsenter", "unshare", "ssh", "ssh-keygen")
HERE = Path(__file__).parent
FIRST_RUNS_SECONDS = 1200
REASON = "no right to boot hosts on this machine"


def hindrance() -> str:
    """Why no host can be booted here; empty when it can be tried."""
    if os.geteuid():
        return "not root"
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"no {', '.join(missing)}"
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        return "no name spaces"
    groups = machine.hierarchies()
    return "" if groups and all(os.access(group, os.W_OK) for group in groups) else "no cgroups"


def refuse(why: str) -> NoReturn:
    """Tests may skip on a machine of somebody's own, but not where the project is tested."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{REASON}: {why}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a session that has a fleet waits for the first runs, and all others with it."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(FIRST_RUNS_SECONDS))


@pytest.fixture(scope="session")
def host_image() -> image.Image:
    """Made now if it is not kept. Takes away what sessions have left that were killed."""
    if why := hindrance():
        refuse(why)
    remains.clear_abandoned()
    return image.image()


@pytest.fixture(scope="session")
def first_runs(host_image: image.Image) -> converged.FirstRuns:
    """What the first runs of site.yml did in this session."""
    return converged.first_runs(host_image)


@pytest.fixture(scope="module")
def fleet(host_image: image.Image, first_runs: converged.FirstRuns) -> Iterator[Fleet]:
    """Hosts as after these, booted anew: configured, with mail archived."""
    fleet = Fleet.again(remains.new_name(), host_image, first_runs.fleet)
    try:
        fleet.start()
        with fleet.inside():
            yield fleet
    finally:
        fleet.close()
