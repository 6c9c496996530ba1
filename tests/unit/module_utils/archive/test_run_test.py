# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode test against the lab's double in every position of its unknown answers, and against servers that misbehave."""

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_test, verdict
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.errors import LoginRefusedError, NetworkError
from tests.faults.imap_script import bye, close, no
from tests.faults.imap_server import ImapServer
from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.lab.facts.imap_fixtures import rig as rig
from tests.lab.facts.imap_rig import HOST, MASTER, Rig
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers

USERS = ("alice@example.com", "bob@example.com", "carol@example.com")
ALICE = USERS[0]
GROUP, OFF, NO_COMMAND, PASSWORD = verdict.WRONG_GROUP, verdict.MASTER_OFF, verdict.NO_MASTER, verdict.WRONG_MASTER
AWAY, REACH = verdict.TURNED_AWAY, verdict.OUT_OF_REACH
SINGLE = {"name": "one", "method": "single_mailbox", "mailbox": ALICE, "target_user": ALICE}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    for user in USERS:
        made.user(user)
    return made


def tried(
    archive: Archive,
    *servers: dict[str, t.Any],
    profiles: t.Sequence[t.Any] = (MULTIPLE,),
    master: str = MASTER,
    **passwords: str,
) -> tuple[list[dict[str, t.Any]], run_test.Test]:
    """The rows of a test of these servers, and the test."""
    known = parse_servers(servers)
    secrets = Secrets(dict.fromkeys(known, master), passwords)
    test = run_test.Test(Options(str(archive.root), known, parse_profiles(profiles, known), secrets), Silent())
    report = test.go()
    rows = run_test.as_data(report, test.found)["test"]
    nobody = any(profile.errors and not profile.mailboxes for profile in report.profiles)
    assert (report.problems() == []) == (not nobody and all(row["verdict"] == verdict.FINE for row in rows))
    return rows, test


def reach(rig: Rig, certificate: tuple[Path, Path], **more: t.Any) -> dict[str, t.Any]:
    return {"name": "mail1", "host": HOST, "port": rig.imaps, "ca_file": str(certificate[0]), **more}


def masters_tried(rig: Rig) -> list[str]:
    """Why X-MASTERAUTH was refused, each time."""
    return [line["cause"] for line in rig.logins() if line["method"] == "X-MASTERAUTH" and not line["ok"]]


def test_everything_fine(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    rig.master(group=rig.group(HOST))
    rows, test = tried(archive, reach(rig, lab_certificate))
    assert [(row["server"], row["mailbox"], row["user"], row["verdict"]) for row in rows] == [
        ("mail1", user, user, verdict.FINE) for user in USERS
    ]
    assert {(row["connection"], row["login"], row["folders"]) for row in rows} == {("ok", "ok", "ok")}
    assert all(row["folders_selected"] >= 2 and row["folders_excluded"] >= 1 for row in rows)
    examined = [line for line in rig.commands() if line["command"] == "EXAMINE"]
    assert len(examined) == sum(row["folders_selected"] for row in rows)
    assert not [line for line in rig.commands() if line["command"] in ("UID FETCH", "SELECT", "UID STORE", "UID SEARCH")]
    assert run_test.sentence(test.report, test.found) == "3 of 3 mailboxes can be read"


@pytest.mark.parametrize(
    ("form", "expected"),
    [("no", (OFF, GROUP)), ("bad", (OFF, GROUP, NO_COMMAND)), ("bye", (OFF, GROUP, AWAY)), ("close", (OFF, GROUP, REACH))],
)
@pytest.mark.parametrize("cause", ["disabled", "address"])
def test_what_is_refused_before_the_password_is_asked_for(
    rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path], cause: str, form: str, expected: tuple[str, ...]
) -> None:
    """Off and wrong group have one answer each, and no fact says which has which: both are named, in every form."""
    rig.master(enabled=cause != "disabled", group=rig.group("192.0.2.1"))
    rig.switch(**{f"master_refusal_{cause}": form})
    rows, test = tried(archive, reach(rig, lab_certificate))
    assert [tuple(row["can_be"]) for row in rows] == [expected] * 3
    assert [row["verdict"] for row in rows].count(verdict.NOT_TRIED) == 2
    assert {row["verdict"] for row in rows} == {verdict.CANNOT_TELL, verdict.NOT_TRIED}
    assert set(masters_tried(rig)) == {cause}
    (problem,) = test.report.problems()
    assert problem.where == "mail1"
    for code in expected:
        assert verdict.MEANINGS[code].words in problem.message
    assert "(3 mailboxes not read)" in problem.message


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("no", (PASSWORD,)),
        ("bad", (PASSWORD, OFF, GROUP)),
        ("bye", (PASSWORD, OFF, GROUP, AWAY)),
        ("close", (PASSWORD, OFF, GROUP, AWAY)),
    ],
)
def test_a_wrong_master_password_costs_one_attempt(
    rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path], form: str, expected: tuple[str, ...]
) -> None:
    rig.master()
    rig.switch(master_refusal_password=form)
    rows, test = tried(archive, reach(rig, lab_certificate), master="not-a-secret-but-wrong")
    assert [tuple(row["can_be"]) for row in rows] == [expected] * 3
    assert [row["verdict"] for row in rows if row["verdict"] != verdict.NOT_TRIED] == [verdict.verdict_of(expected)]
    assert {(row["connection"], row["login"]) for row in rows} == {("ok", "failed"), ("not tried", "not tried")}
    assert masters_tried(rig) == ["password"]
    sentence = run_test.sentence(test.report, test.found)
    assert sentence.startswith("0 of 3 mailboxes can be read; 1 problem: mail1: ")
    assert "not-a-secret" not in sentence


def test_a_mailbox_that_is_not_there(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    rig.master()
    archive.user("nobody@example.com")
    rows, test = tried(archive, reach(rig, lab_certificate))
    assert {row["mailbox"]: row["verdict"] for row in rows} == {
        **dict.fromkeys(USERS, verdict.FINE),
        "nobody@example.com": verdict.NO_MAILBOX,
    }
    (problem,) = test.report.problems()
    assert problem.where == "mail1 nobody@example.com"
    assert "there is none, or the account is disabled" in problem.message


def test_a_wrong_mailbox_password_is_tried_once_by_all_profiles(
    rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]
) -> None:
    both = [SINGLE, {**SINGLE, "name": "two", "target_user": USERS[1]}]
    rows, _test = tried(archive, reach(rig, lab_certificate), profiles=both, one="not-a-secret-wrong", two="not-a-secret-wrong")
    assert [row["verdict"] for row in rows] == [verdict.CANNOT_TELL, verdict.NOT_TRIED]
    assert [row["can_be"] for row in rows] == [[verdict.WRONG_PASSWORD, verdict.NO_MAILBOX, verdict.LOGIN_LOCKED]] * 2
    assert len([line for line in rig.logins() if not line["ok"]]) == 1
    (fine,), _test = tried(archive, reach(rig, lab_certificate), profiles=[SINGLE], one="not-a-secret-alice")
    assert fine["verdict"] == verdict.FINE


def test_a_server_that_takes_no_password_without_tls(rig: Rig, archive: Archive) -> None:
    rig.options("SecurityPolicy")["mode"] = "SPEncryptionRequired"
    plain = {"name": "mail1", "host": HOST, "port": rig.imap, "access": "IMAP"}
    (row,), _test = tried(archive, plain, profiles=[SINGLE], one="not-a-secret-alice")
    assert (row["verdict"], row["login"]) == (verdict.NEEDS_TLS, "failed")
    assert rig.logins() == []


def test_a_folder_that_cannot_be_opened(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    rig.master()
    rig.switch(unselectable_folders="Sent Items")
    rows, test = tried(archive, reach(rig, lab_certificate))
    assert {row["verdict"] for row in rows} == {verdict.UNREADABLE}
    assert all(set(row["unreadable_folders"]) == {"Sent Items"} and row["folders"] == "failed" for row in rows)
    assert [problem.where for problem in test.report.problems()] == [f"mail1 {user} Sent Items" for user in USERS]


def test_certificate_port_and_plain_text(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    rig.master()
    with socket.socket() as free:
        free.bind((HOST, 0))
        nobody = free.getsockname()[1]
    cases = {
        verdict.CERTIFICATE: {"ca_file": None},
        verdict.OUT_OF_REACH: {"port": nobody},
        verdict.PROTOCOL: {"port": rig.imap},
        verdict.DECLARED: {"ca_file": "/nowhere.pem"},
    }
    for code, change in cases.items():
        rows, _test = tried(archive, reach(rig, lab_certificate, **change))
        assert [row["can_be"] for row in rows] == [[code]] * 3
        assert {row["verdict"] for row in rows} == {code, verdict.NOT_TRIED}
        assert "ok" not in {row["connection"] for row in rows}


def test_a_blocked_address(archive: Archive) -> None:
    with ImapServer() as server:
        server.script.on("GREETING", bye("Too many failed logins from this address"))
        plain = {"name": "mail1", "host": HOST, "port": server.port, "access": "IMAP"}
        (row,), _test = tried(archive, plain, profiles=[SINGLE], one="not-a-secret-alice")
    assert (row["verdict"], row["connection"]) == (AWAY, "failed")
    assert "Too many failed logins from this address" in row["message"]


def test_a_folder_that_breaks_the_connection_hides_no_other(archive: Archive) -> None:
    with ImapServer() as server:
        for name in ("INBOX", "Broken", "Refused", "Fine"):
            server.state.folder(ALICE, name).add(b"Subject: x\r\n\r\nx\r\n")
        server.script.on("EXAMINE", close, folder="Broken")
        server.script.on("EXAMINE", no("Mailbox is damaged"), folder="Refused")
        plain = {"name": "mail1", "host": HOST, "port": server.port, "access": "IMAP"}
        (row,), test = tried(archive, plain, profiles=[SINGLE], one=server.password)
    assert set(row["unreadable_folders"]) == {"Broken", "Refused"}
    assert "Mailbox is damaged" in row["unreadable_folders"]["Refused"]
    assert (row["verdict"], row["messages"], row["folders_selected"]) == (verdict.UNREADABLE, 2, 4)
    assert len(test.report.problems()) == 2


def test_a_connection_that_breaks_once_is_no_finding(archive: Archive) -> None:
    with ImapServer() as server:
        server.state.folder(ALICE, "INBOX")
        server.script.on("EXAMINE", close, times=1)
        plain = {"name": "mail1", "host": HOST, "port": server.port, "access": "IMAP"}
        (row,), _test = tried(archive, plain, profiles=[SINGLE], one=server.password)
    assert row["verdict"] == verdict.FINE


def test_one_server_that_is_down_hides_no_other(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    rig.master()
    archive.user("gina@example.org", server="mail2")
    rows, test = tried(archive, reach(rig, lab_certificate), {"name": "mail2", "host": HOST, "port": 1})
    assert {row["server"]: row["verdict"] for row in rows} == {"mail1": verdict.FINE, "mail2": verdict.OUT_OF_REACH}
    assert [problem.where for problem in test.report.problems()] == ["mail2"]


def test_before_there_is_an_archive(rig: Rig, tmp_path: Path, archive: Archive, lab_certificate: tuple[Path, Path]) -> None:
    archive.root = tmp_path / "none"
    rows, test = tried(archive, reach(rig, lab_certificate), profiles=[SINGLE, MULTIPLE], one="not-a-secret-alice")
    assert [row["verdict"] for row in rows] == [verdict.FINE]
    (problem,) = test.report.problems()
    assert problem.where == f"profile {MULTIPLE['name']}"
    assert "Synchronise the users" in problem.message
    assert not archive.root.exists()


def test_words_of_several_causes_keep_those_of_the_server() -> None:
    details = {"stage": "X-MASTERAUTH", "answer": "BAD", "server_text": "Unknown command", "digest_sent": False}
    error = LoginRefusedError("mail1:993", "the server refused X-MASTERAUTH: BAD Unknown command", "Check", **details)
    text = verdict.explained(error, verdict.can_be(error))
    assert "BAD Unknown command" in text
    assert "The answer does not tell which it is" in text
    assert verdict.can_be(NetworkError("mail1:993", "Connection refused", "Check")) == (REACH,)
