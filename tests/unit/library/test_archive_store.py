# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, store_codec
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_store
from tests.unit.library.module_run import run_module


def run(root: Path, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_store.main, root=str(root), **{"reserve": 0, **options})


@pytest.mark.shows("change", "again")
def test_it_creates_an_archive_once(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    first = run(root)
    assert (first["failed"], first["changed"], first["msg"]) == (False, True, f"{root}: the archive was created")
    assert (root / "format").read_text() == "kerio-archive 1\n"
    made = {path.name for path in root.iterdir() if not path.name.startswith("catalog.sqlite3-")}
    assert made == {"catalog.sqlite3", "evidence", "format", "jobs", "mail", "objects", "reports", "staging"}
    assert len(list((root / "objects").iterdir())) == 256
    assert all(path.stat().st_mode & 0o7777 == 0o2750 for path in [root, *root.glob("objects/*"), root / "mail"])
    again = run(root)
    assert (again["failed"], again["changed"], again["diff"]["after"]) == (False, False, {})
    with Catalog.open(str(root / "catalog.sqlite3")) as catalog:
        assert catalog.totals().objects == again["archive"]["objects"] == 0


@pytest.mark.shows("check", "diff")
def test_check_mode_touches_nothing(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    result = run(root, check=True)
    assert (result["changed"], result["msg"]) == (True, f"{root}: the archive would be created")
    assert list(tmp_path.iterdir()) == []
    run(root)
    (root / "jobs").rmdir()
    root.chmod(0o2755)
    result = run(root, check=True)
    assert result["diff"]["before"] == {"mode": "2755", "missing": ["jobs"]}
    assert result["diff"]["after"] == {"mode": "2750", "missing": []}
    assert not (root / "jobs").exists()
    assert run(root)["changed"] and (root / "jobs").is_dir() and root.stat().st_mode & 0o7777 == 0o2750
    assert not run(root)["changed"]


def test_a_disk_that_is_not_mounted_is_noticed(tmp_path: Path) -> None:
    """A link is followed: what counts is where the bytes would go."""
    empty, elsewhere = tmp_path / "empty", tmp_path / "elsewhere"
    empty.mkdir()
    elsewhere.symlink_to(tmp_path)
    refused = run(empty / "kerio", mount_point=str(empty))
    assert refused["failed"] and refused["msg"] == (
        f"{empty}: no disk is mounted there. Mount the disk of the archive, then run again: nothing was made in its place."
    )
    assert list(empty.iterdir()) == []
    beside = run(elsewhere / "kerio", mount_point="/proc")
    assert beside["failed"] and beside["msg"].startswith(f"mount_point: the archive root {elsewhere}/kerio is not in /proc. ")
    assert not run(elsewhere / "kerio", mount_point="/")["failed"]


def test_it_says_what_is_in_the_archive(tmp_path: Path) -> None:
    run(tmp_path / "archive")
    with Store.open(str(tmp_path / "archive")) as store:
        store.begin("a test")
    facts = run(tmp_path / "archive")["archive"]
    assert (facts["format"], facts["unclean"], facts["placements"]) == ("kerio-archive 1", True, 0)
    assert facts["free_bytes"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "0750"}, "setgid"),
        ({"mode": "2757"}, "setgid"),
        ({"mode": "rwx"}, "is no mode"),
        ({"owner": "no-such-user"}, "there is no owner 'no-such-user'"),
        ({"group": "no-such-group"}, "there is no group 'no-such-group'"),
        ({"reserve": 1 << 40}, "the reserve is"),
    ],
)
@pytest.mark.shows("error")
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path: Path, options: dict[str, t.Any], words: str) -> None:
    result = run(tmp_path / "archive", **options)
    assert result["failed"] and words in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_the_directory_above_the_root_must_be_there(tmp_path: Path) -> None:
    result = run(tmp_path / "no" / "archive")
    assert result["failed"]
    assert result["msg"].startswith(f"{tmp_path / 'no'}: No such file or directory. Mount the disk, or create this folder")


@pytest.mark.parametrize("check", [True, False])
def test_an_archive_in_memory_is_made_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    assert run(tmp_path / "disk", check=check)["warnings"] == []
    monkeypatch.setattr(filesystem, "file_system_type", lambda _path: 0x01021994)
    (warning,) = run(tmp_path / "archive", check=check)["warnings"]
    assert "tmpfs" in warning and "gone after a restart" in warning


def test_a_network_file_system_is_refused_unless_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "file_system_type", lambda _path: 0x6969)
    result = run(tmp_path / "archive")
    assert result["failed"] and "NFS" in result["msg"] and result["error"]["file_system"] == "NFS"
    assert list(tmp_path.iterdir()) == []
    assert not run(tmp_path / "archive", allow_network_file_system=True)["failed"]


def test_owner_and_group_may_be_names_or_numbers(tmp_path: Path) -> None:
    assert not run(tmp_path / "archive", owner=str(os.getuid()), group=str(os.getgid()))["failed"]


def test_a_catalog_that_is_gone_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    run(root)
    with Store.open(str(root)) as store:
        store.put(b"message", 0)
    (root / "catalog.sqlite3").unlink()
    result = run(root)
    assert result["failed"] and "catalog is gone" in result["msg"]
    assert not (root / "catalog.sqlite3").exists()


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_codec, "HAS_ZSTANDARD", False)
    result = run(tmp_path / "archive")
    assert result["failed"] and result["error"]["kind"] == "missing_library" and "archive_host" in result["msg"]


def test_the_role_pins_what_the_project_pins_and_every_file_of_it() -> None:
    project = Path(__file__).parents[3]
    pinned = {line.lower() for line in (project / "requirements.txt").read_text("utf-8").splitlines()}
    text = (project / "roles/archive_host/files/requirements.txt").read_text("utf-8")
    entries = [entry.split() for entry in re.sub(r"(?m)^#.*\n|\\\n", "", text).splitlines()]
    assert {entry[0].lower() for entry in entries} <= pinned
    names = {entry[0].partition("==")[0] for entry in entries}
    assert names >= {"IMAPClient", "argon2-cffi", "cryptography", "requests", "zstandard"} and len(names) == len(entries)
    # A wheel and the sources at least; those with C code have wheels for every Python and processor.
    for name, *hashes in entries:
        assert len(hashes) >= (12 if name.startswith(("cffi", "charset", "cryptography", "zstandard")) else 2), name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name
