# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker process: its own IMAP connection; fetch, hash, compress, write the object. It decides nothing about placements."""

from __future__ import annotations

import ctypes
import os
import signal
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker_filter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_proof import DeletionProver
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_protocol import Delete, DeleteAnswer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Decision, Filing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import STAGING, flag_letters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.process_memory import rare_collections
from ansible_collections.mailops.kerio.plugins.module_utils.archive.staging import Staged
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Stored
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_delete import Deleter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import (
    PARCEL_BYTES,
    PARCEL_MESSAGES,
    PARCELS_AHEAD,
    Access,
    Answer,
    Committed,
    Examine,
    Fetch,
    FetchEnded,
    Halt,
    Halted,
    HangUp,
    HungUp,
    Item,
    Order,
    Parcel,
    Quit,
    Rate,
    TaskFailed,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    NetworkError,
    ProtocolError,
    StoreError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap import connection as imap_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap import folder_size as imap_folder_size
from ansible_collections.mailops.kerio.plugins.module_utils.imap import folders as imap_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap import headers as imap_headers
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace

_PR_SET_PDEATHSIG = 1
LISTEN_SECONDS = 0.5
# So long a folder that was examined is fetched from at once; while it is open, no server may change its UIDVALIDITY.
EXAMINED_SECONDS = 2.0
# What is not in a parcel yet must not be much older than the last commit: a sweep looks no further back.
PARCEL_SECONDS = 60.0


@dataclass(frozen=True)
class Imap:
    """The functions through which the engine speaks IMAP; tests put their own in."""

    open: t.Callable[..., t.Any] = imap_connection.open_connection
    survey: t.Callable[..., t.Any] = imap_folders.survey
    examine: t.Callable[..., t.Any] = imap_fetch.examine
    search_uids: t.Callable[..., t.Any] = imap_fetch.search_uids
    fetch: t.Callable[..., t.Any] = imap_fetch.fetch
    sizes: t.Callable[..., t.Any] = imap_fetch.sizes
    folder_sizes: t.Callable[..., t.Any] = imap_folder_size.folder_sizes
    listing: t.Callable[..., t.Any] = imap_fetch.listing
    headers: t.Callable[..., t.Any] = imap_headers.headers


class Pipe(t.Protocol):
    """The end of a pipe that the worker holds."""

    def send(self, message: t.Any, /) -> None: ...
    def recv(self) -> t.Any: ...
    def poll(self) -> bool: ...


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, so that no worker writes on while a next run begins."""
    libc = ctypes.CDLL(None, use_errno=True)
    prctl = getattr(libc, "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


class Worker:
    """Serves orders from ``pipe`` until Quit or the end of the pipe.

    ``began``: when the run did (epoch seconds); files that changed since may be half written, and that is no damage.
    """

    def __init__(
        self, pipe: Pipe, root: str, imap: Imap, checkpoint: t.Callable[[str], None], began: float | None = None
    ) -> None:
        self._pipe = pipe
        self._root = root
        self._imap = imap
        self._checkpoint = checkpoint
        self._began = began
        self._store: Store | None = None
        self._prover: DeletionProver | None = None
        self._connection: t.Any = None
        self._access: Access | None = None
        self._examined: tuple[Folder, int] | None = None
        self._examined_at = 0.0
        self._ahead = 0
        self._halted = False
        self._pace: Pace | None = None
        self._listened = 0.0
        self._parcel = Parcel()
        self._parcel_began = 0.0
        self._delivered: set[int] = set()

    @rare_collections()
    def serve(self) -> None:
        """Work until told to stop."""
        tasks: dict[type, t.Callable[[t.Any], None]] = {Examine: self._examine, Fetch: self._fetch, Delete: self._delete}
        try:
            while True:
                order: Order = self._pipe.recv()
                if isinstance(order, Quit):
                    return
                if isinstance(order, (Committed, Halt, Rate)):
                    self._hear(order)
                elif isinstance(order, HangUp):
                    self._hang_up()
                    self._send(HungUp())
                else:
                    self._attempt(tasks[type(order)], order)
        except EOFError:
            return
        finally:
            self._hang_up()
            if self._store is not None:
                self._store.close()
            if self._prover is not None:
                self._prover.close()

    def _attempt(self, task: t.Callable[[t.Any], None], order: Examine | Fetch | Delete) -> None:
        self._delivered = set()
        self._halted = False
        opened = False
        try:
            self._connect(order.access)
            opened = True
            task(order)
        except ArchiveToolError as error:
            if len(self._parcel):
                self._deliver()
            if not opened or isinstance(error, (NetworkError, ProtocolError, StoreError)):
                self._hang_up()
            uids = order.uids if isinstance(order, Fetch) else ()
            self._send(TaskFailed(error, opened, [uid for uid in uids if uid not in self._delivered]))

    def _connect(self, access: Access) -> None:
        if self._access == access:
            return
        self._hang_up()
        self._connection = self._imap.open(access.endpoint, access.credentials)
        self._access = access

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._access, self._examined = None, None, None

    def _examine(self, order: Examine) -> None:
        self._examined = None
        examined = worker_filter.examined(self._imap, self._connection, order)
        self._examined, self._examined_at = (order.folder, examined.status.uidvalidity), time.monotonic()
        self._send(examined)

    def _open_folder(self, order: Fetch) -> None:
        """Open what is to be fetched from, and check that UIDs still mean what they did."""
        examined, self._examined = self._examined, None
        if examined == (order.folder, order.uidvalidity) and time.monotonic() - self._examined_at < EXAMINED_SECONDS:
            return
        status = self._imap.examine(self._connection, order.folder)
        if status.uidvalidity != order.uidvalidity:
            raise ProtocolError(
                f"folder {order.folder.name}",
                f"its UIDVALIDITY changed from {order.uidvalidity} to {status.uidvalidity} while it was read",
                "Run again; the folder is read anew then",
            )

    def _fetch(self, order: Fetch) -> None:
        self._open_folder(order)
        self._parcel = Parcel()
        # One order for each message: who dies on one has delivered all before it, and is known not to have begun the next.
        for uids in [[uid] for uid in order.uids] if order.careful else [order.uids]:
            self._fetch_some(order, uids)
            if self._halted:
                self._send(Halted())
                return
        self._send(FetchEnded())

    def _fetch_some(self, order: Fetch, uids: t.Sequence[int]) -> None:
        self._pace = Pace(order.rate) if order.rate else None
        limits: dict[str, t.Any] = {"batch_messages": 1, "depth": 1} if order.careful else {}
        if self._pace is not None:
            limits["pace"] = self._pace
        self._parcel_began = self._listened = time.monotonic()
        messages = worker_filter.passing(self._imap, self._connection, order, uids, staging=self._staging, **limits)
        for message in messages:
            self._take(message, order.filing)
            if self._full():
                self._deliver()
            if self._told_to_halt():
                messages.close()
                self._hang_up()  # answers are still under way
                break
        if len(self._parcel):
            self._deliver()

    def _full(self) -> bool:
        if len(self._parcel) >= PARCEL_MESSAGES or self._parcel.bytes >= PARCEL_BYTES:
            return True
        return len(self._parcel) > 0 and time.monotonic() - self._parcel_began >= PARCEL_SECONDS

    def _told_to_halt(self) -> bool:
        """Listen now and then, because to ask costs as much as a small message."""
        if not self._halted and time.monotonic() - self._listened >= LISTEN_SECONDS:
            self._listened = time.monotonic()
            while self._pipe.poll():
                self._hear(self._pipe.recv())
        return self._halted

    def _hear(self, order: Order) -> None:
        if isinstance(order, Quit):
            raise EOFError
        if isinstance(order, Halt):
            self._halted = True
        elif isinstance(order, Rate):
            if self._pace is not None:
                self._pace.rate = order.bytes
        else:
            self._ahead -= 1

    def _take(self, message: t.Any, filing: Filing) -> None:
        parcel = self._parcel
        if isinstance(message, imap_fetch.Fetched):
            parcel.items.append(self._stored(message, filing))
            parcel.bytes += message.size
            if message.problems:
                parcel.notes += [(message.uid, problem) for problem in message.problems]
        elif isinstance(message, Item):
            parcel.items.append(message)
        elif isinstance(message, imap_fetch.Failed):
            parcel.failed.append((message.uid, message.text))
        else:
            parcel.gone.append(message.uid)

    def _stored(self, message: imap_fetch.Fetched, filing: Filing) -> Item:
        body = message.body
        streamed = isinstance(body, imap_fetch.StreamedBody)
        try:
            decision = filing.decide(worker_filter.header(body) if filing.needs_header else b"")
            stored = self._put(message, decision)
        finally:
            if streamed:
                t.cast("imap_fetch.StreamedBody", body).sink.close()
        return Item(message.uid, message.size, message.internaldate, flag_letters(message.flags), stored, decision)

    def _put(self, message: imap_fetch.Fetched, decision: Decision) -> Stored | None:
        """Store what is archived; a message that stays on the server alone leaves no bytes here."""
        if decision.state is not State.ARCHIVED:
            return None
        store = self._opened_store()
        if isinstance(message.body, imap_fetch.StreamedBody):
            stored = store.put_stream(message.body.chunks(), message.size, message.internaldate)
        else:
            stored = store.put(message.body, message.internaldate)
        self._checkpoint("stored")
        return stored

    def _opened_store(self) -> Store:
        if self._store is None:
            self._store = Store.open(self._root, began=self._began)
        return self._store

    def _staging(self, _size: int) -> Staged:
        return Staged(f"{self._root}/{STAGING}")

    def _deliver(self) -> None:
        """Hand the parcel over, and wait while the committer is two parcels behind."""
        parcel, self._parcel = self._parcel, Parcel()
        if self._store is not None:
            parcel.written = self._store.take_written()
            parcel.damaged, self._store.damaged[:] = list(self._store.damaged), []
        self._delivered.update(item.uid for item in parcel.items)
        self._delivered.update(uid for uid, _reason in parcel.failed)
        self._delivered.update(parcel.gone)
        self._send(parcel)
        self._ahead += 1
        self._parcel_began = time.monotonic()
        while self._ahead >= PARCELS_AHEAD:
            self._hear(self._pipe.recv())

    def _delete(self, order: Delete) -> None:
        self._examined = None
        if self._prover is None:
            self._prover = DeletionProver.of(self._root)
        Deleter(self._connection, order, self._prover, self._send, self._send_and_wait, self._checkpoint).run()

    def _send_and_wait(self, answer: DeleteAnswer) -> None:
        """Send it, and return when it is in the catalog."""
        self._send(answer)
        while not isinstance(order := self._pipe.recv(), Committed):
            if isinstance(order, Quit):
                raise EOFError

    def _send(self, answer: Answer | HungUp | DeleteAnswer) -> None:
        self._pipe.send(answer)
