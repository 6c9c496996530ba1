# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports that are cut short: what they leave, and what the next one does with it."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export as export_work
from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_dest, export_write
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_known import Standing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Syncer
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, StoreError
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.export_scene import (
    entries,
    exported,
    files,
    furnished,
    lines,
    mboxrd,
    message,
    of_manifest,
    placed,
)

FORMS = ("mbox", "eml", "maildir")
# Events of the interpreter that change a file or directory.
CHANGING = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return furnished(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_fills_up_is_told_and_the_next_export_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    dest = tmp_path / "dest"
    monkeypatch.setattr(export_dest, "BATCH_FILES", 2)
    written = []

    def settle(self: export_dest.Destination) -> None:
        written.append(self)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self)

    original = export_dest.Destination.settle
    with monkeypatch.context() as patch:
        patch.setattr(export_dest.Destination, "settle", settle)
        with pytest.raises(StoreError, match="No space left on device"):
            exported(archive, dest, form)
    assert not json.loads((dest / "export.json").read_bytes())["complete"]
    kept = {name: (dest / name).stat().st_ino for name in files(dest) if "@" in name and not name.startswith(".")}
    assert kept
    done = exported(archive, dest, form)
    assert done.new < done.messages
    assert {name: (dest / name).stat().st_ino for name in kept} == kept
    assert of_manifest(dest) == placed(archive)
    assert [entry["outcome"] for entry in entries(archive)] == ["begun", "failed", "begun", "done"]


def test_bytes_are_durable_before_they_have_their_name(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    named: list[str] = []
    sync, replace = Syncer.sync, os.replace

    def syncing(self: Syncer, written: t.Any) -> None:
        synced.update(written.files)
        sync(self, written)

    def replacing(source: str | Path, target: str) -> None:
        if "@" in str(target):
            assert os.path.relpath(source, tmp_path / "dest") in synced
            named.append(target)
        replace(source, target)

    monkeypatch.setattr(Syncer, "sync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    done = exported(archive, tmp_path / "dest")
    assert len(named) == done.new


def test_a_file_that_only_the_manifest_lacks_is_not_written_again(archive: Archive, tmp_path: Path) -> None:
    exported(archive, tmp_path / "dest")
    *_, last = lines(tmp_path / "dest")
    inode = (tmp_path / "dest" / last["file"]).stat().st_ino
    manifest = tmp_path / "dest" / "manifest.jsonl"
    os.truncate(manifest, manifest.read_bytes().rstrip().rfind(b"\n") + 1)
    done = exported(archive, tmp_path / "dest")
    assert (done.changed, done.new, (tmp_path / "dest" / last["file"]).stat().st_ino) == (True, 0, inode)
    assert of_manifest(tmp_path / "dest") == placed(archive)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_was_cut_short_when_all_was_there_still_gets_its_last_entry(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(export_work.export_manifest, "sums", killed)
        exported(archive, tmp_path / "dest", form)
    done, again = (exported(archive, tmp_path / "dest", form) for _ in range(2))
    assert (done.changed, done.new, again.changed) == (True, 0, False)
    told = [(entry["outcome"], entry.get("manifest", "")) for entry in entries(archive)]
    assert told == [("begun", ""), ("done", hashlib.sha256((tmp_path / "dest/manifest.jsonl").read_bytes()).hexdigest())]


@pytest.mark.parametrize("form", FORMS)
def test_what_somebody_wrote_behind_the_last_line_of_the_manifest_goes(archive: Archive, tmp_path: Path, form: str) -> None:
    exported(archive, tmp_path / "dest", form)
    manifest = tmp_path / "dest/manifest.jsonl"
    before = manifest.read_bytes()
    manifest.write_bytes(before + b'{"torn')
    done, again = (exported(archive, tmp_path / "dest", form) for _ in range(2))
    assert (done.changed, done.new, again.changed, manifest.read_bytes() == before) == (True, 0, False, True)


def soil(dest: Path) -> None:
    """What a power loss may leave at the end of files that were being written."""
    for path in (*dest.glob(".*/*.part"), *dest.glob(".*/*.jsonl"), *dest.glob("manifest.jsonl")):
        with path.open("ab") as file:
            file.write(b'{"torn' * 2_000)


def is_killed(work: t.Callable[[], object]) -> bool:
    """Do it in a child; whether that was killed."""
    number = os.fork()
    if number == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(number, 0)[1])


def child(archive: Archive, dest: Path, form: str, events: int) -> bool:
    """Export in a child that is killed before it does that many changes to dest; whether it was."""
    left = events

    def count(event: str, arguments: tuple[t.Any, ...]) -> None:
        nonlocal left
        if event in CHANGING and arguments and str(arguments[0]).startswith(str(dest)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        sys.addaudithook(count)
        exported(archive, dest, form, extend=True)

    return is_killed(work)


@pytest.mark.parametrize("through", [0, 3, 9])
def test_mboxes_of_which_the_manifest_has_some_lines_are_taken_as_they_are(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: int
) -> None:
    class Deadly(io.FileIO):
        def write(self, data: t.Any) -> int:
            super().write(b"".join(bytes(data).splitlines(keepends=True)[:through]))
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

    dest = tmp_path / "dest"
    with monkeypatch.context() as patch:
        patch.setattr(export_dest.Manifest, "open", lambda manifest: io.BufferedWriter(Deadly(manifest.path, "ab"), 1 << 20))
        assert is_killed(lambda: exported(archive, dest, "mbox"))
    assert len(lines(dest)) == through
    there = {path: path.stat().st_ino for path in dest.rglob("*.mbox")}
    assert there
    done = exported(archive, dest, "mbox")
    assert (done.changed, done.new, done.warnings) == (True, 0, [])
    assert {path: path.stat().st_ino for path in dest.rglob("*.mbox*")} == there
    assert of_manifest(dest) == placed(archive)
    assert not exported(archive, dest, "mbox").changed


def test_journals_are_durable_after_their_bytes_and_before_the_names(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = tmp_path / "dest" / export_write.STAGING
    told: list[str] = []
    sync, replace = Syncer.sync, os.replace

    def syncing(self: Syncer, written: t.Any) -> None:
        sync(self, written)
        if written.directories == {export_write.STAGING}:
            journals = {f"{export_write.STAGING}/{path.name}" for path in staging.glob("*.jsonl")}
            told.append("journals" if journals == set(written.files) else "bytes" if not journals else "mixed")

    def replacing(source: str | Path, target: str) -> None:
        if str(target).endswith(".mbox"):
            told.append("name")
        replace(source, target)

    monkeypatch.setattr(Syncer, "sync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    exported(archive, tmp_path / "dest", "mbox")
    assert told == ["bytes", "journals", "name", "name", "name", "name"]


@pytest.mark.parametrize(("form", "earlier"), [("mbox", 4_000), ("mbox", 0), ("eml", 0)])
def test_an_export_that_is_killed_anywhere_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, earlier: int
) -> None:
    monkeypatch.setattr(export_dest, "BATCH_FILES", 3)
    monkeypatch.setattr(export_write, "CHECKPOINT_MESSAGES", 2)
    killed = 0
    while True:
        dest = tmp_path / f"dest{killed}"
        if earlier:
            exported(archive, dest, form, before=earlier)
        if not child(archive, dest, form, 1 + 4 * killed):
            break
        killed += 1
        for line in (
            (dest / "manifest.jsonl").read_bytes().splitlines(keepends=True) if (dest / "manifest.jsonl").exists() else ()
        ):
            if line.endswith(b"\n"):
                told = json.loads(line)
                assert hashlib.sha256(message(dest, told)).hexdigest() == told["sha256"]
        soil(dest)
        assert exported(archive, dest, form, extend=True).warnings == []
        assert of_manifest(dest) == placed(archive)
        assert {line["file"] for line in lines(dest)} | {"manifest.jsonl", "SHA256SUMS", "export.json"} == files(dest)
        if form == "mbox":
            assert sum(len(mboxrd(path)) for path in dest.rglob("*.mbox")) == sum(placed(archive).values())
        assert not exported(archive, dest, form).changed
    assert killed > 10


def test_a_look_at_a_catalog_that_somebody_begins_to_write_to_is_broken_off(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody had it open, so it was read as a file that does not change."""
    load = Standing.load

    def loads(standing: Standing) -> None:
        load(standing)
        archive.user("carl@example.com")

    with monkeypatch.context() as patch:
        patch.setattr(Standing, "load", loads)
        with pytest.raises(CatalogError) as raised:
            exported(archive, tmp_path / "dest", write=False)
    assert str(raised.value) == f"{archive.catalog_file}: somebody wrote to it while it was read. Run this again."
    assert not (tmp_path / "dest").exists()
    assert exported(archive, tmp_path / "dest", write=False).new == sum(placed(archive).values())
