# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_master_login, run by ansible-playbook against the lab: right, wrong, or cannot tell."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab import ports
from tests.lab.fixtures import LabServer
from tests.play.helpers import Answer, Step, assert_one_sentence, assert_untouched, failed_logins, one, play, switch_master

WRONG = "not-a-secret-but-wrong"


def login(server: LabServer, **options: t.Any) -> Step:
    given = {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file, "password": server.master_password}
    return Step("kerio_master_login", {name: value for name, value in {**given, **options}.items() if value is not None})


def assert_told(answer: Answer, expected: str, *words: str) -> None:
    assert (answer.status, answer.result["answer"]) == ("ok", expected), answer
    assert "\n" not in answer.result["server_text"]
    for word in words:
        assert word in answer.result["server_text"]


@pytest.fixture
def master(mail1: LabServer) -> LabServer:
    """A server with master authentication on."""
    switch_master(mail1, True)
    return mail1


@pytest.mark.shows("run")
def test_the_right_password_is_right_by_every_way_with_tls(master: LabServer) -> None:
    where = f"{master.host}:{master.imaps_port}"
    ssl, tls, opened, refused, unverified = play(
        login(master),
        login(master, port=master.imap_port, access="IMAP-TLS"),
        login(master, mailbox="alice@example.com"),
        login(master, mailbox="nobody@example.com"),
        login(master, ca_file=None, validate_certs=False),
    )
    for answer in (ssl, tls, opened, refused, unverified):
        assert_told(answer, "right")
        assert answer.result["source_address"] == ports.HOST
    assert ssl.msg == f"{where}: the master password is right"
    assert (opened.result["mailbox_answer"], refused.result["mailbox_answer"]) == ("opened", "refused")
    assert "X-SETUSER failed" in refused.result["mailbox_text"]
    assert (ssl.warnings, len(unverified.warnings)) == ([], 1)
    assert "not verified" in unverified.warnings[0]
    assert_untouched(master)


@pytest.mark.shows("check", "by_hand")
def test_a_wrong_password_is_wrong_and_was_tried_once_and_in_a_check_not_at_all(master: LabServer) -> None:
    wrong = login(master, password=WRONG, mailbox="alice@example.com")
    check, answer = play(replace(wrong, check=True), wrong)
    assert_told(check, "cannot_tell", "check mode does not try")
    assert check.result["source_address"] == ""
    assert_told(answer, "wrong", "NO X-MASTERAUTH failed")
    assert answer.msg == f"{master.host}:{master.imaps_port}: the master password is wrong"
    assert answer.result["mailbox_answer"] == ""
    assert failed_logins(master) == ["X-MASTERAUTH"]


@pytest.mark.parametrize("form", ["bad", "bye", "close"])
def test_another_refusal_than_no_cannot_tell(master: LabServer, form: str) -> None:
    with master.switched(master_refusal=form):
        answer = one(login(master, password=WRONG))
    assert_told(answer, "cannot_tell", "X-MASTERAUTH")
    assert failed_logins(master) == ["X-MASTERAUTH"]


def test_a_refusal_before_the_password_is_asked_for_cannot_tell(mail1: LabServer) -> None:
    off = one(login(mail1))
    switch_master(mail1, True, group="Local clients")  # 10.0.0.0/8
    elsewhere = one(login(mail1))
    assert_told(off, "cannot_tell", "NO X-MASTERAUTH failed")
    assert_told(elsewhere, "cannot_tell", "NO X-MASTERAUTH failed")
    assert elsewhere.result["source_address"] == ports.HOST
    assert failed_logins(mail1) == []


@pytest.mark.shows("broken")
def test_a_server_that_cannot_be_asked_cannot_tell(
    master: LabServer, mail2: LabServer, closed_port: int, silent_port: int, deaf_port: int
) -> None:
    plain, closed, silent, deaf, untrusted, other, api = play(
        login(master, port=master.imap_port, access="IMAP"),
        login(master, port=closed_port),
        login(master, port=silent_port, timeout=1),
        login(master, port=deaf_port, timeout=1),
        login(master, ca_file=mail2.ca_file),
        login(master, port=master.imap_port),
        login(master, port=master.admin_port, timeout=1),
    )
    assert_told(plain, "cannot_tell", "not tried without TLS", "IMAP-SSL or IMAP-TLS")
    assert_told(closed, "cannot_tell", f"{master.host}:{closed_port}", "connection refused")
    assert_told(silent, "cannot_tell", f"{master.host}:{silent_port}", "1 s")
    assert_told(deaf, "cannot_tell", f"{master.host}:{deaf_port}", "1 s")
    assert_told(untrusted, "cannot_tell", "certificate", "ca_file")
    assert_told(other, "cannot_tell", f"{master.host}:{master.imap_port}")
    assert_told(api, "cannot_tell", f"{master.host}:{master.admin_port}")
    assert failed_logins(master) == []


def test_what_must_not_be_tried_is_refused_in_one_sentence(master: LabServer) -> None:
    short, foreign, no_file = play(
        login(master, password="tiny"),
        login(master, password="not-a-secret-pässword"),
        login(master, ca_file="/does/not/exist.pem"),
    )
    assert_one_sentence(
        short, "password: it is shorter than 12 characters", "Choose one of at least 12 printable ASCII characters"
    )
    assert_one_sentence(foreign, "password: it has characters outside printable ASCII", "Choose")
    assert_one_sentence(no_file, "/does/not/exist.pem", "No such file")
    assert failed_logins(master) == []
    assert "pässword" not in foreign.output


def test_it_needs_nothing_but_the_standard_library(master: LabServer, bare_python: str) -> None:
    assert_told(one(Step("kerio_master_login", login(master).options, python=bare_python)), "right")
