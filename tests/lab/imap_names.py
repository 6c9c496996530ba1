# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailbox names on the wire: modified UTF-7 (RFC 3501 5.1.3), quoting, and LIST patterns."""

from __future__ import annotations

import base64
import re


def encode(name: str) -> str:
    """Text to modified UTF-7. "Клиенты" becomes "&BBoEOwQ4BDUEPQRCBEs-", "&" becomes "&-"."""
    out: list[str] = []
    run = ""
    for char in name:
        if " " <= char <= "~":
            out += [_shift(run), "&-" if char == "&" else char]
            run = ""
        else:
            run += char
    return "".join([*out, _shift(run)])


def _shift(run: str) -> str:
    if not run:
        return ""
    coded = base64.b64encode(run.encode("utf-16-be", "surrogatepass")).decode().rstrip("=").replace("/", ",")
    return f"&{coded}-"


def decode(name: str) -> str:
    def unshift(match: re.Match[str]) -> str:
        coded = match[1]
        if not coded:
            return "&"
        raw = base64.b64decode(coded.replace(",", "/") + "=" * (-len(coded) % 4))
        return raw.decode("utf-16-be", "surrogatepass")

    return re.sub(r"&([^-]*)-", unshift, name)


def quote(text: str) -> bytes:
    """A quoted string; the caller sees to it that no CR, LF or 8-bit character is in there."""
    return b'"' + text.encode("ascii").replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def wire(name: str) -> bytes:
    """A mailbox name as an argument of a command."""
    return quote(encode(name))


def matches(pattern: str, name: str) -> bool:
    """LIST pattern: `*` matches anything, `%` anything but the separator `/`."""
    if pattern.upper() == "INBOX":
        return name.upper() == "INBOX"
    parts = {"*": ".*", "%": "[^/]*"}
    expression = "".join(parts.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None
