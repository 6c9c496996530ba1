# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives one message of 300 MB twice, by two profiles, and prints the peak of memory of each process in KiB, as JSON.

A program of its own: a fork of the test process would begin with the memory of all tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from tests.faults.imap_server import ImapServer
from tests.faults.imap_state import Repeated
from tests.faults.raw_run import ALICE, RawRun

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

    def highest(self) -> dict[str, int]:
        """Checkpoint -> the highest peak, in KiB, of the processes that passed it."""
        found: dict[str, int] = {}
        for name, size in (line.split() for line in self.log.read_text(encoding="ascii").splitlines()):
            found[name] = max(int(size), found.get(name, 0))
        return found


@contextlib.contextmanager
def elsewhere(server: ImapServer) -> t.Iterator[None]:
    """Have the server run in a process of its own, so that its memory does not count."""
    ready, ready_end = os.pipe()
    over_end, over = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(over)
        try:
            with server:
                os.write(ready_end, b"1")
                os.read(over_end, 1)
        finally:
            os._exit(0)
    os.read(ready, 1)
    try:
        yield
    finally:
        os.close(over)
        os.waitpid(child, 0)


def main(root: str) -> None:
    server = ImapServer()
    head = f"From: bob@example.net\r\nTo: {ALICE}\r\n\r\n".encode()
    server.state.folder(JOURNAL).add(Repeated(head, LINE, SIZE // len(LINE)))
    peaks = Peaks(Path(root).with_suffix(".peaks"))
    with elsewhere(server):
        run = RawRun(Path(root), {"mail1": server})
        run.archive.user(ALICE)
        Run(run.options(), Silent(), None, peaks).go()
        run.profiles.append({"name": "journal", "method": "multidrop", "mailbox": JOURNAL})
        Run(run.options(), Silent(), None, peaks).go()
    placed = sum(run.archive.placed(ALICE).values()) + sum(run.archive.placed(JOURNAL).values())
    json.dump({"placed": placed, "peaks": peaks.highest()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
