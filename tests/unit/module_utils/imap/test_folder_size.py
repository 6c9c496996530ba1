# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes folders hold, as far as a server tells it."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.imap.folder_size import folder_sizes
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Reader, Response, Result
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder

FOLDERS = [Folder(name, name.encode(), frozenset(), "/", (name,), selectable=True) for name in ("INBOX", "b", "c", "d", "e\nf")]


class Answers:
    """Answers one line to each command, whatever it asks."""

    capabilities = frozenset({"STATUS=SIZE"})
    run_by = Reader.run_by

    def __init__(self, *lines: bytes) -> None:
        self.lines = list(lines)
        self.asked: list[bytes] = []

    @property
    def reader(self) -> Answers:
        return self

    def run(self, commands: t.Sequence[bytes], take: t.Callable[[Response], None]) -> list[Result]:
        for command, line in zip(commands, self.lines, strict=True):
            self.asked.append(command)
            take(Response(line, memoryview(line), 0, len(line)))
        return [Result("OK", "") for _command in commands]


def test_what_is_told_as_a_number_is_taken_and_all_else_left_out() -> None:
    told = (
        b"* STATUS INBOX (MESSAGES 2 SIZE 1234)",
        b'* STATUS "b" (SIZE many)',
        b"* STATUS c (MESSAGES 1)",
        b"* STATUS (d) (SIZE 1)",
    )
    server: t.Any = Answers(*told)
    assert folder_sizes(server, FOLDERS) == {"INBOX": 1234}
    assert server.asked == [b'STATUS "%s" (SIZE)' % name for name in (b"INBOX", b"b", b"c", b"d")]


def test_a_server_that_does_not_announce_it_is_not_asked() -> None:
    server: t.Any = Answers()
    server.capabilities = frozenset({"IMAP4REV1"})
    assert (folder_sizes(server, FOLDERS), server.asked) == ({}, [])
