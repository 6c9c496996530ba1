# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of rawimap.py."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tests.lab import imap_names
from tests.lab.imap_wire import tokens
from tests.lab.rawimap_search import BadError, select_messages, sequence

if TYPE_CHECKING:
    from tests.lab.rawimap import RawImapServer, RawMessage

CLOSE = bytes(bytearray(b"<close>"))  # compared by identity
SECTION = re.compile(r"(BODY(?:\.PEEK)?|RFC822)(?:\[(HEADER|TEXT|)\])?(?:<(\d+)\.(\d+)>)?", re.IGNORECASE)
ITEM = re.compile(r"[A-Za-z0-9.]+(?:\[[^\]]*\])?(?:<\d+\.\d+>)?")
PLAIN_ITEMS = frozenset({"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE"})
BEFORE_LOGIN = frozenset(
    {"GREETING", "CAPABILITY", "NOOP", "LOGOUT", "LOGIN", "AUTHENTICATE", "X-MASTERAUTH", "X-SETUSER", "STARTTLS"}
)
WITH_FOLDER = frozenset(
    {"FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "STORE", "UID STORE", "EXPUNGE", "UID EXPUNGE", "CLOSE", "CHECK"}
)


@dataclasses.dataclass
class Request:
    """One command. `pieces`: the arguments, text and literal data in turn."""

    session: Session
    tag: bytes
    name: str
    args: bytes
    pieces: list[bytes]

    def default(self) -> Iterable[bytes]:
        """The chunks of the ordinary answer."""
        return self.session.answer(self)

    def words(self) -> list[bytes]:
        return tokens([piece.rstrip(b"\r\n") if not n % 2 else piece for n, piece in enumerate(self.pieces)])


class Session:
    """What one connection has done so far."""

    def __init__(self, server: RawImapServer, number: int, ask: Callable[[bytes], bytes]) -> None:
        self.server = server
        self.number = number
        self.ask = ask
        self.user = ""
        self.master = False
        self.folder = ""
        self.read_only = False
        self.ended = False
        self.starting_tls = False

    # -- dispatch ---------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Iterator[bytes]:
        action: Callable[[Request], Iterator[bytes]] | None = getattr(
            self, "do_" + re.sub(r"\W", "_", request.name).lower(), None
        )
        if action is None or (not self.user and request.name not in BEFORE_LOGIN):
            yield request.tag + b" BAD unknown command, or not now\r\n"
            return
        if request.name in WITH_FOLDER and not self.folder:
            yield request.tag + b" BAD no folder is selected\r\n"
            return
        try:
            yield from action(request)
        except BadError as err:
            yield request.tag + b" BAD " + str(err).encode() + b"\r\n"

    @staticmethod
    def done(request: Request, words: str = "") -> bytes:
        return request.tag + f" OK {words or request.name} completed\r\n".encode()

    # -- any state --------------------------------------------------------------------------------------------

    def do_greeting(self, _request: Request) -> Iterator[bytes]:
        yield self.server.greeting

    def do_capability(self, request: Request) -> Iterator[bytes]:
        more = " STARTTLS" if self.server.starttls is not None and not self.user else ""
        yield f"* CAPABILITY {self.server.capabilities}{more}\r\n".encode()
        yield self.done(request)

    def do_noop(self, request: Request) -> Iterator[bytes]:
        yield self.done(request)

    do_check = do_noop

    def do_id(self, request: Request) -> Iterator[bytes]:
        yield b'* ID ("name" "rawimap")\r\n'
        yield self.done(request)

    def do_logout(self, request: Request) -> Iterator[bytes]:
        yield b"* BYE\r\n"
        yield self.done(request)
        yield CLOSE

    # -- login ------------------------------------------------------------------------------------------------

    def do_starttls(self, request: Request) -> Iterator[bytes]:
        if self.server.starttls is None:
            raise BadError("no TLS here")
        self.starting_tls = True
        yield self.done(request)

    def do_login(self, request: Request) -> Iterator[bytes]:
        name, password = [word.decode("utf-8", "replace") for word in (*request.words(), b"", b"")[:2]]
        yield self._enter(request, name, allowed=password == self.server.password)

    def do_authenticate(self, request: Request) -> Iterator[bytes]:
        words = request.args.split()
        if not words or words[0].upper() != b"PLAIN":
            raise BadError("AUTHENTICATE Unknown authentication method")
        answer = base64.b64decode(words[1] if len(words) > 1 else self.ask(b"")).decode("utf-8", "replace")
        name, password = (*answer.split("\0"), "", "", "")[1:3]
        yield self._enter(request, name, allowed=password == self.server.password)

    def do_x_masterauth(self, request: Request) -> Iterator[bytes]:
        if self.server.master_password is None:
            raise BadError("unknown command")
        challenge = secrets.token_hex(12)
        wanted = hashlib.md5((challenge + self.server.master_password).encode(), usedforsecurity=False).hexdigest()
        self.master = self.ask(challenge.encode()) == wanted.encode()
        words = b" OK X-MASTERAUTH Welcome to server, master\r\n" if self.master else b" NO X-MASTERAUTH failed\r\n"
        yield request.tag + words

    def do_x_setuser(self, request: Request) -> Iterator[bytes]:
        name = (*request.words(), b"")[0].decode("utf-8", "replace")
        yield self._enter(request, name, allowed=self.master)

    def _enter(self, request: Request, name: str, *, allowed: bool) -> bytes:
        if not allowed or name not in self.server.mailboxes:
            return request.tag + f" NO {request.name} failed\r\n".encode()
        self.user = name
        return self.done(request)

    # -- folders ----------------------------------------------------------------------------------------------

    def folders(self) -> dict[str, list[RawMessage]]:
        return self.server.mailboxes[self.user]

    def messages(self) -> list[RawMessage]:
        return self.folders().get(self.folder, [])

    def numbers(self, folder: str) -> dict[str, int]:
        found = self.folders()[folder]
        validity = self.server.uidvalidity
        return {
            "MESSAGES": len(found),
            "RECENT": 0,
            "UIDNEXT": self.server.uidnext.get(folder, max((one.uid for one in found), default=0) + 1),
            "UIDVALIDITY": validity if isinstance(validity, int) else validity[folder],
            "UNSEEN": sum("\\Seen" not in one.flags for one in found),
        }

    def do_list(self, request: Request) -> Iterator[bytes]:
        words = [word.decode("ascii", "replace") for word in request.words()]
        if words and words[0].startswith("("):
            words = words[1:]
        if len(words) < 2:
            raise BadError("reference and pattern, please")
        for folder in self.folders():
            if imap_names.matches(imap_names.decode(words[0] + words[1]), folder):
                attributes = self.server.attributes.get(folder, "")
                yield f'* LIST ({attributes}) "/" '.encode() + imap_names.wire(folder) + b"\r\n"
        yield self.done(request)

    def _named(self, request: Request) -> str | None:
        name = imap_names.decode((*request.words(), b"")[0].decode("ascii", "replace"))
        name = "INBOX" if name.upper() == "INBOX" else name
        selectable = "\\noselect" not in self.server.attributes.get(name, "").lower()
        return name if name in self.folders() and selectable else None

    def do_status(self, request: Request) -> Iterator[bytes]:
        folder = self._named(request)
        if folder is None:
            yield request.tag + b" NO no such folder\r\n"
            return
        numbers = self.numbers(folder)
        wanted = request.words()[-1].decode("ascii").strip("()").upper().split()
        if not set(wanted) <= set(numbers):
            raise BadError("unknown STATUS item")
        items = " ".join(f"{item} {numbers[item]}" for item in wanted)
        yield b"* STATUS " + imap_names.wire(folder) + f" ({items})\r\n".encode()
        yield self.done(request)

    def do_select(self, request: Request) -> Iterator[bytes]:
        self.folder = ""
        folder = self._named(request)
        if folder is None:
            yield request.tag + b" NO no such folder\r\n"
            return
        self.folder, self.read_only = folder, request.name == "EXAMINE"
        numbers = self.numbers(folder)
        yield b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
        yield f"* {numbers['MESSAGES']} EXISTS\r\n* 0 RECENT\r\n".encode()
        yield f"* OK [UIDVALIDITY {numbers['UIDVALIDITY']}] UIDs valid\r\n".encode()
        yield f"* OK [UIDNEXT {numbers['UIDNEXT']}] next\r\n".encode()
        yield request.tag + (b" OK [READ-ONLY]" if self.read_only else b" OK [READ-WRITE]") + b" SELECT completed\r\n"

    do_examine = do_select

    # -- messages ---------------------------------------------------------------------------------------------

    def chosen(self, text: str, *, by_uid: bool) -> list[tuple[int, RawMessage]]:
        """Sequence number and message, in order of numbers, whatever the order asked."""
        pairs = list(enumerate(self.messages(), 1))
        top = max(((one.uid if by_uid else number) for number, one in pairs), default=0)
        admits = sequence(text, top)
        return [(number, one) for number, one in pairs if admits(one.uid if by_uid else number)]

    def do_search(self, request: Request) -> Iterator[bytes]:
        by_uid = request.name.startswith("UID")
        words = [word.decode("utf-8", "replace") for word in request.words()]
        found = select_messages(words, list(enumerate(self.messages(), 1)))
        numbers = "".join(f" {one.uid if by_uid else number}" for number, one in found)
        yield f"* SEARCH{numbers}\r\n".encode()
        yield self.done(request)

    do_uid_search = do_search

    def do_fetch(self, request: Request) -> Iterator[bytes]:
        by_uid = request.name.startswith("UID")
        wanted, _blank, rest = request.args.decode("ascii", "replace").partition(" ")
        items = ITEM.findall(rest.upper())
        for item in items:
            if item not in PLAIN_ITEMS and not SECTION.fullmatch(item):
                raise BadError(f"unknown FETCH item {item}")
        if by_uid and "UID" not in items:
            items.insert(0, "UID")
        for number, one in self.chosen(wanted, by_uid=by_uid):
            yield from self.fetched(number, one, items)
        yield self.done(request)

    do_uid_fetch = do_fetch

    def fetched(self, number: int, one: RawMessage, items: list[str]) -> Iterator[bytes]:
        """One FETCH response."""
        if not self.read_only and any(item.startswith(("BODY[", "RFC822")) and item != "RFC822.SIZE" for item in items):
            one.flags = tuple(dict.fromkeys((*one.flags, "\\Seen")))
        simple = {
            "UID": str(one.uid),
            "FLAGS": f"({' '.join(one.flags)})",
            "INTERNALDATE": f'"{one.date}"',
            "RFC822.SIZE": str(len(one.raw)),
        }
        separator = f"* {number} FETCH (".encode()
        for item in items:
            if item in simple:
                yield separator + f"{item} {simple[item]}".encode()
            else:
                yield from self._section(separator, item, one.raw)
            separator = b" "
        yield b")\r\n"

    @staticmethod
    def _section(separator: bytes, item: str, raw: bytes) -> Iterator[bytes]:
        match = SECTION.fullmatch(item)
        assert match is not None
        _name, part, start, count = match.groups()
        head, blank, body = raw.partition(b"\r\n\r\n")
        data = {"HEADER": head + blank, "TEXT": body}.get(part or "", raw)
        origin = ""
        if start is not None:
            data, origin = data[int(start) :][: int(count)], f"<{start}>"
        label = item.replace(".PEEK", "").partition("<")[0]
        yield separator + f"{label}{origin} {{{len(data)}}}\r\n".encode()
        yield data

    # -- changes ----------------------------------------------------------------------------------------------

    def do_store(self, request: Request) -> Iterator[bytes]:
        by_uid = request.name.startswith("UID")
        wanted, operation, rest = (*request.args.decode("ascii", "replace").split(None, 2), "", "", "")[:3]
        flags = [flag for flag in rest.strip("()").split() if flag]
        if self.read_only:
            yield request.tag + b" NO read-only\r\n"
            return
        for number, one in self.chosen(wanted, by_uid=by_uid):
            kept = [flag for flag in one.flags if flag not in flags] if not operation.upper().startswith("FLAGS") else []
            one.flags = tuple(kept if operation.startswith("-") else [*kept, *flags])
            if not operation.upper().endswith(".SILENT"):
                yield from self.fetched(number, one, ["UID", "FLAGS"] if by_uid else ["FLAGS"])
        yield self.done(request)

    do_uid_store = do_store

    def do_expunge(self, request: Request) -> Iterator[bytes]:
        yield from self._expunged("1:*")
        yield self.done(request)

    def do_uid_expunge(self, request: Request) -> Iterator[bytes]:
        if "UIDPLUS" not in self.server.capabilities.split():
            raise BadError("unknown command")
        yield from self._expunged(request.args.decode("ascii", "replace"))
        yield self.done(request)

    def do_close(self, request: Request) -> Iterator[bytes]:
        list(self._expunged("1:*"))
        self.folder = ""
        yield self.done(request)

    def _expunged(self, uids: str) -> Iterator[bytes]:
        """From the highest number down, so that the numbers stay right."""
        with self.server.lock:
            gone = [(n, one) for n, one in self.chosen(uids, by_uid=True) if "\\Deleted" in one.flags and not self.read_only]
            for number, one in reversed(gone):
                self.messages().remove(one)
                yield f"* {number} EXPUNGE\r\n".encode()
