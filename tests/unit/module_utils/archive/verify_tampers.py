# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to change an archive, and what a verification must say of each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from tests.unit.module_utils.archive.format_fixtures import CRLF, USER, Archive
from tests.unit.module_utils.archive.store_fixtures import object_of

CUR = f"mail/{USER}/INBOX/cur"
DIGEST = hashlib.sha256(CRLF).digest()
OBJECT = layout.object_path(DIGEST)
BUCKET = OBJECT.rpartition("/")[0]
STRANGER = b"Subject: nobody archived this\r\n\r\n"


def placement(archive: Archive) -> Path:
    return archive.cur()[DIGEST]


def content(path: Path, data: bytes) -> None:
    """Change a file that nobody may write."""
    path.chmod(0o640)
    path.write_bytes(data)
    path.chmod(0o440)


def sql(archive: Archive, statement: str, *values: t.Any) -> None:
    with contextlib.closing(sqlite3.connect(archive.root / layout.CATALOG_FILE)) as db, db:
        db.execute(statement, values)
    db.close()


def flip(archive: Archive) -> None:
    data = bytearray((archive.root / OBJECT).read_bytes())
    data[-3] ^= 1
    content(archive.root / OBJECT, bytes(data))


def another_message(archive: Archive) -> None:
    content(archive.root / OBJECT, Compressor().compress(CRLF.replace(b"one", b"two")))


def stranger(archive: Archive) -> None:
    archive.store.put(STRANGER, 0)


def other_inode(archive: Archive) -> None:
    path = placement(archive)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def bad_copy(archive: Archive) -> None:
    copy = object_of(archive.root, CRLF, 1)
    copy.write_bytes(b"not zstd")
    copy.chmod(0o440)


def _file_for_bucket(archive: Archive) -> None:
    bucket = empty_bucket(archive)
    bucket.rmdir()
    bucket.write_bytes(b"")


def _forget_vanished(archive: Archive) -> None:
    sql(archive, "UPDATE source_messages SET state = 8 WHERE digest = ?", DIGEST)
    sql(archive, "DELETE FROM placements WHERE digest = ?", DIGEST)
    sql(
        archive,
        "UPDATE totals SET objects = 1, placements = 1, bytes = bytes - ?, stored_bytes = stored_bytes - ?",
        *_sizes(archive),
    )
    sql(archive, "DELETE FROM objects WHERE digest = ?", DIGEST)
    placement(archive).unlink()
    (archive.root / OBJECT).unlink()


def _sizes(archive: Archive) -> tuple[int, int]:
    (sizes,) = archive.catalog.rows("SELECT size, stored_size FROM objects WHERE digest = ?", (DIGEST,))
    return sizes[0], sizes[1]


def _move(archive: Archive) -> None:
    (archive.root / BUCKET).rename(archive.root.with_name("elsewhere"))
    (archive.root / BUCKET).symlink_to(archive.root.with_name("elsewhere"))


def second_name(archive: Archive) -> None:
    path = placement(archive)
    os.link(path, path.with_name(layout.base_name(path.name) + ":2,D"))


def corrupt_page(archive: Archive) -> None:
    archive.catalog.close()
    path = archive.root / layout.CATALOG_FILE
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'placements_copy'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : (page - 1) * size + 16] = b"\xff" * 16
    path.write_bytes(data)


def file(name: str) -> t.Callable[[Archive], t.Any]:
    return lambda archive: (archive.root / name).write_bytes(b"x")


LINKS = ("object_links", OBJECT)
LINKED = ("object_linked", OBJECT)
GONE = ("placement_missing", f"{CUR}/*")
TOTALS = ("totals", "catalog.sqlite3")
Tamper = t.Callable[[Archive], t.Any]
# What somebody does -> what a verification says of it; "*" stands for a placement of the message.
TAMPERS: dict[str, tuple[Tamper, set[tuple[str, str]]]] = {
    "a bit of an object": (flip, {("object_damaged", OBJECT)}),
    "an object emptied": (lambda a: content(a.root / OBJECT, b""), {("object_damaged", OBJECT), ("object_size", OBJECT)}),
    "an object cut": (
        lambda a: content(a.root / OBJECT, (a.root / OBJECT).read_bytes()[:-4]),
        {("object_damaged", OBJECT), ("object_size", OBJECT)},
    ),
    "another message in an object": (another_message, {("object_damaged", OBJECT)}),
    "more behind an object": (
        lambda a: content(a.root / OBJECT, (a.root / OBJECT).read_bytes() + b"x"),
        {("object_size", OBJECT), ("object_damaged", OBJECT)},
    ),
    "an object removed": (lambda a: (a.root / OBJECT).unlink(), {("object_missing", OBJECT)}),
    "an object that may be written": (lambda a: (a.root / OBJECT).chmod(0o640), {("object_mode", OBJECT)}),
    "a link to an object elsewhere": (lambda a: os.link(a.root / OBJECT, a.root / "reports/x"), {LINKED}),
    "a damaged second inode": (bad_copy, {("object_damaged", f"{OBJECT}.1")}),
    "an object that nobody archived": (stranger, {("object_unknown", layout.object_path(hashlib.sha256(STRANGER).digest()))}),
    "a file beside objects": (file(f"{BUCKET}/x"), {("foreign", f"{BUCKET}/x")}),
    "a file in objects": (file("objects/x"), {("foreign", "objects/x")}),
    "a directory of objects removed": (lambda a: empty_bucket(a).rmdir(), {("format", "objects/*")}),
    "a file in staging": (file("staging/x"), {("foreign", "staging/x")}),
    "a placement removed": (lambda a: placement(a).unlink(), {GONE, LINKS}),
    "a placement that is another file": (other_inode, {("placement_other", f"{CUR}/*"), LINKS}),
    "other flags": (lambda a: placement(a).rename(_other_flags(a)), {("placement_name", f"{CUR}/{{other}}")}),
    "a second name": (second_name, {("placement_unknown", f"{CUR}/{{second}}"), LINKED}),
    "a file beside placements": (file(f"{CUR}/x"), {("placement_unknown", f"{CUR}/x")}),
    "a file in new": (file(f"mail/{USER}/INBOX/new/x"), {("foreign", f"mail/{USER}/INBOX/new/x")}),
    "a file in a tree": (file(f"mail/{USER}/x"), {("foreign", f"mail/{USER}/x")}),
    "a link in a tree": (
        lambda a: (a.root / f"mail/{USER}/x").symlink_to("/tmp"),  # noqa: S108 - any directory
        {("foreign", f"mail/{USER}/x")},
    ),
    "objects moved elsewhere": (_move, {("foreign", BUCKET)}),
    "a file in the root": (file("x"), {("foreign", "x")}),
    "a part of a folder removed": (
        lambda a: (a.root / f"mail/{USER}/INBOX/new").rmdir(),
        {("format", f"mail/{USER}/INBOX/new")},
    ),
    "no staging": (lambda a: (a.root / "staging").rmdir(), {("format", "staging")}),
    "a file for a directory of objects": (_file_for_bucket, {("format", "objects/*")}),
    "a catalog that others may write": (
        lambda a: (a.root / "catalog.sqlite3").chmod(0o666),
        {("open_to_others", "catalog.sqlite3")},
    ),
    "an object of somebody else": (lambda a: os.chown(a.root / OBJECT, 12345, -1), {("owner", OBJECT)}),
    "a placement of another user": (
        lambda a: sql(a, "UPDATE placements SET user_id = 77 WHERE digest = ?", DIGEST),
        {("placement_row", f"{CUR}/*")},
    ),
    "all of a vanished message": (
        _forget_vanished,
        {("message_lost", OBJECT)},
    ),
    "no totals": (lambda a: sql(a, "DELETE FROM totals"), {TOTALS}),
    "a tree of nobody": (lambda a: (a.root / "mail/eve").mkdir(), {("foreign", "mail/eve")}),
    "a folder that others may write": (
        lambda a: (a.root / CUR).chmod(0o2777),
        {("open_to_others", CUR)},
    ),
    "objects that others may write": (lambda a: (a.root / BUCKET).chmod(0o2757), {("open_to_others", BUCKET)}),
    "an object's row removed": (
        lambda a: sql(a, "DELETE FROM objects WHERE digest = ?", DIGEST),
        {("object_unknown", OBJECT), ("placement_lost", OBJECT), ("message_lost", OBJECT), TOTALS},
    ),
    "an object's row twice": (
        lambda a: sql(a, "INSERT INTO objects(digest, size, stored_size) SELECT digest, size, stored_size FROM objects LIMIT 1"),
        {("object_twice", OBJECT), TOTALS},
    ),
    "an object's size in the catalog": (
        lambda a: sql(a, "UPDATE objects SET size = size + 1 WHERE digest = ?", DIGEST),
        {("object_size", OBJECT), TOTALS},
    ),
    "a placement's row removed": (
        lambda a: sql(a, "DELETE FROM placements WHERE digest = ?", DIGEST),
        {("placement_unknown", f"{CUR}/*"), LINKED, TOTALS},
    ),
    "a placement's date in the catalog": (
        lambda a: sql(a, "UPDATE placements SET internaldate = 7 WHERE digest = ?", DIGEST),
        {("placement_missing", f"{CUR}/{{dated}}"), ("placement_unknown", f"{CUR}/*")},
    ),
    "a folder's directory in the catalog": (
        lambda a: sql(a, "UPDATE user_folders SET dir = dir || 'x'"),
        {("placement_missing", f"mail/{USER}/INBOXx/cur/*"), ("placement_missing", f"mail/{USER}/INBOXx/cur/{{two}}")}
        | {("foreign", f"{CUR}/*"), ("foreign", f"{CUR}/{{two}}")}
        | {("format", f"mail/{USER}/INBOXx/{part}") for part in layout.MAILDIR_PARTS},
    ),
    "totals": (lambda a: sql(a, "UPDATE totals SET bytes = bytes - 1"), {TOTALS}),
    "a message's digest": (
        lambda a: sql(a, "UPDATE source_messages SET digest = ? WHERE digest = ?", b"\0" * 32, DIGEST),
        {("message_lost", layout.object_path(b"\0" * 32))},
    ),
    "a message without digest": (
        lambda a: sql(a, "UPDATE source_messages SET digest = NULL"),
        {("message_blank", "catalog.sqlite3")},
    ),
    "a reference to nothing": (
        lambda a: sql(a, "UPDATE user_folders SET user_id = 77"),
        {("catalog", "catalog.sqlite3"), ("placement_row", f"{CUR}/*"), ("placement_row", f"{CUR}/{{two}}")},
    ),
    "a page of an index": (corrupt_page, {("catalog", "catalog.sqlite3")}),
}


def empty_bucket(archive: Archive) -> Path:
    return next(path for path in sorted((archive.root / "objects").iterdir()) if not any(path.iterdir()))


def _other_flags(archive: Archive) -> Path:
    path = placement(archive)
    return path.with_name(layout.base_name(path.name) + ":2,F")
