# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a deletion: exactly these UIDs, in lines of bounded length."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import expunge, reader, uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response, Result


@dataclass
class Reader:
    """Notes commands; ``untagged`` is sent before each answer, ``refuses`` are the numbers of commands that get NO."""

    untagged: bytes = b""
    refuses: tuple[int, ...] = ()
    lines: list[bytes] = field(default_factory=list)
    writes: list[list[bytes]] = field(default_factory=list)
    run_by = reader.Reader.run_by

    def run(self, lines: t.Sequence[bytes], take: t.Callable[[Response], None] = lambda _response: None) -> list[Result]:
        results = []
        self.writes.append(list(lines))
        for line in lines:
            self.lines.append(line)
            if self.untagged:
                take(Response(self.untagged, memoryview(self.untagged), 0, len(self.untagged)))
            results.append(Result("NO", "not here") if len(self.lines) in self.refuses else Result("OK", "done"))
        return results


@dataclass
class Conn:
    reader: Reader
    capabilities: frozenset[str] = frozenset({"IMAP4REV1", "UIDPLUS"})
    name: str = "mail1:143"
    user: str = "alice"


def conn(**options: t.Any) -> t.Any:
    return Conn(Reader(**options))


SCATTERED = list(range(1, 9000, 2))


def test_any_number_of_commands_goes_in_writes_of_a_bounded_one() -> None:
    one = Reader(refuses=(2,))
    assert [result.ok for result in one.run_by(2, [b"first", b"second", b"third"])] == [True, False, True]
    assert one.writes == [[b"first", b"second"], [b"third"]]


@pytest.mark.parametrize(
    ("act", "pattern"),
    [
        (expunge.mark, rb"UID STORE %s +FLAGS.SILENT (\Deleted)"),
        (expunge.unmark, rb"UID STORE %s -FLAGS.SILENT (\Deleted)"),
        (expunge.expunge, b"UID EXPUNGE %s"),
    ],
)
def test_commands_name_exactly_these_uids_in_bounded_lines(act: t.Callable[..., t.Any], pattern: bytes) -> None:
    one = conn()
    act(one, SCATTERED)
    lines = one.reader.lines
    assert all(len(line) < 8000 for line in lines)
    before, after = pattern.split(b"%s")
    named = [uid for line in lines for uid in uidset.expand(line.removeprefix(before).removesuffix(after).decode())]
    assert named == SCATTERED


@pytest.mark.parametrize("act", [expunge.mark, expunge.unmark, expunge.expunge])
def test_a_refusal_of_any_part_is_told_in_the_words_of_the_server(act: t.Callable[..., t.Any]) -> None:
    with pytest.raises(ImapError, match="NO not here"):
        act(conn(refuses=(3,)), SCATTERED)


def test_present_are_those_that_search_or_fetch_names() -> None:
    assert expunge.present(conn(untagged=b"* SEARCH 3 5 99"), [1, 3, 5]) == {3, 5}
    assert expunge.present(conn(untagged=b"* 1 FETCH (UID 5)"), [1, 3, 5]) == {5}
    assert expunge.present(conn(), [1, 3, 5]) == set()


def test_who_does_not_answer_search_proves_nothing() -> None:
    with pytest.raises(ImapError, match="UID SEARCH"):
        expunge.present(conn(refuses=(2,)), [1])
    with pytest.raises(ImapError, match="UID SEARCH DELETED"):
        expunge.marked(conn(refuses=(2,)))


def test_marked_are_all_of_the_folder() -> None:
    assert expunge.marked(conn(untagged=b"* SEARCH 3 5")) == {3, 5}


def test_uidplus_is_told_by_the_capabilities() -> None:
    one = conn()
    assert expunge.has_uidplus(one)
    one.capabilities = frozenset({"IMAP4REV1"})
    assert not expunge.has_uidplus(one)
