# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that no other test makes, each by the call that makes it; tests/error_watch.py reads their words."""

from __future__ import annotations

import socket
import sqlite3
import types
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import errors, job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    access_module,
    access_passwords,
    access_state,
    evidence_options,
    evidence_read,
    export_manifest,
    profile,
    proof_module,
    rebuild_scan,
    rehearse,
    repair_files,
    report_data,
    report_mail,
    report_page,
    snapshot,
    store_setup,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_dest import Destination
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_nursery import Nursery
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import client, fetch, headers, preflight_folders, wire
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import ClientAbort, Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.scratch import Scratch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.target import TargetFolders
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_groups
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Document
from tests.unit.imap_script import Expect, Step, connected

HASH = "$argon2id$v=19$m={memory},t=3,p=4$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
CFG = b'<?xml version="1.0"?>\n<config><table name="A"><variable name="B">1</variable></table></config>\n'
Make = Callable[[Path], object]


def bare(cls: type, **members: Any) -> Any:
    """An object without what its constructor would do."""
    made = cls.__new__(cls)
    for name, value in members.items():
        setattr(made, name, value)
    return made


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def empty(path: Path) -> Path:
    """A root with the file that names the format, and nothing else."""
    (path / "format").write_text("kerio-archive 1\n", encoding="utf-8")
    return path


def torn_zstd(path: Path) -> str:
    return str(write(path / "message", b"\x28\xb5\x2f\xfd" + b"\0" * 20))


def unlike(path: Path) -> CfgFile:
    """A file on a disk that gives back something else."""
    write(path / "mailserver.cfg", CFG)
    file = CfgFile(str(path / "mailserver.cfg"), path / "journal")
    file.read = lambda: b"something else"  # type: ignore[method-assign]
    return file


def gone(path: Path) -> CfgFile:
    file = CfgFile(str(write(path / "mailserver.cfg", CFG)), path / "journal")
    (path / "mailserver.cfg").unlink()
    return file


def proof_of_an_edit(_: Path) -> object:
    document = Document(CFG, "mailserver.cfg")
    return document._prove(document, document.variables[0], "2")


def closed_nursery(_: Path) -> object:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        return bare(Nursery, _socket=ours)._ask(b"x")


def send_to_nobody(_: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        wire.Wire(ours, "mail1").send(b"x")


LEDGER = {"ledger_origin": "archive1/srv/archive/kerio", "ledger_key": "", "ledger_checkpoints": ["no checkpoint"], "root": "/x"}


def log_without_hashes(path: Path) -> object:
    with (path / "hashes").open("w+b") as file:
        return bare(EvidenceLog, root=str(path), _hashes=file.fileno()).read(7)


def foreign_export(path: Path) -> Path:
    about = path / export_manifest.ABOUT
    about.parent.mkdir(parents=True, exist_ok=True)
    write(about, b"{}")
    return path


DIGEST = b"x" * 32


def files(path: Path) -> Any:
    return bare(repair_files.Files, _root=str(path.parent), _whole={DIGEST: []})


def in_a_snapshot(path: Path) -> None:
    with snapshot._errors(path):
        raise sqlite3.DatabaseError("file is not a database")


def endless_line() -> Any:
    size = wire.LONGEST_LINE + 1
    return bare(wire.Wire, start=0, end=size, buffer=bytearray(size), label="mail1", fill=lambda: None)


def unlisted() -> Any:
    members = {"_ensure_one": lambda *_, **__: None, "find": lambda _: None, "_subject": lambda _: "mail1, folder Projects"}
    return bare(TargetFolders, **members)


class Killed:
    """A pool whose processes are gone."""

    def submit(self, *_: object) -> object:
        raise BrokenProcessPool("terminated abruptly")


class Refusing:
    """A server that refuses every item, and has no object."""

    name = "mail1"

    def call(self, *_: object) -> object:
        raise errors.ItemError("mail1: X.set", "item 0: no (code 1)", "See its log", errors=[{"index": 0, "message": "no"}])

    def objects(self, _: object) -> list[object]:
        return []


CIRCLE = types.SimpleNamespace(group="Archive hosts", creates=[types.SimpleNamespace(value=("group", "Others"))])

CASES: list[tuple[str, Make, str]] = [
    ("InputError", lambda _: access_module._passwords({"alice": 7}), "it is no text"),
    ("InputError", lambda _: access_passwords._checked("alice", HASH.format(memory=65536) + " "), "a blank or a colon"),
    ("InputError", lambda _: access_passwords._checked("alice", HASH.format(memory=2**22)), "cannot have so much"),
    ("InputError", lambda _: access_state._account("owner", "nobody-of-this-name"), "there is no user"),
    ("StoreError", log_without_hashes, "it has no hash 7"),
    ("InputError", lambda _: evidence_options.ledger_of(LEDGER, "me"), "ledger_checkpoints, entry 1"),
    ("InputError", lambda _: evidence_read._sources("archive"), "is not an absolute path"),
    ("StoreError", lambda path: evidence_read._sources(str(empty(path))), "the archive has no catalog"),
    ("StoreError", lambda path: export_manifest.about(str(foreign_export(path))), "this release knows"),
    ("InputError", lambda _: profile._checked_servers("profile a", "multiple_mailboxes", None, {}), "no server is declared"),
    ("StoreError", lambda path: proof_module._digest_of(torn_zstd(path)), "it cannot be decompressed"),
    ("StoreError", lambda path: rebuild_scan.read(str(path.parent), path.name, b""), "it is no file"),
    ("InputError", lambda _: rehearse.Source("archive"), "is not an absolute path"),
    ("StoreError", lambda path: rehearse.Source(str(empty(path))).draw(1), "neither a catalog nor a snapshot"),
    ("StoreError", lambda path: files(path).set_mode(path.name, None), "it is no file"),
    ("StoreError", lambda path: files(path)._whole_object(DIGEST), "the object to link is not whole"),
    ("InputError", lambda _: report_data.report_of({}, 7), "is missing"),
    ("MissingLibraryError", lambda _: report_page.render({}, "/report.html.j2"), "no library Jinja2"),
    ("JobError", closed_nursery, "the process that starts them died"),
    ("InputError", lambda _: store_setup._wanted(store_setup.Wish(root="/")), "cannot be an archive root"),
    ("MissingLibraryError", lambda _: client.refuse_without_library(), "imapclient is not installed"),
    ("ProtocolError", lambda _: bare(wire.Wire, start=0, end=0, buffer=b"", label="mail1").make_room(2**62), "more than"),
    ("JobError", job._read, "Is a directory"),
    ("CfgError", lambda path: gone(path).read(), "No such file or directory"),
    ("CfgError", lambda path: unlike(path).write(CFG, path / "backup"), "it reads back differently"),
    ("CatalogError", lambda path: in_a_snapshot(path), "file is not a database"),
    ("ProtocolError", lambda _: endless_line().peek_line(), "a line of more than"),
    ("NetworkError", send_to_nobody, "the connection broke"),
    ("InputError", lambda path: bare(Destination, staging=path / "gone", dest="/mnt/usb").probe(":"), "does not take ':'"),
    ("InputError", lambda _: report_mail.message(types.SimpleNamespace(sender="a\nb", to=[]), "", "", ""), "addresses cannot"),
    ("JobError", lambda _: list(bare(Spread, _pool=Killed(), _name="reading objects").each(abs, [1])), "was killed"),
    ("ImapError", lambda _: unlisted().ensure(("Projects",)), "the server says that it is made, but does not list it"),
    ("ItemError", lambda _: address_groups._ask(Refusing(), "X.set", {}, [], False), "Nothing was changed"),
    ("ApiError", lambda _: address_groups._create(Refusing(), {}, CIRCLE), "although it was created a moment before"),
    ("CfgError", proof_of_an_edit, "would change more than that"),
]


@pytest.mark.parametrize(("kind", "make", "words"), CASES, ids=[f"{kind} {words}" for kind, _, words in CASES])
def test_what_no_other_test_provokes(kind: str, make: Make, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "HAS_JINJA2", False)
    monkeypatch.setattr(client, "imapclient", None)
    with pytest.raises(ArchiveToolError) as raised:
        make(tmp_path)
    assert type(raised.value) is getattr(errors, kind)
    assert words in str(raised.value)


LISTED = b'* LIST () "/" Rehearsal\r\n{tag} OK done\r\n'
NOTHING_LISTED = b"{tag} OK done\r\n"


def abort(conn: Connection) -> None:
    with conn.errors("mail1"):
        raise ClientAbort("socket error: EOF")


def made(folder: Scratch) -> Scratch:
    folder.create()
    return folder


def misread(conn: Connection) -> None:
    with conn.errors("mail1"):
        int("no number")


DIALOGUES: list[tuple[str, list[Step], Callable[[Connection], object], str]] = [
    (
        "ImapError",
        [Expect(b"UID FETCH 1 .*", b"{tag} NO not these\r\n")],
        lambda conn: headers.headers(conn, [1], ["Subject"]),
        "the server refused to give headers: NO not these",
    ),
    (
        "ProtocolError",
        [Expect(b"UID SEARCH ALL", b"* SEARCH 0 5\r\n{tag} OK done\r\n")],
        fetch.search_uids,
        "the server lists UIDs that cannot be: 0 to 5",
    ),
    (
        "ImapError",
        [Expect(b"NAMESPACE", b"{tag} NO not here\r\n")],
        preflight_folders._namespaces,
        "the server refused NAMESPACE: NO not here",
    ),
    (
        "ImapError",
        [Expect(rb'LIST "" "\*"', LISTED)],
        lambda conn: Scratch(conn, "Rehearsal").refuse_existing(),
        "the folder exists already",
    ),
    (
        "ImapError",
        [Expect(rb'LIST "" "\*"', NOTHING_LISTED), Expect(b'CREATE "Rehearsal"', b"{tag} NO no right\r\n")],
        lambda conn: Scratch(conn, "Rehearsal").create(),
        "the server refused CREATE: NO no right",
    ),
    (
        "ImapError",
        [
            Expect(rb'LIST "" "\*"', NOTHING_LISTED),
            Expect(b'CREATE "Rehearsal"', b"{tag} OK done\r\n"),
            Expect(b'DELETE "Rehearsal"', b"{tag} OK done\r\n"),
            Expect(rb'LIST "" "\*"', LISTED),
        ],
        lambda conn: made(Scratch(conn, "Rehearsal")).remove(),
        "the server said that it is removed, but it is still there",
    ),
    ("InputError", [], lambda conn: Scratch(conn, "a/b"), "'a/b' cannot be used"),
    (
        "ImapError",
        [Expect(rb'LIST "" "\*"', NOTHING_LISTED)],
        lambda conn: TargetFolders(conn)._raw(("a", "")),
        "this server cannot have a folder of that name",
    ),
    (
        "ProtocolError",
        [Expect(b"NOOP", b"zz9 OK done\r\n")],
        lambda conn: conn.reader.run([b"NOOP"]),
        "the server answered out of turn: zz9 OK done",
    ),
    ("NetworkError", [], abort, "socket error: EOF"),
    ("ProtocolError", [], misread, "the server's answer cannot be read (invalid literal"),
]


@pytest.mark.parametrize(("kind", "steps", "ask", "words"), DIALOGUES, ids=[words for *_, words in DIALOGUES])
def test_what_no_other_dialogue_provokes(kind: str, steps: list[Step], ask: Callable[[Connection], object], words: str) -> None:
    with connected(*steps, capabilities=b"NAMESPACE") as conn, pytest.raises(ArchiveToolError) as raised:
        ask(conn)
    assert type(raised.value) is getattr(errors, kind)
    assert words in str(raised.value)
