# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs that know nothing of the project make of an archive: Python's mailbox, mutt, mbsync, and Dovecot."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import mailbox
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import cli_lab
from tests.lab.generate import FLAGS
from tests.lab.generate_load import dovecot_keeps
from tests.lab.generate_mail import Author
from tests.lab.oddities import oddities
from tests.lab.rawimap import RawImapServer, RawMessage
from tests.proof import archive_dovecot, engine, figures
from tests.proof.archive_dovecot import ArchiveDovecot
from tests.proof.independent_archive import Archive, Placement
from tests.unit.module_utils.imap.certificates import load

MASTER = "not-a-secret-master"
OWNER = "reader@example.com"
TRUE_NAMES = ("INBOX", "Sent Items", "Projekte/Übergröße", "Projekte/Übergröße/2002", "Клиенты/日本 🎌", 'R&D "old" (x)', "Odd")
SHOWN_AS = {"50% off": "50%25 off", ".hidden/x ": "%2Ehidden/x%20"}  # these names cannot be directories; docs/format-v1.md 21
BARE = "Bare line feeds"
LETTERS = 40
END_OF_HEADER = re.compile(rb"(?:\A|\n)\r?\n")  # mbsync leaves out what has none
LINE_FEED = re.compile(rb"(?<!\r)\n")


@dataclasses.dataclass
class Proof:
    """An archive with one user, and the messages by the digest of their bytes."""

    archive: Archive
    messages: dict[str, bytes]

    @property
    def tree(self) -> Path:
        return self.archive.root / "mail" / OWNER

    def placed(self, folder: str) -> list[Placement]:
        return [one for one in self.archive.placements if one.parts == (OWNER, *folder.split("/"))]


def served() -> dict[str, list[RawMessage]]:
    author, flags = Author("outside", [OWNER, "bob@example.com"]), itertools.cycle(FLAGS)

    def numbered(raws: list[tuple[bytes, datetime.datetime]]) -> list[RawMessage]:
        return [RawMessage(uid, raw, date, next(flags)) for uid, (raw, date) in enumerate(raws, 1)]

    day = datetime.datetime(2025, 3, 4, 9, 20, 30, tzinfo=datetime.UTC)
    odd = [(raw, day) for raw in oddities().values() if dovecot_keeps(raw)]
    bare = [
        (raw, day) for raw in oddities().values() if not dovecot_keeps(raw) and raw and dovecot_keeps(LINE_FEED.sub(b"\r\n", raw))
    ]
    folders: dict[str, list[RawMessage]] = {}
    for folder in (*TRUE_NAMES, *SHOWN_AS):
        letters = [author.letter() for _ in range(LETTERS)]
        folders[folder] = numbered([(letter.raw, letter.date) for letter in letters])
    return {**folders, "Odd": numbered(odd), BARE: numbered(bare)}


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """Archived by the engine, below a folder that Dovecot's account can pass."""
    certificates = tmp_path_factory.mktemp("certificates")
    ca_file = cli_lab.make_certificates(certificates, "mail1")
    context = load(certificates / "server.crt", certificates / "server.key")
    mail = served()
    with tempfile.TemporaryDirectory(prefix="archive-") as home:
        Path(home).chmod(0o755)
        root = Path(home, "archive")
        engine.create(root, group=archive_dovecot.group())
        with RawImapServer({OWNER: mail}, master_password=MASTER, ssl_context=context) as server:
            report = engine.archive(root, engine.site(server.port, ca_file, MASTER), OWNER)
        assert report.problems() == []
        messages = {hashlib.sha256(one.raw).hexdigest(): one.raw for folder in mail.values() for one in folder}
        archive = Archive(root)
        assert archive.problems == []
        assert len(archive.placements) == sum(map(len, mail.values()))
        with unwritable(root / "mail"):
            yield Proof(archive, messages)


@contextlib.contextmanager
def unwritable(top: Path) -> Iterator[None]:
    """Take the right to write from the owner too, who is Dovecot's account where no root runs the tests."""
    modes = {path: path.stat().st_mode for path in (top, *top.rglob("*")) if path.is_dir()}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.fixture(scope="module")
def copy(proof: Proof, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's tree with every message decompressed by zstd, the names as they are."""
    target = tmp_path_factory.mktemp("decompressed") / OWNER
    for place, _folders, files in os.walk(proof.tree):
        here = target / Path(place).relative_to(proof.tree)
        here.mkdir()
        for name in files:
            with (here / name).open("wb") as handle:
                subprocess.run(["zstd", "-dcq", str(Path(place, name))], stdout=handle, check=True)
    return target


def digests(raws: Iterator[bytes]) -> Counter[str]:
    return Counter(hashlib.sha256(raw).hexdigest() for raw in raws)


def expected(placements: list[Placement]) -> Counter[str]:
    return Counter(one.digest for one in placements)


# -- Maildir ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["INBOX", "Projekte/Übergröße/2002", "Odd", BARE])
def test_python_opens_a_folder(proof: Proof, copy: Path, folder: str) -> None:
    with_box = mailbox.Maildir(str(copy / OWNER / folder), create=False)
    placed = proof.placed(folder)
    assert placed
    assert digests(with_box.get_bytes(key) for key in with_box.iterkeys()) == expected(placed)
    assert Counter(message.get_flags() for message in with_box) == Counter(one.flags for one in placed)
    with_box.close()


MUTT = """\
set folder="@home@"
set spoolfile="@home@"
set header_cache=""
set mbox_type=mbox
set confirmappend=no
set confirmcreate=no
set wait_key=no
set timeout=1
push "<tag-pattern>~A<enter><tag-prefix><copy-message>@home@/out<enter><exit>"
"""


def test_mutt_opens_a_folder(proof: Proof, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "muttrc").write_text(MUTT.replace("@home@", str(tmp_path)))
    command = ["mutt", "-n", "-F", str(tmp_path / "muttrc"), "-R", "-f", str(copy / OWNER / "Projekte/Übergröße/2002")]
    on_terminal(command, {"HOME": str(tmp_path), "TERM": "xterm"})
    box = mailbox.mbox(str(tmp_path / "out"), create=False)
    got = Counter(body_of(box.get_bytes(key)) for key in box.iterkeys())
    box.close()
    assert got == Counter(body_of(proof.messages[one.digest]) for one in proof.placed("Projekte/Übergröße/2002"))
    assert got.total() == LETTERS


def body_of(raw: bytes) -> bytes:
    """A message without its header, in which mutt notes what it knows, and without the mbox's marks."""
    body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return re.sub(rb"(?m)^>(>*From )", rb"\1", body).rstrip(b"\n")


def on_terminal(command: list[str], more: dict[str, str]) -> None:
    """Run a program that wants a terminal, until it ends."""
    master, terminal = pty.openpty()
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **more}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # the last who had the terminal open has ended
        pass
    finally:
        os.close(master)
    assert process.wait(60) == 0, shown[-2000:]


MBSYNC = """\
MaildirStore archive
Path "@home@/copy/"
Inbox "@home@/copy/INBOX"
SubFolders Verbatim

MaildirStore mine
Path "@home@/mine/"
Inbox "@home@/none"
SubFolders Verbatim

Channel all
Far :archive:
Near :mine:
Patterns "reader@example.com/*"
Sync Pull
Create Near
Expunge None
SyncState "@home@/state/"
"""


def test_mbsync_copies_the_tree(proof: Proof, copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "copy")  # mbsync numbers the files of its source
    for name in ("mine", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "mbsyncrc").write_text(MBSYNC.replace("@home@", str(tmp_path)))
    environment = {**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["mbsync", "-q", "-c", str(tmp_path / "mbsyncrc"), "all"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    skipped = 0
    for folder in (*TRUE_NAMES, BARE):
        files = (path for part in ("cur", "new") for path in (tmp_path / "mine" / OWNER / folder / part).iterdir())
        placed = proof.placed(folder)
        taken = [one for one in placed if END_OF_HEADER.search(proof.messages[one.digest])]
        assert digests(without_mark(path.read_bytes()) for path in files) == expected(taken), folder
        skipped += len(placed) - len(taken)
    assert done.stderr.count("incomplete header; skipping") == len(done.stderr.splitlines()) == skipped


def without_mark(raw: bytes) -> bytes:
    """mbsync marks each copy by a header line of its own."""
    return re.sub(rb"(?m)^X-TUID: \S{12}\r?\n", b"", raw, count=1)


# -- Dovecot ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dovecot(proof: Proof) -> Iterator[ArchiveDovecot]:
    with ArchiveDovecot(proof.archive.root) as running:
        yield running


def test_dovecot_lists_the_true_names(dovecot: ArchiveDovecot) -> None:
    with dovecot.open(OWNER) as opened:
        names = {name for _argument, name in opened.folders()}
    assert names == {"INBOX", *(f"{OWNER}/{name}" for name in (*TRUE_NAMES, *SHOWN_AS.values(), BARE))}


def test_dovecot_serves_every_message(proof: Proof, dovecot: ArchiveDovecot) -> None:
    began = time.monotonic()
    with dovecot.open(OWNER) as opened:
        seen = list(opened.all_messages())
    seconds = time.monotonic() - began
    names = {f"{OWNER}/{SHOWN_AS.get(name, name)}": name for name in (*TRUE_NAMES, *SHOWN_AS, BARE)}
    wanted = Counter(
        (
            shown,
            hashlib.sha256(LINE_FEED.sub(b"\r\n", proof.messages[one.digest])).hexdigest(),
            one.virtual_size,
            one.internaldate,
        )
        for shown, name in names.items()
        for one in proof.placed(name)
    )
    assert Counter((one.row.folder, one.row.digest, one.virtual_size, date_of(one.internaldate)) for one in seen) == wanted
    assert all(one.size == one.virtual_size for one in seen)
    exact = [one for one in seen if not one.row.folder.endswith(BARE)]
    assert {one.row.digest for one in exact} <= set(proof.messages)
    size = sum(one.size for one in seen)
    figures.record("served by Dovecot", folders=len(names), messages=len(seen), bytes=size, seconds=round(seconds, 2))


def date_of(internaldate: str) -> int:
    return int(datetime.datetime.strptime(internaldate, "%d-%b-%Y %H:%M:%S %z").timestamp())


def test_dovecot_shows_the_flags(proof: Proof, dovecot: ArchiveDovecot) -> None:
    letters = {"\\Answered": "R", "\\Flagged": "F", "\\Seen": "S", "\\Draft": "D"}
    with dovecot.open(OWNER) as opened:
        opened.imap.select(f'"{OWNER}/INBOX"', readonly=True)
        lines = opened.imap.fetch("1:*", "(FLAGS)")[1]
    shown = Counter("".join(sorted(letter for flag, letter in letters.items() if flag.encode() in line)) for line in lines)
    assert shown == Counter(one.flags.replace("P", "") for one in proof.placed("INBOX"))


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("STORE", ("1", "+FLAGS", "(\\Deleted)")),
        ("EXPUNGE", ()),
        ("COPY", ("1", f'"{OWNER}/Odd"')),
        ("DELETE", (f'"{OWNER}/Odd"',)),
        ("RENAME", (f'"{OWNER}/Odd"', "other")),
        ("CREATE", ("other",)),
    ],
)
def test_nothing_changes_through_dovecot(proof: Proof, dovecot: ArchiveDovecot, command: str, arguments: tuple[str, ...]) -> None:
    before = proof.archive.fingerprint()
    with dovecot.open(OWNER) as opened:
        answer, words = opened.imap.xatom("SELECT", f'"{OWNER}/INBOX"')
        assert answer == "OK" and b"[READ-ONLY]" in words[0]
        opened.imap.state, opened.imap.is_readonly = "SELECTED", True  # else imaplib refuses to send what may not be done
        opened.imap.xatom(command, *arguments)
        opened.imap.xatom("NOOP")
    assert proof.archive.fingerprint() == before


def test_the_archive_is_untouched_by_its_reader(proof: Proof, dovecot: ArchiveDovecot) -> None:
    assert list(proof.archive.root.glob("mail/**/dovecot*")) == []
    assert "Error" not in dovecot.log()
