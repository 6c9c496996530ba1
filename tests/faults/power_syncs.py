# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sync of the archive's code by name, and how to leave one out of this process."""

from __future__ import annotations

import os
import sys
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_base, layout, store, store_sync


class Site(t.NamedTuple):
    """An fsync by the functions through which it is reached, innermost first. ``what`` is true of the path that is synced."""

    functions: tuple[str, ...]
    what: t.Callable[[Path], bool]


FSYNCS = {
    "a file, one by one": Site(("sync_path", "_sync_path"), Path.is_file),
    "a directory, one by one": Site(("sync_path", "_sync_path"), Path.is_dir),
    "a small file": Site(("write_durably",), Path.is_file),
    "the directory of a small file": Site(("sync_path", "write_durably"), Path.is_dir),
    "the directories of objects/": Site(("sync_path", "create"), lambda path: path.name == layout.OBJECTS),
    "the name of a new archive": Site(("sync_path", "create"), lambda path: path.name != layout.OBJECTS),
}
SYNCFS = "syncfs"
COMMIT = "a commit of the catalog"
SWEEP = "what the sweep removed"
NAMES = (*FSYNCS, SYNCFS, COMMIT, SWEEP)


def leave_out(name: str) -> None:
    """Take the sync of that name out; "" takes none."""
    if name in FSYNCS:
        os.fsync = t.cast("t.Any", _Sparing(os.fsync, FSYNCS[name]))
    elif name == SYNCFS:
        store_sync.ctypes = t.cast("t.Any", _NoSyncfs)
    elif name == COMMIT:
        catalog_base.Database.transaction = t.cast("t.Any", _lazy(catalog_base.Database.transaction))
    elif name == SWEEP:
        store.Store.sync = t.cast("t.Any", _not_for("recover", store.Store.sync))


class _Sparing:
    """fsync, but not at one site."""

    def __init__(self, real: t.Callable[[int], None], site: Site) -> None:
        self._real = real
        self._site = site

    def __call__(self, descriptor: int) -> None:
        frame: t.Any = sys._getframe(1)
        callers = []
        for _ in self._site.functions:
            callers.append(frame.f_code.co_name)
            frame = frame.f_back
        if tuple(callers) != self._site.functions or not self._site.what(Path(f"/proc/self/fd/{descriptor}").resolve()):
            self._real(descriptor)


class _NoSyncfs:
    """In the place of ctypes in store_sync: a system call that says that all is well."""

    @staticmethod
    def CDLL(*_arguments: t.Any, **_more: t.Any) -> t.Any:  # noqa: N802  its name there
        return type("Library", (), {"syncfs": staticmethod(lambda _descriptor: 0)})


def _lazy(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def transaction(database: t.Any, *, durable: bool = True) -> t.Any:  # noqa: ARG001  whatever is asked for
        return real(database, durable=False)

    return transaction


def _not_for(caller: str, real: t.Callable[..., None]) -> t.Callable[..., None]:
    def sync(*arguments: t.Any) -> None:
        if sys._getframe(1).f_code.co_name != caller:
            real(*arguments)

    return sync
