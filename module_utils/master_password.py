# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be a master password of a server, which opens every mailbox of it. Pure."""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

SHORTEST = 12
RULE = f"at least {SHORTEST} printable ASCII characters"


def weakness(password: str) -> str:
    """Return what is wrong with it, to be read after "it"; empty when nothing is."""
    if len(password) < SHORTEST:
        return f"is shorter than {SHORTEST} characters, and it opens every mailbox"
    if not (password.isascii() and password.isprintable()):
        return "has characters outside printable ASCII, whose encoding in the login is not defined"
    return ""


def refuse_weak(subject: str, password: str) -> None:
    """Raise ``InputError`` on what must not become a master password."""
    cause = weakness(password)
    if cause:
        raise InputError(subject, f"it {cause}", f"Choose one of {RULE}")
