# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes letters: reproducible messages with charsets, attachments, threads and all the usual structure."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import quopri
import random
from collections.abc import Sequence

from tests.lab.generate_load import imap_date
from tests.lab.generate_text import CHARSETS, WIDE, WORDS, Pools

EOL = b"\r\n"
FIRST_DAY = datetime.datetime(2009, 1, 5, 8, 0, tzinfo=datetime.UTC)
DAYS = 17 * 365
OUTSIDE = ("anna@customer.example.net", "Bo.Berg@vendor.example.org", "news@lists.example.org", "zoë@größe.example")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
KINDS = ("internal", "incoming", "outgoing")


@dataclasses.dataclass(frozen=True)
class Letter:
    """One message as it lies in every mailbox that holds it. `date` is aware; `message_id` is "" when it has none."""

    raw: bytes
    kind: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    message_id: str
    date: datetime.datetime


def mail_date(when: datetime.datetime) -> str:
    """RFC 5322 date, independent of the locale."""
    return f"{WEEKDAYS[when.weekday()]}, {imap_date(when).replace('-', ' ', 2)}"


def encoded_words(text: str, charset: str, codec: str) -> bytes:
    """A header value: plain if it is ASCII, else B-encoded words of at most 75 characters."""
    if text.isascii():
        return text.encode("ascii")
    words = [base64.b64encode(text[i : i + 8].encode(codec)).decode() for i in range(0, len(text), 8)]
    return "\r\n ".join(f"=?{charset}?B?{word}?=" for word in words).encode("ascii")


class Author:
    """Draws letters one after the other. The same seed and people give the same letters in the same order."""

    def __init__(self, seed: int | str, people: Sequence[str]) -> None:
        self.chance = random.Random(f"author {seed}")
        self.pools = Pools(str(seed))
        self.people = list(people)
        self._threads: list[tuple[str, str]] = []
        self._number = 0

    def letter(self) -> Letter:
        self._number += 1
        kind = self.chance.choices(KINDS, weights=(50, 35, 15))[0]
        sender, recipients, copies = self._envelope(kind)
        date = self._date()
        label, codec, sample = CHARSETS[self._number % len(CHARSETS)]
        subject, parent = self._subject(sample)
        message_id = "" if self._number % 23 == 0 else f"<{self.chance.getrandbits(64):016x}.{self._number}@{_domain(sender)}>"
        head = [
            *self._trace(kind, sender, recipients, date),
            b"From: " + _mailbox(sender),
            b"To: " + b", ".join(map(_mailbox, recipients)),
            *([b"Cc: " + b", ".join(map(_mailbox, copies))] if copies else []),
            b"Subject: " + encoded_words(subject, label, codec),
            f"Date: {mail_date(date)}".encode(),
            *([f"Message-ID: {message_id}".encode()] if message_id else []),
            *([f"In-Reply-To: {parent}\r\nReferences: {parent}".encode()] if parent else []),
            b"MIME-Version: 1.0",
        ]
        raw = EOL.join([*head, self._content(label, codec, sample)])
        if message_id:
            self._threads = [*self._threads[-40:], (message_id, subject)]
        return Letter(raw, kind, sender, (*recipients, *copies), subject, message_id, date)

    # -- envelope and header ----------------------------------------------------------------------------------

    def _envelope(self, kind: str) -> tuple[str, list[str], list[str]]:
        chance = self.chance
        if kind == "outgoing":
            return chance.choice(self.people), [chance.choice(OUTSIDE[:2])], []
        sender = chance.choice(self.people if kind == "internal" else OUTSIDE)
        others = [person for person in self.people if person != sender] or self.people
        chosen = chance.sample(others, k=min(len(others), chance.choices((1, 2, 5), weights=(6, 3, 1))[0]))
        cut = 1 if len(chosen) < 3 else 2
        return sender, chosen[:cut], chosen[cut:]

    def _date(self) -> datetime.datetime:
        minutes = self.chance.randrange(DAYS * 1440)
        zone = datetime.timezone(datetime.timedelta(minutes=self.chance.choice((0, 60, 120, -300, 330, 765))))
        return (FIRST_DAY + datetime.timedelta(minutes=minutes, seconds=self.chance.randrange(60))).astimezone(zone)

    def _subject(self, sample: str) -> tuple[str, str]:
        """Subject and the Message-ID that it answers, if it does."""
        if self._threads and self.chance.random() < 0.3:
            parent, subject = self.chance.choice(self._threads)
            if subject.isascii():
                return (subject if subject.startswith("Re: ") else f"Re: {subject}"), parent
        words = " ".join(self.chance.sample(WORDS, k=3))
        return (f"{words} {sample[:20]}" if self._number % 3 == 0 else words), ""

    def _trace(self, kind: str, sender: str, recipients: list[str], date: datetime.datetime) -> list[bytes]:
        if kind == "outgoing":
            return []
        host = f"client{self.chance.randrange(200)}.{_domain(sender)}"
        lines = [f"Return-Path: <{sender}>", f"Received: from {host} ([192.0.2.{self.chance.randrange(1, 255)}])"]
        lines[-1] += f"\r\n\tby mail.example.com with ESMTP id {self.chance.getrandbits(32):08x}"
        lines[-1] += f"\r\n\tfor <{recipients[0]}>; {mail_date(date)}"
        return [line.encode("utf-8") for line in lines]

    # -- body -------------------------------------------------------------------------------------------------

    def _content(self, label: str, codec: str, sample: str) -> bytes:
        """Content headers, empty line and body."""
        size = self.chance.choices((self._small, self._medium, self._large), weights=(90, 9, 1))[0]()
        text = self._text_part(label, codec, sample, min(size, 4000))
        if size <= 6000:
            return self.chance.choices((text, self._alternative(text)), weights=(7, 3))[0]
        name = "=?utf-8?Q?Anhang_=C3=84.pdf?=" if self._number % 2 else "report.pdf"
        attachment = (
            f'Content-Type: application/pdf; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f"Content-Disposition: attachment; filename*=utf-8''Anhang%20%C3%84.pdf\r\n\r\n"
        ).encode()
        return self._multipart("mixed", [text, attachment + self.pools.attachment(self.chance, size), self._quoted_part()])

    def _small(self) -> int:
        return self.chance.randrange(300, 6000)

    def _medium(self) -> int:
        return self.chance.randrange(20_000, 90_000)

    def _large(self) -> int:
        return self.chance.randrange(500_000, 1_600_000)

    def _text_part(self, label: str, codec: str, sample: str, size: int) -> bytes:
        words = sample.encode(codec) + b"\r\n"
        if label in WIDE:
            encoding, body = b"base64", base64.encodebytes(words).replace(b"\n", EOL)
        elif self._number % 3 == 0 and label.startswith(("iso-8859", "windows", "utf-8")):
            lines = quopri.encodestring(words.rstrip()).replace(b"\n", EOL)
            encoding, body = b"quoted-printable", lines + EOL + self.pools.paragraph(self.chance, size)
        else:
            encoding = b"8bit" if any(byte > 127 for byte in words) else b"7bit"
            body = words + self.pools.paragraph(self.chance, size)
        return b'Content-Type: text/plain; charset="%s"\r\nContent-Transfer-Encoding: %s\r\n\r\n%s' % (
            label.encode(),
            encoding,
            body,
        )

    def _quoted_part(self) -> bytes:
        text = quopri.encodestring(("Ä = ö; " * 30).encode("utf-8")).replace(b"\n", EOL)
        return b"Content-Type: text/csv; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + text + EOL

    def _alternative(self, text: bytes) -> bytes:
        html = b"<html><body><p>" + self.pools.paragraph(self.chance, 400).replace(EOL, b"<br>\r\n") + b"</p></body></html>"
        return self._multipart("alternative", [text, b"Content-Type: text/html; charset=us-ascii\r\n\r\n" + html + EOL])

    def _multipart(self, subtype: str, parts: list[bytes]) -> bytes:
        boundary = b"=_%016x" % self.chance.getrandbits(64)
        head = b'Content-Type: multipart/%s;\r\n\tboundary="%s"\r\n\r\n' % (subtype.encode(), boundary)
        body = b"".join(b"--" + boundary + EOL + part + (b"" if part.endswith(EOL) else EOL) for part in parts)
        return head + body + b"--" + boundary + b"--" + EOL


def _domain(address: str) -> str:
    return address.rpartition("@")[2].encode("idna").decode("ascii")


def _mailbox(address: str) -> bytes:
    """Display name and address; international addresses as raw UTF-8, as SMTPUTF8 mail has them."""
    name = address.partition("@")[0].replace(".", " ").title()
    return f'"{name}" <{address}>'.encode()
