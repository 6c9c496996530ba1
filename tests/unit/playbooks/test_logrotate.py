# SPDX-License-Identifier: GPL-3.0-or-later
"""The log file of the archive's Dovecot is rotated by logrotate itself, as the role tells it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TEMPLATE = Path(__file__).parents[3] / "roles" / "archive_access" / "templates" / "logrotate.j2"


@pytest.mark.skipif(os.geteuid() != 0, reason="no right to be another user on this machine")
def test_log_begins_anew_and_dovecot_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    log = tmp_path / "log of it" / "dovecot.log"
    log.parent.mkdir(mode=0o755)
    variables = {
        "archive_access_log": str(log),
        "archive_access_log_weeks": 3,
        "archive_access_state": str(tmp_path),
        "ansible_managed": "managed",
    }
    text = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(TEMPLATE.read_text("utf-8")))
    # In place of doveadm what it does: Dovecot opens its log again.
    told = tmp_path / "doveadm"
    told.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\necho new > "{log}"\n', "utf-8")
    told.chmod(0o755)
    configuration = tmp_path / "kerio-archive-access"
    configuration.write_text(text.replace("/usr/bin/doveadm", str(told)), "utf-8")
    configuration.chmod(0o644)

    def rotate(how: str) -> str:
        words = ["/usr/sbin/logrotate", how, "--verbose", "--state", str(tmp_path / "state"), str(configuration)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "error" not in done.stderr, done.stderr
        return done.stderr

    log.write_text("read\n", "utf-8")
    assert "weekly (3 rotations)" in rotate("-d").replace("  ", " ")
    assert [path.name for path in log.parent.iterdir()] == ["dovecot.log"]
    for _ in range(5):
        rotate("-f")
    assert sorted(path.name for path in log.parent.iterdir()) == [
        "dovecot.log",
        "dovecot.log.1",
        "dovecot.log.2.gz",
        "dovecot.log.3.gz",
    ]
    assert (tmp_path / "told").read_text("utf-8") == f"-c {tmp_path}/live/dovecot.conf log reopen\n" * 5
