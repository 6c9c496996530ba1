# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make dist` and `make matrix` make of what they are told: neither is content with nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.dist import kerio_hosts, matrix, sanity, smoke
from tests.dist.tarball import PackagingError

RAN = 'Running sanity test "import" on Python 3.11\nRunning sanity test "validate-modules"\n'
SUITE = '<testsuites><testsuite name="{}" tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


def test_sanity_tests_that_ran_are_named() -> None:
    assert sanity.judged(RAN, 0, {"import", "validate-modules"}) == ["import", "validate-modules"]


@pytest.mark.parametrize(
    ("told", "status", "wanted"),
    [
        (RAN, 1, {"import"}),
        (RAN, 0, set()),
        (RAN, 0, {"import", "pylint"}),
        (RAN + "WARNING: All targets skipped.\n", 0, {"import"}),
        (RAN + "No tests applicable.\n", 0, {"import"}),
    ],
    ids=["failed", "none listed", "one left out", "no files seen", "no tests"],
)
def test_sanity_tests_that_looked_at_nothing_do_not_pass(told: str, status: int, wanted: set[str]) -> None:
    with pytest.raises(PackagingError):
        sanity.judged(told, status, wanted)


def test_table_counts_what_each_part_found_and_says_what_was_not_run(tmp_path: Path) -> None:
    (tmp_path / "3.11-unit.xml").write_text(SUITE.format("today", 10, 1, 2, 3), encoding="utf-8")
    rows = [line.split() for line in matrix.table(tmp_path)]
    assert rows[0] == ["version", "tests", "passed", "failed", "skipped"]
    assert rows[1] == ["today", "10", "4", "3", "3"]
    assert rows[2] == ["3.11-play", "(not", "run)", "-", "-", "-", "-"]
    assert len(rows) == 1 + len(matrix.PARTS)


def test_part_that_left_no_report_is_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    part = matrix.Part("broken", ["false"], {})
    monkeypatch.setattr(matrix, "PARTS", {"broken": lambda: {"broken": part}})
    monkeypatch.setattr(matrix, "BUILD", tmp_path)
    (tmp_path / "broken.xml").write_text(SUITE.format("earlier", 1, 0, 0, 0), encoding="utf-8")
    assert matrix.main(["broken"]) == 1
    assert not (tmp_path / "broken.xml").exists()


def test_part_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"no such part: 3\.7-unit"):
        matrix.main(["3.7-unit"])


def test_modules_of_plays_are_found_in_blocks_roles_and_files(tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("- {name: x, mailops.kerio.kerio_info: {}}\n", encoding="utf-8")
    role = {"ansible.builtin.include_role": {"name": "mailops.kerio.kerio_mailserver_cfg"}}
    file = {"ansible.builtin.import_tasks": "more.yml"}
    play = {"tasks": [{"block": [{"mailops.kerio.archive_run": {}}], "rescue": [role]}], "handlers": [file]}
    assert {"archive_run", "kerio_mailserver_cfg", "kerio_info"} <= kerio_hosts.named(play, tmp_path)


def test_readme_of_the_collection_has_lines_that_a_shell_understands() -> None:
    install, first = smoke.lines()
    assert "ansible-galaxy collection install mailops-kerio-" in install
    assert first == "ansible-playbook -i inventory/mine mailops.kerio.site --check --diff\n"
    subprocess.run(["bash", "-n"], input=install + first, text=True, check=True)
