# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections, windows and stops of a run; connections are counted by a server over sockets."""

from __future__ import annotations

import select
import ssl
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import Window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_estimate import Estimate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import STOPPED, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_test import Test
from tests.faults.imap_script import Chunk, Command, Signal, before, delay, hang
from tests.faults.imap_server import ImapServer
from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.unit.module_utils.archive.engine_fake import MASTER, MULTIPLE, Archive, FakeServers, mail, multidrop

USERS = tuple(f"user{number}@example.com" for number in range(6))
TWICE = {"name": "again", "method": "single_mailbox", "credentials": "master", "target_user": USERS[0], "servers": ["mail1"]}


class Crowd:
    """How many connections a server had at a time, at most; a client that has hung up does not count.

    LIST is answered when ``awaited`` connections were there at once, or late: on a busy machine a mailbox must not be done before
    the next connection is made.
    """

    def __init__(self, server: ImapServer, awaited: int) -> None:
        self.most = 0
        self._server = server
        self._awaited = awaited
        # Not at CONNECT: while another one is in its handshake, its socket looks as if it were closed.
        server.script.on("GREETING", before(self._count))
        server.script.on("LIST", self._hold)
        server.script.on("UID FETCH", delay(0.03))

    def _hold(self, command: Command) -> t.Iterator[Chunk]:
        late = time.monotonic() + 10
        while self.most < self._awaited and time.monotonic() < late:
            yield Signal(0.01)
        yield Signal(0.03)
        yield from command.ordinary()

    def _count(self, _command: Command) -> None:
        alive = 0
        for link in list(self._server._open.values()):
            if link.fileno() < 0:
                continue
            poll = select.poll()
            poll.register(link, select.POLLRDHUP)
            alive += not poll.poll(0)
        self.most = max(self.most, alive)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    for user in USERS:
        made.user(user, server="mail2" if user == USERS[-1] else "mail1")
    return made


def served(certificate: tuple[Path, Path]) -> ImapServer:
    """A server with mail for everybody, TLS from the first byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = ImapServer(tls=context)
    for user in USERS:
        server.state.folder(user).add(*(mail(number, user) for number in range(30)))
        server.state.folder(user, "Old").add(mail(99, user))
    return server


def options(
    archive: Archive,
    certificate: tuple[Path, Path],
    ports: dict[str, int],
    limits: dict[str, int],
    *,
    timeout: int = 60,
    **more: t.Any,
) -> Options:
    """Two profiles over the same mailboxes of these servers."""
    reach = {"host": "127.0.0.1", "ca_file": str(certificate[0]), "timeout": timeout}
    servers = parse_servers([{"name": name, "port": port, **reach, **limits} for name, port in ports.items()])
    raw = more.pop("profiles", [MULTIPLE, {**TWICE, "mailbox": USERS[1]}, {**TWICE, "name": "third", "mailbox": USERS[2]}])
    secrets = Secrets(dict.fromkeys(servers, MASTER))
    return Options(str(archive.root), servers, parse_profiles(raw, servers), secrets, processes=4, **more)


@pytest.mark.parametrize(
    ("server", "profile", "total", "most"), [(3, None, 0, 3), (8, 2, 0, 2), (8, None, 2, 2), (1, None, 0, 1), (8, None, 1, 1)]
)
@pytest.mark.parametrize("what", [Run, Preview, Estimate, Test])
def test_connections_are_never_more_than_allowed(
    archive: Archive,
    lab_certificate: tuple[Path, Path],
    server: int,
    profile: int | None,
    total: int,
    most: int,
    what: t.Callable[[Options, t.Any], t.Any],
) -> None:
    profiles = [
        {**MULTIPLE, "connections": profile, "servers": ["mail1"]},
        {**TWICE, "mailbox": USERS[1], "connections": profile},
    ]
    with served(lab_certificate) as imap:
        crowd = Crowd(imap, most)
        ports = {"mail1": imap.port}
        chosen = options(archive, lab_certificate, ports, {"connections": server}, profiles=profiles, connections=total)
        report = what(chosen, Silent()).go()
        if what is Run:
            imap.state.folder(USERS[1]).add(mail(500, USERS[1]), mail(501, USERS[1]))
            report = what(chosen, Silent()).go()
    assert report.problems() == []
    assert crowd.most == most


def test_the_total_counts_all_servers(archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    with served(lab_certificate) as imap:
        crowd = Crowd(imap, 2)
        ports = {"mail1": imap.port, "mail2": imap.port}  # one server under two names sees all connections
        profiles = [{**MULTIPLE, "servers": ["mail1", "mail2"]}]
        report = Run(options(archive, lab_certificate, ports, {}, profiles=profiles, connections=2), Silent()).go()
    assert (report.problems(), crowd.most) == ([], 2)
    assert report.accounts().new == 31 * len(USERS)


@pytest.mark.parametrize("total", [0, 2])
def test_a_silent_server_stalls_no_other(archive: Archive, lab_certificate: tuple[Path, Path], total: int) -> None:
    """mail1 says nothing until its time-out; mail2 is archived meanwhile: its last FETCH comes before mail1 is given up."""
    with ImapServer() as silent, served(lab_certificate) as imap:
        given_up: list[float] = []

        def silence(command: Command) -> t.Iterator[Chunk]:
            try:
                yield from hang(command)
            finally:
                given_up.append(time.monotonic())

        silent.script.on("CONNECT", silence)
        fetched: list[float] = []
        imap.script.on("UID FETCH", before(lambda _command: fetched.append(time.monotonic())))
        ports = {"mail1": silent.port, "mail2": imap.port}
        profiles = [{**MULTIPLE, "servers": ["mail1", "mail2"]}]
        chosen = options(archive, lab_certificate, ports, {}, timeout=3, profiles=profiles, connections=total)
        report = Run(chosen, Silent()).go()
    assert [problem.where for problem in report.problems()] == ["mail1"]
    assert report.accounts().new == 31
    assert fetched[-1] < given_up[0]


# Windows


@pytest.mark.parametrize(
    ("minutes", "minute", "expected"),
    [
        ((22 * 60, 6 * 60), 23 * 60, True),
        ((22 * 60, 6 * 60), 0, True),
        ((22 * 60, 6 * 60), 6 * 60 - 1, True),
        ((22 * 60, 6 * 60), 6 * 60, False),
        ((22 * 60, 6 * 60), 12 * 60, False),
        ((22 * 60, 6 * 60), 22 * 60, True),
        ((60, 120), 90, True),
        ((60, 120), 59, False),
        ((60, 120), 120, False),
        ((0, 1439), 1439, False),
    ],
)
def test_when_a_window_is_open(minutes: tuple[int, int], minute: int, expected: bool) -> None:
    assert window.is_open(Window(*minutes), minute) == expected


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The minute of the day, to be changed in place."""
    minute = [12 * 60]
    monkeypatch.setattr(window, "local_minute", lambda: minute[0])
    return minute


def filled(archive: Archive) -> Archive:
    archive.hosts = ["mail1", "mail2"]
    archive.profiles = [{**MULTIPLE, "window": "22:00-06:00"}, multidrop(credentials="master", servers=["mail1"])]
    for user in USERS:
        host = "mail2" if user == USERS[-1] else "mail1"
        archive.servers.folder(host, user).add(*(mail(number, user) for number in range(3)))
    archive.servers.folder("mail1", "archive@example.com").add(mail(900, USERS[0]))
    return archive


def test_the_local_time_of_the_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)  # 22:13 UTC
    for zone, minute in (("UTC", 22 * 60 + 13), ("Asia/Kolkata", 3 * 60 + 43)):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert window.local_minute() == minute if time.localtime().tm_year == 2023 else True
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("check", [True, False])
def test_outside_its_window_a_profile_waits_and_that_is_no_problem(archive: Archive, clock: list[int], check: bool) -> None:
    filled(archive)

    def go(**more: t.Any) -> RunReport:
        if check:
            return Preview(archive.options(**more), Silent(), archive.servers.imap()).go()
        return archive.run(**more)

    report = go()
    assert (report.problems(), report.outcome) == ([], "ok")
    assert [profile.outside for profile in report.profiles] == ["outside its window, next at 22:00", ""]
    assert (report.profiles[0].mailboxes, report.accounts().new) == ([], 1)
    assert "profile all mailboxes: outside its window, next at 22:00" in report.sentence()
    assert report.as_data()["profiles"][0]["outside_window"] == "outside its window, next at 22:00"
    assert go(mailbox=USERS[0]).profiles[0].accounts().seen == 3  # named, so now
    clock[0] = 22 * 60
    assert go().profiles[0].accounts().seen == 18


def test_who_names_a_profile_does_not_wait_for_its_window(archive: Archive, clock: list[int]) -> None:
    assert clock
    filled(archive)
    assert archive.run(only=["all mailboxes"]).accounts().new == 18


def test_a_window_that_closes_stops_its_profile_alone(archive: Archive, clock: list[int]) -> None:
    filled(archive)
    clock[0] = 23 * 60

    def close(name: str) -> None:
        if name == "committed":
            clock[0] = 6 * 60

    first = archive.run(close, processes=1)
    mailboxes, journal = first.profiles
    assert first.problems() == [] and not first.stopped
    assert journal.accounts().new == 1
    assert 0 < mailboxes.accounts().new < 18
    assert mailboxes.closed == "06:00"
    assert 0 < mailboxes.unfinished < 6
    assert f"its window closed at 06:00, {mailboxes.unfinished} mailboxes left for the next run" in first.sentence()
    clock[0] = 23 * 60
    second = archive.run()
    assert second.profiles[0].accounts().new + mailboxes.accounts().new == 18
    assert (second.profiles[0].unfinished, second.profiles[0].closed) == (0, "")


# Stops


class Stoppable(Silent):
    """Asks for a stop after so many commits."""

    def __init__(self, commits: int) -> None:
        self.commits = commits

    @property
    def stop_requested(self) -> bool:  # type: ignore[override]  # Silent has a constant
        return self.commits <= 0

    def at(self, name: str) -> None:
        self.commits -= name == "committed"


@pytest.mark.parametrize("commits", [0, 1, 3])
def test_a_stop_leaves_the_rest_for_the_next_run_and_is_no_problem(archive: Archive, commits: int) -> None:
    filled(archive).profiles = [{**MULTIPLE, "servers": ["mail1", "mail2"]}]
    asked = Stoppable(commits)
    report = Run(archive.options(processes=1), asked, archive.servers.imap(), asked.at).go()
    assert (report.outcome, report.problems()) == ("stopped", [])
    assert "stopped on request before the end" in report.sentence()
    archived = report.accounts().new
    assert archived < 18
    errors = [folder.error for profile in report.profiles for box in profile.mailboxes for folder in box.folders if folder.error]
    assert set(errors) <= {STOPPED}
    if commits:
        assert report.profiles[0].unfinished > 0
        assert f"{report.profiles[0].unfinished} mailboxes left for the next run" in report.sentence()
    rest = archive.run()
    assert rest.accounts().new == 18 - archived
    assert rest.problems() == []


def test_a_stop_tells_of_profiles_that_were_not_begun(archive: Archive) -> None:
    filled(archive).profiles = [{**MULTIPLE, "servers": ["mail1", "mail2"]}, multidrop(credentials="master")]
    asked = Stoppable(1)
    report = Run(archive.options(processes=1), asked, archive.servers.imap(), asked.at).go()
    assert [profile.name for profile in report.profiles] == [MULTIPLE["name"]]
    assert f"{report.profiles[0].unfinished} mailboxes and 1 profile left for the next run" in report.sentence()
