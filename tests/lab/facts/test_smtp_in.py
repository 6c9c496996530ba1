# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail coming in: delivery, trace headers, archiving by class and per domain. Sheet 3.1 (banners), 5."""

from __future__ import annotations

import smtplib

import pytest

from tests.lab.facts.imap_rig import Rig

BODY = b"From: a@b.example\r\nTo: alice@example.com\r\nSubject: hello\r\n\r\ntext\r\n"
OUTSIDE = "anna@customer.example.net"
OTHER = "bo@vendor.example.org"
CLASSES = {
    "local": ("bob@example.com", "alice@example.com"),
    "incoming": (OUTSIDE, "alice@example.com"),
    "outgoing": ("alice@example.com", OUTSIDE),
    "relayed": (OUTSIDE, OTHER),
}
ARCHIVE = "archive@example.com"


def mailbox(rig: Rig, name: str) -> list[bytes]:
    """The messages in INBOX."""
    wire = rig.login(name)
    wire.ok(b"EXAMINE INBOX")
    lines = wire.ok(b"UID FETCH 1:* BODY.PEEK[]")
    wire.close()
    return [line.split(b"}\r\n", 1)[1][: -len(b")\r\n")] for line in lines if b" FETCH " in line]


def send(rig: Rig, sender: str, *recipients: str, body: bytes = BODY) -> None:
    with smtplib.SMTP("127.0.0.1", rig.smtp) as client:
        client.sendmail(sender, list(recipients), body)


def archive(rig: Rig, **options: object) -> None:
    """Everything off but what is named."""
    off = {f"archive{name}Messages": False for name in ("Local", "Incoming", "Outgoing", "Relayed")}
    remote = {"enabled": True, "value": ARCHIVE}
    rig.options("Archive").update({"isEnabled": True, "remoteArchive": remote, **off, **options})


def headers(raw: bytes) -> list[bytes]:
    return raw.split(b"\r\n\r\n", 1)[0].replace(b"\r\n\t", b" ").split(b"\r\n")


def named(raw: bytes, name: bytes) -> list[bytes]:
    return [line for line in headers(raw) if line.lower().startswith(name.lower() + b":")]


@pytest.mark.parametrize("shown", [True, False])
def test_smtp_001_banner(rig: Rig, shown: bool) -> None:
    rig.options("AdvancedOptions")["miscellaneous"]["showProgramNameAndVersion"] = shown
    rig.restart()
    program = b"Kerio Connect 10.0.8 " if shown else b""
    assert rig.wire(rig.smtp).line() == b"220 mail.example.com " + program + b"ESMTP ready\r\n"


def test_smtp_002_ehlo_announces_8bitmime_and_size(rig: Rig) -> None:
    with smtplib.SMTP("127.0.0.1", rig.smtp) as client:
        client.ehlo()
        assert client.has_extn("8bitmime")
        assert int(client.esmtp_features["size"]) > 20_000_000
        assert client.docmd("MAIL FROM:<a@b.example> SIZE=999999999")[0] == 552


def test_smtp_003_delivery_adds_return_path_and_received_only_on_top(rig: Rig) -> None:
    send(rig, OUTSIDE, "alice@example.com")
    (raw,) = mailbox(rig, "alice")
    assert raw.endswith(BODY)
    assert headers(raw)[0] == b"Return-Path: <anna@customer.example.net>"
    (received,) = named(raw, b"Received")
    assert b"by mail.example.com" in received
    assert b"for <alice@example.com>;" in received
    assert len(headers(raw)) == 2 + 3


def test_smtp_004_unknown_local_recipient_is_550_and_others_get_it(rig: Rig) -> None:
    with smtplib.SMTP("127.0.0.1", rig.smtp) as client:
        refused = client.sendmail(OUTSIDE, ["nobody@example.com", "alice@example.com"], BODY)
    assert refused["nobody@example.com"][0] == 550
    assert len(mailbox(rig, "alice")) == 1


@pytest.mark.parametrize(
    ("recipient", "reached"),
    [
        ("a.angstrom@example.com", {"alice"}),
        ("alice@example.net", {"alice"}),
        ("info@example.com", {"alice"}),
        ("sales@example.com", {"bob", "carol"}),
        ("orders@example.com", {"bob", "carol"}),
    ],
)
def test_smtp_005_addresses_aliases_and_groups_reach_their_mailboxes(rig: Rig, recipient: str, reached: set[str]) -> None:
    send(rig, OUTSIDE, recipient)
    assert {name for name in ("alice", "bob", "carol") if mailbox(rig, name)} == reached


def test_smtp_006_no_received_for_when_there_are_several_recipients(rig: Rig) -> None:
    send(rig, OUTSIDE, "alice@example.com", "bob@example.com")
    for name in ("alice", "bob"):
        (raw,) = mailbox(rig, name)
        assert b"for <" not in named(raw, b"Received")[0]


def test_smtp_007_dots_are_unstuffed_and_8_bit_text_survives(rig: Rig) -> None:
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\xc3\xa4\xff\r\n.end.\r\n"
    with smtplib.SMTP("127.0.0.1", rig.smtp) as client:
        client.ehlo()
        client.mail(OUTSIDE, ["BODY=8BITMIME"])
        client.rcpt("alice@example.com")
        client.data(body)
    assert mailbox(rig, "alice")[0].endswith(body)


def test_smtp_008_empty_message_and_sequence_errors(rig: Rig) -> None:
    wire = rig.wire(rig.smtp)
    wire.line()
    for command, code in (
        (b"DATA", b"503"),
        (b"RCPT TO:<alice@example.com>", b"503"),
        (b"MAIL FROM:<>", b"250"),
        (b"MAIL FROM:<a@b.example>", b"503"),
        (b"RCPT alice", b"501"),
        (b"FOO", b"500"),
        (b"RCPT TO:<alice@example.com>", b"250"),
        (b"DATA", b"354"),
        (b".", b"250"),
        (b"QUIT", b"221"),
    ):
        wire.send(command, b"\r\n")
        assert wire.line().startswith(code), command
    (raw,) = mailbox(rig, "alice")
    assert headers(raw)[0] == b"Return-Path: <>"


def test_smtp_009_mail_for_elsewhere_goes_nowhere_and_is_listed(rig: Rig) -> None:
    send(rig, "alice@example.com", OUTSIDE, "bob@example.com")
    (row,) = rig.messages()
    assert row["sent"] == [OUTSIDE]
    assert row["delivered"] == ["bob@example.com"]
    assert row["classes"] == ["outgoing", "local"]


@pytest.mark.parametrize("on", [False, True])
def test_smtp_010_x_envelope_to_names_the_original_recipient(rig: Rig, on: bool) -> None:
    rig.options("AdvancedOptions")["miscellaneous"]["insertXEnvelopeTo"] = on
    send(rig, OUTSIDE, "info@example.com", "bob@example.com")
    wanted = {"alice": b"X-Envelope-To: <info@example.com>", "bob": b"X-Envelope-To: <bob@example.com>"}
    for name, line in wanted.items():
        assert named(mailbox(rig, name)[0], b"X-Envelope-To") == ([line] if on else [])


@pytest.mark.parametrize("switched", CLASSES)
@pytest.mark.parametrize("kind", CLASSES)
def test_smtp_011_classes_are_archived_as_set(rig: Rig, kind: str, switched: str) -> None:
    archive(rig, **{f"archive{switched.capitalize()}Messages": True})
    send(rig, *CLASSES[kind])
    assert rig.messages()[0]["classes"] == [kind]
    assert rig.messages()[0]["archived"] == ([ARCHIVE] if kind == switched else [])
    assert len(mailbox(rig, "archive")) == (1 if kind == switched else 0)


@pytest.mark.parametrize("options", [{"isEnabled": False}, {"remoteArchive": {"enabled": False, "value": ARCHIVE}}])
def test_smtp_012_nothing_is_archived_when_off(rig: Rig, options: dict[str, object]) -> None:
    archive(rig, archiveIncomingMessages=True, **options)
    send(rig, *CLASSES["incoming"])
    assert mailbox(rig, "archive") == []


def test_smtp_013_only_mail_from_the_moment_of_enabling(rig: Rig) -> None:
    send(rig, *CLASSES["incoming"])
    archive(rig, archiveIncomingMessages=True)
    send(rig, *CLASSES["incoming"], body=BODY.replace(b"hello", b"later"))
    (raw,) = mailbox(rig, "archive")
    assert named(raw, b"Subject") == [b"Subject: later"]


def test_smtp_014_archived_copy_is_the_message_below_other_trace_headers(rig: Rig) -> None:
    archive(rig, archiveIncomingMessages=True)
    send(rig, *CLASSES["incoming"])
    (copy,), (mail,) = mailbox(rig, "archive"), mailbox(rig, "alice")
    assert copy != mail
    assert copy.endswith(BODY)
    assert len(named(copy, b"Received")) == len(named(mail, b"Received")) + 1


def test_smtp_015_one_copy_for_a_message_with_several_recipients(rig: Rig) -> None:
    archive(rig, archiveLocalMessages=True, archiveOutgoingMessages=True)
    send(rig, "alice@example.com", "bob@example.com", "carol@example.com", OUTSIDE)
    assert len(mailbox(rig, "archive")) == 1


@pytest.mark.parametrize(
    ("position", "lines"),
    [
        ("recipients", [b"X-Envelope-To: <alice@example.com>", b"X-Envelope-To: <bob@example.com>"]),
        ("archive", [b"X-Envelope-To: <archive@example.com>"]),
        ("none", []),
    ],
)
@pytest.mark.parametrize("on", [False, True])
def test_smtp_016_x_envelope_to_on_the_archived_copy(rig: Rig, position: str, lines: list[bytes], on: bool) -> None:
    rig.switch(envelope_to_copy=position)
    rig.options("AdvancedOptions")["miscellaneous"]["insertXEnvelopeTo"] = on
    archive(rig, archiveIncomingMessages=True)
    send(rig, OUTSIDE, "alice@example.com", "bob@example.com")
    (copy,) = mailbox(rig, "archive")
    assert named(copy, b"X-Envelope-To") == (lines if on else [])


@pytest.mark.parametrize("again", [False, True])
def test_smtp_017_mail_for_the_archive_address_is_not_archived_again(rig: Rig, again: bool) -> None:
    rig.switch(archive_archive_mail=again)
    archive(rig, archiveIncomingMessages=True)
    send(rig, OUTSIDE, ARCHIVE)
    assert len(mailbox(rig, "archive")) == (2 if again else 1)


def test_smtp_018_remote_archive_address_elsewhere(rig: Rig) -> None:
    archive(rig, archiveIncomingMessages=True, remoteArchive={"enabled": True, "value": OTHER})
    send(rig, *CLASSES["incoming"])
    assert rig.messages()[0]["sent"] == [OTHER]
    assert mailbox(rig, "archive") == []


@pytest.mark.parametrize("kind", ["local", "incoming", "outgoing", "relayed"])
@pytest.mark.parametrize("allowed", [False, True])
def test_smtp_019_per_domain_archiving_has_no_relayed_class(rig: Rig, kind: str, allowed: bool) -> None:
    archive(rig, remoteArchive={"enabled": False, "value": ""}, isEnabledPerDomain=allowed)
    domain = rig.state.directory.domains[0]
    domain.update(useRemoteArchiveAddress=True, remoteArchiveAddress=ARCHIVE)
    domain.update(archiveLocalMessages=True, archiveIncomingMessages=True, archiveOutgoingMessages=True)
    send(rig, *CLASSES[kind])
    assert len(mailbox(rig, "archive")) == (1 if allowed and kind != "relayed" else 0)


def test_smtp_020_settings_of_that_moment_count(rig: Rig) -> None:
    for on in (True, False, True):
        archive(rig, archiveIncomingMessages=on)
        send(rig, *CLASSES["incoming"])
    assert len(mailbox(rig, "archive")) == 2


def test_smtp_021_stopped_service_serves_nobody(rig: Rig) -> None:
    rig.state.service("SMTP")["isRunning"] = False
    assert rig.wire(rig.smtp).line() == b""
