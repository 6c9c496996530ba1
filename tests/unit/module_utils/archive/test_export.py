# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports: what is there afterwards, what again does, and what is damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
import zstandard

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export as export_work
from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_dest
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Rights
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, BusyError, StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.export_scene import (
    ALICE,
    BOB,
    ODD,
    damage,
    entries,
    exported,
    files,
    furnished,
    lines,
    mboxrd,
    of_manifest,
    placed,
)

FORMS = ("mbox", "eml", "maildir")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return furnished(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_everything_is_there_once_and_can_be_checked_by_others(archive: Archive, tmp_path: Path, form: str) -> None:
    dest = tmp_path / "dest"
    would = exported(archive, dest, form, write=False)
    assert not dest.exists()
    done = exported(archive, dest, form)
    assert (would.new, would.new_bytes, would.diff()) == (done.new, done.new_bytes, done.diff())
    assert of_manifest(dest) == placed(archive)
    assert {line["file"] for line in lines(dest)} | {"manifest.jsonl", "SHA256SUMS", "export.json"} == files(dest)
    checked = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=dest, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.count(": OK\n")) == (0, len(files(dest)) - 2), checked.stdout
    assert {path.stat().st_mode & 0o777 for path in dest.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (dest, *dest.rglob("*")) if path.is_dir()} == {0o700}

    before = {name: (dest / name).stat().st_ino for name in files(dest)}
    again = exported(archive, dest, form)
    assert (again.changed, again.new, again.messages) == (False, 0, done.messages)
    assert {name: (dest / name).stat().st_ino for name in files(dest)} == before
    assert [entry["outcome"] for entry in entries(archive)] == ["begun", "done"]


def test_a_line_of_the_manifest_says_where_a_message_came_from(archive: Archive, tmp_path: Path) -> None:
    exported(archive, tmp_path / "dest", "maildir")
    exported(archive, tmp_path / "flagged", "maildir", users=(ALICE,), since=8_000, before=8_001)
    # Alice has a message of Bob's too, which is nobody's business who is given Bob's mail.
    assert all({source["mailbox"] for source in line["sources"]} == {line["user"]} for line in lines(tmp_path / "dest"))
    digest = hashlib.sha256(mail(1)).hexdigest()
    (shared,) = [line for line in lines(tmp_path / "dest") if (line["user"], line["sha256"]) == (BOB, digest)]
    assert shared["sources"] == [{"server": "mail1", "mailbox": BOB, "folder": "sent/a:b", "uidvalidity": 1, "uid": 1}]
    assert (shared["user"], shared["folder"]) == (BOB, [BOB, "sent", "a:b"])
    (flagged,) = lines(tmp_path / "flagged")
    assert (flagged["flags"], flagged["date"]) == (["\\Flagged", "\\Answered"], "1970-01-01T02:13:20Z")
    assert flagged["file"].startswith(f"{ALICE}/{ALICE}/INBOX/cur/8000.") and flagged["file"].endswith(",S=105:2,FR")
    assert (tmp_path / "flagged" / flagged["file"]).stat().st_mtime == 8_000
    assert all((tmp_path / "flagged" / ALICE / ALICE / "INBOX" / part).is_dir() for part in ("new", "tmp"))


def test_dates_are_half_open_and_patterns_are_for_true_names(archive: Archive, tmp_path: Path) -> None:
    def count(**more: t.Any) -> int:
        return exported(archive, tmp_path / "dest", write=False, **more).messages

    assert count(users=("a.liddell@example.com",), since=2_000, before=4_000) == 2
    assert count(folders=("*/sent",)) == 5
    assert count(folders=("*/sent",), exclude=("*/CON",)) == 4
    assert count(folders=(f"{BOB}/sent/a:b",)) == 2
    nothing = exported(archive, tmp_path / "dest", write=False, folders=("INBOX",))
    assert (nothing.messages, nothing.warnings) == (
        0,
        ["No folder of these users matches 'INBOX': a pattern is for the whole name"],
    )


def test_leavers_are_known_by_their_names(archive: Archive, tmp_path: Path) -> None:
    with Catalog.open(archive.catalog_file) as catalog:
        bob = catalog.addresses()[BOB]
        catalog.apply_users([UserStep(bob, UserValues(name=BOB, origin="inventory"), delete=True)])
        assert BOB not in catalog.addresses()
    assert exported(archive, tmp_path / "dest", write=False, users=(BOB,)).messages == 3
    assert exported(archive, tmp_path / "dest", write=False).messages == sum(placed(archive).values())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_new_is_added_and_what_is_missing_or_cut_is_written_again(archive: Archive, tmp_path: Path, form: str) -> None:
    dest = tmp_path / "dest"
    exported(archive, dest, form)
    before = {(line["sha256"], line["file"]) for line in lines(dest)}
    archive.servers.folder("mail1", ALICE).add(mail(8), mail(9))
    archive.run(processes=1)
    more = exported(archive, dest, form)
    assert (more.changed, more.new) == (True, 2)
    assert of_manifest(dest) == placed(archive)
    assert before < {(line["sha256"], line["file"]) for line in lines(dest)}

    (gone, cut) = sorted({line["file"] for line in lines(dest)})[:2]
    (dest / gone).unlink()
    os.truncate(dest / cut, 3)
    would = exported(archive, dest, form, write=False)
    mended = exported(archive, dest, form)
    assert (would.changed, would.new, mended.new) == (True, mended.new, would.new) and mended.new >= 2
    assert of_manifest(dest) == placed(archive)
    assert not exported(archive, dest, form).changed


def test_an_mbox_that_somebody_changed_stays_beside_the_new_one(archive: Archive, tmp_path: Path) -> None:
    exported(archive, tmp_path / "dest", "mbox", users=(ALICE,))
    path = tmp_path / "dest" / ALICE / ALICE / "Sent.mbox"
    path.write_bytes(path.read_bytes() + b"From me\n\nsomething of my own\n\n")
    changed = path.read_bytes()
    done = exported(archive, tmp_path / "dest", "mbox", users=(ALICE,))
    assert done.warnings == [f"{ALICE}/{ALICE}/Sent.mbox is not as it was written; it stays, as {ALICE}/{ALICE}/Sent.mbox.1"]
    assert path.with_name("Sent.mbox.1").read_bytes() == changed
    assert len(of_manifest(tmp_path / "dest")) == len(ODD) + 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole_bytes", [export_work.WHOLE_BYTES, 0])
def test_damage_is_left_out_and_told_and_the_rest_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, whole_bytes: int
) -> None:
    monkeypatch.setattr(export_work, "WHOLE_BYTES", whole_bytes)
    dest = tmp_path / "dest"
    path = archive.root / "objects" / hashlib.sha256(ODD[1]).hexdigest()[:2] / hashlib.sha256(ODD[1]).hexdigest()
    whole = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(zstandard.compress(b"an intact frame of other bytes: only the digest tells"))
    done = exported(archive, dest, form)
    assert (done.failed, done.damaged, done.damage[0]["subject"]) == (True, 1, str(path))
    assert "1 could not be exported" in done.sentence() and "Run archive_repair" in done.sentence()
    missing = placed(archive) - of_manifest(dest)
    assert [digest for _, _, digest in missing] == [hashlib.sha256(ODD[1]).hexdigest()]
    if form == "mbox":
        left = [body for body in (*ODD, mail(1), mail(2)) if body != ODD[1]]
        ended = [body if body.endswith(b"\n") else body + b"\n" for body in left]
        assert mboxrd(dest / ALICE / ALICE / "INBOX.mbox") == ended
    again = exported(archive, dest, form)
    assert (again.changed, again.failed, again.new) == (False, True, 0)
    path.write_bytes(whole)
    assert (exported(archive, dest, form).new, of_manifest(dest)) == (1, placed(archive))
    outcomes = [entry["outcome"] for entry in entries(archive)]
    # Of a large message some bytes may have been read before anybody could tell.
    assert outcomes == ["begun", "incomplete", *(["begun", "incomplete"] if not whole_bytes else []), "begun", "done"]


def test_where_all_that_is_left_to_do_is_damaged_nobody_is_told_that_all_is_there(archive: Archive, tmp_path: Path) -> None:
    damage(archive, ODD[0])
    told = [exported(archive, tmp_path / "dest").sentence() for _ in range(2)]
    assert ("12 of 13 messages" in told[0], "0 of 13 messages" in told[1]) == (True, True), told


def test_what_is_declared_lost_is_left_out_and_counted(archive: Archive, tmp_path: Path) -> None:
    damage(archive, ODD[0]).unlink()
    with Catalog.open(archive.catalog_file) as catalog:
        catalog.declare_lost({hashlib.sha256(ODD[0]).digest(): len(ODD[0])}, "admin", "gone")
    done = exported(archive, tmp_path / "dest")
    assert (done.failed, done.lost, done.new) == (False, 1, sum(placed(archive).values()) - 1)


def test_rights_are_given_and_kept_up(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    exported(archive, dest)
    group = Rights(mode=0o640)
    would, done, again = (exported(archive, dest, rights=group, write=write) for write in (False, True, True))
    assert (would.changed, would.amended, done.amended, again.changed) == (True, done.amended, would.amended, False)
    assert {path.stat().st_mode & 0o777 for path in dest.rglob("*") if path.is_file()} == {0o640}
    assert {path.stat().st_mode & 0o777 for path in dest.rglob("*") if path.is_dir()} == {0o750}


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "format": ({"form": "mbox"}, 'with format: "eml", not format: "mbox"'),
    "selection": ({"users": (BOB,)}, "an export of another selection, with users: null"),
    "user": ({"users": (BOB, "eve@example.com")}, "the archive has no user eve@example.com"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_export_into_the_same_dest_is_refused(archive: Archive, tmp_path: Path, name: str) -> None:
    options, told = REFUSED[name]
    exported(archive, tmp_path / "dest")
    before = files(tmp_path / "dest")
    for write in (False, True):
        with pytest.raises(ArchiveToolError, match=told):
            exported(archive, tmp_path / "dest", write=write, **options)
    assert files(tmp_path / "dest") == before


def test_another_selection_is_added_when_that_is_said(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    assert exported(archive, dest, "mbox", users=(BOB,)).new == 3
    assert exported(archive, dest, "mbox", extend=True).new == sum(placed(archive).values()) - 3
    assert of_manifest(dest) == placed(archive)
    assert not exported(archive, dest, "mbox", users=(BOB,)).changed


def test_a_dest_with_foreign_files_a_full_disk_and_another_export(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "theirs").touch()
    with pytest.raises(StoreError, match="it is not empty and holds no export"):
        exported(archive, foreign)
    with export_dest.Destination(str(tmp_path / "dest"), Rights()), pytest.raises(BusyError, match="another export writes to it"):
        exported(archive, tmp_path / "dest")
    monkeypatch.setattr(export_dest.filesystem, "space", lambda _path: export_dest.filesystem.Space(1000, None))
    with pytest.raises(StoreError, match="1,000 bytes are free, the export takes about"):
        exported(archive, tmp_path / "dest", write=False)
    assert files(foreign) == {"theirs"}


def test_a_user_who_was_renamed_has_the_new_name_in_new_lines_and_the_old_directory(archive: Archive, tmp_path: Path) -> None:
    exported(archive, tmp_path / "dest")
    with Catalog.open(archive.catalog_file) as catalog:
        (alice,) = (user for user in catalog.users() if user.name == ALICE)
        values = UserValues(name="liddell@example.com", origin="inventory", addresses=(ALICE,), server="mail1")
        catalog.apply_users([UserStep(alice.id, values)])
    archive.servers.folder("mail1", ALICE).add(mail(50))
    archive.servers.folder("mail1", ALICE, "Fresh").add(mail(51))
    archive.run(processes=1)
    exported(archive, tmp_path / "dest")
    told = {(line["user"], line["tree"], line["file"].split("/")[0]) for line in lines(tmp_path / "dest")[-2:]}
    assert told == {("liddell@example.com", ALICE, ALICE)}


@pytest.mark.parametrize("other", [{"form": "mbox"}, {"users": (BOB,)}])
def test_after_too_little_room_there_may_be_another_selection_or_form(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, t.Any]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(export_dest.filesystem, "space", lambda _path: export_dest.filesystem.Space(1 << 30, 2))
        with pytest.raises(StoreError, match="2 inodes are free"):
            exported(archive, tmp_path / "dest")
    assert not files(tmp_path / "dest")
    done = exported(archive, tmp_path / "dest", **other)
    assert done.new == done.messages > 0


def test_an_export_that_came_to_its_end_while_another_began_is_not_mixed_with_it(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(self: export_work.ExportCatalog) -> None:
        original(self)
        patch.undo()
        exported(archive, tmp_path / "dest", "mbox", users=(ALICE,))

    original = export_work.ExportCatalog.prepare
    with monkeypatch.context() as patch:
        patch.setattr(export_work.ExportCatalog, "prepare", prepare)
        with pytest.raises(BusyError, match="another export wrote to it just now"):
            exported(archive, tmp_path / "dest", "eml", users=(BOB,))
    assert {line["user"] for line in lines(tmp_path / "dest")} == {ALICE}


@pytest.mark.parametrize(
    "name", ["SHA256SUMS", "export.json", "manifest.jsonl", ".kerio-archive-export", f"{ALICE}/{ALICE}/Sent"]
)
def test_whom_an_export_belongs_to_cannot_have_it_reach_elsewhere(archive: Archive, tmp_path: Path, name: str) -> None:
    dest, theirs = tmp_path / "dest", tmp_path / "theirs"
    exported(archive, dest)
    if (dest / name).exists():
        (dest / name).rename(theirs)
    else:
        theirs.mkdir()
        (theirs / "file").touch()
    (dest / name).symlink_to(theirs)
    before = {path: (path.stat().st_ctime_ns, path.stat().st_size) for path in (theirs, *theirs.rglob("*"))}
    with pytest.raises(StoreError, match="it is a symbolic link, and an export makes none"):
        exported(archive, dest, rights=Rights(mode=0o640))
    assert {path: (path.stat().st_ctime_ns, path.stat().st_size) for path in (theirs, *theirs.rglob("*"))} == before


def test_what_becomes_a_link_while_an_export_goes_on_does_not_have_rights_set_elsewhere(tmp_path: Path) -> None:
    theirs, link, closed = tmp_path / "theirs", tmp_path / "dest/link", tmp_path / "dest/closed"
    theirs.touch(0o600)
    with export_dest.Destination(str(tmp_path / "dest"), Rights(os.geteuid(), os.getegid(), 0o640)) as dest:
        link.symlink_to(theirs)
        closed.touch(0o000)
        with contextlib.suppress(OSError):  # some kernels have modes of links
            dest.set_rights(str(link))
        dest.set_rights(str(closed))
    assert (theirs.stat().st_mode & 0o777, closed.stat().st_mode & 0o777) == (0o600, 0o640)


def test_the_journal_of_an_mbox_cannot_name_a_file_outside(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    exported(archive, dest, "mbox")
    staging = dest / ".kerio-archive-export"
    staging.mkdir()
    head = {"key": ["tree", "user", ["folder"]], "base": 0, "file": "../outside.mbox"}
    line = {**lines(dest)[0], "tree": "tree", "folder": ["folder"]}
    stem = hashlib.sha256(b"../outside.mbox").hexdigest()[:32]
    (staging / f"{stem}.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n", "ascii")
    (staging / f"{stem}.part").write_bytes(b"x" * 1_000)
    exported(archive, dest, "mbox")
    assert not (tmp_path / "outside.mbox").exists() and of_manifest(dest) == placed(archive)
