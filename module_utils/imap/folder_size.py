# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes folders hold, from servers that announce STATUS=SIZE (RFC 8438)."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import PIPELINE, Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError, parse_values


def folder_sizes(conn: Connection, folders: t.Sequence[Folder]) -> dict[str, int]:
    """Name -> bytes, at least the sum of RFC822.SIZE (RFC 8438, section 2); a folder that the server does not tell is absent.

    To be asked before a folder is opened (RFC 3501, section 6.3.10).
    """
    if "STATUS=SIZE" not in conn.capabilities:
        return {}
    by_raw = {folder.raw: folder.name for folder in folders if names.quote(folder.raw) is not None}
    found: dict[str, int] = {}

    def take(response: Response) -> None:
        if bytes(response.view[response.start : response.start + 9]).upper() != b"* STATUS ":
            return
        try:
            raw, items = parse_values(response.data, response.start + 9, response.end)
            told = dict(zip(items[::2], items[1::2], strict=True)) if isinstance(items, list) else {}
            size = told.get(b"SIZE")
            if isinstance(raw, bytes) and isinstance(size, bytes):
                found[by_raw[raw]] = int(size)
        except (MalformedError, LookupError, ValueError, TypeError):
            return

    conn.reader.run_by(PIPELINE, [b"STATUS %s (SIZE)" % (names.quote(raw) or b"") for raw in by_raw], take)
    return found
