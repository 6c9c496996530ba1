# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: an intact archive is found intact, and whatever is changed in it is found and named."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import KINDS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_objects import Directory, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive import ledger_tampers
from tests.unit.module_utils.archive.format_fixtures import Archive
from tests.unit.module_utils.archive.store_fixtures import object_of
from tests.unit.module_utils.archive.verify_tampers import (
    DIGEST,
    LINKED,
    OBJECT,
    STRANGER,
    TAMPERS,
    content,
    empty_bucket,
    flip,
    placement,
    sql,
    stranger,
)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)


def looked_at(archive: Archive, **wish: t.Any) -> Report:
    """What a verification finds."""
    return Verification(Wish(str(archive.root), processes=1, **wish), Silent()).run()


def found(archive: Archive, **wish: t.Any) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in looked_at(archive, **wish).findings}


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
    bucket = empty_bucket(filled).name
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
    tables = (*TAMPERS.values(), *ledger_tampers.TAMPERS.values())
    assert {kind for _, expected in tables for kind, _ in expected} == set(KINDS)


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
