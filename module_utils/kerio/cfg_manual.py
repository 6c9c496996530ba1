# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does by hand on a server that the guarded edit does not support."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class Manual:
    """Where the file is on one operating system, and how its service is stopped and started."""

    path: str
    stop: str
    start: str


# The names of the Windows service and of the macOS job are not documented, hence the vendor's own tools.
MANUALS = {
    "Windows": Manual(
        r"C:\Program Files\Kerio\MailServer\mailserver.cfg",
        "Stop the server with Kerio Connect Monitor and wait (up to 5 minutes) until Task Manager shows no mailserver.exe",
        "Start the server with Kerio Connect Monitor",
    ),
    "Darwin": Manual(
        "/usr/local/kerio/mailserver/mailserver.cfg",
        "Stop the server with Kerio Connect Monitor and wait (up to 5 minutes) until pgrep mailserver prints nothing",
        "Start the server with Kerio Connect Monitor",
    ),
}


def refuse(system: str, wanted: t.Mapping[str, str]) -> t.NoReturn:
    """Raise ``InputError`` with the steps for this operating system (a name as ``platform.system()`` has it)."""
    manual = MANUALS.get(system, Manual("mailserver.cfg", "Stop the server", "Start the server"))
    steps = [
        manual.stop,
        f"Copy {manual.path} to a safe place",
        *(
            f'In {manual.path} set the text of the one <variable name="{name.rpartition("/")[2]}"> ({name}) to {value}'
            for name, value in wanted.items()
        ),
        "Save with the same encoding and line ends",
        manual.start,
        "Open the file again: the value must still be there",
    ]
    text = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    raise InputError(
        f"mailserver.cfg on {system}", "the guarded edit supports Linux servers only", f"Do it by hand: {text}", steps=steps
    )
