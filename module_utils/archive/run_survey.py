# SPDX-License-Identifier: GPL-3.0-or-later
"""The first phase of a run: one login and one look at all folders per mailbox, many mailboxes at a time, to find what changed."""

from __future__ import annotations

import threading
import time
import typing as t
from collections import Counter, defaultdict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

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

# How long a stop may wait to be seen.
STOP_LOOK_SECONDS = 1.0
# How long the looks that are under way may take to end when a stop was asked for.
LEAVE_SECONDS = 2.0


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
        error = self.refusal(mailbox)
        if error is not None:
            raise BlockedError(f"mailbox {mailbox.name} on {mailbox.server.name}", f"not tried: {error.cause}", error.remedy)

    def refusal(self, mailbox: Mailbox) -> ArchiveToolError | None:
        """Why the mailbox is not tried: what its server, or it, said before."""
        return self.of_server(mailbox) or self.refused.get(_credential_key(mailbox))

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


Look = t.Callable[[Imap, Mailbox, t.Any], Surveyed]


def look(imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
    """Which folders of a mailbox are selected, and their status."""
    folders, statuses = imap.survey(connection)
    rules = mailbox.profile.folders
    selection = select_folders(folders, rules.include, rules.exclude, rules.defaults)
    missing = StatusFailed("the server gave no STATUS for it")
    mailbox.listed = folders
    chosen = [(folder, statuses.get(folder.name, missing)) for folder in selection.selected]
    return Surveyed(mailbox, chosen, selection.excluded)


class Survey:
    """A look at many mailboxes in the background, with as many connections to each server as are allowed.

    Every server has threads of its own, so one that does not answer delays no other. ``total``: connections to all servers
    together, 0 for no limit. ``tries``: how often a mailbox is begun when its connection breaks.

    ``close`` waits for the looks that are under way, ``leave`` does not. Context manager.
    """

    def __init__(
        self, imap: Imap, gate: Gate, mailboxes: t.Sequence[Mailbox], total: int = 0, look: Look = look, tries: int = 2
    ) -> None:
        self._slots = Slots(total) if total else None
        self._imap = replace(imap, open=self._slots.over(imap.open)) if self._slots else imap
        self._gate = gate
        self._look = look
        self._tries = tries
        self._left = Counter(mailbox.server.name for mailbox in mailboxes)
        self._done: SimpleQueue[tuple[str, Future[Surveyed]]] = SimpleQueue()
        self._waiting: dict[str, deque[Mailbox]] = defaultdict(deque)
        for mailbox in mailboxes:
            self._waiting[mailbox.server.name].append(mailbox)
        limits = {mailbox.server.name: min(mailbox.limit, self._left[mailbox.server.name]) for mailbox in mailboxes}
        # Not those of a ThreadPoolExecutor: Python would not end before they do.
        self._threads = [
            threading.Thread(target=self._serve, args=(name,), name=f"survey {name}", daemon=True)
            for name, limit in limits.items()
            for _connection in range(limit)
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self, server: str) -> None:
        """Look at the mailboxes of a server, one after the other."""
        waiting = self._waiting[server]
        while waiting:
            try:
                mailbox = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            future: Future[Surveyed] = Future()
            try:
                future.set_result(self._attempt(mailbox, self._tries))
            except Exception as error:  # noqa: BLE001 - ``take`` raises it
                future.set_exception(error)
            self._done.put((server, future))

    @property
    def pending(self) -> int:
        """How many mailboxes ``take`` has not returned yet."""
        return self._left.total()

    def pending_on(self, server: str) -> int:
        """How many of them are on one server."""
        return self._left[server]

    def spare(self) -> int | None:
        """How many connections others may have meanwhile, None for all they like: what the survey does without from now on.

        One stays for those who have not been looked at yet.
        """
        return self._slots.cede() if self._slots and self.pending else None

    def take(self, seconds: float) -> Surveyed | None:
        """One mailbox that was looked at; None when there is none within ``seconds``."""
        try:
            name, future = self._done.get(timeout=seconds) if seconds > 0 else self._done.get_nowait()
        except Empty:
            return None
        self._left[name] -= 1
        return future.result()

    def all(self, stopped: t.Callable[[], bool]) -> t.Iterator[Surveyed]:
        """Every mailbox, as soon as it was looked at, until a stop is asked for."""
        while self.pending and not stopped():
            found = self.take(STOP_LOOK_SECONDS)
            if found is not None:
                yield found

    def close(self) -> None:
        """Begin nothing more."""
        self._clear()
        for thread in self._threads:
            thread.join()

    def leave(self) -> None:
        """Begin nothing more, and leave those who wait for a silent server alone: a stop was asked for."""
        self._clear()
        end = time.monotonic() + LEAVE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._threads.clear()

    def _clear(self) -> None:
        for waiting in self._waiting.values():
            waiting.clear()

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _attempt(self, mailbox: Mailbox, tries: int) -> Surveyed:
        try:
            connection = self._gate.open(self._imap, mailbox)
        except ArchiveToolError as error:
            return Surveyed(mailbox, error=error)
        try:
            return self._look(self._imap, mailbox, connection)
        except (NetworkError, ProtocolError) as error:
            failure: ArchiveToolError = error
        except ArchiveToolError as error:
            return Surveyed(mailbox, error=error)
        finally:
            connection.close()
            if self._slots:
                self._slots.give()
        # Kerio hosts are known to drop a connection now and then while folders are checked.
        return Surveyed(mailbox, error=failure) if tries <= 1 else self._attempt(mailbox, tries - 1)


class Slots:
    """The right to be connected, so many at a time; taken late, or those who wait for one silent server would have all of it."""

    def __init__(self, total: int) -> None:
        self._free = threading.Semaphore(total)
        self._total = total
        self._ceded = 0

    def over(self, opens: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """``opens`` in turn; who gets a connection gives the right back."""

        def opens_in_turn(*args: t.Any) -> t.Any:
            self._free.acquire()
            try:
                return opens(*args)
            except BaseException:
                self._free.release()
                raise

        return opens_in_turn

    def give(self) -> None:
        """Give the right back."""
        self._free.release()

    def cede(self) -> int:
        """Do without what nobody has at the moment, but for one; return how many that makes."""
        while self._ceded < self._total - 1 and self._free.acquire(blocking=False):
            self._ceded += 1
        return self._ceded
