# SPDX-License-Identifier: GPL-3.0-or-later
"""mboxrd: every message comes back byte for byte, whatever pieces it came in; Python's mailbox and mutt see the same messages."""

from __future__ import annotations

import mailbox
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_mbox import Quoter, from_line, trailer
from tests.proof.test_outside_readers import MUTT, on_terminal
from tests.unit.module_utils.archive.engine_fake import mail
from tests.unit.module_utils.archive.export_scene import ALICE, ODD, exported, furnished, lines, mboxrd, message

WORDS = st.sampled_from([b"\n", b"\r\n", b"From ", b">", b"F", b"Fr", b"om ", b"From", b"rom ", b" ", b"x"])


@given(st.lists(WORDS, max_size=12).map(b"".join), st.lists(st.integers(0, 40), max_size=4))
def test_pieces_make_no_difference_and_quoting_can_be_undone(body: bytes, cuts: list[int]) -> None:
    ends = [*sorted(min(cut, len(body)) for cut in cuts), len(body)]
    quoter = Quoter()
    quoted = b"".join(quoter.update(body[start:end]) for start, end in zip([0, *ends], ends, strict=False)) + quoter.finish()
    assert quoter.length == len(quoted)
    assert re.search(rb"^From ", quoted, re.MULTILINE) is None
    assert re.sub(rb"^>(>*From )", rb"\1", quoted, flags=re.MULTILINE) == body
    assert trailer(quoter.last) == (b"\n" if not body or body.endswith(b"\n") else b"\n\n")


def test_no_piece_is_held_back_however_long_a_line_of_marks_is() -> None:
    quoter = Quoter()
    assert [len(quoter.update(b">" * 1000)) for _ in range(5)] == [1000] * 5
    assert quoter.update(b"From here") == b">From here"


def test_the_line_before_a_message_says_when_in_utc_and_for_every_date() -> None:
    assert from_line(1_700_000_000) == b"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n"
    assert from_line(-5) == b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
    assert from_line(1 << 60).endswith(b" 9999\n")


def test_readers_that_know_the_definition_or_nothing_of_it(tmp_path: Path) -> None:
    exported(furnished(tmp_path), tmp_path / "dest", "mbox", users=(ALICE,), folders=("*/INBOX",))
    bodies = [*ODD, mail(1), mail(2)]
    path = tmp_path / "dest" / ALICE / ALICE / "INBOX.mbox"
    assert [message(tmp_path / "dest", line) for line in lines(tmp_path / "dest")] == bodies
    assert mboxrd(path) == [body if body.endswith(b"\n") else body + b"\n" for body in bodies]
    found = mailbox.mbox(path, create=False)
    # It does not take marks away, and takes a line end at the end for its own.
    assert [found.get_bytes(key) for key in found.iterkeys()][-2:] == bodies[-2:]
    assert len(found) == len(bodies)
    found.close()
    assert mutt(tmp_path, path) == len(bodies)


def mutt(home: Path, path: Path) -> int:
    """How many messages mutt finds: it copies all of them to another mbox."""
    (home / "muttrc").write_text(MUTT.replace("@home@", str(home)))
    command = ["mutt", "-n", "-F", str(home / "muttrc"), "-R", "-f", str(path)]
    on_terminal(command, {"HOME": str(home), "TERM": "xterm"})
    copied = mailbox.mbox(home / "out", create=False)
    try:
        return len(copied)
    finally:
        copied.close()
