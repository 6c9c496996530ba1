#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check proofs from the ledger of an archive of kerio-archive, without kerio-archive; README.md tells what is proven.

Needs Python 3.8 or newer, and the package cryptography for signatures. The formats are those of RFC 9162 (Merkle tree),
c2sp.org/signed-note, c2sp.org/tlog-checkpoint and c2sp.org/tlog-proof. Exit status: 0 proven, 1 not proven, 2 unreadable.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import io
import json
import re
import sys
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

NAME = r"[^\s+]+"  # of a key: no Unicode blank and no plus
MAX_TEXT = 64 << 20  # bytes of a proof or of a file of checkpoints; a ledger and a message may have any size
CHUNK = 1 << 16  # bytes that are read at once, and that the entry of one message may have

HELD = {  # events that say that the archive had a message's bytes
    "archived": "the message was archived",
    "adopted": "the message came into the archive without a run",
    "deleted": "the message was in the archive and was deleted on the server",
    "found": "the message had been declared lost and was in the archive again",
}
NOBODY = "WARNING: NO SIGNATURE WAS CHECKED (--unsigned). Whoever could write these files could make all of this up."


class NotProvenError(Exception):
    status, verdict = 1, "NOT PROVEN"  # what was given can be read, and does not fit together


class UnreadableError(Exception):
    status, verdict = 2, "CANNOT BE CHECKED"  # what was given cannot be read, or is not what it should be


class Checkpoint(NamedTuple):
    what: str  # names it in messages
    text: bytes  # what is signed: these three lines, and what others added
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes, bytes]]  # name, key id, value


Proof = Tuple[List[str], List[bytes], List["Checkpoint"]]  # fields, hashes, checkpoints
Keys = Dict[Tuple[str, bytes], bytes]  # public keys by name and key id; empty if no signature is to be checked


def shown(value: Any) -> str:
    """Return a value from a file as text for a terminal: what could move the cursor or turn text round is escaped."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(one if one.isprintable() and one != "\\" else one.encode("unicode_escape").decode("ascii") for one in text)


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf; it keeps one hash for each complete subtree, so at most 64."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        filled = self.size
        while filled & 1:
            leaf = node_hash(self._subtrees.pop(), leaf)
            filled >>= 1
        self._subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._subtrees:
            return hashlib.sha256(b"").digest()
        return functools.reduce(lambda right, left: node_hash(left, right), reversed(self._subtrees))


def split_path(path: list[bytes], leaf_reached: bool) -> tuple[list[bytes], bytes]:
    """Return the hashes for the subtree below, and the one beside it; nothing is left of a path that is used up."""
    if leaf_reached == bool(path):
        raise NotProvenError(f"The proof has {'more' if path else 'fewer'} hashes than a tree of this size needs.")
    return path[:-1], b"".join(path[-1:])


def root_above(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root of the tree in which the leaf has this inclusion path (section 2.1.3)."""
    below, beside = split_path(path, size == 1)
    if size == 1:
        return leaf
    left = 1 << (size - 1).bit_length() - 1  # the largest power of two below the size
    if index < left:
        return node_hash(root_above(leaf, index, left, below), beside)
    return node_hash(beside, root_above(leaf, index - left, size - left, below))


def roots_above(old_root: bytes, old: int, new: int, path: list[bytes], known: bool = True) -> tuple[bytes, bytes]:
    """Return the roots of the two trees that have this consistency path (section 2.1.4), which leaves out a ``known`` root."""
    below, beside = split_path(path, old == new and known)
    if old == new and known:
        return old_root, old_root
    if old == new:
        split_path(below, True)
        return beside, beside
    left = 1 << (new - 1).bit_length() - 1
    if old <= left:
        older, newer = roots_above(old_root, old, left, below, known)
        return older, node_hash(newer, beside)
    older, newer = roots_above(old_root, old - left, new - left, below, False)
    return node_hash(beside, older), node_hash(beside, newer)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without their ends, and an empty one behind the last of them."""
    with path.open("rb") as file:
        data = b"".join(islice(iter(lambda: file.read(CHUNK), b""), MAX_TEXT // CHUNK + 1))
    what = shown(str(path))
    if len(data) > MAX_TEXT:
        raise UnreadableError(f"{what} has more than {MAX_TEXT} bytes and cannot be what is asked for.")
    text = data.decode("utf-8", "replace")
    if text.encode("utf-8") != data:
        raise UnreadableError(f"{what} is not UTF-8.")
    control = re.search("[\x00-\x09\x0b-\x1f]", text)
    if control:
        raise UnreadableError(f"{what} has the control character {shown(control[0])}; lines must end in one line feed.")
    if not text.endswith("\n"):
        raise UnreadableError(f"{what} is empty or was cut off: its last line has no end.")
    return text.split("\n")


def base64_of(text: str, what: str, length: int = 0) -> bytes:
    """Decode base64; only the form that an encoder writes, and a length if one is given, are taken."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data).decode("ascii") != text:
        raise UnreadableError(f"{what} is not base64 as an encoder writes it.")
    if length not in (0, len(data)):
        raise UnreadableError(f"{what} has {len(data)} bytes, not {length}.")
    return data


def number_of(text: str, what: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,17}", text):
        raise UnreadableError(f"{what} is not a decimal number without leading zeros, of 18 digits at most.")
    return int(text)


def signature_of(line: str, what: str) -> tuple[str, bytes, bytes]:
    parts = re.fullmatch(f"\N{EM DASH} ({NAME}) (\\S{{8,}})", line)
    if parts is None:
        raise UnreadableError(f"Behind the empty line of {what} stands a line that is no signature: {shown(line[:80])}")
    data = base64_of(parts[2], f"The signature of {shown(parts[1])} on {what}")
    return parts[1], data[:4], data[4:]


def checkpoint_at(lines: list[str], start: int, what: str, keys: Keys) -> tuple[Checkpoint, int]:
    """Return the checkpoint that begins at a line, its signatures checked, and the number of the empty line behind it."""
    stop = lines.index("", start) if start < len(lines) else start
    text = lines[start:stop]
    if len(text) < 3 or stop + 1 >= len(lines):
        raise UnreadableError(f"{what} must begin with three lines, origin, number of entries and root, and an empty line.")
    end = lines.index("", stop + 1)
    size = number_of(text[1], f"The number of entries of {what}")
    root = base64_of(text[2], f"The root of {what}", 32)
    signatures = [signature_of(line, what) for line in lines[stop + 1 : end]]
    checkpoint = Checkpoint(what, "".join(f"{line}\n" for line in text).encode("utf-8"), text[0], size, root, signatures)
    check_signed(checkpoint, keys)
    return checkpoint, end


def checkpoints_in(path: Path, keys: Keys) -> list[Checkpoint]:
    """Read one checkpoint, or several, each followed by an empty line."""
    lines, start = read_lines(path), 0
    found: list[Checkpoint] = []
    while start < len(lines) - 1:
        checkpoint, end = checkpoint_at(lines, start, f"checkpoint {len(found) + 1} of {shown(str(path))}", keys)
        found.append(checkpoint)
        start = end + 1
    return found


def proof_in(path: Path, head: str, fields: list[str], names: list[str], keys: Keys) -> Proof:
    """Return the values of the fields that follow the head, the hashes, and the checkpoints, called as ``names`` says."""
    lines, what = read_lines(path), shown(str(path))
    if lines[0] != head:
        raise UnreadableError(f"{what} is another kind of file: its first line is not {head!r}.")
    end, first = lines.index(""), 1 + len(fields)
    pairs = [line.partition(" ") for line in lines[1:first]]
    if [pair[:2] for pair in pairs] != [(field, " ") for field in fields]:
        raise UnreadableError(f"The second line of {what} must be extra and the entry, the third one index and a number.")
    hashes = [base64_of(line, f"Hash {number} of {what}", 32) for number, line in enumerate(lines[first:end], 1)]
    found: list[Checkpoint] = []
    for name in names:
        checkpoint, end = checkpoint_at(lines, end + 1, f"the {name} of {what}", keys)
        found.append(checkpoint)
    if end != len(lines) - 1:
        raise UnreadableError(f"{what} goes on behind its last checkpoint.")
    return [pair[2] for pair in pairs], hashes, found


def entry_of(raw: bytes) -> dict[str, Any]:
    """Read the entry of a message; whoever calls has proven that the ledger has these bytes."""
    if len(raw) > CHUNK or re.search(rb"[^ -~]", raw):
        raise UnreadableError("The entry is not one short line of ASCII.")
    try:
        pairs = json.loads(raw.decode("ascii"), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("The entry is not JSON.") from error
    if not isinstance(pairs, tuple) or len(dict(pairs)) != len(pairs) or pairs[:1] != (("event", dict(pairs).get("event")),):
        raise UnreadableError("The entry is not a JSON object whose first key is event, and that has no key twice.")
    return dict(pairs)


def keys_of(texts: list[str]) -> Keys:
    """Read public keys: name, key id in hexadecimal digits, and base64 of the type and the key, with a plus in between."""
    keys: Keys = {}
    for text in texts:
        parts = re.fullmatch(rf"({NAME})\+([0-9a-f]{{8}})\+(\S+)", text)
        if parts is None:
            raise UnreadableError("A key is written as <name>+<key id, 8 lower-case hexadecimal digits>+<base64>.")
        name, key_id = parts[1], bytes.fromhex(parts[2])
        data = base64_of(parts[3], f"The key of {shown(name)}", 33)
        if data[:1] != b"\x01":  # type of signature
            raise UnreadableError(f"The key of {shown(name)} is not an Ed25519 key.")
        if hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\n" + data).digest()[:4] != key_id:
            raise UnreadableError(f"The key of {shown(name)} was changed or mistyped: its key id does not fit.")
        keys[name, key_id] = data[1:]
    return keys


def check_signed(checkpoint: Checkpoint, keys: Keys) -> None:
    """Refuse a checkpoint unless a known key with the name of its origin signed it; others that signed are ignored."""
    if not keys:
        return
    if not checkpoint.signatures:
        raise NotProvenError(f"Nobody signed {checkpoint.what}.")
    ours = [signature for signature in checkpoint.signatures if signature[:2] in keys and signature[0] == checkpoint.origin]
    if not ours:
        others = ", ".join(f"{shown(name)}+{key_id.hex()}" for name, key_id, _value in checkpoint.signatures)
        raise NotProvenError(f"No given key of {shown(checkpoint.origin)} signed {checkpoint.what}; it is signed by {others}.")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise UnreadableError("Signatures need the Python package cryptography: python3 -m pip install cryptography") from error
    try:
        for name, key_id, value in ours:
            Ed25519PublicKey.from_public_bytes(keys[name, key_id]).verify(value, checkpoint.text)
    except InvalidSignature as error:
        raise NotProvenError(f"The signature on {checkpoint.what} is wrong.") from error


def entry_hashes(path: Path) -> Iterator[bytes]:
    """Yield the leaf hash of each line; a last line without an end is no entry."""
    with path.open("rb") as file:
        leaf = hashlib.sha256(b"\x00")
        for part in iter(lambda: file.readline(CHUNK), b""):
            leaf.update(part.rstrip(b"\n"))
            if part.endswith(b"\n"):
                yield leaf.digest()
                leaf = hashlib.sha256(b"\x00")


def check_ledger(given: argparse.Namespace, keys: Keys) -> list[str]:
    kept = [checkpoint for path in given.checkpoint for checkpoint in checkpoints_in(path, keys)]
    tree, entries, fits = Tree(), entry_hashes(given.entries), "No older one was given."
    for checkpoint in sorted(kept, key=lambda one: one.size):
        for leaf in islice(entries, checkpoint.size - tree.size):
            tree.add(leaf)
        refusal = f"{checkpoint.what} does not fit: it is of {checkpoint.size} entries"
        if tree.size < checkpoint.size:
            raise NotProvenError(f"{refusal}, but the ledger has only {tree.size}; it was cut off or rolled back. {fits}")
        if tree.root() != checkpoint.root:
            raise NotProvenError(f"{refusal}, but the first {tree.size} of the ledger are not those. {fits}")
        fits = f"{checkpoint.what}, of {checkpoint.size} entries, fits."
    return [
        f"The first {tree.size} entries of {shown(str(given.entries))} are those that were signed, complete and in order.",
        f"Checkpoints that fit: {len(kept)}. The newest: {fits} Entries behind it, not proven: {sum(1 for _leaf in entries)}.",
    ]


def check_consistency(given: argparse.Namespace, keys: Keys) -> list[str]:
    head, names = "kerio-archive consistency 1", ["older checkpoint", "newer checkpoint"]
    _fields, path, (older, newer) = proof_in(given.proof, head, [], names, keys)
    if older.origin != newer.origin:
        raise NotProvenError(f"The checkpoints are of two ledgers, {shown(older.origin)} and {shown(newer.origin)}.")
    if older.size > newer.size:
        raise NotProvenError(f"The older checkpoint has more entries ({older.size}) than the newer one ({newer.size}).")
    if older.size == 0:  # every tree begins with the empty one
        split_path(path, True)
    roots = roots_above(older.root, older.size, newer.size, path) if older.size else (Tree().root(), newer.root)
    if roots[0] != older.root:
        raise NotProvenError("The hashes of the proof do not lead to the root of the older checkpoint.")
    if roots[1] != newer.root:
        raise NotProvenError("The newer checkpoint's tree does not begin with the older one's: the hashes lead to another root.")
    return [f"The ledger {shown(newer.origin)} of {newer.size} entries begins with the {older.size} of the older checkpoint."]


def check_checkpoint(given: argparse.Namespace, keys: Keys) -> list[str]:
    found = checkpoints_in(given.file, keys)
    return [f"{each.what}: {shown(each.origin)}, {each.size} entries, root {each.root.hex()}" for each in found]


def check_bytes(path: Path, entry: dict[str, Any]) -> None:
    digest, size, what = hashlib.sha256(), 0, shown(str(path))
    with path.open("rb") as file:
        zstd = file.peek(4).startswith(b"\x28\xb5\x2f\xfd")  # the magic number of a frame
        for part in iter(lambda: file.read(CHUNK), b""):
            digest.update(part)
            size += len(part)
    if digest.hexdigest() != entry.get("digest"):
        hint = " It is compressed: run zstd -d on it first, and check what comes out." if zstd else ""
        raise NotProvenError(f"{what} is not the message of the entry: its SHA-256 is {digest.hexdigest()}.{hint}")
    if str(size) != json.dumps(entry.get("size")):
        raise NotProvenError(f"{what} has {size} bytes, but the entry says {shown(entry.get('size'))}.")


def check_message(given: argparse.Namespace, keys: Keys) -> list[str]:
    (extra, number), path, (tree,) = proof_in(given.proof, "c2sp.org/tlog-proof@v1", ["extra", "index"], ["checkpoint"], keys)
    raw, index = base64_of(extra, "The entry"), number_of(number, "The index")
    if index >= tree.size:
        raise NotProvenError(f"The proof is about entry {index}, counted from 0, but the ledger has {tree.size} entries.")
    if root_above(hashlib.sha256(b"\x00" + raw).digest(), index, tree.size, path) != tree.root:
        raise NotProvenError(f"The entry is not number {index} of the ledger: the hashes do not lead to the checkpoint's root.")
    if given.checkpoint and tree.text not in [kept.text for file in given.checkpoint for kept in checkpoints_in(file, {})]:
        raise NotProvenError(f"{tree.what} is not the one that was kept: check a proof of consistency between the two as well.")
    entry = entry_of(raw)
    if entry["event"] not in list(HELD):
        raise NotProvenError(f"The entry is of the event {shown(entry['event'])}, which does not say that a message was there.")
    check_bytes(given.message, entry)
    return [
        f"{moment(entry.get('at'))}: {HELD[entry['event']]}.",
        *(f"  {shown(key)}: {shown(value)}" for key, value in entry.items()),
        f"Entry {index}, counted from 0, of the {tree.size} entries of the ledger {shown(tree.origin)}.",
    ]


def moment(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise UnreadableError("The entry's time (at) is not a number of seconds that a calendar knows.") from error


COMMANDS = {
    "message": (check_message, ("message", "proof"), "a message was in the archive"),
    "consistency": (check_consistency, ("proof",), "a newer checkpoint's ledger begins with an older one's"),
    "checkpoint": (check_checkpoint, ("file",), "a checkpoint is signed"),
    "ledger": (check_ledger, ("entries",), "the file of entries is what the checkpoints signed"),
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Check proofs from the ledger of an archive of kerio-archive.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_check, files, shows) in COMMANDS.items():
        command = commands.add_parser(name, help=shows, description=f"Check that {shows}.", allow_abbrev=False)
        for file in files:
            command.add_argument(file, type=Path, metavar=file.upper())
        signed = command.add_mutually_exclusive_group(required=True)
        signed.add_argument("--key", action="append", metavar="VKEY", help="public key of the archive; may be repeated")
        signed.add_argument("--unsigned", action="store_true", help="check no signature: then nobody vouches for anything")
        if name in ("ledger", "message"):
            shows = "file with signed checkpoints" if name == "ledger" else "file with checkpoints that were kept elsewhere"
            command.add_argument("--checkpoint", type=Path, action="append", default=[], required=name == "ledger", help=shows)
    return parser


def main(words: list[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    given = arguments().parse_args(words)
    try:
        lines = COMMANDS[given.command][0](given, keys_of(given.key or []))
    except (NotProvenError, UnreadableError) as error:
        print(f"{error.verdict}: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"CANNOT BE READ: {shown(str(error.filename))}: {error.strerror}", file=sys.stderr)
        return UnreadableError.status
    print("\n".join([NOBODY, "PROVEN, BUT UNSIGNED", *lines] if given.unsigned else ["PROVEN", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
