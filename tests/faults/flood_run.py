# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives a mailbox of a server that floods at one point, and prints the peaks of memory and what was told, as JSON.

A program of its own: a fork of the test process would begin with the memory of all tests. ``flood_run ROOT VERB LINE COUNT``:
``LINE`` is said ``COUNT`` times in the answer to ``VERB``, which is asked for once more when the flood has ended the connection.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from tests.faults.consistency import told
from tests.faults.imap_script import Chunk, Command
from tests.faults.imap_server import ImapServer
from tests.faults.memory_run import Peaks, elsewhere
from tests.faults.raw_run import ALICE, BOB, RawRun
from tests.unit.module_utils.archive.engine_fake import mail

AT_ONCE = 1000  # lines


def flooding(verb: str, line: bytes, count: int) -> ImapServer:
    server = ImapServer(capabilities=["IMAP4rev1"])
    server.state.folder(ALICE).add(*map(mail, range(5)))
    server.state.folder(ALICE, "Projects").add(*map(mail, range(10, 15)))

    def flood(command: Command) -> t.Iterator[Chunk]:
        for _ in range(count // AT_ONCE):
            yield line * AT_ONCE
        yield from command.ordinary()

    of_message = verb == "UID FETCH"
    server.script.on(verb, flood, folder=None if verb == "LIST" else "INBOX", where=lambda one: not of_message or 3 in one.uids)
    return server


def main(root: str, verb: str, line: str, count: str) -> None:
    other = ImapServer()
    other.state.folder(BOB).add(mail(50))
    server = flooding(verb, line.encode() + b"\r\n", int(count))
    with elsewhere(server), other:
        run = RawRun(Path(root), {"mail1": server, "mail2": other})
        peaks = Peaks(Path(root).with_suffix(".peaks"))
        report = Run(run.options(), Silent(), None, peaks).go()
        peaks("end")
    placed = {name: sum(run.archive.placed(name).values()) for name in (ALICE, BOB)}
    where = [problem.where for problem in report.problems()]
    json.dump({"placed": placed, "peaks": peaks.highest(), "where": where, "told": told(report)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
