# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints, signed notes and keys, against the vectors of Go's ``sumdb/note``, of C2SP and of RFC 8410."""

from __future__ import annotations

import base64
import sys
import traceback
import typing as t
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint, Signer, verify
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError, MissingLibraryError

DOCS = Path(__file__).parents[4] / "docs" / "evidence.md"

# golang.org/x/mod/sumdb/note, note_test.go
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH_LINE = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
PETER_NOTE = f"{TEXT}\n{PETER_LINE}"

# RFC 8410 section 10.3, and its public key of section 10.1
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
PUBLIC = base64.b64decode("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")[-32:]

ORIGIN = "archive1.example.com/srv/archive/kerio"
ROOT = bytes(range(32))
POINT = Checkpoint(ORIGIN, 20852, ROOT)


def pem_of(seed: bytes) -> str:
    """A PKCS8 key made by hand, RFC 8410 section 7."""
    body = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + seed).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def pem(
    key: PrivateKeyTypes,
    encryption: KeySerializationEncryption = NoEncryption(),  # noqa: B008 - it has no state
    kind: PrivateFormat = PrivateFormat.PKCS8,
) -> str:
    return key.private_bytes(Encoding.PEM, kind, encryption).decode()


def short(value: str) -> str:
    """The name of a case."""
    return ascii(value[:30])


# Vectors of others


@pytest.mark.parametrize("key", [PETER, ENOCH])
def test_the_notes_of_go_are_verified(key: str) -> None:
    note = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    assert evidence_note.open_note(note, evidence_note.parse_verifier_key(key)) == TEXT
    text, signatures = evidence_note.parse_note(note)
    assert text == TEXT
    assert [(one.name, one.key_id.hex()) for one in signatures] == [("PeterNeumann", "c74f20a3"), ("EnochRoot", "af0cfe78")]


def test_the_note_of_go_is_signed_byte_for_byte() -> None:
    signer = Signer(pem_of(base64.b64decode(PETER_SECRET)[1:]), "PeterNeumann")
    assert signer.verifier_key == PETER
    assert signer.note(TEXT) == PETER_NOTE


def test_the_key_that_openssl_writes_is_read() -> None:
    for text in (PEM, PEM.replace("\n", "\r\n"), f"\n  {PEM.strip()}"):
        key = evidence_note.parse_verifier_key(Signer(text, ORIGIN).verifier_key)
        assert (key.name, key.public_key) == (ORIGIN, PUBLIC)


def test_the_checkpoint_of_c2sp_is_read_and_written() -> None:
    # c2sp.org/tlog-checkpoint
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    root = bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")
    assert Checkpoint.parse(text) == Checkpoint("example.com/behind-the-sofa", 20852163, root)
    assert Checkpoint.parse(text).text() == text


def test_the_example_of_the_documentation_is_true() -> None:
    document = DOCS.read_text(encoding="utf-8")
    note, key = (block.partition("```")[0] for block in document.split("```text\n")[1:3])
    key = key.strip()
    assert verify(note, key).origin == ORIGIN
    assert Signer(PEM, ORIGIN).verifier_key == key


# Checkpoints

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n", min_codepoint=32), min_size=1, max_size=20)


@given(st.builds(Checkpoint, LINES, st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32), st.lists(LINES).map(tuple)))
def test_a_checkpoint_is_read_as_it_was_written(point: Checkpoint) -> None:
    assert Checkpoint.parse(point.text()) == point


ROOT_LINE = base64.b64encode(ROOT).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "each on a line of its own"),
        (f"{ORIGIN}\n1\n", "each on a line of its own"),
        (f"{ORIGIN}\n1\n{ROOT_LINE}", "each on a line of its own"),
        (f"{ORIGIN}\n1\n{ROOT_LINE}\nmore", "each on a line of its own"),
        (f"\n1\n{ROOT_LINE}\n", "each on a line of its own"),
        (f"{ORIGIN}\n1\n{ROOT_LINE}\n\n", "each on a line of its own"),
        (f"{ORIGIN}\n1\n{ROOT_LINE}\n\nmore\n", "each on a line of its own"),
        *(
            (f"{ORIGIN}\n{size}\n{ROOT_LINE}\n", f"its size is {size!r}")
            for size in ("01", "00", "+1", "-1", " 1", "1_0", "1٣", "1e3", "1" + "0" * 18)
        ),
        (f"{ORIGIN}\n{'9' * 5000}\n{ROOT_LINE}\n", "its size is '9999"),
        (f"{ORIGIN}\n1\n{ROOT_LINE[:-1]}\n", "32 bytes"),
        (f"{ORIGIN}\n1\n{ROOT_LINE[:-2]}9=\n", "32 bytes"),  # the same bytes, written with other unused bits
        (f"{ORIGIN}\n1\n{ROOT_LINE}=\n", "32 bytes"),
        (f"{ORIGIN}\n1\n {ROOT_LINE}\n", "32 bytes"),
        (f"{ORIGIN}\n1\n{ROOT_LINE[:40]}é===\n", "32 bytes"),
        (f"{ORIGIN}\n1\n{base64.b64encode(ROOT[:31]).decode()}\n", "32 bytes"),
        (f"{ORIGIN}\n1\n{base64.b64encode(ROOT + b'x').decode()}\n", "32 bytes"),
    ],
    ids=short,
)
def test_what_is_not_quite_a_checkpoint_is_refused(text: str, told: str) -> None:
    with pytest.raises(EvidenceError, match="checkpoint: ") as caught:
        Checkpoint.parse(text)
    assert told in str(caught.value)


def test_unused_bits_of_base64_must_be_zero() -> None:
    assert base64.b64decode(f"{ROOT_LINE[:-2]}9=") == ROOT
    assert f"{ROOT_LINE[:-2]}9=" != ROOT_LINE


# Notes


def test_a_signed_checkpoint_is_verified() -> None:
    signer = Signer(PEM, ORIGIN)
    note = signer.sign(POINT.text())
    assert note.startswith(f"{POINT.text()}\n— {ORIGIN} ")
    assert verify(note, signer.verifier_key) == POINT
    assert verify(note + PETER_LINE, signer.verifier_key) == POINT


def test_a_note_without_a_key_is_read_and_not_verified() -> None:
    note = evidence_note.unsigned(POINT.text())
    assert note == f"{ORIGIN}\n20852\n{ROOT_LINE}\n\n"
    assert evidence_note.parse_note(note) == (POINT.text(), [])
    with pytest.raises(EvidenceError, match="it is not signed"):
        verify(note, Signer(PEM, ORIGIN).verifier_key)


def test_every_changed_bit_of_a_signed_checkpoint_is_noticed() -> None:
    signer = Signer(PEM, ORIGIN)
    note = signer.sign(POINT.text()).encode()
    key = signer.verifier_key
    for bit in range(8 * len(note)):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EvidenceError):
            verify(changed.decode("utf-8", "surrogateescape"), key)


def test_errors_of_verification_say_what_is_wrong() -> None:
    signer = Signer(PEM, ORIGIN)
    note = signer.sign(POINT.text())
    other_key = Signer(pem_of(b"k" * 32), ORIGIN)
    other_name = Signer(PEM, "archive2.example.com/kerio")
    cases = [
        (note, other_key, f"signed by another key of {ORIGIN}: .* instead of "),
        (note, other_name, f"signed by {ORIGIN}, not by archive2.example.com/kerio"),
        (note.replace("20852", "20853"), signer, "does not fit"),
        (note + signer.sign(Checkpoint(ORIGIN, 1, ROOT).text()).splitlines(True)[-1], signer, "does not fit"),
        (other_name.note(POINT.text()), other_name, f"speaks of the ledger {ORIGIN}, but the key is that of archive2"),
        (signer.note(f"{ORIGIN}\nhello\n"), signer, "each on a line of its own"),
    ]
    for text, key, told in cases:
        with pytest.raises(EvidenceError, match=told):
            verify(text, key.verifier_key)
    short = evidence_note.encoded(evidence_note.parse_verifier_key(signer.verifier_key).key_id + b"short")
    with pytest.raises(EvidenceError, match="does not fit"):
        verify(f"{POINT.text()}\n— {ORIGIN} {short}\n", signer.verifier_key)


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("", "no empty line"),
        (TEXT, "no empty line"),
        ("\n\n", "no empty line"),
        (f"{TEXT}{PETER_LINE}", "no empty line"),
        (PETER_NOTE[:-1], "its last line has no end"),
        (f"\x01{PETER_NOTE}", "control characters"),
        (PETER_NOTE.replace("\n", "\r\n", 1), "control characters"),
        (f"\udcff{PETER_NOTE}", "not UTF-8"),
        (f"{PETER_NOTE}Unexpected line.\n", "'Unexpected line.' is not a signature"),
        (PETER_NOTE.replace("— ", "- "), "is not a signature"),
        (PETER_NOTE.replace("PeterNeumann", "Peter Neumann"), "is not a signature"),
        (PETER_NOTE.replace("PeterNeumann", "Peter\u2003Neumann"), "is not a signature"),
        (PETER_NOTE.replace("PeterNeumann", "Peter+Neumann"), "is not a signature"),
        (PETER_NOTE.replace("PeterNeumann", ""), "is not a signature"),
        (PETER_NOTE.replace("nAM=", "nAN="), "is not a signature"),  # the same bytes, written with other unused bits
        (f"{TEXT}\n— PeterNeumann x08gow==\n", "is not a signature"),
        (f"{TEXT}\n{PETER_LINE * 101}", "101 signatures"),
    ],
    ids=short,
)
def test_what_is_not_quite_a_note_is_refused(note: str, told: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        evidence_note.open_note(note, evidence_note.parse_verifier_key(PETER))
    assert told in str(caught.value)


def test_a_text_with_empty_lines_is_a_note_too() -> None:
    assert evidence_note.parse_note(f"one\n\ntwo\n\n{PETER_LINE}")[0] == "one\n\ntwo\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (Checkpoint("another.example.com", 1, ROOT).text(), "speaks of the ledger another.example.com"),
        (f"{ORIGIN}\nhello\n", "each on a line of its own"),
        (POINT.text()[:-1], "each on a line of its own"),
        (f"{POINT.text()}an\textension\n", "control characters"),
        (f"{POINT.text()}\udcff\n", "not UTF-8"),
    ],
    ids=short,
)
def test_nothing_is_signed_that_could_not_be_verified(text: str, told: str) -> None:
    with pytest.raises(EvidenceError, match=told):
        Signer(PEM, ORIGIN).sign(text)


# Names and keys


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb", "a\u00a0b", "a\u2028b", "a\x00b", "a\udcffb"])
def test_names_that_notes_do_not_allow_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="ledger_key: it cannot sign as ") as caught:
        Signer(PEM, name)
    assert "origin" in caught.value.remedy


@given(st.text(st.characters(exclude_categories=()), min_size=1), st.text(st.characters(exclude_categories=()), min_size=1))
def test_every_origin_has_a_name_of_its_own(one: str, other: str) -> None:
    assert evidence_note.is_name(evidence_note.name_of(one))
    assert (evidence_note.name_of(one) == evidence_note.name_of(other)) == (one == other)


def test_an_origin_keeps_what_a_name_may_hold() -> None:
    assert evidence_note.name_of(ORIGIN) == ORIGIN
    assert evidence_note.name_of("mail/Übung 1+2 50%") == "mail/Übung%201%2B2%2050%25"


def test_every_cut_or_changed_verifier_key_is_refused() -> None:
    cuts = [PETER[begin:end] for begin in range(len(PETER)) for end in range(begin, len(PETER) + 1)]
    changes = [f"{PETER[:at]}{chr(ord(PETER[at]) + 1)}{PETER[at + 1 :]}" for at in range(len(PETER))]
    others = [
        # golang.org/x/mod/sumdb/note, note_test.go: a key of another length, and one of another kind, with the ids that they have
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER + "\n",
    ]
    for text in {*cuts, *changes, *others} - {PETER}:
        with pytest.raises(InputError, match="verifier key: it"):
            evidence_note.parse_verifier_key(text)


def test_a_private_key_in_place_of_a_verifier_key_is_not_told() -> None:
    with pytest.raises(InputError) as caught:
        evidence_note.parse_verifier_key(f"PRIVATE+KEY+PeterNeumann+c74f20a3+{PETER_SECRET}")
    assert not told_of(PETER_SECRET, caught.value)


def told_of(secret: str, error: Exception) -> bool:
    """Whether any piece of a secret is in what an operator may see of an error."""
    seen = "".join(traceback.format_exception(error)) + repr(vars(error))
    body = "".join(line for line in secret.splitlines() if not line.startswith("-----"))
    return any(body[at : at + 8] in seen for at in range(len(body) - 7))


CURVE = ec.SECP256R1()
NEW = ed25519.Ed25519PrivateKey.from_private_bytes(b"n" * 32)
CASES: dict[str, tuple[t.Callable[[], str], str]] = {
    "nothing": (lambda: "", "not the PEM text"),
    "garbage": (lambda: "correct horse battery staple", "not the PEM text"),
    "not base64": (lambda: PEM.replace("MC4C", "\x00\xff??"), "not the PEM text"),
    "lines folded": (lambda: PEM.replace("\n", " "), "not the PEM text"),
    "text around it": (lambda: f"my secret remark\n{PEM}", "not the PEM text"),
    "cut": (lambda: PEM.replace("EdVhC", ""), "cannot be read"),
    "of no kind": (lambda: PEM.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vz"), "cannot be read"),
    "rsa": (lambda: pem(rsa.generate_private_key(65537, 2048)), "not an Ed25519 key"),
    "ec": (lambda: pem(ec.generate_private_key(CURVE)), "not an Ed25519 key"),
    "ed448": (lambda: pem(ed448.Ed448PrivateKey.generate()), "not an Ed25519 key"),
    "old form": (lambda: pem(ec.generate_private_key(CURVE), kind=PrivateFormat.TraditionalOpenSSL), "not the PEM text"),
    "openssh": (lambda: pem(NEW, kind=PrivateFormat.OpenSSH), "not the PEM text"),
    "encrypted": (lambda: pem(NEW, BestAvailableEncryption(b"secret")), "encrypted with a passphrase"),
    "two": (lambda: PEM + PEM, "more than one key"),
}


@pytest.mark.parametrize("case", CASES)
def test_other_keys_are_refused_with_a_remedy_and_not_told(case: str) -> None:
    make, told = CASES[case]
    text = make()
    with pytest.raises(InputError) as caught:
        Signer(text, ORIGIN)
    assert caught.value.subject == "ledger_key"
    assert told in caught.value.cause
    assert "openssl genpkey -algorithm ed25519" in caught.value.remedy
    assert not told_of(text, caught.value)


def test_told_of_finds_pieces_of_a_secret() -> None:
    assert told_of(PEM, InputError("ledger_key", "what is EINTuctv5E1h", "no"))


def test_the_library_is_asked_for_only_where_a_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(PEM, ORIGIN)
    signed, key = signer.sign(POINT.text()), signer.verifier_key
    for name in [one for one in sys.modules if one.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert Checkpoint.parse(evidence_note.parse_note(evidence_note.unsigned(POINT.text()))[0]) == POINT
    with pytest.raises(MissingLibraryError, match="cryptography: the Python library is not installed for"):
        Signer(PEM, ORIGIN)
    with pytest.raises(MissingLibraryError, match="install cryptography"):
        verify(signed, key)
