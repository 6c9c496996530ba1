# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that root made goes to an account: the whole of it, in one go or in several."""

from __future__ import annotations

import dataclasses
import os
import pwd
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_state, job_outcome, store_handover, store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_lock import RootLock
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, StoreError
from tests.play.trees import tree

ACCOUNT = pwd.getpwnam("nobody")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="no right to be another user on this machine")


@pytest.fixture(autouse=True)
def synced(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Whose the root and its content are each time that all disks are synced, which takes long where others write."""
    seen: list[set[int]] = []
    root = str(open_path / "archive")
    monkeypatch.setattr(store_handover.os, "sync", lambda: seen.append(owners(root)))
    return seen


@pytest.fixture
def wish(open_path: Path) -> store_setup.Wish:
    """What is declared of an archive that root has used: an object with two names, a job, and a link that somebody put there."""
    wish = store_setup.Wish(str(open_path / "archive"))
    store_setup.ensure(wish, check_mode=False)
    with Store.open(wish.root) as store:
        store.put(b"message", 0)
    (one,) = [path for path in Path(wish.root, "objects").rglob("*") if path.is_file()]
    cur = Path(wish.root, "mail", "alice", "cur")
    cur.mkdir(parents=True)
    os.link(one, cur / "1.a")
    (open_path / "of root").touch()
    Path(wish.root, "mail", "link").symlink_to(open_path / "of root")
    Path(wish.root, "jobs", "archive_run").mkdir(mode=0o700)
    Path(wish.root, "jobs", "archive_run.lock").touch(mode=0o600)
    return dataclasses.replace(wish, owner=ACCOUNT.pw_name)


def owners(root: str) -> set[int]:
    return {path.lstat().st_uid for path in (Path(root), *Path(root).rglob("*"))}


def test_archive_of_somebody_else_is_refused_until_it_is_taken_over(wish: store_setup.Wish) -> None:
    before = tree(Path(wish.root))
    for check_mode in (True, False):
        with pytest.raises(StoreError, match=r"belongs to root and is to belong to nobody.*archive_host_take_over=true"):
            store_setup.ensure(wish, check_mode=check_mode)
    assert (tree(Path(wish.root)), owners(wish.root)) == (before, {0})


def test_archive_is_handed_over_as_a_whole_and_once(wish: store_setup.Wish, open_path: Path, synced: list[set[int]]) -> None:
    taken = dataclasses.replace(wish, take_over=True)
    check = store_setup.ensure(taken, check_mode=True)
    assert (check.changed, check.diff["after"]["uid"], owners(wish.root)) == (True, ACCOUNT.pw_uid, {0})
    done = store_setup.ensure(taken, check_mode=False)
    assert done.changed and done.msg.endswith("the archive was handed over to its new owner")
    assert owners(wish.root) == {ACCOUNT.pw_uid}
    assert synced == [{0, ACCOUNT.pw_uid}], "durable before the root tells that all is done"
    assert (open_path / "of root").stat().st_uid == 0
    again = store_setup.ensure(taken, check_mode=False)
    assert not again.changed
    assert not store_setup.ensure(wish, check_mode=False).changed
    # What a run does: with fs.protected_hardlinks nobody else could.
    with job_account.acting(ACCOUNT.pw_name):
        (one,) = [path for path in Path(wish.root, "objects").rglob("*") if path.is_file()]
        os.link(one, Path(wish.root, "mail", "alice", "cur", "2.a"))
    assert one.stat().st_nlink == 3


def test_interrupted_hand_over_goes_on(wish: store_setup.Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = dataclasses.replace(wish, take_over=True)
    calls: list[t.Any] = []
    change = os.chown

    def failing(*args: t.Any, **more: t.Any) -> None:
        calls.append(args)
        if len(calls) > 20:
            raise OSError(5, "Input/output error")
        change(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(store_handover.os, "chown", failing)
        with pytest.raises(StoreError, match="Input/output error"):
            store_setup.ensure(taken, check_mode=False)
    assert owners(wish.root) == {0, ACCOUNT.pw_uid}
    with pytest.raises(StoreError, match="belongs to root"):
        store_setup.ensure(wish, check_mode=False)
    assert store_setup.ensure(taken, check_mode=False).changed
    assert owners(wish.root) == {ACCOUNT.pw_uid}


def test_nothing_is_handed_over_while_something_is_under_way(wish: store_setup.Wish) -> None:
    taken = dataclasses.replace(wish, take_over=True)
    lock = RootLock(f"{wish.root}/lock", "archive_run")
    with pytest.raises(BusyError, match="archive_run"):
        store_setup.ensure(taken, check_mode=False)
    lock.release()
    reading = RootLock(f"{wish.root}/jobs/archive_run.lock", "a job has this lock")
    with pytest.raises(BusyError, match="a job is under way"):
        store_setup.ensure(taken, check_mode=False)
    reading.release()
    assert owners(wish.root) == {0}


def test_new_archive_is_made_by_its_owner_with_the_group_that_reads(open_path: Path) -> None:
    wish = store_setup.Wish(str(open_path / "archive"), ACCOUNT.pw_name, "games")
    assert store_setup.ensure(wish, check_mode=False).changed
    found = {(path.stat().st_uid, path.stat().st_gid) for path in (Path(wish.root), *Path(wish.root).rglob("*"))}
    assert found == {(ACCOUNT.pw_uid, Path(wish.root).stat().st_gid)}
    folders = [path for path in Path(wish.root).rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o7777 for path in folders} == {0o2750}
    assert not store_setup.ensure(wish, check_mode=False).changed


def test_trees_for_readers_are_made_by_the_owner_who_cannot_lead_root_elsewhere(wish: store_setup.Wish, open_path: Path) -> None:
    store_setup.ensure(dataclasses.replace(wish, take_over=True), check_mode=False)
    closed = open_path / "closed"
    closed.mkdir(mode=0o700)
    Path(wish.root, "mail", "bob").symlink_to(closed)
    bob, carol = (t.cast("t.Any", types.SimpleNamespace(tree=name)) for name in ("bob", "carol"))
    with pytest.raises((StoreError, OSError)):
        access_state.make_trees(wish.root, [bob])
    assert list(closed.iterdir()) == []
    access_state.make_trees(wish.root, [carol])
    assert owners(f"{wish.root}/mail/carol") == {ACCOUNT.pw_uid}


def test_lock_that_leads_elsewhere_is_not_written_to(wish: store_setup.Wish, open_path: Path) -> None:
    (open_path / "of root").write_text("kept")
    lock = Path(wish.root, "lock")
    lock.unlink(missing_ok=True)
    lock.symlink_to(open_path / "of root")
    with pytest.raises(StoreError, match=r"lock: Too many levels of symbolic links\. Take away the symbolic link"):
        store_setup.ensure(dataclasses.replace(wish, take_over=True), check_mode=False)
    assert (open_path / "of root").read_text() == "kept"


def test_pipe_in_place_of_the_lock_of_a_job_is_not_waited_for(wish: store_setup.Wish) -> None:
    os.mkfifo(Path(wish.root, "jobs", "pipe.lock"))
    store_setup.ensure(dataclasses.replace(wish, take_over=True), check_mode=False)
    assert owners(wish.root) == {ACCOUNT.pw_uid}


def test_catalog_of_somebody_else_is_an_archive_of_somebody_else(wish: store_setup.Wish) -> None:
    """As a copy that root has put into an archive root that was made before."""
    taking = dataclasses.replace(wish, take_over=True)
    store_setup.ensure(taking, check_mode=False)
    assert not store_setup.ensure(taking, check_mode=True).changed
    for path in Path(wish.root).rglob("*"):
        os.chown(path, 0, -1, follow_symlinks=False)
    with pytest.raises(StoreError, match="belongs to root and is to belong to nobody"):
        store_setup.ensure(wish, check_mode=False)
    assert store_setup.ensure(taking, check_mode=False).changed
    assert owners(wish.root) == {ACCOUNT.pw_uid}


def test_job_of_an_account_is_refused_in_an_archive_of_somebody_else(wish: store_setup.Wish) -> None:
    @job_outcome.as_account
    def declare(_params: t.Any, _check_mode: bool) -> dict[str, t.Any]:
        return {"by": os.geteuid()}

    params = {"root": wish.root, "job_service": {"user": ACCOUNT.pw_name}}
    with pytest.raises(StoreError, match=r"belongs to root and is to belong to nobody\. Run configure\.yml"):
        declare(params, False)
    assert declare({**params, "job_service": None}, False) == {"by": 0}
    assert declare(params, True) == {"by": ACCOUNT.pw_uid}
    assert declare({**params, "root": f"{wish.root}/none"}, False) == {"by": ACCOUNT.pw_uid}
    store_setup.ensure(dataclasses.replace(wish, take_over=True), check_mode=False)
    assert declare(params, False) == {"by": ACCOUNT.pw_uid}
