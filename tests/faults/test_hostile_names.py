# SPDX-License-Identifier: GPL-3.0-or-later
"""Folder names that are no names: each folder is archived in a place of its own within the user's tree, or the reason told."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.stage import COUNT, Stage, calm, named, of
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("hostile")

ALICE = "alice@example.com"


def utf7(text: str) -> bytes:
    coded = base64.b64encode(text.encode("utf-16-be", "surrogatepass"), b"+,").rstrip(b"=")
    return b"&" + coded + b"-"


NAMES: dict[str, list[bytes]] = {
    "broken modified UTF-7": [
        b"&",
        b"&x",
        b"&AAA",
        b"a&Jjo",
        b"&Jjo-&",
        b"&!!!!-",
        b"&AGEAYg-",
        b"&BBo-&BBo-",
        b"&AAAA-x",
        b"&2AA-",
    ],
    "modified UTF-7 of what needs none, and of lone surrogates": [utf7("a"), utf7("\ud800"), utf7("\udc00x"), utf7("INBOX")],
    "dots and slashes": [
        b"..",
        b".",
        b"...",
        b"../..",
        b"../../../tmp/x",
        b"/",
        b"//",
        b"a//b",
        b"/a",
        b"a/",
        b"a/../b",
        b"a/./b",
    ],
    "names of Maildir": [b"cur", b"new", b"tmp", b"a/cur", b"cur/new/tmp", b"dovecot.index", b"maildirfolder", b".Sent", b".a.b"],
    "backslashes and quotes": [b"a\\b", b"\\", b'say "no"', b"a\\..\\b", b"{5}", b"NIL", b"(x)", b"*", b"%", b"%2F", b"%~1"],
    "control characters": [b"bell\x07", b"\x1b[2J", b"tab\there", b"\x7f", utf7("\n"), utf7("\r\nb"), utf7("\0"), utf7("\u2028")],
    "blanks": [b" ", b"  a", b"a  ", b"a ", b"a", b" a", utf7("\u00a0")],
    "differ by case only": [b"Reports", b"reports", b"REPORTS", utf7("Ä"), utf7("ä")],
    "differ by normalisation only": [utf7("\u00e9"), utf7("e\u0301"), utf7("\u212b"), utf7("\u00c5")],
    "long": [b"x" * 300, b"x" * 299 + b"y", b"y" * 300 + b"/" + b"z" * 300, utf7("ж" * 200), b"%" * 100, b"n" * 200, b"n" * 201],
    "that look like INBOX": [b"INBOX/INBOX", b"Inbox/x", b"INBOX ", b"INBOX/cur", b"inboxes"],
    "bidi and invisible": [utf7("abc\u202etxt.exe"), utf7("\u200b"), utf7("\ufeff"), utf7("\U0001f4e7")],
}


@pytest.mark.parametrize("what", NAMES)
def test_every_folder_has_a_place_of_its_own(tmp_path: Path, what: str) -> None:
    names = NAMES[what]
    with Stage(tmp_path / "archive") as stage:
        for number, raw in enumerate(names):
            stage.folder(raw).add(mail(1000 + number), mail(2000))  # the second is the same in all of them
        report = stage.go()
        assert not report.problems(), told(report)
        placed = [one for one in stage.archive.placements if one.tree == ALICE]
        directories = {one.directory for one in placed}
        assert len(directories) == len(names) + 2
        assert len(placed) == 2 * len(names) + COUNT + 3
        home = (stage.root / "mail" / ALICE).resolve()
        assert all((stage.root / one.path).resolve().is_relative_to(home) for one in placed)
        assert not [path for path in stage.root.parent.iterdir() if path.name not in ("archive", "archive.log")]
        calm(stage)


@pytest.mark.parametrize("what", ["control characters", "bidi and invisible", "broken modified UTF-7"])
def test_a_failure_in_such_a_folder_is_told_in_one_printable_line(tmp_path: Path, what: str) -> None:
    with Stage(tmp_path / "archive") as stage:
        for raw in NAMES[what]:
            stage.folder(raw).add(mail(1))
            stage.script.on("EXAMINE", script.no("no rights"), folder=raw)
        report = stage.go()
        assert len(report.problems()) == len(NAMES[what]), told(report)
        assert "\n" not in report.sentence()
        assert not set(report.sentence()) & set("\x07\x1b\x7f\0\r")
        json.dumps(report.as_data()).encode("utf-8")
        stage.script.clear()
        assert not stage.go().problems()


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "8-bit characters": ("Gesch\u00e4ft".encode(), "8-bit characters"),
    "Latin-1": ("Gesch\u00e4ft".encode("latin-1"), "8-bit characters"),
    "a line break": (b"two\r\nlines", "line break"),
    "NUL": (b"nul\0", "line break or NUL"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_folder_that_no_command_can_name_is_reported_and_the_others_are_archived(tmp_path: Path, what: str) -> None:
    raw, words = UNREADABLE[what]
    with Stage(tmp_path / "archive") as stage:
        stage.folder(raw).add(mail(1))
        report = stage.go()
        assert len(report.problems()) == 1, told(report)
        assert words in told(report)
        assert "\n" not in report.sentence()
        assert of(report).accounts.new == COUNT
        del stage.server.state.mailboxes[ALICE][raw]
        stage.finish()


SEPARATORS: dict[str, bytes | None] = {"a dot": b".", "none": None, "a backslash": b"\\\\", "a quote": b'\\"', "a letter": b"x"}


@pytest.mark.parametrize("what", SEPARATORS)
def test_separators(tmp_path: Path, what: str) -> None:
    with Stage(tmp_path / "archive") as stage:
        for number, raw in enumerate((b"a.b", b"a/b", b"a.b/c.d", b"..", b".a", b"a.", b"axb", b"a\\b")):
            stage.folder(raw, separator=SEPARATORS[what]).add(mail(number), mail(77))
        report = stage.go()
        assert not report.problems(), told(report)
        directories = {one.directory for one in stage.archive.placements if one.tree == ALICE}
        assert len(directories) == 8 + 2
        calm(stage)


LISTS: dict[str, tuple[bytes, str]] = {
    "a line twice": (b'* LIST () "/" "INBOX"\r\n', ""),
    "INBOX in another case": (b'* LIST () "/" "inbox"\r\n', ""),
    "a line without a name": (b'* LIST () "/"\r\n', "cannot be read"),
    "a line with a list for a name": (b'* LIST () "/" (a b)\r\n', "cannot be read"),
    "a quote that stays open": (b'* LIST () "/" "open\r\n', "cannot be read"),
    "a name as a literal": (b'* LIST () "/" {8}\r\nProjects\r\n', ""),
    "a name as an atom": (b'* LIST () "/" Projects\r\n', ""),
    "a folder that does not exist": (b'* LIST () "/" "ghost"\r\n', "no such folder"),
    "an empty name": (b'* LIST () "/" ""\r\n', "no such folder"),
    "LSUB": (b'* LSUB () "/" "other"\r\n', ""),
    "attributes without end": (b"* LIST (" + b"\\X" * 40_000 + b') "/" "Projects"\r\n', ""),
    "lists in lists in lists": (b"* LIST " + b"(" * 3000 + b")" * 3000 + b' "/" "x"\r\n', "cannot be read"),
}


@pytest.mark.parametrize("what", LISTS)
def test_lines_of_list(tmp_path: Path, what: str) -> None:
    line, words = LISTS[what]
    with Stage(tmp_path / "archive") as stage:
        stage.server.without("LIST-STATUS")
        stage.script.on("LIST", script.around(first=line))
        report = stage.go()
        assert of(report).accounts.new == COUNT, told(report)
        assert of(report, "Projects").accounts.new == 3
        assert len(report.problems()) == bool(words), told(report)
        assert words in told(report)
        stage.finish()


def test_list_that_is_refused(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("LIST", script.no("mailbox is being moved"))
        named(stage.go(), "mailbox is being moved", "")
        stage.finish()


@pytest.mark.parametrize("verb", ["STATUS", "EXAMINE", "UID SEARCH"])
def test_a_command_that_is_refused_for_one_folder(tmp_path: Path, verb: str) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.server.without("LIST-STATUS")
        stage.script.on(verb, script.no("the folder is corrupt"), folder="INBOX")
        report = stage.go()
        named(report, "the folder is corrupt")
        assert stage.archived("Projects") == {1, 2, 3}
        stage.finish()


def test_ten_thousand_folders_are_listed_in_one_go(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        lines = b"".join(b'* LIST (\\Noselect) "/" "f%d"\r\n' % number for number in range(10_000))
        stage.script.on("LIST", script.around(first=lines))
        report = stage.go()
        assert not report.problems(), told(report)[:2000]
        stage.finish()
