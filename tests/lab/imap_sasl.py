# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of CRAM-MD5 (RFC 2195) and DIGEST-MD5 (RFC 2831), seen from the server. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re

DIRECTIVE = re.compile(r'\s*([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|\Z)', re.IGNORECASE)
REQUIRED = ("username", "nonce", "cnonce", "nc", "digest-uri", "response")


class MalformedError(ValueError):
    """The client's answer is not what the mechanism asks for."""


def cram(password: str, challenge: bytes) -> str:
    return hmac.new(password.encode(), challenge, "md5").hexdigest()


@dataclasses.dataclass(frozen=True)
class Challenge:
    """What the server begins DIGEST-MD5 with; an empty realm is not offered."""

    nonce: str
    realm: str

    def text(self) -> str:
        realm = f'realm="{self.realm}",' if self.realm else ""
        return f'{realm}nonce="{self.nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'


def directives(text: str) -> dict[str, str]:
    """`name=value` pairs; raises MalformedError for anything else, and for a name that comes twice."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = DIRECTIVE.match(text, position)
        if match is None or match[1].lower() in found:
            raise MalformedError("directives")
        quoted, plain = match[2], match[3]
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        position = match.end()
    return found


@dataclasses.dataclass(frozen=True)
class Answer:
    """The client's digest-response."""

    given: dict[str, str]
    charset: str

    @property
    def realm(self) -> str:
        return self.given.get("realm", "")

    @property
    def username(self) -> str:
        return self.given["username"]

    def proves(self, password: str) -> bool:
        return hmac.compare_digest(self._digest(password, "AUTHENTICATE:").encode(), self.given["response"].encode())

    def rspauth(self, password: str) -> str:
        """By which the server shows that it knows the password too."""
        return f"rspauth={self._digest(password, ':')}"

    def _hashed(self, text: str) -> bytes:
        """Within user:realm:password what fits into ISO 8859-1 is hashed as that, even if it was sent as UTF-8."""
        try:
            return text.encode("iso-8859-1")
        except UnicodeEncodeError:
            return text.encode("utf-8")

    def _digest(self, password: str, begin: str) -> str:
        one = self.given
        secret = _md5(b":".join(map(self._hashed, (self.username, self.realm, password)))).digest()
        tail = [one["nonce"], one["cnonce"], *([one["authzid"]] if "authzid" in one else [])]
        a1 = _md5(secret + b":" + ":".join(tail).encode(self.charset)).hexdigest()
        a2 = _md5((begin + one["digest-uri"]).encode()).hexdigest()
        return _md5(":".join((a1, one["nonce"], one["nc"], one["cnonce"], "auth", a2)).encode()).hexdigest()


def _md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def answer(data: bytes, challenge: Challenge) -> Answer:
    """Read a digest-response; raises MalformedError for one that does not fit the challenge, whatever the password."""
    charset = "utf-8" if re.search(rb"charset\s*=\s*\"?utf-8", data, re.IGNORECASE) else "iso-8859-1"
    try:
        given = directives(data.decode(charset))
    except UnicodeDecodeError as error:
        raise MalformedError("charset") from error
    if any(name not in given for name in REQUIRED):
        raise MalformedError("a directive is missing")
    fits = given["nonce"] == challenge.nonce and given["nc"] == "00000001" and given.get("qop", "auth") == "auth"
    if not fits or (challenge.realm and given.get("realm", "") != challenge.realm):
        raise MalformedError("the answer is to another challenge")
    if not given["digest-uri"].lower().startswith("imap/"):
        raise MalformedError("digest-uri")
    return Answer(given, charset)
