# SPDX-License-Identifier: GPL-3.0-or-later
"""build/proof.json: what the proofs measured, one member for each of them."""

from __future__ import annotations

import fcntl
import json
import sys
from typing import Any

from tests.lab.playbooks import ROOT

REPORT = ROOT / "build" / "proof.json"


def record(proof: str, **figures: Any) -> None:
    """Replace the member `proof`, and say it in one line. Test files run at the same time, hence the lock."""
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("a+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        text = handle.read()
        known = json.loads(text) if text.strip() else {}
        handle.seek(0)
        handle.truncate()
        handle.write(json.dumps({**known, proof: figures}, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{proof}: " + ", ".join(f"{name} {value}" for name, value in figures.items()) + "\n")
