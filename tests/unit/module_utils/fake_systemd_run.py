# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what ``systemd-run --pipe`` does: a process of another session gets its three descriptors, and it waits for its end.

The process is nobody's child, as that of a unit is, and is not told when this program dies. Afterwards ``ExecStopPost`` runs with
the same descriptors. ``FAKE`` is a folder: ``command`` gets the arguments, ``begun`` is there when the
unit will be, ``left`` gets the size of what is left of the standard input, ``result`` may say how the unit ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FAKE = Path(__file__).parent


def unit(command: list[str], stop: list[str]) -> None:
    """Be systemd: it keeps the descriptors until the unit has ended."""
    os.setsid()
    (FAKE / "begun").touch()
    ended = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, check=False).returncode
    (FAKE / "left").write_text(str(os.fstat(0).st_size), "utf-8")
    result = (FAKE / "result").read_text("utf-8") if (FAKE / "result").exists() else "success"
    subprocess.run(stop, env={"SERVICE_RESULT": result, "EXIT_STATUS": str(ended)}, check=False)


def main() -> None:
    if (FAKE / "broken").exists():
        sys.exit("Failed to start transient service unit: it is broken")
    split = sys.argv.index("--")
    options, command = sys.argv[1:split], sys.argv[split + 1 :]
    (FAKE / "command").write_text(json.dumps(sys.argv[1:]), "utf-8")
    stop = next(option.partition("=-")[2].split() for option in options if option.startswith("--property=ExecStopPost="))
    manager = os.fork()
    if manager == 0:
        unit(command, stop)
        os._exit(0)
    os.waitpid(manager, 0)


main()
