# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight_host, run by ansible-playbook on a host of the lab: it tells what file and service are, and changes nothing."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight_host
from tests.lab import cfgfile, cfgfile_fresh
from tests.lab.fixtures import LabServer
from tests.lab.switches import FileSwitches
from tests.play.helpers import Answer, Step, play
from tests.unit.library.module_run import run_module


def look(server: LabServer, **options: t.Any) -> dict[str, t.Any]:
    service = {"script": server.service_script, "pid_file": server.pid_file, "watchdog": "no-such-watchdog"}
    return {"path": server.mailserver_cfg, "service": service, **options}


def differing(answer: Answer) -> dict[str, str]:
    assert (answer.status, answer.changed) == ("ok", False), answer
    return {row["id"]: row["found"] for row in answer.result["facts"] if row["verdict"] == "differs"}


# Each position of the switches that say how the double writes the file.
FORMS: list[tuple[dict[str, t.Any], str, str, str]] = [
    ({"auto_expunge": "once"}, "cfg-variable", "holds", "Imap/AutoExpungeOnDelete"),
    ({"auto_expunge": "absent"}, "cfg-variable", "differs", "there is no variable 'AutoExpungeOnDelete'"),
    ({"auto_expunge": "absent"}, "cfg-value", "cannot_tell", "there is no variable"),
    ({"auto_expunge": "twice"}, "cfg-variable", "differs", "occurs 2 times"),
    ({"auto_expunge_table": "Other"}, "cfg-variable", "holds", "Other/AutoExpungeOnDelete"),
    ({"cfg_decoy": True}, "cfg-variable", "holds", "Imap/AutoExpungeOnDelete"),
    ({"cfg_eol": "crlf"}, "cfg-format", "holds", "line ends CRLF"),
    ({"cfg_eol": "lf"}, "cfg-format", "holds", "line ends LF"),
    ({"cfg_bom": True}, "cfg-format", "holds", "utf-8"),
    ({"cfg_declaration": False}, "cfg-format", "holds", "utf-8"),
]


@pytest.mark.parametrize(("switches", "fact", "verdict", "words"), FORMS)
def test_forms_of_the_file(tmp_path: Path, switches: dict[str, t.Any], fact: str, verdict: str, words: str) -> None:
    how = FileSwitches(**switches)
    path = tmp_path / "mailserver.cfg"
    path.write_bytes(cfgfile.render(cfgfile_fresh.document(how), how))
    result = run_module(kerio_preflight_host.main, path=str(path), service={"script": "/does/not/exist"})
    found = {row["id"]: row for row in result["facts"]}[fact]
    assert found["verdict"] == verdict
    assert words in found["found"]


@pytest.mark.shows("run", "check", "by_hand", "broken")
def test_a_value_that_somebody_changed_is_seen_and_a_host_without_the_file(mail1: LabServer, bare_python: str) -> None:
    path = Path(mail1.mailserver_cfg)
    mail1.service("stop")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"AutoExpungeOnDelete">1<', '"AutoExpungeOnDelete">0<'), encoding="utf-8")
    before = path.read_bytes()
    real, check, gone = play(
        Step("kerio_preflight_host", look(mail1), python=bare_python),
        Step("kerio_preflight_host", look(mail1), check=True),
        Step("kerio_preflight_host", look(mail1, path="/does/not/exist.cfg")),
    )
    assert path.read_bytes() == before
    assert mail1.pid == 0
    # The value is right, and the server was stopped by hand.
    assert set(differing(real)) == {"service-process", "service-watchdog"}
    assert real.result["facts"] == check.result["facts"]
    assert differing(gone)["cfg-place"] == "There is no file /does/not/exist.cfg."
    assert real.msg == f"{path}: 8 facts hold, 2 differ, 0 cannot be told"
