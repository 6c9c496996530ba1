# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledgers, checkpoints and proofs for tests, straight from the definitions of RFC 9162 and of C2SP.

Shares no code with what it tests, nor with the part of the collection that writes a ledger.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from standalone import check_proof

ORIGIN = "archive1.example.com/srv/archive"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def half(count: int) -> int:
    """Return k of RFC 9162: the largest power of two smaller than the count."""
    return max(2**power for power in range(64) if 2**power < count)


def mth(entries: t.Sequence[bytes]) -> bytes:
    if not entries:
        return sha256(b"")
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0])
    k = half(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:]))


def inclusion(m: int, entries: t.Sequence[bytes]) -> list[bytes]:
    """PATH(m, D_n) of section 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = half(len(entries))
    if m < k:
        return [*inclusion(m, entries[:k]), mth(entries[k:])]
    return [*inclusion(m - k, entries[k:]), mth(entries[:k])]


def consistency(m: int, entries: t.Sequence[bytes], whole: bool = True) -> list[bytes]:
    """PROOF(m, D_n) of section 2.1.4.1, and SUBPROOF."""
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = half(len(entries))
    if m <= k:
        return [*consistency(m, entries[:k], whole), mth(entries[k:])]
    return [*consistency(m - k, entries[k:], False), mth(entries[:k])]


@dataclasses.dataclass(frozen=True)
class Signer:
    """A key that signs notes under a name."""

    name: str = ORIGIN
    seed: int = 1

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x01" + self.public)[:4]

    @property
    def vkey(self) -> str:
        typed = b"\x01" + self.public
        return f"{self.name}+{self.key_id.hex()}+{b64(typed)}"

    def line(self, text: str) -> str:
        return f"— {self.name} {b64(self.key_id + self.private.sign(text.encode()))}\n"


SIGNER = Signer()


def checkpoint_text(entries: t.Sequence[bytes], origin: str = ORIGIN) -> str:
    return f"{origin}\n{len(entries)}\n{b64(mth(entries))}\n"


def checkpoint(entries: t.Sequence[bytes], *signers: Signer, origin: str = ORIGIN) -> str:
    text = checkpoint_text(entries, origin)
    return text + "\n" + "".join(signer.line(text) for signer in signers or (SIGNER,))


def message_proof(index: int, entries: t.Sequence[bytes], note: str | None = None) -> str:
    hashes = "".join(f"{b64(hashed)}\n" for hashed in inclusion(index, entries))
    return f"c2sp.org/tlog-proof@v1\nextra {b64(entries[index])}\nindex {index}\n{hashes}\n{note or checkpoint(entries)}"


def consistency_proof(m: int, entries: t.Sequence[bytes], older: str | None = None, newer: str | None = None) -> str:
    hashes = "".join(f"{b64(hashed)}\n" for hashed in (consistency(m, entries) if m else []))
    notes = f"{older or checkpoint(entries[:m])}\n{newer or checkpoint(entries)}"
    return f"kerio-archive consistency 1\n{hashes}\n{notes}"


def message(number: int) -> bytes:
    return f"From: alice@example.com\r\nSubject: {number}\r\n\r\nHello\r\n".encode()


def entry(number: int, **other: object) -> bytes:
    """Return the entry of a message as docs/evidence.md describes it; a key that is None is left out."""
    bytes_of = message(number)
    content = {
        "event": "archived",
        "at": 1_700_000_000 + number,
        "run": 7,
        "server": "mail1.example.com",
        "mailbox": "alice@example.com",
        "folder": "INBOX",
        "uidvalidity": 3,
        "uid": 40 + number,
        "digest": hashlib.sha256(bytes_of).hexdigest(),
        "size": len(bytes_of),
        "date": 1_690_000_000,
    } | other
    return json.dumps({key: value for key, value in content.items() if value is not None}, separators=(",", ":")).encode()


def ledger(count: int) -> list[bytes]:
    return [entry(number) for number in range(count)]


@dataclasses.dataclass
class Program:
    """The program, called within this process, with files that it reads from one folder."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def file(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return str(path)

    def run(self, *words: str) -> tuple[int, str]:
        """Return the exit status, and what was printed of either kind."""
        try:
            status = check_proof.main(list(words))
        except SystemExit as end:  # of argparse
            assert isinstance(end.code, int)
            status = end.code
        printed = self.capsys.readouterr()
        assert bool(printed.out) == (status == 0), "what is proven goes to stdout, and nothing else does"
        return status, printed.out + printed.err

    def message(self, content: bytes, proof: str | bytes, *words: str) -> tuple[int, str]:
        files = self.file("message.eml", content), self.file("message.tlog-proof", proof)
        return self.run("message", *files, *(words or ("--key", SIGNER.vkey)))

    def consistency(self, proof: str | bytes, *words: str) -> tuple[int, str]:
        return self.run("consistency", self.file("proof", proof), *(words or ("--key", SIGNER.vkey)))

    def checkpoint(self, content: str | bytes, *words: str) -> tuple[int, str]:
        return self.run("checkpoint", self.file("checkpoint", content), *(words or ("--key", SIGNER.vkey)))

    def ledger(self, entries: bytes, checkpoints: str | bytes, *words: str) -> tuple[int, str]:
        files = self.file("entries", entries), "--checkpoint", self.file("checkpoints", checkpoints)
        return self.run("ledger", *files, *(words or ("--key", SIGNER.vkey)))
