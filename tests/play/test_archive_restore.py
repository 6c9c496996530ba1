# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_restore in playbooks, against a server: mail comes back byte for byte, once, and is no news to a run afterwards."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import typing as t
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import (
    Connection,
    Credentials,
    Endpoint,
    open_connection,
)
from tests.lab.fixtures import LabServer
from tests.lab.generate_load import dovecot_keeps
from tests.lab.oddities import oddities
from tests.lab.playbooks import ROOT
from tests.play.archive_site import MAILBOXES
from tests.play.helpers import Step, assert_one_sentence, play, run, switch_master
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
BARE = b"Subject: bare\n\nbody\n"
UGLY = [body for body in oddities().values() if dovecot_keeps(body) and len(body) < 100_000]
BODIES = [*UGLY, BARE]
PROJECT = [mail(7), mail(8)]
TOP, TRAVELS = "Größe & mehr", "Gr&APYA3w-e &- mehr"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*BODIES)
    servers.folder("mail1", ALICE, "Projects/X").add(*PROJECT)
    servers.folder("mail1", ALICE, "Projects/X").flag(1, "\\Flagged", "\\Answered", "$Forwarded")
    made.run()
    return made


def access(server: LabServer, **more: t.Any) -> dict[str, t.Any]:
    own = {"name": server.name, "host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}
    return {**own, "master_password": server.master_password, **more}


def restore(archive: Archive, server: LabServer, *, check: bool = False, **more: t.Any) -> Step:
    options = {"root": str(archive.root), "servers": [access(server)], "user": ALICE, **more}
    return Step("archive_restore", options, check, python=sys.executable)


def connect(server: LabServer) -> Connection:
    endpoint = Endpoint(server.host, server.imaps_port, ca_file=server.ca_file)
    return open_connection(endpoint, Credentials(ALICE, server.user("alice")["password"]))


def held(conn: Connection, folder: str) -> list[tuple[bytes, int, frozenset[bytes]]]:
    """Bytes, date and flags of what a folder has, as another client sees them."""
    client = conn.client
    client.normalise_times = False
    client.select_folder(f"{TRAVELS}/{folder}".encode(), readonly=True)
    found = client.fetch(client.search(), [b"BODY.PEEK[]", b"INTERNALDATE", b"FLAGS"])
    return [
        (one[b"BODY[]"], int(one[b"INTERNALDATE"].timestamp()), frozenset(one[b"FLAGS"]) - {b"\\Recent"})
        for _, one in sorted(found.items())
    ]


def named(listed: t.Iterable[tuple[t.Any, t.Any, bytes]]) -> set[str]:
    """The folders below the top one, as they travel."""
    return {raw.decode() for _, _, raw in listed if raw.startswith(TRAVELS.encode())}


def remove(server: LabServer, *names: str) -> None:
    with connect(server) as conn:
        for name in names:
            conn.client.delete_folder(name.encode())


def placements(archive: Archive) -> Counter[str]:
    """How often each of the messages is filed."""
    ours = {hashlib.sha256(body).digest() for body in (*BODIES, *PROJECT)}
    with closing(sqlite3.connect(archive.catalog_file)) as database:
        return Counter(row[0].hex() for row in database.execute("SELECT digest FROM placements") if row[0] in ours)


def figures(answer: t.Any) -> dict[str, int]:
    keys = ("asked", "appended", "there", "failed", "line_ends", "flags_left_out")
    return {key: answer.result["restored"][key] for key in keys if answer.result["restored"][key]}


@pytest.mark.shows("run", "again", "check", "by_hand", "broken")
def test_mail_comes_back_once_and_a_run_knows_it(archive: Archive, mail1: LabServer, closed_port: int) -> None:
    switch_master(mail1, True)
    every = len(BODIES) + len(PROJECT)
    to = {"target_folder": TOP}
    profile = {"servers": [access(mail1)], "profiles": [MAILBOXES], "processes": 1, "mailbox": ALICE}
    check, real, again, archived, closed, nobody = play(
        restore(archive, mail1, check=True, **to),
        restore(archive, mail1, **to),
        restore(archive, mail1, **to),
        Step("archive_run", {"root": str(archive.root), **profile}, python=sys.executable),
        restore(archive, mail1, check=True, **{**to, "servers": [access(mail1, port=closed_port)]}),
        restore(archive, mail1, check=True, user="nobody@example.com"),
    )
    placed = dict.fromkeys((hashlib.sha256(body).hexdigest() for body in (*BODIES, *PROJECT)), 1)
    try:
        assert (check.changed, figures(check)) == (True, {"asked": every, "appended": every})
        # Dovecot makes CRLF of bare line feeds.
        assert (real.changed, figures(real)) == (True, {"asked": every, "appended": every, "line_ends": 1}), real.result
        assert check.diff["after"] == real.diff["after"]
        assert real.result["restored"]["folders_made"] == [TOP, f"{TOP}/INBOX", f"{TOP}/Projects", f"{TOP}/Projects/X"]
        assert (again.changed, figures(again)) == (False, {"asked": every, "there": every})
        with connect(mail1) as conn:
            made = {TRAVELS, f"{TRAVELS}/INBOX", f"{TRAVELS}/Projects", f"{TRAVELS}/Projects/X"}
            assert named(conn.client.list_folders()) == named(conn.client.list_sub_folders()) == made
            inbox, project = held(conn, "INBOX"), held(conn, "Projects/X")
            conn.client.select_folder(f"{TRAVELS}/Projects/X".encode())
            conn.client.delete_messages([1])
            conn.client.expunge()
        assert Counter(body for body, _, _ in inbox) == Counter([*UGLY, BARE.replace(b"\n", b"\r\n")])
        assert sorted(date for _, date, _ in inbox) == [1_700_000_001 + number for number in range(len(BODIES))]
        assert [body for body, _, _ in project] == PROJECT
        assert project[0][2] == {b"\\Flagged", b"\\Answered", b"$Forwarded"}
        assert project[1][2] == {b"\\Seen"}
        # The only copy on the server is in another folder now, which is no second message.
        assert not archived.failed, archived.result
        assert placements(archive) == placed
        assert_one_sentence(closed, "connection refused")
        assert_one_sentence(nobody, "there is no archive user nobody@example.com")
        own = {"credentials": "password", "password": mail1.user("alice")["password"], "folders": ["Projects*"]}
        (once_more,) = play(restore(archive, mail1, **to, **own))
        assert (once_more.changed, figures(once_more)) == (True, {"asked": 2, "appended": 1, "there": 1})
    finally:
        remove(mail1, *(f"{TRAVELS}{name}" for name in ("/Projects/X", "/Projects", "/INBOX", "")))


def test_the_playbook(archive: Archive, mail1: LabServer, tmp_path: Path) -> None:
    given: dict[str, t.Any] = {"archive_servers": [access(mail1)], "archive_restore_user": ALICE}
    given |= {
        "archive_restore_folders": ["Projects"],
        "archive_restore_by": "ticket 4711",
        "archive_restore_credentials": "password",
    }
    given |= {"archive_restore_password": mail1.user("alice")["password"]}
    given |= {"archive_host_root": str(archive.root), "archive_host_python": sys.executable}
    (tmp_path / "variables.json").write_text(json.dumps(given), encoding="utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    (tmp_path / "hosts").write_text(f"[kerio_servers]\nmail1\n[archive_hosts]\n{host}\n", encoding="utf-8")
    try:
        done = run(ROOT / "playbooks/restore.yml", "-e", f"@{tmp_path}/variables.json", inventory=tmp_path / "hosts")
        assert done.rc == 0, done.output
        told = str(done.of("assert")[-1].result["msg"])
        assert told.startswith(f"2 of 2 messages (210 bytes) put into mail1 {ALICE}"), told
    finally:
        remove(mail1, "Restored/Projects/X", "Restored/Projects", "Restored")
