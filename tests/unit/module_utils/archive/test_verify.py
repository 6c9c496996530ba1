# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: an intact archive is found intact, and whatever is changed in it is found and named."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import KINDS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_objects import Directory, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.format_fixtures import CRLF, USER, Archive
from tests.unit.module_utils.archive.store_fixtures import object_of

CUR = f"mail/{USER}/INBOX/cur"
DIGEST = hashlib.sha256(CRLF).digest()
OBJECT = layout.object_path(DIGEST)
BUCKET = OBJECT.rpartition("/")[0]
STRANGER = b"Subject: nobody archived this\r\n\r\n"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)


def looked_at(archive: Archive, **wish: t.Any) -> Report:
    """What a verification finds."""
    return Verification(Wish(str(archive.root), processes=1, **wish), Silent()).run()


def found(archive: Archive, **wish: t.Any) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in looked_at(archive, **wish).findings}


def placement(archive: Archive) -> Path:
    return archive.cur()[DIGEST]


def content(path: Path, data: bytes) -> None:
    """Change a file that nobody may write."""
    path.chmod(0o640)
    path.write_bytes(data)
    path.chmod(0o440)


def sql(archive: Archive, statement: str, *values: t.Any) -> None:
    with sqlite3.connect(archive.root / layout.CATALOG_FILE) as db:
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
    bucket = _empty(archive)
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
    with sqlite3.connect(path) as db:
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
    "a directory of objects removed": (lambda a: _empty(a).rmdir(), {("format", "objects/*")}),
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


def _empty(archive: Archive) -> Path:
    return next(path for path in sorted((archive.root / "objects").iterdir()) if not any(path.iterdir()))


def _other_flags(archive: Archive) -> Path:
    path = placement(archive)
    return path.with_name(layout.base_name(path.name) + ":2,F")


def test_an_intact_archive_is_found_intact(filled: Archive) -> None:
    before = sorted(filled.root.rglob("*"))
    report = looked_at(filled, keep=False)
    assert report.findings == []
    assert (report.objects, report.placements, report.read, report.directories) == (2, 2, 2, 256)
    assert report.bytes == sum(size for (size,) in filled.catalog.rows("SELECT size FROM objects"))
    assert report.sentence() == "2 objects and 2 placements compared, 2 messages read; no damage"
    assert sorted(filled.root.rglob("*")) == before


@pytest.mark.parametrize("name", TAMPERS)
def test_whatever_is_changed_is_found_and_named(filled: Archive, name: str) -> None:
    tamper, expected = TAMPERS[name]
    own, two = placement(filled).name, next(path.name for digest, path in filled.cur().items() if digest != DIGEST)
    base = layout.base_name(own)
    names = {"other": f"{base}:2,F", "second": f"{base}:2,D", "dated": f"7.{own.partition('.')[2]}", "two": two}
    bucket = _empty(filled).name
    tamper(filled)
    wanted = {
        (kind, subject.format(**names).replace("objects/*", f"objects/{bucket}").replace("*", own)) for kind, subject in expected
    }
    report = looked_at(filled)
    assert {(finding.kind, finding.subject) for finding in report.findings} == wanted
    kept = json.loads((filled.root / verify.REPORT_FILE).read_text())
    assert {(each["kind"], each["subject"]) for each in kept["damage"]} == wanted
    for finding in report.findings:
        assert finding.cause and "{}" not in finding.cause and finding.remedy
    assert report.findings[0].subject in report.sentence()


def test_every_kind_of_damage_is_provoked() -> None:
    assert {kind for _, expected in TAMPERS.values() for kind, _ in expected} == set(KINDS)


def test_what_a_run_is_writing_is_no_damage_and_what_is_missing_is(filled: Archive) -> None:
    filled.store.begin("a run", filled.catalog.commits())
    stranger(filled)
    os.link(object_of(filled.root, STRANGER), placement(filled).with_name("1.x"))
    assert found(filled) == set()
    (filled.root / OBJECT).unlink()
    assert found(filled) == {("object_missing", OBJECT)}


def test_a_link_that_a_run_has_not_committed_is_no_damage(filled: Archive) -> None:
    filled.store.begin("a run", filled.catalog.commits())
    path = placement(filled)
    os.link(path, path.with_name(path.name.replace("1700000001", "1700000009")))
    assert found(filled) == set()
    filled.store.end()
    assert LINKED in found(filled)


def test_what_a_run_wrote_that_ended_between_the_looks_is_no_damage(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.store.begin("a run", filled.catalog.commits())
    stranger(filled)
    looks = iter([filled.store.dirty(), None])
    monkeypatch.setattr(verify.Store, "dirty", lambda _store: next(looks))
    assert found(filled) == set()


def test_no_bit_of_an_object_ends_the_verification(filled: Archive) -> None:
    data = (filled.root / OBJECT).read_bytes()
    for bit in range(8 * min(len(data), 20)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        content(filled.root / OBJECT, bytes(changed))
        findings = look(bucket_of(filled)).findings
        # A bit of the frame's header that means nothing to the message may be any.
        assert {finding.kind for finding in findings} <= {"object_damaged", "object_size"}
    assert findings


def bucket_of(archive: Archive) -> Directory:
    rows = archive.catalog.objects_in(DIGEST[0], DIGEST[0] + 1)
    owners = frozenset({os.geteuid()})
    return Directory(str(archive.root), DIGEST[0], rows, {DIGEST: 1}, frozenset(), read=None, owners=owners)


def test_an_archive_whose_group_writes_is_well(filled: Archive) -> None:
    for path in [filled.root, *filled.root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o2770)
    assert found(filled) == set()


def test_so_much_damage_is_not_looked_through(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "MOST_FINDINGS", 1)
    for number in range(3):
        (filled.root / f"objects/00/{number}").write_bytes(b"")
    report = looked_at(filled)
    assert report.cut and report.findings
    assert report.directories < 256
    assert "given up, so much is damaged" in report.sentence()


def test_what_is_well_at_the_second_look_is_no_damage(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    path = placement(filled)
    path.rename(filled.root / "reports/kept")
    monkeypatch.setattr(verify.time, "sleep", lambda _seconds: (filled.root / "reports/kept").rename(path))
    assert found(filled) == set()


def test_a_share_is_read_and_the_rest_compared(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(verify.time, "time", lambda: now)
    flip(filled)
    read = 0
    damaged = []
    for _day in range(4):
        report = looked_at(filled, days=4)
        damaged += [finding.subject for finding in report.findings]
        read += report.read
        assert (report.objects, report.directories) == (2, 64)
        now += 86_400
    assert report.oldest == 1_700_000_000
    assert damaged == [OBJECT]  # on the one day on which its directory was due
    assert read == 1  # what is damaged does not count as read


def test_a_sample_is_drawn(filled: Archive) -> None:
    assert looked_at(filled, sample=2).read == 2
    report = looked_at(filled, sample=1)
    assert (report.objects, report.directories, report.oldest) == (2, 0, None)


def test_a_stop_ends_it_early_and_says_so(filled: Archive) -> None:
    reporter = Silent()
    reporter.stop_requested = True
    report = Verification(Wish(str(filled.root), processes=1), reporter).run()
    assert (report.stopped, report.directories) == (True, 1)
    assert "stopped before the end" in report.sentence()


def test_a_rate_bounds_what_is_read(filled: Archive) -> None:
    big = os.urandom(300_000)
    stored = filled.store.put(big, 1)
    sql(filled, "INSERT INTO objects(digest, size, stored_size) VALUES (?, ?, ?)", stored.digest, stored.size, stored.stored_size)
    sql(
        filled,
        "UPDATE totals SET objects = 3, bytes = bytes + ?, stored_bytes = stored_bytes + ?",
        stored.size,
        stored.stored_size,
    )
    report = looked_at(filled, rate=400_000)
    assert report.findings == []
    assert report.seconds > 0.4


def test_without_an_archive_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no archive"):
        Verification(Wish(str(tmp_path)), Silent()).run()
