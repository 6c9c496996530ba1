# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run in playbooks when something is wrong: one sentence each, nothing archived, and nobody else held up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory, LabServer
from tests.play import interpreters
from tests.play.archive_site import MAILBOXES, Site, Watch, furnish, journal, profile_counts
from tests.play.helpers import SECRET, Answer, assert_one_sentence, failed_logins, play
from tests.play.trees import tree

WRONG = f"{SECRET}-and-wrong-as-well"


@pytest.fixture(scope="module")
def site(lab_factory: Factory) -> Site:
    return furnish(lab_factory(servers=2, users=3), 60)


@pytest.fixture
def root(site: Site, tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    play(*site.ready(path))
    return path


def assert_told(answer: Answer, *words: str) -> None:
    """Assert that a run failed at its end with one line of these words, in this order."""
    assert answer.failed and not answer.changed, answer
    assert "\n" not in answer.msg and "Traceback" not in answer.output
    rest = answer.msg
    for word in words:
        assert word in rest, (word, answer.msg)
        rest = rest.partition(word)[2]


def known(root: Path) -> int:
    """How many messages the archive knows of."""
    database = sqlite3.connect(root / "catalog.sqlite3")
    try:
        (count,) = database.execute("SELECT COUNT(*) FROM source_messages").fetchone()
    finally:
        database.close()
    return int(count)


def place(server: LabServer) -> str:
    return f"{server.host}:{server.imaps_port}"


@pytest.mark.shows("broken")
def test_what_a_server_refuses_is_asked_once_and_told_once(site: Site, root: Path) -> None:
    mail1, mail2 = site.servers
    before = tree(root / "objects", root / "mail")
    for server in site.servers:
        server.forget()
    watch = Watch(mail1, mail2)
    wrong_master = [site.access(server, master_password=WRONG) for server in site.servers]
    (master,) = play(site.run(root, MAILBOXES, servers=wrong_master))
    assert_told(
        master,
        "0 new messages archived",
        "2 problems:",
        f"mail1: {place(mail1)}: the server refused X-MASTERAUTH: NO X-MASTERAUTH failed. ",
        "Check the password, and that the IP group of master authentication admits this host. (3 mailboxes not read)",
        f"mail2: {place(mail2)}: the server refused X-MASTERAUTH: NO X-MASTERAUTH failed. ",
        "Check the password, and that the IP group of master authentication admits this host. (3 mailboxes not read)",
    )
    for server in site.servers:
        assert [line["cause"] for line in watch.refused(server)] == ["password"]
        assert len(failed_logins(server)) == 1

    watch = Watch(mail1, mail2)
    passwords = {**site.passwords, journal(mail1)["name"]: WRONG}
    (mailbox,) = play(site.run(root, journal(mail1), passwords=passwords))
    assert_told(
        mailbox,
        "1 problem: mail1 archive@example.com:",
        f"{place(mail1)}: the server refused LOGIN: NO LOGIN failed: invalid user name or password. ",
        "Check user name and password; the server may also have locked the account",
    )
    assert len(watch.refused(mail1)) == 1
    assert tree(root / "objects", root / "mail") == before
    assert known(root) == 0


def test_a_server_that_cannot_be_reached_or_believed_is_told(site: Site, root: Path, closed_port: int) -> None:
    (mail1, _mail2), profile = site.servers, journal(site.servers[0])
    before = tree(root / "objects", root / "mail")
    access = {
        "port": site.access(mail1, port=closed_port),
        "no TLS": site.access(mail1, port=mail1.imap_port),
        "no IMAP": site.access(mail1, port=mail1.admin_port, timeout=1),
        "untrusted": site.access(mail1, ca_file=None),
        "no file": site.access(mail1, ca_file="/no/such.pem"),
        "plain": site.access(mail1, access="IMAP", port=mail1.imap_port),
    }
    steps = [site.run(root, profile, servers=[entry]) for entry in list(access.values())[:-1]]
    steps.append(site.run(root, MAILBOXES, servers=[access["plain"]]))
    told = dict(zip(access, play(*steps), strict=True))
    at_port = f"1 problem: mail1: {mail1.host}:{closed_port}:"
    assert_told(
        told["port"], at_port, "connection refused, nothing listens on this port.", "Check host and port", "(1 mailbox not read)"
    )
    assert_told(
        told["no TLS"], "1 problem: mail1:", "does not speak TLS on this port", "Use access IMAP-TLS (STARTTLS) on port 143"
    )
    assert_told(
        told["no IMAP"],
        "1 problem: mail1:",
        f"{mail1.host}:{mail1.admin_port}:",
        "an HTTP server answers on this port.",
        "Use the port of the IMAP service",
        "(1 mailbox not read)",
    )
    assert_told(told["untrusted"], f"mail1: {place(mail1)}: the certificate is not trusted:", "Set ca_file to the authority")
    assert_told(told["no file"], "ca_file /no/such.pem: No such file or directory.", "Name a file of certificates in PEM form")
    assert_one_sentence(
        told["plain"],
        "profile mailboxes, key servers, server mail1:",
        "master authentication without TLS would show every mailbox to the network.",
        "Set access to IMAP-TLS or IMAP-SSL.",
    )
    assert tree(root / "objects", root / "mail") == before
    assert known(root) == 0


def test_one_server_out_of_reach_does_not_stop_the_other(site: Site, root: Path, closed_port: int) -> None:
    mail1, mail2 = site.servers
    servers = [site.access(mail1, port=closed_port), site.access(mail2)]
    check, answer, tolerant, repaired = play(
        site.run(root, MAILBOXES, servers=servers, check=True),
        site.run(root, MAILBOXES, servers=servers),
        site.run(root, MAILBOXES, servers=servers, fail_on_errors=False),
        site.run(root, MAILBOXES),
    )
    for tried in (check, answer):
        assert tried.failed and "\n" not in tried.msg
        assert f"1 problem: mail1: {mail1.host}:{closed_port}: connection refused, nothing listens on this port. " in tried.msg
        assert tried.msg.endswith("(3 mailboxes not read)")
        assert [error["where"] for error in tried.result["run"]["errors"]] == ["mail1"]
    assert answer.changed
    (profile,) = answer.result["profiles"]
    by_server = {
        name: sum(box["new"] for box in profile["mailboxes"] if box["server"] == name and not box["error"])
        for name in ("mail1", "mail2")
    }
    assert by_server == {"mail1": 0, "mail2": site.expected(mail2)}
    assert answer.result["run"]["new"] == site.expected(mail2)
    assert (tolerant.failed, tolerant.changed, tolerant.result["run"]["outcome"]) == (False, False, "problems")
    assert profile_counts(repaired)["mailboxes"]["new"] == site.expected(mail1)
    assert not repaired.failed


def test_a_host_that_is_not_ready_is_told(site: Site, root: Path, tmp_path: Path) -> None:
    mail1 = site.servers[0]
    for name in ("file", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "foreign" / "photos").mkdir()
    bare = interpreters.with_libraries(tmp_path, "bare")
    no_imap = interpreters.with_libraries(tmp_path, "no-imap", "zstandard")
    readonly = interpreters.with_mounts(tmp_path, "readonly", f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}")
    profile, before = journal(mail1), tree(root, tmp_path / "foreign")
    without_zstandard, without_imapclient, unwritable, absent, foreign, without_users = play(
        site.run(root, profile, python=bare),
        site.run(root, profile, python=no_imap),
        site.run(root, profile, python=readonly),
        site.run(tmp_path / "absent", profile),
        site.run(tmp_path / "foreign", profile),
        site.run(root, profile, passwords={}),
    )
    assert_one_sentence(without_zstandard, "zstandard: ", f"not installed for {tmp_path}/bare/bin/python", "role archive_host")
    assert_one_sentence(
        without_imapclient, "imapclient: ", f"not installed for {tmp_path}/no-imap/bin/python", "role archive_host"
    )
    assert_one_sentence(unwritable, f"{root}: Read-only file system.", "Mount the file system writable")
    assert_one_sentence(absent, f"{tmp_path}/absent: ", "No such file or directory.", "Create the archive with archive_store")
    assert_one_sentence(foreign, f"{tmp_path}/foreign: ", "holds no archive", "archive")
    assert_told(
        without_users,
        "profile journal of mail1: ",
        "there is no password for mailbox archive@example.com",
        "Give it in passwords",
    )
    after = tree(root, tmp_path / "foreign")
    assert set(before) <= set(after) and not [path for path in after if "/cur/" in path]
