# SPDX-License-Identifier: GPL-3.0-or-later
"""A full verification beside ``sha256sum`` over the same messages, decompressed, on all cores.

As a program it verifies the archive that is named and prints what came out.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Decompressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from tests.bench.engine import engine_path
from tests.bench.figures import Sample
from tests.bench.machine import FailedError, timed

# Enough names for a process to be worth its start.
NAMES = 200


def decompressed(archive: Path, folder: Path) -> Path:
    """Every message of an archive in a file of its own."""
    folder.mkdir()
    decompressor = Decompressor()
    for path in archive.glob("objects/*/*"):
        (folder / path.name).write_bytes(decompressor.decompress(path.read_bytes()))
    return folder


def verify(archive: Path) -> Sample:
    """Verify an archive in a new process. Raises ``FailedError`` when it finds damage."""
    done = timed([sys.executable, "-m", "tests.bench.verify_cost", str(archive)], env=engine_path())
    told = json.loads(done.output.splitlines()[-1])
    if told["damaged"]:
        raise FailedError(f"the verification found {told['damaged']} damaged")
    return Sample(told["seconds"], done.cpu, told["read"], done.seconds)


def sha256sum(folder: Path) -> Sample:
    """Sum all files of a folder, with one process per core."""
    command = f"find {folder} -type f -print0 | xargs -0 -n {NAMES} -P {os.cpu_count()} sha256sum | wc -l"
    done = timed(["sh", "-c", command])
    return Sample(done.seconds, done.cpu, int(done.output))


if __name__ == "__main__":
    report = Verification(Wish(sys.argv[1], keep=False), Silent()).run()
    print(json.dumps({"seconds": report.seconds, "read": report.read, "damaged": len(report.findings)}))
