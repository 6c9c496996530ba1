# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: kerio_enforce run <schedule>, or kerio_enforce tell <unit>."""

from __future__ import annotations

import argparse
import os
import sys
import time
import typing as t
from pathlib import Path

from .config import load
from .enforce import ERROR, Enforcement, failure_text, say
from .problem import EnforceError
from .process import Stop


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="kerio_enforce", description="Run playbooks of kerio-archive on a schedule.")
    parser.add_argument("--config", type=Path, default=Path("/etc/kerio-archive-controller/enforce.json"))
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("run", help="run a schedule now").add_argument("name")
    actions.add_parser("tell", help="say in one line why a unit failed").add_argument("name")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    stop = Stop()
    try:
        config = load(given.config)
        if given.action == "tell":
            say(failure_text(config, given.name, time.time()), ERROR)
            return 0
        stop.listen()
        return Enforcement(config, given.name, stop).go()
    except (EnforceError, OSError) as error:
        say(f"kerio-archive: {error}", ERROR)
        return 1


if __name__ == "__main__":
    sys.exit(main())
