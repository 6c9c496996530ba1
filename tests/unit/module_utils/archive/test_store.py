# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import hashlib
import mailbox
import os
import signal
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive import copykey, layout, store_objects, store_sync
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, StoreError
from tests.unit.module_utils.archive.store_fixtures import BODY, DATE, FOLDER, Archive, fork, object_of

# Bytes in = bytes out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=4000) | st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"a"]), max_size=60).map(b"".join))
@example(b"")
@example(b"\n")
def test_any_bytes_come_back(store: Store, body: bytes) -> None:
    stored = store.put(memoryview(bytearray(body)), DATE)
    assert stored.digest == hashlib.sha256(body).digest()
    assert stored.size == len(body)
    assert stored.vsize == len(body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert stored.copy_key == copykey.copy_key(body)
    assert store.read(stored.digest) == body == b"".join(store.read_chunks(stored.digest))
    assert not store.put(body, DATE).created


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b"\r", b""]) | st.binary(max_size=50), max_size=30))
def test_a_stream_stores_what_a_whole_message_stores(root: Path, pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    object_of(root, body).unlink(missing_ok=True)
    with Store.open(str(root)) as one, Store.open(str(root)) as other:
        streamed = one.put_stream(iter(pieces), len(body), DATE)
        assert streamed.created
        assert other.read(streamed.digest) == body
        assert other.put(body, DATE) == streamed._replace(created=False)
        assert one.put_stream(iter(pieces), len(body), DATE) == streamed._replace(created=False)
    assert list((root / "staging").iterdir()) == []


@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_a_stream_of_another_size_leaves_nothing(root: Path, store: Store, size: int) -> None:
    with pytest.raises(StoreError, match=r"where .* were announced"):
        store.put_stream(iter([BODY[:10], BODY[10:]]), size, DATE)
    assert not object_of(root, BODY).exists()
    assert list((root / "staging").iterdir()) == []


def test_an_object_is_one_plain_frame_that_nobody_may_write(root: Path, store: Store) -> None:
    stored = store.put(BODY, DATE)
    path = object_of(root, BODY)
    frame = path.read_bytes()
    parameters = zstandard.get_frame_parameters(frame)
    assert (parameters.content_size, parameters.dict_id) == (len(BODY), 0)
    assert path.stat().st_mode & 0o7777 == 0o440
    assert (path.stat().st_mtime, path.stat().st_size) == (DATE, stored.stored_size)
    streamed = store.put_stream(iter([b"x" * 100]), 100, DATE)
    frame = (root / layout.object_path(streamed.digest)).read_bytes()
    assert zstandard.get_frame_parameters(frame).content_size == 100


# A name that exists proves nothing


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_stands_in_place_of_an_object_is_neither_waited_for_nor_followed(root: Path, tmp_path: Path, kind: str) -> None:
    with Store.open(str(root)) as store:
        digest = store.put(BODY, 0).digest
        path = root / layout.object_path(digest)
        path.rename(tmp_path / "elsewhere")
        os.mkfifo(path) if kind == "pipe" else path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="damaged" if kind == "pipe" else "symbolic links"):
            store.read(digest)
        with pytest.raises(StoreError, match="damaged" if kind == "pipe" else "symbolic links"):
            list(store.read_chunks(digest))


@pytest.mark.parametrize("content", ["", "short", "wrong", "garbage"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_damaged_object_is_replaced(root: Path, content: str, stream: bool) -> None:
    with Store.open(str(root)) as first:
        first.put(BODY, DATE)
    path = object_of(root, BODY)
    frame = path.read_bytes()
    damaged = {"": b"", "short": frame[:-3], "wrong": zstandard.compress(BODY[:-1] + b"?"), "garbage": b"x" * 99}[content]
    path.chmod(0o640)
    path.write_bytes(damaged)
    with Store.open(str(root)) as second:
        second._objects._opened += 10  # as if the file were older than this run
        stored = second.put_stream(iter([BODY]), len(BODY), DATE) if stream else second.put(BODY, DATE)
        assert not stored.created
        assert second.damaged == [layout.object_path(stored.digest)]
        assert second.read(stored.digest) == BODY
        assert layout.object_path(stored.digest) in second.take_written().files
    assert path.stat().st_mode & 0o7777 == 0o440


def test_an_intact_object_of_an_earlier_run_is_adopted_and_synced_with_the_batch(root: Path) -> None:
    with Store.open(str(root)) as first:
        first.put(BODY, DATE)
    inode = object_of(root, BODY).stat().st_ino
    with Store.open(str(root)) as second:
        assert not second.put(BODY, DATE).created
        assert second.damaged == []
        assert second.take_written().files == [layout.object_path(hashlib.sha256(BODY).digest())]
    assert object_of(root, BODY).stat().st_ino == inode


def test_an_object_that_another_process_is_writing_is_no_damage(root: Path, store: Store) -> None:
    descriptor = os.open(object_of(root, BODY), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
    store.put(BODY, DATE)
    os.write(descriptor, zstandard.compress(BODY))
    os.close(descriptor)
    assert store.damaged == []
    assert store.read(hashlib.sha256(BODY).digest()) == BODY


def test_a_damaged_object_is_never_read(root: Path, store: Store) -> None:
    digest = store.put(BODY, DATE).digest
    path = object_of(root, BODY)
    for content in (b"", zstandard.compress(b"other"), path.read_bytes()[:-2]):
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            store.read(digest)
        with pytest.raises(StoreError, match="damaged"):
            list(store.read_chunks(digest))
    path.unlink()
    with pytest.raises(StoreError, match="No such file"):
        store.read(digest)
    assert not store.has(digest)


# Placements


def test_a_placement_is_a_hard_link_in_a_complete_maildir(root: Path, store: Store) -> None:
    digest = store.put(BODY, DATE).digest
    assert store.place(digest, FOLDER, "1.a")
    assert not store.place(digest, FOLDER, "1.a")
    assert (root / FOLDER / "cur/1.a").samefile(object_of(root, BODY))
    for folder in (root / FOLDER, root / "mail/bob@example.com"):
        assert all((folder / part).is_dir() for part in ("cur", "new", "tmp"))
    written = store.take_written()
    assert {FOLDER, f"{FOLDER}/cur", "mail/bob@example.com", "mail"} <= written.directories


def test_a_parent_folder_holds_no_mail_of_its_own(root: Path, store: Store) -> None:
    store.make_folder("mail/bob/a/b/c")
    assert sorted(path.name for path in (root / "mail/bob/a").iterdir()) == ["b"]
    assert sorted(path.name for path in (root / "mail/bob/a/b/c").iterdir()) == ["cur", "new", "tmp"]


def test_an_existing_name_is_adopted_only_with_the_same_content(root: Path, store: Store) -> None:
    digest = store.put(BODY, DATE).digest
    store.make_folder(FOLDER)
    same, wrong = root / FOLDER / "cur/1.a", root / FOLDER / "cur/2.a"
    same.write_bytes(zstandard.compress(BODY))
    wrong.write_bytes(b"")
    inode = same.stat().st_ino
    assert not store.place(digest, FOLDER, "1.a")
    assert same.stat().st_ino == inode
    assert store.place(digest, FOLDER, "2.a")
    assert wrong.samefile(object_of(root, BODY))


def test_unplace_removes_a_link_once(store: Store) -> None:
    digest = store.put(BODY, DATE).digest
    store.place(digest, FOLDER, "1.a")
    assert store.unplace(FOLDER, "1.a")
    assert not store.unplace(FOLDER, "1.a")
    assert store.read(digest) == BODY


def test_a_placement_without_object_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="not there"):
        store.place(b"\0" * 32, FOLDER, "1.a")


def test_an_inode_whose_links_are_used_up_gets_a_second_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def limited(source: str, target: str) -> None:
        if os.stat(source).st_nlink >= 3:  # noqa: PTH116 - counts the links of what is linked
            raise OSError(errno.EMLINK, "Too many links", source)
        real(source, target)

    monkeypatch.setattr(os, "link", limited)
    object_of(root, BODY, 2).write_bytes(b"left by a crash")
    for first in (0, 3):  # another process does not know how far the first one came
        with Store.open(str(root)) as store:
            digest = store.put(BODY, DATE).digest
            for number in range(first, first + 3):
                assert store.place(digest, FOLDER, f"{number}.a")
            assert not store.place(digest, FOLDER, "5.a" if first else "0.a")
    inodes = [(root / FOLDER / f"cur/{number}.a").stat().st_ino for number in range(6)]
    assert inodes == [object_of(root, BODY, copy).stat().st_ino for copy in (0, 0, 1, 1, 2, 2)]
    for copy in range(3):
        found = object_of(root, BODY, copy)
        assert zstandard.decompress(found.read_bytes()) == BODY
        assert (found.stat().st_mtime, found.stat().st_mode & 0o777) == (DATE, 0o440)


def test_a_full_disk_leaves_no_half_object(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    kept = store.put(b"before", DATE).digest

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 10:
            return real(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for put in (lambda: store.put(BODY, DATE), lambda: store.put_stream(iter([BODY]), len(BODY), DATE)):
            with pytest.raises(StoreError, match=r"No space left on device.*Make room"):
                put()
            assert not object_of(root, BODY).exists()
            assert list((root / "staging").iterdir()) == []
    assert store.read(kept) == b"before"
    assert store.put(BODY, DATE).created


def test_a_short_write_is_continued(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    assert store.read(store.put(BODY, DATE).digest) == BODY


# Durability


def test_sync_passes_on_what_the_kernel_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> int:
        store_sync.ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(store._syncer, "_syncfs", broken)
    with pytest.raises(StoreError, match="Input/output error"):
        store.sync()


def test_a_slow_syncfs_gives_way_to_an_fsync_of_each_path(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter([0.0, 0.2, 1.0, 1.05, 2.0, 2.2, 3.0, 3.2])
    monkeypatch.setattr(store._syncer, "_syncfs", lambda _: calls.append("syncfs") or 0)
    monkeypatch.setattr(store._syncer, "_clock", lambda: next(clock))
    monkeypatch.setattr(store_sync, "sync_path", lambda path: calls.append(path))
    for number in range(5):
        store.place(store.put(b"%d" % number, DATE).digest, FOLDER, f"{number}.a")
        store.sync()
    path = object_of(root, b"4")
    assert calls == ["syncfs"] * 4 + [str(path), *sorted([f"{root}/{FOLDER}/cur", str(path.parent)])]


def test_a_worker_hands_over_what_it_wrote(root: Path) -> None:
    with Store.open(str(root)) as worker, Store.open(str(root), lock="committer") as committer:
        stored = worker.put(BODY, DATE)
        written = worker.take_written()
        path = layout.object_path(stored.digest)
        assert (written.files, written.directories) == ([path], {path.rpartition("/")[0]})
        assert worker.take_written().files == []
        committer.sync(written)


# The lock


def test_the_lock_names_its_holder(root: Path, store: Store) -> None:
    with pytest.raises(BusyError) as caught:
        Store.open(str(root), lock="another")
    holder = caught.value.details["holder"]
    assert (holder["pid"], holder["what"]) == (os.getpid(), "a test")
    assert f"a test (process {os.getpid()} on " in str(caught.value)
    Store.open(str(root)).close()  # without the lock everybody may
    store.close()
    Store.open(str(root), lock="another").close()


def test_a_killed_holder_gives_the_lock_back(root: Path) -> None:
    ready, child = fork(lambda: Store.open(str(root), lock="a child"))
    os.read(ready, 1)
    with pytest.raises(BusyError, match="a child"):
        Store.open(str(root), lock="another")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    Store.open(str(root), lock="another").close()


# Readers of the tree


def test_a_maildir_reader_opens_the_tree_after_decompression(archive: Archive, tmp_path: Path) -> None:
    for number in range(3):
        archive.write(b"Subject: %d\r\n\r\nbody\r\n" % number, date=DATE + number, flags="S" if number else "")
    plain = tmp_path / "plain"
    for part in ("cur", "new", "tmp"):
        (plain / part).mkdir(parents=True)
    for path in (archive.root / archive.folder.dir / "cur").iterdir():
        (plain / "cur" / path.name).write_bytes(zstandard.decompress(path.read_bytes()))
    box = mailbox.Maildir(str(plain), create=False)
    assert sorted((message["Subject"], message.get_flags()) for message in box) == [("0", ""), ("1", "S"), ("2", "S")]
    for path in (plain / "cur").iterdir():
        parsed = layout.parse_placement_name(path.name)
        assert parsed is not None and parsed.size == path.stat().st_size
    box.close()


def test_the_memory_of_written_objects_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_objects, "TRUSTED_LIMIT", 4)
    for number in range(10):
        store.put(b"%d" % number, DATE)
    assert len(store._objects._trusted) <= 4


def test_two_copies_are_compared_from_disk(store: Store) -> None:
    one = store.put(BODY, DATE).digest
    other = store.put(b"Received: by mail1\r\n" + BODY, DATE).digest
    third = store.put(BODY + b"x", DATE).digest
    assert store.same_message(one, other)
    assert not store.same_message(one, third)


def test_a_small_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(store_sync.os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    store_sync.write_durably(str(tmp_path / "note"), b"more than three bytes")
    assert (tmp_path / "note").read_bytes() == b"more than three bytes"
