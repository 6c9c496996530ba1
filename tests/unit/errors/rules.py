# SPDX-License-Identifier: GPL-3.0-or-later
"""What a message must be like, so that an operator knows from it alone what is wrong with what, and what to do."""

from __future__ import annotations

import re

from tests.lab.secret_marks import MARK

# How a remedy may begin: each is something to do ("Instead, give ..." is, too).
# fmt: off
VERBS = frozenset((
    "Accept", "Add", "Admit", "Allow", "Ask", "Avoid", "Bring", "Change", "Check", "Choose", "Clear", "Close",
    "Compare", "Confirm", "Copy", "Correct", "Create", "Decide", "Declare", "Define", "Delete", "Disable", "Disconnect",
    "Do", "Empty", "Enable", "End", "Export", "Extend", "Find", "Give", "Hand", "Have", "Import", "Install",
    "Instead", "Keep", "Leave", "Let", "Log", "Look", "Lower", "Make", "Mend", "Merge", "Mount", "Move",
    "Name", "Open", "Pass", "Pick", "Point", "Put", "Raise", "Read", "Rehearse", "Remove", "Rename", "Renew", "Repair",
    "Replace", "Report", "Reset", "Restart", "Restore", "Retry", "Run", "Say", "See", "Select", "Send", "Set",
    "Shorten", "Split", "Start", "Stop", "Switch", "Synchronise", "Take", "Try", "Turn", "Type", "Unlock", "Update",
    "Upgrade", "Use", "Verify", "Wait", "Write",
))
# fmt: on
SHOWN = "it shows a secret"
# What shows that a part is missing, or that Python speaks and not we.
FOREIGN = {
    r"(?<!: )\bNone\b": "a value that is not there",
    r"Traceback|\bline \d+, in \w+": "a trace",
    r"<[\w.]+ object at |<class '|\b(?:Posix)?Path\(": "an object of Python",
    r"(?:^|[\s(=,])b'(?=.)": "bytes of Python",
    r"(?<=\w )\{[a-z_]*\}": "a gap that was not filled",
    r"^\s|\s$": "blanks at its ends",
}
# Between quotes stands what somebody else wrote.
QUOTED = re.compile(r"'[^']*'")
MISPLACED = re.compile(r"(?<![./])\.\.(?![./\w])|\. \.|\.;|\?\.|:\.|  ")


def faults(subject: str, cause: str, remedy: str) -> list[str]:
    """What is wrong with a message; nothing when an operator can use it."""
    parts = {"subject": subject, "cause": cause, "remedy": remedy}
    found = [f"its {name} is empty" for name, text in parts.items() if not text.strip(" .")]
    for name, text in parts.items():
        found += [f"its {name} has {what}" for pattern, what in FOREIGN.items() if re.search(pattern, text)]
        if MISPLACED.search(QUOTED.sub("''", text)):
            found.append(f"its {name} has signs that do not belong together")
    first = re.split(r"[\s,:]", remedy, maxsplit=1)[0]
    if first not in VERBS:
        found.append(f"its remedy begins with {first!r} and not with what to do")
    if MARK in "".join(parts.values()):
        found.append(SHOWN)
    return found
