# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker in this process: parcels, how far it may run ahead, and what it says when things break."""

from __future__ import annotations

import os
import signal
import typing as t
from collections import deque
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker as worker_module
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MailboxFiling
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_growth import Growth
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Died, WorkerPool
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap, Worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import (
    Access,
    Committed,
    Examine,
    Examined,
    Fetch,
    FetchEnded,
    Halt,
    Halted,
    Parcel,
    Quit,
    TaskFailed,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import LoginRefusedError, NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from tests.unit.module_utils.archive.engine_fake import MASTER, FakeServers, mail

ALICE = "alice@example.com"
INBOX = Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True, "inbox")
SENT = Folder("Sent", b"Sent", frozenset(), "/", ("Sent",), True)
ACCESS = Access(Endpoint("mail1", 993), Credentials(ALICE, MASTER, master=True))
FILING = MailboxFiling(1, ALICE, ("INBOX",))


class Script:
    """A pipe whose other end answers by itself: orders in turn, and ``Committed`` whenever the worker waits for one."""

    def __init__(self, *orders: t.Any) -> None:
        self.orders = deque(orders)
        self.said: list[t.Any] = []
        self.ahead = 0
        self.most_ahead = 0

    def send(self, answer: t.Any) -> None:
        self.said.append(answer)
        if isinstance(answer, Parcel):
            self.ahead += 1
            self.most_ahead = max(self.most_ahead, self.ahead)

    def recv(self) -> t.Any:
        if self.ahead:
            self.ahead -= 1
            return Committed()
        if not self.orders:
            raise EOFError
        return self.orders.popleft()

    def poll(self) -> bool:
        return bool(self.orders) and isinstance(self.orders[0], Halt)


@pytest.fixture
def servers(tmp_path: Path) -> FakeServers:
    Store.create(str(tmp_path / "archive")).close()
    return FakeServers(tmp_path / "imap.log")


def work(servers: FakeServers, *orders: t.Any) -> Script:
    script = Script(*orders, Quit())
    Worker(script, str(servers.log.parent / "archive"), servers.imap(), lambda _name: None).serve()
    return script


def fetch(*uids: int, **more: t.Any) -> Fetch:
    return Fetch(ACCESS, INBOX, more.pop("uidvalidity", 1), uids, FILING, **more)


def test_one_login_serves_examine_and_fetch(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    examined, parcel, ended = work(servers, Examine(ACCESS, INBOX), fetch(1, 2)).said
    assert isinstance(examined, Examined)
    assert examined.uids == [1, 2]
    assert [item.uid for item in parcel.items] == [1, 2]
    assert parcel.bytes == len(mail(1)) + len(mail(2))
    assert parcel.written.files
    assert isinstance(ended, FetchEnded)
    assert len(servers.commands("LOGIN")) == 1


def test_a_folder_that_was_just_examined_is_fetched_from_at_once(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    work(servers, Examine(ACCESS, INBOX), fetch(1), fetch(2))
    assert len(servers.commands("EXAMINE")) == 2


@pytest.mark.parametrize("between", [Examine(ACCESS, SENT), fetch(1, uidvalidity=2)])
def test_another_folder_or_uidvalidity_is_opened_before_it_is_fetched_from(servers: FakeServers, between: t.Any) -> None:
    for name in ("INBOX", "Sent"):
        servers.folder("mail1", ALICE, name).add(mail(1))
    said = work(servers, Examine(ACCESS, INBOX), between, fetch(1)).said
    assert isinstance(said[-1], FetchEnded)
    assert len(servers.commands("EXAMINE")) == 3


def test_what_was_examined_long_ago_is_opened_again(servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "EXAMINED_SECONDS", 0.0)
    servers.folder("mail1", ALICE).add(mail(1))
    work(servers, Examine(ACCESS, INBOX), fetch(1))
    assert len(servers.commands("EXAMINE")) == 2


def test_a_worker_is_never_more_than_two_parcels_ahead(servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "PARCEL_MESSAGES", 1)
    servers.folder("mail1", ALICE).add(*map(mail, range(9)))
    script = work(servers, fetch(*range(1, 10)))
    assert len([said for said in script.said if isinstance(said, Parcel)]) == 9
    assert script.most_ahead == 2


def test_a_parcel_is_bounded_by_bytes(servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "PARCEL_BYTES", 10)
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    assert len(work(servers, fetch(1, 2)).said) == 3


def test_what_was_stored_before_the_connection_broke_is_delivered(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, breaks={3}).add(*map(mail, range(4)))
    parcel, failed = work(servers, fetch(1, 2, 3, 4)).said
    assert [item.uid for item in parcel.items] == [1, 2]
    assert isinstance(failed, TaskFailed)
    assert isinstance(failed.error, NetworkError)
    assert failed.opened
    assert failed.remaining == [3, 4]


def test_after_a_broken_connection_the_worker_logs_in_again(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, breaks={1}).add(mail(1), mail(2))
    work(servers, fetch(1), fetch(2))
    assert len(servers.commands("LOGIN")) == 2


def test_a_changed_uidvalidity_stores_nothing(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    (failed,) = work(servers, fetch(1, uidvalidity=9)).said
    assert isinstance(failed.error, ProtocolError)
    assert "UIDVALIDITY" in str(failed.error)
    assert not servers.commands("FETCH")


def test_a_refused_login_is_told_as_such(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE)
    servers.refuses_master.add("mail1")
    (failed,) = work(servers, fetch(1)).said
    assert isinstance(failed.error, LoginRefusedError)
    assert not failed.opened


def test_a_dead_worker_is_replaced_and_said_how_it_died(tmp_path: Path) -> None:
    def die(_endpoint: Endpoint, _credentials: Credentials) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pool = WorkerPool.start(Growth(2, 2), str(tmp_path), Imap(open=die), lambda _name: None)
    try:
        pool.grow()
        pool.grow()
        for count in (1, 2, 3):
            hand = pool.hands[0]
            pool.order(hand, Examine(ACCESS, INBOX))
            assert pool.receive(60) == [(hand, Died("signal 9"))]
            assert hand not in pool.hands
            assert (len(pool.hands), pool.deaths) == (2, count)
    finally:
        pool.close()
    assert not pool.hands


def test_a_new_worker_has_no_descriptor_that_was_opened_after_the_pool(tmp_path: Path) -> None:
    def die_or_tell(endpoint: Endpoint, _credentials: Credentials) -> None:
        if endpoint.host == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        raise NetworkError("descriptors", " ".join(map(str, links)), "none")

    pool = WorkerPool.start(Growth(1, 1), str(tmp_path), Imap(open=die_or_tell), lambda _name: None)
    pool.grow()
    try:
        with (tmp_path / "catalog").open("w"):
            pool.order(pool.hands[0], Examine(Access(Endpoint("die", 1), ACCESS.credentials), INBOX))
            pool.receive(60)
            pool.order(pool.hands[0], Examine(ACCESS, INBOX))
            ((_, told),) = pool.receive(60)
    finally:
        pool.close()
    assert isinstance(told, TaskFailed)
    assert str(tmp_path) not in str(told.error)


def test_a_careful_worker_delivers_every_message_before_it_begins_the_next(servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, breaks={3}).add(*map(mail, range(4)))
    one, two, failed = work(servers, fetch(1, 2, 3, 4, careful=True)).said
    assert [[item.uid for item in parcel.items] for parcel in (one, two)] == [[1], [2]]
    assert failed.remaining == [3, 4]


def test_a_worker_that_is_told_to_halt_delivers_what_it_has(servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LISTEN_SECONDS", 0.0)
    servers.folder("mail1", ALICE).add(*map(mail, range(9)))
    parcel, halted, again, ended = work(servers, fetch(*range(1, 10)), Halt(), fetch(*range(1, 10))).said
    assert [item.uid for item in parcel.items] == [1]
    assert isinstance(halted, Halted)
    assert len(again.items) == 9
    assert isinstance(ended, FetchEnded)
    assert len(servers.commands("LOGIN")) == 2


def test_closing_ends_workers_that_do_not_listen(tmp_path: Path) -> None:
    def hang(_endpoint: Endpoint, _credentials: Credentials) -> None:
        os.read(os.pipe()[0], 1)

    pool = WorkerPool.start(Growth(1, 1), str(tmp_path), Imap(open=hang), lambda _name: None)
    pid = pool.grow().pid
    pool.order(pool.hands[0], Examine(ACCESS, INBOX))
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
