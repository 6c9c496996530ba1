# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of an export: none that a file system refuses, none that it takes for another, and back again."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_names
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import Names, alike, safe
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import unescape

KNOWN = {
    "Übergröße": "Übergröße",
    "a.b": "a.b",
    "100%": "100%25",
    'a<b>c:d"e/f\\g|h?i*j': "a%3Cb%3Ec%3Ad%22e%2Ff%5Cg%7Ch%3Fi%2Aj",
    "dots..": "dots%2E%2E",
    "blank ": "blank%20",
    ".hidden": "%2Ehidden",
    "..": "%2E%2E",
    "": "%",
    "tab\there": "tab%09here",
    "CON": "%43ON",
    "com1.txt": "%63om1.txt",
    "LPT\xb9": "%4CPT\xb9",
    "CONSOLE": "CONSOLE",
    "Cur": "%43ur",
    "a.MBOX": "a%2EMBOX",
    "half\ud800": "half%ED%A0%80",
}


@pytest.mark.parametrize("name", KNOWN)
def test_names_that_some_file_system_refuses(name: str) -> None:
    assert safe(name) == KNOWN[name]
    assert unescape(KNOWN[name]) == name


TEXT = st.text(st.characters() | st.sampled_from(' .%~<>:"/\\|?*conauxprnlt1\ud800'), max_size=80)


@given(TEXT, TEXT)
def test_every_name_is_safe_and_no_two_are_one(one: str, other: str) -> None:
    name = safe(one)
    assert 0 < len(name.encode()) <= export_names.NAME_BYTES
    assert not set(name) & set('<>:"/\\|?*') and all(unicodedata.category(char) not in ("Cc", "Cs") for char in name)
    assert name[0] not in " ." and name[-1] not in " ."
    assert name.split(".")[0].rstrip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}
    assert unescape(name) in (one, None)
    assert (safe(other) == name) == (one == other)


def test_a_long_name_is_cut_between_characters_and_keeps_apart() -> None:
    one, other = (safe("ü%" * 200 + end) for end in "ab")
    assert one != other and len(one.encode()) <= export_names.NAME_BYTES and unescape(one) is None
    head = one.split("%~")[0]
    assert unescape(head) == ("ü%" * 200)[: len(unescape(head) or "")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sent", "SENT"),
        ("é", "e\u0301"),
        ("straße", "STRASSE"),
        ("a\u200db", "ab"),
        ("\u0130", "i\u0307"),
        ("\u0131", "I"),
        ("\u212a", "k"),
    ],
)
def test_names_that_some_file_system_takes_for_one(one: str, other: str) -> None:
    names = Names(())
    first, second = (names.path("tree", "user", (name,)) for name in (one, other))
    assert first == f"user/{one}"
    assert alike(first) != alike(second) and "%~" in second
    # The next export knows the names of this one, in whatever order it comes to the folders.
    again = Names(())
    again.know("tree", (other,), second)
    assert (again.path("tree", "user", (one,)), again.path("tree", "user", (other,))) == (first, second)


def test_a_newcomer_does_not_take_the_name_of_a_folder_that_is_there() -> None:
    names = Names(("manifest.jsonl",))
    names.know("tree", ("SENT", "b"), "user/SENT/b")
    assert names.path("tree", "user", ("SENT",)) == "user/SENT"
    assert names.path("tree", "user", ("Sent", "b")).startswith("user/Sent%~")
    assert names.path("other", "USER", ()).startswith("USER%~")
    assert names.path("third", "Manifest.jsonl", ()).startswith("Manifest.jsonl%~")


def test_a_path_that_would_be_too_long_is_a_name_below_its_user() -> None:
    names = Names(())
    deep = tuple("folder" for _ in range(40))
    paths = {names.path("tree", "user", deep[:count]) for count in range(1, 41)}
    assert len(paths) == 40
    assert all(len(path.encode("utf-16-le")) // 2 <= export_names.PATH_UNITS for path in paths)
    assert names.path("tree", "user", deep).startswith("user/%~")
