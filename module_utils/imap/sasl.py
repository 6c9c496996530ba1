# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user answers to a server's challenges: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), DIGEST-MD5 (RFC 2831). Pure.

Texts travel as UTF-8, which the RFCs of PLAIN and DIGEST-MD5 say; for the others nobody says anything.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
import secrets
import typing as t
from dataclasses import dataclass

# The digests are the mechanisms' own; they protect nothing that TLS does not protect.
md5 = functools.partial(hashlib.md5, usedforsecurity=False)

Step = t.Callable[[bytes], bytes]

# One directive of a DIGEST-MD5 challenge, or a comma too many, which the RFC allows.
_DIRECTIVE = re.compile(rb'[\s,]*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|\Z)', re.DOTALL)


class ChallengeError(ValueError):
    """A challenge that cannot be answered; the argument says why."""


@dataclass(frozen=True)
class Mechanism:
    """``steps`` makes the answers to the challenges, in turn, for a user, a password and the name of the server's host.

    The answer of index ``proof`` is the first that carries the password or a digest of it.
    """

    steps: t.Callable[[str, str, str], t.Sequence[Step]]
    proof: int = 0


def _plain(user: str, password: str, _host: str) -> t.Sequence[Step]:
    return [lambda _challenge: f"\0{user}\0{password}".encode()]


def _login(user: str, password: str, _host: str) -> t.Sequence[Step]:
    """There is no RFC; servers ask for user name and password in this order, in words of their own."""
    return [lambda _challenge: user.encode(), lambda _challenge: password.encode()]


def _cram_md5(user: str, password: str, _host: str) -> t.Sequence[Step]:
    def answer(challenge: bytes) -> bytes:
        return user.encode() + b" " + hmac.new(password.encode(), _decoded(challenge), md5).hexdigest().encode()

    return [answer]


def _digest_md5(user: str, password: str, host: str) -> t.Sequence[Step]:
    digest = DigestMd5(user, password, host, secrets.token_hex(16).encode())
    return [digest.answer, digest.confirm]


MECHANISMS = {
    "PLAIN": Mechanism(_plain),
    "LOGIN": Mechanism(_login, proof=1),
    "CRAM-MD5": Mechanism(_cram_md5),
    "DIGEST-MD5": Mechanism(_digest_md5),
}


class DigestMd5:
    """One authentication with ``qop=auth``: ``answer`` to the server's challenge, ``confirm`` of what the server proves."""

    def __init__(self, user: str, password: str, host: str, cnonce: bytes) -> None:
        self._user = user
        self._password = password
        self._uri = b"imap/" + host.encode()
        self._cnonce = cnonce
        self._proof = b""

    def answer(self, challenge: bytes) -> bytes:
        told = _directives(_decoded(challenge))
        nonce = _only(told, b"nonce")
        if _only(told, b"algorithm") != b"md5-sess":
            raise ChallengeError("it asks for an algorithm that is not md5-sess")
        if b"auth" not in re.split(rb"[\s,]+", _only(told, b"qop", b"auth").lower()):
            raise ChallengeError("it does not offer qop auth")
        utf8 = _only(told, b"charset", b"").lower() == b"utf-8"
        user, password = _encoded(self._user, utf8), _encoded(self._password, utf8)
        realm = self._realm(told.get(b"realm", []))
        secret = b":".join(_narrow(text) if utf8 else text for text in (user, realm, password))
        session = b":".join((md5(secret).digest(), nonce, self._cnonce))
        self._proof = self._response(session, nonce, b"")
        values = {b"username": user, b"realm": realm, b"nonce": nonce, b"cnonce": self._cnonce, b"digest-uri": self._uri}
        said = [b'%s="%s"' % (name, re.sub(rb'(["\\])', rb"\\\1", value)) for name, value in values.items()]
        response = self._response(session, nonce, b"AUTHENTICATE")
        return b",".join([b"charset=utf-8"] * utf8 + said + [b"nc=00000001", b"qop=auth", b"response=" + response])

    def confirm(self, challenge: bytes) -> bytes:
        """The empty answer; ChallengeError when the server does not know the password either."""
        if not hmac.compare_digest(_only(_directives(_decoded(challenge)), b"rspauth"), self._proof):
            raise ChallengeError("it does not prove that the server knows the password")
        return b""

    def _realm(self, offered: list[bytes]) -> bytes:
        """The domain of the user's address, if the server has it to choose, else its first one."""
        domain = self._user.rpartition("@")[2].encode().lower()
        return next((realm for realm in offered if realm.lower() == domain), offered[0] if offered else b"")

    def _response(self, session: bytes, nonce: bytes, method: bytes) -> bytes:
        digest = b":".join((nonce, b"00000001", self._cnonce, b"auth", _hex(method + b":" + self._uri)))
        return _hex(_hex(session) + b":" + digest)


def _hex(data: bytes) -> bytes:
    return md5(data).hexdigest().encode()


def _decoded(challenge: bytes) -> bytes:
    try:
        return base64.b64decode(challenge, validate=True)
    except binascii.Error:
        raise ChallengeError("it is not base64") from None


def _directives(challenge: bytes) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    at, end = 0, len(challenge.rstrip(b", \t\r\n"))
    while at < end:
        match = _DIRECTIVE.match(challenge, at)
        if match is None:
            raise ChallengeError("it is not a list of directives")
        value = match[3] if match[2] is None else re.sub(rb"\\(.)", rb"\1", match[2], flags=re.DOTALL)
        found.setdefault(match[1].lower(), []).append(value)
        at = match.end()
    return found


def _only(told: dict[bytes, list[bytes]], name: bytes, default: bytes | None = None) -> bytes:
    values = told.get(name, [] if default is None else [default])
    if len(values) != 1:
        raise ChallengeError(f"it must have one {name.decode()}, not {len(values)}")
    return values[0]


def _encoded(text: str, utf8: bool) -> bytes:
    """A server that does not say charset=utf-8 takes ISO 8859-1 (section 2.1.1)."""
    try:
        return text.encode("utf-8" if utf8 else "iso-8859-1")
    except UnicodeEncodeError:
        raise ChallengeError("it does not say charset=utf-8, which this user name or password needs") from None


def _narrow(text: bytes) -> bytes:
    """Section 2.1.2.1: what is UTF-8 and has a form in ISO 8859-1 is hashed in that form."""
    try:
        return text.decode().encode("iso-8859-1")
    except UnicodeError:
        return text
