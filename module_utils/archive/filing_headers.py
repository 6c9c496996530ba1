# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses in a message's header, read from its raw bytes. Pure: no I/O.

Python's ``email`` package raises on some real mail and costs a hundred times more; this scanner reads the few fields that filing
needs, looks at nothing below the header block and never raises, whatever the bytes are.
"""

from __future__ import annotations

import binascii
import quopri
import re
import typing as t
from dataclasses import dataclass

HEADER_LIMIT = 1 << 20  # what stands further down in a header block is not looked at

_END_OF_HEADER = re.compile(rb"\r?\n\r?\n|\r\r")
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+)", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[()<>,;:]|\\.|[^"()<>,;:\\]++|.', re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_.:-]+)(?:\*[A-Za-z-]+)?\?([BbQq])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_RECEIVED_FOR = re.compile(r"\bfor\s+(<[^<>]*>|[^\s;()<>]+)", re.IGNORECASE)
_DOT_ATOM = re.compile(r"[^\s\"(),:;<>@\[\]\\]+")
_DOMAIN = re.compile(r"[^\s\"(),:;<>@\\]+")

# Fields that a server puts on top of what it received; the first field of another name ends the part that it wrote.
_TRACE = frozenset({b"received", b"return-path", b"x-envelope-to", b"delivered-to", b"x-original-to", b"envelope-to"})
_TRACE_PREFIXES = (
    b"x-kerio-",
    b"x-spam-",
    b"authentication-results",
    b"received-spf",
    b"dkim-",
    b"arc-",
    b"x-received",
    b"x-footer",
)
_RECIPIENTS = (b"to", b"cc", b"bcc")
_SENDERS = (b"from", b"sender")
_WANTED = frozenset({*_RECIPIENTS, *_SENDERS, b"received", b"x-envelope-to", b"delivered-to"})


@dataclass(frozen=True)
class Addresses:
    """The addresses in a header, lower case, each once, in the order of the header.

    ``envelope`` are the recipients that the last server itself wrote: topmost X-Envelope-To, topmost Delivered-To and the "for"
    of the topmost Received. Whatever stands further down can be forged and is left out.
    """

    envelope: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()


def header_block(message: bytes | bytearray | memoryview) -> bytes:
    """The header of a message without the empty line, at most ``HEADER_LIMIT`` bytes."""
    start = bytes(message[:HEADER_LIMIT])
    end = _END_OF_HEADER.search(start)
    return start[: end.start()] if end else start


def scan(header: bytes) -> Addresses:
    """Read the addresses out of a header block (``header_block``)."""
    found = list(fields(header))
    named: dict[bytes, list[str]] = {}
    for name, value in found:
        if name in _WANTED:
            named.setdefault(name, []).append(value)
    return Addresses(
        envelope=_unique(_envelope(found)),
        recipients=_unique(address for name in _RECIPIENTS for value in named.get(name, ()) for address in addresses(value)),
        senders=_unique(address for name in _SENDERS for value in named.get(name, ()) for address in addresses(value)),
    )


def addresses(value: str) -> list[str]:
    """All addresses in the value of a header field, lower case; groups, comments, routes, quoted local parts, folding understood.

    An encoded word is decoded only when the value shows no address without it: some programs encode the whole list.
    """
    found = _parse(value)
    if not found and "=?" in value:
        found = _parse(decode_words(value))
    return found


def fields(header: bytes) -> t.Iterator[tuple[bytes, str]]:
    """Name (lower case) and value of every field of a header block: with its folds, bytes that are not UTF-8 as surrogates."""
    for match in _FIELD.finditer(header):
        yield match[1].lower(), match[2].decode("utf-8", "surrogateescape")


def _unique(values: t.Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _envelope(fields: list[tuple[bytes, str]]) -> t.Iterator[str]:
    """The recipients that the server wrote: the topmost field of each kind, in the part above the message as it came.

    A server writes on top of what it received. Its own part ends at the second Received, or at the first field that no server
    writes there. Several lines of one kind in a row are one statement (one line per recipient).
    """
    done: set[bytes] = set()
    previous = b""
    for name, value in fields:
        if name != previous and previous:
            done.add(previous)
        if (name == b"received" and (previous == name or name in done)) or not _is_trace(name):
            return
        if name == b"received":
            yield from _received_for(value)
        elif name in (b"x-envelope-to", b"delivered-to") and name not in done:
            yield from addresses(value)
        previous = name


def _is_trace(name: bytes) -> bool:
    return name in _TRACE or name.startswith(_TRACE_PREFIXES)


def _received_for(value: str) -> list[str]:
    match = _RECEIVED_FOR.search(_without_comments(value))
    return addresses(match[1]) if match else []


def _without_comments(value: str) -> str:
    depth = 0
    kept = []
    for piece in _TOKEN.findall(value):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(piece)
    return "".join(kept)


class _Collector:
    """Takes the pieces of an address list one by one; ``found`` are the addresses."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.depth = 0
        self.words: list[str] = []
        self.angle: list[str] | None = None
        self.special: dict[str, t.Callable[[], None]] = {
            "(": self.open_comment,
            "<": self.open_angle,
            ">": self.close_angle,
            ",": self.end_address,
            ";": self.end_address,
            ":": self.drop_name,
        }

    def take(self, piece: str) -> None:
        if self.depth:
            self.depth += {"(": 1, ")": -1}.get(piece, 0)
        elif piece in self.special:
            self.special[piece]()
        else:
            (self.words if self.angle is None else self.angle).append(piece)

    def open_comment(self) -> None:
        self.depth = 1

    def open_angle(self) -> None:
        self.angle = []

    def close_angle(self) -> None:
        """What stands before an address in brackets is a name; behind it, without a comma, may stand the next address."""
        found = _address("".join(self.angle or ()))
        if found:
            self.found += found
            self.words = []
        self.angle = None

    def drop_name(self) -> None:
        """What stands before a colon is the name of a group, the route of an old address, or a scheme."""
        if self.angle is not None:
            self.angle = []
        else:
            self.words = []

    def end_address(self) -> None:
        if self.angle is not None and "@" not in "".join(self.angle):
            return  # a comma in a broken angle address
        self.close_angle()
        self.found += _address("".join(self.words))
        self.words = []


def _parse(value: str) -> list[str]:
    if "@" not in value:
        return []
    collector = _Collector()
    for piece in _TOKEN.findall(_ENCODED_COMMA.sub(",", value)):
        collector.take(piece)
    if collector.depth:
        return _parse(value.replace("(", " "))  # a comment that never ends would swallow the rest
    collector.end_address()
    return collector.found


# Python's own email package writes the comma between two addresses like this when it folds a line beside an encoded name.
_ENCODED_COMMA = re.compile(r"=\?[^?\s]{1,40}\?[Qq]\?=2[Cc]\?=")
_SPEC = re.compile(r'("(?:[^"\\]++|\\.)*+"|[^\s"@]++)\s*+@\s*+([^\s"@]++)', re.DOTALL)


def _address(text: str) -> list[str]:
    """The addresses in a text without comments, names of groups and brackets; none when there is none."""
    if "=?" in text:
        text = decode_words(text)
    found = [_normal(match[1], match[2]) for match in _SPEC.finditer(text)]
    if not found and text.count('"') > 1:
        # Some programs put the whole address into quotation marks.
        found = [_normal(match[1], match[2]) for match in _SPEC.finditer(text.replace('"', " "))]
    return [address for address in found if address]


def _normal(local: str, domain: str) -> str:
    """``local@domain`` in lower case, without quotation marks that say nothing; empty when it is no address."""
    if local.startswith('"'):
        bare = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
        local = bare if _DOT_ATOM.fullmatch(bare) else local
    domain = domain.rstrip(".")
    if not local or not _DOMAIN.fullmatch(domain):
        return ""
    return f"{local}@{domain}".lower()


def decode_words(value: str) -> str:
    """The value with its encoded words (RFC 2047) decoded; one that cannot be decoded stays as it is."""
    return _ENCODED_WORD.sub(_decode_word, _BETWEEN_WORDS.sub(r"\1", value))


def _decode_word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    try:
        raw = text.encode("ascii", "replace")
        if encoding in "Bb":
            body = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
        else:
            body = quopri.decodestring(raw.replace(b"_", b" "))
        return body.decode(charset, "replace")
    except (LookupError, ValueError):
        return match[0]
