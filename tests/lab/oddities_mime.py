# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd MIME structures: the header lines that describe the content, and the body."""

from __future__ import annotations

import base64

EOL = b"\r\n"
Content = tuple[bytes, bytes]
MIXED = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="B"'
PART = b"--B\r\nContent-Type: text/plain\r\n\r\ntext\r\n"


def text(charset: bytes, body: bytes, encoding: bytes = b"8bit") -> Content:
    head = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s" % (charset, encoding)
    return head, body


def nested(depth: int) -> Content:
    """multipart/mixed inside multipart/mixed; every boundary is a prefix of the deeper ones."""
    opening = b"".join(
        b'--%s\r\nContent-Type: multipart/mixed; boundary="%s"\r\n\r\n' % (b"B" * level, b"B" * (level + 1))
        for level in range(1, depth)
    )
    closing = b"".join(b"--" + b"B" * level + b"--\r\n" for level in range(depth, 0, -1))
    return MIXED, opening + b"--" + b"B" * depth + b"\r\n\r\ndeep\r\n" + closing


def forwarded(depth: int) -> Content:
    """message/rfc822 inside message/rfc822."""
    inner = b"Subject: level %d\r\nContent-Type: message/rfc822\r\n\r\n"
    levels = b"".join(inner % level for level in range(depth))
    return b"MIME-Version: 1.0\r\nContent-Type: message/rfc822", levels + b"Subject: innermost\r\n\r\nend\r\n"


def encoded(body: bytes) -> Content:
    return MIXED, b"--B\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body + b"\r\n--B--\r\n"


def named(disposition: bytes) -> Content:
    return MIXED, b"--B\r\nContent-Disposition: attachment; " + disposition + b"\r\n\r\nx\r\n--B--\r\n"


STRUCTURES: dict[str, Content] = {
    "broken boundary": (MIXED, PART.replace(b"--B", b"--C") + b"--D--\r\n"),
    "unterminated boundary": (MIXED, PART + PART),
    "boundary missing": (b"Content-Type: multipart/mixed", PART),
    "boundary empty": (b'Content-Type: multipart/mixed; boundary=""', b"--\r\n\r\ntext\r\n----\r\n"),
    "boundary with specials": (
        b'Content-Type: multipart/mixed; boundary="(B) \\"x\\" {5}"',
        b'--(B) "x" {5}\r\n\r\ntext\r\n--(B) "x" {5}--\r\n',
    ),
    "boundary of 5 kb": (
        b'Content-Type: multipart/mixed; boundary="' + b"b" * 5000 + b'"',
        b"--" + b"b" * 5000 + b"\r\n\r\ntext\r\n--" + b"b" * 5000 + b"--\r\n",
    ),
    "closing boundary first": (MIXED, b"--B--\r\n" + PART),
    "preamble and epilogue": (MIXED, b"preamble\r\n" + PART + b"--B--\r\nepilogue without end"),
    "multipart without parts": (MIXED, b""),
    "2000 empty parts": (MIXED, b"--B\r\n\r\n" * 2000 + b"--B--\r\n"),
    "nested multipart 100 deep": nested(100),
    "nested message 100 deep": forwarded(100),
    "invalid base64": encoded(b"!!!!not base64====\r\nQUJD\r\n=\r\nQ"),
    "base64 without line ends": encoded(base64.b64encode(b"x" * 60_000)),
    "invalid quoted-printable": text(b"utf-8", b"=ZZ =\r\n=C3=\r\n=\r\n=3", b"quoted-printable"),
    "transfer encoding unknown": text(b"utf-8", b"begin 644 x\r\n#86)C\r\n`\r\nend\r\n", b"x-uuencode"),
    "transfer encoding twice": (b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit", b"QUJD\r\n"),
    "utf-7 text": text(b"utf-7", "Größe <script>".encode("utf-7") + EOL),
    "utf-16 text": text(b"utf-16", "Größe\r\n日本\r\n".encode("utf-16")),
    "utf-32 text": text(b"utf-32", "Größe\r\n".encode("utf-32-be")),
    "charset unknown": text(b"x-klingon-1", b"\xf8\xd0\xf8\xd1\r\n"),
    "charset empty": text(b'""', b"\xe4\r\n"),
    "charset lies": text(b"us-ascii", "Größe 日本\r\n".encode(), b"7bit"),
    "iso-2022-jp unterminated": text(b"iso-2022-jp", b"\x1b$B$3$s$K$A$O\r\n", b"7bit"),
    "content type garbage": (b"Content-Type: ;;;=/\x01 text; charset", b"text\r\n"),
    "content type twice": (b"Content-Type: text/plain\r\nContent-Type: text/html", b"<b>text</b>\r\n"),
    "file name with path": named(b'filename="../../../../tmp/evil\\0.sh"'),
    "file name of windows": named(b'filename="CON:aux|nul?.txt"'),
    "file name in 8 bit": named("filename=Ärger größe.txt".encode()),
    "file name continued wrongly": named(b"filename*0*=utf-8''%E4; filename*2=c; filename*1=b"),
    "winmail.dat": named(b'filename="winmail.dat"'),
    "signed": (
        b'Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha256; boundary="B"',
        PART + b"--B\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nxx\r\n--B--\r\n",
    ),
    "encrypted": (
        b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64",
        base64.encodebytes(bytes(range(256)) * 8).replace(b"\n", EOL),
    ),
    "delivery report": (
        b'Return-Path: <>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="B"',
        PART + b"--B\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; x@example.com\r\n--B--\r\n",
    ),
    "calendar invitation": (
        b"Content-Type: text/calendar; method=REQUEST; charset=utf-8",
        "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Größe\r\nEND:VCALENDAR\r\n".encode(),
    ),
    "external body": (
        b'Content-Type: message/external-body; access-type=URL; URL="http://x.example/"',
        b"Content-Type: a/b\r\n\r\n",
    ),
    "partial message": (b'Content-Type: message/partial; id="a@b"; number=2; total=3', b"the middle\r\n"),
}
