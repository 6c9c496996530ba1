# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on the servers, read a second time without a line of the project: imaplib and hashlib only.

Its counterpart is independent_archive.py. Both give rows (server, mailbox, folder, UIDVALIDITY, UID, SHA-256) to `differences`.
"""

from __future__ import annotations

import base64
import hashlib
import imaplib
import re
import ssl
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

AT_A_TIME = 200
SHOWN = 20  # differences that are worth reading
FETCHED = re.compile(rb'UID (\d+).*?RFC822\.SIZE (\d+).*?INTERNALDATE "([^"]+)"', re.DOTALL)
LISTED = re.compile(rb'\((?P<attributes>[^)]*)\) (?:"[^"]*"|NIL) (?P<name>.*)', re.DOTALL)
LITERAL = re.compile(rb"\{\d+\}\Z")


class Row(NamedTuple):
    """One message where it lies; `digest` is the SHA-256 of its bytes in hexadecimal digits."""

    server: str
    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    digest: str


class Seen(NamedTuple):
    """A message as the server served it; `internaldate` in the server's words, `virtual_size` is its RFC822.SIZE."""

    row: Row
    size: int
    virtual_size: int
    internaldate: str


class Site(NamedTuple):
    """How a server is reached: IMAP over TLS, verified, every mailbox by the master password."""

    name: str
    host: str
    port: int
    ca_file: str
    master_password: str


class Master:
    """Kerio's answer to the challenge: MD5 of challenge and password. imaplib wants a bound method for it."""

    def __init__(self, password: str) -> None:
        self.password = password

    def answer(self, challenge: bytes) -> bytes:
        text = challenge.strip() + self.password.encode("ascii")
        return hashlib.md5(text, usedforsecurity=False).hexdigest().encode("ascii")


def by_master(site: Site, mailbox: str) -> Mailbox:
    """Open a mailbox by X-MASTERAUTH and X-SETUSER."""
    context = ssl.create_default_context(cafile=site.ca_file)
    imap: Any = imaplib.IMAP4_SSL(site.host, site.port, ssl_context=context, timeout=120)
    imap.literal = Master(site.master_password).answer
    ok(imap.xatom("X-MASTERAUTH"))
    ok(imap.xatom("X-SETUSER", quoted(mailbox)))
    imap.state = "AUTH"
    return Mailbox(imap, site.name, mailbox)


class Mailbox:
    """One mailbox of a server on a connection that is logged in."""

    def __init__(self, imap: Any, server: str, mailbox: str) -> None:
        self.imap = imap
        self.server = server
        self.name = mailbox

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.imap.logout()

    def folders(self) -> list[tuple[str, str]]:
        """Every folder that can be opened: the argument that opens it, and its true name."""
        ok(self.imap.xatom("LIST", '""', '"*"'))
        found = []
        for attributes, raw in _list_lines(self.imap.response("LIST")[1]):
            if b"\\noselect" not in attributes.lower():
                found.append((quoted(raw.decode("ascii")), true_name(raw.decode("ascii"))))
        return found

    def messages(self, argument: str, folder: str) -> Iterator[Seen]:
        """Every message of a folder."""
        ok(self.imap.select(argument, readonly=True))
        uidvalidity = int(self.imap.response("UIDVALIDITY")[1][0])
        uids = ok(self.imap.uid("SEARCH", "ALL"))[0].split()
        for first in range(0, len(uids), AT_A_TIME):
            wanted = b",".join(uids[first : first + AT_A_TIME]).decode("ascii")
            parts = ok(self.imap.uid("FETCH", wanted, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[])"))
            for head, raw in (part for part in parts if isinstance(part, tuple)):
                match = FETCHED.search(head)
                assert match, head
                row = Row(self.server, self.name, folder, uidvalidity, int(match[1]), hashlib.sha256(raw).hexdigest())
                yield Seen(row, len(raw), int(match[2]), match[3].decode("ascii").strip())

    def all_messages(self) -> Iterator[Seen]:
        for argument, folder in self.folders():
            yield from self.messages(argument, folder)


def ok(answer: tuple[str, list[Any]]) -> list[Any]:
    assert answer[0] == "OK", answer
    return answer[1]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _list_lines(lines: Iterable[Any]) -> Iterator[tuple[bytes, bytes]]:
    """Attributes and raw name of each LIST line; a name may come quoted, bare or as a literal."""
    for line in lines:
        if not line:
            continue
        head, literal = line if isinstance(line, tuple) else (line, None)
        match = LISTED.match(head)
        assert match, line
        name = match["name"]
        if literal is not None and LITERAL.search(name):
            name = literal
        elif name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        yield match["attributes"], name


def true_name(raw: str) -> str:
    """A folder name out of IMAP's modified UTF-7 (RFC 3501, 5.1.3)."""

    def shifted(match: re.Match[str]) -> str:
        coded = match[1].replace(",", "/")
        return base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-16-be") if coded else "&"

    return re.sub("&([^-]*)-", shifted, raw)


def read_servers(mailboxes: Iterable[tuple[Site, str]]) -> list[Seen]:
    """Every message of these mailboxes."""
    found: list[Seen] = []
    for site, mailbox in mailboxes:
        with by_master(site, mailbox) as opened:
            found += opened.all_messages()
    return found


def differences(on_servers: Iterable[Row], in_archive: Iterable[Row]) -> list[str]:
    """What one multiset has and the other has not, both ways; empty when they are equal."""
    served, archived = Counter(on_servers), Counter(in_archive)
    found = [f"{count} x on the server only: {row}" for row, count in (served - archived).items()]
    found += [f"{count} x in the archive only: {row}" for row, count in (archived - served).items()]
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"and {len(found) - SHOWN} more"]
