# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages and folders that move on the server."""

from __future__ import annotations

import itertools
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_sweep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeFolder, FakeServers, mail

ALICE = "alice@example.com"
FOLLOW = {**MULTIPLE, "moves": "follow"}
FOR_BOB = {"name": "bob", "method": "single_mailbox", "mailbox": ALICE, "target_user": "Bob", "credentials": "master"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return filled(tmp_path / "archive")


def filled(root: Path, *profiles: dict[str, t.Any]) -> Archive:
    """INBOX with three messages and an empty folder Work, archived."""
    made = Archive(root, FakeServers(root.with_suffix(".log")))
    made.user(ALICE)
    made.profiles = list(profiles) or [MULTIPLE]
    made.servers.folder("mail1", ALICE).add(*map(mail, range(3)))
    made.servers.folder("mail1", ALICE, "Work")
    made.run()
    return made


def folder(archive: Archive, name: str = "INBOX") -> FakeFolder:
    return archive.servers.folder("mail1", ALICE, name)


def move(archive: Archive, uid: int, source: str, target: str) -> None:
    """What a server does: the message is gone there and has a new UID here."""
    body = folder(archive, source).messages[uid]
    folder(archive, source).expunge(uid)
    folder(archive, target).add(body)


def placed(archive: Archive, user: str = ALICE) -> dict[str, int]:
    """Folder -> placements, from the catalog; the links must say the same."""
    found = {name.split('"')[3]: count for name, count in archive.placed(user).items()}
    links = [path.split("/") for path in archive.tree() if path.startswith(user)]
    assert sum(found.values()) == len(links)
    assert {name: sum(name in link for link in links) for name in found} == found
    return found


def reasons(archive: Archive) -> list[tuple[t.Any, ...]]:
    query = "SELECT name, state, reason FROM source_messages m JOIN source_folders f ON f.id = m.folder_id WHERE reason <> ''"
    return sorted(archive.rows(query))


def test_a_message_that_moved_stays_and_gets_no_twin(archive: Archive) -> None:
    move(archive, 2, "INBOX", "Work")
    report = archive.run()
    assert not report.problems()
    assert report.accounts().copies == 1
    assert placed(archive) == {"INBOX": 3}
    assert reasons(archive) == [("Work", 2, "moved from INBOX, stays there")]
    before = archive.dump()
    assert not archive.run().changed
    assert archive.dump() == before


def test_a_message_that_moved_is_followed(tmp_path: Path) -> None:
    archive = filled(tmp_path / "archive", FOLLOW)
    (name,) = (path.rpartition("/")[2] for path in archive.tree() if path.rpartition("/")[2].startswith("1700000002."))
    move(archive, 2, "INBOX", "Work")
    report = archive.run()
    assert not report.problems()
    assert placed(archive) == {"INBOX": 2, "Work": 1}
    assert reasons(archive) == [("Work", 1, "moved from INBOX")]
    # Its date and flags are those of the first placement, so is the name.
    assert f"{ALICE}/{ALICE}/Work/cur/{name}" in archive.tree()
    assert archive.rows("SELECT placements FROM totals") == [(3,)]
    before = archive.dump()
    assert not archive.run().changed
    assert archive.dump() == before


@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_a_message_in_two_folders_has_not_moved(tmp_path: Path, profile: dict[str, t.Any]) -> None:
    archive = filled(tmp_path / "archive", profile)
    folder(archive, "Work").add(mail(1))
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Work": 1}


@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_a_message_that_is_twice_in_its_folder_has_not_moved(tmp_path: Path, profile: dict[str, t.Any]) -> None:
    archive = filled(tmp_path / "archive", profile)
    folder(archive).add(mail(1))
    move(archive, 2, "INBOX", "Work")
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Work": 1}


@pytest.mark.parametrize(("profile", "there"), [(MULTIPLE, {"INBOX": 3}), (FOLLOW, {"INBOX": 2, "Work": 1})])
def test_a_move_back_makes_no_twin(tmp_path: Path, profile: dict[str, t.Any], there: dict[str, int]) -> None:
    archive = filled(tmp_path / "archive", profile)
    move(archive, 2, "INBOX", "Work")
    archive.run()
    assert placed(archive) == there
    move(archive, 1, "Work", "INBOX")
    assert not archive.run().problems()
    assert {name: count for name, count in placed(archive).items() if count} == {"INBOX": 3}


def test_a_move_on_from_where_it_stays_makes_no_twin(archive: Archive) -> None:
    move(archive, 2, "INBOX", "Work")
    archive.run()
    folder(archive, "Later")
    move(archive, 1, "Work", "Later")
    archive.run()
    assert placed(archive) == {"INBOX": 3}
    assert ("Later", 2, "moved from INBOX, stays there") in reasons(archive)


def test_a_copy_of_a_message_that_moved_is_filed(archive: Archive) -> None:
    move(archive, 2, "INBOX", "Work")
    archive.run()
    folder(archive, "Later").add(mail(1))
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Later": 1}


def test_a_message_that_is_in_two_new_folders_moved_to_one_of_them(archive: Archive) -> None:
    move(archive, 2, "INBOX", "Work")
    folder(archive, "Later").add(mail(1))
    archive.run()
    assert sum(placed(archive).values()) == 4


@pytest.mark.parametrize(("profile", "there"), [(MULTIPLE, {"Old": 2}), (FOLLOW, {"New": 2})])
@pytest.mark.parametrize("renumbered", [False, True])
def test_a_renamed_folder_is_a_move_of_its_messages(
    tmp_path: Path, profile: dict[str, t.Any], there: dict[str, int], renumbered: bool
) -> None:
    archive = filled(tmp_path / "archive", profile)
    folder(archive, "Old").add(mail(7), mail(8))
    archive.run()
    folders = archive.servers.hosts["mail1"][ALICE]
    folders["New"] = folders.pop("Old")
    if renumbered:
        folders["New"].renumber()
    report = archive.run()
    assert not report.problems()
    assert {name: count for name, count in placed(archive).items() if name != "INBOX"} == there
    assert not archive.run().changed


@pytest.mark.parametrize(("profile", "there"), [(MULTIPLE, {"INBOX": 3}), (FOLLOW, {"INBOX": 2, "Work": 1})])
def test_a_move_with_new_uidvalidity_everywhere_is_a_move(
    tmp_path: Path, profile: dict[str, t.Any], there: dict[str, int]
) -> None:
    archive = filled(tmp_path / "archive", profile)
    move(archive, 2, "INBOX", "Work")
    folder(archive).renumber()
    folder(archive, "Work").renumber()
    assert not archive.run().problems()
    assert placed(archive) == there


@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_a_restored_server_moves_nothing(tmp_path: Path, profile: dict[str, t.Any]) -> None:
    archive = filled(tmp_path / "archive", profile)
    folder(archive, "Work").add(mail(1))
    archive.run()
    for name in ("INBOX", "Work"):
        folder(archive, name).renumber()
    tree = archive.tree()
    assert not archive.run().problems()
    assert archive.tree() == tree


@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_from_a_folder_that_is_excluded_now_nothing_is_seen_to_move(tmp_path: Path, profile: dict[str, t.Any]) -> None:
    archive = filled(tmp_path / "archive", profile)
    archive.profiles = [{**profile, "folders": {"include": ["Work"]}}]
    move(archive, 2, "INBOX", "Work")
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Work": 1}


def test_a_message_that_moved_before_it_was_ever_archived_is_filed_where_it_is(archive: Archive) -> None:
    folder(archive).add(mail(50))
    move(archive, 4, "INBOX", "Work")
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Work": 1}


def test_a_message_that_vanished_in_an_earlier_run_and_comes_up_elsewhere_has_moved(tmp_path: Path) -> None:
    archive = filled(tmp_path / "archive", FOLLOW)
    folder(archive).expunge(2)
    archive.run()
    folder(archive, "Work").add(mail(1))
    archive.run()
    assert placed(archive) == {"INBOX": 2, "Work": 1}


def test_what_follows_for_one_user_stays_for_another(tmp_path: Path) -> None:
    archive = filled(tmp_path / "archive", FOLLOW, FOR_BOB)
    assert placed(archive, "Bob") == {"INBOX": 3}
    move(archive, 2, "INBOX", "Work")
    assert not archive.run().problems()
    assert placed(archive) == {"INBOX": 2, "Work": 1}
    assert placed(archive, "Bob") == {"INBOX": 3}
    assert not archive.run().changed


def test_many_messages_move_at_once(tmp_path: Path) -> None:
    archive = filled(tmp_path / "archive", FOLLOW)
    folder(archive).add(*map(mail, range(100, 1400)))
    archive.run()
    for uid in list(folder(archive).messages)[3:]:
        move(archive, uid, "INBOX", "Work")
    report = archive.run()
    assert not report.problems()
    assert placed(archive) == {"INBOX": 3, "Work": 1300}


def test_a_first_import_holds_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: t.Any) -> t.Any:
        raise AssertionError("looked for moves")

    monkeypatch.setattr(Catalog, "sightings", refuse)
    archive = filled(tmp_path / "archive")
    other = Archive(tmp_path / "other", archive.servers)
    other.user(ALICE)
    other.profiles = [FOLLOW]
    folder(archive, "Work").add(*map(mail, range(3)))
    assert other.run().accounts().new == 6


@pytest.mark.parametrize("point", ["placed", "synced", "committed", "unlinked", "ending"])
def test_a_move_that_is_cut_short_is_completed(tmp_path: Path, point: str) -> None:
    undisturbed: list[str] = []
    for count in itertools.count():
        archive = filled(tmp_path / f"archive{count}", FOLLOW)
        move(archive, 2, "INBOX", "Work")
        folder(archive).add(mail(60))
        if count == 0:
            archive.run()
            undisturbed = archive.tree()
            assert placed(archive) == {"INBOX": 3, "Work": 1}
            continue
        if not killed(archive, point, count):
            break
        assert not archive.run().problems()
        assert archive.tree() == undisturbed, (point, count)
        assert placed(archive) == {"INBOX": 3, "Work": 1}
    assert count > 1


def test_a_crash_before_the_unlinking_is_repaired_long_after_the_folder_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sweep, "MARGIN_SECONDS", 1)
    archive = filled(tmp_path / "archive", FOLLOW)
    time.sleep(3)  # a change time cannot be set, and the sweep looks at whole seconds
    move(archive, 2, "INBOX", "Work")
    assert killed(archive, "committed", 1, lambda: len(archive.tree()) == 4)
    assert len(archive.tree()) == 4
    report = archive.run()
    assert report.swept is not None
    assert report.swept["links"] == 1
    assert placed(archive) == {"INBOX": 2, "Work": 1}


def killed(archive: Archive, point: str, count: int, when: t.Callable[[], bool] = lambda: True) -> bool:
    """Run in a process that is killed when it passes ``point`` for the ``count``-th time (that counts); whether it did."""
    left = [count]

    def kill(name: str) -> None:
        left[0] -= name == point and when()
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        status = 70
        try:
            archive.run(kill, processes=1)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_a_copy_that_stays_behind_keeps_its_placement(tmp_path: Path, profile: dict[str, t.Any], earlier: bool) -> None:
    """The copy with other trace headers is not filed because of the message that moves away."""
    archive = filled(tmp_path / "archive", profile)
    folder(archive).add(mail(1, top="Received: from gw by mail1; Sat, 1 Jan 2022 00:00:00 +0000\r\n"))
    if earlier:
        archive.run()
    move(archive, 2, "INBOX", "Work")
    assert not archive.run().problems()
    assert placed(archive) == {"INBOX": 3, "Work": 1}


@pytest.mark.parametrize("profile", [MULTIPLE, FOLLOW])
def test_a_message_that_moves_to_where_a_copy_of_it_is_makes_no_twin(tmp_path: Path, profile: dict[str, t.Any]) -> None:
    archive = filled(tmp_path / "archive", profile)
    folder(archive, "Work").add(mail(1, top="Received: from gw by mail1; Sat, 1 Jan 2022 00:00:00 +0000\r\n"))
    archive.run()
    assert placed(archive) == {"INBOX": 3, "Work": 1}
    move(archive, 1, "Work", "INBOX")
    assert not archive.run().problems()
    assert placed(archive) == {"INBOX": 3, "Work": 1}
    assert not archive.run().changed
