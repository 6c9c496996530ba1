# SPDX-License-Identifier: GPL-3.0-or-later
"""The dense run of the crash tests: what is on the server, who is in the archive, and the run itself.

3 mailboxes, 40 messages, two profiles of which one is multidrop, the same bytes twice in a folder and in two folders, copies with
other trace headers, a message that is streamed, one for two users, one for nobody, and deletion on.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import os
import sqlite3
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import KEYS, parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Decompressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch
from tests.faults.imap_server import HOST, MASTER, PASSWORD
from tests.faults.imap_state import Mailboxes, State
from tests.unit.module_utils.archive.engine_fake import mail

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"
TRACE = "Received: from gw by mail1 for <alice@example.com>; Sat, 1 Jan 2022 00:00:00 +0000\r\n"
STREAMED = 6000
STREAM_ABOVE = 4000
MESSAGES = 40
# Whatever is archived may go at once.
DELETE = {"delete": {"after_days": 0}} if "delete" in KEYS else {}
PROFILES: tuple[dict[str, t.Any], ...] = (
    {"name": "mailboxes", "method": "multiple_mailboxes", **DELETE},
    {"name": "journal", "method": "multidrop", "mailbox": JOURNAL, **DELETE},
)


def fill(state: State) -> None:
    """Put the messages on the server."""
    state.folder(ALICE).add(*map(mail, range(14)), mail(3), mail(14, body="x" * STREAMED))
    state.folder(ALICE, "Projects/2026").add(mail(3), mail(40), mail(41))
    state.folder(BOB).add(*(mail(number, to=BOB) for number in range(20, 26)))
    copies = [mail(number, top=TRACE) for number in (1, 2, 4)]
    others = [mail(50, to=f"{ALICE}, {BOB}"), mail(51, to=f"{ALICE}, {BOB}"), mail(52, to="nobody@example.com")]
    state.folder(JOURNAL).add(*copies, mail(5), *others, *(mail(number, to=BOB) for number in range(60, 68)))


def make_archive(root: Path) -> None:
    """An archive with its users, or what is missing of it, as ``archive_store`` and ``archive_users`` leave it."""
    store_setup.ensure(store_setup.Wish(str(root)), check_mode=False)
    with Catalog.of(str(root)) as catalog:
        there = {user.name for user in catalog.users()}
        for address in (name for name in (ALICE, BOB) if name not in there):
            catalog.apply_users([UserStep(None, UserValues(name=address, origin="x", addresses=(address,), server="mail1"))])


def options(root: str, port: int, ca_file: str, **more: t.Any) -> Options:
    """One connection and one worker: what happens then happens in one order."""
    declared = {"name": "mail1", "host": HOST, "port": port, "access": "IMAP-SSL", "ca_file": ca_file, "connections": 1}
    servers = parse_servers([{**declared, "timeout": 10}])
    secrets = Secrets({"mail1": MASTER}, {"journal": PASSWORD})
    quick = {"settle": 0.01} if "settle" in {field.name for field in dataclasses.fields(Options)} else {}
    return Options(root, servers, parse_profiles(PROFILES, servers), secrets, processes=1, **quick, **more)


def imap() -> Imap:
    """The real one, with less patience for large messages."""
    return Imap(fetch=functools.partial(imap_fetch.fetch, stream_above=STREAM_ABOVE))


@dataclass
class Place:
    """An archive root that a test looks at."""

    root: Path

    def rows(self, statement: str) -> list[tuple[t.Any, ...]]:
        database = sqlite3.connect(self.root / layout.CATALOG_FILE)
        try:
            return database.execute(statement).fetchall()
        finally:
            database.close()

    def links(self) -> dict[str, Path]:
        """The placements on the disk by path relative to the root."""
        found: dict[str, Path] = {}
        for folder, _folders, files in os.walk(self.root / layout.MAIL):
            if folder.endswith("/cur"):
                found.update({f"{Path(folder).relative_to(self.root)}/{name}": Path(folder, name) for name in files})
        return found

    def objects(self) -> dict[str, Path]:
        return {entry.name: Path(entry) for part in os.scandir(self.root / layout.OBJECTS) for entry in os.scandir(part)}


def digest_of(path: Path) -> str:
    """The digest of the message in an object or placement, "" when it is damaged."""
    try:
        return hashlib.sha256(Decompressor().decompress(path.read_bytes())).hexdigest()
    except Exception as error:  # noqa: BLE001  whatever the file holds after a crash
        return f"damaged: {error}"


MESSAGE_ROWS = (
    "SELECT mailbox, name, m.uidvalidity, uid, state, lower(hex(digest)), size FROM source_messages m"
    " JOIN source_folders f ON f.id = m.folder_id"
)
PLACEMENT_ROWS = (
    "SELECT f.dir, lower(hex(p.digest)), p.internaldate, p.size, p.vsize, p.flags FROM placements p"
    " JOIN user_folders f ON f.id = p.folder_id"
)
RECEIPT_ROWS = (
    "SELECT mailbox, name, r.uidvalidity, uid, lower(hex(digest)), deleted IS NOT NULL FROM receipts r"
    " JOIN source_folders f ON f.id = r.folder_id"
)
OBJECT_ROWS = "SELECT lower(hex(digest)), size FROM objects"


def placement_path(row: t.Sequence[t.Any]) -> str:
    """Where the catalog says that a placement is."""
    folder, digest, date, size, vsize, flags = row
    return f"{folder}/cur/{layout.placement_name(date, bytes.fromhex(digest), size, vsize, flags)}"


def state_of(root: Path, server: Mailboxes) -> dict[str, t.Any]:
    """Everything that must not depend on how often a run was interrupted; asserts what must hold in itself."""
    place = Place(root)
    objects, links = place.objects(), place.links()
    placements = place.rows(PLACEMENT_ROWS)
    assert sorted(links) == sorted(map(placement_path, placements))
    assert {name: digest_of(path) for name, path in objects.items()} == {name: name for name in objects}
    inodes = {path.stat().st_ino: name for name, path in objects.items()}
    pointing = {name: inodes[path.stat().st_ino] for name, path in links.items()}
    assert pointing == {placement_path(row): row[1] for row in placements}
    assert not list((root / layout.STAGING).iterdir())
    assert not (root / layout.DIRTY_FILE).exists()
    assert {path.name for path in root.iterdir()} <= EXPECTED
    totals = place.rows("SELECT objects, bytes, stored_bytes, placements FROM totals")
    stats = {name: path.stat() for name, path in objects.items()}
    return {
        "messages": sorted(place.rows(MESSAGE_ROWS)),
        "receipts": sorted(place.rows(RECEIPT_ROWS)),
        "placements": sorted(placements),
        "placed": sorted(place.rows("SELECT f.dir, hex(copy_key) FROM placements p JOIN user_folders f ON f.id = p.folder_id")),
        "objects": sorted(place.rows(OBJECT_ROWS)),
        "files": {name: (found.st_nlink, found.st_mode, int(found.st_mtime), found.st_size) for name, found in stats.items()},
        "folders": sorted(str(Path(path).relative_to(root)) for path, _, _ in os.walk(root / layout.MAIL)),
        "totals": totals,
        "ledger": ledger_of(root),
        "server": {name: {raw: folder.messages for raw, folder in folders.items()} for name, folders in server.items()},
    }


def ledger_of(root: Path) -> list[str]:
    """What the ledger says happened, whenever and in which run; asserts that its hashes and the checkpoint are those of it."""
    lines = (root / "evidence/entries").read_bytes().splitlines()
    hashes, pending = [], []
    for number, line in enumerate(lines):
        pending.append(hashlib.sha256(b"\0" + line).digest())
        hashes.append(pending[-1])
        while number & 1:
            right, left = pending.pop(), pending.pop()
            pending.append(hashlib.sha256(b"\1" + left + right).digest())
            hashes.append(pending[-1])
            number >>= 1
    assert (root / "evidence/hashes").read_bytes() == b"".join(hashes)
    top = functools.reduce(lambda right, left: hashlib.sha256(b"\1" + left + right).digest(), reversed(pending))
    _origin, size, head, *_ = (root / "evidence/checkpoint").read_text().split("\n")
    assert (int(size), base64.b64decode(head)) == (len(lines), top)
    entries = [json.loads(line) for line in lines]
    told = [{key: value for key, value in entry.items() if key not in ("at", "run")} for entry in entries]
    return sorted(json.dumps(entry) for entry in told if entry["event"] not in ("run", "users"))


EXPECTED = {layout.FORMAT_FILE, layout.CATALOG_FILE, layout.LOCK_FILE, layout.OBJECTS, layout.MAIL}
EXPECTED |= {
    layout.JOBS,
    layout.REPORTS,
    layout.STAGING,
    layout.EVIDENCE,
    f"{layout.CATALOG_FILE}-wal",
    f"{layout.CATALOG_FILE}-shm",
}
