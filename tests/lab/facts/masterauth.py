# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's side of X-MASTERAUTH over a raw socket, written after sheet 3.2 for the facts alone."""

from __future__ import annotations

import hashlib

from tests.lab.facts.imap_rig import MASTER, Wire


def md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def master(wire: Wire, password: str = MASTER) -> bytes:
    """The exchange up to the tagged line (or what comes instead of a challenge)."""
    wire.send(b"a X-MASTERAUTH\r\n")
    line = wire.line()
    if not line.startswith(b"+ "):
        return line
    challenge = line[2:].strip()
    wire.send(md5(challenge + password.encode()), b"\r\n")
    return wire.line()
