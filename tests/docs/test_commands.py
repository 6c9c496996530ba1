# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of the docs is run: page by page in one scene, as somebody types them who reads."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

import pytest

from tests.docs import blocks
from tests.docs.reading import Reading, order
from tests.docs.scene import Scene
from tests.lab.fixtures import Factory
from tests.play import quick

MESSAGES = 40


@pytest.fixture(scope="module")
def reading(lab_factory: Factory) -> t.Iterator[Reading]:
    lab = lab_factory(servers=2, users=3)
    lab.fill(MESSAGES)
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    folder.chmod(0o755)
    scene = Scene(folder, lab)
    with quick.ready():
        try:
            scene.build()
            yield Reading(scene)
        finally:
            scene.close()


# A page may be some thirty playbooks.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", order())
def test_the_commands_of(page: str, reading: Reading) -> None:
    reading.play(page)


def strange(shown: t.Any, real: t.Any, where: str = "", outer: t.Collection[str] = ()) -> list[str]:
    """The keys that a page shows and that the real thing does not have; what is by host is compared host by host.

    Figures of a folder that are 0 are left out of the report: its mailbox (``outer``) has all of them.
    """
    if isinstance(shown, list) and isinstance(real, list):
        # Most that is real has nothing in some of its lists: the longest one has most.
        return strange(shown[0], max(real, key=lambda one: len(json.dumps(one))), f"{where}[]", outer) if shown and real else []
    if not isinstance(shown, dict) or not isinstance(real, dict):
        return []
    if any("." in key for key in shown):
        shown = dict(zip(real, shown.values(), strict=False))
    found = [f"{where}.{key}" for key in shown if key not in real and key not in outer]
    inside = [(key, real if key == "folders" else ()) for key in shown if key in real]
    return found + [line for key, around in inside for line in strange(shown[key], real[key], f"{where}.{key}", around)]


def test_the_report_has_what_its_page_shows(reading: Reading) -> None:
    (block,) = blocks.page("docs/report.md").blocks("json")
    real = json.loads(reading.scene.first_report.read_text(encoding="utf-8"))
    profiles = real["archive_hosts"]["archive1.example.com"]["profiles"]
    assert any(mailbox["folders"] for profile in profiles for mailbox in profile["mailboxes"])
    assert strange(json.loads(block.text), real) == []


def test_a_command_that_fails_is_told(reading: Reading) -> None:
    with pytest.raises(AssertionError, match="status 1 of\ntrue\nfalse"):
        reading.scene.run("true\nfalse\ntrue")
    with pytest.raises(AssertionError, match="not be found"):
        reading.scene.run("ansible-playbook -i inventory/mine playbooks/nothing.yml")
    with pytest.raises(AssertionError, match="status 1"):
        reading.scene.run("systemctl start kerio-archive.service")
