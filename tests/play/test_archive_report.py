# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_report in playbooks: check, run, again, a file that was changed by hand, and a mail server that does not answer."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT
from tests.play.helpers import SECRET, Step, assert_one_sentence, play

FACTS = {
    "playbook": "report",
    "check": False,
    "started": 1_795_960_000,
    "finished": 1_795_960_042,
    "archive_hosts": {
        "archive1.example.com": {"failures": ["archive1: its disk is full"], "changed": False, "unreachable": False}
    },
}


@pytest.mark.shows("run", "again", "check", "by_hand", "broken")
def test_a_report_is_written_and_a_mail_that_does_not_go_is_told(tmp_path: Path, closed_port: int) -> None:
    page, data = tmp_path / "a.html", tmp_path / "a.json"
    files = {"html": str(page), "json": str(data), "template": str(ROOT / "templates" / "report.html.j2")}
    write = Step("archive_report", {"facts": FACTS, **files})
    alter = Step("ansible.builtin.copy", {"content": "by hand", "dest": str(page)})
    mail: dict[str, t.Any] = {"to": ["ops@example.com"], "from": "a@example.com", "host": "127.0.0.1", "port": closed_port}
    mail |= {"user": "robot", "password": f"{SECRET}-report-pw"}
    send = Step("archive_report", {"facts": FACTS, **files, "mail": mail})
    check, real, again, _altered, mended, broken, wrong = play(
        replace(write, check=True), write, write, alter, write, send, Step("archive_report", {"facts": {"servers": 1}, **files})
    )
    assert [one.status for one in (check, real, again, mended, broken)] == ["changed", "changed", "ok", "changed", "ignored"]
    assert check.result["done"] == real.result["done"] == [f"The report is in {data}", f"The report is in {page}"]
    assert mended.result["done"] == [f"The report is in {page}"]
    assert "its disk is full" in page.read_text("utf-8")
    assert json.loads(data.read_text("utf-8"))["outcome"] == "failed"
    assert broken.msg.startswith(f"mail server 127.0.0.1:{closed_port}: ") and "Connection refused" in broken.msg
    assert_one_sentence(wrong, "facts", "playbook")
