# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_store and the role archive_host in playbooks: check, run, again, change, error."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.lab.playbooks import PlaybookRun, run_playbook

PLAY = """\
- name: Ensure the archive host is ready
  hosts: localhost
  gather_facts: false
  roles:
    - role: mailops.kerio.archive_host
"""


def play(folder: Path, *args: str, **variables: str | int) -> PlaybookRun:
    (folder / "play.yml").write_text(PLAY)
    (folder / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    declared = {"archive_host_root": str(folder / "archive"), "archive_host_python": sys.executable, **variables}
    return run_playbook(folder / "play.yml", "-e", json.dumps(declared), "--diff", *args, inventory=folder / "hosts")


def test_check_run_again_change(tmp_path: Path) -> None:
    check = play(tmp_path, "--check", archive_host_reserve=1)
    assert check.rc == 0, check.output
    assert [task.task.rpartition(" : ")[2] for task in check.changed()] == [
        "Ensure the archive exists and its file system is fit for it"
    ]
    assert not (tmp_path / "archive").exists()
    assert len(play(tmp_path, archive_host_reserve=1).changed()) == 1
    again = play(tmp_path, archive_host_reserve=1)
    assert (again.rc, again.changed()) == (0, [])
    (tmp_path / "archive").chmod(0o2755)
    (changed,) = play(tmp_path, archive_host_reserve=1).changed()
    assert changed.result["msg"].endswith("the archive was completed")
    assert (tmp_path / "archive").stat().st_mode & 0o7777 == 0o2750


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    (failed,) = play(tmp_path, archive_host_reserve=1 << 30).failed()
    assert failed.result["error"]["kind"] == "store" and "Make room" in failed.result["msg"]
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/photos").mkdir()
    (failed,) = play(tmp_path, archive_host_reserve=1).failed()
    assert "found photos" in failed.result["msg"]
