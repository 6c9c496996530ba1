# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the directories of an export are while it goes on, and afterwards."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export as export_work
from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_dest, export_manifest, export_own
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Rights
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError, StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.export_scene import ALICE, BOB, exported, files, furnished, of_manifest, placed

# Somebody else where that can be; for one who is not root, directories that the group may write to have to do.
AUDITOR = 1234 if os.geteuid() == 0 else os.geteuid()
RIGHTS = Rights(AUDITOR, -1, 0o660)
CLOSED = {(os.geteuid(), 0o700)}
OPEN = {(AUDITOR, 0o770)}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(export_own, "ROOT", os.geteuid())
    return furnished(tmp_path)


def folders(dest: Path) -> set[tuple[int, int]]:
    """Owner and mode of dest and all directories below it."""
    found = (path.stat() for path in (dest, *dest.rglob("*")) if path.is_dir())
    return {(facts.st_uid, facts.st_mode & 0o7777) for facts in found}


def more(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(60))
    archive.servers.folder("mail1", BOB, "Fresh/deep").add(mail(61))
    archive.run(processes=1)


@pytest.mark.parametrize("form", ["mbox", "maildir"])
def test_while_an_export_writes_nobody_else_can_reach_in_and_then_all_is_handed_over(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    dest = tmp_path / "dest"
    seen: set[tuple[int, int]] = set()
    given: list[str] = []

    def event(self: export_dest.Destination, path: str | int, *, folder: bool = False) -> None:
        if folder:
            given.append(str(Path(f"/proc/self/fd/{path}").readlink()))
        else:
            seen.update(folders(dest))
        original(self, path, folder=folder)

    original = export_dest.Destination._set_rights
    monkeypatch.setattr(export_dest.Destination, "_set_rights", event)
    for _ in range(2):
        given.clear()
        done = exported(archive, dest, form, rights=RIGHTS)
        assert (done.warnings, done.amended, done.new > 0) == ([], 0, True)
        assert (seen, folders(dest)) == (CLOSED, OPEN)
        assert given[-1] == str(dest) and set(given) == {str(path) for path in (dest, *dest.rglob("*")) if path.is_dir()}
        assert all(given.index(path) < given.index(str(Path(path).parent)) for path in given[:-1])
        more(archive)
    exported(archive, dest, form, rights=RIGHTS)
    assert of_manifest(dest) == placed(archive)


def test_an_export_that_has_nothing_to_write_takes_nothing_back(archive: Archive, tmp_path: Path) -> None:
    def facts() -> dict[Path, int]:
        return {path: path.stat().st_ctime_ns for path in (dest, *dest.rglob("*"))}

    dest = tmp_path / "dest"
    exported(archive, dest, rights=RIGHTS)
    before = facts()
    again = exported(archive, dest, rights=RIGHTS)
    assert (again.changed, again.messages, again.amended, facts() == before) == (False, sum(placed(archive).values()), 0, True)
    more(archive)
    assert exported(archive, dest, rights=RIGHTS, write=False).new == 2
    assert facts() == before


def test_what_is_swapped_just_before_it_is_taken_back_is_refused(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest, theirs = tmp_path / "dest", tmp_path / "theirs"
    exported(archive, dest, rights=RIGHTS)
    more(archive)
    theirs.mkdir(0o770)

    def look(*arguments: t.Any) -> None:
        original(*arguments)
        (dest / ALICE).rename(dest / "kept")
        (dest / ALICE).symlink_to(theirs)

    original = export_work._look
    before = (theirs.stat().st_ctime_ns, list(theirs.iterdir()))
    monkeypatch.setattr(export_work, "_look", look)
    with pytest.raises(StoreError, match="it is a symbolic link"):
        exported(archive, dest, rights=RIGHTS)
    assert (theirs.stat().st_ctime_ns, list(theirs.iterdir())) == before
    assert folders(dest) - {(facts.st_uid, facts.st_mode & 0o7777) for facts in (theirs.stat(),)} <= OPEN


def test_a_dest_that_is_swapped_itself_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_own, "ROOT", os.geteuid())
    dest, other = tmp_path / "dest", tmp_path / "other"
    dest.mkdir()
    other.mkdir()
    other.chmod(0o755)
    descriptor = os.open(dest, os.O_RDONLY)
    dest.rename(tmp_path / "moved")
    dest.symlink_to(other)
    with pytest.raises(BusyError, match="somebody put something else in its place"):
        export_own.take_back(str(dest), str(dest), descriptor)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        export_dest._locked(str(dest), str(dest))
    os.close(descriptor)
    assert other.stat().st_mode & 0o777 == 0o755


def test_the_sums_are_not_those_of_files_outside_whatever_others_write_to_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"offset": 0, "file": "../secret"}\n', "ascii")
    (tmp_path / "secret").touch()
    manifest = export_manifest.Manifest(str(tmp_path))
    with pytest.raises(StoreError, match="somebody changed it during the export"):
        export_manifest.sums(manifest, str(tmp_path / "dest"), {}, tmp_path / "sums")


def test_a_killed_export_leaves_it_closed_and_the_next_hands_over_what_others_selected_too(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "dest"
    exported(archive, dest, users=(ALICE,), rights=RIGHTS)
    with monkeypatch.context() as patch:
        patch.setattr(export_dest.Destination, "_hand_over", lambda _self: None)
        exported(archive, dest, users=(BOB,), extend=True, rights=RIGHTS)
    assert folders(dest) == CLOSED
    (dest / "lost+found").mkdir(0o700)
    would, done, again = (exported(archive, dest, users=(BOB,), rights=RIGHTS, write=write) for write in (False, True, True))
    assert (would.amended, done.amended, done.changed, again.changed) == (done.amended, would.amended, True, False)
    assert folders(dest) == OPEN | CLOSED
    (dest / "lost+found").rmdir()
    assert folders(dest) == OPEN


def test_other_rights_are_those_of_dest_as_well_when_the_export_made_it(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    exported(archive, dest)
    assert json.loads((dest / "export.json").read_bytes())["made"] is True
    assert exported(archive, dest, rights=Rights(mode=0o640)).changed
    assert folders(dest) == {(os.geteuid(), 0o750)}
    assert not exported(archive, dest, rights=Rights(mode=0o640)).changed
    dest.chmod(0o755)
    again = [exported(archive, dest, rights=Rights(mode=0o640), write=write) for write in (False, True, True)]
    assert [(one.changed, one.amended) for one in again] == [(True, 1), (True, 1), (False, 0)]
    assert folders(dest) == {(os.geteuid(), 0o750)}


def test_the_rights_of_a_dest_that_the_operator_made_stay_unless_others_could_write_to_it(
    archive: Archive, tmp_path: Path
) -> None:
    rights, told = Rights(-1, 4321, 0o600), "neither the owner nor the group of what is exported can enter it"
    for mode, warned in ((0o700, True), (0o711, False)):
        dest = tmp_path / f"{mode:o}"
        dest.mkdir()
        dest.chmod(mode)
        assert [told in one for one in exported(archive, dest, rights=rights, write=False).warnings] == [True] * warned
        exported(archive, dest)
        assert (dest.stat().st_mode & 0o777, json.loads((dest / "export.json").read_bytes())["made"]) == (mode, False)
    opened = tmp_path / "opened"
    opened.mkdir()
    opened.chmod(0o775)
    (warning,) = exported(archive, opened).warnings
    assert "others owned it or could write to it" in warning
    assert folders(opened) == CLOSED and exported(archive, opened).warnings == []
    dest.chmod(0o770)
    assert exported(archive, dest, rights=Rights(mode=0o640)).new == 0
    assert (folders(dest), json.loads((dest / "export.json").read_bytes())["made"]) == ({(os.geteuid(), 0o750)}, True)


@pytest.mark.parametrize("link", [False, True])
def test_a_dest_whose_ancestor_others_may_write_to_is_refused(archive: Archive, tmp_path: Path, link: bool) -> None:
    above = tmp_path / "above"
    above.mkdir()
    dest = above / "dest"
    if link:
        dest = tmp_path / "link"
        dest.symlink_to("above/../above/dest")
        (above / "dest").mkdir()
    for mode in (0o770, 0o757):
        above.chmod(mode)
        for write in (False, True):
            with pytest.raises(InputError, match=f"others than root own {above} or may write to it"):
                exported(archive, dest, write=write)
    assert files(above) == set()
    above.chmod(0o1777)
    assert exported(archive, dest).new == sum(placed(archive).values())


@pytest.mark.parametrize("links", [False, True])
def test_what_cannot_be_taken_back_is_refused_where_there_can_be_links(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no(*_: t.Any, **__: t.Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    dest = tmp_path / "dest"
    dest.mkdir()
    dest.chmod(0o770)
    monkeypatch.setattr(os, "fchmod", no)
    if links:
        with pytest.raises(StoreError, match="the file system does not let that be changed"):
            exported(archive, dest)
        assert list(dest.iterdir()) == []
    else:
        monkeypatch.setattr(os, "symlink", no)
        assert exported(archive, dest).new == sum(placed(archive).values())
