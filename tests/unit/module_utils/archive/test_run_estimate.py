# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode estimate: what is due, and how the sample is taken; against a stand-in, and against a server over sockets."""

from __future__ import annotations

import itertools
import random
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, run_estimate, run_table
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import Space
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.sampling import Sample
from tests.faults.imap_server import CAPABILITIES, ImapServer
from tests.unit.module_utils.archive.engine_fake import MASTER, MULTIPLE, OTHER, Archive, FakeServers, mail, multidrop

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"
SINGLE = {"name": "one", "method": "single_mailbox", "mailbox": ALICE, "target_user": ALICE}


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.user(BOB)
    made.profiles = [MULTIPLE, multidrop(credentials="master")]
    servers.folder("mail1", ALICE).add(*(mail(number, body="x" * 100 * number) for number in range(20)))
    servers.folder("mail1", ALICE, "Old").add(mail(100))
    servers.folder("mail1", BOB).add(mail(200))
    servers.folder("mail1", JOURNAL).add(mail(300), mail(301))
    return made


def estimate(archive: Archive) -> run_estimate.Estimate:
    made = run_estimate.Estimate(archive.options(processes=2), Silent(), archive.servers.imap())
    before = archive.dump()
    made.go()
    assert archive.dump() == before
    return made


def due(archive: Archive) -> int:
    """The bytes of all messages that a run fetches."""
    return sum(mailbox.bytes for profile in archive.run().profiles for mailbox in profile.mailboxes)


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_a_first_import_is_estimated_to_the_byte(archive: Archive, servers: FakeServers, tells_sizes: bool) -> None:
    servers.tells_sizes = tells_sizes
    found = estimate(archive)
    data = run_estimate.as_data(found)["estimate"]
    assert bool(servers.commands("SIZES")) != tells_sizes
    assert [(profile["name"], profile["messages"]) for profile in data["profiles"]] == [("all mailboxes", 22), ("journal", 2)]
    assert {one["mailbox"]: one["messages"] for one in data["profiles"][0]["mailboxes"]} == {ALICE: 21, BOB: 1}
    (server,) = data["servers"]
    assert (server["name"], server["messages"], server["connections"]) == ("mail1", 24, 2)
    assert server["sample"]["messages"] > 0 < server["messages_per_second"]
    assert data["reading_seconds"] is not None
    assert data["seconds"] is None
    assert data["bytes"] == due(archive)
    assert data["inodes"] >= 24
    assert found.report.warnings == []
    sentence = run_estimate.sentence(found)
    assert sentence.startswith("24 messages, ")
    assert "reading alone takes about 1 s, writing comes on top and is known after a run that archived 1,000 messages" in sentence


def test_only_what_is_due_is_estimated(archive: Archive, servers: FakeServers) -> None:
    archive.run()
    nothing = estimate(archive)
    assert run_estimate.as_data(nothing)["estimate"]["messages"] == 0
    assert run_estimate.sentence(nothing) == "0 messages, 0 bytes, would be archived from 3 mailboxes"
    servers.folder("mail1", BOB).add(mail(201, body="y" * 5000))
    data = run_estimate.as_data(estimate(archive))["estimate"]
    assert (data["messages"], data["bytes"]) == (1, due(archive))


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (Space(2 << 30, None), None),
        (Space(1 << 30, None), "are free beside the reserve"),
        (Space(2 << 30, 10_000), "inodes there, 10,000 are free"),
        (Space(2 << 30, 1_000_000), None),
    ],
)
def test_too_little_room_is_told(archive: Archive, monkeypatch: pytest.MonkeyPatch, free: Space, words: str | None) -> None:
    monkeypatch.setattr(filesystem, "space", lambda _path: free)
    made = run_estimate.Estimate(archive.options(reserve=1 << 30), Silent(), archive.servers.imap())
    made.go()
    if words is None:
        assert made.report.warnings == []
    else:
        (warning,) = made.report.warnings
        assert words in warning


def test_a_mailbox_that_does_not_open_is_a_problem_and_the_rest_is_estimated(archive: Archive) -> None:
    archive.user("carol@example.com")
    found = estimate(archive)
    assert [problem.where for problem in found.report.problems()] == ["mail1 carol@example.com"]
    assert run_estimate.as_data(found)["estimate"]["messages"] == 24


def test_the_other_master_password_serves_the_sample_too(archive: Archive, servers: FakeServers) -> None:
    archive.master, archive.other = OTHER, {"mail1": MASTER}
    found = estimate(archive)
    assert run_estimate.as_data(found)["estimate"]["servers"][0]["sample"]["messages"] > 0
    assert len(servers.commands("WRONG")) == 1


def test_time_is_that_of_the_slowest_server_or_of_all_over_the_workers() -> None:
    options = Options("/archive", {}, [], processes=4)
    found = run_estimate.Estimate(options, Silent(), FakeServers(Path("/dev/null")).imap())
    rate = Sample(messages=10, bytes=1000, messages_per_second=100, bytes_per_second=10_000, seconds=0.1)
    found.servers = [
        run_estimate.ServerEstimate("a", 1000, 1000, 4, rate),
        run_estimate.ServerEstimate("b", 100, 200_000, 2, rate),
    ]
    assert [server.seconds for server in found.servers] == [10, 20]
    assert found.reading == 20
    found.servers.append(run_estimate.ServerEstimate("c", 5000, 1000, 4, rate))
    assert found.reading == (10 * 4 + 20 * 2 + 50 * 4) / 4
    found.servers.append(run_estimate.ServerEstimate("silent", 1, 1, 1, Sample()))
    assert found.reading is None


def run_of(*profiles: dict[str, t.Any]) -> Run:
    return Run(1, 0, 1, "ok", {"profiles": list(profiles)})


def test_the_whole_time_is_that_of_earlier_runs_that_archived_much_and_no_less_than_reading() -> None:
    found = run_estimate.Estimate(Options("/archive", {}, []), Silent(), FakeServers(Path("/dev/null")).imap())
    much = {"new": 900, "copies": 300, "bytes": 1_200_000, "seconds": 4.0}
    hourly = {"new": 20, "copies": 0, "bytes": 20_000, "seconds": 30.0}
    stopped = {"new": 2800, "bytes": 2_800_000, "seconds": 12.0}
    died = Run(9, 0, None, "", {"profiles": ["all mailboxes"], "mailbox": ""})
    failed = Run(8, 0, 1, "failed", {"message": "the disk is full"})
    found.earlier = run_estimate.Earlier.of([died, run_of(much, hourly), run_of(hourly), failed, run_of(stopped), run_of()])
    assert found.earlier == run_estimate.Earlier(4000, 4_000_000, 16.0)
    fast = Sample(messages=10, bytes=1000, messages_per_second=100_000, bytes_per_second=1e9, seconds=0.1)
    found.servers = [run_estimate.ServerEstimate("a", 8000, 1000, 1, fast)]
    assert found.seconds == 32
    found.servers = [run_estimate.ServerEstimate("a", 1, 40_000_000, 1, fast)]
    assert found.seconds == 160
    slow = Sample(messages=10, bytes=1000, messages_per_second=1, bytes_per_second=1e9, seconds=10)
    found.servers = [run_estimate.ServerEstimate("a", 8000, 1000, 1, slow)]
    assert found.seconds == 8000
    found.servers = [run_estimate.ServerEstimate("silent", 8000, 1000, 1, Sample())]
    assert found.seconds == 32


def test_runs_that_archived_little_say_nothing() -> None:
    assert run_estimate.Earlier.of([run_of({"new": 999, "bytes": 1, "seconds": 1.0})]).seconds_for(1, 1) is None


def test_after_a_large_run_the_estimate_is_of_the_whole_time(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_estimate, "TELLING_MESSAGES", 20)
    archive.run()
    servers.folder("mail1", BOB).add(mail(201))
    found = estimate(archive)
    assert found.earlier.messages == 22  # those of the mailboxes; two of the archive mailbox say nothing
    assert run_estimate.as_data(found)["estimate"]["seconds"] is not None
    assert "at the rate of earlier runs (22 messages in " in run_estimate.sentence(found)
    one = run_estimate.Estimate(archive.options(mailbox=ALICE), Silent(), archive.servers.imap())
    one.go()
    assert run_estimate.sentence(one) == "0 messages, 0 bytes, would be archived from 1 mailbox"


def test_without_archive_users_an_estimate_is_a_problem_and_no_zero(archive: Archive, tmp_path: Path) -> None:
    archive.root = tmp_path / "none"
    found = run_estimate.Estimate(archive.options(), Silent(), archive.servers.imap())
    found.go()
    assert [problem.where for problem in found.report.problems()] == ["profile all mailboxes", "profile journal"]
    assert "Synchronise the users first" in run_estimate.sentence(found)


def test_the_sample_is_spread_over_the_folder_in_runs() -> None:
    uids = list(range(1, 100_001))
    chosen = run_estimate.spread(uids, 1500)
    assert len(chosen) == 1500
    assert (chosen[0], chosen[-1]) == (1, 100_000)
    assert sum(1 for one, other in itertools.pairwise(chosen) if other == one + 1) >= 1400
    assert run_estimate.spread([3, 5], 1500) == (3, 5)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1 byte"), (999, "999 bytes"), (1500, "1.5 kB"), (98_200_000_000, "98.2 GB"), (5e15, "5,000 TB")]
)
def test_sizes_for_people(value: float, text: str) -> None:
    assert run_table.size_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.2, "1 s"), (119, "119 s"), (3000, "50 min"), (12_000, "3 h 20 min"), (260_000, "3.0 days")]
)
def test_times_for_people(value: float, text: str) -> None:
    assert run_table.time_text(value) == text


@pytest.mark.parametrize("status_size", [True, False])
def test_over_sockets_nothing_is_written_and_large_messages_go_nowhere(tmp_path: Path, status_size: bool) -> None:
    numbers = random.Random(1)
    capabilities = (*CAPABILITIES, "STATUS=SIZE") if status_size else CAPABILITIES
    with ImapServer(capabilities=capabilities) as server:
        server.state.folder(ALICE).add(*(b"Subject: x\r\n\r\n" + b"text \r\n" * 200 for _ in range(300)))
        server.state.folder(ALICE).add(b"Subject: large\r\n\r\n" + numbers.randbytes(6_000_000))
        servers = parse_servers([{"name": "mail1", "host": "127.0.0.1", "port": server.port, "access": "IMAP", "connections": 2}])
        options = Options(
            str(tmp_path / "none"), servers, parse_profiles([SINGLE], servers), Secrets({}, {"one": server.password}), processes=2
        )
        made = run_estimate.Estimate(options, Silent())
        made.go()
        data = run_estimate.as_data(made)["estimate"]
        verbs = server.verbs()
    assert data["bytes"] == 300 * (14 + 1400) + 18 + 6_000_000
    assert (data["messages"], data["servers"][0]["sample"]["messages"]) == (301, 301)
    assert data["servers"][0]["connections"] == 2
    assert 0.9 < data["ratio"] < 1.3  # the text shrinks to a block each, the noise does not shrink
    assert not {"UID STORE", "SELECT", "EXPUNGE"} & set(verbs)
    assert list(tmp_path.iterdir()) == []


def test_the_bandwidth_of_a_server_holds_for_the_sample(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measure(_imap: object, _parts: object, bandwidth: int) -> Sample:
        asked.append(bandwidth)
        return Sample()

    monkeypatch.setattr(run_estimate, "measure", measure)
    options = archive.options()
    limited = parse_servers([{"name": "mail1", "bandwidth": "5M"}])
    run_estimate.Estimate(
        Options(options.root, limited, options.profiles, options.secrets), Silent(), archive.servers.imap()
    ).go()
    assert asked == [limited["mail1"].bandwidth] != [0]
