# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives one message of 300 MB twice, by two profiles, and prints the peak of memory of each process in KiB, as JSON.

A program of its own: a fork of the test process would begin with the memory of all tests.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from tests.faults.raw_run import ALICE, RawRun
from tests.lab.rawimap import RawImapServer, RawMessage

JOURNAL = "archive@example.com"
LINE = b"0" * 76 + b"\r\n"
SIZE = 300 * 1024 * 1024


class Peaks:
    """A checkpoint that writes down the peak of whichever process passes it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, name: str) -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        with self.log.open("a", encoding="ascii") as log:
            log.write(f"{name} {status.partition('VmHWM:')[2].split()[0]}\n")


def serve(ready: int, over: int) -> None:
    """Hold the message in a process of its own."""
    raw = f"From: bob@example.net\r\nTo: {ALICE}\r\n\r\n".encode() + LINE * (SIZE // len(LINE))
    with RawImapServer({JOURNAL: {"INBOX": [RawMessage(1, raw)]}}) as server:
        os.write(ready, b"%d" % server.port)
        os.read(over, 1)


def main(root: str) -> None:
    ready, ready_end = os.pipe()
    over_end, over = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(over)
        try:
            serve(ready_end, over_end)
        finally:
            os._exit(0)
    server = RawImapServer({JOURNAL: {}})
    server.port = int(os.read(ready, 20))
    run = RawRun(Path(root), {"mail1": server})
    run.archive.user(ALICE)
    log = Path(root).with_suffix(".peaks")
    Run(run.options(), Silent(), None, Peaks(log)).go()
    run.profiles.append({"name": "journal", "method": "multidrop", "mailbox": JOURNAL})
    Run(run.options(), Silent(), None, Peaks(log)).go()
    os.close(over)
    os.waitpid(child, 0)
    peaks = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    placed = sum(run.archive.placed(ALICE).values()) + sum(run.archive.placed(JOURNAL).values())
    json.dump({"placed": placed, "peaks": {name: int(size) for name, size in peaks}}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
