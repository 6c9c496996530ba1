# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion by where messages are filed today: multidrop, copies, leavers, what moved; and runs killed while they delete."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from tests.faults.consistency import told
from tests.faults.deletion_scene import ALL, DAYS, Scene, archived
from tests.faults.raw_run import ALICE, BOB
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")

JOURNAL = "journal@example.com"


def journal(scene: Scene, *bodies: bytes, **more: t.Any) -> None:
    """A multidrop profile over a mailbox of its own, which deletes; the first profile deletes nothing."""
    scene.server.state.folder(JOURNAL).add(*bodies)
    scene.server.state.folder(JOURNAL, b"Deleted Items", attributes="\\Trash")
    scene.run.profiles[0].pop("delete")
    one = {"name": "journal", "method": "multidrop", "servers": ["mail1"], "mailbox": JOURNAL, "delete": {"after_days": DAYS}}
    scene.run.profiles.append({**one, **more})
    scene.run.archive.user(ALICE)
    scene.run.archive.user(BOB)


def left_in_journal(scene: Scene) -> list[int]:
    return scene.server.state.folder(JOURNAL).uids()


def both(number: int) -> bytes:
    return mail(number, to=f"{ALICE}, {BOB}")


def test_multidrop_mail_goes_when_every_user_has_it(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, both(50), mail(51, to=BOB))
        scene.archive()
        report = scene.go()
        assert not report.problems(), told(report)
        assert (report.deleted, left_in_journal(scene), len(scene.inbox.uids())) == (2, [], 6)
        proofs = [json.loads(proof)["placements"] for (proof,) in scene.execute("SELECT proof FROM receipts ORDER BY uid")]
        assert [sorted(one["path"].split("/")[1] for one in placements) for placements in proofs] == [[ALICE, BOB], [BOB]]


def test_multidrop_mail_stays_when_one_of_its_users_lost_the_placement(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, both(50), mail(51, to=BOB))
        scene.archive()
        (link,) = [path for path in scene.root.glob(f"mail/{ALICE}/**/cur/*") if f"S={len(both(50))}," in path.name]
        scene.execute(
            "DELETE FROM placements WHERE hex(digest) = ? AND user_id = (SELECT id FROM users WHERE name = ?)",
            link.name.split(".")[1][:64].upper(),
            ALICE,
        )
        link.unlink()
        report = scene.go()
        assert report.spared() == {deletion.NOT_PLACED: 1}
        assert left_in_journal(scene) == [1]


def test_mail_that_nobody_gets_by_todays_users_stays(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, both(50), mail(51, to=BOB))
        scene.archive()
        with Catalog.open(scene.run.archive.catalog_file) as catalog:
            user = next(user for user in catalog.users() if user.name == BOB)
            catalog.apply_users([UserStep(user.id, UserValues(name=BOB, origin="inventory"), delete=True)])
        report = scene.go()
        assert report.spared() == {deletion.NOT_WANTED: 1}
        assert left_in_journal(scene) == [2]


def test_left_mail_is_never_deleted(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, mail(50, to=ALICE), mail(51, to="stranger@example.org"))
        scene.archive()
        assert scene.go().deleted == 1
        assert left_in_journal(scene) == [2]


TRACED = "Received: from mail1 by mail1 for <journal@example.com>\r\n"


def test_a_copy_with_other_trace_headers_goes_because_the_user_has_the_message(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, mail(1, top=TRACED))
        scene.archive()
        assert scene.go().deleted == 1
        ((proof, digest),) = scene.execute("SELECT proof, lower(hex(digest)) FROM receipts")
        (placement,) = json.loads(proof)["placements"]
        assert placement["copy"] not in ("", digest)


@pytest.mark.parametrize("damage", ["object", "placement"])
def test_a_copy_stays_when_the_message_that_it_copies_cannot_be_proven(tmp_path: Path, damage: str) -> None:
    with Scene(tmp_path / "a") as scene:
        journal(scene, mail(1, top=TRACED))
        scene.archive()
        one = next(path for path in scene.root.glob("objects/*/*") if path.name == hashlib.sha256(mail(1)).hexdigest())
        if damage == "object":
            one.chmod(0o640)
            one.write_bytes(b"nothing")
        else:
            next(path for path in scene.root.glob("mail/**/cur/*") if one.name in path.name).unlink()
        report = scene.go(intact=False)
        assert report.deleted == 0
        assert left_in_journal(scene) == [1]


@pytest.mark.parametrize("moves", ["stay", "follow"])
def test_a_message_that_moved_on_the_server_goes_from_its_new_folder(tmp_path: Path, moves: str) -> None:
    with archived(tmp_path / "a", moves=moves) as scene:
        scene.folder("Projects")
        scene.server.state.move(ALICE, scene.inbox, [2], b"Projects")
        scene.go()
        assert scene.folder("Projects").uids() == [1]
        scene.age()
        report = scene.go()
        assert not report.problems(), told(report)
        assert scene.folder("Projects").uids() == scene.inbox.uids() == [], told(report)


# Killed


def run_and_die(scene: Scene, name: str, count: int) -> bool:
    """Run in a process that ends, with its workers, at the ``count``-th checkpoint ``name``; whether it came to that."""
    pid = os.fork()
    if pid == 0:
        parent, seen = os.getpid(), 0

        def kill(reached: str) -> None:
            nonlocal seen
            seen += reached == name
            if reached == name and seen == count:
                os.kill(parent, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException):
            Run(dataclasses.replace(scene.run.options(processes=1), settle=0.0), Silent(), checkpoint=kill).go()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("name", ["planned", "marked", "expunged"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_run_killed_while_it_deletes_is_completed_by_the_next(tmp_path: Path, name: str, count: int) -> None:
    with archived(tmp_path / "a") as scene:
        assert run_and_die(scene, name, count)
        report = scene.go()
        assert not report.problems(), told(report)
        assert (scene.inbox.uids(), scene.trash.uids()) == ([], [])
        assert scene.receipts().keys() == ALL
        assert all(scene.receipts().values())
        assert set(scene.states().values()) == {7}


def test_a_message_that_somebody_else_deletes_after_the_kill_is_proven_all_the_same(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        assert run_and_die(scene, "planned", 2)
        scene.inbox.expunge(4)
        assert scene.go().deleted == 5
        assert scene.inbox.uids() == []


def test_what_was_flagged_after_the_kill_loses_our_mark_and_stays(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        assert run_and_die(scene, "marked", 2)
        scene.inbox.change(4, flags=("\\Flagged", "\\Deleted"))
        report = scene.go()
        assert report.spared() == {deletion.FLAGGED: 1}
        assert [(one.uid, one.flags) for one in scene.inbox.messages] == [(4, ("\\Flagged",))]
        assert 4 not in scene.receipts()


def test_under_another_uidvalidity_the_receipt_stays_open(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        assert run_and_die(scene, "expunged", 2)
        scene.inbox.add(mail(77))
        scene.inbox.renumber()
        report = scene.go()
        assert not report.problems(), told(report)
        assert [uid for uid, deleted in scene.receipts().items() if deleted is None] == [2, 3, 4, 5, 6]
