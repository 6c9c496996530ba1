# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders of a tree go where, whose mailbox and server are meant, and what tells messages from each other."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import (
    Choice,
    flags_of,
    leaves_out,
    mailbox_of,
    server_of,
    targets_of,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_prints import prints_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

BOB = User(1, "bob@example.com", "bob@example.com", server="mail1", addresses=("bob@example.com", "b@example.com"))
OWN = [("bob@example.com", "INBOX"), ("b@example.com", "inbox"), ("bob@example.com", "Projects", "X"), ("Journal", "In")]
LEAVER = [("gina@example.org", "INBOX")]
ROOT = [(), ("bob@example.com",)]  # the top of the tree, and of an address


def folders(*parts: tuple[str, ...]) -> list[UserFolder]:
    return [UserFolder(number, 1, one, f"mail/bob/{number}") for number, one in enumerate(parts, 1)]


def planned(user: User, parts: t.Sequence[tuple[str, ...]], **choice: t.Any) -> tuple[dict[str, list[str]], list[str]]:
    targets, left = targets_of(user, folders(*parts), Choice(**choice))
    return {target.name: target.names for target in targets}, left


def test_folders_lose_the_address_above_them_and_own_mailboxes_are_one() -> None:
    targets, left = planned(BOB, [*ROOT, *OWN, *LEAVER])
    assert targets == {
        # Multidrop files into the folder of an address itself where it is told to.
        "INBOX": ["bob@example.com", "bob@example.com/INBOX", "b@example.com/inbox"],
        "Journal/In": ["Journal/In"],
        "Projects/X": ["bob@example.com/Projects/X"],
    }
    assert left == ["gina@example.org"]


def test_below_a_prefix_names_stay_as_they_are() -> None:
    targets, _left = planned(BOB, OWN, target_folder="Restored/2025")
    assert list(targets) == [
        "Restored/2025/INBOX",
        "Restored/2025/Journal/In",
        "Restored/2025/Projects/X",
        "Restored/2025/inbox",
    ]


def test_what_was_archived_from_below_the_prefix_goes_back_to_where_it_was() -> None:
    again = [("bob@example.com", "Restored", "2025", "INBOX"), ("bob@example.com", "Restored", "2025")]
    assert planned(BOB, [OWN[0], *again], target_folder="Restored/2025")[0] == {
        "Restored/2025/INBOX": ["bob@example.com/INBOX", "bob@example.com/Restored/2025/INBOX"],
        "Restored/2025/Restored/2025": ["bob@example.com/Restored/2025"],
    }


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"include": ("projects",)}, ["Projects/X"]),
        ({"include": ("*x",), "exclude": ("Projects/*",)}, ["INBOX"]),
        ({"exclude": ("inbox", "Journal")}, ["Projects/X"]),
        ({"mailboxes": ("Gina@example.org",)}, ["INBOX"]),
    ],
)
def test_patterns_and_mailboxes_choose(choice: dict[str, t.Any], names: list[str]) -> None:
    assert list(planned(BOB, [*OWN, *LEAVER], **choice)[0]) == names


def test_whose_mail_is_meant_is_never_guessed() -> None:
    left = User(2, "gone", "gone")
    assert list(planned(left, LEAVER)[0]) == ["INBOX"]
    with pytest.raises(InputError, match="several mailboxes"):
        planned(left, [*LEAVER, ("bob@example.com", "INBOX")])
    with pytest.raises(InputError, match=r"no mail of carol@example\.com"):
        planned(BOB, OWN, mailboxes=("carol@example.com",))
    with pytest.raises(InputError, match="no folder of the archive is chosen") as caught:
        planned(BOB, OWN, include=("Sent*",))
    assert "Projects/X" in caught.value.remedy


def test_the_mail_of_one_who_left_goes_to_nobody_unless_a_mailbox_is_named() -> None:
    gone = dataclasses.replace(BOB, addresses=(), deleted=1_700_000_000)
    assert mailbox_of(gone, "carol@example.com") == "carol@example.com"
    with pytest.raises(InputError, match=r"bob@example\.com has left"):
        mailbox_of(gone, "")


def test_server_and_mailbox_are_the_users_own_unless_they_are_named() -> None:
    servers = parse_servers([{"name": "mail1"}, {"name": "mail2"}])
    nowhere = User(3, "carol", "carol")
    assert server_of(BOB, "", servers).name == "mail1"
    assert server_of(BOB, "mail2", servers).name == "mail2"
    assert server_of(nowhere, "", parse_servers([{"name": "mail2"}])).name == "mail2"
    with pytest.raises(InputError, match="it is not known on which server carol is"):
        server_of(nowhere, "", servers)
    with pytest.raises(InputError, match="there is no server mail3"):
        server_of(BOB, "mail3", servers)
    only = parse_servers([{"name": "mail2"}])
    with pytest.raises(InputError, match=r"bob@example\.com is on the server mail1, which is not declared.*\(mail2\)"):
        server_of(BOB, "", only)
    assert server_of(BOB, "mail2", only).name == "mail2"
    assert mailbox_of(BOB, "") == "bob@example.com"
    assert mailbox_of(BOB, "other@example.com") == "other@example.com"
    assert mailbox_of(User(4, "left@example.com", "x"), "") == "left@example.com"
    with pytest.raises(InputError, match="has no address"):
        mailbox_of(nowhere, "")


def row(digest: bytes, date: int) -> PlacementRow:
    return PlacementRow(1, digest, 1, date, 10, 10, "", b"", "")


@pytest.mark.parametrize(
    ("choice", "date", "taken"),
    [
        (Choice(since=100), 99, False),
        (Choice(since=100), 100, True),
        (Choice(before=100), 100, False),
        (Choice(before=100), 99, True),
        (Choice(since=100), 0, True),  # a date that could not be read
        (Choice(since=100), -1, False),  # before 1970
        (Choice(digests=frozenset({b"a"})), 1, True),
        (Choice(digests=frozenset({b"b"})), 1, False),
    ],
)
def test_dates_and_digests_choose(choice: Choice, date: int, taken: bool) -> None:
    assert choice.takes(row(b"a", date)) is taken


@pytest.mark.parametrize(
    ("letters", "permanent", "flags", "left_out"),
    [
        ("", set(), (), False),
        ("DFRS", set(), ("\\Draft", "\\Flagged", "\\Answered", "\\Seen"), False),
        ("PS", {"\\seen"}, ("\\Seen",), True),
        ("PS", {"$forwarded"}, ("\\Seen", "$Forwarded"), False),
        ("P", {"\\*"}, ("$Forwarded",), False),
        ("PT", {"\\*"}, ("$Forwarded",), False),  # no message comes back marked as deleted
    ],
)
def test_flags_come_back_as_far_as_the_folder_takes_them(
    letters: str, permanent: set[str], flags: tuple[str, ...], left_out: bool
) -> None:
    assert flags_of(letters, permanent) == flags
    assert leaves_out(letters, flags) is left_out


PLAIN = b"Subject: a\r\nTo: b\r\n\r\none\r\ntwo\r\n"


@pytest.mark.parametrize("other", [PLAIN.replace(b"\r\n", b"\n"), PLAIN.replace(b"\r\n", b"\r"), PLAIN[:-2], PLAIN[:-1]])
def test_prints_know_no_line_ends(other: bytes) -> None:
    assert prints_of([other]) == prints_of([PLAIN])


def test_prints_tell_header_and_body_apart() -> None:
    more = prints_of([b"X-More: yes\r\n" + PLAIN])
    assert more.lines != prints_of([PLAIN]).lines
    assert more.body == prints_of([PLAIN]).body
    assert prints_of([PLAIN.replace(b"two", b"six")]).body != more.body
    assert prints_of([b"\r\n" + PLAIN.partition(b"\r\n\r\n")[2]]).body == more.body  # a message without a header


def test_prints_know_the_text_that_a_server_leaves_of_nul_and_of_too_many_cr() -> None:
    sent = prints_of([PLAIN.replace(b"one", b"o\0e").replace(b"two\r", b"two\r\r")])
    assert sent.text == prints_of([PLAIN.replace(b"one", b"o\x80e")]).text
    assert sent.text != prints_of([PLAIN]).text


def test_prints_do_not_depend_on_where_a_message_is_cut() -> None:
    text = b"a: b\r\nc: d\n\r\n\rbody\r\r\n\nend"
    whole = prints_of([text])
    for first, second in itertools.combinations(range(len(text) + 1), 2):
        assert prints_of([text[:first], text[first:second], text[second:]]) == whole
