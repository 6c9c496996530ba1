# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout

# Any str that Python can hold, half UTF-16 pairs and what surrogateescape makes of broken bytes included.
NAMES = st.text(st.characters(exclude_categories=()), max_size=300)
DIGEST = hashlib.sha256(b"message").digest()


@given(NAMES)
@example("")
@example("cur")
@example("%63ur")
@example("..")
@example("\udcff\ud800")
@example("ä" * 150)
def test_an_escaped_name_is_safe_and_reversible(name: str) -> None:
    escaped = layout.escape(name)
    raw = escaped.encode()
    assert 0 < len(raw) <= 255
    assert "/" not in escaped and "\0" not in escaped and escaped[0] not in ".~ " and escaped not in layout.MAILDIR_PARTS
    assert escaped[-1] != " " and not any(ord(char) < 32 or ord(char) == 127 for char in escaped)
    back = layout.unescape(escaped)
    assert back == name or (back is None and len(raw) > 150)


@given(NAMES, NAMES)
@example("%", "")
@example("a/b", "a%2Fb")
@example("x" * 201, "x" * 200 + "%~")
@example("é" * 101, "é" * 102)
def test_two_names_never_share_a_directory(one: str, other: str) -> None:
    assert (layout.escape(one) == layout.escape(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("alice@example.com", "alice@example.com"),
        ("Gelöschte Objekte", "Gelöschte Objekte"),
        ("a.b", "a.b"),
        ("Inc.", "Inc."),
        (".hidden", "%2Ehidden"),
        ("..", "%2E."),
        (".", "%2E"),
        ("~root", "%7Eroot"),
        ("cur", "%63ur"),
        ("new", "%6Eew"),
        ("tmp", "%74mp"),
        ("Cur", "Cur"),
        ("50% off", "50%25 off"),
        ("a/b", "a%2Fb"),
        ("tab\there", "tab%09here"),
        ("end  ", "end%20%20"),
        (" begin", "%20begin"),
        ("", "%"),
        ("\udcff", "%ED%B3%BF"),
    ],
)
def test_names_that_would_be_taken_for_something_else_are_escaped(name: str, directory: str) -> None:
    assert layout.escape(name) == directory
    assert layout.unescape(directory) == name


def test_an_over_long_name_is_cut_between_characters_and_escapes() -> None:
    for name in ("ü" * 120, "x" * 199 + "%" * 9, "x" * 198 + "/" + "y" * 50, "€" * 90):
        escaped = layout.escape(name)
        kept, mark, digest = escaped.partition("%~")
        assert mark and digest == hashlib.sha256(name.encode()).hexdigest()[:16]
        assert len(kept.encode()) <= 200
        assert name.startswith(layout.unescape(kept) or "-")
        assert layout.unescape(escaped) is None


def test_paths_are_relative_to_the_root() -> None:
    hexadecimal = DIGEST.hex()
    assert layout.object_path(DIGEST) == f"objects/{hexadecimal[:2]}/{hexadecimal}"
    assert layout.object_path(DIGEST, 2) == f"objects/{hexadecimal[:2]}/{hexadecimal}.2"
    assert layout.folder_dir("a/b", []) == "mail/a%2Fb"
    assert layout.folder_dir("bob", ["x", "new"]) == "mail/bob/x/%6Eew"
    assert layout.folder_dir("bob", []) == "mail/bob"


@pytest.mark.parametrize("end", ["", ".1", ".12"])
def test_a_file_of_an_object_tells_its_digest(end: str) -> None:
    assert layout.digest_of(DIGEST.hex() + end) == DIGEST


# Statement 10 counts from 1, and a name that is none of an object's is a foreign file, which a sweep leaves (statement 31).
@pytest.mark.parametrize(
    "name", [DIGEST.hex() + end for end in (".0", ".01", ".", ".a", "\n")] + [DIGEST.hex().upper(), "foreign"]
)
def test_another_name_is_that_of_no_object(name: str) -> None:
    assert layout.digest_of(name) is None


@given(
    st.integers(0, 2**40),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(st.sampled_from("DFPRST"), unique=True),
)
def test_a_placement_name_is_read_back(internaldate: int, digest: bytes, size: int, vsize: int, flags: list[str]) -> None:
    name = layout.placement_name(internaldate, digest, size, vsize, "".join(flags))
    assert layout.parse_placement_name(name) == (internaldate, digest, size, vsize, "".join(sorted(flags)))
    assert name == f"{internaldate}.{digest.hex()}_0.a,S={size},W={vsize}:2,{''.join(sorted(flags))}"
    assert layout.base_name(name) == layout.base_name(layout.placement_name(internaldate, digest, size, vsize, ""))


@pytest.mark.parametrize("name", ["", "1.2", "dovecot-uidlist", f"1.{'a' * 64}_1.a,S=1,W=1:2,", f"-1.{'a' * 64}_0.a,S=1,W=1:2,"])
def test_a_foreign_file_is_no_placement(name: str) -> None:
    assert layout.parse_placement_name(name) is None


def test_a_date_before_1970_counts_as_zero_in_the_name() -> None:
    assert layout.placement_name(-5, DIGEST, 1, 1, "").startswith("0.")


def test_flags_become_letters() -> None:
    flags = ["\\Seen", "\\ANSWERED", "$Forwarded", "\\Draft", "\\Flagged", "\\Deleted", "\\Recent", "Junk", "\\seen"]
    assert layout.flag_letters(flags) == "DFPRS"


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (layout.staged_file(4711, 0, 1_000_000_007), True),
        (layout.staged_link(4711, layout.placement_name(1_700_000_000, DIGEST, 7, 8, "S")), True),
        (f"{layout.STAGING}/notes.txt", False),
        (f"{layout.STAGING}/4711.notes", False),
        (f"{layout.STAGING}/folder/4711.0.7", False),
        (layout.object_path(DIGEST), False),
    ],
)
def test_what_the_archive_left_in_staging_is_told_by_its_name(path: str, ours: bool) -> None:
    assert layout.is_staged(path) is ours
