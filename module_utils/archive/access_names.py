# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of archive users in the files of Dovecot 2.3. Pure: no I/O.

A person logs in by the *key*: the name in lower case (ASCII alone, as Dovecot's ``%L`` does it). Others see the person's archive
under the *label*: the key, with every character that a pattern, a file or a folder name would take for something else written as
``=`` and two digits for each byte. Names that are not ASCII are among them: in a session that has not listed the folders yet,
Dovecot opens no shared folder with such a prefix.
"""

from __future__ import annotations

import re
import string

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Where a label begins or ends, a blank, a dot, a tilde, a dash or a hash sign would mean something to IMAP, Dovecot or its files.
_NOT_IN_LABEL = re.compile(r"[^0-9a-z@._+'(), ~#-]|\A[ .~#-]|[ .]\Z")
_NOT_IN_KEY = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff:/"\\\\]|\\A[ #]| \\Z|\\A\\Z')
_ESCAPED_BY_DOVECOT = re.compile("['\"\\\\]")


def key(name: str) -> str:
    """What Dovecot makes of the name that a client logs in with (``auth_username_format = %Lu``)."""
    return name.translate(_LOWER)


def label(name: str) -> str:
    """What the archive of that name is called in the folder list of those who may read it."""
    # Dovecot dies of a LIST with a folder that is called nothing; no other name gives the sign without digits.
    return _NOT_IN_LABEL.sub(lambda match: _escaped(match[0]), key(name)) or "="


def _escaped(char: str) -> str:
    return "".join(f"={byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def can_log_in(name: str) -> bool:
    """Whether a line of a passwd-file and an identifier of an ACL file can hold the key of that name."""
    return _NOT_IN_KEY.search(key(name)) is None


def in_passwd_file(user: str) -> str:
    """A key or label as the first field of a passwd-file: Dovecot escapes ``%u`` before it looks there."""
    return _ESCAPED_BY_DOVECOT.sub(lambda match: f"\\{match[0]}", user)


def in_lua(text: str) -> str:
    """A string literal of Lua, of printable ASCII characters alone."""
    raw = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in raw) + '"'
