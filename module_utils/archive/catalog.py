# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: all SQL."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    LeftReason,
    PlacementRow,
    Refused,
    Run,
    SourceFolder,
    StoredMessage,
    Totals,
    User,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State


class Catalog:
    """The open catalog. One connection per process and thread: open it after fork. Context manager."""

    @classmethod
    def open(cls, path: str, *, readonly: bool = False) -> Catalog:
        """Open (``<root>/catalog.sqlite3``), create tables in a new file; CatalogError for another format."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection."""
        raise NotImplementedError

    # users
    def users(self, *, deleted: bool = False) -> list[User]:
        """All archive users (``deleted``: leavers too)."""
        raise NotImplementedError

    def user_by_name(self, name: str) -> User | None:
        """The user of that name, leavers excluded."""
        raise NotImplementedError

    def user_by_address(self, address: str) -> User | None:
        """The user who has that address (any case), leavers excluded."""
        raise NotImplementedError

    def addresses(self) -> dict[str, int]:
        """Every address (lower case) -> user id; for filing."""
        raise NotImplementedError

    def ensure_user(self, name: str, *, origin: str) -> User:
        """Get or create a user without addresses (a declared target, ``@catchall``)."""
        raise NotImplementedError

    # source folders and messages
    def source_folder(self, server: str, mailbox: str, name: str) -> SourceFolder:
        """Get or create."""
        raise NotImplementedError

    def mailbox_folders(self, server: str, mailbox: str) -> dict[str, SourceFolder]:
        """Known folders of a mailbox by name."""
        raise NotImplementedError

    def routes(self, folder_id: int) -> frozenset[str]:
        """Where this source folder's mail was filed completely so far (written through ``Batch.routes``)."""
        raise NotImplementedError

    def states(self, folder_id: int, uidvalidity: int) -> dict[int, State]:
        """UID -> state."""
        raise NotImplementedError

    def messages(self, folder_id: int, uidvalidity: int, uids: t.Iterable[int]) -> dict[int, StoredMessage]:
        """Rows of some UIDs."""
        raise NotImplementedError

    def open_messages(self, folder_id: int) -> list[StoredMessage]:
        """Rows in the states excluded, left, failed, quarantined: cheap, has its own index."""
        raise NotImplementedError

    def open_folders(self) -> dict[int, dict[State, int]]:
        """folder_id -> number of open rows by state, for all folders at once: what may be due."""
        raise NotImplementedError

    def stored_messages(self, folder_id: int) -> t.Iterator[StoredMessage]:
        """Rows with a digest, in UID order: for filing a known folder by a new route from the store."""
        raise NotImplementedError

    def left_reasons(self) -> list[LeftReason]:
        """Open rows counted by folder, state and reason."""
        raise NotImplementedError

    # user folders and placements
    def user_folder(self, user_id: int, parts: t.Sequence[str]) -> UserFolder:
        """Get or create; no directory is made. ``parts`` may be empty (the user's top folder)."""
        raise NotImplementedError

    def user_folders(self, user_id: int) -> list[UserFolder]:
        """All folders of one user."""
        raise NotImplementedError

    def placement(self, folder_id: int, digest: bytes) -> PlacementRow | None:
        """The placement of that object in that folder."""
        raise NotImplementedError

    def placed(self, folder_id: int, digest: bytes) -> bool:
        """Whether the folder has that object."""
        raise NotImplementedError

    def copies(self, user_id: int, copy_key: bytes) -> list[PlacementRow]:
        """Candidates anywhere in the user's tree; prove with ``copykey.same_message`` on the re-read objects."""
        raise NotImplementedError

    # writing
    def commit(self, batches: t.Sequence[Batch]) -> list[Refused]:
        """ONE transaction for all of ``batches``; returns placements that were there already."""
        raise NotImplementedError

    def begin_run(self, about: dict[str, t.Any]) -> int:
        """A new run's id."""
        raise NotImplementedError

    def end_run(self, run_id: int, outcome: str, summary: dict[str, t.Any]) -> None:
        """Write how the run ended."""
        raise NotImplementedError

    def last_runs(self, count: int = 10) -> list[Run]:
        """The newest first."""
        raise NotImplementedError

    def totals(self) -> Totals:
        """Figures of the whole archive."""
        raise NotImplementedError

    def get_meta(self, key: str) -> str | None:
        """A value of the table meta."""
        raise NotImplementedError

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value in the table meta."""
        raise NotImplementedError
