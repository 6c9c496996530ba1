# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator is reproducible, covers what it promises, and what it loads comes back byte for byte."""

from __future__ import annotations

import collections
import datetime
import hashlib
import imaplib
import json
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import generate, imap_names
from tests.lab.dovecot import Dovecot, DovecotError, mailbox_name
from tests.lab.generate_load import Item, Loader, LoadError, dovecot_keeps
from tests.lab.generate_mail import Author, Letter
from tests.lab.generate_text import CHARSETS
from tests.lab.oddities import oddities

PEOPLE = [f"user{number}@example.com" for number in range(5)]
WHEN = datetime.datetime(2021, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def small_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """lab.json of one server whose only process is Dovecot."""
    folder = tmp_path_factory.mktemp("small")
    users = [{"id": f"keriodb://user/d/{number}", "address": address} for number, address in enumerate(PEOPLE)]
    users.append({"id": "keriodb://user/d/archive", "address": "archive@example.com"})
    lab = {"dir": str(folder), "servers": [{"name": "mail1", "archive_mailbox": "archive@example.com", "users": users}]}
    (folder / "lab.json").write_text(json.dumps(lab), encoding="utf-8")
    with Dovecot(folder / "mail1" / "dovecot"):
        yield lab


@pytest.fixture(scope="module")
def filled(small_lab: dict[str, Any]) -> list[generate.Placed]:
    return generate.fill(small_lab["dir"], messages=1200, seed="test")


def letters(seed: int, count: int = 400) -> list[Letter]:
    author = Author(seed, PEOPLE)
    return [author.letter() for _ in range(count)]


def test_generate_001_same_seed_same_bytes_other_seed_other_bytes() -> None:
    assert letters(1) == letters(1)
    assert {one.raw for one in letters(1)}.isdisjoint(one.raw for one in letters(2))


def test_generate_002_same_bytes_in_another_process_with_another_hash_seed() -> None:
    program = (
        "import hashlib; from tests.lab.facts.test_generate_mail import letters;"
        "print(hashlib.sha256(b''.join(one.raw for one in letters(7))).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": zone},
            cwd=Path(__file__).parents[3],
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert found == {hashlib.sha256(b"".join(one.raw for one in letters(7))).hexdigest().encode() + b"\n"}


def test_generate_003_variety() -> None:
    found = letters(3, 1500)
    everything = b"".join(one.raw for one in found)
    used = {name.lower() for name in re.findall(rb'text/plain; charset="([^"]+)"', everything)}
    assert len(used) >= 22
    assert used == {label.encode() for label, _codec, _sample in CHARSETS}
    encodings = set(re.findall(rb"Content-Transfer-Encoding: (\S+)", everything))
    assert encodings == {b"7bit", b"8bit", b"base64", b"quoted-printable"}
    assert {one.kind for one in found} == {"internal", "incoming", "outgoing"}
    assert 20 < sum(not one.message_id for one in found) < 150
    assert everything.count(b"In-Reply-To: <") > 100
    assert len({one.date.year for one in found}) > 10
    assert max(len(one.raw) for one in found) > 400_000


def test_generate_004_messages_are_lines_with_crlf_and_without_nul() -> None:
    for one in letters(4):
        assert b"\0" not in one.raw
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", one.raw)
        assert one.raw.endswith(b"\r\n")


def test_generate_005_fill_puts_exactly_so_many_and_archive_copies_besides(filled: list[generate.Placed]) -> None:
    mail = [one for one in filled if one.address != "archive@example.com"]
    copies = [one for one in filled if one.address == "archive@example.com"]
    assert len(mail) == 1200
    assert copies
    digests = {one.digest for one in mail}
    assert all(one.copy_of in digests and one.digest not in digests for one in copies if one.copy_of)
    assert len({(one.address, one.folder) for one in mail}) > 100
    assert {flag for one in mail for flag in one.flags} == {"\\Seen", "\\Answered", "\\Flagged", "$Forwarded", "$MDNSent"}


def test_generate_006_internal_mail_is_the_same_bytes_in_every_mailbox(filled: list[generate.Placed]) -> None:
    holders = collections.defaultdict(set)
    for one in filled:
        holders[one.digest].add((one.address, one.folder))
    shared = [where for where in holders.values() if len(where) > 2 and any(folder == "Sent Items" for _who, folder in where)]
    assert len(shared) > 30


def test_generate_007_what_was_placed_is_there_byte_for_byte(small_lab: dict[str, Any], filled: list[generate.Placed]) -> None:
    backend = Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot")
    for number, address in enumerate(PEOPLE):
        wanted = collections.Counter(
            (one.folder, one.digest, one.size, frozenset(one.flags), one.internaldate) for one in filled if one.address == address
        )
        found: collections.Counter[tuple[str, str, int, frozenset[str], datetime.datetime]] = collections.Counter()
        with imaplib.IMAP4("127.0.0.1", backend.port) as client:
            client.login(*backend.master_login(mailbox_name(f"keriodb://user/d/{number}")))
            for folder in {one.folder for one in filled if one.address == address}:
                client.select(imap_names.wire(folder).decode(), readonly=True)
                for row in client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
                    if isinstance(row, tuple):
                        found[_row(folder, row)] += 1
        assert found == wanted


def _row(folder: str, row: tuple[bytes, bytes]) -> tuple[str, str, int, frozenset[str], datetime.datetime]:
    head, raw = row
    flags = re.search(rb"FLAGS \(([^)]*)\)", head)
    date = re.search(rb'INTERNALDATE "([^"]+)"', head)
    assert flags
    assert date
    when = datetime.datetime.strptime(date[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    names = frozenset(flags[1].decode().split()) - {"\\Recent"}
    return folder, hashlib.sha256(raw).hexdigest(), len(raw), names, when


def test_generate_008_fill_is_reproducible(filled: list[generate.Placed], tmp_path: Path, small_lab: dict[str, Any]) -> None:
    again = {**small_lab, "dir": str(tmp_path)}
    with Dovecot(tmp_path / "mail1" / "dovecot"):
        assert generate.fill(again, messages=1200, seed="test") == filled


def test_generate_009_files_of_a_folder_are_loaded_with_crlf(small_lab: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "1.eml").write_bytes(b"Subject: one\n\ntext\n")
    (tmp_path / "deep" / "2.eml").write_bytes(b"From x Tue Mar  4 10:20:30 2025\nSubject: two\r\n\r\ntext\n")
    (tmp_path / "nul.eml").write_bytes(b"Subject: nul\n\n\0\n")
    (tmp_path / "cr.eml").write_bytes(b"Subject: cr\n\nx\r\r\n")
    placed = generate.load_directory(small_lab, tmp_path, mailboxes=[PEOPLE[0]], folder="Corpus")
    wanted = [b"Subject: one\r\n\r\ntext\r\n", b"Subject: two\r\n\r\ntext\r\n"]
    assert [one.digest for one in placed] == [hashlib.sha256(raw).hexdigest() for raw in wanted]
    with Loader(Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot"), "user-d-0") as loader:
        assert loader.numbers("Corpus")["MESSAGES"] == 2


def test_generate_013_dovecot_keeps_what_is_said_and_changes_the_rest(small_lab: dict[str, Any]) -> None:
    backend = Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot")
    odd = {name: raw for name, raw in oddities().items() if raw}
    with Loader(backend, "odd") as loader:
        loader.append("INBOX", [Item(raw, WHEN) for raw in odd.values()])
    with imaplib.IMAP4("127.0.0.1", backend.port) as client:
        client.login(*backend.master_login("odd"))
        client.select(readonly=True)
        found = [row[1] for row in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]
    same = {name for (name, raw), got in zip(odd.items(), found, strict=True) if raw == got}
    assert same == {name for name, raw in odd.items() if dovecot_keeps(raw)}
    assert len(same) > 100


def test_generate_010_command_line(small_lab: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--dir", small_lab["dir"], "--messages", "10", "--seed", "x"]) == 0
    assert re.match(r"1\d messages, \d+\.\d MB\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["INBOX", "R&D", "Клиенты/Москва", "日本語", "emoji 🎉", "&", "a&b-&-", "~ !"])
def test_generate_011_names_on_the_wire_and_back(name: str) -> None:
    assert imap_names.decode(imap_names.encode(name)) == name
    assert imap_names.encode(name).isascii()


def test_generate_012_known_names_on_the_wire() -> None:
    """RFC 3501 5.1.3 gives the first one."""
    assert imap_names.encode("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert imap_names.wire('say "R&D" \\') == b'"say \\"R&-D\\" \\\\"'


def test_generate_020_dovecot_keeps_mail_over_a_restart_and_changes_its_password(tmp_path: Path) -> None:
    backend = Dovecot(tmp_path / "dovecot")
    backend.start()
    try:
        with Loader(backend, "someone") as loader:
            loader.append("INBOX", [Item(b"a: b\r\n\r\n", WHEN)])
        before = backend.record
        Dovecot(tmp_path / "dovecot").stop()
        assert not backend.running()
        backend.start()
        assert backend.record["master_password"] != before["master_password"]
        with Loader(backend, "someone") as loader:
            assert loader.numbers("INBOX")["MESSAGES"] == 1
    finally:
        backend.stop(remove=True)
    assert not Path(before["home"]).exists() or Path(before["home"]) == tmp_path / "dovecot"
    with pytest.raises(DovecotError):
        _ = Dovecot(tmp_path / "dovecot").port


def test_generate_021_passwords_are_readable_by_the_owner_only(small_lab: dict[str, Any]) -> None:
    backend = Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot")
    password = backend.record["master_password"].encode()
    for folder in {backend.directory, backend.home}:
        for path in folder.rglob("*"):
            if path.is_file() and "mail" not in path.relative_to(folder).parts and password in path.read_bytes():
                assert path.stat().st_mode & 0o077 == 0, path
    assert b"\0".join([b"", password]) not in Path(f"/proc/{backend.record['pid']}/cmdline").read_bytes()


def test_generate_022_dovecot_does_not_run_as_root(small_lab: dict[str, Any]) -> None:
    backend = Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot")
    owner = Path(f"/proc/{backend.record['pid']}").stat().st_uid
    assert owner != 0
    assert owner == (pwd.getpwnam("mail").pw_uid if os.geteuid() == 0 else os.geteuid())


def test_generate_023_start_is_idempotent_and_stop_ends_the_process(tmp_path: Path) -> None:
    backend = Dovecot(tmp_path / "dovecot")
    backend.start()
    pid = backend.record["pid"]
    Dovecot(tmp_path / "dovecot").start()
    assert backend.record["pid"] == pid
    backend.stop(remove=True)
    assert not Path(f"/proc/{pid}").exists()
    backend.stop(remove=True)


def test_generate_024_loader_says_what_dovecot_refused(small_lab: dict[str, Any]) -> None:
    backend = Dovecot(Path(small_lab["dir"]) / "mail1" / "dovecot")
    with Loader(backend, "user-d-0") as loader, pytest.raises(LoadError, match="SELECT"):
        loader.command(b"SELECT Missing")
