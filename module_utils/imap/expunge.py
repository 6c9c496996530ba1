# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting messages of one folder by UID, and proving that they are gone."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response, Result, found_uids
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError

# UIDs of one command, and commands in one write: their answers are short.
SET = 1000
PIPELINE = 20
MARK, UNMARK = b"+FLAGS.SILENT", b"-FLAGS.SILENT"
_WORDS = "Read the server's words; nothing was deleted"


def has_uidplus(conn: Connection) -> bool:
    """Whether the server announces UID EXPUNGE (RFC 4315)."""
    return "UIDPLUS" in conn.capabilities


def mark(conn: Connection, uids: t.Collection[int]) -> None:
    r"""Set \Deleted on exactly these messages; ImapError when the server refuses a part of them."""
    _must(conn, "STORE", _each(conn, uids, lambda piece: b"UID STORE %s %s (\\Deleted)" % (piece, MARK)))


def unmark(conn: Connection, uids: t.Collection[int]) -> None:
    r"""Take \Deleted off these messages; ImapError when the server refuses."""
    _must(conn, "STORE", _each(conn, uids, lambda piece: b"UID STORE %s %s (\\Deleted)" % (piece, UNMARK)))


def expunge(conn: Connection, uids: t.Collection[int]) -> str:
    r"""UID EXPUNGE of exactly these (those with \Deleted go); return the server's words. ImapError when it refuses."""
    return _must(conn, "UID EXPUNGE", _each(conn, uids, lambda piece: b"UID EXPUNGE %s" % piece))


def expunge_all(conn: Connection) -> str:
    r"""EXPUNGE of everything that has \Deleted: only where that is known to be ours. ImapError when the server refuses."""
    return _must(conn, "EXPUNGE", conn.reader.run([b"EXPUNGE"]))


def marked(conn: Connection) -> set[int]:
    r"""The UIDs of all messages of the folder that have \Deleted; ImapError when the server does not say."""
    found: set[int] = set()
    _must(conn, "UID SEARCH DELETED", conn.reader.run([b"NOOP", b"UID SEARCH DELETED"], lambda answer: _take(answer, found)))
    return found


def present(conn: Connection, uids: t.Collection[int]) -> set[int]:
    """Those of ``uids`` that the folder still has, by SEARCH or by FETCH: whoever of both names one is believed."""
    found: set[int] = set()

    def take(answer: Response) -> None:
        _take(answer, found)

    conn.reader.run([b"NOOP"])
    results = _each(conn, uids, lambda piece: b"UID SEARCH UID %s" % piece, take)
    _must(conn, "UID SEARCH", results)
    _each(conn, uids, lambda piece: b"UID FETCH %s (UID)" % piece, take)
    return found & set(uids)


def _take(answer: Response, found: set[int]) -> None:
    found.update(found_uids(answer))
    try:
        message = answer.message()
    except MalformedError:
        return
    if message.uid is not None:
        found.add(message.uid)


def _each(
    conn: Connection,
    uids: t.Collection[int],
    command: t.Callable[[bytes], bytes],
    take: t.Callable[[Response], None] = lambda _answer: None,
) -> list[Result]:
    pieces = [uidset.compact(piece).encode() for piece in uidset.split(sorted(uids), SET)]
    return conn.reader.run_by(PIPELINE, [command(piece) for piece in pieces], take)


def _must(conn: Connection, name: str, results: t.Sequence[Result]) -> str:
    refused = next((result for result in results if not result.ok), None)
    if refused is not None:
        cause = f"the server refused {name}: {refused.status} {refused.text}"
        raise ImapError(f"{conn.name}, mailbox {conn.user}", cause, _WORDS)
    return results[-1].text if results else ""
