# SPDX-License-Identifier: GPL-3.0-or-later
"""What the crash and power loss tests share: the server, the driver process, fresh archives, and the count of strace."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from tests.faults import calls, crash_scene
from tests.faults.crash_driver import Task
from tests.faults.imap_server import ImapServer
from tests.faults.imap_state import Mailboxes
from tests.unit.module_utils.imap.certificates import Authority

REPOSITORY = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108  a killed process leaves the same behind on every file system, and here it is quick
KILLED = -9


class Answer(t.NamedTuple):
    """How a run ended: ``told`` are its problems, ``count`` its calls, ``failed`` how many of them were made to fail."""

    status: int
    told: str
    count: int
    failed: int


class Bench:
    """A server with the dense mailboxes, an archive to run into, and the driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "archive"
        authority = Authority(folder)
        self.ca_file = str(authority.ca_file)
        self.server = ImapServer(tls=authority.server_context())
        crash_scene.fill(self.server.state)
        self.full = self.server.state.snapshot()
        self._template = folder / "template"
        crash_scene.make_archive(self._template)
        shutil.copytree(self._template, self.root)
        self._library = calls.build(folder)
        self._driver: subprocess.Popen[str] | None = None

    def __enter__(self) -> Bench:
        self.server.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end_driver()
        self.server.stop()

    def end_driver(self) -> None:
        if self._driver is not None:
            self._driver.communicate()
            self._driver = None

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "collections")))
        return {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}

    def fresh(self, server: Mailboxes | None = None) -> None:
        """An archive without a message, and the server as it was in the beginning, or as ``server`` says."""
        self.server.state.restore(self.full if server is None else server)
        self.server.log.clear()
        clear(self.root)
        for name in (layout.CATALOG_FILE, layout.FORMAT_FILE):
            shutil.copy2(self._template / name, self.root / name)

    def task(self, **more: t.Any) -> Task:
        return Task(**{"root": str(self.root), "port": self.server.port, "ca_file": self.ca_file, **more})

    def run(self, **more: t.Any) -> Answer:
        """One run in the driver; see Task."""
        if self._driver is None:
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.crash_driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env={**self.environment(), "LD_PRELOAD": str(self._library)},
            )
        assert self._driver.stdin and self._driver.stdout
        self._driver.stdin.write(json.dumps(dataclasses.asdict(self.task(**more))) + "\n")
        self._driver.stdin.flush()
        return Answer(**json.loads(self._driver.stdout.readline()))

    def complete(self) -> dict[str, t.Any]:
        """A plain run, which must go well; what is there then."""
        answer = self.run()
        assert (answer.status, answer.told) == (0, ""), answer
        return self.state()

    def state(self) -> dict[str, t.Any]:
        return crash_scene.state_of(self.root, self.server.state.snapshot())

    def recorded(self, **more: t.Any) -> list[calls.Record]:
        """A run, which goes well unless it is told to be killed, and what its calls did."""
        file = self.folder / "calls.log"
        answer = self.run(keep=str(file), **more)
        assert (answer.status, answer.told) == (KILLED if more.get("action") == calls.Action.KILL else 0, ""), answer
        found = list(calls.records(file.read_bytes()))
        assert answer.count == max(record.number for record in found) + (answer.status == KILLED)
        return found

    def straced(self) -> tuple[Counter[str], int]:
        """Calls by name as strace counts them in the same run without our library, and the statements to the catalog."""
        file = self.folder / "strace.log"
        command = ["strace", "-f", "-yy", "-s", "0", "-o", str(file), "-e", f"trace={','.join(CHANGING.split())}"]
        driver = [sys.executable, "-m", "tests.faults.crash_driver", "--once", json.dumps(dataclasses.asdict(self.task()))]
        done = subprocess.run(
            [*command, *driver], check=True, capture_output=True, text=True, cwd=REPOSITORY, env=self.environment()
        )
        told = json.loads(done.stdout)
        assert told["told"] == ""
        return strace_count(file.read_text(), str(self.root)), told["statements"]


def clear(root: Path) -> None:
    """Take everything but the skeleton away."""
    for entry in root.iterdir():
        if not entry.is_dir():
            entry.unlink()
    for tree in (root / layout.MAIL).iterdir():
        shutil.rmtree(tree)
    for folder in (*os.scandir(root / layout.OBJECTS), root / layout.STAGING, root / layout.EVIDENCE):
        with os.scandir(folder) as entries:
            for entry in entries:
                Path(entry).unlink()


# All that changes a file or a directory, or sends; those that the run never uses are there so that it is seen if it does.
CHANGING = """
    write writev pwrite64 pwritev pwritev2 sendto sendmsg sendmmsg sendfile copy_file_range splice fallocate truncate ftruncate
    open openat openat2 creat rename renameat renameat2 link linkat unlink unlinkat symlink symlinkat mkdir mkdirat rmdir mknod
    mknodat utime utimes futimesat utimensat chmod fchmod fchmodat chown fchown lchown fchownat setxattr lsetxattr fsetxattr
    removexattr fremovexattr sync fsync fdatasync syncfs sync_file_range msync
"""
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
_MAKING = re.compile(r"O_CREAT|O_TRUNC|O_TMPFILE")


def strace_count(text: str, root: str) -> Counter[str]:
    """The calls below ``root`` and to IMAP servers by name, from what ``strace -f -yy`` wrote."""
    found: Counter[str] = Counter()
    below = re.compile(rf'["<]{re.escape(root)}[/">]')
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:  # the end of a call that was interrupted, a signal, an exit
            continue
        name, rest = match.groups()
        arguments = rest.rpartition(") = ")[0] or rest
        if name.startswith("open") and not _MAKING.search(arguments):
            continue
        if below.search(arguments) or re.match(r"\d+<TCP", arguments):
            found[name] += 1
    return found


@contextlib.contextmanager
def bench() -> t.Iterator[Bench]:
    """A bench in memory where there is such a place."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None, prefix="crash-") as folder,
        Bench(Path(folder)) as made,
    ):
        yield made
