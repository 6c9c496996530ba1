# SPDX-License-Identifier: GPL-3.0-or-later
"""A rebuild that ends anywhere leaves the archive as it was, or finished; the next one does the rest."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_base, rebuild, rebuild_catalog, rebuild_take
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog, condition
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.rebuild_scene import links, lose_catalog, rebuilt, rows_of, scene, verified

__all__ = ["scene"]


class Power(BaseException):
    """The process ends here: nothing catches it."""


class Fuse:
    """Ends the process before, or after, the n-th of the calls that it watches; counts them when n is 0."""

    def __init__(self, number: int, *, after: bool = False) -> None:
        self.number, self.after, self.calls = number, after, 0

    def watched(self, real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **more: t.Any) -> t.Any:
            self.calls += 1
            blown = self.calls == self.number
            if blown and not self.after:
                raise Power
            result = real(*args, **more)
            if blown:
                raise Power
            return result

        return call

    def arm(self, stack: pytest.MonkeyPatch) -> None:
        """Watch whatever writes: transactions, syncs, links, renames, removals, the marker."""
        for owner, name in (
            (catalog_base.Database, "transaction"),
            (RebuiltCatalog, "fold"),
            (Store, "sync"),
            (Store, "place"),
            (Store, "make_folder"),
            (Store, "renew"),
            (Path, "replace"),
            (Path, "rename"),
            (Path, "unlink"),
            (os, "link"),
            (rebuild_catalog, "sync_path"),
        ):
            stack.setattr(owner, name, self.watched(getattr(owner, name)))


class Here:
    """The work of the processes, done in this one: a crash is of the one that writes."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def each(self, function: t.Callable[[t.Any], t.Any], shares: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
        return map(function, shares)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "Spread", Here)


def points(calls: int) -> list[int]:
    """The calls at which to end: the last ones, where one file takes the place of another, and some of those that repeat.

    ALL_POINTS in the environment: every one.
    """
    if os.environ.get("ALL_POINTS"):
        return list(range(1, calls + 1))
    return sorted({1, 2, calls // 3, calls // 2, *range(max(1, calls - 11), calls + 1)})


def crashed(archive: Archive, number: int, what: str, *, after: bool = False, **wish: t.Any) -> int:
    """A rebuild that ends at a call; how many calls there were."""
    fuse = Fuse(number, after=after)
    with pytest.MonkeyPatch.context() as stack:
        fuse.arm(stack)
        if number:
            with pytest.raises(Power):
                rebuilt(archive, what, **wish)
        else:
            rebuilt(archive, what, **wish)
    return fuse.calls


def copied(archive: Archive, to: Path) -> None:
    """Make the archive what ``to`` holds, links included."""
    shutil.rmtree(archive.root)
    os.system(f"cp -a {to} {archive.root}")  # noqa: S605 - paths of this test


def kept(archive: Archive) -> Path:
    """A copy of the archive, links included."""
    path = archive.root.with_name("kept")
    os.system(f"cp -a {archive.root} {path}")  # noqa: S605 - paths of this test
    return path


@pytest.mark.parametrize("after", [False, True])
def test_a_new_catalog(scene: Archive, after: bool) -> None:
    substance, tree = scene.substance(), scene.tree()
    Path(scene.catalog_file).write_bytes(b"no catalog")
    (scene.root / "dirty").write_text('{"started": 1, "run": "7", "commits": 900}')
    before = kept(scene)
    seen = set()
    for number in points(crashed(scene, 0, "catalog")):
        copied(scene, before)
        crashed(scene, number, "catalog", after=after)
        state = condition(scene.catalog_file).partition(":")[0]
        seen.add(state)
        if state != "intact":
            assert Path(scene.catalog_file).read_bytes() == b"no catalog"
            rebuilt(scene)
        scene.run(quarantine_after=1)
        assert (scene.substance(), scene.tree()) == (substance, tree)
    assert seen == {"unreadable", "intact"}


def test_a_catalog_that_is_replaced(scene: Archive) -> None:
    substance, tree, rows = scene.substance(), scene.tree(), rows_of(scene)
    before = kept(scene)
    news = []
    for number in points(crashed(scene, 0, "catalog", replace=True)):
        copied(scene, before)
        crashed(scene, number, "catalog", replace=True)
        # The old one with all that it had, or the new one.
        news.append(bool(rows_of(scene)["evidence_waiting"]))
        assert news[-1] or rows_of(scene) == rows
        assert (scene.substance(), scene.tree()) == (substance, tree)
        rebuilt(scene, replace=True)
        assert (scene.substance(), scene.tree()) == (substance, tree)
    assert news == sorted(news)
    assert news[0] is False
    assert verified(scene) == []


def test_trees(scene: Archive) -> None:
    tree = scene.tree()
    shutil.rmtree(scene.root / "mail")
    before = kept(scene)
    for number in points(crashed(scene, 0, "trees")):
        copied(scene, before)
        crashed(scene, number, "trees")
        rebuilt(scene, "trees")
        assert scene.tree() == tree
        assert all(inode == own for inode, own in links(scene).values())
    assert verified(scene) == []


def test_adopting(scene: Archive) -> None:
    substance, tree = scene.substance(), scene.tree()
    lose_catalog(scene)
    # A catalog that knows nobody and nothing is the oldest that there can be.
    RebuiltCatalog(scene.catalog_file).close()
    (scene.root / "dirty").write_text('{"started": 1, "run": "7", "commits": 900, "died": true}')
    before = kept(scene)
    for number in points(crashed(scene, 0, "orphans", orphans="adopt")):
        copied(scene, before)
        crashed(scene, number, "orphans", orphans="adopt")
        rebuilt(scene, "orphans", orphans="adopt")
        assert (scene.substance(), scene.tree()) == (substance, tree)
    scene.run(quarantine_after=1)
    assert (scene.substance(), scene.tree()) == (substance, tree)
    assert verified(scene) == []


def test_rows_are_committed_after_what_they_speak_of_is_durable(scene: Archive) -> None:
    lose_catalog(scene)
    RebuiltCatalog(scene.catalog_file).close()
    synced: set[str] = set()
    wrong: list[str] = []
    sync, adopt = Store.sync, RebuiltCatalog.adopt

    def syncing(store: Store, written: t.Any = None) -> None:
        sync(store, written)
        synced.update(written.files if written else (), written.directories if written else ())

    def adopting(catalog: RebuiltCatalog, objects: t.Any, placements: t.Any, why: str = "", *, durable: bool = True) -> None:
        directories = dict(catalog.rows("SELECT id, dir FROM user_folders"))
        wrong.extend(path for path in (rebuild_take.layout.object_path(row.digest) for row in objects) if path not in synced)
        wrong.extend(path for path in (f"{directories[row.folder_id]}/cur" for row in placements) if path not in synced)
        adopt(catalog, objects, placements, why, durable=durable)

    with mock.patch.object(Store, "sync", syncing), mock.patch.object(RebuiltCatalog, "adopt", adopting):
        rebuilt(scene, "orphans", orphans="adopt")
        assert "evidence/entries" in synced
        synced.clear()
        lose_catalog(scene)
        rebuilt(scene)
        assert "evidence/entries" in synced
    assert wrong == []
