# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the catalog: opening, format, transactions, errors."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

_Found = t.TypeVar("_Found")
BUSY_MILLISECONDS = 60_000
_BUSY_PAUSE = 0.005  # seconds
RESTORE = "Restore the catalog from a backup, or have archive_rebuild make it anew"
_MOST_VALUES = 500  # in one statement; every SQLite takes 999
_REMEDIES = {
    sqlite3.SQLITE_FULL: "Make room on that file system, then run again: what was committed is untouched",
    sqlite3.SQLITE_BUSY: "Find the program that holds a transaction open for more than a minute (fuser), and end it",
    sqlite3.SQLITE_READONLY: "Give the user that runs archiving the right to write the catalog and its directory",
    sqlite3.SQLITE_CANTOPEN: "Make room if that file system is full; else give this user the right to read and write there",
    sqlite3.SQLITE_CORRUPT: RESTORE,
    sqlite3.SQLITE_NOTADB: RESTORE,
    sqlite3.SQLITE_IOERR: "Check the disk and the kernel log",
}
_PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA cache_size = -65536", "PRAGMA wal_autocheckpoint = 4000")


def catalog_failure(error: sqlite3.Error, path: str) -> CatalogError:
    """The CatalogError for what SQLite said."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return CatalogError(
        path, str(error), _REMEDIES.get(code, "Check the disk, and the catalog with PRAGMA integrity_check of sqlite3"), code=code
    )


def in_parts(values: t.Iterable[_Found]) -> t.Iterator[list[_Found]]:
    """The values, as many at a time as one statement takes."""
    left = iter(values)
    while some := list(itertools.islice(left, _MOST_VALUES)):
        yield some


def marks(values: t.Sized) -> str:
    """A question mark for each of the values."""
    return ",".join("?" * len(values))


class Database:
    """One connection per process and thread; open it after fork. Every error of SQLite comes as CatalogError."""

    def __init__(self, path: str, *, readonly: bool = False, create: bool = True) -> None:
        self.path = path
        self._pid = os.getpid()
        self._seen: os.stat_result | None = None
        self._connect("ro" if readonly else "rwc" if create else "rw")

    def _connect(self, mode: str) -> None:
        uri = f"{Path(self.path).absolute().as_uri()}?mode={mode}"
        self._seen = self._at_rest() if mode == "ro" else None
        if self._seen is not None:
            # SQLite would make a WAL beside it all the same, and who only reads must leave no trace.
            uri += "&immutable=1"
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_MILLISECONDS / 1000)
        except sqlite3.Error as error:
            raise catalog_failure(error, self.path) from error
        try:
            with self._errors():
                self._prepare(readonly=mode == "ro", create=mode == "rwc")
        except CatalogError:
            self._db.close()
            raise

    def _at_rest(self) -> os.stat_result | None:
        """The file's facts when nobody has it open to write, None when somebody has, or when it is not there."""
        try:
            return None if Path(f"{self.path}-wal").exists() else Path(self.path).stat()
        except OSError:
            return None

    def _as_opened(self) -> bool:
        """Whether nobody wrote since the catalog was opened as a file that does not change."""
        if self._seen is None:
            return True
        now = self._at_rest()
        seen = self._seen
        return now is not None and (now.st_mtime_ns, now.st_size, now.st_ino) == (seen.st_mtime_ns, seen.st_size, seen.st_ino)

    def _refresh(self) -> None:
        """Open the catalog again when it is not as it was opened."""
        if not self._as_opened():
            # Closed last: while the new one fails, who has a transaction in the old one can still end it.
            old = self._db
            self._connect("ro")
            old.close()

    def _prepare(self, *, readonly: bool, create: bool) -> None:
        if not readonly:
            # Before the first statement: an empty file becomes WAL at once, so that a reader never sees another mode.
            self._become_wal()
            self._db.execute("PRAGMA synchronous = FULL")
        for pragma in _PRAGMAS:
            self._db.execute(pragma)
        if create:
            self._create_tables()
        if not readonly:
            self._migrate()
        self._check_version()

    def _become_wal(self) -> None:
        """Change the journal mode; SQLite does not wait by itself when another process is about to write the new file."""
        late = time.monotonic() + BUSY_MILLISECONDS / 1000
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > late:
                    raise
                time.sleep(_BUSY_PAUSE)

    def _create_tables(self) -> None:
        if self._version() or self._tables():
            return
        with self.transaction():
            if self._tables():  # another process was faster
                return
            for statement in schema.TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {schema.USER_VERSION}")

    def _migrate(self) -> None:
        """Make a catalog of an older version one of today, in one transaction per step."""
        if int(self._db.execute("PRAGMA application_id").fetchone()[0]) != schema.APPLICATION_ID:
            return
        while (version := self._version()) in schema.MIGRATIONS:
            with self.transaction():
                if self._version() == version:  # no other process was faster
                    for statement in ";".join(schema.MIGRATIONS[version]).split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {version + 1}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _tables(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    def _check_version(self) -> None:
        version = self._version()
        application = int(self._db.execute("PRAGMA application_id").fetchone()[0])
        if version in schema.MIGRATIONS and application == schema.APPLICATION_ID:
            raise CatalogError(
                self.path,
                f"an older release wrote it (version {version}), and who only reads cannot bring it up to date",
                "Run archive_run or archive_users once, not in check mode",
            )
        if version != schema.USER_VERSION or application != schema.APPLICATION_ID:
            raise CatalogError(
                self.path,
                f"it is no catalog of version {schema.USER_VERSION} (application {application:#x}, version {version})",
                "Use the release of this project that wrote it, or give the root of an archive",
            )

    @contextlib.contextmanager
    def _errors(self) -> t.Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise catalog_failure(error, self.path) from error

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> t.Iterator[None]:
        """All or nothing; keep it short, there is one writer at a time. An error of any kind rolls back.

        Not ``durable``: it becomes so with the next one that is, because the WAL is one sequence. For rows that mean nothing
        until others refer to them.
        """
        with self._errors():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[t.Any]:
        """All rows of a query."""
        found: list[t.Any] = self._asked(statement, values, sqlite3.Cursor.fetchall)
        return found

    def rows_among(self, query: str, values: t.Iterable[t.Any], before: t.Sequence[t.Any] = ()) -> t.Iterator[t.Any]:
        """The rows of a query that ends in ``IN ({})``, for any number of values; ``before``: those that stand before them."""
        for some in in_parts(values):
            yield from self.rows(query.format(marks(some)), (*before, *some))

    def row(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.Any:
        """The first row of a query, or None."""
        return self._asked(statement, values, sqlite3.Cursor.fetchone)

    def together(self, read: t.Callable[[], _Found]) -> _Found:
        """What ``read`` makes of several queries, all of one state; called again when the catalog was opened again meanwhile."""
        if self._db.in_transaction:
            return read()
        while True:
            self._refresh()
            view = self._db
            with self._errors():
                view.execute("BEGIN")
                try:
                    found = read()
                finally:
                    if self._db is view:
                        view.execute("ROLLBACK")
            if self._db is view:
                return found

    def _asked(self, statement: str, values: t.Sequence[t.Any], fetch: t.Callable[[sqlite3.Cursor], t.Any]) -> t.Any:
        """Ask again when somebody wrote meanwhile: who reads a file that is not to change would see halves of it."""
        while True:
            self._refresh()
            try:
                with self._errors():
                    found = fetch(self._db.execute(statement, values))
            except CatalogError:
                if self._as_opened():
                    raise
                continue
            if self._as_opened():
                return found

    def get_meta(self, key: str) -> str | None:
        """A value of the table meta."""
        row = self.row("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value in the table meta."""
        with self.transaction():
            self.put_meta(key, value)

    def put_meta(self, key: str, value: str) -> None:
        """The same, but only within a transaction."""
        statement = "INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value"
        self._db.execute(statement, (key, value))

    def close(self) -> None:
        """Close the connection. In a forked child it only forgets it: closing there would drop the parent's locks."""
        if os.getpid() == self._pid:
            self._db.close()
