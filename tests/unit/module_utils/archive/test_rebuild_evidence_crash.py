# SPDX-License-Identifier: GPL-3.0-or-later
"""A rebuild of the ledger that ends anywhere loses nothing of the old one, and the next one does the rest."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rebuild_catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_untold import UntoldCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_ledger import KnownElsewhere, look_at
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers
from tests.unit.module_utils.archive.ledger_tampers import CHECKPOINT, changed, lines, written
from tests.unit.module_utils.archive.rebuild_scene import rebuilt
from tests.unit.module_utils.archive.test_evidence import SIGNED
from tests.unit.module_utils.archive.test_evidence import archive as archive
from tests.unit.module_utils.archive.test_rebuild_crash import copied, crashed, one_process
from tests.unit.module_utils.archive.test_rebuild_crash import kept as copy_of
from tests.unit.module_utils.archive.test_rebuild_evidence import facts, facts_told, goes_on, tmp_path
from tests.unit.module_utils.archive.test_verify_ledger import kept, no_pause

__all__ = ["archive", "kept", "no_pause", "one_process", "tmp_path"]
pytestmark = pytest.mark.usefixtures("kept")

# What is done to the ledger, and which of its files are another one afterwards.
DAMAGES: dict[str, tuple[t.Callable[[Archive], object], tuple[str, ...]]] = {
    "the first entry is changed": (
        lambda archive: written(archive, [b'{"event":"forged"}', *lines(archive)[1:]]),
        (ENTRIES, HASHES, CHECKPOINT),
    ),
    "the last entry is cut off": (lambda archive: written(archive, lines(archive)[:-1]), (ENTRIES, HASHES, CHECKPOINT)),
    "the checkpoint is another one": (lambda archive: (archive.root / CHECKPOINT).write_text("nothing"), (CHECKPOINT,)),
}


def found(archive: Archive) -> list[tuple[str, str]]:
    with Catalog.open(archive.catalog_file, readonly=True) as catalog:
        return [(one.kind, one.subject) for one in look_at(str(archive.root), catalog, KnownElsewhere())[0]]


def versions(archive: Archive, name: str) -> set[bytes]:
    """All that is there of a file of the ledger, aside or not."""
    return {path.read_bytes() for path in (archive.root / "evidence").glob(f"{Path(name).name}*")}


@pytest.mark.parametrize(("name", "after"), list(zip(DAMAGES, (False, True, False), strict=True)))
def test_the_next_one_does_the_rest(archive: Archive, servers: FakeServers, name: str, after: bool) -> None:
    damage, replaced = DAMAGES[name]
    damage(archive)
    old = {file: (archive.root / file).read_bytes() for file in replaced}
    expected = facts(archive)
    before = copy_of(archive)
    calls = crashed(archive, 0, "ledger")
    for number in range(1, calls + 1):
        copied(archive, before)
        crashed(archive, number, "ledger", after=after)
        assert all(content in versions(archive, file) for file, content in old.items())
        rebuilt(archive, "ledger")
        assert found(archive) == [("ledger_tail", CHECKPOINT)]
        assert facts_told(archive) == expected
        assert all(content in versions(archive, file) for file, content in old.items())
        files = list((archive.root / "evidence").iterdir())
        assert len({path.stat().st_ino for path in files}) == len(files) and not [path for path in files if path.suffix == ".tmp"]
    goes_on(archive, servers)


def test_a_run_in_between_archives_or_says_what_to_do(archive: Archive, servers: FakeServers) -> None:
    before = lines(archive)
    written(archive, changed(before))
    copy = copy_of(archive)
    refused = []
    calls = crashed(archive, 0, "ledger")
    for number in range(1, calls + 1):
        copied(archive, copy)
        crashed(archive, number, "ledger")
        try:
            archive.run(ledger=SIGNED)
        except StoreError as error:
            assert "what: ledger" in error.remedy
            refused.append(number)
        rebuilt(archive, "ledger")
        assert facts_told(archive) == facts(archive)
        assert {kind for kind, _ in found(archive)} <= {"ledger_tail"}
    assert refused
    goes_on(archive, servers)


def test_hashes_alone(archive: Archive, servers: FakeServers) -> None:
    hashes = (archive.root / HASHES).read_bytes()
    (archive.root / HASHES).write_bytes(hashes[:64])
    before = copy_of(archive)
    for number in range(1, crashed(archive, 0, "ledger") + 1):
        copied(archive, before)
        crashed(archive, number, "ledger")
        assert (archive.root / HASHES).read_bytes() in (hashes, hashes[:64])
        rebuilt(archive, "ledger")
        assert (archive.root / HASHES).read_bytes() == hashes
        assert found(archive) == []
    goes_on(archive, servers)


def test_everything_is_durable_before_the_next_step(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def telling(real: t.Callable[..., t.Any], words: t.Callable[..., str]) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **more: t.Any) -> t.Any:
            result = real(*args, **more)
            done.append(words(*args))
            return result

        return call

    def synced(_store: Store, files: t.Any = None) -> str:
        return f"sync {' '.join(sorted(files.directories))}"

    written(archive, lines(archive)[:-1])
    watched: list[tuple[t.Any, str, t.Callable[..., str]]] = [
        (rebuild_catalog, "sync_path", lambda path: f"sync {Path(path).name}"),
        (rebuild_catalog.rebuild_aside.os, "link", lambda old, _new: f"link {Path(old).name}"),
        (Path, "unlink", lambda path, **_: f"unlink {path.name}"),
        (Path, "replace", lambda old, _new: f"replace {old.name}"),
        (Store, "sync", synced),
        (UntoldCatalog, "begin_replacing", lambda _: "begin"),
        (UntoldCatalog, "take_ledger", lambda *_: "commit"),
    ]
    for owner, name, words in watched:
        monkeypatch.setattr(owner, name, telling(getattr(owner, name), words))
    rebuilt(archive, "ledger")
    first = ["sync entries.tmp", "sync hashes.tmp", "begin", "link entries", "link hashes", "sync evidence"]
    checkpoint = ["link checkpoint", "sync evidence", "unlink checkpoint", "sync evidence"]
    assert done[: done.index("commit") + 1] == [
        *first,
        *checkpoint,
        "replace entries.tmp",
        "replace hashes.tmp",
        "sync evidence",
        "commit",
    ]
