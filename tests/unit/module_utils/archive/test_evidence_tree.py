# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of the ledger against published vectors, and against the definitions of RFC 9162 written down once more, naively."""

from __future__ import annotations

import hashlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_tree as tree
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError

# The vectors of the certificate-transparency project: merkle_tree_test.cc, and testonly/constants.go of transparency-dev/merkle.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# level -> hashes of the complete subtrees of 2**level leaves
NODES = [
    [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    ],
    [
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    ],
    [
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    ["5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
]
# (index, size) or (old, new) -> (level, number) of the hashes, nearest to the leaf first
INCLUSION = {
    (0, 1): [],
    (0, 8): [(0, 1), (1, 1), (2, 1)],
    (5, 8): [(0, 4), (1, 3), (2, 0)],
    (2, 3): [(1, 0)],
    (1, 5): [(0, 0), (1, 1), (0, 4)],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [(0, 1), (1, 1), (2, 1)],
    (6, 8): [(1, 2), (1, 3), (2, 0)],
    (2, 5): [(1, 1), (0, 4)],
    (6, 7): [(1, 2), (0, 6), (2, 0)],
}
SIZES = st.integers(0, 400)
ENTRIES = [b"entry %d" % number for number in range(401)]


def reader(entries: t.Sequence[bytes]) -> tree.Read:
    """The stored hashes of a tree that was made at once."""
    stored = tree.appended(0, entries, lambda index: pytest.fail(f"nothing is stored yet, least of all {index}"))
    return lambda index: stored[32 * index : 32 * index + 32]


READ = reader(ENTRIES)
READ_LEAVES = reader(LEAVES)


# RFC 9162, sections 2.1.1, 2.1.3.1 and 2.1.4.1, word by word


def mth(entries: t.Sequence[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = largest_power_below(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, entries: t.Sequence[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    k = largest_power_below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: t.Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = largest_power_below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


# Published vectors


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_that_certificate_transparency_published(size: int) -> None:
    assert tree.root(size, READ_LEAVES).hex() == ROOTS[size]
    assert mth(LEAVES[:size]).hex() == ROOTS[size]


def test_stored_hashes_are_the_published_ones_where_their_index_says() -> None:
    found = [[READ_LEAVES(tree.stored_index(level, n)).hex() for n in range(len(NODES[level]))] for level in range(4)]
    assert found == NODES
    assert tree.leaf_hash(LEAVES[7]).hex() == NODES[0][7]
    assert tree.node_hash(bytes.fromhex(NODES[0][0]), bytes.fromhex(NODES[0][1])).hex() == NODES[1][0]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_paths_are_the_published_ones(index: int, size: int) -> None:
    expected = [bytes.fromhex(NODES[level][n]) for level, n in INCLUSION[index, size]]
    assert tree.inclusion(index, size, READ_LEAVES) == expected
    assert tree.root_from_inclusion(bytes.fromhex(NODES[0][index]), index, size, expected).hex() == ROOTS[size]


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_paths_are_the_published_ones(old: int, new: int) -> None:
    expected = [bytes.fromhex(NODES[level][n]) for level, n in CONSISTENCY[old, new]]
    assert tree.consistency(old, new, READ_LEAVES) == expected
    assert tree.check_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), expected)


# The stored hashes


def test_hashes_are_stored_in_the_order_of_go_sumdb() -> None:
    # StoredHashIndex of golang.org/x/mod/sumdb/tlog, by hand: leaf 0, leaf 1, both, leaf 2, leaf 3, both, all four, leaf 4
    places = [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3), (1, 1), (2, 0), (0, 4)]
    assert [tree.stored_index(*place) for place in places] == list(range(8))
    assert [tree.stored_count(size) for size in range(9)] == [0, 1, 3, 4, 7, 8, 10, 11, 15]


@given(SIZES, st.lists(st.integers(0, 400), max_size=5))
def test_appending_in_parts_stores_the_same_and_reads_little(size: int, cuts: list[int]) -> None:
    stored = b""
    ends = sorted({min(cut, size) for cut in cuts} | {size})
    begin = 0
    for end in ends:
        reads: list[int] = []

        def read(index: int, known: bytes = stored, reads: list[int] = reads) -> bytes:
            reads.append(index)
            assert 32 * index + 32 <= len(known)
            return known[32 * index : 32 * index + 32]

        stored += tree.appended(begin, iter(ENTRIES[begin:end]), read)
        assert len(reads) <= begin.bit_length()
        assert len(stored) == 32 * tree.stored_count(end)
        begin = end
    assert stored == b"".join(READ(index) for index in range(tree.stored_count(size)))


@given(SIZES)
def test_roots_are_those_of_the_definition(size: int) -> None:
    assert tree.root(size, READ) == mth(ENTRIES[:size])


# Proofs


@given(st.data())
def test_every_entry_is_proved_as_the_definition_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 400))
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion(index, size, READ)
    assert proof == path(index, ENTRIES[:size])
    assert tree.root_from_inclusion(tree.leaf_hash(ENTRIES[index]), index, size, proof) == mth(ENTRIES[:size])


@given(st.data())
def test_every_growth_is_proved_as_the_definition_does(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 400))
    old = data.draw(st.integers(1, new))
    proof = tree.consistency(old, new, READ)
    assert proof == subproof(old, ENTRIES[:new], True)
    assert tree.check_consistency(old, mth(ENTRIES[:old]), new, mth(ENTRIES[:new]), proof)


def test_an_empty_ledger_is_the_beginning_of_every_other() -> None:
    assert tree.consistency(0, 5, READ) == tree.consistency(0, 0, READ) == []
    nothing = mth([])
    assert tree.check_consistency(0, nothing, 5, mth(ENTRIES[:5]), [])
    assert tree.check_consistency(0, nothing, 0, nothing, [])
    for old_root, new_root, proof in ((b"x" * 32, mth(ENTRIES[:5]), []), (nothing, mth(ENTRIES[:5]), [nothing])):
        assert not tree.check_consistency(0, old_root, 5, new_root, proof)
    assert not tree.check_consistency(0, nothing, 0, b"x" * 32, [])
    assert not tree.check_consistency(0, b"x" * 32, 0, b"x" * 32, [])


# What must not pass


def flipped(data: bytes) -> t.Iterator[bytes]:
    """The same bytes with one bit changed, for every bit."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def broken(proof: list[bytes]) -> t.Iterator[list[bytes]]:
    """A proof with one bit changed, with a hash too few, too many, or in another place."""
    for place, one in enumerate(proof):
        yield from ([*proof[:place], other, *proof[place + 1 :]] for other in flipped(one))
        yield proof[:place] + proof[place + 1 :]
        yield [*proof[:place], one, *proof[place:]]
    yield [*proof, b"x" * 32]
    if len(proof) > 1:
        yield proof[::-1]


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    try:
        return tree.root_from_inclusion(leaf, index, size, proof) == root
    except EvidenceError:
        return False


@pytest.mark.parametrize("size", range(1, 9))
def test_nothing_but_the_entry_the_place_and_the_whole_path_proves_inclusion(size: int) -> None:
    root = mth(ENTRIES[:size])
    for index in range(size):
        leaf, proof = tree.leaf_hash(ENTRIES[index]), path(index, ENTRIES[:size])
        assert included(leaf, index, size, proof, root)
        assert not any(included(other, index, size, proof, root) for other in flipped(leaf))
        assert not any(included(leaf, index, size, other, root) for other in broken(proof))
        places = [*range(-1, index), *range(index + 1, 2 * size + 1), 1 << 70]
        assert not any(included(leaf, other, size, proof, root) for other in places)


@pytest.mark.parametrize("new", range(1, 9))
def test_nothing_but_both_roots_and_the_whole_path_proves_consistency(new: int) -> None:
    new_root = mth(ENTRIES[:new])
    for old in range(1, new + 1):
        old_root, proof = mth(ENTRIES[:old]), subproof(old, ENTRIES[:new], True)
        assert tree.check_consistency(old, old_root, new, new_root, proof)
        assert not any(tree.check_consistency(old, other, new, new_root, proof) for other in flipped(old_root))
        assert not any(tree.check_consistency(old, old_root, new, other, proof) for other in flipped(new_root))
        assert not any(tree.check_consistency(old, old_root, new, new_root, other) for other in broken(proof))
        # not ``old`` too small only: another old size needs another old root, which these proofs do not lead to
        others = [other for other in range(-1, new + 2) if other != old]
        assert not any(tree.check_consistency(other, old_root, new, new_root, proof) for other in others)


def test_sizes_and_places_out_of_range_are_refused() -> None:
    leaf = tree.leaf_hash(ENTRIES[0])
    for index, size in ((1, 1), (0, 0), (-1, 3), (3, 3)):
        with pytest.raises(EvidenceError, match=f"entry {index} is not in a ledger of {size} entries"):
            tree.root_from_inclusion(leaf, index, size, [])
        with pytest.raises(ValueError, match=f"a tree of {size} entries has no entry {index}"):
            tree.inclusion(index, size, READ)
    for proof, told in (([], "too few"), ([leaf] * 3, "too many")):
        with pytest.raises(EvidenceError, match=told):
            tree.root_from_inclusion(leaf, 0, 4, proof)
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"a tree of {old} entries is not the beginning of one of {new}"):
            tree.consistency(old, new, READ)
        assert not tree.check_consistency(old, leaf, new, leaf, [])
