# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archived messages are meant by a Message-ID, however the field is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice, Target
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Source
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers

ALICE = "alice@example.com"
FIELDS = {
    "plain@x": b"Message-ID: <plain@x>",
    "comment@x": b"MESSAGE-ID: <comment@x> (added by a <relay>)",
    "folded@x": b"Message-Id:\r\n <folded@x>",
    "bare@x": b"Message-ID: bare@x",
}


def test_a_message_id_is_found_however_the_field_is_written(tmp_path: Path) -> None:
    bodies = {name: field + b"\r\nSubject: one\r\n\r\n<other@x>\r\n" for name, field in FIELDS.items()}
    servers = FakeServers(tmp_path / "servers.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user(ALICE)
    archive.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*bodies.values())
    archive.run()
    with Source(str(archive.root)) as source:
        (folder,) = (one for one in source.folders(source.user(ALICE)) if one.parts[1:] == ("INBOX",))
        found = source.with_ids([Target(("INBOX",), [folder.id])], Choice(), ["<other@x>", *FIELDS])
    assert found == {"<other@x>": set(), **{name: {hashlib.sha256(body).digest()} for name, body in bodies.items()}}
