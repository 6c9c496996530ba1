# SPDX-License-Identifier: GPL-3.0-or-later
"""The bandwidth of a server: how it is divided, and what comes through together, in virtual time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server, parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Hand
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_rates import Rates
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Access, Fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from tests.faults.imap_server import ImapServer
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers, mail

LIMIT = 6_000_000
SERVER = Server("mail1", "mail1", 993, bandwidth=LIMIT)
OTHER = Server("mail2", "mail2", 993)
ORDER = Fetch(
    Access(Endpoint("mail1", 993), Credentials("alice", "not-a-secret")),
    Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True),
    1,
    [1],
    None,  # type: ignore[arg-type]  # nothing is filed here
)


class Connections:
    """Connections that fetch from a server, each with its pace, on one clock."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.hands = [Hand(pid, multiprocessing.Pipe()[0]) for pid in range(1, count + 1)]
        self.server: dict[Hand, Server] = {}
        self.paces: dict[Hand, Pace] = {}
        self.ready: dict[Hand, float] = {}
        self.rates = Rates(self.server.get, self.tell)

    def tell(self, hand: Hand, rate: int) -> None:
        self.paces[hand].rate = rate

    def begin(self, hand: Hand, server: Server = SERVER) -> int:
        order = self.rates.paced(hand, ORDER, server, self.hands)
        self.server[hand] = server
        self.ready[hand] = self.now
        if order.rate:
            self.paces[hand] = Pace(order.rate, lambda: self.now, lambda seconds: self.ready.update({hand: self.now + seconds}))
        return order.rate

    def end(self, hand: Hand) -> None:
        del self.server[hand]
        self.rates.divide(self.hands)

    def receive(self, seconds: float) -> float:
        """Let everybody receive what the pace allows; bytes per second of all together."""
        end, total, began = self.now + seconds, 0, self.now
        while self.now < end:
            for hand in self.server:
                if self.ready[hand] <= self.now:
                    pace = self.paces[hand]
                    total += pace.bite
                    pace.took(pace.bite)
            self.now = max(self.now + 0.0005, min(self.ready[hand] for hand in self.server))
        return total / (self.now - began)


def test_all_connections_together_keep_the_limit_within_a_tenth_whoever_comes_and_goes() -> None:
    crowd = Connections(4)
    for fetching in range(1, 5):
        crowd.begin(crowd.hands[fetching - 1])
        assert crowd.receive(20) == pytest.approx(LIMIT, rel=0.1)
    for hand in crowd.hands[:3]:
        crowd.end(hand)
        assert crowd.receive(20) == pytest.approx(LIMIT, rel=0.1)


def test_a_server_without_a_limit_is_left_alone() -> None:
    crowd = Connections(3)
    assert crowd.begin(crowd.hands[0], OTHER) == 0
    assert crowd.begin(crowd.hands[1]) == LIMIT
    assert crowd.begin(crowd.hands[2]) == LIMIT // 2
    assert crowd.paces[crowd.hands[1]].rate == LIMIT // 2


def test_the_rate_reaches_the_connection_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers write down what their pace is given; no time is measured."""
    log = tmp_path / "paces"

    class Noted(Pace):
        def __init__(self, rate: int) -> None:
            super().__init__(rate, sleep=lambda _seconds: None)
            self._note(f"rate {rate}")

        def took(self, count: int) -> None:
            self._note(f"took {count}")

        def _note(self, text: str) -> None:
            with log.open("a", encoding="utf-8") as file:
                file.write(text + "\n")

    monkeypatch.setattr(worker, "Pace", Noted)
    archive = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    single = {"name": "one", "method": "single_mailbox", "mailbox": "alice@example.com", "target_user": "alice@example.com"}
    with ImapServer() as imap:
        imap.state.folder("alice@example.com").add(*(mail(number, body="x" * 1000) for number in range(50)))
        servers = parse_servers([{"name": "mail1", "host": "127.0.0.1", "port": imap.port, "access": "IMAP", "bandwidth": "20M"}])
        options = Options(
            str(archive.root), servers, parse_profiles([single], servers), Secrets({}, {"one": imap.password}), processes=2
        )
        report = Run(options, Silent()).go()
    assert (report.accounts().new, report.problems()) == (50, [])
    noted = log.read_text(encoding="utf-8").split()
    rates = {int(value) for word, value in zip(noted[::2], noted[1::2], strict=True) if word == "rate"}
    assert rates <= {servers["mail1"].bandwidth, servers["mail1"].bandwidth // 2} and rates
    took = sum(int(value) for word, value in zip(noted[::2], noted[1::2], strict=True) if word == "took")
    assert took > 50 * 1000
