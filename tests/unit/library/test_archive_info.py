# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_info: totals, open states, unknown addresses, last runs; nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.modules import archive_info
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers, mail, multidrop

JOURNAL = "archive@example.com"


def test_documentation_is_the_argument_spec() -> None:
    documented = yaml.safe_load(archive_info.DOCUMENTATION)["options"]
    assert {name: {"type": option["type"]} for name, option in documented.items()} == {
        name: {"type": option["type"]} for name, option in archive_info.ARGUMENTS.items()
    }


@pytest.mark.shows("read", "check")
def test_what_an_archive_holds(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user("alice@example.com")
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [multidrop()]
    servers.folder("mail1", JOURNAL, bad={4}).add(mail(1), mail(2), mail(3, to="x@example.com"), mail(4))
    archive.run()
    before = sorted(archive.root.rglob("*"))
    result = run_module(archive_info.main, root=str(archive.root), runs=1)
    assert not result["changed"]
    assert {key: result["totals"][key] for key in ("objects", "placements", "users")} == {
        "objects": 2,
        "placements": 2,
        "users": 1,
    }
    assert result["states"] == {"excluded": 0, "left": 1, "failed": 1, "quarantined": 0}
    assert result["receipts"] == {"deleted": 0, "planned": 0}
    assert {"address": "x@example.com", "messages": 1} in result["unknown_addresses"]
    (run,) = result["runs"]
    assert (run["outcome"], run["summary"]["new"]) == ("problems", 2)
    assert run_module(archive_info.main, check=True, root=str(archive.root), runs=1) == result
    assert sorted(archive.root.rglob("*")) == before


@pytest.mark.shows("error")
def test_a_folder_without_an_archive_is_an_error(tmp_path: Path) -> None:
    result = run_module(archive_info.main, root=str(tmp_path), runs=1)
    assert result["failed"]
    assert "holds no archive" in result["msg"]
