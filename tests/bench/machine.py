# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine below a benchmark: what it is, a clean start for each run, and the time that a program takes."""

from __future__ import annotations

import os
import platform
import re
import resource
import ssl
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from tests.bench.figures import Json

DROP = Path("/proc/sys/vm/drop_caches")
DENTRIES_AND_INODES = "2\n"
PROGRAM_SECONDS = 900
# ext4 passes over inodes that were freed in the last minutes, one by one: to create a file costs twice as much until then.
REST_SECONDS = 360.0


class FailedError(Exception):
    """A program of the benchmark failed; the text is what it said."""


class Ended(t.NamedTuple):
    """A program that ended well: its time, that of all its processes on the CPU, and what it wrote."""

    seconds: float
    cpu: float
    output: str


def facts() -> Json:
    """What a reader needs to know of the machine to judge the figures."""
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cores": os.cpu_count(),
        "processor": model[1] if model else platform.machine(),
        "memory_mb": int(memory[1]) // 1024 if memory else 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "load_before": os.getloadavg()[0],
        "dentries": int(Path("/proc/sys/fs/dentry-state").read_text(encoding="ascii").split()[0]),
        "drops_dentries": os.access(DROP, os.W_OK),
    }


def clean_start(warm: t.Iterable[Path]) -> None:
    """Write what is dirty and drop cached dentries, as far as allowed, then read the server's files again.

    Millions of cached dentries and another program's dirty pages cost whoever comes next more than the contestants differ by.
    """
    os.sync()
    if os.access(DROP, os.W_OK):
        DROP.write_text(DENTRIES_AND_INODES, encoding="ascii")
    for path in warm:
        with path.open("rb") as source:
            while source.read(1 << 22):
                pass


def rest(begin: float) -> None:
    """Sleep until what was deleted before ``begin`` (of the monotonic clock) slows down nobody who creates files."""
    left = begin + REST_SECONDS - time.monotonic()
    if left > 0:
        print(
            f"Waiting {left:.0f} s, until files that were deleted before cost nothing any more (--no-rest begins at once)",
            flush=True,
        )
        time.sleep(left)


def timed(command: t.Sequence[str], given: str = "", env: t.Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end. Raises ``FailedError``."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
        source.write(given.encode())
        source.seek(0)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        done = subprocess.run(
            command, stdin=source, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, check=False,
            timeout=PROGRAM_SECONDS,
        )  # fmt: skip
        seconds = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if done.returncode:
        raise FailedError(f"{' '.join(command[:4])} ended with {done.returncode}:\n{text[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(seconds, cpu, text)
