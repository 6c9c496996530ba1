# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's part of a filter: what the server finds, and what is kept out before, or as soon as, its bytes come."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Decision
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import HEADER_LIMIT, header_block
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import flag_letters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Examine, Examined, Fetch, Item
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap

UNSEARCHED = "the server refused to search by the filter, so all messages are compared here: {error}"
OVERRULED = "the filter lets it pass, but the server's SEARCH did not find it"


def matched(imap: Imap, connection: t.Any, rule: filters.MessageFilter, now: int) -> tuple[list[int] | None, str]:
    """The UIDs that the server finds for a filter, None when it cannot be asked; and a note when it refused."""
    criteria = filters.criteria(rule, now)
    if not criteria:
        return None, ""
    try:
        return imap.search_uids(connection, *criteria), ""
    except ImapError as error:
        return None, UNSEARCHED.format(error=error.cause)


def examined(imap: Imap, connection: t.Any, order: Examine) -> Examined:
    """Open the folder and say what is in it."""
    status = imap.examine(connection, order.folder)
    uids = imap.search_uids(connection)
    return Examined(status, uids, *matched(imap, connection, order.filter, order.now))


def kept_out(
    imap: Imap, connection: t.Any, uids: t.Sequence[int], rule: filters.MessageFilter, now: int, found: t.Collection[int] | None
) -> set[int]:
    """Those of ``uids`` that a run would keep out, as far as it can be told without reading messages.

    ``found`` are the UIDs that the server finds for the filter (``matched``); it alone is asked about headers.
    """
    if not rule or not uids:
        return set()
    listed = imap.listing(connection, uids)
    out = {each.uid for each in listed if filters.reason(rule, _facts(each), now)}
    return out.union(set(uids).difference(found)) if rule.by_header and found is not None else out


def header(body: memoryview | imap_fetch.StreamedBody) -> bytes:
    """The header block of a message."""
    if isinstance(body, imap_fetch.StreamedBody):
        return header_block(next(body.chunks(HEADER_LIMIT), b""))
    return header_block(body)


def passing(
    imap: Imap, connection: t.Any, order: Fetch, uids: t.Sequence[int], **options: t.Any
) -> t.Generator[imap_fetch.Item | Item, None, None]:
    """As ``imap.fetch`` (``options`` are for it); an ``Item`` stands for each message that the filter keeps out.

    Nothing that the filter keeps out is fetched, as long as the server tells size, date, flags and header fields; and everything
    that is fetched is compared once more, since flags may have changed in between.
    """
    if not order.filter:
        yield from imap.fetch(connection, uids, **options)
        return
    out = list(_kept_out(imap, connection, order, uids))
    yield from out
    excluded = {item.uid for item in out}
    overruled = set(order.unmatched)
    messages = imap.fetch(connection, [uid for uid in uids if uid not in excluded], **options)
    with contextlib.closing(messages):
        for message in messages:
            if not isinstance(message, imap_fetch.Fetched):
                yield message
                continue
            why = _reason(order, message)
            if not why and message.uid in overruled:
                message.problems += (OVERRULED,)
            yield _excluded(message, why) if why else message


def _reason(order: Fetch, message: imap_fetch.Fetched) -> str:
    why = filters.reason(order.filter, _facts(message), order.now)
    if not why and order.filter.by_header:
        why = filters.header_reason(order.filter, header(message.body))
    if why and isinstance(message.body, imap_fetch.StreamedBody):
        message.body.sink.close()
    return why


def _kept_out(imap: Imap, connection: t.Any, order: Fetch, uids: t.Sequence[int]) -> t.Iterator[Item]:
    """What can be told without a body. A message that the server does not list is left to the fetch, which tells why."""
    rule = order.filter
    doubtful: dict[int, imap_fetch.Listed] = {}
    for listed in imap.listing(connection, uids):
        why = filters.reason(rule, _facts(listed), order.now)
        if why:
            yield _excluded(listed, why)
        elif rule.by_header:
            doubtful[listed.uid] = listed
    names = [name for name, _texts in (*rule.headers, *rule.not_headers)]
    for uid, block in imap.headers(connection, list(doubtful), names).items() if doubtful else ():
        why = filters.header_reason(rule, block)
        if why:
            yield _excluded(doubtful[uid], why)


def _facts(message: imap_fetch.Listed | imap_fetch.Fetched) -> filters.Facts:
    return filters.Facts(message.size, message.internaldate, message.flags)


def _excluded(message: imap_fetch.Listed | imap_fetch.Fetched, why: str) -> Item:
    flags = flag_letters(message.flags)
    return Item(message.uid, message.size, message.internaldate, flags, None, Decision((), State.EXCLUDED, why))
