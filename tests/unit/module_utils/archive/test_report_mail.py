# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailing a report: TLS and logins as declared, a mail that everybody can read, and errors in the words of the server."""

from __future__ import annotations

import ssl
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_mail
from ansible_collections.mailops.kerio.plugins.module_utils.archive.report_mail import Mailing
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    CertificateError,
    InputError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from tests.unit.module_utils.imap.certificates import Authority
from tests.unit.smtp_sink import SmtpSink

PASSWORD = "not-a-secret-report-pw"
OPS, BOSS = "ops@example.com", "boss@example.com"


class Trust(t.NamedTuple):
    context: ssl.SSLContext
    ca_file: str
    other_ca: str


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    own, other = (Authority(tmp_path_factory.mktemp(name)) for name in ("own", "other"))
    return Trust(own.server_context(), str(own.ca_file), str(other.ca_file))


def mailing(sink: SmtpSink, **more: t.Any) -> Mailing:
    return Mailing(**{"to": (OPS, BOSS), "sender": "Archive <a@example.com>", "host": "127.0.0.1", "port": sink.port, **more})


def send(given: Mailing, text: str = "all is well\n") -> None:
    given.refuse()
    report_mail.send(given, report_mail.message(given, "2 of 3 servers failed — 5 messages", text, "<p>Größe\n.\n</p>" * 900))


@pytest.mark.parametrize(("security", "tls"), [("starttls", False), ("tls", True)])
def test_it_goes_under_tls_with_the_password_and_reads_well(trust: Trust, security: str, tls: bool) -> None:
    with SmtpSink(trust.context, tls=tls, login=f"robot:{PASSWORD}") as sink:
        send(mailing(sink, security=security, ca_file=trust.ca_file, user="robot", password=PASSWORD), "Füllt\n.x\n" * 3)
    (kept,) = sink.kept
    assert (kept.encrypted, kept.login, kept.sender, kept.recipients) == (True, "robot", "a@example.com", [OPS, BOSS])
    mail = kept.mail
    assert mail["Subject"] == "kerio-archive: 2 of 3 servers failed — 5 messages"
    assert (mail["From"], mail["To"]) == ("Archive <a@example.com>", f"{OPS}, {BOSS}")
    assert (mail["Auto-Submitted"], mail["Message-ID"].endswith("@example.com>")) == ("auto-generated", True)
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content() == "Füllt\n.x\n" * 3
    (page,) = mail.iter_attachments()
    assert (page.get_content_type(), page.get_filename()) == ("text/html", "report.html")
    assert page.get_content() == "<p>Größe\n.\n</p>" * 900 + "\n"


def failure(sink: SmtpSink, **more: t.Any) -> ArchiveToolError:
    with pytest.raises(ArchiveToolError) as caught, sink:
        send(mailing(sink, **more))
    assert PASSWORD not in str(caught.value) and "  " not in str(caught.value)
    return caught.value


def test_what_the_server_says_is_told(trust: Trust) -> None:
    login = {"user": "robot", "password": PASSWORD, "ca_file": trust.ca_file}
    refused = failure(SmtpSink(trust.context, login="robot:other"), **login)
    assert isinstance(refused, LoginRefusedError) and "it refuses robot: 535 5.7.8 no such user here. Check" in str(refused)
    nobody = failure(SmtpSink(refused=(OPS, BOSS)), security="none")
    assert isinstance(nobody, ProtocolError) and f"{OPS}: 550 5.1.1 nobody of this name; {BOSS}: 550" in str(nobody)
    with_tls = failure(SmtpSink(), **{**login, "user": "", "password": ""})
    assert isinstance(with_tls, ProtocolError) and "STARTTLS" in str(with_tls)
    locked = failure(SmtpSink(login="robot:other"), security="none")
    assert isinstance(locked, ProtocolError) and "530 log in first" in str(locked)


def test_a_server_that_repeats_the_login_is_told_without_the_password(trust: Trust) -> None:
    sink = SmtpSink(trust.context, login="robot:other", repeats=True)
    refused = failure(sink, user="robot", password=PASSWORD, ca_file=trust.ca_file)
    assert "535 5.7.8 no such user here: PLAIN *** ***. Check the password" in str(refused)


def test_of_two_recipients_the_one_that_is_taken_gets_it() -> None:
    sink = SmtpSink(refused=(OPS,), farewell="250 and it never says 221")
    half = failure(sink, security="none")
    assert isinstance(half, ProtocolError) and f"it refuses {OPS}: 550" in str(half) and "all others have it" in str(half)
    assert [one.recipients for one in sink.kept] == [[BOSS]]


def test_a_server_that_cannot_be_trusted_or_reached_gets_nothing(trust: Trust) -> None:
    for security, tls in (("starttls", False), ("tls", True)):
        sink = SmtpSink(trust.context, tls=tls)
        strange = failure(sink, security=security, ca_file=trust.other_ca)
        assert isinstance(strange, CertificateError) and "its certificate is not verified: " in str(strange)
        assert sink.kept == []
    gone = failure(SmtpSink(closes=True), security="none")
    assert isinstance(gone, NetworkError) and "no answer that can be used" in str(gone)
    with SmtpSink() as sink:
        pass
    with pytest.raises(NetworkError, match="Connection refused"):
        send(mailing(sink, security="none"))
    with pytest.raises(InputError, match="ca_file /nowhere"), SmtpSink(trust.context, tls=True) as sink:
        send(mailing(sink, security="tls", ca_file="/nowhere"))


@pytest.mark.parametrize(("security", "tls"), [("none", False), ("tls", True)])
def test_a_server_that_answers_byte_by_byte_is_given_up(trust: Trust, security: str, tls: bool) -> None:
    sink = SmtpSink(trust.context, tls=tls, drips=60)
    slow = failure(sink, security=security, ca_file=trust.ca_file, timeout=0.4)
    assert isinstance(slow, NetworkError) and "no answer that can be used: timed out. Check host" in str(slow)


def test_names_beside_the_addresses_may_have_any_letters() -> None:
    with SmtpSink() as sink:
        send(mailing(sink, security="none", to=("Jürgen <ops@example.com>",), sender="Mailarchiv Köln <a@example.com>"))
    (kept,) = sink.kept
    assert (kept.sender, kept.recipients) == ("a@example.com", [OPS])
    assert (kept.mail["From"], kept.mail["To"]) == ("Mailarchiv Köln <a@example.com>", "Jürgen <ops@example.com>")


def test_an_unverified_certificate_is_taken_when_declared_and_warned_of(trust: Trust) -> None:
    with SmtpSink(trust.context, tls=True) as sink:
        given = mailing(sink, security="tls", validate_certs=False)
        send(given)
    assert len(sink.kept) == 1
    assert ["not verified" in text for text in given.warnings()] == [True]
    assert ["without TLS" in text for text in mailing(sink, security="none").warnings()] == [True]
    assert mailing(sink).warnings() == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"to": ()}, "nobody is to get the mail"),
        ({"to": ("ops",)}, "'ops': it is no address"),
        ({"sender": "a@example.com\r\nBcc: x@example.com"}, "it is no address"),
        ({"to": (f"{OPS}, {BOSS}",)}, "it is no address"),
        ({"user": "robot", "password": f"ö{PASSWORD}"}, "characters outside ASCII"),
        ({"timeout": 0}, "0 is no time to wait"),
        ({"host": ".example.com", "security": "none"}, "it is no name of a host"),
        ({"password": PASSWORD}, "there is a password and no user"),
        ({"user": "robot"}, "there is none for the user robot"),
        ({"user": "robot", "password": PASSWORD, "security": "none"}, "no password is sent without TLS"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(more: dict[str, t.Any], words: str) -> None:
    sink = SmtpSink()
    error = failure(sink, **more)
    assert isinstance(error, InputError) and words in str(error)
    assert sink.kept == []
