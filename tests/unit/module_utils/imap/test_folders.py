# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders: names, roles, statuses in few round trips, and what is archived."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import folders as folders_module
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import (
    DEFAULT_EXCLUDES,
    Folder,
    FolderStatus,
    StatusFailed,
    list_folders,
    select_folders,
    statuses,
    survey,
    with_roles,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError, parse_values
from ansible_collections.mailops.kerio.plugins.module_utils.imap.uidset import compact, expand, split
from tests.unit.imap_script import Expect, Peer, connected

LIST_LINES = st.builds(
    b"(%s) %s %s".__mod__,
    st.tuples(
        st.sampled_from([b"", rb"\HasNoChildren", rb"\HasChildren \Sent", rb"\A\B \C", b"NIL", b"a (b)"]),
        st.sampled_from([b'"/"', b'"."', rb'"\\"', b"NIL", b'""', b"/"]),
        st.sampled_from(
            [b"INBOX", b'"Sent Items"', rb'"a\"b"', b"NIL", b"nil", b"NIL/x", b'"NIL"', b'""', b"Entw&APw-rfe", b"a{2", b"x y"]
        ),
    ),
)
STATUS_LINES = st.builds(
    b"%s (%s)".__mod__,
    st.tuples(
        st.sampled_from([b"INBOX", b'"Sent Items"', rb'"a\"b"', b"NIL", b'"NIL"', b"a.b"]),
        st.sampled_from(
            [b"MESSAGES 1 UIDNEXT 2", b"MESSAGES 1UIDNEXT 2", b"", b"messages 1 ", b"MESSAGES NIL", b"X-A (1) UIDNEXT 4"]
        ),
    ),
)


def read_by(parse: t.Callable[[Response], t.Any], line: bytes) -> t.Any:
    data = bytearray(line)
    try:
        return parse(Response(data, memoryview(data), 0, len(data)))
    except MalformedError:
        return None


@given(LIST_LINES, STATUS_LINES)
def test_usual_lines_read_like_all_others(listed: bytes, status: bytes) -> None:
    for line, parse in (
        (b"* LIST " + listed, folders_module._list_values),
        (b"* STATUS " + status, folders_module._status_values),
    ):
        start = line.index(b" ", 2) + 1
        assert read_by(parse, line) == read_by(lambda found, at=start: parse_values(found.data, at, found.end), line)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("_USUAL_LIST", rb'(\HasNoChildren \Sent) "/" "Sent Items"'),
        ("_USUAL_LIST", rb'() "." INBOX'),
        ("_USUAL_STATUS", b"INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)"),
    ],
)
def test_what_servers_usually_say_is_read_at_one_look(pattern: str, line: bytes) -> None:
    assert getattr(folders_module, pattern).fullmatch(line)


@given(st.text())
def test_names_survive(name: str) -> None:
    raw = names.encode(name)
    assert names.encode(names.decode(raw)) == raw
    if not name.startswith(names.MARK):
        assert names.decode(raw) == name
        assert raw.isascii()


@given(st.binary(), st.binary())
def test_any_raw_name_comes_back_and_stays_distinct(one: bytes, other: bytes) -> None:
    assert names.encode(names.decode(one)) == one
    assert (names.decode(one) == names.decode(other)) == (one == other)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Entw&APw-rfe", "Entw\u00fcrfe"),
        (b"&U,BTFw-/&ZeVnLIqe-", "\u53f0\u5317/\u65e5\u672c\u8a9e"),
        (b"A&-B", "A&B"),
        (b"A&B", "\ufffdA&B"),
        (b"Entw\xc3\xbcrfe", "\ufffdEntw\u00fcrfe"),
        (b"Entw\xfcrfe", "\ufffd\ufffdEntw\u00fcrfe"),
        (b"&AGE-", "\ufffd&AGE-"),
        (b"&2D0-", "\ufffd&2D0-"),
    ],
)
def test_known_names(raw: bytes, name: str) -> None:
    assert names.decode(raw) == name


def folder(name: str, *attributes: str) -> Folder:
    hidden = {"\\noselect", "\\nonexistent"} & set(attributes)
    return Folder(name, names.encode(name), frozenset(attributes), "/", tuple(name.split("/")), not hidden)


LIST = (
    b'* LIST (\\Inbox) "/" "inbox"\r\n* LIST () "/" "INBOX/customers/bigco"\r\n* LIST (\\Trash) "/" "Gel&APY-scht"\r\n'
    b'* LIST () "/" "Deleted Items"\r\n* LIST () "/" {9}\r\nJunk "x"\\\r\n* LIST (\\Noselect) "/" "Public Folders"\r\n'
    b'* LIST () NIL Drafts\r\n* LIST (\\Sent) "/" Sent\r\n* LIST oops\r\n'
)


def test_list_decodes_names_attributes_and_roles() -> None:
    with connected(Expect(b'LIST "" "\\*"', LIST + b"{tag} OK done\r\n")) as conn:
        found = list_folders(conn)
    assert [(f.name, f.parts, f.separator, f.selectable, f.role) for f in found] == [
        ("INBOX", ("INBOX",), "/", True, "inbox"),
        ("INBOX/customers/bigco", ("INBOX", "customers", "bigco"), "/", True, None),
        ("Gel\u00f6scht", ("Gel\u00f6scht",), "/", True, "trash"),
        ("Deleted Items", ("Deleted Items",), "/", True, None),
        ('Junk "x"\\', ('Junk "x"\\',), "/", True, None),
        ("Public Folders", ("Public Folders",), "/", False, None),
        ("Drafts", ("Drafts",), None, True, "drafts"),
        ("Sent", ("Sent",), "/", True, "sent"),
    ]
    assert found[2].raw == b"Gel&APY-scht"


def test_refused_list() -> None:
    with connected(Expect(b"LIST .*", b"{tag} NO gone\r\n")) as conn, pytest.raises(ImapError, match="refused LIST: NO gone"):
        list_folders(conn)


def test_statuses_are_pipelined_and_one_refusal_stops_nobody() -> None:
    asked: list[bytes] = []

    def answer(peer: Peer) -> None:
        asked.extend(peer.line() for _folder in range(4))
        tags = [line.split()[0] for line in asked]
        peer.send(
            b'* STATUS "Inbox" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7)\r\n'
            + tags[0]
            + b" OK done\r\n"
            + tags[1]
            + b" NO [PERM] not yours\r\n"
            b"* STATUS C (UIDVALIDITY 5 MESSAGES 0)\r\n" + tags[2] + b" OK done\r\n" + tags[3] + b" OK done\r\n"
        )

    folders = [folder("INBOX"), folder("B"), folder("P", "\\noselect"), folder("C"), folder("D"), folder("x")]
    folders[-1] = Folder("x", b"a\rb", frozenset(), "/", ("x",), True)
    with connected(answer) as conn:
        found = statuses(conn, folders)
    assert found == {
        "INBOX": FolderStatus(7, 9, 3),
        "B": StatusFailed("NO [PERM] not yours"),
        "C": FolderStatus(5, 0, 0),
        "D": StatusFailed("the server answered STATUS without a status"),
        "x": StatusFailed("the name holds a line break or NUL, which no command can carry"),
    }
    assert b'STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY)' in asked[0]


def test_survey_takes_one_round_trip_and_asks_again_for_what_is_missing() -> None:
    told = (
        b'* LIST (\\Junk) "/" Spam\r\n* STATUS Spam (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n'
        b'* LIST () "/" Other\r\n{tag} OK done\r\n'
    )
    items = rb"\(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ\)"
    steps = [
        Expect(rb'LIST "" "\*" RETURN \(SPECIAL-USE STATUS ' + items + rb"\)", told),
        Expect(rb'STATUS "Other" ' + items, b"{tag} NO broken index\r\n"),
    ]
    with connected(*steps, capabilities=b"LIST-EXTENDED SPECIAL-USE LIST-STATUS CONDSTORE") as conn:
        folders, found = survey(conn)
    assert [(each.name, each.role) for each in folders] == [("Spam", "junk"), ("Other", None)]
    assert found == {"Spam": FolderStatus(3, 2, 1, 4), "Other": StatusFailed("NO broken index")}


def test_extension_that_is_announced_and_refused() -> None:
    steps = [
        Expect(rb'LIST "" "\*" RETURN .*', b"{tag} BAD unknown\r\n"),
        Expect(rb'LIST "" "\*"', b'* LIST () "/" A\r\n{tag} OK done\r\n'),
        Expect(rb"STATUS .*", b"* STATUS A (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n{tag} OK done\r\n"),
    ]
    with connected(*steps, capabilities=b"LIST-STATUS") as conn:
        assert survey(conn)[1] == {"A": FolderStatus(3, 2, 1)}


KERIO = with_roles(
    [
        folder("INBOX", "\\inbox"),
        folder("INBOX/Old"),
        folder("Deleted Items", "\\trash"),
        folder("Deleted Items/2020"),
        folder("Drafts", "\\drafts"),
        folder("Junk E-mail"),
        folder("Sent Items", "\\sent"),
        folder("Outbox"),
        folder("Projects/drafts"),
        folder("Public Folders", "\\noselect"),
        folder("Public Folders/Team"),
        folder("Contacts"),
        folder("Calendar/Shared"),
        folder("#archive/2020"),
        folder("~bob@example.com/INBOX"),
    ]
)


def test_defaults_leave_out_what_is_no_mail_of_the_user() -> None:
    selection = select_folders(KERIO)
    assert [each.name for each in selection.selected] == ["INBOX", "INBOX/Old", "Sent Items", "Projects/drafts"]
    assert selection.excluded == {
        "Deleted Items": "default: trash",
        "Deleted Items/2020": "default: trash",
        "Drafts": "default: drafts",
        "Junk E-mail": "default: junk",
        "Outbox": "default: outbox",
        "Public Folders": "not selectable",
        "Public Folders/Team": "default: public",
        "Contacts": "default: groupware",
        "Calendar/Shared": "default: groupware",
        "#archive/2020": "default: archive",
        "~bob@example.com/INBOX": "default: shared",
    }


@pytest.mark.parametrize(
    ("include", "exclude", "names_selected"),
    [
        (["INBOX"], [], ["INBOX", "INBOX/Old"]),
        (["inbox*"], ["*/old"], ["INBOX"]),
        (["INBOX"], ["INBOX"], []),
        (["*"], ["S*", "Pro?ects"], ["INBOX", "INBOX/Old"]),
        (["Junk E-mail"], [], ["Junk E-mail"]),
        (["#archive/*", "Sent Items"], [], ["Sent Items", "#archive/2020"]),
        (["Deleted Items"], ["Deleted Items/2020"], ["Deleted Items"]),
        (["Public Folders"], [], ["Public Folders/Team"]),
    ],
)
def test_include_and_exclude(include: list[str], exclude: list[str], names_selected: list[str]) -> None:
    assert [each.name for each in select_folders(KERIO, include, exclude).selected] == names_selected


def test_single_default_rules_can_be_left_out() -> None:
    rules = [name for name in DEFAULT_EXCLUDES if name != "junk"]
    assert "Junk E-mail" in [each.name for each in select_folders(KERIO, defaults=rules).selected]
    assert len(select_folders(KERIO, defaults=[]).selected) == len(KERIO) - 1
    with pytest.raises(InputError, match="junkk is unknown"):
        select_folders(KERIO, defaults=["junkk"])


@given(st.sets(st.integers(1, 4_294_967_295)), st.integers(1, 50), st.integers(1, 200))
def test_uid_sets(uids: set[int], most: int, longest: int) -> None:
    assert expand(compact(uids)) == sorted(uids)
    pieces = list(split(sorted(uids), most, longest))
    assert [uid for piece in pieces for uid in piece] == sorted(uids)
    assert all(0 < len(piece) <= most and len(compact(piece)) <= longest + 22 for piece in pieces)
