# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's side of SASL over a raw socket, written after the RFCs for the facts alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from tests.lab.facts.imap_rig import Wire


def begin(wire: Wire, mechanism: str) -> bytes:
    """AUTHENTICATE and the first challenge, decoded."""
    wire.send(b"t AUTHENTICATE ", mechanism.encode(), b"\r\n")
    return challenge(wire)


def challenge(wire: Wire) -> bytes:
    line = wire.line()
    assert line.startswith(b"+ "), line
    return base64.b64decode(line[2:].removesuffix(b"\r\n"), validate=True)


def respond(wire: Wire, answer: bytes) -> None:
    wire.send(base64.b64encode(answer), b"\r\n")


def plain(wire: Wire, name: str, password: str) -> bytes:
    assert begin(wire, "PLAIN") == b""
    respond(wire, f"\0{name}\0{password}".encode())
    return wire.until(b"t")[-1]


def login(wire: Wire, name: str, password: str) -> bytes:
    assert begin(wire, "LOGIN") == b"Username:"
    respond(wire, name.encode())
    assert challenge(wire) == b"Password:"
    respond(wire, password.encode())
    return wire.until(b"t")[-1]


def command(wire: Wire, name: str, password: str) -> bytes:
    return wire.ask(f'LOGIN "{name}" "{password}"'.encode())[-1]


def cram(wire: Wire, name: str, password: str) -> bytes:
    """RFC 2195."""
    proof = hmac.new(password.encode(), begin(wire, "CRAM-MD5"), hashlib.md5).hexdigest()
    respond(wire, f"{name} {proof}".encode())
    return wire.until(b"t")[-1]


def _hash(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).digest()


def _hex(text: bytes) -> str:
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def digest_value(given: dict[str, str], password: str, method: str = "AUTHENTICATE") -> str:
    """RFC 2831, 2.1.2.1, for qop=auth; `method` is empty for what the server answers with."""
    unique = ":".join((given["username"], given.get("realm", ""), password))
    try:
        secret = _hash(unique.encode("iso-8859-1"))
    except UnicodeEncodeError:
        secret = _hash(unique.encode())
    a1 = _hex(secret + f":{given['nonce']}:{given.get('cnonce', '')}".encode())
    a2 = _hex(f"{method}:{given['digest-uri']}".encode())
    return _hex(f"{a1}:{given['nonce']}:{given['nc']}:{given.get('cnonce', '')}:auth:{a2}".encode())


def offered(text: bytes) -> dict[str, str]:
    return {m[1].decode(): (m[2] or m[3]).decode() for m in re.finditer(rb'([a-z0-9-]+)=(?:"([^"]*)"|([^,"]+))', text)}


def digest_begin(wire: Wire, name: str, **changed: str) -> dict[str, str]:
    """The directives of an answer that fits the server's challenge, but for those that are `changed`; "" leaves one out."""
    server = offered(begin(wire, "DIGEST-MD5"))
    fit = {"username": name, "realm": server.get("realm", ""), "nonce": server["nonce"], "nc": "00000001", "cnonce": "0123456789"}
    fit |= {"qop": "auth", "digest-uri": "imap/localhost", "charset": "utf-8"}
    given = fit | {member.replace("_", "-"): value for member, value in changed.items()}
    return {member: value for member, value in given.items() if value}


def digest_end(wire: Wire, given: dict[str, str], password: str) -> bytes:
    quoted = [f"{k}={v}" if k in ("nc", "qop", "charset") else f'{k}="{v}"' for k, v in given.items()]
    respond(wire, ",".join([*quoted, f"response={digest_value(given, password)}"]).encode())
    line = wire.line()
    if not line.startswith(b"+ "):
        return line
    assert base64.b64decode(line[2:]) == f"rspauth={digest_value(given, password, '')}".encode()
    wire.send(b"\r\n")
    return wire.until(b"t")[-1]


def digest(wire: Wire, name: str, password: str, **changed: str) -> bytes:
    return digest_end(wire, digest_begin(wire, name, **changed), password)


CLEAR = {"command": command, "PLAIN": plain, "LOGIN": login}
HASHED = {"CRAM-MD5": cram, "DIGEST-MD5": digest}
WAYS = {**CLEAR, **HASHED}
