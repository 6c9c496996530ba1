# SPDX-License-Identifier: GPL-3.0-or-later
"""git asks this program for the token of a repository that is reached over HTTPS: credential.py <file> get|store|erase."""

from __future__ import annotations

import sys
from pathlib import Path


def answer(text: str) -> str:
    """What git is told of a file that holds a token, or a user and a token with a colon between."""
    user, colon, token = text.strip().partition(":")
    return f"username={user if colon else 'token'}\npassword={token if colon else user}\n"


if __name__ == "__main__":
    if sys.argv[2:] == ["get"]:
        sys.stdout.write(answer(Path(sys.argv[1]).read_text(encoding="utf-8")))
