# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases of the benchmark. In each the contestants run in turn, every run in a fresh directory, which stays to the end."""

from __future__ import annotations

import functools
import itertools
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench import peers
from tests.bench.big_catalog import fill_catalog
from tests.bench.engine import Task, make_archive, run
from tests.bench.figures import Result, Sample
from tests.bench.machine import clean_start
from tests.bench.peers import Source
from tests.bench.proxy import distant
from tests.bench.server import BIG, HALF, LONG, MESSAGES, SHARE, BenchServer
from tests.bench.verify_cost import decompressed, sha256sum, verify

ROUND_TRIP = 20.0  # milliseconds
LINE = 20.0  # MB/s for each connection
# Sixteen connections to a server of a thousand mailboxes; reading mail, more than one for each core wins nothing.
SURVEY_CONNECTIONS = 16
SMALL, LARGE = 10_000, 1_000_000

Contest = dict[str, t.Callable[[], Sample]]


@dataclass
class Bench:
    """What the cases share. ``folder`` is on the disk that is measured."""

    server: BenchServer
    folder: Path
    rounds: int
    _serial: t.Iterator[int] = field(default_factory=itertools.count)

    def fresh(self, name: str = "run") -> Path:
        """A path where nothing is yet."""
        return self.folder / f"{name}{next(self._serial)}"

    def contest(self, result: Result, contestants: Contest, *warm: str) -> None:
        """All contestants, one after the other, round after round; the mail in ``warm`` is in the server's cache."""
        for _ in range(self.rounds):
            for label, compete in contestants.items():
                clean_start(self.server.files(*warm))
                result.add(label, compete())

    def task(self, root: Path, mailbox: str, port: int = 0, *, tls: bool, connections: int) -> Task:
        """A run of the engine; ``port`` is that of a proxy, if there is one."""
        ca_file = str(self.server.ca_file) if tls else ""
        port = port or self.port(tls)
        return Task(str(root), port, self.server.password, mailbox, ca_file, connections)

    def first(self, mailbox: str, port: int = 0, *, tls: bool, connections: int) -> Sample:
        """The first archive of a mailbox, into a new archive."""
        root = self.fresh("engine")
        make_archive(root)
        return run(self.task(root, mailbox, port, tls=tls, connections=connections))

    def peer(self, work: t.Callable[[Path, Source], Sample], mailbox: str, *, tls: bool) -> Sample:
        """A peer on a mailbox, into a new directory."""
        return work(self.fresh(), self.source(mailbox, tls=tls))

    def source(self, mailbox: str, *, tls: bool) -> Source:
        """A mailbox as the peers are told of it."""
        ca_file = str(self.server.ca_file) if tls else ""
        return Source(self.port(tls), mailbox, self.server.password, MESSAGES[mailbox], ca_file)

    def port(self, tls: bool) -> int:
        """Where the server listens."""
        return self.server.tls_port if tls else self.server.port


def first_archive(bench: Bench) -> t.Iterator[Result]:
    """a: a first archive of 20,000 messages against mbsync and hoardy-mail, and of 1,000 against mailvault."""
    bench.server.mixed()
    for tls, ratio in ((False, 4.0), (True, 3.5)):
        over = "TLS" if tls else "plain"
        result = Result(f"First archive of {MESSAGES[BIG]:,} messages, {over}")
        engines = {
            f"engine, {count} connection{'s' if count > 1 else ''}": functools.partial(
                bench.first, BIG, tls=tls, connections=count
            )
            for count in (2, 1)
        }
        others = {work.__name__: functools.partial(bench.peer, work, BIG, tls=tls) for work in (peers.mbsync, peers.hoardy_mail)}
        bench.contest(result, {**engines, **others}, BIG)
        rates = {label: result.median(label).rate for label in result.runs}
        two, one = (rates[label] for label in engines)
        result.at_least("2 connections / mbsync", two / rates["mbsync"], ratio)
        result.at_least("2 connections / hoardy-mail", two / rates["hoardy_mail"], 3.0)
        result.at_least("1 connection / mbsync", one / rates["mbsync"], 2.5)
        yield result
    result = Result(f"First archive of {MESSAGES[SHARE]:,} messages, TLS")
    engine = functools.partial(bench.first, SHARE, tls=True, connections=2)
    bench.contest(result, {"engine": engine, "mailvault": lambda: bench.peer(peers.mailvault, SHARE, tls=True)}, SHARE)
    yield result


def distance(bench: Bench) -> t.Iterator[Result]:
    """b: the same through a proxy that adds a round-trip time, or limits each connection."""
    bench.server.mixed()
    result = Result(f"First archive of {MESSAGES[BIG]:,} messages through a proxy, 2 connections")
    for tls in (False, True):
        over = "TLS" if tls else "plain"
        with distant(bench.port(tls), 0) as near, distant(bench.port(tls), ROUND_TRIP) as far:
            both = {f"{over}, 0 ms": near, f"{over}, {ROUND_TRIP:g} ms": far}
            runs = {label: functools.partial(bench.first, BIG, port, tls=tls, connections=2) for label, port in both.items()}
            bench.contest(result, t.cast("Contest", runs), BIG)
        speeds = [result.median(label).rate for label in both]
        result.at_least(f"{over}, {ROUND_TRIP:g} ms / 0 ms", speeds[1] / speeds[0], 0.85)
    yield result
    result = Result(f"First archive of {MESSAGES[HALF]:,} messages, {LINE:g} MB/s for each connection")
    with distant(bench.server.port, ROUND_TRIP, LINE) as port:
        runs = {
            f"{count} connections": functools.partial(bench.first, HALF, port, tls=False, connections=count) for count in (1, 4)
        }
        bench.contest(result, t.cast("Contest", runs), HALF)
    one, four = (result.median(label).rate for label in runs)
    result.at_least("4 connections / 1 connection", four / one, 3.0)
    yield result


def unchanged(bench: Bench) -> t.Iterator[Result]:
    """c: nothing new, in one mailbox against mbsync, and in a thousand mailboxes."""
    bench.server.mixed()
    result = Result(f"{MESSAGES[BIG]:,} unchanged messages, TLS")
    archive, maildir, source = bench.fresh("engine"), bench.fresh(), bench.source(BIG, tls=True)
    make_archive(archive)
    task = bench.task(archive, BIG, tls=True, connections=2)
    run(task)
    peers.mbsync(maildir, source)
    bench.contest(result, {"engine": lambda: run(task), "mbsync": lambda: peers.mbsync(maildir, source)}, BIG)
    result.at_most("engine / mbsync", result.median("engine").seconds / result.median("mbsync").seconds, 0.1)
    yield result
    names = bench.server.many()
    archive = bench.fresh("engine")
    make_archive(archive, names)
    for _ in range(2):  # the first look at a copied mailbox has Dovecot write its index anew, which counts as a change
        run(bench.task(archive, "", tls=True, connections=SURVEY_CONNECTIONS))
    result = Result(f"{len(names):,} unchanged mailboxes of 10 folders, TLS, {SURVEY_CONNECTIONS} connections")
    with distant(bench.server.tls_port, ROUND_TRIP) as far:
        both = {"0 ms": 0, f"{ROUND_TRIP:g} ms": far}
        tasks = {label: bench.task(archive, "", port, tls=True, connections=SURVEY_CONNECTIONS) for label, port in both.items()}
        bench.contest(result, {label: functools.partial(run, task) for label, task in tasks.items()})
    for label, most in zip(both, (8.0, 15.0), strict=True):
        result.at_most(label, result.median(label).seconds, most, "s")
    yield result


def one_new(bench: Bench) -> t.Iterator[Result]:
    """d: one new message in a mailbox of 100,000."""
    bench.server.long()
    archive = bench.fresh("engine")
    make_archive(archive)
    task = bench.task(archive, LONG, tls=True, connections=2)
    run(task)

    def once() -> Sample:
        bench.server.add_short(LONG, 1)
        return run(task)

    result = Result("One new message in a mailbox of 100,000, TLS")
    bench.contest(result, {"engine": once}, LONG)
    result.at_most("from the start of the run to its end", result.median("engine").seconds, 0.5, "s")
    yield result


def large_catalog(bench: Bench) -> t.Iterator[Result]:
    """e: what a message costs when the catalog is large."""
    bench.server.mixed()

    def at(rows: int) -> Sample:
        root = bench.fresh("engine")
        make_archive(root)
        fill_catalog(root, HALF, rows)
        clean_start(bench.server.files(HALF))
        return run(bench.task(root, HALF, tls=False, connections=2))

    result = Result(f"First archive of {MESSAGES[HALF]:,} messages, plain, the user has so many already")
    sizes = {f"{rows:,}": functools.partial(at, rows) for rows in (SMALL, LARGE)}
    bench.contest(result, t.cast("Contest", sizes))
    small, large = (result.median(label) for label in sizes)
    result.at_most(f"seconds at {LARGE:,} / {SMALL:,}", large.seconds / small.seconds, 1.2)
    result.at_most(f"CPU at {LARGE:,} / {SMALL:,}", large.cpu / small.cpu, 1.2)
    yield result


def verification(bench: Bench) -> t.Iterator[Result]:
    """f: a full verification against sha256sum."""
    bench.server.mixed()
    archive = bench.fresh("engine")
    make_archive(archive)
    run(bench.task(archive, BIG, tls=False, connections=2))
    plain = decompressed(archive, bench.fresh("plain"))
    result = Result(f"Reading {MESSAGES[BIG]:,} archived messages again, all cores")
    bench.contest(result, {"verify": lambda: verify(archive), "sha256sum": lambda: sha256sum(plain)})
    result.at_least("verify / sha256sum", result.median("verify").rate / result.median("sha256sum").rate, 0.6)
    yield result


def ledger(bench: Bench) -> t.Iterator[Result]:
    """g: what the ledger costs, checkpoints signed."""
    bench.server.mixed()

    def first(*, kept: bool) -> Sample:
        root = bench.fresh("engine")
        make_archive(root)
        return run(replace(bench.task(root, BIG, tls=False, connections=2), ledger=kept))

    result = Result(f"First archive of {MESSAGES[BIG]:,} messages, plain, with the ledger and without one")
    contest = {"ledger": functools.partial(first, kept=True), "none": functools.partial(first, kept=False)}
    bench.contest(result, t.cast("Contest", contest), BIG)
    kept, none = result.median("ledger"), result.median("none")
    result.at_most("seconds with / without", kept.seconds / none.seconds, 1.03)
    result.at_most("CPU with / without", kept.cpu / none.cpu, 1.03)
    yield result


CASES: dict[str, t.Callable[[Bench], t.Iterator[Result]]] = {
    "first": first_archive,
    "distance": distance,
    "unchanged": unchanged,
    "new": one_new,
    "catalog": large_catalog,
    "verify": verification,
    "ledger": ledger,
}
