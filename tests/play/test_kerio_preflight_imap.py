# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight_imap against the lab, in both positions of its switches; and what deleting does, tried in a scratch mailbox."""

from __future__ import annotations

import imaplib
import ssl
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight_imap
from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_untouched, failed_logins, play, switch_master
from tests.unit.library.module_run import run_module

WRONG = "not-a-secret-but-wrong"
Facts = dict[str, tuple[str, str]]


def options(server: LabServer, **more: t.Any) -> dict[str, t.Any]:
    alice = server.user("alice")
    where = {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file, "plain_port": server.imap_port}
    given = {**where, "mailbox": alice["address"], "password": alice["password"], **more}
    return {name: value for name, value in given.items() if value is not None}


def look(server: LabServer, **more: t.Any) -> Facts:
    return told(run_module(kerio_preflight_imap.main, **options(server, **more)))


def told(result: dict[str, t.Any]) -> Facts:
    assert result["changed"] is False
    return {row["id"]: (row["verdict"], row["found"]) for row in result["facts"]}


def differing(facts: Facts) -> set[str]:
    return {name for name, (verdict, _found) in facts.items() if verdict == "differs"}


def scratch(server: LabServer) -> dict[str, t.Any]:
    bob = server.user("bob")
    return {"write": True, "scratch_mailbox": bob["address"], "scratch_password": bob["password"]}


def mailbox(server: LabServer, login: str) -> dict[str, t.Any]:
    """Every folder with the number of its messages."""
    context = ssl.create_default_context(cafile=server.ca_file)
    with imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=context) as imap:
        imap.login(server.user(login)["address"], server.user(login)["password"])
        lines = t.cast("list[bytes]", imap.list()[1])
        names = [line.split(b' "/" ')[1].decode() for line in lines if b"Noselect" not in line]
        return {name: imap.select(name, readonly=True)[1] for name in names}


# A position of the double's switches, what differs then, and what cannot be told besides what is not asked.
POSITIONS: list[tuple[dict[str, t.Any], set[str], set[str]]] = [
    ({}, set(), set()),
    ({"capabilities": "minimal"}, {"imap-uidplus", "imap-literal-plus"}, {"imap-namespace", "imap-foreign-folders"}),
    ({"capabilities": "rich"}, set(), set()),
    ({"master_advertised": True}, set(), set()),
    ({"list_children": True, "public_folders": True, "archive_folders": True}, set(), set()),
    ({"unselectable_folders": "Drafts"}, {"imap-folders-open"}, set()),
    ({"groupware_folders": True}, {"imap-groupware"}, set()),
]


def test_positions_of_the_double(mail1: LabServer) -> None:
    sampled = {"imap-uids", "imap-dates", "imap-sizes", "imap-bytes", "imap-seen"}
    unasked = {
        "imap-clock",
        "imap-master",
        "imap-envelope",
        "imap-envelope-recipients",
        "write-append",
        "write-moment",
        "write-delete",
    }
    for switches, differ, untold in POSITIONS:
        with mail1.switched(**switches):
            facts = look(mail1)
        assert differing(facts) == {*differ, "imap-before-tls"}, switches
        silent = {name for name, (verdict, _found) in facts.items() if verdict == "cannot_tell"}
        assert silent - sampled == untold | unasked, switches
    assert failed_logins(mail1) == []


def test_what_deleting_does_in_every_position_and_that_the_mailbox_is_as_before(mail1: LabServer) -> None:
    before = mailbox(mail1, "bob")
    found = {}
    for moment in ("store", "expunge"):
        with mail1.switched(delete_moment=moment):
            found[moment] = look(mail1, **scratch(mail1))
    path = Path(mail1.mailserver_cfg)
    mail1.service("stop")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"AutoExpungeOnDelete">1<', '"AutoExpungeOnDelete">0<'), encoding="utf-8")
    mail1.service("start")
    for capabilities in ("typical", "minimal"):
        with mail1.switched(capabilities=capabilities):
            found[capabilities] = look(mail1, **scratch(mail1))
    assert [facts["write-append"][0] for facts in found.values()] == ["holds"] * 4
    assert found["store"]["write-moment"] == ("differs", "It left its folder for Deleted Items at STORE.")
    assert found["expunge"]["write-moment"] == ("holds", "It stayed.")
    assert [found[name]["write-delete"] for name in ("store", "expunge")] == [("differs", "It is in Deleted Items.")] * 2
    for name in ("typical", "minimal"):
        assert [found[name][fact] for fact in ("write-moment", "write-delete")] == [
            ("holds", "It stayed."),
            ("holds", "It is gone."),
        ]
    assert mailbox(mail1, "bob") == before


@pytest.mark.shows("run", "check", "by_hand", "broken")
def test_the_master_password_is_tried_once_and_in_a_check_not_at_all(mail1: LabServer, closed_port: int) -> None:
    switch_master(mail1, True, group="Local clients")  # 10.0.0.0/8, by hand
    elsewhere = look(mail1, master_password=mail1.master_password)
    switch_master(mail1, True)
    mail1.forget()
    master = options(mail1, password=None, master_password=mail1.master_password)
    before = mailbox(mail1, "bob")
    right, check, wrong, closed = play(
        Step("kerio_preflight_imap", master),
        Step("kerio_preflight_imap", {**master, **scratch(mail1)}, check=True),
        Step("kerio_preflight_imap", {**master, "master_password": WRONG}),
        Step("kerio_preflight_imap", {**master, "port": closed_port}),
    )
    assert elsewhere["imap-master"][0] == "cannot_tell"
    assert told(right.result)["imap-master"] == ("holds", "The mailbox was opened: X-SETUSER completed.")
    assert told(right.result)["imap-names"][0] == "holds"
    assert told(check.result)["imap-master"][0] == "cannot_tell"
    assert told(check.result)["write-delete"][1] == "Nothing is written without preflight_write"
    assert told(wrong.result)["imap-master"][0] == "differs"
    assert failed_logins(mail1) == ["X-MASTERAUTH"]
    assert mailbox(mail1, "bob") == before
    assert closed.failed
    assert "connection refused" in closed.msg
    assert {verdict for name, (verdict, _found) in told(closed.result).items() if name != "imap-before-tls"} == {"cannot_tell"}
    mail1.forget()
    assert_untouched(mail1)
