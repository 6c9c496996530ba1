# SPDX-License-Identifier: GPL-3.0-or-later
"""The Merkle tree of the ledger: RFC 9162 section 2.1 over the stored hashes of the file ``hashes``. ``docs/evidence.md``.

What makes proofs and what checks them share ``leaf_hash`` and ``node_hash`` only, so that one mistake cannot hide another.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError

Hash = bytes  # 32 of them
Read = t.Callable[[int], Hash]  # the stored hash of that index

EMPTY_ROOT = hashlib.sha256().digest()
_LEAF = b"\x00"
_NODE = b"\x01"
_ANOTHER = "Use the proof that belongs to this entry and this checkpoint, or have it made again"


def leaf_hash(entry: bytes) -> Hash:
    """The hash of one entry."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of two subtrees together."""
    return hashlib.sha256(_NODE + left + right).digest()


# The stored hashes


def stored_count(size: int) -> int:
    """How many hashes are stored for so many entries."""
    return 2 * size - size.bit_count()


def stored_index(level: int, n: int) -> int:
    """Where the hash of the n-th complete subtree of 2**level entries is stored: behind the leaf that completes it."""
    return stored_count(((n + 1) << level) - 1) + level


def appended(size: int, entries: t.Iterable[bytes], read: Read) -> bytes:
    """The stored hashes, one behind the other, that these entries add to a tree of ``size``."""
    sha256 = hashlib.sha256  # local names: this runs for every message of a first import
    complete = _stored(0, size, read)
    added: list[Hash] = []
    for entry in entries:
        latest = sha256(_LEAF + entry).digest()
        added.append(latest)
        left = size
        while left & 1:
            latest = sha256(_NODE + complete.pop() + latest).digest()
            added.append(latest)
            left >>= 1
        complete.append(latest)
        size += 1
    return b"".join(added)


def _stored(begin: int, end: int, read: Read) -> list[Hash]:
    """The hashes of the complete subtrees that the entries from ``begin`` to ``end`` consist of, the largest first."""
    hashes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        hashes.append(read(stored_index(level, begin >> level)))
        begin += 1 << level
    return hashes


def _span(begin: int, end: int, read: Read) -> Hash:
    """The hash of the subtree of these entries; ``begin`` is where the tree of RFC 9162 has one of that size."""
    *others, latest = _stored(begin, end, read)
    for left in reversed(others):
        latest = node_hash(left, latest)
    return latest


def root(size: int, read: Read) -> Hash:
    """The root of the tree of the first ``size`` entries."""
    return _span(0, size, read) if size else EMPTY_ROOT


# Proofs


def _split(begin: int, end: int) -> int:
    """Where a subtree of more than one entry divides: behind the largest power of two that is smaller than it."""
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def inclusion(index: int, size: int, read: Read) -> list[Hash]:
    """The path from the entry ``index`` to the root of the tree of ``size``, RFC 9162 section 2.1.3.1."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} entries has no entry {index}")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = _split(begin, end)
        if index < middle:
            path.append(_span(middle, end, read))
            end = middle
        else:
            path.append(_span(begin, middle, read))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int, read: Read) -> list[Hash]:
    """What proves that the tree of ``old`` is the beginning of that of ``new``, RFC 9162 section 2.1.4.1.

    The RFC leaves out an empty old tree and two trees of one size: nothing is needed to prove those.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} entries is not the beginning of one of {new}")
    if old == 0:
        return []
    path = []
    begin, end = 0, new
    while end != old:
        middle = _split(begin, end)
        if old <= middle:
            path.append(_span(middle, end, read))
            end = middle
        else:
            path.append(_span(begin, middle, read))
            begin = middle
    if begin:  # else it is the whole old tree, whose root the verifier has
        path.append(_span(begin, end, read))
    return path[::-1]


# What a verifier does; written as the RFC has it, names included


def root_from_inclusion(leaf: Hash, index: int, size: int, path: t.Sequence[Hash]) -> Hash:
    """The root that this path leads to, RFC 9162 section 2.1.3.2; the caller compares it with that of a checkpoint.

    Raises EvidenceError when no path of this length belongs to that entry of a tree of that size.
    """
    if not 0 <= index < size:
        raise EvidenceError("proof", f"entry {index} is not in a ledger of {size:,} entries", _ANOTHER)
    fn, sn = index, size - 1
    r = leaf
    for p in path:
        if sn == 0:
            raise EvidenceError("proof", "its path has too many hashes", _ANOTHER)
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise EvidenceError("proof", "its path has too few hashes", _ANOTHER)
    return r


def check_consistency(old: int, old_root: Hash, new: int, new_root: Hash, path: t.Sequence[Hash]) -> bool:
    """Whether the path proves that the old tree is the beginning of the new one, RFC 9162 section 2.1.4.2."""
    if not 0 <= old <= new or (old == 0 and old_root != EMPTY_ROOT):
        return False
    if old in (0, new):  # not in the RFC, see ``consistency``
        return not path and (old < new or old_root == new_root)
    if not path:
        return False
    first, *rest = path if old & (old - 1) else [old_root, *path]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = first
    for c in rest:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == new_root and sn == 0
