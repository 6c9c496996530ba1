# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_report: files are written once, mails are sent when they are due, and what fails stops nothing else."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import archive_report
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.report_scene import FINE, NOW, TEMPLATE
from tests.unit.smtp_sink import SmtpSink

DOWN = "mail1: nothing answers. Start the server, and run again."


def facts(*, failed: bool = False, changed: bool = False) -> dict[str, t.Any]:
    server = {**FINE, "failures": [DOWN] if failed else [], "changed": changed, "access": "IMAP"}
    return {"playbook": "site", "check": False, "started": NOW - 9, "finished": NOW, "servers": {"mail1": server}}


def outputs(folder: Path) -> dict[str, str]:
    return {"json": str(folder / "a.json"), "html": str(folder / "a.html"), "template": TEMPLATE}


def mail(port: int, **more: t.Any) -> dict[str, t.Any]:
    return {"to": ["ops@example.com"], "from": "a@example.com", "host": "127.0.0.1", "port": port, "security": "none", **more}


@pytest.mark.shows("change", "again", "check", "diff")
def test_files_are_written_when_they_are_another(tmp_path: Path) -> None:
    options = {"facts": facts(), **outputs(tmp_path)}
    check = run_module(archive_report.main, check=True, **options)
    assert list(tmp_path.iterdir()) == []
    first = run_module(archive_report.main, **options)
    for result in (check, first):
        assert (result["changed"], result["failed"], result["errors"]) == (True, False, [])
        assert result["diff"]["after"]["done"] == result["done"]
        assert result["done"] == [f"The report is in {tmp_path}/a.json", f"The report is in {tmp_path}/a.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert json.loads((tmp_path / "a.json").read_text())["servers"]["mail1"]["failures"] == []
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    again = run_module(archive_report.main, **options)
    assert (again["changed"], again["done"], again["diff"]["after"]) == (False, [], {})
    other = run_module(archive_report.main, **{**options, "facts": facts(failed=True)})
    assert (other["changed"], other["outcome"]) == (True, "failed")
    assert json.loads((tmp_path / "a.json").read_text())["servers"]["mail1"]["failures"] == [DOWN]


@pytest.mark.shows("error")
def test_what_cannot_be_written_or_mailed_stops_nothing_else(tmp_path: Path) -> None:
    with SmtpSink(closes=True) as sink:
        away = {**outputs(tmp_path), "json": str(tmp_path / "away" / "a.json"), "mail": mail(sink.port)}
        result = run_module(archive_report.main, facts=facts(), **away)
    assert result["failed"]
    assert [error["output"] for error in result["errors"]] == [away["json"], "mail"]
    assert result["msg"].startswith(f"{away['json']}: it cannot be written: No such file or directory. Give a file in a folder")
    assert f"mail server 127.0.0.1:{sink.port}: no answer that can be used" in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_a_page_without_its_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.j2").write_text("{{ nothing }}", encoding="utf-8")
    for template, cause in (("", "it is not given"), (tmp_path / "broken.j2", "'nothing' is undefined"), ("/nowhere", "nowhere")):
        result = run_module(archive_report.main, facts=facts(), html=str(tmp_path / "a.html"), template=str(template))
        assert result["failed"] and cause in result["msg"], result


@pytest.mark.parametrize(
    ("when", "failed", "changed", "mails"),
    [
        ("always", False, False, 1),
        ("failures", False, True, 0),
        ("failures", True, False, 1),
        ("changes", False, False, 0),
        ("changes", False, True, 1),
        ("changes", True, False, 1),
    ],
)
def test_a_mail_goes_when_it_is_due(when: str, failed: bool, changed: bool, mails: int) -> None:
    with SmtpSink() as sink:
        options = {"facts": facts(failed=failed, changed=changed), "template": TEMPLATE, "mail": mail(sink.port, when=when)}
        check = run_module(archive_report.main, check=True, **options)
        assert sink.kept == []
        result = run_module(archive_report.main, **options)
    assert len(sink.kept) == len(result["done"]) == len(check["done"]) == mails
    assert result["changed"] is bool(mails)
    assert "goes without TLS" in result["warnings"][0]
    for kept in sink.kept:
        # Who reads it on a telephone does not open the page.
        body = kept.mail.get_body(("plain",))
        assert body is not None and "look at:\n  1 option is insecure\n" in body.get_content()
