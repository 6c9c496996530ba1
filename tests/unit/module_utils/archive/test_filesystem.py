# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError


def fails(code: int) -> t.Callable[..., t.Any]:
    def failing(*_: t.Any, **__: t.Any) -> t.Any:
        raise OSError(code, os.strerror(code))

    return failing


def test_a_root_must_be_an_absolute_path_of_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absolute path"):
        filesystem.check_root("srv/archive")
    with pytest.raises(StoreError, match=r"No such file.*mount its disk"):
        filesystem.check_root(str(tmp_path / "no"))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="not a directory"):
        filesystem.check_root(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="Not a directory"):
        filesystem.check_root(str(tmp_path / "file/below"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StoreError, match="lead in a circle"):
        filesystem.check_root(str(tmp_path / "loop"))
    filesystem.check_root(str(tmp_path))


def test_a_root_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(StoreError, match=r"Permission denied\. Give the user"):
        filesystem.check_root(str(tmp_path))
    readonly = os.statvfs_result((4096, 4096, 1, 1, 1, 1, 1, 1, os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: readonly)
    with pytest.raises(StoreError, match=r"Read-only file system\. Mount the file system writable"):
        filesystem.check_root(str(tmp_path))


def test_a_root_is_ours_or_empty(tmp_path: Path) -> None:
    assert filesystem.check_format(str(tmp_path)) is False
    (tmp_path / "lost+found").mkdir()
    assert filesystem.check_format(str(tmp_path)) is False
    (tmp_path / "photos").mkdir()
    with pytest.raises(StoreError, match=r"holds no archive .found photos"):
        filesystem.check_format(str(tmp_path))
    (tmp_path / "format").write_text("kerio-archive 1\n")
    assert filesystem.check_format(str(tmp_path)) is True
    (tmp_path / "format").write_text("kerio-archive 2\n")
    with pytest.raises(StoreError, match="'kerio-archive 2', this release knows 'kerio-archive 1'"):
        filesystem.check_format(str(tmp_path))
    with pytest.raises(StoreError, match="kerio-archive 2"):
        Store.open(str(tmp_path))


def test_a_directory_without_archive_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no archive"):
        Store.open(str(tmp_path))


def test_a_root_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    Store.create(str(tmp_path / "archive")).close()
    (tmp_path / "archive").chmod(0o2757)
    with pytest.raises(StoreError, match="everybody may write"):
        Store.open(str(tmp_path / "archive"))


def test_a_local_file_system_passes_and_nothing_stays_behind(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        filesystem.probe(str(tmp_path))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []
    filesystem.check_network(str(tmp_path), allowed=False)


@pytest.mark.parametrize(
    ("name", "replacement", "words"),
    [
        ("link", fails(errno.EPERM), "it has no hard links .Operation not permitted"),
        ("link", fails(errno.EOPNOTSUPP), "it has no hard links"),
        ("link", lambda source, target: Path(target).write_bytes(Path(source).read_bytes()), "the file does not count it"),
        ("fsync", fails(errno.EINVAL), "cannot be written and made durable"),
        ("fsync", fails(errno.ENOSPC), "No space left on device: |No space left on device. Make room"),
    ],
)
def test_what_the_file_system_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, replacement: t.Callable[..., t.Any], words: str
) -> None:
    monkeypatch.setattr(os, name, replacement)
    with pytest.raises(StoreError, match=words):
        filesystem.probe(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_short_names_case_and_modes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "LONGEST_NAME", 300)
        with pytest.raises(StoreError, match="File name too long"):
            filesystem.probe(str(tmp_path))
    exists = Path.exists
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda path: exists(path) or exists(path.with_name(path.name.lower())))
        with pytest.raises(StoreError, match="case-insensitive"):
            filesystem.probe(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(stat, "S_IMODE", lambda _mode: 0o777)
        with pytest.raises(StoreError, match="does not keep permissions"):
            filesystem.probe(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "name"), [(0x6969, "NFS"), (0xFE534D42, "SMB2"), (0x01021997, "9P"), (0x65735546, "FUSE")])
def test_a_network_file_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str) -> None:
    monkeypatch.setattr(filesystem, "file_system_type", lambda _path: number)
    with pytest.raises(StoreError, match=name):
        filesystem.check_network(str(tmp_path), allowed=False)
    filesystem.check_network(str(tmp_path), allowed=True)


def test_the_type_is_asked_of_the_kernel() -> None:
    assert filesystem.file_system_type("/proc") == 0x9FA0
    assert filesystem.file_system_type("/sys") == 0x62656572
    with pytest.raises(OSError, match="No such file"):
        filesystem.file_system_type("/no/such/path")


def test_free_space_and_inodes_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filesystem.check_space(str(tmp_path), 1).bytes > 1
    with pytest.raises(StoreError, match="bytes are free, the reserve is"):
        filesystem.check_space(str(tmp_path), 1 << 60)
    for space, words in ((filesystem.Space(10**9, 9_999), "9,999 inodes are free"), (filesystem.Space(9, None), "9 bytes")):
        monkeypatch.setattr(filesystem, "space", lambda _path, space=space: space)
        with pytest.raises(StoreError, match=words):
            filesystem.check_space(str(tmp_path), 1000)
    assert filesystem.check_space(str(tmp_path), 0).bytes == 9


def test_the_systems_own_words_are_kept() -> None:
    error = filesystem.os_failure(OSError(errno.EDQUOT, "Disk quota exceeded"), "/srv/archive")
    assert (error.subject, error.cause, error.details["errno"]) == ("/srv/archive", "Disk quota exceeded", errno.EDQUOT)
    assert "quota" in error.remedy


def test_format_that_is_a_link_tells_nothing_of_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:$y$hash")
    root = tmp_path / "archive"
    root.mkdir()
    (root / "format").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match=r"format: Too many levels of symbolic links") as failed:
        filesystem.check_format(str(root))
    assert "hash" not in str(failed.value)


def test_format_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "format")
    with pytest.raises(StoreError, match="the archive's format is ''"):
        filesystem.check_format(str(tmp_path))
