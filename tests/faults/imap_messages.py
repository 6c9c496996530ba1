# SPDX-License-Identifier: GPL-3.0-or-later
"""FETCH, STORE, EXPUNGE and APPEND of the IMAP server of the fault tests."""

from __future__ import annotations

import re
import typing as t

from tests.faults.imap_arguments import BadCommandError, imap_date, in_set, parse, parse_date, word
from tests.faults.imap_script import Chunk, Command
from tests.faults.imap_state import DATE, DELETED, PIECE, TRASH, Message, pieces

if t.TYPE_CHECKING:
    from tests.faults.imap_session import Session

ITEM = re.compile(r"[A-Za-z0-9.]+(?:\[[^\]]*\])?(?:<\d+\.\d+>)?")
SECTION = re.compile(r"BODY(\.PEEK)?\[(HEADER|TEXT|)\](?:<(\d+)\.(\d+)>)?")
OTHER_NAMES = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]", "RFC822.TEXT": "BODY[TEXT]"}
HEADER_BYTES = 1 << 21


def _top(session: Session, by_uid: bool) -> int:
    return max(session.opened().uids(), default=0) if by_uid else len(session.view)


def _chosen(command: Command, text: str) -> list[tuple[int, Message]]:
    by_uid = command.verb.startswith("UID")
    admits = in_set(text, _top(command.session, by_uid))
    return [(number, one) for number, one in command.session.numbered() if admits(one.uid if by_uid else number)]


def do_fetch(command: Command) -> t.Iterator[Chunk]:
    """A chunk per message; one that was expunged meanwhile is left out."""
    session = command.session
    wanted, _blank, rest = command.text.partition(" ")
    items = [OTHER_NAMES.get(item, item) for item in ITEM.findall(rest.upper())]
    known = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", *(["MODSEQ"] if session.may("CONDSTORE") else [])]
    for item in items:
        if item not in known and not SECTION.fullmatch(item):
            raise BadCommandError(f"unknown FETCH item {item}")
    if command.verb.startswith("UID") and "UID" not in items:
        items.insert(0, "UID")
    with session.state.lock:
        chosen = _chosen(command, wanted)
    for number, message in chosen:
        with session.state.lock:
            there = {one.uid: one for one in session.opened().messages}.get(message.uid) if session.selected else None
            if there is not None and _marks_seen(session, items) and "\\Seen" not in there.flags:
                there = session.opened().change(there.uid, flags=(*there.flags, "\\Seen"))
        if there is not None:
            yield from _fetched(number, there, items)
    yield from session.done(command)


do_uid_fetch = do_fetch


def _marks_seen(session: Session, items: list[str]) -> bool:
    return not session.read_only and any(item.startswith("BODY[") for item in items)


def _fetched(number: int, message: Message, items: t.Sequence[str]) -> t.Iterator[bytes]:
    """One FETCH response; in one chunk unless it is large."""
    simple = {
        "UID": str(message.uid),
        "FLAGS": f"({' '.join(message.flags)})",
        "INTERNALDATE": f'"{imap_date(message.internaldate)}"',
        "RFC822.SIZE": str(len(message.body)),
        "MODSEQ": f"({message.modseq})",
    }
    waiting = b"* %d FETCH (" % number
    for index, item in enumerate(items):
        waiting += b" " if index else b""
        if item in simple:
            waiting += f"{item} {simple[item]}".encode()
            continue
        label, start, stop = _section(message, item)
        waiting += b"%s {%d}\r\n" % (label, stop - start)
        for piece in pieces(message.body, start, stop):
            waiting += piece
            if len(waiting) >= PIECE:
                yield waiting
                waiting = b""
    yield waiting + b")\r\n"


def _section(message: Message, item: str) -> tuple[bytes, int, int]:
    """What a body section is called in the answer, and where it begins and ends."""
    match = SECTION.fullmatch(item)
    assert match is not None
    head, blank, _text = message.body[:HEADER_BYTES].partition(b"\r\n\r\n")
    border, size = len(head) + len(blank), len(message.body)
    start, stop = {"HEADER": (0, border), "TEXT": (border, size), "": (0, size)}[match[2]]
    label = f"BODY[{match[2]}]"
    if match[3] is not None:
        label += f"<{match[3]}>"
        start = min(stop, start + int(match[3]))
        stop = min(stop, start + int(match[4]))
    return label.encode(), start, stop


def do_store(command: Command) -> t.Iterator[Chunk]:
    """With Kerio's ``move-at-store``, what gets \\Deleted outside of Deleted Items goes there at once."""
    session = command.session
    wanted, operation, flags = _store_arguments(command)
    if session.read_only:
        yield command.fill(b"{tag} NO [READ-ONLY] the folder is open for reading only\r\n")
        return
    lines: list[bytes] = []
    with session.state.lock:
        folder = session.opened()
        chosen = _chosen(command, wanted)
        for number, message in chosen:
            kept = [] if operation.startswith("FLAGS") else [flag for flag in message.flags if flag not in flags]
            now = folder.change(message.uid, flags=tuple(kept if operation.startswith("-") else [*kept, *flags]))
            if not operation.endswith(".SILENT"):
                lines += _fetched(number, now, ["UID", "FLAGS"] if command.verb.startswith("UID") else ["FLAGS"])
        if session.server.deletion == "move-at-store" and session.selected != TRASH:
            marked = [one.uid for one in folder.messages if DELETED in one.flags]
            session.state.move(session.user, folder, marked)
    yield from lines
    yield from session.done(command)


do_uid_store = do_store


def _store_arguments(command: Command) -> tuple[str, str, list[str]]:
    arguments = parse(command.parts)
    if len(arguments) < 3:
        raise BadCommandError("a set, an operation and flags, please")
    operation = word(arguments[1]).upper()
    if operation.removesuffix(".SILENT") not in ("FLAGS", "+FLAGS", "-FLAGS"):
        raise BadCommandError("unknown operation")
    flags = arguments[2] if isinstance(arguments[2], list) else arguments[2:]
    return word(arguments[0]), operation, [word(flag) for flag in flags]


def take_out(session: Session, uids: t.Sequence[int]) -> None:
    """Expunge; with Kerio's ``move-at-expunge``, outside of Deleted Items, that moves."""
    if session.read_only:
        return
    folder = session.opened()
    if session.server.deletion == "move-at-expunge" and session.selected != TRASH:
        session.state.move(session.user, folder, uids)
    else:
        folder.expunge(*uids)


def do_expunge(command: Command) -> t.Iterator[Chunk]:
    session = command.session
    by_uid = command.verb.startswith("UID")
    if by_uid and not session.may("UIDPLUS"):
        raise BadCommandError("unknown command")
    if session.read_only:
        yield command.fill(b"{tag} NO [READ-ONLY] the folder is open for reading only\r\n")
        return
    with session.state.lock:
        admits = in_set(command.text.strip(), _top(session, by_uid=True)) if by_uid else lambda _uid: True
        marked = [one.uid for one in session.opened().messages if DELETED in one.flags and admits(one.uid)]
        take_out(session, marked)
    yield from session.done(command)


do_uid_expunge = do_expunge


def do_append(command: Command) -> t.Iterator[Chunk]:
    session = command.session
    arguments = parse(command.parts)
    if len(arguments) < 2:
        raise BadCommandError("a name and a message, please")
    target = session.named(arguments[0])
    flags = next((value for value in arguments[1:-1] if isinstance(value, list)), [])
    date = next((word(value) for value in arguments[1:-1] if not isinstance(value, list)), "")
    body = arguments[-1]
    if isinstance(body, list):
        raise BadCommandError("a message, please")
    with session.state.lock:
        folder = session.folders()[target]
        (uid,) = folder.add(body, flags=[word(flag) for flag in flags], date=parse_date(date) if date else DATE)
        told = f"[APPENDUID {folder.uidvalidity} {uid}] APPEND completed" if session.may("UIDPLUS") else ""
    yield from session.done(command, told)
