# SPDX-License-Identifier: GPL-3.0-or-later
"""How the IMAP server of the fault tests is made to misbehave: rules that choose commands, and actions that answer them.

    server.script.on("UID FETCH", cut(2000), uid=7, times=1)
    server.script.on("EXAMINE", before(lambda command: state.folder(ALICE).renumber()), nth=2)

An action gets the Command and returns the chunks to send: bytes, or a Signal. None leaves the command to the next rule, and at
last to the ordinary answer, which is ``command.ordinary()``. In bytes that an action is given, ``{tag}`` stands for the tag.
"""

from __future__ import annotations

import re
import threading
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from tests.faults.imap_session import Session


@dataclass(frozen=True)
class Signal:
    """Between chunks: what came before is sent first. ``seconds`` None: until the client or the server is gone.

    ``close``: then the connection ends. ``reset``: it ends with RST instead of FIN.
    """

    seconds: float | None = 0.0
    close: bool = False
    reset: bool = False


CLOSE = Signal(close=True)
RESET = Signal(close=True, reset=True)
HANG = Signal(None, close=True)
FLUSH = Signal()

Chunk = bytes | Signal


@dataclass
class Command:
    """What a client said. ``verb`` is upper case, "UID FETCH" in two words; "CONNECT" comes before TLS, then "GREETING".

    ``text`` is the first line behind the verb, ``parts`` that line and literals in turn. ``folder`` is the one that the command
    names, or else the one that is open, as it travels. ``uids`` are those of the folder's messages that a UID command names.
    """

    session: Session
    tag: bytes
    verb: str
    text: str
    parts: list[bytes] = field(default_factory=list)
    folder: bytes = b""
    uids: tuple[int, ...] = ()

    @property
    def bodies(self) -> bool:
        """Whether it asks for whole messages."""
        return self.verb.endswith("FETCH") and "BODY.PEEK[]" in self.text.upper()

    def ordinary(self) -> t.Iterator[Chunk]:
        """The ordinary answer, which is made (and does what the command asks for) while it is taken."""
        return self.session.answer(self)

    def fill(self, data: bytes) -> bytes:
        return data.replace(b"{tag}", self.tag)


Action = t.Callable[[Command], "t.Iterable[Chunk] | None"]


@dataclass
class Rule:
    """``nth``: from which matching command on, counted from 1; ``times``: how often at most; ``hits``: how often it was so."""

    verb: str
    action: Action
    folder: bytes | None
    uid: int | None
    where: t.Callable[[Command], bool] | None
    nth: int
    times: int | None
    seen: int = 0
    hits: int = 0

    def matches(self, command: Command) -> bool:
        return (
            self.verb in (command.verb, "*")
            and self.folder in (None, command.folder)
            and (self.uid is None or self.uid in command.uids)
            and (self.where is None or self.where(command))
        )

    def due(self) -> bool:
        """Count a match; tell whether the action is to be asked."""
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Script:
    """The rules, in the order in which they were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def on(
        self,
        verb: str,
        action: Action,
        *,
        folder: str | bytes | None = None,
        uid: int | None = None,
        where: t.Callable[[Command], bool] | None = None,
        nth: int = 1,
        times: int | None = None,
    ) -> Rule:
        """Add a rule; ``verb`` "*" is any. See Rule."""
        raw = folder.encode("ascii") if isinstance(folder, str) else folder
        rule = Rule(verb, action, raw, uid, where, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Be an honest server again."""
        with self._lock:
            self._rules = []

    def answer(self, command: Command) -> t.Iterable[Chunk]:
        """The chunks of the first rule that has an answer, or the ordinary one."""
        with self._lock:
            due = [rule for rule in self._rules if rule.matches(command) and rule.due()]
        for rule in due:
            chunks = rule.action(command)
            if chunks is not None:
                return chunks
        return command.ordinary()


# Actions


def raw(*chunks: Chunk) -> Action:
    """Send this and nothing else."""
    return lambda command: [command.fill(chunk) if isinstance(chunk, bytes) else chunk for chunk in chunks]


def ok(*untagged: bytes) -> Action:
    """Send these untagged lines (without their ends), then OK; nothing is done."""
    return raw(*(line + b"\r\n" for line in untagged), b"{tag} OK done\r\n")


def no(words: str = "not today") -> Action:
    return raw(b"{tag} NO " + words.encode() + b"\r\n")


def bad(words: str = "not today") -> Action:
    return raw(b"{tag} BAD " + words.encode() + b"\r\n")


def bye(words: str = "going down") -> Action:
    return raw(b"* BYE " + words.encode() + b"\r\n", CLOSE)


def close(_command: Command) -> t.Iterable[Chunk]:
    return [CLOSE]


def hang(_command: Command) -> t.Iterable[Chunk]:
    return [HANG]


def delay(seconds: float) -> Action:
    """The ordinary answer, late."""

    def late(command: Command) -> t.Iterator[Chunk]:
        yield Signal(seconds)
        yield from command.ordinary()

    return late


def cut(count: int, then: Chunk = CLOSE) -> Action:
    """The first ``count`` bytes of the ordinary answer, then ``then`` (a Signal, or bytes behind which the connection ends)."""

    def shortened(command: Command) -> t.Iterator[Chunk]:
        left = count
        for chunk in command.ordinary():
            if isinstance(chunk, Signal):
                continue
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                break
        yield then
        yield CLOSE

    return shortened


def edit(change: t.Callable[[bytes], bytes]) -> Action:
    """The ordinary answer as a whole, changed."""

    def changed(command: Command) -> t.Iterable[Chunk]:
        whole = b"".join(chunk for chunk in command.ordinary() if isinstance(chunk, bytes))
        return [change(whole)]

    return changed


def message(uid: int, change: t.Callable[[bytes], bytes]) -> Action:
    """The ordinary answer to FETCH, with what it says of one message (which must not be large) changed."""

    def changed(command: Command) -> t.Iterator[Chunk]:
        for chunk in command.ordinary():
            is_it = isinstance(chunk, bytes) and re.match(rb"\* \d+ FETCH \(UID %d " % uid, chunk)
            yield change(t.cast("bytes", chunk)) if is_it else chunk

    return changed


def before(callback: t.Callable[[Command], t.Any]) -> Action:
    """Call back, then leave the command to the next rule and the ordinary answer."""

    def called(command: Command) -> None:
        callback(command)

    return called


def during(callback: t.Callable[[Command], t.Any], after: int = 1) -> Action:
    """The ordinary answer; call back when ``after`` of its chunks (of FETCH: messages) are sent."""

    def called(command: Command) -> t.Iterator[Chunk]:
        for number, chunk in enumerate(command.ordinary(), 1):
            yield chunk
            if number == after:
                yield FLUSH
                callback(command)

    return called


def around(first: bytes = b"", between: bytes = b"", last: bytes = b"") -> Action:
    """The ordinary answer with unsolicited lines: at the start, in front of every chunk, before the tagged line."""

    def surrounded(command: Command) -> t.Iterator[Chunk]:
        yield first
        for chunk in command.ordinary():
            tagged = isinstance(chunk, bytes) and chunk.startswith(command.tag + b" ")
            yield last if tagged else between
            yield chunk

    return surrounded
