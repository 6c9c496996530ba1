# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints and their signatures: C2SP tlog-checkpoint and signed-note, Ed25519 only. ``docs/evidence.md``."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import sys
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError, MissingLibraryError

HASH_BYTES = 32
MAX_SIGNATURES = 100  # a bound, as c2sp.org/signed-note asks for one
_LINES = 3  # origin, size, root
_DASH = "\N{EM DASH} "
_ED25519 = b"\x01"  # the type of a signature, c2sp.org/signed-note
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")  # any signed 64-bit integer can hold it
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # all but the line end
# No Unicode spaces and no plus sign, as c2sp.org/signed-note says; nothing that a note must not hold.
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_BEGIN = "-----BEGIN "
_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\s]+\r?\n-----END PRIVATE KEY-----")
_COPY = "Take an unchanged copy of it"
_MAKE_KEY = "Make a key with: openssl genpkey -algorithm ed25519"
_WHOLE_KEY = "Take the whole line, as it was shown for the private key: <name>+<key id>+<base64>"


# Parts of checkpoints and proofs


def encoded(data: bytes) -> str:
    """Base64, as checkpoints, signatures and proofs have it."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str, size: int | None = None) -> bytes:
    """The bytes of a base64 text, ``size`` of them if given; ValueError when there is another text for the same bytes."""
    data = base64.b64decode(text, validate=True)
    if encoded(data) != text or size not in (None, len(data)):
        raise ValueError("not canonical, or of another length")
    return data


def number(text: str) -> int:
    """A number as C2SP writes it, without sign and leading zeros; ValueError for others."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("not a decimal number, or too large")
    return int(text)


def _malformed(cause: str) -> EvidenceError:
    return EvidenceError("checkpoint", cause, _COPY)


@dataclass(frozen=True)
class Checkpoint:
    """The root of the first ``size`` entries of the ledger that calls itself ``origin``."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()  # lines that others may add, with a meaning that is not known here

    def text(self) -> str:
        """What is signed."""
        return "\n".join((self.origin, str(self.size), encoded(self.root), *self.extensions, ""))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what ``text`` writes; EvidenceError for anything else."""
        *lines, end = text.split("\n")
        if end or "" in lines or len(lines) < _LINES:
            raise _malformed("it is not an origin, a size and a root, each on a line of its own")
        origin, size, root, *extensions = lines
        with _telling(f"its size is {size[:40]!r}"):
            entries = number(size)
        with _telling(f"its root is {root[:60]!r}, which is not the base64 of {HASH_BYTES} bytes"):
            return cls(origin, entries, decoded(root, HASH_BYTES), tuple(extensions))


@contextlib.contextmanager
def _telling(cause: str) -> t.Iterator[None]:
    try:
        yield
    except ValueError:
        raise _malformed(cause) from None


# Notes


class Signature(t.NamedTuple):
    """A signature of a note, not verified."""

    name: str
    key_id: bytes
    signature: bytes


def unsigned(text: str) -> str:
    """The note of an archive without a key."""
    return f"{text}\n"


def parse_note(note: str) -> tuple[str, list[Signature]]:
    """The text and the signatures of a note, none when it is unsigned; EvidenceError when it is no note. Nothing is verified."""
    text, empty_line, lines = note.rpartition("\n\n")
    if not empty_line or not text:
        raise _malformed("it has no empty line between its text and its signatures")
    _check_characters(note)
    signatures = lines.split("\n")
    if signatures.pop():
        raise _malformed("its last line has no end")
    if len(signatures) > MAX_SIGNATURES:
        raise _malformed(f"it has {len(signatures):,} signatures, more than {MAX_SIGNATURES}")
    return f"{text}\n", [_signature(line) for line in signatures]


def _check_characters(note: str) -> None:
    if _CONTROL.search(note):
        raise _malformed("it has control characters")
    with _telling("it is not UTF-8"):
        note.encode()


def _signature(line: str) -> Signature:
    with _telling(f"{line[:100]!r} is not a signature"):
        dash, name, data = line[: len(_DASH)], *line[len(_DASH) :].split(" ")
        blob = decoded(data)
        if dash != _DASH or not is_name(name) or len(blob) <= _KEY_ID_BYTES:
            raise ValueError
        return Signature(name, blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:])


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that this key signed; EvidenceError when it did not. Signatures of other keys do not matter."""
    text, signatures = parse_note(note)
    ours = [one.signature for one in signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not ours:
        raise EvidenceError("checkpoint", _not_ours(key, signatures), "Take the verifier key of the ledger that it is from")
    if not all(_verifies(key.public_key, signature, text.encode()) for signature in ours):
        raise _malformed(f"its signature by {key.name} does not fit: the text or the signature was changed")
    return text


def _not_ours(key: VerifierKey, signatures: t.Sequence[Signature]) -> str:
    if not signatures:
        return "it is not signed"
    others = [one.key_id.hex() for one in signatures if one.name == key.name]
    if others:
        return f"it is signed by another key of {key.name}: {', '.join(others)} instead of {key.key_id.hex()}"
    return f"it is signed by {', '.join(one.name for one in signatures)}, not by {key.name}"


def verify(note: str, verifier_key: str) -> Checkpoint:
    """The checkpoint that this key signed for the ledger of its own name; EvidenceError when it did not."""
    key = parse_verifier_key(verifier_key)
    checkpoint = Checkpoint.parse(open_note(note, key))
    if checkpoint.origin != key.name:
        raise _other_ledger(checkpoint.origin, key.name)
    return checkpoint


def _other_ledger(origin: str, name: str) -> EvidenceError:
    cause = f"it speaks of the ledger {origin}, but the key is that of {name}"
    return EvidenceError("checkpoint", cause, "Take the key of that ledger")


# Names and keys


def is_name(name: str) -> bool:
    """Whether a key may have this name, and a ledger that is signed this origin."""
    return _NAME.fullmatch(name) is not None


def name_of(origin: str) -> str:
    """An origin that may be a name: what a name must not hold is written as ``%`` and hexadecimal digits, and so is ``%``."""
    return "".join(char if char != "%" and is_name(char) else layout.percent(char) for char in origin)


class VerifierKey(t.NamedTuple):
    """A public key with its name."""

    name: str
    key_id: bytes
    public_key: bytes


def _key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_ID_BYTES]


def parse_verifier_key(text: str) -> VerifierKey:
    """Read ``<name>+<key id>+<base64>``; InputError for anything else, without the text: it may be a private key by mistake."""
    name, _plus, rest = text.partition("+")
    key_id, _plus, data = rest.partition("+")
    try:
        key = decoded(data, len(_ED25519) + _KEY_BYTES)
    except ValueError:
        key = b""
    if not is_name(name) or not key.startswith(_ED25519):
        raise InputError("verifier key", "it is not an Ed25519 key in the form of C2SP signed notes", _WHOLE_KEY)
    public_key = key[len(_ED25519) :]
    if _key_id(name, public_key).hex() != key_id:
        raise InputError("verifier key", "its key id is not that of its name and its key", _WHOLE_KEY)
    return VerifierKey(name, bytes.fromhex(key_id), public_key)


class Signer:
    """The key of an archive."""

    def __init__(self, pem: str, name: str) -> None:
        """Take the PEM text that ``openssl genpkey -algorithm ed25519`` writes; InputError for other keys and names."""
        if not is_name(name):
            cause = f"it cannot sign as {name!r}: blanks, plus signs and control characters are not allowed in a name"
            raise InputError("ledger_key", cause, "Give the ledger an origin without them")
        self.name = name
        self._key = _private_key(pem)
        self._public_key = self._key.public_key().public_bytes_raw()
        self._id = _key_id(name, self._public_key)

    @property
    def verifier_key(self) -> str:
        """What a verifier needs; no secret."""
        return f"{self.name}+{self._id.hex()}+{encoded(_ED25519 + self._public_key)}"

    def sign(self, text: str) -> str:
        """The note of a checkpoint's text; EvidenceError when the text is none, or one of a ledger of another name."""
        origin = Checkpoint.parse(text).origin
        if origin != self.name:
            raise _other_ledger(origin, self.name)
        return self.note(text)

    def note(self, text: str) -> str:
        """The signed note of any text that ends with a line end, as every checkpoint does."""
        _check_characters(text)
        return f"{text}\n{_DASH}{self.name} {encoded(self._id + self._key.sign(text.encode()))}\n"


# The library: imported when a key is there, so that an archive without one needs none


if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@contextlib.contextmanager
def _library() -> t.Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingLibraryError(
            "cryptography",
            f"the Python library is not installed for {sys.executable}",
            "Let the role archive_host install the Python environment, or install cryptography for that interpreter",
        ) from error


def _verifies(public_key: bytes, signature: bytes, text: bytes) -> bool:
    with _library():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _private_key(pem: str) -> Ed25519PrivateKey:
    """The only key in a PEM text. What the library says of a wrong one is not repeated: the text is a secret."""
    with _library():
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    _check_pem(pem.strip())
    try:
        key = load_pem_private_key(pem.strip().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _wrong_key("it cannot be read as a private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _wrong_key("it is not an Ed25519 key")
    return key


def _wrong_key(cause: str) -> InputError:
    return InputError("ledger_key", cause, _MAKE_KEY)


def _check_pem(pem: str) -> None:
    """Say what is wrong with a text that is not one unencrypted PKCS8 key."""
    if pem.count(_BEGIN) > 1:
        raise _wrong_key("it holds more than one key")
    if "ENCRYPTED" in pem:
        raise _wrong_key("it is encrypted with a passphrase; keep the plain key in the vault")
    if _PEM.fullmatch(pem) is None:
        raise _wrong_key("it is not the PEM text of a private key (PKCS8), with its lines kept apart")
