# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_import: what it takes, says and leaves; check mode, diff, and options that cannot be used."""

from __future__ import annotations

import os
import typing as t
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, snapshot
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import HeldCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_import
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.import_scene import beside, everything, mail_of
from tests.unit.module_utils.archive.rebuild_scene import ALICE, BOB, verified
from tests.unit.module_utils.archive.rebuild_small import object_of, small

__all__ = ["small"]


def take(here: Archive, there: Archive, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    given = {"source": str(there.root), "reserve": 0, **options}
    return run_module(archive_import.main, check=check, root=str(here.root), **given)


@pytest.mark.shows("change", "again", "diff")
def test_users_are_taken_once(small: Archive) -> None:
    here = beside(small)
    result = take(here, small, users=[BOB.upper()], by="alice")
    assert (result["changed"], result["failed"]) == (True, False)
    told = "1 message of 1 user: 1 taken, 0 here already; 1 object copied; 1 row of 1 mailbox taken"
    assert result["msg"] == f"{here.root}: {small.root}: {told}"
    assert (result["diff"]["before"], result["diff"]["after"]) == ({BOB: {"messages": 0}}, {BOB: {"messages": 1}})
    (user,) = result["users"]
    figures = {"messages": 1, "new": 1, "known": 0, "copies": 0, "damaged": 0, "lost": 0}
    assert user == {"name": BOB, **figures, "objects_copied": 1, "objects_known": 0}
    assert result["imported"] == {**figures, "objects_copied": 1, "objects_known": 0, "users": 1, "users_made": 1}
    (mailbox,) = result["mailboxes"]
    assert (mailbox["mailbox"], mailbox["whole"], mailbox["new"]) == (BOB, True, 1)
    assert '"by":"alice"' in (here.root / "evidence/entries").read_text()
    assert result["checkpoint"] == (here.root / "evidence/checkpoint").read_text()
    again = take(here, small, users=[BOB])
    assert (again["changed"], "diff" in again, again["imported"]["known"], again["checkpoint"]) == (False, False, 1, "")
    more = take(here, small, users=[BOB], domains=["EXAMPLE.com"])
    assert (more["changed"], more["imported"]["new"], more["imported"]["known"]) == (True, 2, 1)
    assert mail_of(here) == mail_of(small)
    assert verified(here) == []


@pytest.mark.shows("check")
def test_check_mode_counts_and_writes_nothing(small: Archive) -> None:
    here = beside(small)
    before = everything(here.root), everything(small.root)
    with Store.open(str(here.root), lock="archive_run"):
        held = everything(here.root)
        result = take(here, small, check=True, servers=["mail1"])
        assert everything(here.root) == held
    assert (result["changed"], result["imported"]["new"], result["imported"]["users_made"]) == (True, 3, 2)
    assert "3 messages of 2 users: 3 would be taken, 0 here already; 3 objects to copy" in result["msg"]
    assert (everything(here.root).keys(), everything(small.root)) == (before[0].keys() | {"lock"}, before[1])


@pytest.mark.shows("error")
def test_what_cannot_be_read_fails_and_is_named(small: Archive) -> None:
    here = beside(small)
    path = object_of(small)
    path.chmod(0o640)
    path.write_bytes(b"rotten")
    result = take(here, small, servers=["mail1"])
    assert (result["failed"], result["changed"], result["imported"]["new"], result["imported"]["damaged"]) == (True, True, 2, 1)
    where = f"{ALICE}, folder {ALICE}/INBOX: {path}: the object is damaged"
    assert where in result["msg"] and "then import again" in result["msg"]
    # The placement, and the row of the message on the server.
    assert result["problem_count"] == len(result["problems"]) == 2
    assert verified(here) == []


def test_the_checkpoint_is_signed_and_kept_ones_are_compared(small: Archive) -> None:
    here = beside(small)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    result = take(here, small, users=[BOB], ledger_key=pem, ledger_origin="archive2/a")
    evidence_note.verify(result["checkpoint"], evidence_note.Signer(pem, "archive2/a").verifier_key)
    assert pem.splitlines()[1] not in str(result)
    other = take(
        beside(small, "third"), small, users=[BOB], ledger_origin="archive2/a", ledger_checkpoints=[result["checkpoint"]]
    )
    assert (other["failed"], other["imported"]["new"], other["checkpoint"]) == (True, 1, "")
    assert "the ledger was rolled back" in other["problems"][0]["cause"]


def test_while_a_run_goes_on_it_ends_well_and_says_so(small: Archive) -> None:
    here = beside(small)
    with Store.open(str(here.root), lock="archive_run"):
        result = take(here, small, users=[BOB])
    assert (result["changed"], result["failed"], result["holder"]["what"]) == (False, False, "archive_run")
    assert result["msg"].startswith("Nothing done: ")


def test_a_run_that_goes_on_there_is_told(small: Archive) -> None:
    here = beside(small)
    with Store.open(str(small.root), lock="archive_run") as store:
        store.begin("7")
        result = take(here, small, servers=["mail1"])
    assert (result["failed"], result["imported"]["new"]) == (False, 3)
    (warning,) = result["warnings"]
    assert warning.startswith(f"{small.root}: a run goes on there") and "import again" in warning


def test_a_copy_that_a_backup_made_will_do_and_one_with_an_older_catalog_will_not(small: Archive) -> None:
    snapshot.take(str(small.root))
    for name in ("catalog.sqlite3", "lock"):
        (small.root / name).unlink()
    here = beside(small)
    result = take(here, small, servers=["mail1"])
    assert (result["failed"], result["warnings"], mail_of(here)) == (False, [], mail_of(small))
    with (small.root / "evidence/entries").open("ab") as entries:
        entries.write(b'{"event":"archived"}\n')
    older = take(here, small, servers=["mail1"])
    assert older["failed"]
    assert "the catalog is older than the ledger" in older["msg"]


def test_a_snapshot_of_a_catalog_in_use_that_cannot_be_written_needs_a_backup(
    small: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = beside(small)
    with Catalog.open(small.catalog_file) as catalog:
        catalog.set_meta("in", "use")
        for had, figures in ((False, None), (True, 3)):
            if had:
                snapshot.take(str(small.root))
            with monkeypatch.context() as patched:
                patched.setattr(os, "access", lambda path, _mode: path != str(small.root))
                result = take(here, small, servers=["mail1"])
            assert result.get("imported", {}).get("new") == figures
            refusal = "no catalog that can be read as it is. Run backup.yml on its host before"
            assert (refusal in result["msg"]) is not had


def test_a_pipe_in_place_of_the_other_catalog_is_not_waited_at(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    here = beside(small)
    for path in small.root.glob("catalog.sqlite3*"):
        path.unlink()
    os.mkfifo(small.catalog_file)
    monkeypatch.setattr(HeldCatalog, "open", mock.Mock(side_effect=AssertionError))
    assert "no catalog that can be read as it is" in take(here, small, servers=["mail1"])["msg"]


USELESS: tuple[tuple[dict[str, t.Any], str], ...] = (
    ({}, "users, domains, servers: nobody is chosen. Name users, domains or servers"),
    ({"servers": [""], "domains": [" "]}, "users, domains, servers: nobody is chosen. Name users, domains or servers"),
    ({"users": ["nobody@example.com"]}, "users: nobody in the other archive comes by nobody@example.com. Correct the name"),
    ({"servers": ["mail9"]}, "servers: nobody in the other archive comes by mail9."),
    ({"domains": ["else.example"]}, "domains: nobody in the other archive comes by else.example."),
    ({"servers": ["mail1"], "source": "/nowhere"}, "source: /nowhere: it holds no archive. Mount it"),
    ({"servers": ["mail1"], "source": "."}, "it is this archive itself, or one of both lies within the other"),
    ({"servers": ["mail1"], "source": "objects"}, "it is this archive itself, or one of both lies within the other"),
    ({"servers": ["mail1"], "reserve": -1}, "reserve: -1 cannot be used. Give a whole number from 0"),
)


def test_options_that_cannot_be_used(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    here = beside(small)
    monkeypatch.chdir(here.root)
    for options, words in USELESS:
        for check in (False, True):
            result = take(here, small, check=check, **options)
            assert result["failed"] and not result["changed"]
            assert words in result["msg"]
    assert (here.tree(), here.rows("SELECT count(*) FROM runs")) == ([], [(0,)])
