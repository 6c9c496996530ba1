# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive to damage and to repair, and what holds of every repair: no message that was whole somewhere is gone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import typing as t
from collections import Counter
from concurrent.futures import Executor, Future
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair import Repair, Repaired
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_plan import Asks
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held
from tests.unit.module_utils.archive.format_fixtures import BARE, CRLF


class Inline(Executor):
    """Takes the place of the processes that read, which are forked for every verification."""

    def __init__(self, *_: t.Any) -> None:
        super().__init__()

    def submit(self, work: t.Callable[..., t.Any], /, *args: t.Any, **more: t.Any) -> Future[t.Any]:
        done: Future[t.Any] = Future()
        done.set_result(work(*args, **more))
        return done


def whole(root: Path) -> dict[bytes, int]:
    """The messages that can be read out of any file below the root, with their sizes."""
    found: dict[bytes, int] = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and (inside := held(path)) is not None:
            found[inside.digest] = inside.size
    return found


def everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All files with inode, mode and content; the catalog by its rows, so that who opened it last does not matter."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(("catalog.sqlite3", "lock"))]
    return {str(path): (path.stat().st_ino, path.stat().st_mode, path.read_bytes()) for path in files}


def repaired(root: Path, *backups: Path, write: bool = True, reporter: Reporter | None = None, **asks: t.Any) -> Repaired:
    """Repair, and prove that nothing was lost by it."""
    before = whole(root)
    # What a rotten file decompresses to is no message. Any other one counts, also if nobody archived it.
    sizes = {hashlib.sha256(body).digest(): len(body) for body in (CRLF, BARE)}
    messages = {digest for digest, size in before.items() if size not in sizes.values() or digest in sizes}
    try:
        return Repair(str(root), [str(one) for one in backups], Asks(**asks), reporter or Silent(), write, processes=1).run()
    finally:
        assert messages <= whole(root).keys()


def copied(root: Path) -> Path:
    """A copy of the archive as it is."""
    path = root.with_name("backup")
    shutil.copytree(root, path, symlinks=True)
    return path


def waiting(root: Path) -> Counter[str]:
    """The events that wait for the ledger."""
    return Counter(entry["event"] for entry in entries(root))


def entries(root: Path) -> list[dict[str, t.Any]]:
    with contextlib.closing(sqlite3.connect(root / layout.CATALOG_FILE)) as db, db:
        found = [json.loads(row[0]) for row in db.execute("SELECT entry FROM evidence_waiting ORDER BY id")]
    db.close()
    return found


def repairs(root: Path) -> list[tuple[str, str, int]]:
    """What the ledger hears of objects that were repaired: what was done, digest, size."""
    return [(one["done"], one["digest"], one["size"]) for one in entries(root) if one["event"] == "repaired"]


def kinds(result: Repaired) -> set[str]:
    """What is left."""
    return {finding.kind for finding in result.left}
