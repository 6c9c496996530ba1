# SPDX-License-Identifier: GPL-3.0-or-later
"""One server per module for the facts; every test finds its switches and its login counters as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.lab.facts.imap_fixtures import rig as rig
from tests.lab.facts.plain import Plain, admin
from tests.lab.fixtures import Factory, LabServer


@pytest.fixture(scope="module")
def module_server(lab_factory: Factory) -> LabServer:
    return lab_factory(servers=1, users=4).servers[0]


@pytest.fixture
def server(module_server: LabServer) -> Iterator[LabServer]:
    yield module_server
    module_server.reset_switches()


@pytest.fixture(scope="module")
def idle(lab_factory: Factory) -> LabServer:
    """Its files only; nothing runs."""
    return lab_factory(servers=1, users=4, start=False).servers[0]


@pytest.fixture
def client(server: LabServer) -> Iterator[Plain]:
    with admin(server) as plain:
        yield plain
