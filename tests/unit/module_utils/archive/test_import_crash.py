# SPDX-License-Identifier: GPL-3.0-or-later
"""An import that ends anywhere leaves an archive that is sound; the next one does the rest, and nothing is there twice."""

from __future__ import annotations

import os
import shutil
import typing as t
from dataclasses import dataclass
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import import_sink, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import ImportCatalog, Taking
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import Report, UserFigures
from ansible_collections.mailops.kerio.plugins.module_utils.archive.importing import Import, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.import_scene import beside, everything, mail_of, taken
from tests.unit.module_utils.archive.rebuild_scene import ALICE, BOB, scene, verified
from tests.unit.module_utils.archive.rebuild_small import small
from tests.unit.module_utils.archive.test_rebuild_crash import Fuse, Power

__all__ = ["scene", "small"]
ALL: dict[str, t.Any] = {"servers": ["mail1"], "users": ["@catchall"]}


def begun(scene: Archive, name: str = "new") -> Archive:
    """An archive that has some mail of Alice already, and mail of Bob that the other archive has not."""
    here = beside(scene, name)
    here.user(ALICE, "a.l@example.com", groups=("staff",))
    here.user(BOB)
    here.profiles = [{**scene.profiles[0], "folders": {"exclude": ["*"]}}]
    here.run()
    return here


def crashed(scene: Archive, here: Archive, number: int, *, after: bool) -> int:
    """An import that ends at a call that writes; how many such calls there were."""
    fuse = Fuse(number, after=after)
    with pytest.MonkeyPatch.context() as stack:
        fuse.arm(stack)
        for owner, name in ((Store, "put"), (EvidenceLog, "append"), (Store, "begin"), (Store, "end")):
            stack.setattr(owner, name, fuse.watched(getattr(owner, name)))
        if number:
            with pytest.raises(Power):
                taken(here, scene, **ALL)
        else:
            taken(here, scene, **ALL)
    return fuse.calls


def points(calls: int) -> list[int]:
    """Some of the calls: the first ones, some of those that repeat, the last ones. ALL_POINTS in the environment: every one."""
    if os.environ.get("ALL_POINTS"):
        return list(range(1, calls + 1))
    return sorted({1, 3, *(calls * part // 5 for part in range(1, 5)), *range(calls - 3, calls + 1)})


def test_wherever_it_ends(scene: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sink, "STEP_MESSAGES", 7)
    whole = begun(scene)
    had = whole.tree()
    calls = crashed(scene, whole, 0, after=False)
    wanted, tree = whole.substance(), mail_of(whole)
    assert verified(whole) == []
    other = everything(scene.root)
    for turn, number in enumerate(points(calls)):
        here = begun(scene, f"new{number}")
        crashed(scene, here, number, after=turn % 4 in (1, 2))
        assert set(had) <= set(here.tree())
        if turn % 2:
            here.run()  # another run clears up what is not committed
            assert verified(here) == []
        taken(here, scene, **ALL)
        assert (here.substance(), mail_of(here), verified(here)) == (wanted, tree, []), number
        assert not taken(here, scene, **ALL).changed
        shutil.rmtree(here.root)
    assert everything(scene.root) == other


def test_rows_are_committed_after_what_they_speak_of_is_durable(scene: Archive) -> None:
    here = beside(scene)
    synced: set[str] = set()
    wrong: list[str] = []
    rows = 0
    sync_all, take = Store.sync, ImportCatalog.take

    def syncing(store: Store, written: t.Any = None) -> None:
        own = store.take_written()
        own.update(written or own.__class__())
        sync_all(store, own)
        synced.update(own.files, own.directories)

    def taking(catalog: ImportCatalog, some: Taking, *args: t.Any) -> None:
        nonlocal rows
        dirs = dict(catalog.rows("SELECT id, dir FROM user_folders"))
        needed = [layout.object_path(row.digest) for row in some.objects]
        needed += [f"{dirs[row.folder_id]}/cur" for row in some.placements]
        needed += ["evidence/entries", "evidence/hashes"]
        wrong.extend(path for path in needed if path not in synced)
        rows += len(some.objects)
        take(catalog, some, *args)
        synced.clear()

    with mock.patch.object(Store, "sync", syncing), mock.patch.object(ImportCatalog, "take", taking):
        taken(here, scene, **ALL)
    assert (wrong, rows) == ([], len(scene.files()))


@dataclass
class Stop:
    """Asks for an end from the first progress on at which ``query`` gives something else than 0."""

    archive: Archive
    query: str
    stop_requested: bool = False

    def progress(self, _line: str, **_data: t.Any) -> None:
        self.stop_requested |= self.archive.rows(self.query) != [(0,)]


def stopped(here: Archive, there: Archive, query: str) -> Report:
    """What an import says that ends by ``query``."""
    choice = Choice(frozenset(ALL["users"]), servers=frozenset(ALL["servers"]))
    return Import(Wish(str(here.root), str(there.root), choice), Stop(here, query)).run()


def test_a_stop_ends_it_between_two_batches_and_it_goes_on(scene: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sink, "STEP_MESSAGES", 7)
    here = beside(scene)
    report = stopped(here, scene, "SELECT count(*) FROM placements")
    assert (report.stopped, report.failed, 0 < len(here.tree()) < len(scene.tree())) == (True, True, True)
    assert verified(here) == []
    taken(here, scene, **ALL)
    assert (mail_of(here), here.substance()) == (mail_of(scene), scene.substance())


def test_a_stop_while_it_counts_has_taken_nothing(scene: Archive) -> None:
    here = beside(scene)
    report = stopped(here, scene, "SELECT 1")
    assert (report.stopped, report.failed, report.changed, report.totals()) == (True, True, False, UserFigures())
    assert (here.tree(), here.rows("SELECT count(*) FROM runs")) == ([], [(0,)])


def test_a_stop_while_it_looks_once_more_is_told_although_all_was_taken(scene: Archive) -> None:
    here = beside(scene)
    report = stopped(here, scene, "SELECT count(finished) FROM runs")
    assert (report.stopped, report.failed, report.changed, report.untaken) == (True, True, True, 0)
    assert (mail_of(here), here.substance()) == (mail_of(scene), scene.substance())


def test_free_space_is_looked_at_within_a_batch_of_large_messages(scene: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sink, "STEP_BYTES", 10_000)
    here = beside(scene)
    body = mail(300) + b"x" * 4_000
    scene.servers.folder("mail1", ALICE, "Later").add(*(body + str(number).encode() for number in range(10)))
    scene.run(quarantine_after=1)
    written, most, put, check = [0], [0], Store.put, Store.check_space

    def putting(store: Store, content: t.Any, date: int) -> t.Any:
        written[0] += len(content)
        most[0] = max(most[0], written[0])
        return put(store, content, date)

    def checking(store: Store) -> t.Any:
        written[0] = 0
        return check(store)

    with mock.patch.object(Store, "put", putting), mock.patch.object(Store, "check_space", checking):
        taken(here, scene, **ALL)
    assert 10_000 <= most[0] < 10_000 + len(body) + 10
    assert (mail_of(here), verified(here)) == (mail_of(scene), [])


def test_a_full_disk_ends_it_with_what_was_committed(scene: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    here = beside(scene)
    here.servers.folder("mail1", ALICE, "Later").add(mail(300))
    put, left = Store.put, [5]

    def full(store: Store, *args: t.Any) -> t.Any:
        left[0] -= 1
        if left[0] < 0:
            raise import_sink.CatalogError("the disk", "No space left on device", "Make room")
        return put(store, *args)

    with monkeypatch.context() as stack:
        stack.setattr(Store, "put", full)
        with pytest.raises(import_sink.CatalogError):
            taken(here, scene, **ALL)
    assert here.rows("SELECT outcome FROM runs") == [("failed",)]
    taken(here, scene, **ALL)
    assert (mail_of(here), here.substance(), verified(here)) == (mail_of(scene), scene.substance(), [])


def test_who_begins_to_write_to_the_other_archive_ends_it_and_the_next_one_takes_the_rest(
    small: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody had its catalog open, so it was read as a file that does not change."""
    monkeypatch.setattr(import_sink, "STEP_MESSAGES", 1)
    here = beside(small)

    def write(point: str) -> None:
        if point == "committed":
            small.user("carl@example.com")

    with pytest.raises(CatalogError) as raised:
        Import(Wish(str(here.root), str(small.root), Choice(servers=frozenset({"mail1"}))), checkpoint=write).run()
    cause = "somebody wrote to it while it was read"
    remedy = "End the runs of this archive, then import again: what was taken stays"
    assert str(raised.value) == f"{small.catalog_file}: {cause}. {remedy}."
    assert here.rows("SELECT outcome FROM runs") == [("failed",)]
    assert (0 < len(here.tree()) < len(small.tree()), verified(here)) == (True, [])
    assert not taken(here, small, servers=["mail1"]).problems
    assert (mail_of(here), here.substance()) == (mail_of(small), small.substance())
