# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode compare: each class of UIDs comes from a real change of the server, the archive or the catalog."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from tests.unit.module_utils.archive.compare_scene import ALICE, BOB, JOURNAL, away, compared, counts, folder, object_of, reasons
from tests.unit.module_utils.archive.compare_scene import write as write_by_hand
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeFolder, FakeServers, mail, multidrop


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    """Five messages of a user in two folders, archived."""
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*map(mail, range(1, 5)))
    servers.folder("mail1", ALICE, "Old").add(mail(9))
    made.run()
    return made


@pytest.fixture
def inbox(servers: FakeServers) -> FakeFolder:
    return servers.folder("mail1", ALICE)


def test_what_is_archived_is_counted_and_nothing_else_is_told(archive: Archive) -> None:
    made = compared(archive)
    assert (counts(folder(made)), counts(folder(made, name="Old"))) == ({"archived": 4}, {"archived": 1})
    assert made.comparison.sentence() == "5 of 5 messages in 1 mailbox on the servers are in the archive"
    assert made.report.problems() == []
    (mailbox,) = made.comparison.as_data()["profiles"][0]["mailboxes"]
    assert (mailbox["folders"], mailbox["folders_compared"]) == ([], 2)


def append(_archive: Archive, inbox: FakeFolder) -> None:
    inbox.add(mail(5), mail(6))
    inbox.messages[9] = mail(7)


def renumber(_archive: Archive, inbox: FakeFolder) -> None:
    inbox.renumber()


def come_back(archive: Archive, inbox: FakeFolder) -> None:
    body = inbox.messages[2]
    inbox.expunge(2)
    archive.run()
    inbox.messages[2] = body


def exclude(archive: Archive, inbox: FakeFolder) -> None:
    archive.profiles = [{**MULTIPLE, "filter": {"larger_than": "1K"}}]
    inbox.add(mail(5), mail(6))
    archive.run()


def fail(archive: Archive, inbox: FakeFolder) -> None:
    inbox.add(mail(5))
    inbox.bad = {5}
    archive.run()


def quarantine(archive: Archive, inbox: FakeFolder) -> None:
    inbox.add(mail(5))
    inbox.bad = {5}
    archive.run(quarantine_after=1)


@pytest.mark.parametrize(
    ("change", "more", "why"),
    [
        (append, {"new": 3}, [("new", "", "5:6,9")]),
        (renumber, {"archived": -4, "other_uidvalidity": 4}, [("other_uidvalidity", "UIDVALIDITY 1", "1:4")]),
        (come_back, {"archived": -1, "back": 1}, [("back", "it was gone, and is there again", "2")]),
        (exclude, {"excluded": 2}, [("excluded", "filter: not larger than 1024 bytes", "5:6")]),
        (fail, {"failed": 1}, [("failed", "NO internal error", "5")]),
        (quarantine, {"quarantined": 1}, [("quarantined", "NO internal error", "5")]),
    ],
)
def test_what_is_not_archived_is_told_with_its_reason_and_is_no_problem(
    archive: Archive, inbox: FakeFolder, change: t.Callable[..., None], more: dict[str, int], why: list[tuple[str, str, str]]
) -> None:
    change(archive, inbox)
    made = compared(archive)
    expected = {"archived": 4} | more | ({"archived": 4 + more["archived"]} if "archived" in more else {})
    assert counts(folder(made)) == {kind: count for kind, count in expected.items() if count}
    found = reasons(folder(made))
    assert [(kind, uids) for kind, _reason, uids in found] == [(kind, uids) for kind, _reason, uids in why]
    assert all(part in reason for (_kind, reason, _uids), (_, part, _) in zip(found, why, strict=True))
    assert made.report.problems() == []
    told = [f"{count} {kind.replace('_', ' ')}" for kind, count in more.items() if count > 0]
    assert f"; not in it: {', '.join(told)}" in made.comparison.sentence()


def test_what_multidrop_leaves_is_told_with_its_address_and_copies_are_kept(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [MULTIPLE, multidrop(credentials="master")]
    top = "Received: from relay\r\n"
    servers.folder("mail1", JOURNAL).add(mail(1, top=top), mail(50, to="nobody@example.com", sender="x@example.net"))
    archive.run()
    found = folder(compared(archive), JOURNAL)
    assert counts(found) == {"copy": 1, "left": 1}
    ((kind, reason, uids),) = reasons(found)
    assert (kind, uids) == ("left", "2")
    assert "nobody@example.com" in reason


def unlink(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(b"")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("change", [unlink, empty, link])
def test_an_archived_message_without_its_object_fails(archive: Archive, change: t.Callable[[Path], None]) -> None:
    change(object_of(archive, 3))
    made = compared(archive)
    assert counts(folder(made)) == {"archived": 3, "missing": 1}
    assert reasons(folder(made)) == [("missing", "its object is not in the archive", "3")]
    (problem,) = made.report.problems()
    assert problem.where == f"mail1 {ALICE} INBOX"
    assert problem.message.startswith("1 messages that the catalog has as archived have no intact object (UID 3: its object is")


def test_a_row_that_names_no_object_fails(archive: Archive) -> None:
    write_by_hand(archive, "UPDATE source_messages SET digest = NULL WHERE uid = 2")
    assert reasons(folder(compared(archive))) == [("missing", "its row names no object", "2")]


def damage(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(b"no frame")


@pytest.mark.parametrize("change", [unlink, damage])
@pytest.mark.parametrize(("found", "kind"), [(None, "lost"), (1, "missing")])
def test_what_was_declared_lost_is_told_and_fails_no_more(
    archive: Archive, change: t.Callable[[Path], None], found: int | None, kind: str
) -> None:
    path = object_of(archive, 3)
    change(path)
    values = (bytes.fromhex(path.name), "the disk broke", found)
    write_by_hand(archive, "INSERT INTO lost VALUES (?, 1, 1, 'ops', ?, ?)", values)
    made = compared(archive, Wish(sample=10))
    assert counts(folder(made)) == {"archived": 3, kind: 1}
    assert bool(made.report.problems()) == (kind == "missing")
    if kind == "lost":
        assert reasons(folder(made)) == [("lost", "the disk broke", "3")]


# What the server does not list any more


def delete(archive: Archive, inbox: FakeFolder, uid: int) -> None:
    """What a run does that deletes a message on the server."""
    with Catalog.open(archive.catalog_file) as catalog:
        source = catalog.source_folder("mail1", ALICE, "INBOX")
        row = catalog.messages(source.id, 1, [uid])[uid]
        candidate = Candidate(uid, row.digest or b"", row.size or 0, row.internaldate or 0, row.archived or 0, State.ARCHIVED)
        catalog.plan_receipts(source.id, 1, 1, [(candidate, {})])
        inbox.expunge(uid)
        catalog.complete_receipts(source.id, 1, 1, [uid], {})


def without_receipt(archive: Archive, inbox: FakeFolder) -> None:
    delete(archive, inbox, 2)
    write_by_hand(archive, "DELETE FROM receipts")


def vanish(archive: Archive, inbox: FakeFolder) -> None:
    inbox.expunge(2)
    archive.run()


def fail_and_go(archive: Archive, inbox: FakeFolder) -> None:
    fail(archive, inbox)
    inbox.expunge(5)


def fail_and_vanish(archive: Archive, inbox: FakeFolder) -> None:
    fail_and_go(archive, inbox)
    archive.run()


def lose_deleted(archive: Archive, inbox: FakeFolder) -> None:
    path = object_of(archive, 2)
    delete(archive, inbox, 2)
    path.unlink()


@pytest.mark.parametrize(
    ("change", "kind", "uids"),
    [
        (lambda archive, inbox: delete(archive, inbox, 2), "deleted", ""),
        (without_receipt, "no_receipt", "2"),
        (vanish, "vanished", ""),
        (lambda _archive, inbox: inbox.expunge(2), "gone", "2"),
        (fail_and_go, "unarchived", "5"),
        (fail_and_vanish, "unarchived", "5"),
        (lose_deleted, "missing", "2"),
    ],
)
def test_what_the_server_has_no_more_is_told_by_what_became_of_it(
    archive: Archive, inbox: FakeFolder, change: t.Callable[..., None], kind: str, uids: str
) -> None:
    change(archive, inbox)
    made = compared(archive)
    found = folder(made)
    assert away(found) == {kind: 1}
    assert counts(found) == {"archived": len(inbox.messages)}
    assert [one["uids"] for one in found["not_on_server"]["reasons"]] == [uids] * bool(uids)
    assert bool(made.report.problems()) == (kind == "missing")


def test_rows_of_an_earlier_uidvalidity_are_in_the_archive_alone(archive: Archive, inbox: FakeFolder) -> None:
    inbox.renumber()
    archive.run()
    found = folder(compared(archive))
    assert (counts(found), away(found)) == ({"archived": 4}, {"earlier": 4})
    assert (found["uidvalidity"], found["known_uidvalidity"]) == (2, 2)


@pytest.mark.parametrize(("run", "kind"), [(False, "gone"), (True, "vanished")])
def test_a_folder_that_the_server_has_no_more_is_told(archive: Archive, servers: FakeServers, run: bool, kind: str) -> None:
    del servers.hosts["mail1"][ALICE]["Old"]
    if run:
        archive.run()
    made = compared(archive)
    found = folder(made, name="Old")
    assert (found["on_the_server"], found["on_server"], away(found)) == (False, 0, {kind: 1})
    assert made.comparison.sentence() == (
        "4 of 4 messages in 1 mailbox on the servers are in the archive; in the archive alone: 1"
    )


def test_a_folder_that_no_run_has_seen_is_all_new(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, "Fresh", uidvalidity=7).add(mail(20), mail(21))
    found = folder(compared(archive, Wish(sample=5, sizes=True)), name="Fresh")
    assert (counts(found), away(found), found["known_uidvalidity"]) == ({"new": 2}, {}, 0)


def test_a_folder_that_is_not_selected_is_not_taken_for_gone(archive: Archive) -> None:
    archive.profiles = [{**MULTIPLE, "folders": {"exclude": ["Old"]}}]
    made = compared(archive)
    (mailbox,) = made.comparison.as_data(whole=True)["profiles"][0]["mailboxes"]
    assert [found["name"] for found in mailbox["folders"]] == ["INBOX"]
    assert list(mailbox["excluded_folders"]) == ["Old"]


def test_a_uidnext_that_went_back_is_warned_of(archive: Archive, inbox: FakeFolder) -> None:
    inbox.expunge(4)
    inbox.uidnext = 4
    assert "UIDNEXT went back from 5 to 4" in compared(archive).report.warnings[0]


def test_a_mailbox_that_two_profiles_read_is_counted_once(archive: Archive, servers: FakeServers) -> None:
    twice = {"name": "again", "method": "single_mailbox", "mailbox": ALICE, "target_user": ALICE, "credentials": "master"}
    archive.profiles = [{**MULTIPLE, "folders": {"exclude": ["Old"]}}, twice]
    before = len(servers.commands("EXAMINE"))
    made = compared(archive)
    first, second = made.comparison.as_data(whole=True)["profiles"]
    assert (first["on_server"], second["on_server"]) == (4, 1)
    assert len(servers.commands("EXAMINE")) - before == 2


def test_bob_has_nothing(archive: Archive, servers: FakeServers) -> None:
    archive.user(BOB)
    servers.folder("mail1", BOB)
    data = compared(archive).comparison.as_data(whole=True)["profiles"][0]["mailboxes"]
    assert [(one["mailbox"], one["on_server"]) for one in data] == [(ALICE, 5), (BOB, 0)]
