# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode compare with sizes and with a sample of bytes."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import compare_bytes, compare_folder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Drawn, Lots, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from tests.unit.module_utils.archive.compare_scene import ALICE, BOB, compared, counts, folder, object_of, reasons, told
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeFolder, FakeServers, mail

BARE = b"Subject: bare\n\nline ends\n"
SIZES, EVERY = Wish(sizes=True), Wish(sample=100)


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    """Two mailboxes, archived; the last message of the first has line ends that IMAP counts twice."""
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.user(BOB)
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*map(mail, range(1, 5)), BARE)
    servers.folder("mail1", BOB).add(*map(mail, range(11, 15)))
    made.run()
    return made


@pytest.fixture
def inbox(servers: FakeServers) -> FakeFolder:
    return servers.folder("mail1", ALICE)


def fetched(servers: FakeServers, before: int = 9) -> list[str]:
    """What was fetched after the run that archived the nine messages."""
    return servers.commands("FETCH")[before:]


def test_nothing_is_fetched_unless_it_is_asked_for(archive: Archive, servers: FakeServers) -> None:
    compared(archive)
    assert (fetched(servers), servers.commands("SIZES")) == ([], [])


def test_a_sample_is_drawn_from_every_mailbox(archive: Archive, servers: FakeServers) -> None:
    made = compared(archive, Wish(sample=2))
    assert [line.split()[2] for line in sorted(fetched(servers))] == [ALICE] * 2 + [BOB] * 2
    assert (told(made)["messages_read"], folder(made)["messages_read"]) == (4, 2)
    assert made.report.problems() == []


def test_all_is_read_when_the_sample_is_larger_also_what_is_streamed(archive: Archive, servers: FakeServers) -> None:
    servers.stream_above = 10
    made = compared(archive, EVERY)
    assert told(made)["messages_read"] == len(set(fetched(servers))) == 9
    assert told(made)["bytes_read"] == sum(
        len(body) for each in servers.hosts["mail1"].values() for body in each["INBOX"].messages.values()
    )
    assert made.report.problems() == []


@pytest.mark.parametrize("stream_above", [10, 1 << 20])
def test_other_bytes_under_an_archived_uid_fail(
    archive: Archive, servers: FakeServers, inbox: FakeFolder, stream_above: int
) -> None:
    servers.stream_above = stream_above
    inbox.messages[2] = inbox.messages[2].replace(b"Text 2", b"Text X")
    assert compared(archive, SIZES).report.problems() == []
    made = compared(archive, EVERY)
    assert counts(folder(made)) == {"archived": 4, "different": 1}
    assert reasons(folder(made)) == [("different", compare_bytes.OTHER_BYTES, "2")]
    (problem,) = made.report.problems()
    assert problem.message.startswith("1 messages are not what was archived for them (UID 2: the server sends other bytes")


def test_a_damaged_object_fails_when_it_is_read(archive: Archive) -> None:
    path = object_of(archive, 3)
    content = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(content[:-4] + bytes(4))
    assert compared(archive).report.problems() == []
    ((kind, reason, uids),) = reasons(folder(compared(archive, EVERY)))
    assert (kind, uids) == ("missing", "3")
    assert reason.startswith("the object is damaged (")


def with_sizes(servers: FakeServers, tell: t.Callable[[dict[int, int]], dict[int, int]]) -> t.Any:
    """The stand-in, which tells other sizes."""
    return dataclasses.replace(servers.imap(), sizes=lambda conn, uids: tell(servers.sizes(conn, uids)))


def test_every_size_is_compared_with_that_of_the_bytes_or_of_their_crlf_form(archive: Archive, servers: FakeServers) -> None:
    for more in (0, BARE.count(b"\n")):
        made = compared(
            archive,
            SIZES,
            with_sizes(servers, lambda sizes, more=more: {**sizes, **({5: sizes[5] + more} if 5 in sizes else {})}),
        )
        assert (told(made)["sizes_compared"], told(made)["sizes_untold"]) == (9, 0)
        assert made.report.problems() == []
    assert fetched(servers) == []


def test_another_size_is_proven_by_the_bytes(archive: Archive, servers: FakeServers, inbox: FakeFolder) -> None:
    inbox.messages[2] += b"more\r\n"
    made = compared(archive, SIZES)
    assert counts(folder(made)) == {"archived": 4, "different": 1}
    assert reasons(folder(made)) == [("different", compare_bytes.OTHER_BYTES, "2")]
    assert fetched(servers) == [f"FETCH mail1 {ALICE} 2"]


def test_a_server_that_tells_a_wrong_size_is_warned_of_and_no_problem(archive: Archive, servers: FakeServers) -> None:
    wrong = with_sizes(servers, lambda sizes: {uid: size + (uid == 2) for uid, size in sizes.items()})
    made = compared(archive, SIZES, wrong)
    assert counts(folder(made)) == {"archived": 5}
    assert made.report.problems() == []
    assert [warning.partition(" INBOX: UID ")[2][:1] for warning in made.report.warnings] == ["2", "2"]


def test_of_many_other_sizes_some_are_read_and_the_rest_is_different(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_folder, "MOST_SUSPECTS", 2)
    made = compared(archive, SIZES, with_sizes(servers, lambda sizes: dict.fromkeys(sizes, 1)))
    assert reasons(folder(made)) == [("different", "the server tells another size than was archived", "3:5")]
    assert counts(folder(made)) == {"archived": 2, "different": 3}


def test_a_size_that_is_not_told_is_counted(archive: Archive, servers: FakeServers) -> None:
    made = compared(archive, SIZES, with_sizes(servers, lambda sizes: {uid: size for uid, size in sizes.items() if uid != 2}))
    assert (folder(made)["sizes_compared"], folder(made)["sizes_untold"]) == (4, 1)


@pytest.mark.parametrize(("wish", "different"), [(EVERY, 0), (SIZES, 1)])
def test_what_the_server_lists_but_does_not_give_is_noted(
    archive: Archive, servers: FakeServers, inbox: FakeFolder, wish: Wish, different: int
) -> None:
    inbox.bad = {2}
    imap = with_sizes(servers, lambda sizes: {uid: size + (uid == 2 and size < 110) for uid, size in sizes.items()})
    made = compared(archive, wish, imap)
    found = folder(made)
    assert found["notes"] == ["UID 2: the server lists it, but does not give it: NO internal error"]
    assert (found["archived"], found["different"]) == (5 - different, different)


def test_a_message_that_went_meanwhile_is_nobodys_fault(archive: Archive, inbox: FakeFolder) -> None:
    inbox.gone = {2}
    made = compared(archive, EVERY)
    assert (folder(made)["messages_read"], counts(folder(made))) == (4, {"archived": 5})


def test_a_message_that_breaks_the_connection_twice_costs_its_folder_alone(
    archive: Archive, servers: FakeServers, inbox: FakeFolder
) -> None:
    servers.folder("mail1", ALICE, "Old").add(mail(21))
    archive.run()
    inbox.breaks = {3}
    made = compared(archive, EVERY)
    assert [(problem.where, "connection reset" in problem.message) for problem in made.report.problems()] == [
        (f"mail1 {ALICE} INBOX", True)
    ]
    assert (folder(made)["messages_read"], folder(made, name="Old")["messages_read"]) == (2, 1)
    # That of the other folder in the run and now, that of this folder once, although the folder was begun twice.
    assert sum(line == f"FETCH mail1 {ALICE} 1" for line in fetched(servers)) == 3


def test_another_uidvalidity_between_the_look_and_the_fetch_is_noted(
    archive: Archive, servers: FakeServers, inbox: FakeFolder
) -> None:
    examine = servers.examine
    seen: list[str] = []

    def examined(conn: t.Any, folder: Folder) -> t.Any:
        seen.append(conn.name)
        if seen.count(f"mail1 {ALICE}") == 2:
            inbox.uidvalidity += 1
        return examine(conn, folder)

    made = compared(archive, EVERY, dataclasses.replace(servers.imap(), examine=examined))
    assert (folder(made)["notes"], folder(made)["messages_read"]) == ([compare_bytes.RENUMBERED], 0)


def test_the_bandwidth_of_a_server_holds_for_the_sample(archive: Archive, servers: FakeServers) -> None:
    rates: list[int] = []
    fetch = servers.fetch

    def paced(conn: t.Any, uids: t.Sequence[int], *, pace: t.Any, **more: t.Any) -> t.Any:
        rates.append(pace.rate)
        return fetch(conn, uids, **more)

    options = archive.options

    def limited(**more: t.Any) -> t.Any:
        made = options(**more)
        return dataclasses.replace(
            made, servers={name: dataclasses.replace(one, bandwidth=80_000) for name, one in made.servers.items()}
        )

    archive.options = limited  # type: ignore[method-assign]
    compared(archive, EVERY, dataclasses.replace(servers.imap(), fetch=paced))
    assert rates == [10_000, 10_000]  # eight connections


def drawn(uid: int) -> Drawn:
    return Drawn(Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True, None), 1, uid, b"", "archived")


def test_each_message_has_the_same_chance() -> None:
    times = dict.fromkeys(range(20), 0)
    for _round in range(2000):
        lots = Lots(4)
        for uid in times:
            lots.offer(lambda uid=uid: drawn(uid))
        assert len({one.uid for one in lots.drawn}) == 4
        for one in lots.drawn:
            times[one.uid] += 1
    # 400 are expected of each, and the standard deviation is 18.
    assert all(250 < count < 550 for count in times.values()), times


def test_what_was_drawn_before_stays_when_a_folder_is_compared_again() -> None:
    first = Lots(1)
    first.offer(lambda: drawn(1))
    second = Lots(1, first)
    for uid in range(2, 100):
        second.offer(lambda uid=uid: drawn(uid))
    assert [one.uid for one in first.drawn] == [1]
