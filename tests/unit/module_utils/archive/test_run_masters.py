# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs while the master password is being rotated: which password is tried, how often, and what is said of it."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets, endpoint_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_masters import MasterKeys
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, LoginRefusedError, NetworkError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from tests.unit.module_utils.archive.engine_fake import (
    MASTER,
    MULTIPLE,
    OTHER,
    Archive,
    FakeConnection,
    FakeServers,
    mail,
    multidrop,
    refused_master,
)

ALICE, JOURNAL = "alice@example.com", "archive@example.com"
USERS = tuple(f"user{number}@example.com" for number in range(6))
WARNING = "mail1: the server still takes the other master password; finish the rotation"
TOLD = "mail1: AdvancedOptions.set was refused (1004)"


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.other = {"mail1": OTHER}
    for number, user in enumerate(USERS):
        made.user(user)
        servers.folder("mail1", user).add(mail(number))
    return made


def preview(archive: Archive) -> RunReport:
    return Preview(archive.options(), Silent(), archive.servers.imap()).go()


def logins(servers: FakeServers) -> tuple[int, int]:
    """All attempts to log in, and those with a wrong master password."""
    return len(servers.commands("LOGIN")), len(servers.commands("WRONG"))


@pytest.mark.parametrize("check", [True, False])
def test_the_other_password_is_tried_once_and_used_for_the_rest_of_the_run(
    archive: Archive, servers: FakeServers, check: bool
) -> None:
    archive.master, archive.other = OTHER, {"mail1": MASTER}
    report = preview(archive) if check else archive.run()
    assert (report.problems(), report.warnings, report.accounts().new) == ([], [WARNING], len(USERS))
    assert len(servers.commands("WRONG")) == 1
    if not check:
        ((summary,),) = archive.rows("SELECT summary FROM runs")
        assert WARNING in summary


def test_nothing_is_said_and_nothing_refused_while_the_password_is_right(archive: Archive, servers: FakeServers) -> None:
    report = archive.run()
    assert (report.problems(), report.warnings, report.accounts().new) == ([], [], len(USERS))
    assert servers.commands("WRONG") == []


@pytest.mark.parametrize("check", [True, False])
def test_two_wrong_passwords_are_tried_once_each_and_the_server_is_not_asked_again(
    archive: Archive, servers: FakeServers, check: bool
) -> None:
    servers.refuses_master.add("mail1")
    report = preview(archive) if check else archive.run()
    assert logins(servers) == (2, 2)
    (problem,) = report.problems()
    assert problem.where == "mail1"
    assert "master_password and other_master_password are both wrong; the server refused X-MASTERAUTH" in problem.message
    assert "6 mailboxes not read" in problem.message
    assert report.warnings == []


def test_a_password_that_is_rotated_during_the_run_costs_one_attempt_in_all_processes(
    archive: Archive, servers: FakeServers, tmp_path: Path
) -> None:
    rotated = tmp_path / "rotated"
    servers.masters["mail1"] = [(rotated, OTHER)]
    report = archive.run(lambda point: rotated.touch() if point == "stored" else None)
    assert (report.problems(), report.warnings, report.accounts().new) == ([], [WARNING], len(USERS))
    assert len(servers.commands("WRONG")) == 1


def test_a_password_that_is_rotated_to_and_fro_during_the_run_is_not_followed(
    archive: Archive, servers: FakeServers, tmp_path: Path
) -> None:
    rotated, back = tmp_path / "rotated", tmp_path / "back"
    servers.masters["mail1"] = [(rotated, OTHER), (back, MASTER)]

    def rotate(point: str) -> None:
        if point == "stored":
            (back if rotated.exists() else rotated).touch()

    report = archive.run(rotate, processes=1)
    assert len(servers.commands("WRONG")) == 2
    (problem,) = report.problems()
    assert "are both wrong" in problem.message
    assert report.accounts().new == 2


def test_another_server_keeps_its_own_password(archive: Archive, servers: FakeServers) -> None:
    archive.hosts.append("mail2")
    archive.user(ALICE, server="mail2")
    servers.folder("mail2", ALICE).add(mail(9))
    servers.refuses_master.add("mail2")
    report = archive.run()
    assert [problem.where for problem in report.problems()] == ["mail2"]
    assert report.accounts().new == len(USERS)
    assert servers.commands("WRONG") == [f"WRONG mail2 {ALICE}"]


@pytest.mark.parametrize("check", [True, False])
def test_a_password_refused_before_the_run_is_not_tried(archive: Archive, servers: FakeServers, check: bool) -> None:
    archive.other, archive.refused = {}, {"mail1": TOLD}
    archive.profiles = [MULTIPLE, multidrop()]
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    servers.folder("mail1", JOURNAL).add(mail(1, to=USERS[0]))
    report = preview(archive) if check else archive.run()
    (problem,) = report.problems()
    assert problem.where == "mail1"
    assert f"is not tried again: {TOLD}" in problem.message
    assert "configure.yml" in problem.message
    assert "6 mailboxes not read" in problem.message
    assert [mailbox.blocked for mailbox in report.profiles[0].mailboxes] == [True] * 6
    # Whoever has another password is read.
    assert {line.split()[2] for line in servers.commands("LOGIN")} == {JOURNAL}
    assert report.profiles[1].accounts().new == 1


@pytest.mark.parametrize("check", [True, False])
def test_a_server_without_a_master_password_keeps_no_other_from_being_read(
    archive: Archive, servers: FakeServers, check: bool
) -> None:
    archive.hosts, archive.other = ["mail1", "mail2"], {}
    archive.user(ALICE, server="mail2")
    servers.folder("mail2", ALICE).add(mail(9))
    options = dataclasses.replace(archive.options(processes=2), secrets=Secrets({"mail2": MASTER}))
    report = (Preview(options, Silent(), servers.imap()) if check else Run(options, Silent(), servers.imap())).go()
    (problem,) = report.problems()
    assert problem.where == "mail1"
    assert "it has no master password" in problem.message and "6 mailboxes not read" in problem.message
    assert report.accounts().new == 1
    assert {line.split()[1] for line in servers.commands("LOGIN")} == {"mail2"}


def test_a_password_refused_before_the_run_gives_way_to_the_other_one(
    archive: Archive, servers: FakeServers, tmp_path: Path
) -> None:
    archive.master, archive.other, archive.refused = OTHER, {"mail1": MASTER}, {"mail1": TOLD}
    report = archive.run()
    assert (report.problems(), report.warnings, report.accounts().new) == ([], [WARNING], len(USERS))
    assert servers.commands("WRONG") == []
    servers.masters["mail1"] = [(tmp_path, "not-a-secret-third-pw")]
    (problem,) = archive.run().problems()
    assert f"are both wrong; {TOLD}" in problem.message
    assert len(servers.commands("WRONG")) == 1


def test_a_connection_dropped_before_the_password_was_asked_for_is_made_once_more(archive: Archive, servers: FakeServers) -> None:
    servers.drops.add("mail1")
    report = archive.run()
    assert (report.problems(), report.accounts().new) == ([], len(USERS))


def test_a_mailbox_with_its_own_wrong_password_is_told_beside_the_servers_trouble(archive: Archive, servers: FakeServers) -> None:
    archive.other, archive.refused = {}, {"mail1": TOLD}
    archive.profiles = [MULTIPLE, multidrop()]
    archive.passwords = {"journal": "not-a-secret-wrong"}
    servers.folder("mail1", JOURNAL)
    assert [problem.where for problem in archive.run().problems()] == ["mail1", f"mail1 {JOURNAL}"]


class Changed(FakeServers):
    """The archive mailbox gets another password after its first login."""

    def open(self, endpoint: Endpoint, credentials: Credentials) -> FakeConnection:
        if credentials.user == JOURNAL and any(JOURNAL in line for line in self.commands("LOGIN")):
            raise LoginRefusedError(endpoint.label, "NO LOGIN failed", "Check the password", stage="LOGIN", answer="NO")
        return super().open(endpoint, credentials)


def test_a_mailbox_that_workers_cannot_open_is_told_beside_the_servers_trouble(tmp_path: Path) -> None:
    servers = Changed(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.refused, archive.profiles = {"mail1": TOLD}, [MULTIPLE, multidrop()]
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.user(ALICE)
    servers.folder("mail1", JOURNAL).add(mail(1))
    assert [problem.where for problem in archive.run().problems()] == ["mail1", f"mail1 {JOURNAL}"]


# What a login may end with

SERVER = parse_servers([{"name": "mail1"}])["mail1"]
LABEL = endpoint_of(SERVER).label


def no_such_mailbox() -> LoginRefusedError:
    return LoginRefusedError(LABEL, "NO X-SETUSER failed", "Check the mailbox", stage="X-SETUSER", answer="NO", digest_sent=True)


def lost() -> NetworkError:
    return NetworkError(LABEL, "connection reset", "Try again")


class Script:
    """Ends each login with the next of ``answers``; an error is raised. ``tried`` are the passwords."""

    def __init__(self, *answers: t.Any) -> None:
        self.tried: list[str] = []
        self._answers = list(answers)
        self.keys = MasterKeys({"mail1": SERVER}, Secrets({"mail1": MASTER}, {}, {"mail1": OTHER}))
        self.imap = self.keys.over(Imap(open=self._open))

    def _open(self, _endpoint: Endpoint, credentials: Credentials) -> t.Any:
        self.tried.append(credentials.password)
        answer = self._answers.pop(0)
        if isinstance(answer, ArchiveToolError):
            raise answer
        return answer

    def logins(self, count: int, password: str = MASTER, master: bool = True) -> list[t.Any]:
        """What that many logins give: a connection, or the name of the error."""
        found: list[t.Any] = []
        for _ in range(count):
            try:
                found.append(self.imap.open(endpoint_of(SERVER), Credentials(ALICE, password, master)))
            except ArchiveToolError as error:
                assert "not-a-secret" not in repr(error) + str(error)
                found.append(error.kind)
        return found


WRONG = refused_master(LABEL)
PASSES: list[tuple[list[t.Any], list[t.Any], list[str], list[str]]] = [
    (["a", "b"], ["a", "b"], [MASTER, MASTER], []),
    ([WRONG, "b", "c"], ["b", "c"], [MASTER, OTHER, OTHER], [WARNING]),
    (["a", WRONG, "c"], ["a", "c"], [MASTER, MASTER, OTHER], [WARNING]),
    ([WRONG, WRONG], ["login_refused", "login_refused"], [MASTER, OTHER], []),
    ([WRONG, "b", WRONG], ["b", "login_refused", "login_refused"], [MASTER, OTHER, OTHER], []),
    # The other password got as far as the mailbox, so it is right.
    ([WRONG, no_such_mailbox(), "c"], ["login_refused", "c"], [MASTER, OTHER, OTHER], [WARNING]),
    ([no_such_mailbox(), "b"], ["login_refused", "b"], [MASTER, MASTER], []),
    # The first one is known to be wrong, whatever becomes of the other.
    ([WRONG, lost(), "c"], ["network", "c"], [MASTER, OTHER, OTHER], [WARNING]),
    ([lost(), "b"], ["network", "b"], [MASTER, MASTER], []),
    # These do not say that the password is wrong.
    ([refused_master(LABEL, "BAD"), "b"], ["login_refused", "b"], [MASTER, MASTER], []),
    ([refused_master(LABEL, "closed"), "b"], ["login_refused", "b"], [MASTER, MASTER], []),
    ([refused_master(LABEL, digest_sent=False), "b"], ["login_refused", "b"], [MASTER, MASTER], []),
]


@pytest.mark.parametrize(("answers", "expected", "tried", "warnings"), PASSES)
def test_which_password_is_tried(answers: list[t.Any], expected: list[t.Any], tried: list[str], warnings: list[str]) -> None:
    script = Script(*answers)
    with script.keys:
        assert script.logins(len(expected)) == expected
        assert (script.tried, script.keys.warnings()) == (tried, warnings)


def test_mailboxes_with_passwords_of_their_own_are_none_of_its_business() -> None:
    script = Script(WRONG, WRONG)
    with script.keys:
        assert script.logins(1, master=False) + script.logins(1, "not-a-secret-elsewhere") == ["login_refused"] * 2
        assert (script.tried, script.keys.warnings()) == ([MASTER, "not-a-secret-elsewhere"], [])


def test_passwords_are_in_no_repr() -> None:
    secrets = Secrets({"mail1": MASTER}, {}, {"mail1": OTHER})
    with MasterKeys({"mail1": SERVER}, secrets) as keys:
        assert "not-a-secret" not in repr(keys) + repr(vars(keys)) + repr(secrets)


def test_without_another_password_logins_go_as_ever() -> None:
    imap = Imap()
    with MasterKeys({"mail1": SERVER}, Secrets({"mail1": MASTER})) as keys:
        assert keys.over(imap) is imap
