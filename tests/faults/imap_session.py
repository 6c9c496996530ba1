# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the IMAP server of the fault tests: login, folders, SEARCH (RFC 3501, 4315, 5819, 6154, 7162)."""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import typing as t

from tests.faults import imap_messages
from tests.faults.imap_arguments import BadCommandError, Value, in_set, parse, search_test, word
from tests.faults.imap_script import CLOSE, Chunk, Command
from tests.faults.imap_state import DELETED, Folder, Message

if t.TYPE_CHECKING:
    from tests.faults.imap_server import ImapServer

ANY_STATE = frozenset(
    {"CONNECT", "GREETING", "CAPABILITY", "NOOP", "LOGOUT", "LOGIN", "X-MASTERAUTH", "X-SETUSER", "STARTTLS", "ID"}
)
OPEN_FOLDER = frozenset(
    {"FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "STORE", "UID STORE", "EXPUNGE", "UID EXPUNGE", "CLOSE", "UNSELECT", "CHECK"}
)
# RFC 3501 section 7.4.1: during these, sequence numbers must stay what they are.
NUMBERS_FIXED = frozenset({"FETCH", "STORE", "SEARCH"})
NAMES_FOLDER = frozenset({"SELECT", "EXAMINE", "STATUS", "APPEND", "CREATE", "SUBSCRIBE"})
SYSTEM_FLAGS = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
SPECIAL_USE = frozenset({"\\trash", "\\drafts", "\\junk", "\\sent", "\\archive", "\\all", "\\flagged"})


class RefusedError(Exception):
    """The command is answered with NO and this text."""


class Session:
    """What one connection has done so far. ``view`` are the UIDs that the client was told of, by sequence number."""

    def __init__(self, server: ImapServer, number: int, ask: t.Callable[[bytes], bytes]) -> None:
        self.server = server
        self.state = server.state
        self.number = number
        self.ask = ask
        self.user = ""
        self.master = False
        self.selected = b""
        self.read_only = False
        self.view: list[int] = []
        self.starting_tls = False

    # Reading a command

    def command(self, tag: bytes, parts: list[bytes]) -> Command:
        """Read a command; what it is about is found out for the rules, as far as that can be."""
        words = parts[0].split(None, 2)
        count = 2 if words[:1] and words[0].upper() == b"UID" else 1
        verb = b" ".join(words[:count]).decode("ascii", "replace").upper()
        parts[0] = parts[0].split(None, count)[count] if len(words) > count else b"\r\n"
        text = parts[0].decode("utf-8", "replace").rstrip("\r\n")
        command = Command(self, tag, verb, text, parts, self.selected)
        try:
            arguments = parse(parts)
            if verb in NAMES_FOLDER and arguments:
                command.folder = _raw(arguments[0])
            elif verb.startswith("UID ") and self.selected:
                command.uids = self._named_uids(verb, arguments)
        except BadCommandError:
            pass
        return command

    def _named_uids(self, verb: str, arguments: list[Value]) -> tuple[int, ...]:
        with self.state.lock:
            messages = self.opened().messages
            top = max((message.uid for message in messages), default=0)
            if verb == "UID SEARCH":
                test = search_test(arguments, top)
                return tuple(message.uid for number, message in self.numbered() if test(number, message))
            admits = in_set(word(arguments[0]), top) if arguments else lambda _uid: False
            return tuple(message.uid for message in messages if admits(message.uid))

    # Answering it

    def answer(self, command: Command) -> t.Iterator[Chunk]:
        """The ordinary answer."""
        action: t.Callable[[Command], t.Iterator[Chunk]] | None
        name = "do_" + re.sub(r"\W", "_", command.verb).lower()
        action = getattr(self, name, None) or getattr(imap_messages, name, None)
        try:
            if action is None or (not self.user and command.verb not in ANY_STATE):
                raise BadCommandError("unknown command, or not now")
            if command.verb in OPEN_FOLDER and not self.selected:
                raise BadCommandError("no folder is open")
            yield from action(command)
        except BadCommandError as error:
            yield command.fill(b"{tag} BAD " + str(error).encode() + b"\r\n")
        except RefusedError as error:
            yield command.fill(b"{tag} NO " + str(error).encode() + b"\r\n")

    def done(self, command: Command, words: str = "") -> t.Iterator[bytes]:
        """News of the open folder as far as they may be told now, and the tagged OK."""
        yield from self.news(expunged=command.verb not in NUMBERS_FIXED)
        yield command.fill(b"{tag} OK " + (words or f"{command.verb} completed").encode() + b"\r\n")

    def news(self, *, expunged: bool = True) -> t.Iterator[bytes]:
        """EXPUNGE, from the highest number down, and EXISTS for what the client was not told yet."""
        if not self.selected:
            return
        with self.state.lock:
            now = self.opened().uids()
            present = set(now)
            gone = [number for number, uid in enumerate(self.view, 1) if uid not in present] if expunged else []
            for number in reversed(gone):
                del self.view[number - 1]
                yield b"* %d EXPUNGE\r\n" % number
            known = set(self.view)
            if new := [uid for uid in now if uid not in known]:
                self.view += new
                yield b"* %d EXISTS\r\n" % len(self.view)

    def opened(self) -> Folder:
        return self.state.folder(self.user, self.selected)

    def numbered(self) -> list[tuple[int, Message]]:
        """The messages of the open folder that the client knows, with their sequence numbers."""
        messages = {message.uid: message for message in self.opened().messages}
        return [(number, messages[uid]) for number, uid in enumerate(self.view, 1) if uid in messages]

    def may(self, capability: str) -> bool:
        return capability in self.server.capabilities

    # Any state

    def do_connect(self, _command: Command) -> t.Iterator[Chunk]:
        yield b""

    def do_greeting(self, _command: Command) -> t.Iterator[Chunk]:
        yield self.server.greeting

    def do_capability(self, command: Command) -> t.Iterator[Chunk]:
        more = ["STARTTLS"] if self.server.starttls is not None and not self.user else []
        yield b"* CAPABILITY " + " ".join([*self.server.capabilities, *more]).encode() + b"\r\n"
        yield from self.done(command)

    def do_noop(self, command: Command) -> t.Iterator[Chunk]:
        yield from self.done(command)

    do_check = do_noop

    def do_id(self, command: Command) -> t.Iterator[Chunk]:
        yield b'* ID ("name" "fault")\r\n'
        yield from self.done(command)

    def do_namespace(self, command: Command) -> t.Iterator[Chunk]:
        yield b'* NAMESPACE (("" "/")) NIL NIL\r\n'
        yield from self.done(command)

    def do_logout(self, command: Command) -> t.Iterator[Chunk]:
        yield b"* BYE logging out\r\n"
        yield command.fill(b"{tag} OK LOGOUT completed\r\n")
        yield CLOSE

    # Login

    def do_starttls(self, command: Command) -> t.Iterator[Chunk]:
        if self.server.starttls is None:
            raise BadCommandError("no TLS here")
        self.starting_tls = True
        yield command.fill(b"{tag} OK begin\r\n")

    def do_login(self, command: Command) -> t.Iterator[Chunk]:
        name, password = (*map(word, parse(command.parts)), "", "")[:2]
        yield from self._enter(command, name, self.server.passwords.get(name, self.server.password) == password)

    def do_x_masterauth(self, command: Command) -> t.Iterator[Chunk]:
        """The exchange of Kerio's vendor article: hex MD5 of challenge and password."""
        if not self.server.master_password:
            raise BadCommandError("unknown command")
        challenge = secrets.token_hex(12)
        right = hashlib.md5((challenge + self.server.master_password).encode(), usedforsecurity=False).hexdigest()
        self.master = self.ask(challenge.encode()) == right.encode()
        if not self.master:
            raise RefusedError("X-MASTERAUTH failed")
        yield command.fill(b"{tag} OK X-MASTERAUTH Welcome to server, master\r\n")

    def do_x_setuser(self, command: Command) -> t.Iterator[Chunk]:
        name = word(next(iter(parse(command.parts)), b""))
        yield from self._enter(command, name, self.master)

    def _enter(self, command: Command, name: str, allowed: bool) -> t.Iterator[Chunk]:
        if not allowed or name not in self.state.mailboxes:
            raise RefusedError(f"{command.verb} failed")
        self.user = name
        yield from self.done(command)

    # Folders

    def folders(self) -> dict[bytes, Folder]:
        return self.state.mailboxes[self.user]

    def named(self, value: Value) -> bytes:
        """The name of a folder that can be opened."""
        raw = _raw(value)
        folder = self.folders().get(raw)
        if folder is None or "\\noselect" in folder.attributes.lower():
            raise RefusedError("no such folder")
        return raw

    def do_list(self, command: Command) -> t.Iterator[Chunk]:
        """With SPECIAL-USE, the only selection option here, and what RETURN asks for, where the server announces it."""
        arguments = parse(command.parts)
        only = bool(arguments) and isinstance(arguments[0], list)
        arguments = arguments[only:]
        if len(arguments) < 2:
            raise BadCommandError("reference and pattern, please")
        wanted = _pattern(word(arguments[0]) + word(arguments[1]))
        items = _status_items(arguments[3]) if len(arguments) > 3 and isinstance(arguments[3], list) else []
        if (only and not self.may("SPECIAL-USE")) or (items and not self.may("LIST-STATUS")):
            raise BadCommandError("unknown option")
        with self.state.lock:
            listed = {raw: folder for raw, folder in self.folders().items() if wanted.fullmatch(raw)}
        for raw, folder in listed.items():
            if only and not SPECIAL_USE & set(folder.attributes.lower().split()):
                continue
            separator = b'"%s"' % folder.separator if folder.separator else b"NIL"
            yield b"* LIST (%s) %s %s\r\n" % (folder.attributes.encode(), separator, string(raw))
            if items and "\\noselect" not in folder.attributes.lower():
                yield self._status(raw, items)
        yield from self.done(command)

    def do_create(self, command: Command) -> t.Iterator[Chunk]:
        """Without the parents, as a server may."""
        raw = _raw(next(iter(parse(command.parts)), b""))
        with self.state.lock:
            if raw in self.folders():
                raise RefusedError("[ALREADYEXISTS] it is there")
            self.state.folder(self.user, raw)
        yield from self.done(command)

    def do_subscribe(self, command: Command) -> t.Iterator[Chunk]:
        self.named(next(iter(parse(command.parts)), b""))
        yield from self.done(command)

    def do_status(self, command: Command) -> t.Iterator[Chunk]:
        arguments = parse(command.parts)
        if len(arguments) != 2 or not isinstance(arguments[1], list):
            raise BadCommandError("a name and items, please")
        yield self._status(self.named(arguments[0]), [word(item).upper() for item in arguments[1]])
        yield from self.done(command)

    def _status(self, raw: bytes, items: list[str]) -> bytes:
        with self.state.lock:
            folder = self.folders()[raw]
            numbers = {
                "MESSAGES": len(folder.messages),
                "RECENT": 0,
                "UIDNEXT": folder.uidnext,
                "UIDVALIDITY": folder.uidvalidity,
                "UNSEEN": sum("\\Seen" not in message.flags for message in folder.messages),
            }
            if self.may("CONDSTORE"):
                numbers["HIGHESTMODSEQ"] = folder.modseq
        if not set(items) <= set(numbers):
            raise BadCommandError("unknown STATUS item")
        told = " ".join(f"{item} {numbers[item]}" for item in items)
        return b"* STATUS %s (%s)\r\n" % (string(raw), told.encode())

    def do_select(self, command: Command) -> t.Iterator[Chunk]:
        self.selected, self.view = b"", []
        with self.state.lock:
            raw = self.named(next(iter(parse(command.parts)), b""))
            self.selected, self.read_only = raw, command.verb == "EXAMINE"
            folder = self.opened()
            self.view = folder.uids()
            lines = [f"FLAGS ({SYSTEM_FLAGS})", f"{len(self.view)} EXISTS", "0 RECENT"]
            lines.append(f"OK [PERMANENTFLAGS ({'' if self.read_only else SYSTEM_FLAGS})] these")
            lines.append(f"OK [UIDVALIDITY {folder.uidvalidity}] valid")
            lines.append(f"OK [UIDNEXT {folder.uidnext}] next")
            if self.may("CONDSTORE"):
                lines.append(f"OK [HIGHESTMODSEQ {folder.modseq}] highest")
        yield from (b"* " + line.encode() + b"\r\n" for line in lines)
        mode = b"READ-ONLY" if self.read_only else b"READ-WRITE"
        yield command.fill(b"{tag} OK [" + mode + b"] SELECT completed\r\n")

    do_examine = do_select

    def do_unselect(self, command: Command) -> t.Iterator[Chunk]:
        self.selected, self.view = b"", []
        yield from self.done(command)

    def do_close(self, command: Command) -> t.Iterator[Chunk]:
        with self.state.lock:
            imap_messages.take_out(self, [message.uid for message in self.opened().messages if DELETED in message.flags])
        yield from self.do_unselect(command)

    def do_search(self, command: Command) -> t.Iterator[Chunk]:
        by_uid = command.verb.startswith("UID")
        with self.state.lock:
            test = search_test(parse(command.parts), max((message.uid for message in self.opened().messages), default=0))
            found = [(number, message) for number, message in self.numbered() if test(number, message)]
        yield b"* SEARCH" + b"".join(b" %d" % (message.uid if by_uid else number) for number, message in found) + b"\r\n"
        yield from self.done(command)

    do_uid_search = do_search


def _raw(value: Value) -> bytes:
    raw = word(value).encode("utf-8", "surrogateescape")
    return b"INBOX" if raw.upper() == b"INBOX" else raw


def _pattern(text: str) -> re.Pattern[bytes]:
    """LIST's wild cards; a separator is taken for "/"."""
    raw = re.escape(text.encode("utf-8", "surrogateescape"))
    return re.compile(raw.replace(rb"\*", b".*").replace(rb"%", b"[^/]*"), re.DOTALL)


def _status_items(options: list[Value]) -> list[str]:
    """The items of ``RETURN (... STATUS (...))``."""
    for option, value in itertools.pairwise(options):
        if option == b"STATUS" and isinstance(value, list):
            return [word(item).upper() for item in value]
    return []


def string(raw: bytes) -> bytes:
    """A name as it travels: quoted, or as a literal where it cannot be."""
    if re.search(rb"[\0\r\n]", raw):
        return b"{%d}\r\n%s" % (len(raw), raw)
    return b'"%s"' % re.sub(rb'(["\\])', rb"\\\1", raw)
