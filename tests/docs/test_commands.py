# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of the docs is run: page by page in one scene, as somebody types them who reads."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import pytest

from tests.docs.reading import Reading, order
from tests.docs.scene import Scene
from tests.lab.fixtures import Factory

MESSAGES = 40


@pytest.fixture(scope="module")
def reading(lab_factory: Factory) -> t.Iterator[Reading]:
    lab = lab_factory(servers=2, users=3)
    lab.fill(MESSAGES)
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    folder.chmod(0o755)
    scene = Scene(folder, lab)
    try:
        scene.build()
        yield Reading(scene)
    finally:
        scene.close()


@pytest.mark.parametrize("page", order())
def test_the_commands_of(page: str, reading: Reading) -> None:
    reading.play(page)


def test_a_command_that_fails_is_told(reading: Reading) -> None:
    with pytest.raises(AssertionError, match=r"status 1 of\n.*false"):
        reading.scene.run("true\nfalse\ntrue")
    with pytest.raises(AssertionError, match="not be found"):
        reading.scene.run("ansible-playbook -i inventory/mine playbooks/nothing.yml")
    with pytest.raises(AssertionError, match="status 1"):
        reading.scene.run("systemctl start kerio-archive.service")
