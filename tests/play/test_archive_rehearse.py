# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_rehearse in playbooks, against a server: messages go in and come back, the mailbox is afterwards as it was."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import (
    Connection,
    Credentials,
    Endpoint,
    open_connection,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import survey
from tests.lab.fixtures import LabServer
from tests.lab.playbooks import ROOT
from tests.play.helpers import Step, assert_one_sentence, play, run, switch_master
from tests.play.trees import tree
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail

MADE = "kerio-archive rehearsal"
LARGE = 5 << 20
# Bare line feeds, a lone carriage return, bytes of no character set, no header at all; a message larger than what is streamed.
BODIES = (
    mail(1),
    b"Subject: bare\n\nbody\n",
    b"Subject: lone\r\n\r\none\rtwo\r\n",
    b"Subject: \xff\xfe\r\n\r\n\x80\x81\r\n",
    b"no header\r\n",
    mail(2, body="x" * LARGE),
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return alices(tmp_path, *BODIES)


def where(server: LabServer) -> dict[str, t.Any]:
    return {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}


def alice(server: LabServer) -> dict[str, t.Any]:
    return {**where(server), "mailbox": "alice@example.com", "password": server.user("alice")["password"]}


def rehearse(archive: Archive, options: dict[str, t.Any], *, check: bool = False) -> Step:
    return Step("archive_rehearse", {"root": str(archive.root), **options}, check, python=sys.executable)


def connect(server: LabServer) -> Connection:
    given = alice(server)
    endpoint = Endpoint(given["host"], given["port"], ca_file=given["ca_file"])
    return open_connection(endpoint, Credentials(given["mailbox"], given["password"]))


def mailbox(server: LabServer) -> dict[str, t.Any]:
    """Every folder with UIDVALIDITY, UIDNEXT and the number of messages."""
    with connect(server) as conn:
        return {name: (one.uidvalidity, one.uidnext, one.messages) for name, one in survey(conn)[1].items()}  # type: ignore[union-attr]  # none fails


def counts(answer: t.Any) -> dict[str, int]:
    kinds = ("same", "line_ends", "headers_added", "other", "refused", "damaged", "missing", "dates_changed")
    return {kind: answer.result["rehearsal"][kind] for kind in kinds if answer.result["rehearsal"][kind]}


@pytest.mark.shows("run", "check")
def test_messages_come_back_and_the_mailbox_is_as_it_was(archive: Archive, mail1: LabServer) -> None:
    before, files = mailbox(mail1), tree(archive.root)
    switch_master(mail1, True)
    master = {**where(mail1), "mailbox": "alice@example.com", "password": mail1.master_password, "master": True}
    check, own, as_master = play(
        rehearse(archive, alice(mail1), check=True), rehearse(archive, alice(mail1)), rehearse(archive, {**master, "sample": 2})
    )
    assert check.msg == f"{len(BODIES)} messages would be put into the server and fetched back; 0 damaged"
    # Dovecot stores a bare line feed as CRLF, and gives the rest back as it came.
    assert counts(own) == {"same": len(BODIES) - 1, "line_ends": 1}, own.result
    assert own.result["rehearsal"]["full_restore"]["messages"] == len(BODIES)
    assert own.result["rehearsal"]["bytes"] == sum(map(len, BODIES))
    assert as_master.result["rehearsal"]["messages"] == 2
    assert [(answer.status, answer.changed) for answer in (check, own, as_master)] == [("ok", False)] * 3
    assert mailbox(mail1) == before
    assert tree(archive.root) == files


@pytest.mark.shows("by_hand")
def test_a_folder_that_somebody_made_is_refused_and_not_touched(archive: Archive, mail1: LabServer) -> None:
    with connect(mail1) as conn:
        conn.client.create_folder(MADE)
        conn.client.append(MADE, b"Subject: somebody's\r\n\r\n")
    before = mailbox(mail1)
    assert before[MADE][2] == 1
    try:
        check, real, wild = play(
            rehearse(archive, alice(mail1), check=True),
            rehearse(archive, alice(mail1)),
            rehearse(archive, {**alice(mail1), "folder": "INBOX/*"}),
        )
        for answer in (check, real):
            assert_one_sentence(answer, "the folder exists already", "this one is not touched")
        assert_one_sentence(wild, "'INBOX/*' cannot be used")
        assert mailbox(mail1) == before
    finally:
        with connect(mail1) as conn:
            conn.client.delete_folder(MADE)


@pytest.mark.shows("broken")
def test_where_the_server_or_the_archive_does_not_answer(
    archive: Archive, mail1: LabServer, closed_port: int, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    closed, wrong, empty = play(
        rehearse(archive, {**alice(mail1), "port": closed_port}),
        rehearse(archive, {**alice(mail1), "password": "not-a-secret-but-wrong"}),
        Step("archive_rehearse", {"root": f"{tmp_path}/empty", **alice(mail1)}, python=sys.executable),
    )
    assert_one_sentence(closed, "connection refused")
    assert_one_sentence(wrong, "the server refused LOGIN")
    assert_one_sentence(empty, "it holds no archive")


def test_the_playbook(archive: Archive, mail1: LabServer, tmp_path: Path) -> None:
    names = {"host": "host", "port": "port", "ca_file": "ca_file", "mailbox": "mailbox", "password": "password"}
    given = {f"archive_rehearse_{name}": alice(mail1)[key] for name, key in names.items()}
    given |= {"archive_host_root": str(archive.root), "archive_host_python": sys.executable}
    (tmp_path / "variables.json").write_text(json.dumps(given), encoding="utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    (tmp_path / "hosts").write_text(f"[archive_hosts]\n{host}\n", encoding="utf-8")
    done = run(ROOT / "playbooks/rehearse.yml", "-e", f"@{tmp_path}/variables.json", inventory=tmp_path / "hosts")
    assert done.rc == 0, done.output
    assert done.changed() == []
    assert str(done.of("debug")[-1].result["msg"]).startswith(
        "5 of 6 messages came back from the server byte for byte (1 line ends)"
    )
