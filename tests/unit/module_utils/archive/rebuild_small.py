# SPDX-License-Identifier: GPL-3.0-or-later
"""A small archive of two users, and what may happen to its files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.format_fixtures import MEMORY
from tests.unit.module_utils.archive.rebuild_scene import ALICE, BOB

BODY = mail(0)  # UID 1 of Alice's INBOX
DIGEST = hashlib.sha256(BODY).digest()
OBJECT = layout.object_path(DIGEST)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Archive]:
    """Two messages of Alice, one of Bob."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    base = Path(tempfile.mkdtemp(prefix="rebuild-", dir=MEMORY if MEMORY.is_dir() else None))
    servers = FakeServers(base / "imap.log")
    archive = Archive(base / "archive", servers)
    archive.user(ALICE)
    archive.user(BOB)
    archive.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(BODY, mail(1))
    servers.folder("mail1", BOB).add(mail(50, to=BOB))
    archive.run()
    yield archive
    shutil.rmtree(base)


def object_of(archive: Archive, body: bytes = BODY, copy: int = 0) -> Path:
    """Where the object of a message lies."""
    return archive.root / layout.object_path(hashlib.sha256(body).digest(), copy)


def placement_of(archive: Archive, body: bytes = BODY) -> Path:
    """The one placement of a message."""
    (found,) = archive.root.glob(f"mail/**/cur/*.{hashlib.sha256(body).hexdigest()}_*")
    return found


def rot(path: Path) -> None:
    """A bit of a file turns; all names of it show it."""
    path.chmod(0o640)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    path.chmod(0o440)


def is_whole(archive: Archive, body: bytes = BODY) -> bool:
    """Whether the message is in the archive, under whatever name."""
    files = [path for part in ("objects", "mail") for path in (archive.root / part).rglob("*") if path.is_file()]
    return any((inside := held(path)) is not None and inside.digest == hashlib.sha256(body).digest() for path in files)
