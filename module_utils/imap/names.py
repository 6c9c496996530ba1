# SPDX-License-Identifier: GPL-3.0-or-later
"""Folder names: modified UTF-7 (RFC 3501 section 5.1.3), and a reversible way to show what is not; pure."""

from __future__ import annotations

import base64
import binascii
import re

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+|&")
# A name that begins with it is not modified UTF-7: once for UTF-8 as it stands, twice for bytes that are not even that.
MARK = "\N{REPLACEMENT CHARACTER}"


def decode(raw: bytes) -> str:
    """Return the name; ``encode`` gives ``raw`` back, whatever it is, and no two raw names decode to the same."""
    try:
        name = _decode_utf7(raw)
        if encode(name) == raw:
            return name
    except (UnicodeDecodeError, binascii.Error):
        pass
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = MARK
    return MARK + (text if not text.startswith(MARK) else MARK + raw.decode("latin-1"))


def encode(name: str) -> bytes:
    """Return the name as the server knows it."""
    if name.startswith(MARK + MARK):
        return name[2:].encode("latin-1")
    if name.startswith(MARK):
        return name[1:].encode("utf-8")
    return _NOT_PRINTABLE.sub(_shift, name).encode("ascii")


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    coded = base64.b64encode(match[0].encode("utf-16-be"), b"+,").rstrip(b"=")
    return f"&{coded.decode('ascii')}-"


def _decode_utf7(raw: bytes) -> str:
    def unshift(match: re.Match[bytes]) -> bytes:
        if not match[1]:
            return b"&"
        padded = match[1] + b"=" * (-len(match[1]) % 4)
        return base64.b64decode(padded, b"+,", validate=True).decode("utf-16-be").encode("utf-8")

    raw.decode("ascii")
    return _SHIFTED.sub(unshift, raw).decode("utf-8")


def quote(raw: bytes) -> bytes | None:
    """Return the name as an argument of a command; None when it cannot be one (line breaks, NUL)."""
    if re.search(rb"[\0\r\n]", raw):
        return None
    return b'"%s"' % re.sub(rb'(["\\])', rb"\\\1", raw)
