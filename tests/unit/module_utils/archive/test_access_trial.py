# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a trial: what Dovecot's log writes after its master has ended belongs to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_trial import Trial


def test_a_log_that_outlives_the_master_is_whole_at_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"( trap '' TERM; echo begun > '{log}'; sleep 0.3; echo told last >> '{log}' ) & while :; do sleep 0.02; done"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as master:
        while not log.exists():
            assert master.poll() is None
        Trial(str(tmp_path), tmp_path, ())._end(master)
    assert log.read_text(encoding="utf-8") == "begun\ntold last\n"
