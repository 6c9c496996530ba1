# SPDX-License-Identifier: GPL-3.0-or-later
"""Single header fields of messages, without their bodies."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError, Message

TOGETHER = 500  # messages in one command
PIPELINE = 4
# The first match is the item itself: what stands before it in a response holds no brackets.
_FIELDS = re.compile(rb'BODY\[HEADER[^\]]*\] (?:~?\{(\d{1,20})\+?\}\r\n|"((?:[^"\\]|\\.)*)")', re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def headers(conn: Connection, uids: t.Sequence[int], names: t.Sequence[str]) -> dict[int, bytes]:
    """UID -> the header fields of these ``names`` (which need no quoting), as they were sent.

    Messages of which the server tells nothing that can be read are absent. ImapError when it refuses.
    """
    found: dict[int, bytes] = {}

    def take(response: Response) -> None:
        try:
            message: Message = response.message()
        except MalformedError:
            return
        item = _FIELDS.search(response.data, response.start, response.end)
        if message.uid is not None and item is not None:
            found[message.uid] = _value(response, item)

    items = b"(UID BODY.PEEK[HEADER.FIELDS (%s)])" % " ".join(names).encode("ascii")
    pieces = list(uidset.split(sorted(set(uids)), TOGETHER))
    commands = [b"UID FETCH %s %s" % (uidset.compact(piece).encode(), items) for piece in pieces]
    for piece, result in zip(pieces, conn.reader.run_by(PIPELINE, commands, take), strict=True):
        if not result.ok and found.keys().isdisjoint(piece):
            cause = f"the server refused to give headers: {result.status} {result.text}"
            raise ImapError(f"{conn.name}, mailbox {conn.user}", cause, "Check the folder on the server")
    return found


def _value(response: Response, item: re.Match[bytes]) -> bytes:
    if item[1] is None:
        return _ESCAPE.sub(rb"\1", item[2])
    return bytes(response.data[item.end() : min(item.end() + int(item[1]), response.end)])
