# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each numbered statement of docs/format-v1.md."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import imaplib
import json
import mailbox
import os
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, snapshot, store_sweep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPass, MailboxPasses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Batch, UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.format_fixtures import BARE, CRLF, DATE, USER, Archive, reader

ROOT = Path(__file__).parents[4]
ROOT = Path(__file__).parents[4]


@pytest.fixture
def archive(filled: Archive) -> Archive:
    return filled


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def unzstd(path: Path) -> bytes:
    """What the zstd program makes of a file."""
    return subprocess.run(["zstd", "-d", "-c", str(path)], check=True, capture_output=True).stdout


def test_every_statement_has_a_test() -> None:
    text = (ROOT / "docs/format-v1.md").read_text("utf-8")
    stated = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    tested = [int(match[1]) for name in globals() if (match := re.match(r"test_(\d+)_", name))]
    assert stated == list(range(1, len(stated) + 1))
    assert sorted(tested) == stated


def test_01_format_file(archive: Archive) -> None:
    path = archive.root / "format"
    assert path.read_bytes() == b"kerio-archive 1\n"
    path.write_bytes(b"kerio-archive 2\n")
    with pytest.raises(StoreError):
        Store.create(str(archive.root))
    assert path.read_bytes() == b"kerio-archive 2\n"


def test_02_skeleton(archive: Archive) -> None:
    expected = {"objects", "mail", "jobs", "reports", "staging", "evidence"}
    assert {path.name for path in archive.root.iterdir() if path.is_dir()} == expected
    assert (archive.root / "catalog.sqlite3").is_file()


def test_03_dirty_marker(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (archive.root / "dirty").exists()
    archive.store.begin("archive_run", 7)
    content = json.loads((archive.root / "dirty").read_bytes())
    assert content.keys() == {"started", "run", "commits"} and (content["run"], content["commits"]) == ("archive_run", 7)
    archive.store.distrust()
    assert json.loads((archive.root / "dirty").read_bytes()) == {**content, "died": True}
    assert not (archive.root / "dirty.clock").exists()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    archive.store.put(b"written while the clock is wrong", 0)
    assert (archive.root / "dirty.clock").read_bytes() == b""
    archive.store.close()
    assert (archive.root / "dirty").exists()


def test_04_lock(archive: Archive) -> None:
    with Store.open(str(archive.root), lock="archive_run"), (archive.root / "lock").open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert json.loads(file.read()).keys() == {"pid", "host", "started", "what"}


def test_05_staging(archive: Archive) -> None:
    archive.store.put_stream(iter([b"a", b"b"]), 2, DATE)
    assert list((archive.root / "staging").iterdir()) == []


def test_06_object_names(archive: Archive) -> None:
    names = {str(path.relative_to(archive.root)) for path in archive.root.glob("objects/*/*")}
    digits = {hashlib.sha256(body).hexdigest() for body in (CRLF, BARE)}
    assert names == {f"objects/{name[:2]}/{name}" for name in digits}
    assert sorted(path.name for path in (archive.root / "objects").iterdir()) == [f"{byte:02x}" for byte in range(256)]


def test_07_zstd_frame(archive: Archive) -> None:
    path = archive.root / layout.object_path(digest(CRLF))
    assert unzstd(path) == CRLF
    # Frame header descriptor (RFC 8878, 3.1.1.1.1): bits 0-1 dictionary id, bit 5 single segment, which implies a content size.
    descriptor = path.read_bytes()[4]
    assert path.read_bytes()[:4] == b"\x28\xb5\x2f\xfd" and descriptor & 3 == 0 and descriptor & 0x20


def test_08_mode_and_time(archive: Archive) -> None:
    status = (archive.root / layout.object_path(digest(CRLF))).stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o440, DATE + 1)
    archive.store.put(CRLF, DATE + 99)
    assert (archive.root / layout.object_path(digest(CRLF))).stat().st_mtime == DATE + 1
    early = archive.store.put(b"from 1969", -5)
    assert (archive.root / layout.object_path(early.digest)).stat().st_mtime == 0


def test_09_objects_are_not_rewritten(archive: Archive) -> None:
    path = archive.root / layout.object_path(digest(CRLF))
    inode = path.stat().st_ino
    with Store.open(str(archive.root)) as other:
        other.put(CRLF, DATE)
        assert path.stat().st_ino == inode
    path.unlink()
    path.write_bytes(b"damaged")
    inode = path.stat().st_ino
    with Store.open(str(archive.root)) as other, path.open("rb") as reader:
        other.put(CRLF, DATE)
        assert reader.read() == b"damaged" and path.stat().st_ino != inode and unzstd(path) == CRLF


def test_10_further_inodes(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    full = archive.root / layout.object_path(digest(CRLF))
    real = os.link

    def limited(source: str, target: str) -> None:
        if source == str(full):
            raise OSError(31, "Too many links")
        real(source, target)

    monkeypatch.setattr(os, "link", limited)
    archive.store.place(digest(CRLF), f"mail/{USER}/INBOX", "1.a")
    second = full.with_name(full.name + ".1")
    assert unzstd(second) == CRLF and second.samefile(archive.root / f"mail/{USER}/INBOX/cur/1.a")


def test_11_objects_without_placement(archive: Archive) -> None:
    path = archive.cur()[digest(CRLF)]
    archive.store.unplace(f"mail/{USER}/INBOX", path.name)
    assert archive.store.read(digest(CRLF)) == CRLF


def test_12_trees(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    assert [path.name for path in (archive.root / "mail").iterdir()] == [user.tree] == [layout.escape(USER)]
    archive.catalog.apply_users([UserStep(user.id, UserValues("robert@example.com", "directory"))])
    assert archive.catalog.users()[0].tree == layout.escape(USER)
    assert archive.catalog.user_folder(user.id, ("INBOX",)).dir == f"mail/{layout.escape(USER)}/INBOX"


def test_13_folders(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    assert archive.catalog.user_folder(user.id, ("a/b", "..", "cur")).dir == f"mail/{USER}/a%2Fb/%2E./%63ur"


def test_14_maildirs(archive: Archive) -> None:
    archive.store.make_folder(f"mail/{USER}/parent/child")
    for folder, parts in (("", True), ("/INBOX", True), ("/parent", False), ("/parent/child", True)):
        assert all((archive.root / f"mail/{USER}{folder}" / part).is_dir() == parts for part in ("cur", "new", "tmp"))
    assert [path for part in ("new", "tmp") for path in archive.root.glob(f"mail/**/{part}/*")] == []
    archive.store.make_folder("mail/carol/carol@example.com/Sent Items")
    assert {path.name for path in (archive.root / "mail/carol/INBOX").iterdir()} == {"cur", "new", "tmp"}


def test_15_placements(archive: Archive) -> None:
    for number, path in archive.cur().items():
        assert path.samefile(archive.root / layout.object_path(number))


def test_16_placement_names(archive: Archive) -> None:
    name = archive.cur()[digest(CRLF)].name
    assert name == f"{DATE + 1}.{hashlib.sha256(CRLF).hexdigest()}_0.a,S={len(CRLF)},W={len(CRLF)}:2,S"
    assert layout.placement_name(-1, digest(CRLF), 1, 1, "").startswith("0.")


def test_17_sizes(archive: Archive) -> None:
    name = archive.cur()[digest(BARE)].name
    assert f",S={len(BARE)},W={len(BARE) + 3}:2," in name


def test_18_flags(archive: Archive) -> None:
    assert archive.cur()[digest(CRLF)].name.endswith(":2,S")
    assert archive.cur()[digest(BARE)].name.endswith(":2,DP")
    flags = ["\\Draft", "\\Flagged", "$Forwarded", "\\Answered", "\\Seen", "\\Deleted"]
    assert layout.flag_letters(reversed(flags)) == "DFPRS"


def test_19_flags_are_no_identity(archive: Archive) -> None:
    names = {layout.base_name(layout.placement_name(DATE, digest(CRLF), 1, 1, flags)) for flags in ("", "S", "DFS")}
    assert len(names) == 1
    path = archive.cur()[digest(CRLF)]
    path.rename(path.with_name(layout.base_name(path.name) + ":2,FS"))
    archive.store.begin("crashed", archive.catalog.commits())
    store = Store.open(str(archive.root), lock="repair")
    with store:
        store_sweep.recover(store, archive.catalog)
    assert archive.cur()[digest(CRLF)].name.endswith(":2,FS")


def test_20_reserved_digit(archive: Archive) -> None:
    assert all(path.name[75:77] == "_0" for path in archive.cur().values())
    assert layout.parse_placement_name(f"1.{'0' * 64}_1.a,S=1,W=1:2,") is None


def test_21_escaped_characters() -> None:
    for char in ("%", "/", "\0", "\x1f", "\x7f", "\x9f", "\u2028", "\u2029", "\ud800"):
        escaped = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        assert layout.escape(f"a{char}b") == f"a{escaped}b"
    assert (layout.escape("a  "), layout.escape(".a"), layout.escape("~a"), layout.escape(" a")) == (
        "a%20%20",
        "%2Ea",
        "%7Ea",
        "%20a",
    )
    assert layout.escape("Größe & Söhne. ~x") == "Größe & Söhne. ~x"


def test_22_special_names() -> None:
    assert [layout.escape(name) for name in ("cur", "new", "tmp", "")] == ["%63ur", "%6Eew", "%74mp", "%"]


def test_23_long_names() -> None:
    name = "ü" * 150
    assert layout.escape(name) == "ü" * 100 + "%~" + hashlib.sha256(name.encode()).hexdigest()[:16]
    assert layout.escape("x" * 199 + "/y") == "x" * 199 + "%~" + hashlib.sha256(b"x" * 199 + b"/y").hexdigest()[:16]
    assert layout.escape("x" * 200) == "x" * 200


def test_24_reversible() -> None:
    names = ["a/b", "a%2Fb", "a%252Fb", "%", "", "cur", "%63ur", "x" * 300, "x" * 301, "..", "%2E.", "\ud800", "%ED%A0%80"]
    assert len({layout.escape(name) for name in names}) == len(names)
    assert all(layout.unescape(layout.escape(name)) == name for name in names if len(name) < 200)


def test_25_taken_trees(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    steps = [UserStep(user.id, UserValues("robert", "directory")), UserStep(None, UserValues(USER, "directory"))]
    archive.catalog.apply_users(steps)
    newcomer = archive.catalog.user_by_name(USER)
    assert newcomer is not None and re.fullmatch(re.escape(USER) + r"%~\d+", newcomer.tree)


def test_26_catalog_file(archive: Archive) -> None:
    with contextlib.closing(sqlite3.connect(archive.root / "catalog.sqlite3")) as other, other:
        values = [other.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id", "journal_mode")]
    other.close()
    assert values == [5, 0x4B414331, "wal"]
    assert archive.catalog.row("PRAGMA synchronous")[0] == 2  # FULL


def test_27_catalog_speaks_of_what_is_there(archive: Archive) -> None:
    rows = archive.catalog.rows("SELECT f.dir, p.digest FROM placements p JOIN user_folders f ON f.id = p.folder_id")
    assert {row[1] for row in rows} == set(archive.cur())
    for directory, number in rows:
        (name,) = archive.catalog.known_names(directory, [number]).values()
        assert unzstd(archive.root / directory / "cur" / name) == archive.store.read(number)


def test_28_one_row_for_an_object_in_a_folder(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    folder = archive.catalog.user_folder(user.id, ("INBOX",))
    row = archive.catalog.placement(folder.id, digest(CRLF))
    assert row is not None
    source = archive.catalog.source_folder("mail1", USER, "INBOX")
    refused = archive.catalog.commit([Batch(source.id, 2, 1, placements=[row._replace(internaldate=5, flags="")])])
    assert len(refused) == 1
    assert archive.catalog.placement(folder.id, digest(CRLF)) == row


def test_29_folder_names(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    archive.catalog.user_folder(user.id, ("ä/b", "x" * 300))
    row = archive.catalog.row("SELECT name, dir FROM user_folders WHERE dir LIKE '%2Fb%'")
    assert json.loads(row[0]) == ["ä/b", "x" * 300]
    assert row[1] == f"mail/{USER}/ä%2Fb/{layout.escape('x' * 300)}"


def test_30_states() -> None:
    assert {state.name.lower(): int(state) for state in State} == {
        "archived": 1,
        "copy": 2,
        "excluded": 3,
        "left": 4,
        "failed": 5,
        "quarantined": 6,
        "deleted": 7,
        "vanished": 8,
    }


def test_31_repair(archive: Archive) -> None:
    archive.store.begin("crashed", archive.catalog.commits())
    stored = archive.store.put(b"not committed", DATE)
    cur = f"mail/{USER}/INBOX"
    archive.store.place(stored.digest, cur, layout.placement_name(DATE, stored.digest, stored.size, stored.vsize, ""))
    (archive.root / cur / "cur/foreign").touch()
    (archive.root / "objects/00/foreign").touch()
    with Store.open(str(archive.root), lock="repair") as store:
        store_sweep.recover(store, archive.catalog)
    left = {path.name for path in (archive.root / cur / "cur").iterdir()}
    assert "foreign" in left and len(left) == 3
    assert (archive.root / "objects/00/foreign").exists()
    assert not archive.store.has(stored.digest)


def test_32_maildir_reader(archive: Archive, tmp_path: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "box" / part).mkdir(parents=True)
    for path in archive.cur().values():
        (tmp_path / "box/cur" / path.name).write_bytes(unzstd(path))
    box = mailbox.Maildir(str(tmp_path / "box"), create=False)
    assert sorted((message["Subject"], message.get_flags()) for message in box) == [("one", "S"), ("two", "DP")]
    box.close()


FOLDERS = ["INBOX", "Gelöschte Objekte", "50% off", ".hidden", "~root", "cur", "a/b", "x" * 300, "Inc.", "end "]


def test_33_dovecot(archive: Archive) -> None:
    user = archive.catalog.users()[0]
    made = [archive.catalog.user_folder(user.id, (name,)).dir for name in FOLDERS]
    for directory in made[1:]:
        archive.store.place(digest(BARE), directory, archive.cur()[digest(BARE)].name)
    with reader(archive.root, user.tree) as imap:
        listed = {line.rpartition(b' "/" ')[2].strip(b'"').decode() for line in imap.list()[1] if line}
        assert listed == {quote(directory.rpartition("/")[2]) for directory in made}
        assert_messages(imap, '"INBOX"', {CRLF, BARE})
        for directory in made[1:]:
            assert_messages(imap, '"' + quote(directory.rpartition("/")[2]) + '"', {BARE})
        flags = imap.fetch("1:*", "(FLAGS)")[1]
        assert flags and b"\\Draft" in flags[0]
    assert list(archive.root.glob("mail/**/dovecot*")) == []


def assert_messages(imap: imaplib.IMAP4, folder: str, bodies: set[bytes]) -> None:
    assert imap.select(folder, readonly=True)[0] == "OK"
    sizes = imap.fetch("1:*", "(RFC822.SIZE)")[1]
    assert {int(line.rpartition(b" ")[2].rstrip(b")")) for line in sizes} == {len(crlf(body)) for body in bodies}
    fetched = imap.fetch("1:*", "(BODY.PEEK[])")[1]
    assert {part[1] for part in fetched if isinstance(part, tuple)} == {crlf(body) for body in bodies}


def crlf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def quote(name: str) -> str:
    """A name in IMAP's modified UTF-7; the one non-ASCII letter of this test is enough."""
    return name.replace("&", "&-").replace("ö", "&APY-")


def test_34_snapshots(archive: Archive) -> None:
    (archive.root / "evidence/checkpoint").write_bytes(b"archive1\n0\n\n")
    snapshot.take(str(archive.root))
    assert sorted(path.name for path in (archive.root / "backup").iterdir()) == ["catalog.sqlite3", "checkpoint", "lock"]
    database = sqlite3.connect(f"file:{archive.root}/backup/catalog.sqlite3?mode=ro", uri=True)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.execute("SELECT count(*) FROM meta WHERE key = 'snapshot' AND value <> ''").fetchone() == (1,)
    database.close()
    assert (archive.root / "backup/checkpoint").read_bytes() == b"archive1\n0\n\n"


def test_35_who_reads(archive: Archive) -> None:
    values = UserValues("auditor", "inventory", kerio_login="auditor@example.com", reads=(USER,))
    archive.catalog.apply_users([UserStep(None, values)])
    joined = "grants JOIN users r ON r.id = reader_id JOIN users o ON o.id = owner_id"
    rows = archive.catalog.rows(f"SELECT r.name, r.kerio_login, o.name, o.kerio_login FROM {joined}")  # noqa: S608 - names of this file
    assert rows == [("auditor", "auditor@example.com", USER, "")]
    columns = {row[1] for table in ("users", "grants") for row in archive.catalog.rows(f"PRAGMA table_info({table})")}
    assert not [name for name in columns if "pass" in name or "hash" in name]


def test_36_mailbox_passes(archive: Archive) -> None:
    one = MailboxPass("all", "mail1", USER, "multiple_mailboxes", 100, 100, 3, 300, {"uidnext": 4})
    with archive.catalog.transaction():
        archive.catalog.put_mailbox_passes(MailboxPasses([one], {"all"}))
    columns = "profile, server, mailbox, tried, succeeded, archived, bytes, figures"
    (row,) = archive.catalog.rows(f"SELECT {columns} FROM mailbox_passes")  # noqa: S608 - names of this file
    assert (row[:-1], json.loads(row[-1])) == (("all", "mail1", USER, 100, 100, 3, 300), {"uidnext": 4})
