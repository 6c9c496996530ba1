# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archived messages are meant by a Message-ID, however the field is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice, Target, Wanted
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
        found = source.singles([Target(("INBOX",), [folder.id])], Choice(), ["<other@x>", *FIELDS])
    digests = {name: {hashlib.sha256(body).digest()} for name, body in bodies.items()}
    assert found.by_id == {"<other@x>": set(), **digests}
    assert found.digests == set.union(*digests.values())


def test_single_messages_are_found_in_every_folder_that_has_them_by_one_look_at_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (b"Message-ID: <%d@x>\r\n\r\nbody\r\n" % number for number in (1, 2, 3))
    digests = {name: hashlib.sha256(body).digest() for name, body in (("one", one), ("two", two), ("three", three))}
    servers = FakeServers(tmp_path / "servers.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user(ALICE)
    archive.profiles = [MULTIPLE]
    for name, held in {"A": (one, three), "B": (one, two), "C": (three,)}.items():
        servers.folder("mail1", ALICE, name).add(*held)
    archive.run()
    looks: list[str] = []
    wanted = Source.wanted

    def counted(self: Source, target: Target, choice: Choice) -> dict[bytes, Wanted]:
        looks.append(target.name)
        return wanted(self, target, choice)

    monkeypatch.setattr(Source, "wanted", counted)
    with Source(str(archive.root)) as source:
        ids = {folder.parts[-1]: folder.id for folder in source.folders(source.user(ALICE))}
        targets = [Target((name,), [ids[name]]) for name in "ABC"]
        by_id = source.singles(targets, Choice(), ["1@x"])
        both = source.singles(targets, Choice(digests=frozenset([digests["two"]])), ["3@x"])
        by_digest = source.singles(targets, Choice(digests=frozenset([digests["two"], bytes(32)])), [])
        none = source.singles(targets, Choice(), ["4@x"])
    assert [target.name for target in by_id.targets] == ["A", "B"]
    assert ([target.name for target in both.targets], both.digests) == (["A", "B", "C"], {digests["two"], digests["three"]})
    assert ([target.name for target in by_digest.targets], by_digest.digests) == (["B"], {digests["two"]})
    assert (none.by_id, none.digests, none.targets) == ({"4@x": set()}, set(), [])
    assert looks == [*"ABC"] * 4
