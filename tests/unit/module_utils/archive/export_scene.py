# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive to export from, and readers of exports that are written from docs/export.md alone."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.export import export
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE, BOB = "alice@example.com", "bob@example.com"
# Bare line feeds, no line end at the end, lines of "From ", CRLF, a lone CR, no header, no bytes of text, nothing but a mark.
ODD = (
    b"Subject: bare\n\nbody\n",
    b"Subject: no end\r\n\r\nlast line",
    b"From the top\r\n\r\nFrom me\r\n>From you\r\n>>From all\n From afar\rFrom here\n",
    b"From ",
    b"Subject: blank lines\r\n\r\n\r\n\n\n",
    b"Subject: bytes\r\n\r\n\x00\xff\xfe\r\n>From",
)


def furnished(base: Path) -> Archive:
    """Two people with folders whose names some file system refuses, or takes for the same."""
    servers = FakeServers(base / "imap.log")
    archive = Archive(base / "archive", servers)
    archive.profiles = [MULTIPLE]
    archive.user(ALICE, "a.liddell@example.com")
    archive.user(BOB)
    inbox = servers.folder("mail1", ALICE).add(*ODD, mail(1), mail(2))
    inbox.flag(8, "\\Flagged", "\\Answered")
    inbox.dates |= {uid: 1_000 * uid for uid in inbox.messages}
    servers.folder("mail1", ALICE, "Sent").add(mail(3), mail(1))
    servers.folder("mail1", BOB, "sent/a:b").add(mail(1), mail(4))
    servers.folder("mail1", BOB, "Sent/CON").add(mail(5))
    archive.run(processes=1)
    return archive


def exported(archive: Archive, dest: Path, form: str = "eml", *, write: bool = True, **more: t.Any) -> Report:
    return export(Wish(str(archive.root), str(dest), format=form, **{"users": None, **more}), Silent(), write=write)


def lines(dest: Path) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in (dest / "manifest.jsonl").read_bytes().splitlines()]


def message(dest: Path, line: dict[str, t.Any]) -> bytes:
    """The bytes of the message that a line of the manifest is about."""
    content = (dest / line["file"]).read_bytes()
    if "offset" not in line:
        return content
    quoted = content[line["offset"] : line["offset"] + line["length"]]
    return re.sub(rb"^>(>*From )", rb"\1", quoted, flags=re.MULTILINE)


def mboxrd(path: Path) -> list[bytes]:
    """The messages of an mbox, without a manifest: line by line, as the definition has it."""
    found: list[list[bytes]] = []
    for line in re.findall(rb"[^\n]*\n", path.read_bytes()):
        if line.startswith(b"From "):
            found.append([])
        else:
            found[-1].append(line[1:] if re.match(rb">+From ", line) else line)
    assert all(one[-1] == b"\n" for one in found)
    return [b"".join(one[:-1]) for one in found]


def placed(archive: Archive) -> Counter[tuple[str, str, str]]:
    """What the archive has: (user, folder as JSON, digest), as often as it is filed."""
    query = (
        "SELECT u.name, f.name, lower(hex(digest)) FROM placements p JOIN user_folders f ON f.id = p.folder_id"
        " JOIN users u ON u.id = p.user_id"
    )
    return Counter((str(row[0]), str(row[1]), str(row[2])) for row in archive.rows(query))


def of_manifest(dest: Path) -> Counter[tuple[str, str, str]]:
    """The same as the manifest tells it, each message read and compared."""
    found: Counter[tuple[str, str, str]] = Counter()
    for line in lines(dest):
        content = message(dest, line)
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (line["sha256"], line["size"]), line
        found[line["user"], json.dumps(line["folder"]), line["sha256"]] += 1
    return found


def files(dest: Path) -> set[str]:
    return {str(path.relative_to(dest)) for path in dest.rglob("*") if path.is_file()}


def damage(archive: Archive, body: bytes) -> Path:
    path = archive.root / "objects" / hashlib.sha256(body).hexdigest()[:2] / hashlib.sha256(body).hexdigest()
    path.chmod(0o640)
    path.write_bytes(b"damaged")
    return path


def entries(archive: Archive) -> list[dict[str, t.Any]]:
    """What waits for the ledger of exports."""
    found = [json.loads(row[0]) for row in archive.rows("SELECT entry FROM evidence_waiting ORDER BY id")]
    return [entry for entry in found if entry["event"] == "exported"]
