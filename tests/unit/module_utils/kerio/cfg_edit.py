# SPDX-License-Identifier: GPL-3.0-or-later
"""The guarded edit of a fake service, for its tests."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import GuardedEdit, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Selector
from tests.unit.module_utils.kerio.fake_kerio import CFG, FakeKerio

SAVED = CFG.replace(b"<!-- kept -->", b"<!-- saved -->")
EDITED = SAVED.replace(b">1<", b">0<")
DELETE = Wanted(Selector(name="AutoExpungeOnDelete"), "0")


class Quiet(job.Reporter):
    """Collects the lines; ``stop`` is what ``stop_requested`` says."""

    def __init__(self, stop: bool = False) -> None:
        super().__init__(Path("/nowhere"), "id")
        self.lines: list[str] = []
        self.stop = stop

    def progress(self, line: str, **_data: t.Any) -> None:
        self.lines.append(line)

    @property
    def stop_requested(self) -> bool:
        return self.stop


def edit(fake: FakeKerio, *wanted: Wanted, path: Path | None = None, keep: int = 5, **overrides: t.Any) -> GuardedEdit:
    file = CfgFile(str(path or fake.cfg), fake.folder / "state" / "in-place.json")
    return GuardedEdit(file, fake.service(**overrides), wanted or (DELETE,), keep, fake.folder / "state" / "applied.json")


def journal(fake: FakeKerio, backup: Path, *, age: float = 0, boot: str | None = None) -> Path:
    """Leave the journal of a write in place that was interrupted ``age`` seconds before the file was last written."""
    file = fake.folder / "state" / "in-place.json"
    noted = {"backup": str(backup), "digests": [], "boot": boot or job.boot_id()}
    file.write_text(json.dumps(noted), encoding="utf-8")
    began = fake.cfg.stat().st_mtime - age
    os.utime(file, (began, began))
    return file


def leftovers(fake: FakeKerio) -> list[str]:
    return sorted(path.name for path in fake.folder.iterdir() if "kerio-archive" in path.name)
