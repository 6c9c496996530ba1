# SPDX-License-Identifier: GPL-3.0-or-later
"""The first phase of a run: one login and one look at all folders per mailbox, many mailboxes at a time, to find what changed."""

from __future__ import annotations

import threading
import typing as t
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    ImapError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus, StatusFailed, select_folders


class BlockedError(ArchiveToolError):
    """A mailbox is not tried, because its server has refused these credentials or cannot be reached."""

    kind = "blocked"


@dataclass
class Gate:
    """What servers said to logins in this run. A server that refused is not asked again; one out of reach is reported once.

    The first login on a server goes alone: with a wrong password, eight at a time would look like an attack. ``told`` are servers
    that refused the master password before this run: whoever has another password may try.
    """

    told: t.Mapping[str, ArchiveToolError] = field(default_factory=dict)
    refused: dict[str, ArchiveToolError] = field(default_factory=dict)
    _proven: set[str] = field(default_factory=set)
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def check(self, mailbox: Mailbox) -> None:
        """Raise ``BlockedError`` when the mailbox must not be tried."""
        error = self.of_server(mailbox) or self.refused.get(_credential_key(mailbox))
        if error is not None:
            raise BlockedError(f"mailbox {mailbox.name} on {mailbox.server.name}", f"not tried: {error.cause}", error.remedy)

    def of_server(self, mailbox: Mailbox) -> ArchiveToolError | None:
        """What keeps this mailbox and others like it on the server from being opened."""
        told = self.told.get(mailbox.server.name) if mailbox.access.credentials.master else None
        return told or self.refused.get(mailbox.server.name)

    def note(self, mailbox: Mailbox, error: ArchiveToolError) -> bool:
        """Remember a failed login; return whether it concerns more than this mailbox."""
        if isinstance(error, LoginRefusedError):
            master = mailbox.access.credentials.master and error.details.get("stage") != "X-SETUSER"
            self.refused.setdefault(_credential_key(mailbox), error)
            if master:
                self.refused.setdefault(mailbox.server.name, error)
            return master
        if isinstance(error, ImapError):
            return False
        self.refused.setdefault(mailbox.server.name, error)
        return True

    def open(self, imap: Imap, mailbox: Mailbox) -> t.Any:
        """Log in; raises what the server answered, or ``BlockedError``."""
        self.check(mailbox)
        name = mailbox.server.name
        if name in self._proven:
            return self._attempt(imap, mailbox, again=True)
        with self._locks[name]:
            self.check(mailbox)
            connection = self._attempt(imap, mailbox, again=name in self._proven)
            self._proven.add(name)
            return connection

    def _attempt(self, imap: Imap, mailbox: Mailbox, again: bool, last: bool = False) -> t.Any:
        try:
            return imap.open(mailbox.access.endpoint, mailbox.access.credentials)
        except LoginRefusedError as error:
            self.note(mailbox, error)
            raise
        except ArchiveToolError as error:
            # A connection that is dropped before the password is asked for has cost no attempt.
            if not last and (again or error.details.get("stage") == "X-MASTERAUTH"):
                return self._attempt(imap, mailbox, again, last=True)
            self.note(mailbox, error)
            raise


def _credential_key(mailbox: Mailbox) -> str:
    return f"{mailbox.server.name}\0{mailbox.access.credentials.user}"


@dataclass
class Surveyed:
    """What a mailbox holds: the selected folders with their status, or the error that it gave."""

    mailbox: Mailbox
    folders: list[tuple[Folder, FolderStatus | StatusFailed]] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    error: ArchiveToolError | None = None


def survey(imap: Imap, gate: Gate, mailboxes: t.Sequence[Mailbox], stopped: t.Callable[[], bool]) -> t.Iterator[Surveyed]:
    """Look at all mailboxes, with as many connections to each server as are allowed; yields them as they are done."""
    by_server: dict[str, list[Mailbox]] = defaultdict(list)
    for mailbox in mailboxes:
        by_server[mailbox.server.name].append(mailbox)
    pools = {name: ThreadPoolExecutor(group[0].limit, thread_name_prefix=f"survey {name}") for name, group in by_server.items()}
    try:
        waiting: list[Future[Surveyed]] = [
            pools[mailbox.server.name].submit(_look, imap, gate, mailbox) for group in by_server.values() for mailbox in group
        ]
        for done in as_completed(waiting):
            yield done.result()
            if stopped():
                return
    finally:
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)


def _look(imap: Imap, gate: Gate, mailbox: Mailbox, tries: int = 2) -> Surveyed:
    try:
        connection = gate.open(imap, mailbox)
    except ArchiveToolError as error:
        return Surveyed(mailbox, error=error)
    try:
        return look(imap, mailbox, connection)
    except (NetworkError, ProtocolError) as error:
        # Kerio hosts are known to drop a connection now and then while folders are checked.
        return Surveyed(mailbox, error=error) if tries <= 1 else _look(imap, gate, mailbox, tries - 1)
    except ArchiveToolError as error:
        return Surveyed(mailbox, error=error)
    finally:
        connection.close()


def look(imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
    """Which folders of a mailbox are selected, and their status."""
    folders, statuses = imap.survey(connection)
    rules = mailbox.profile.folders
    selection = select_folders(folders, rules.include, rules.exclude, rules.defaults)
    missing = StatusFailed("the server gave no STATUS for it")
    chosen = [(folder, statuses.get(folder.name, missing)) for folder in selection.selected]
    return Surveyed(mailbox, chosen, selection.excluded)
