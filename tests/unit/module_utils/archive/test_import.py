# SPDX-License-Identifier: GPL-3.0-or-later
"""An import brings users with what is known of their mail; the next run finds nothing to do; the other archive is only read."""

from __future__ import annotations

import hashlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import import_source, import_users, import_work, store_lock
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import HeldCatalog, ImportCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import encoded
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import LISTED, Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, mail, multidrop
from tests.unit.module_utils.archive.import_scene import BY, beside, everything, mail_of, taken
from tests.unit.module_utils.archive.rebuild_scene import (
    ALICE,
    BOB,
    JOURNAL,
    LEAVER,
    differences,
    entries,
    lose_catalog,
    rebuilt,
    rows_of,
    scene,
    verified,
)
from tests.unit.module_utils.archive.rebuild_small import small

__all__ = ["scene", "small"]
ALL: dict[str, t.Any] = {"servers": ["mail1"], "users": ["@catchall"]}


def fetched(archive: Archive) -> int:
    return len(archive.servers.commands("FETCH"))


def test_all_of_a_server_is_as_it_was_and_nothing_is_read_again(scene: Archive) -> None:
    before = everything(scene.root)
    here = beside(scene)
    report = taken(here, scene, **ALL)
    assert everything(scene.root) == before
    assert (report.problems, report.warnings, report.untaken, report.changed) == ([], [], 0, True)
    assert set(report.users) == {ALICE, BOB, LEAVER, "@catchall"}
    total = report.totals()
    assert (total.messages, total.new, total.known) == (len(scene.tree()), len(scene.tree()), 0)
    assert all(figures.balanced() for figures in report.users.values())
    assert mail_of(here) == mail_of(scene)
    assert here.substance() == scene.substance()
    assert {path.name: path.stat().st_mtime for path in here.root.glob("objects/*/*")} == {
        path.name: path.stat().st_mtime for path in scene.root.glob("objects/*/*")
    }
    assert verified(here) == []
    asked, rows = fetched(scene), rows_of(here)
    run = here.run(quarantine_after=1)
    assert (fetched(scene), run.placements, run.objects, run.ledger_problem) == (asked, 0, 0, "")
    assert mail_of(here) == mail_of(scene)
    assert here.substance() == scene.substance()
    changed = differences(rows, rows_of(here))
    assert {
        name for name in changed if name.startswith(("placements", "objects", "source_messages", "users", "receipts"))
    } == set()
    assert verified(here) == []


def test_rows_of_users_messages_and_receipts_are_those_of_the_other_archive(
    scene: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_work, "STEP_MESSAGES", 2)  # so that no folder is read at once
    here = beside(scene)
    taken(here, scene, **ALL)
    there, rows = rows_of(scene), rows_of(here)
    same = {table: there[table] for table in ("users", "user_addresses", "grants", "source_messages", "receipts", "placements")}
    changed = differences(same, rows)
    # When they were made here, in which run, and what the receipt says of the import.
    assert changed <= {
        *("users.created", "users.changed", "source_messages.run_id", "receipts.run_id", "receipts.proof"),
    }
    proofs = [row["proof"] for row in rows["receipts"].values()]
    assert len(proofs) == 2 and all(f'"from": "{scene.root}"' in proof or '"from": "kerio-archive"' in proof for proof in proofs)


def test_a_second_import_changes_nothing(scene: Archive) -> None:
    here = beside(scene)
    taken(here, scene, **ALL)
    before = everything(here.root)
    again = taken(here, scene, **ALL)
    after = everything(here.root)
    assert (again.changed, again.failed) == (False, False)
    assert again.totals().known == again.totals().messages == len(scene.tree())
    assert {one.new + one.receipts for one in again.mailboxes} == {0}
    # The lock is a file that everybody writes who takes it.
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {
        *("lock", "catalog.sqlite3-wal", "catalog.sqlite3-shm"),
    }


def test_check_mode_counts_the_same_and_writes_nothing(scene: Archive) -> None:
    here = beside(scene)
    before, other = everything(here.root), everything(scene.root)
    looked = taken(here, scene, check=True, **ALL)
    assert (everything(here.root), everything(scene.root)) == (before, other)
    assert looked.changed
    done = taken(here, scene, **ALL)
    assert looked.as_data() | {"checkpoint": done.checkpoint} == done.as_data()
    assert (looked.checkpoint, done.checkpoint != "") == ("", True)
    assert "would be taken" in looked.sentence(check_mode=True)


def test_one_user_alone_leaves_the_others_and_their_mailboxes_there(scene: Archive) -> None:
    here = beside(scene)
    report = taken(here, scene, users=["A.L@example.com".lower()])
    assert list(report.users) == [ALICE]
    assert {name.split("/")[0] for name in here.tree()} == {ALICE}
    assert [(one.mailbox, one.whole) for one in report.mailboxes] == [(ALICE, True)]
    assert mail_of(here) == {name: body for name, body in mail_of(scene).items() if name.startswith(ALICE + "/")}
    assert verified(here) == []


def test_of_a_shared_mailbox_only_what_the_user_has_goes_along(scene: Archive) -> None:
    here = beside(scene)
    report = taken(here, scene, domains=["example.com"], users=[BOB])
    journal = {one.mailbox: one for one in report.mailboxes}[JOURNAL]
    has = {row[0] for row in scene.rows("SELECT p.digest FROM placements p WHERE origin = ?", (f"multidrop:mail1/{JOURNAL}",))}
    nobodys = hashlib.sha256(mail(10, to="nobody@else.example")).digest()
    assert (journal.whole, nobodys in has) == (False, True)
    assert here.rows("SELECT count(*) FROM source_messages WHERE digest = ?", (nobodys,)) == [(0,)]
    assert verified(here) == []
    # The archive mailbox is looked at again: what is nobody's here was not taken along.
    asked = fetched(scene)
    here.run(quarantine_after=1)
    # And so is the copy of Bob's message, of which nobody has a placement.
    assert fetched(scene) == asked + 2
    assert mail_of(here) == mail_of(scene)


def test_who_is_left_behind_is_told_and_their_mailbox_is_looked_at_again(scene: Archive) -> None:
    here = beside(scene)
    report = taken(here, scene, servers=["mail1"])
    (warning,) = report.warnings
    assert warning.startswith(f"mail1/{JOURNAL}: 1 messages of it are filed for @catchall, who are not among")
    asked = fetched(scene)
    here.run(quarantine_after=1)
    # The bytes are here, so that nothing is fetched, and the profile files them for @catchall of this archive.
    assert fetched(scene) == asked
    assert mail_of(here) == mail_of(scene)


@pytest.mark.parametrize("choice", [{"users": [BOB]}, {"servers": ["mail1"]}])
def test_what_was_filed_there_for_others_is_looked_at_for_the_users_here(small: Archive, choice: dict[str, t.Any]) -> None:
    here = beside(small)
    here.profiles = small.profiles = [multidrop(unknown_addresses="leave")]
    here.passwords = small.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    for address in (BOB, "gina@example.com"):
        here.user(address)
    journal = small.servers.folder("mail1", JOURNAL).add(mail(80, to=BOB))
    here.run()
    # The other archive sees what comes next first, and knows nobody by the name of Gina.
    bodies = (mail(81, to=f"{BOB}, gina@example.com"), mail(82, to="gina@example.com"))
    journal.add(*bodies)
    small.run()
    taken(here, small, **choice)
    here.run()
    gina = {name.rpartition("/")[2].partition(".")[2][:64] for name in here.tree() if name.startswith("gina")}
    assert gina == {hashlib.sha256(body).hexdigest() for body in bodies}
    assert verified(here) == []


def test_what_was_a_copy_for_somebody_who_stays_there_is_filed_for_the_same_user_here(small: Archive) -> None:
    body, carol = mail(90, to="carol@example.org"), "carol@example.org"
    small.hosts = ["mail1", "mail2"]
    small.profiles = [MULTIPLE, {**multidrop(), "servers": ["mail1"]}]
    small.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    small.user(carol, server="mail2")
    own = small.servers.folder("mail2", carol).add(mail(90, to=carol, top="Received: by mail2\r\n"))
    small.servers.folder("mail1", JOURNAL).add(body)
    small.run()
    own.expunge(1)
    here = beside(small)
    here.user(carol, server="mail2")
    report = taken(here, small, servers=["mail1"])
    assert (carol in report.users, report.warnings) == (False, [])
    asked = fetched(small)
    here.run()
    assert fetched(small) == asked
    (placed,) = [name for name in here.tree() if name.startswith(carol)]
    assert hashlib.sha256(body).hexdigest() in placed
    assert verified(here) == []


def test_what_both_have_stays_and_is_not_placed_twice(scene: Archive) -> None:
    # Bob got it by the archive mailbox there, and has it from his own mailbox here.
    by_the_archive = mail(50, to=BOB, top="Received: by the archive\r\n")
    scene.servers.folder("mail1", JOURNAL).add(by_the_archive)
    scene.run(quarantine_after=1)
    scene.servers.folder("mail1", BOB).add(mail(50, to=BOB))
    here = beside(scene)
    here.profiles = scene.profiles[:1]
    here.user(ALICE, "a.l@example.com", groups=("staff",))
    here.user(BOB)
    here.run(quarantine_after=1)
    mine = mail_of(here)
    had = rows_of(here)
    report = taken(here, scene, **ALL)
    bob = report.users[BOB]
    assert bob.balanced() and bob.known and bob.copies
    state = "SELECT state FROM source_messages WHERE digest = ?"
    digest = hashlib.sha256(by_the_archive).digest()
    assert (scene.rows(state, (digest,)), here.rows(state, (digest,))) == ([(1,)], [(2,)])
    assert here.rows("SELECT count(*) FROM objects WHERE digest = ?", (digest,)) == [(1,)]
    assert mine.items() <= mail_of(here).items()
    changed = differences({table: had[table] for table in ("users", "placements", "objects", "user_addresses")}, rows_of(here))
    assert not {name for name in changed if not name.endswith("+")}
    assert verified(here) == []
    keys = here.rows("SELECT user_id, copy_key, count(*) FROM placements GROUP BY 1, 2 HAVING count(*) > 1")
    assert set(keys) <= set(scene.rows("SELECT user_id, copy_key, count(*) FROM placements GROUP BY 1, 2 HAVING count(*) > 1"))
    assert not taken(here, scene, **ALL).changed


def test_the_ledger_tells_where_it_comes_from_and_is_enough_to_make_the_catalog_anew(scene: Archive) -> None:
    here = beside(scene)
    report = taken(here, scene, **ALL)
    with Catalog.of(str(scene.root), readonly=True) as catalog:
        position = catalog.evidence_position()
    log = EvidenceLog(str(scene.root), position, readonly=True)
    head = encoded(log.head())
    log.close()
    (told,) = [entry for entry in entries(here) if entry["event"] == "imported"]
    assert (told["entries"], told["root"], told["by"], told["source"]) == (position.entries, head, BY, str(scene.root))
    assert (told["origin"], report.entries) == (report.origin, position.entries)
    assert (told["servers"], told["users"]) == (["mail1"], ["@catchall"])
    adopted = [entry for entry in entries(here) if entry["event"] == "adopted"]
    assert len(adopted) == len(scene.files())
    assert all(head in entry["why"] for entry in adopted)
    assert {entry["origin"] for entry in entries(here) if entry["event"] in ("archived", "deleted")} == {report.origin}
    here.run(quarantine_after=1)
    substance, tree = here.substance(), here.tree()
    lose_catalog(here)
    rebuilt(here)
    here.run(quarantine_after=1)
    assert (here.tree(), here.substance()["placements"]) == (tree, substance["placements"])
    gone = {"deleted": 7}
    assert here.rows("SELECT count(*) FROM source_messages WHERE state = ?", (gone["deleted"],)) == [(2,)]
    assert verified(here) == []


def test_of_a_message_that_lies_in_two_folders_there_the_second_is_taken_after_the_first(small: Archive) -> None:
    digest = hashlib.sha256(mail(0)).digest()
    (placed,) = small.root.glob(f"mail/{ALICE}/**/cur/*.{digest.hex()}_*")
    with RebuiltCatalog(small.catalog_file) as catalog:
        (row,) = [PlacementRow(*one) for one in catalog.rows("SELECT * FROM placements WHERE digest = ?", (digest,))]
        folder = catalog.user_folder(row.user_id, ("Elsewhere",))
        catalog.adopt((), [row._replace(folder_id=folder.id, origin="multidrop:mail1/archive@example.com")])
    (small.root / folder.dir / "cur").mkdir(parents=True)
    (small.root / folder.dir / "cur" / placed.name).hardlink_to(placed)
    here = beside(small)
    taken(here, small, users=[ALICE])
    whole = here.substance()
    # As an import leaves it that was cut short between the two.
    (here.root / folder.dir / "cur" / placed.name).unlink()
    with Catalog.open(here.catalog_file) as catalog, catalog.transaction():
        gone = "DELETE FROM placements WHERE folder_id = (SELECT id FROM user_folders WHERE dir = ?)"
        catalog._db.execute(gone, (folder.dir,))
        catalog._db.execute("UPDATE totals SET placements = placements - 1")
    report = taken(here, small, users=[ALICE])
    assert (report.users[ALICE].new, report.users[ALICE].copies, here.substance()) == (1, 0, whole)
    assert verified(here) == []


@pytest.mark.parametrize("how", ["object", "everywhere"])
def test_a_message_that_is_damaged_is_named_and_the_rest_is_taken(small: Archive, how: str) -> None:
    digest = hashlib.sha256(mail(0)).hexdigest()
    path = small.root / "objects" / digest[:2] / digest
    if how == "object":
        path.unlink()  # the placement is the same file
    else:
        path.chmod(0o640)
        path.write_bytes(b"rotten")
    here = beside(small)
    report = taken(here, small, domains=["example.com"])
    alice = report.users[ALICE]
    if how == "object":
        assert (report.problems, alice.new, mail_of(here)) == ([], 2, mail_of(small))
        return
    first = report.problems[0]
    assert (first.where, first.subject) == (f"{ALICE}, folder {ALICE}/INBOX", str(path))
    assert (report.failed, alice.messages, alice.new, alice.damaged, report.untaken) == (True, 2, 1, 1, 0)
    assert len(here.tree()) == 2
    assert verified(here) == []
    again = taken(here, small, domains=["example.com"])
    assert (again.changed, again.failed, again.users[ALICE].damaged) == (False, True, 1)
    # It is still on the server.
    here.run()
    assert sorted(here.tree()) == small.tree()


def test_an_object_that_was_lost_here_comes_from_the_other_archive(small: Archive) -> None:
    here = beside(small)
    taken(here, small, users=[ALICE])
    small.servers.folder("mail1", BOB).add(mail(0))
    small.run()
    (lost,) = here.root.glob(f"objects/*/{hashlib.sha256(mail(0)).hexdigest()}")
    lost.unlink()
    report = taken(here, small, users=[BOB])
    assert (report.problems, report.users[BOB].new, mail_of(here)) == ([], 2, mail_of(small))
    # The placement that outlived it is a file of its own until archive_repair links it.
    assert {kind for kind, _ in verified(here)} == {"placement_other", "object_links"}


def test_messages_that_do_not_fit_memory_are_the_same(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_source, "IN_MEMORY", 10)
    here = beside(small)
    with mock.patch.object(Store, "put", side_effect=AssertionError):
        report = taken(here, small, servers=["mail1"])
    assert (report.problems, report.totals().new, mail_of(here)) == ([], 3, mail_of(small))
    assert verified(here) == []


def test_whose_login_is_somebody_elses_here_cannot_log_in(small: Archive) -> None:
    values = {"origin": "directory", "server": "mail1", "kerio_login": "al@example.com", "privileges": ("login", "read")}
    here = beside(small)
    for archive, name, number in ((small, "alice.l@example.com", "k1"), (here, "al@example.com", "k2")):
        with Catalog.open(archive.catalog_file) as catalog:
            catalog.apply_users([UserStep(None, UserValues(name, kerio_id=number, **values))])
    report = taken(here, small, users=["alice.l@example.com"])
    assert dict(here.rows("SELECT name, enabled FROM users")) == {"al@example.com": 1, "alice.l@example.com": 0}
    (warning,) = report.warnings
    assert warning.startswith("alice.l@example.com: cannot log in, because the login al@example.com is that of al@example.com")


def test_nobody_else_writes_users_from_the_plan_on_until_they_are_written(
    scene: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = beside(scene)
    seen: list[str] = []

    def is_turn_taken() -> bool:
        try:
            with store_lock.turn(str(here.root), 0):
                return False
        except BusyError:
            return True

    planned, made, filed = import_users.match, ImportCatalog.make_users, ImportCatalog.user_folder

    def noting(name: str, real: t.Any) -> t.Any:
        def noted(*args: t.Any, **named: t.Any) -> t.Any:
            seen.append(f"{name} {'held' if is_turn_taken() else 'free'}")
            return real(*args, **named)

        return noted

    monkeypatch.setattr(import_users, "match", noting("plan", planned))
    monkeypatch.setattr(ImportCatalog, "make_users", noting("make", made))
    # They take long in a large archive.
    monkeypatch.setattr(HeldCatalog, "origins", noting("origins", HeldCatalog.origins))
    monkeypatch.setattr(ImportCatalog, "know_objects", noting("objects", ImportCatalog.know_objects))
    monkeypatch.setattr(ImportCatalog, "user_folder", noting("file", filed))
    taken(here, scene, servers=["mail1"])
    # The first plan only counts, and the last one proves.
    steps = ["plan free", "origins free", "objects free", "plan held", "make held", "file free"]
    assert (list(dict.fromkeys(seen)), seen.count("origins free")) == (steps, 1)
    assert seen[-2:] == ["plan free", "objects free"]
    assert not is_turn_taken()


def test_a_namesake_is_not_taken_for_the_user(small: Archive) -> None:
    here = beside(small)
    here.user(BOB)
    with Catalog.open(here.catalog_file) as catalog:
        catalog._db.execute("UPDATE users SET kerio_id = 'other'")  # what archive_users would have written
    report = taken(here, small, domains=["example.com"])
    (problem,) = report.problems
    assert (problem.where, list(report.users)) == (BOB, [ALICE])
    assert "nothing says that they are one person" in problem.text
    assert {name.split("/")[0] for name in here.tree()} == {ALICE}


def test_of_very_many_problems_the_first_are_told_and_all_are_counted() -> None:
    report = Report("/other")
    for number in range(LISTED + 1):
        report.tell(Problem("alice", f"{number}", "it is damaged", "Repair it"))
    told = report.as_data()
    assert (len(told["problems"]), told["problem_count"], report.noted()["problems"]) == (LISTED, LISTED + 1, LISTED + 1)
    assert report.sentence(check_mode=False).endswith("alice: 2: it is damaged. Repair it; and 98 more")
