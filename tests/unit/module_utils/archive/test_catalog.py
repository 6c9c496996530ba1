# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import sqlite3
import threading
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_base, layout, schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    Cursor,
    LeftReason,
    MessageRow,
    ObjectRow,
    PlacementRow,
    Totals,
    UserStep,
    UserValues,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

CURSOR = Cursor(7, 11, 2, 99, "rules", True, 1000, 2000)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "catalog.sqlite3")


@pytest.fixture
def catalog(path: str) -> t.Iterator[Catalog]:
    with Catalog.open(path) as opened:
        yield opened


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def user_id(catalog: Catalog, name: str = "bob@example.com") -> int:
    return catalog.ensure_user(name, origin="profile").id


def batch_of(catalog: Catalog, *numbers: int, cursor: Cursor | None = None) -> Batch:
    user = user_id(catalog)
    folder = catalog.user_folder(user, ("INBOX",)).id
    batch = Batch(catalog.source_folder("mail1", "bob@example.com", "INBOX").id, 7, 1, cursor=cursor)
    for number in numbers:
        batch.objects.append(ObjectRow(digest(number), 100, 50))
        batch.placements.append(PlacementRow(folder, digest(number), user, number, 100, 101, "S", digest(number)[:16], "mail1"))
        batch.messages.append(MessageRow(number, State.ARCHIVED, digest(number), 100, 101, number, "S"))
    return batch


def test_a_commit_writes_everything_that_it_holds(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1, 2, cursor=CURSOR)
    batch.routes = ("user:1",)
    assert catalog.commit([batch]) == []
    assert catalog.totals() == Totals(objects=2, bytes=200, stored_bytes=100, placements=2)
    assert catalog.states(batch.folder_id, 7) == {1: State.ARCHIVED, 2: State.ARCHIVED}
    folder = catalog.source_folder("mail1", "bob@example.com", "INBOX")
    assert (folder.uidvalidity, folder.uidnext, folder.messages, folder.highestmodseq, folder.complete) == (7, 11, 2, 99, True)
    assert folder.complete is True and folder.last_run == 1
    assert (folder.filed, folder.filed_run, folder.rules, folder.reconciled, folder.due) == (False, 0, "", 0, 0)
    routed = catalog.source_folder("mail1", "bob@example.com", "INBOX", "user:1")
    assert (routed.filed, routed.filed_run, routed.rules, routed.reconciled, routed.due) == (True, 1, "rules", 1000, 2000)
    assert catalog.mailbox_folders("mail1", "bob@example.com", "user:1") == {"INBOX": routed}
    assert catalog.placement(batch.placements[0].folder_id, digest(1)) == batch.placements[0]
    assert catalog.copies(user_id(catalog), digest(2)[:16]) == [batch.placements[1]]
    assert (catalog.commits(), catalog.clock_stepped()) == (1, False)


def test_a_commit_that_fails_writes_nothing(catalog: Catalog) -> None:
    good = batch_of(catalog, 1, cursor=CURSOR)
    bad = batch_of(catalog, 2)
    bad.messages.append(MessageRow(3, t.cast("State", None)))
    with pytest.raises(CatalogError, match="NOT NULL"):
        catalog.commit([good, bad])
    assert catalog.totals() == Totals()
    assert catalog.states(good.folder_id, 7) == {}
    assert catalog.source_folder("mail1", "bob@example.com", "INBOX").complete is False
    catalog.commit([good])
    assert catalog.totals().objects == 1


def test_a_batch_of_an_unknown_folder_is_refused(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1)
    batch.folder_id = 999
    with pytest.raises(CatalogError, match="FOREIGN KEY"):
        catalog.commit([batch])
    assert catalog.totals() == Totals()


def test_the_same_object_is_placed_once_in_a_folder(catalog: Catalog) -> None:
    first = batch_of(catalog, 1)
    catalog.commit([first])
    again = batch_of(catalog, 1, 2)
    again.placements[0] = again.placements[0]._replace(internaldate=555)
    again.placements.append(again.placements[1]._replace(flags=""))
    refused = catalog.commit([again])
    assert [(refusal.placement, refusal.existing) for refusal in refused] == [
        (again.placements[0], first.placements[0]),
        (again.placements[2], again.placements[1]),
    ]
    assert catalog.totals().placements == 2
    assert catalog.commit([first]) == []  # the same row under the same name: nothing to undo


def test_a_message_keeps_what_was_fetched_when_its_state_changes(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1)
    catalog.commit([batch])
    later = Batch(batch.folder_id, 7, 2, messages=[MessageRow(1, State.VANISHED, reason="gone from the server")])
    catalog.commit([later])
    found = catalog.messages(batch.folder_id, 7, [1, 2])
    assert list(found) == [1]
    assert (found[1].state, found[1].digest, found[1].size, found[1].flags) == (State.VANISHED, digest(1), 100, "S")
    assert (found[1].reason, found[1].run_id) == ("gone from the server", 2)


def test_uidvalidity_is_part_of_the_key(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1)
    catalog.commit([batch])
    catalog.commit([Batch(batch.folder_id, 8, 2, messages=[MessageRow(1, State.LEFT)])])
    assert catalog.states(batch.folder_id, 7) == {1: State.ARCHIVED}
    assert catalog.states(batch.folder_id, 8) == {1: State.LEFT}


def test_open_messages_are_found_by_their_own_index(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1)
    for uid, state in enumerate(State, 10):
        batch.messages.append(MessageRow(uid, state, reason="x@example.com" if state is State.LEFT else ""))
    batch.messages.append(MessageRow(30, State.LEFT, reason="x@example.com"))
    catalog.commit([batch])
    still_open = {State.EXCLUDED, State.LEFT, State.FAILED, State.QUARANTINED}
    assert {message.state for message in catalog.open_messages(batch.folder_id)} == still_open
    assert catalog.open_folders() == {batch.folder_id: dict.fromkeys(still_open, 1) | {State.LEFT: 2}}
    assert catalog.left_reasons()[0] == LeftReason(batch.folder_id, State.LEFT, "x@example.com", 2)
    query = "EXPLAIN QUERY PLAN SELECT uid FROM source_messages WHERE folder_id = ? AND " + schema.OPEN_ROWS  # noqa: S608 - a constant
    plan = catalog.rows(query, (batch.folder_id,))
    assert "source_messages_open" in str([tuple(row) for row in plan])


def test_stored_messages_come_page_by_page_while_others_write(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_sources._PAGE", 2)
    batch = batch_of(catalog, *range(1, 8))
    batch.messages.append(MessageRow(9, State.LEFT))
    catalog.commit([batch, Batch(batch.folder_id, 8, 1, messages=[MessageRow(1, State.ARCHIVED, digest(50))])])
    seen = []
    for message in catalog.stored_messages(batch.folder_id):
        seen.append((message.uidvalidity, message.uid))
        catalog.set_meta("interleaved", "yes")
    assert seen == [(7, uid) for uid in range(1, 8)] + [(8, 1)]


def test_folders_are_known_by_their_true_name(catalog: Catalog) -> None:
    user = user_id(catalog)
    one, other = catalog.user_folder(user, ("a", "b")), catalog.user_folder(user, ("a/b",))
    assert (one.dir, other.dir) == ("mail/bob@example.com/a/b", "mail/bob@example.com/a%2Fb")
    assert catalog.user_folder(user, ("a", "b")) == one
    assert catalog.user_folder(user, ()).dir == "mail/bob@example.com"
    broken = catalog.user_folder(user, ("\ud800" + "x" * 300,))
    assert broken.parts == ("\ud800" + "x" * 300,)
    assert {folder.parts for folder in catalog.user_folders(user)} == {("a", "b"), ("a/b",), (), broken.parts}
    with pytest.raises(CatalogError, match="no user 999"):
        catalog.user_folder(999, ())


def test_a_folder_of_another_user_is_not_taken_for_ones_own(catalog: Catalog, path: str) -> None:
    bob, ann = user_id(catalog), user_id(catalog, "ann@example.com")
    inbox = catalog.user_folder(bob, ("INBOX",))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE user_folders SET user_id = ?", (ann,))
    db.close()
    with pytest.raises(CatalogError) as raised:
        catalog.user_folder(bob, ("INBOX",))
    assert (raised.value.subject, raised.value.cause) == (
        path,
        "it gives the directory mail/bob@example.com/INBOX to another user",
    )
    assert raised.value.remedy == "Restore the catalog from a backup, or have archive_rebuild make it anew"
    assert (catalog.user_folders(bob), catalog.user_folders(ann)) == ([], [replace(inbox, user_id=ann)])


def test_runs_and_meta_are_kept(catalog: Catalog) -> None:
    run = catalog.begin_run({"profiles": ["all"]})
    assert catalog.last_runs(9)[0].finished is None
    catalog.end_run(run, "done", {"messages": 3})
    last = catalog.last_runs(9)[0]
    assert (last.id, last.outcome, last.summary, last.finished is None) == (run, "done", {"messages": 3}, False)
    assert catalog.get_meta("key") is None
    catalog.set_meta("key", "1")
    catalog.set_meta("key", "2")
    assert catalog.get_meta("key") == "2"


def test_known_digests_looks_in_every_table(catalog: Catalog) -> None:
    batch = batch_of(catalog, 1, 2, 3)
    batch.objects, batch.placements, batch.messages = batch.objects[:1], batch.placements[1:2], batch.messages[2:]
    catalog.commit([batch])
    assert catalog.known_digests([digest(number) for number in range(1, 6)]) == {digest(1), digest(2), digest(3)}
    assert catalog.known_digests([]) == set()
    names = catalog.known_names("mail/bob@example.com/INBOX", [digest(2), digest(9)])
    assert names == {digest(2): layout.placement_name(2, digest(2), 100, 101, "S")}
    assert catalog.known_names("mail/nobody", [digest(2)]) == {}


# The users


def test_users_are_changed_in_one_transaction(catalog: Catalog) -> None:
    new = [UserValues(f"{name}@example.com", "directory", addresses=(f"{name}@example.com",)) for name in ("ann", "ben")]
    catalog.apply_users([UserStep(None, values) for values in new])
    ann, ben = catalog.users()
    swapped = [UserStep(ann.id, new[1]), UserStep(ben.id, new[0])]
    catalog.apply_users(swapped)
    assert catalog.addresses()["ann@example.com"] == ben.id
    assert (catalog.users()[0].id, catalog.users()[0].tree) == (ben.id, "ben@example.com")
    with pytest.raises(CatalogError, match="UNIQUE"):
        catalog.apply_users([UserStep(ann.id, new[0]), UserStep(None, UserValues("carl", "directory"))])
    assert [user.name for user in catalog.users()] == ["ann@example.com", "ben@example.com"]


def test_a_leaver_keeps_the_row_and_loses_the_addresses(catalog: Catalog) -> None:
    values = UserValues("ann@example.com", "directory", server="mail1", kerio_id="k1", addresses=("ann@example.com",))
    catalog.apply_users([UserStep(None, values)])
    ann = catalog.users()[0]
    folder = catalog.user_folder(ann.id, ("INBOX",))
    catalog.apply_users([UserStep(ann.id, values, delete=True)])
    assert catalog.users() == []
    assert catalog.user_by_name("ann@example.com") is None
    assert catalog.addresses() == {}
    left = catalog.users(deleted=True)[0]
    assert left.deleted is not None and left.kerio_id == "k1"
    assert catalog.user_folders(ann.id) == [folder]


def test_a_new_user_never_gets_the_tree_of_somebody_else(catalog: Catalog) -> None:
    catalog.apply_users([UserStep(None, UserValues("ann", "directory"))])
    ann = catalog.users()[0]
    catalog.apply_users([UserStep(ann.id, UserValues("anna", "directory")), UserStep(None, UserValues("ann", "directory"))])
    trees = {user.name: user.tree for user in catalog.users()}
    assert trees["anna"] == "ann"
    assert trees["ann"].startswith("ann%~") and layout.unescape(trees["ann"]) is None


def test_a_declared_target_is_made_once(catalog: Catalog) -> None:
    first = catalog.ensure_user("@catchall", origin="profile")
    assert catalog.ensure_user("@catchall", origin="profile") == first
    catalog.apply_users([UserStep(first.id, UserValues("@catchall", "profile"), delete=True)])
    assert catalog.ensure_user("@catchall", origin="profile").id == first.id


# The file


def test_commits_are_durable_and_readers_are_not_blocked(catalog: Catalog, path: str) -> None:
    assert catalog.row("PRAGMA journal_mode")[0] == "wal"
    assert catalog.row("PRAGMA synchronous")[0] == 2
    with Catalog.open(path, readonly=True) as reader:
        batch = batch_of(catalog, 1)
        with catalog.transaction():
            catalog._db.execute("INSERT INTO meta VALUES ('open', 'x')")
            assert reader.totals() == Totals()
            assert reader.get_meta("open") is None
        catalog.commit([batch])
        assert reader.totals().objects == 1
        with pytest.raises(CatalogError, match="readonly"):
            reader.set_meta("a", "b")


def test_a_short_transaction_waits_for_a_commit_only(path: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_base, "BUSY_MILLISECONDS", 1)
    with Catalog.open(path) as other:
        with catalog.transaction(), pytest.raises(CatalogError, match="locked"):
            other.set_meta("a", "b")
        catalog.begin_run({})  # a run that goes on holds no transaction
        other.set_meta("a", "b")


def test_two_processes_may_make_the_same_catalog(path: str) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_make, args=(path, number)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    with Catalog.open(path) as catalog:
        assert [catalog.get_meta(f"made{number}") for number in range(4)] == ["1"] * 4


def test_a_new_catalog_waits_for_who_is_about_to_write_it(path: str) -> None:
    """SQLite answers a change of the journal mode with "locked" at once then."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    late = threading.Timer(0.2, other.rollback)
    late.start()
    with Catalog.open(path) as catalog:
        assert catalog.row("PRAGMA journal_mode") == ("wal",)
    late.join()
    other.close()


def _make(path: str, number: int) -> None:
    with Catalog.open(path) as catalog:
        catalog.set_meta(f"made{number}", "1")


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 6", "PRAGMA application_id = 1", "PRAGMA user_version = 0"])
def test_another_format_is_refused(path: str, statement: str) -> None:
    Catalog.open(path).close()
    other = sqlite3.connect(path)
    other.execute(statement)
    other.close()
    with pytest.raises(CatalogError, match="no catalog of version 5"):
        Catalog.open(path)


def test_another_file_is_refused(path: str) -> None:
    Path(path).write_bytes(b"this is no database at all, whatever its name says" * 100)
    with pytest.raises(CatalogError, match="not a database"):
        Catalog.open(path)
    with pytest.raises(CatalogError, match="unable to open"):
        Catalog.open(path + "/no/such", readonly=True)


def test_a_full_disk_is_named_and_costs_nothing_committed(catalog: Catalog) -> None:
    catalog.commit([batch_of(catalog, 1)])
    pages = catalog.row("PRAGMA page_count")[0]
    catalog._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CatalogError, match=r"full.*Make room") as caught:
        catalog.commit([batch_of(catalog, *range(2, 3000))])
    assert caught.value.details["code"] == sqlite3.SQLITE_FULL
    assert catalog.totals().objects == 1


def test_a_child_does_not_close_its_parents_connection(catalog: Catalog) -> None:
    child = os.fork()
    if child == 0:
        catalog.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    catalog.set_meta("still", "open")


def test_who_reads_while_somebody_writes_asks_again(tmp_path: Path) -> None:
    path = str(tmp_path / "catalog.sqlite3")
    Catalog.open(path).close()
    with Catalog.open(path, readonly=True) as reader:
        asked = 0

        def fetch(cursor: sqlite3.Cursor) -> list[tuple[int]]:
            nonlocal asked
            asked += 1
            if asked == 1:
                with Catalog.open(path) as writer:
                    writer.ensure_user("bob@example.com", origin="profile")
                raise sqlite3.DatabaseError("database disk image is malformed")
            return cursor.fetchall()

        assert reader._asked("SELECT count(*) FROM users", (), fetch) == [(1,)]
        assert asked == 2

        def broken(_cursor: sqlite3.Cursor) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        with pytest.raises(CatalogError, match="malformed"):
            reader._asked("SELECT count(*) FROM users", (), broken)
