# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook tests share: fresh servers of the lab, an interpreter without libraries, ports that do not serve."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

import pytest

from tests.lab import ports
from tests.lab.fixtures import Lab, LabServer
from tests.play import quick
from tests.play.sockets import listening, overrun


def fresh(server: LabServer) -> LabServer:
    """Put a server back, whatever the test before left behind."""
    server.reset()
    server.forget()
    return server


@pytest.fixture(scope="session", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """A folder for what the playbooks of this session keep for each other, whichever worker of xdist plays them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "kept"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(quick.KEPT, str(folder))
        with quick.ready():
            yield


@pytest.fixture
def mail1(lab: Lab) -> LabServer:
    return fresh(lab["mail1"])


@pytest.fixture
def mail2(lab: Lab) -> LabServer:
    return fresh(lab["mail2"])


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has the standard library and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    return ports.free(1)[0]


@pytest.fixture
def silent_port() -> t.Iterator[int]:
    """A port that takes connections and never says anything."""
    with listening() as port:
        yield port


@pytest.fixture
def deaf_port() -> t.Iterator[int]:
    """A port on which a connection is never made, as behind a firewall that drops."""
    with overrun() as port:
        yield port
