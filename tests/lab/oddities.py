# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd messages by name, as bytes. Every one has been seen, in kind, in real mailboxes or in the reports of other archivers.

`oddities()` is pure and gives the same bytes on every machine. Dovecot changes some of them (generate_load.dovecot_keeps):
serve these from rawimap.py.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

from tests.lab.oddities_mime import STRUCTURES

EOL = b"\r\n"
MEGABYTE = 1 << 20


def message(*more: bytes, body: bytes = b"Hello.\r\n", name: bytes = b"odd") -> bytes:
    """An ordinary message with further header lines."""
    head = [
        b"From: alice@example.com",
        b"To: bob@example.com",
        b"Subject: " + name,
        b"Date: Tue, 4 Mar 2025 10:20:30 +0100",
        b"Message-ID: <" + name.replace(b" ", b".") + b"@example.com>",
        *more,
    ]
    return EOL.join(head) + EOL + EOL + body


def without(name: bytes, raw: bytes) -> bytes:
    """The message without its lines of that header."""
    head, blank, body = raw.partition(EOL + EOL)
    lines = [line for line in head.split(EOL) if not line.lower().startswith(name.lower() + b":")]
    return EOL.join(lines) + blank + body


def replaced(name: bytes, value: bytes, raw: bytes) -> bytes:
    """The message with another value for the header."""
    head, blank, body = raw.partition(EOL + EOL)
    prefix = name + b":"
    lines = [prefix + value if line.startswith(prefix) else line for line in head.split(EOL)]
    return EOL.join(lines) + blank + body


def noise(name: str, size: int) -> bytes:
    return random.Random(f"oddity {name}").randbytes(size)


BYTES: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"x",
    "only crlf": EOL,
    "only two crlf": EOL + EOL,
    "only lf": b"\n",
    "only spaces": b"   ",
    "only nul": b"\0",
    "only nul thousand": b"\0" * 1000,
    "nul in body": message(body=b"before\0after\r\n\0\r\n"),
    "nul in header": message(b"X-Nul: a\0b", name=b"nul\0subject"),
    "nul at the end": message(body=b"text\r\n") + b"\0",
    "bare cr in body": message(body=b"one\rtwo\rthree\r\n"),
    "bare cr in header": message(b"X-Cr: one\rtwo"),
    "bare cr at the end": message(body=b"text\r"),
    "bare lf in body": message(body=b"one\ntwo\nthree\r\n"),
    "bare lf throughout": message().replace(EOL, b"\n"),
    "bare lf in header": message(b"X-Lf: one\n two"),
    "bare lf ends the header": message().replace(EOL + EOL, b"\n\n", 1),
    "mixed line ends": message(body=b"crlf\r\nlf\ncr\rcrlf\r\nlfcr\n\r\r\r\n\n\n"),
    "cr cr lf": message().replace(EOL, b"\r\r\n"),
    "no final line end": message(body=b"the last line has no end"),
    "no final line end in header": message()[: -len(b"\r\n\r\nHello.\r\n")],
    "8 bit header": message("Subject: größer".encode("latin-1"), "X-Utf8: größer 日本".encode()),
    "8 bit address": replaced(b"From", " Jörg <jörg@größe.example>".encode(), message()),
    "8 bit all values": message(body=bytes(range(1, 256)) * 4),
    "all 256 values": message(body=bytes(range(256)) * 4),
    "invalid utf-8": message(b"X-Bad: \xff\xfe\xc3\x28", body=b"\xc3\x28\xa0\xa1\xed\xa0\x80\r\n"),
    "utf-8 bom": b"\xef\xbb\xbf" + message(),
    "utf-16 whole": message().decode("ascii").encode("utf-16"),
    "control characters": message(b"X-Control: \x01\x02\x07\x08\x0b\x0c\x1b[31m\x7f", body=b"\x1b[2J\x07\x0c\x1a\x04\r\n"),
    "ctrl-z in the middle": message(body=b"before\r\n\x1a\r\nafter\r\n"),
    "random bytes": noise("random", 10_000),
    "random bytes as body": message(body=noise("body", 50_000)),
}

HEADERS: dict[str, bytes] = {
    "no headers": EOL + b"Only a body.\r\n",
    "no body": message(body=b""),
    "no empty line": message()[: -len(b"\r\nHello.\r\n")],
    "headers only without end": b"Subject: x",
    "body without empty line": b"Subject: x\r\nThis is no header\r\nbut it goes on.\r\n",
    "missing colon": message(b"This line has no colon", b"X-After: y"),
    "colon first": message(b": no name", b":"),
    "space before colon": message(b"X-Space : y", b"X-Tab\t: y"),
    "header with only spaces": message(b"X-Blank:    ", b"X-Empty:", b"X-Folded-Blank:\r\n   \r\n\t"),
    "line of spaces ends the header": b"Subject: x\r\n   \r\nFrom: a@b.example\r\n\r\nbody\r\n",
    "folded oddly": message(b"X-Fold:\r\n one\r\n\ttwo\r\n \r\n three"),
    "folded first line": b" folded before anything\r\n" + message(),
    "folded in the name": message(b"X-Na\r\n me: value"),
    "folded every character": message(b"X-Chars:" + b"".join(b"\r\n %c" % char for char in b"abcdefghij" * 50)),
    "50 kb header line": message(b"X-Long: " + b"a" * 50_000),
    "50 kb body line": message(body=b"b" * 50_000 + EOL),
    "1 mb body line": message(body=b"c" * MEGABYTE),
    "50 kb address list": replaced(
        b"To", b" " + b",\r\n ".join(b"user%d@example.com" % number for number in range(2000)), message()
    ),
    "10000 headers": message(*(b"X-Number-%d: %d" % (number, number) for number in range(10_000))),
    "1 mb of received": message(
        *(b"Received: from h%d.example\r\n\tby h%d.example; Tue, 4 Mar 2025 10:20:30 +0100" % (n, n + 1) for n in range(14_000))
    ),
    "duplicate headers": message(b"Subject: second", b"From: other@example.com", b"Date: Mon, 1 Jan 2001 00:00:00 +0000"),
    "two message-ids": message(b"Message-ID: <second@example.com>", name=b"first"),
    "message-id missing": without(b"Message-ID", message()),
    "message-id duplicate one": message(name=b"twin", body=b"The first of two with one Message-ID.\r\n"),
    "message-id duplicate other": message(name=b"twin", body=b"The second of two with one Message-ID.\r\n"),
    "message-id forged": replaced(b"Message-ID", b" <../../etc/passwd\x00';DROP TABLE objects;--@evil>", message()),
    "message-id empty": replaced(b"Message-ID", b"", message()),
    "message-id of 10 kb": replaced(b"Message-ID", b" <" + b"m" * 10_000 + b"@example.com>", message()),
    "date missing": without(b"Date", message()),
    "date absurd": replaced(b"Date", b" Thu, 99 Foo 99999 99:99:99 +9999", message()),
    "date year 0": replaced(b"Date", b" Sat, 1 Jan 0000 00:00:00 +0000", message()),
    "date 1969": replaced(b"Date", b" Wed, 31 Dec 1969 23:59:59 +0000", message()),
    "date 2106": replaced(b"Date", b" Sun, 7 Feb 2106 06:28:16 +0000", message()),
    "from missing": without(b"From", message()),
    "from without address": replaced(b"From", b' "" <>', message()),
    "to undisclosed": replaced(b"To", b" undisclosed-recipients:;", message()),
    "address with comments": replaced(
        b"From", b' (a (nested) comment) "Doe\\, \\"J\\"" (x) < alice (y) @ example.com >', message()
    ),
    "rtl and emoji": message("X-Name: \u202egnp.exe\u202c שלום 🎉👩\u200d💻".encode(), body="مرحبا 🏴\U000e0067 a".encode()),
    "encoded words broken": message(
        b"X-Ew: =?utf-8?Q?=C3?= =?utf-8?B?4?= =?x-unknown?Q?a?= =?utf-8?X?a?= =?utf-8?Q?", b"X-Ew2: =??Q??="
    ),
    "envelope-to forged": message(b"X-Envelope-To: <mallory@example.com>", b"Delivered-To: mallory@example.com"),
    "bcc kept": message(b"Bcc: carol@example.com"),
    "mbox from line": b"From alice@example.com Tue Mar  4 10:20:30 2025\r\n" + message(),
    "mbox from line in body": message(body=b"text\r\n\r\nFrom here on it is text.\r\n>From there too.\r\n"),
    "content-length wrong": message(b"Content-Length: 999999", b"Lines: -1"),
    "status headers of mbox": message(b"Status: RO", b"X-Status: AF", b"X-UID: 4711", b"X-Keywords: NonJunk"),
    "dots": message(body=b".\r\n..\r\n...\r\n.leading\r\n"),
}

# Bodies that look like the protocol around them.
LOOKALIKES: dict[str, bytes] = {
    "literal look-alike": message(b"X-Literal: {123}", body=b"{123}\r\n{123+}\r\n~{5}\r\n"),
    "literal look-alike at the end": message(body=b"text {99999999}\r\n") + b"{10}",
    "closing parenthesis": message(body=b")\r\n UID 1)\r\n FLAGS (\\Seen))\r\n"),
    "closing parenthesis alone": b")",
    "expunge look-alike": message(body=b"* 1 EXPUNGE\r\n* 0 EXISTS\r\n* BYE gone\r\n* OK [UIDVALIDITY 1]\r\n"),
    "tagged look-alike": message(body=b"A0001 OK done\r\na1 OK FETCH completed\r\n1 OK\r\nt OK\r\n* OK\r\n+ go\r\n"),
    "fetch look-alike": b"* 7 FETCH (UID 7 BODY[] {3}\r\nabc)\r\n" + message(),
    "quotes and backslashes": message(b'X-Quote: "a\\"b\\\\" \\', body=b'"""\\\\\\"\r\n'),
    "html and script": message(b"Subject: <script>alert(1)</script>", body=b"<img src=x onerror=alert(1)>{{ 7*7 }}\r\n"),
    "jinja and shell": message(b"X-Jinja: {{ lookup('pipe', 'id') }}", body=b"$(id) `id` %s %n ${HOME}\r\n"),
}


def _big() -> Iterator[tuple[str, bytes]]:
    attachment = base64.encodebytes(noise("attachment", MEGABYTE)).replace(b"\n", EOL)
    head = b'Content-Type: multipart/mixed; boundary="B"'
    part = b"--B\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    yield "20 mb attachment", message(head, body=part + attachment * 15 + b"--B--\r\n", name=b"20 mb")
    yield "5 mb of short lines", message(body=b"a\r\n" * (5 * MEGABYTE // 3))
    yield "5 mb of empty lines", message(body=EOL * (5 * MEGABYTE // 2))
    yield "size 65535", message(body=b"x" * (65535 - len(message(body=b""))))
    yield "size 65536", message(body=b"x" * (65536 - len(message(body=b""))))
    yield "size 262144", message(body=b"x" * (262144 - len(message(body=b""))))


def oddities() -> dict[str, bytes]:
    """Name to message. About 35 MB in all; "20 mb attachment" alone is 21 MB."""
    found = {**BYTES, **HEADERS, **LOOKALIKES}
    found.update({name: message(head, body=body) for name, (head, body) in STRUCTURES.items()})
    found.update(_big())
    return found
