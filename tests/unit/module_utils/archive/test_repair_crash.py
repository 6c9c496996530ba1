# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair that is killed between any two steps: nothing is lost, and the next one completes it. And the order of its syncs."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held
from tests.unit.module_utils.archive.format_fixtures import BARE, CRLF, USER, Archive
from tests.unit.module_utils.archive.repair_scene import Inline, copied, repaired, waiting, whole
from tests.unit.module_utils.archive.store_fixtures import object_of
from tests.unit.module_utils.archive.verify_tampers import CUR, DIGEST, OBJECT, content, flip, sql


class KilledError(BaseException):
    """The process ends here: nothing that cleans up runs any more."""


@dataclass
class Watch:
    """Sees what a repair does to files and rows; ends it at call ``at``. ``unsynced`` are names that are not durable."""

    root: Path
    at: int = -1
    calls: list[str] = field(default_factory=list)
    unsynced: set[str] = field(default_factory=set)

    def call(self, what: str) -> None:
        self.calls.append(what)
        if 0 <= self.at < len(self.calls):
            raise KilledError

    def wrote(self, path: t.Any) -> None:
        name = str(path).removeprefix(f"{self.root}/")
        if not name.startswith(layout.STAGING):
            self.unsynced.add(name)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        link, replace, unlink, chmod = os.link, Path.replace, Path.unlink, Path.chmod
        sync, transaction = Store.sync, Database.transaction

        def links(source: t.Any, target: t.Any, **more: t.Any) -> None:
            self.call(f"link {target}")
            link(source, target, **more)
            self.wrote(target)

        def replaces(path: Path, target: Path) -> Path:
            self.call(f"replace {target}")
            if CUR in str(target):
                assert not [name for name in self.unsynced if name.startswith(layout.OBJECTS)]
            self.wrote(target)
            return replace(path, target)

        def unlinks(path: Path, **more: t.Any) -> None:
            self.call(f"unlink {path}")
            if layout.STAGING not in str(path):
                assert not self.unsynced
            unlink(path, **more)

        def chmods(path: Path, mode: int) -> None:
            self.call(f"chmod {path}")
            chmod(path, mode)

        def syncs(store: Store, *written: t.Any) -> None:
            self.call("sync")
            sync(store, *written)
            self.unsynced.clear()

        @contextlib.contextmanager
        def transacts(database: Database, **more: t.Any) -> t.Iterator[None]:
            self.call("begin")
            assert not self.unsynced
            with transaction(database, **more):
                yield
            self.call("committed")

        patch.setattr(os, "link", links)
        for name, what in (("replace", replaces), ("unlink", unlinks), ("chmod", chmods)):
            patch.setattr(Path, name, what)
        patch.setattr(Store, "sync", syncs)
        patch.setattr(Database, "transaction", transacts)


def exchanged(archive: Archive) -> None:
    """Two objects lie under each other's names, and nothing else has their bytes."""
    one, other = archive.root / OBJECT, object_of(archive.root, BARE)
    for path in archive.cur().values():
        path.unlink()
    aside = archive.root / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def rotten(archive: Archive) -> None:
    """A message rotted, its placement has another name and its row is gone; of the other one a mode and a placement are wrong."""
    flip(archive)
    path = archive.cur()[DIGEST]
    path.rename(path.with_name(layout.base_name(path.name) + ":2,F"))
    sql(archive, "DELETE FROM objects WHERE digest = ?", DIGEST)
    next(path for digest, path in archive.cur().items() if digest != DIGEST).unlink()
    object_of(archive.root, BARE).chmod(0o660)


def replaced(archive: Archive) -> None:
    """Another message that nobody archived lies under the name of an object and of a placement."""
    archive.cur()[DIGEST].unlink()
    content(archive.root / OBJECT, archive.store._objects._compressor.compress(b"Subject: last of its kind\r\n\r\n" + CRLF))
    (archive.root / OBJECT).rename(archive.root / CUR / "aside")
    shutil.copy(archive.root / CUR / "aside", archive.root / OBJECT)
    (archive.root / CUR / "aside").unlink()


SCENES: dict[str, t.Callable[[Archive], None]] = {"exchanged": exchanged, "rotten": rotten, "replaced": replaced}


@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_any_step_nothing_is_lost_and_the_next_repair_completes_it(
    filled: Archive, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)
    backup = copied(filled.root)
    SCENES[scene](filled)
    filled.catalog.close()
    damaged = filled.root.rename(filled.root.with_name("damaged"))
    messages = whole(backup).keys()
    for at in range(1000):
        shutil.copytree(damaged, filled.root, symlinks=True)
        hard_links(damaged, filled.root)
        watch = Watch(filled.root, at)
        with pytest.MonkeyPatch.context() as patch:
            watch.install(patch)
            with contextlib.suppress(KilledError):
                assert repaired(filled.root, backup).left == []
        done = len(watch.calls) <= at
        last = repaired(filled.root, backup)
        assert last.left == [], watch.calls
        assert (last.steps == []) or not done
        assert messages <= whole(filled.root).keys()
        assert not any((filled.root / "staging").iterdir())
        for path in (filled.root / "mail" / USER / "INBOX/cur").iterdir():
            inside = held(path)
            assert inside is not None and path.name[11:75] == inside.digest.hex()
        if done:
            counted = Counter(word.partition(" ")[0] for word in watch.calls)
            assert counted["replace"] and counted["sync"] and counted["begin"]
            assert waiting(filled.root)["repaired"]
            return
        shutil.rmtree(filled.root)
    pytest.fail("it never ends")


def hard_links(source: Path, target: Path) -> None:
    """Make links again of what was links in the source."""
    first: dict[int, Path] = {}
    for path in sorted(source.rglob("*")):
        if path.is_file() and (seen := first.setdefault(path.stat().st_ino, path)) != path:
            copy = target / path.relative_to(source)
            copy.unlink()
            os.link(target / seen.relative_to(source), copy)
