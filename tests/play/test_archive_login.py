# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_login, run by ansible-playbook against the lab: who gets in, by which method, and what each refusal is told to be."""

from __future__ import annotations

import base64
import typing as t
from collections import Counter
from dataclasses import replace

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap import user_login
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Endpoint
from tests.lab import imap_log, logins
from tests.lab.fixtures import LabServer
from tests.play.helpers import SECRET, Answer, Step, assert_one_sentence, play

ODD = f'{SECRET}: "pä ß"\\ ☃ '
WRONG = f"{SECRET}-but-wrong"
CLEAR_TEXT = {"LOGIN", "PLAIN"}
# How a server may turn a blocked address away is unknown; what says nothing of the address cannot be told from a wrong password.
HAMMERED = (
    ("close", "cannot_tell", "whether the server has blocked this host's address"),
    ("bye", "cannot_tell", "the server turns the connection away"),
    ("no", "refused", "the server refuses user name and password"),
)


def login(server: LabServer, user: str = "alice@example.com", **options: t.Any) -> Step:
    given = {
        "host": server.host,
        "port": server.imaps_port,
        "ca_file": server.ca_file,
        "user": user,
        "password": f"{SECRET}-alice",
    }
    return Step("archive_login", {name: value for name, value in {**given, **options}.items() if value is not None})


def plainly(server: LabServer, user: str = "alice@example.com", **options: t.Any) -> Step:
    return login(server, user, port=server.imap_port, access="IMAP", **options)


def told(answer: Answer) -> tuple[str, str, str]:
    assert (answer.status, answer.changed) == ("ok", False), answer
    assert answer.result["success"] == (answer.result["answer"] == "accepted")
    assert answer.msg
    assert "\n" not in answer.msg
    return answer.result["answer"], answer.result["mechanism"], answer.result["md5_answer"]


def over_the_wire(server: LabServer) -> list[dict[str, t.Any]]:
    return imap_log.read(server.folder / "imap-logins.jsonl")


def here(server: LabServer, user: str, password: str) -> dict[str, t.Any]:
    """The same without a playbook, for switches that a module need not be run for."""
    return user_login.try_login(Endpoint(server.host, server.imaps_port, ca_file=server.ca_file), user, password).data()


def assert_no_encoded_password(answer: Answer, *passwords: str) -> None:
    """The passwords themselves are looked for by the helpers; this is how they cross the wire."""
    for user in ("alice@example.com", "odd@example.com"):
        for text in (*passwords, *(f"\0{user}\0{password}" for password in passwords)):
            assert base64.b64encode(text.encode()).decode().rstrip("=")[:-1] not in answer.output


@pytest.mark.shows("run")
def test_who_gets_in_by_which_method_and_no_password_crosses_a_bare_connection(mail1: LabServer, bare_python: str) -> None:
    before = len(over_the_wire(mail1))
    mail1.add_user("odd", password=ODD, isPasswordReversible=True)
    mail1.add_user("ldap", password=WRONG, directory=True)
    odd = {"user": "odd@example.com", "password": ODD}
    ssl, tls, both, directory, weak, doubtful, wrong, unknown, bare = answers = play(
        login(mail1),
        login(mail1, port=mail1.imap_port, access="IMAP-TLS", test_md5=False),
        login(mail1, **odd),
        login(mail1, "ldap@example.com", password=WRONG),
        plainly(mail1, **odd),
        plainly(mail1),
        login(mail1, password=WRONG),
        login(mail1, "nobody@example.com"),
        replace(login(mail1, "alice", ca_file=None, validate_certs=False, test_md5=False), python=bare_python),
    )
    assert [told(answer) for answer in answers] == [
        ("accepted", "PLAIN", "refused"),
        ("accepted", "PLAIN", ""),
        ("accepted", "PLAIN", "accepted"),
        ("accepted", "PLAIN", "refused"),
        ("accepted", "CRAM-MD5", ""),
        ("cannot_tell", "CRAM-MD5", ""),
        ("refused", "PLAIN", ""),
        ("refused", "PLAIN", ""),
        ("accepted", "PLAIN", ""),
    ]
    for answer in (ssl, directory):
        (warning,) = answer.warnings
        assert answer.result["cause"] in warning
        assert answer.result["remedy"] in warning
        assert "authentication_methods of kerio_security_policy" in warning
    assert [len(answer.warnings) for answer in (tls, both, wrong, unknown)] == [0] * 4
    assert [("not verified" in text) for text in bare.warnings] == [True]
    assert ["without TLS, which is weak" in text for text in (*weak.warnings, *doubtful.warnings)] == [True, True]
    assert wrong.result["server_text"] == unknown.result["server_text"] == "AUTHENTICATE failed: invalid user name or password"
    assert {"PLAIN", "CRAM-MD5", "DIGEST-MD5"} <= set(ssl.result["mechanisms"])
    assert_no_encoded_password(ssl, ODD, WRONG, f"{SECRET}-alice")

    crossed = over_the_wire(mail1)[before:]
    assert Counter(one["tls"] for one in crossed) == {True: 10, False: 2}
    assert not [one for one in crossed if not one["tls"] and one["method"] in CLEAR_TEXT]
    # Wrong attempts by account: one at most for each call.
    failed = Counter((one["account"], one["method"]) for one in logins.attempts(mail1.install, outcome="failed"))
    assert failed == {
        ("alice@example.com", "CRAM-MD5"): 2,  # the first and the one without TLS
        ("ldap@example.com", "CRAM-MD5"): 1,
        ("alice@example.com", "PLAIN"): 1,
        ("nobody@example.com", "PLAIN"): 1,
    }


def policy(server: LabServer, **changed: t.Any) -> None:
    """As an administrator changes the security policy."""
    options = server.api("SecurityPolicy.get")["options"]
    server.api("SecurityPolicy.set", {"options": {**options, **changed}})


def allow(server: LabServer, *names: str) -> None:
    methods = server.api("SecurityPolicy.get")["options"]["authenticationMethods"]
    policy(server, authenticationMethods=[{**method, "enabled": method["value"] in names} for method in methods])


@pytest.mark.shows("check", "by_hand")
def test_a_check_sends_nothing_and_what_was_changed_by_hand_is_seen(mail1: LabServer) -> None:
    mail1.add_user("odd", password=ODD, isPasswordReversible=True)
    mail1.add_user("gone", password=WRONG, isEnabled=False)
    allow(mail1, "PLAIN", "LOGIN", "DIGEST-MD5")
    mail1.set_switches(refusal_words="telling")
    before = len(over_the_wire(mail1))
    step = login(mail1, "odd@example.com", password=ODD)
    check, digest, sha, gone = play(
        replace(step, check=True), step, login(mail1), login(mail1, "gone@example.com", password=WRONG, test_md5=False)
    )
    assert told(check) == ("cannot_tell", "", "")
    assert "check mode tries no login" in check.msg
    assert (told(digest), digest.warnings, digest.result["md5_mechanism"]) == (
        ("accepted", "PLAIN", "accepted"),
        [],
        "DIGEST-MD5",
    )
    assert (told(sha), len(sha.warnings), sha.result["md5_mechanism"]) == (("accepted", "PLAIN", "refused"), 1, "DIGEST-MD5")
    assert told(gone) == ("refused", "PLAIN", "")
    assert "the account is disabled" in gone.result["server_text"]
    assert len(over_the_wire(mail1)) == before + 5
    for realm in ("domain", "hostname", "none"):
        with mail1.switched(digest_realm=realm):
            assert here(mail1, "odd@example.com", ODD)["md5_answer"] == "accepted"

    allow(mail1, "PLAIN", "LOGIN")  # what the warning says
    cured, clear = play(login(mail1), plainly(mail1))
    assert (told(cured), cured.warnings, cured.result["mechanisms"]) == (("accepted", "PLAIN", ""), [], ["LOGIN", "PLAIN"])
    assert told(clear) == ("cannot_tell", "", "")
    assert "no password is sent without TLS" in clear.msg
    assert "Set access to IMAP-SSL or IMAP-TLS" in clear.result["remedy"]
    assert len(over_the_wire(mail1)) == before + 12


@pytest.mark.shows("broken")
def test_a_server_that_cannot_be_asked_is_told_from_a_refusal(
    mail1: LabServer, mail2: LabServer, closed_port: int, silent_port: int, deaf_port: int
) -> None:
    guard = mail1.api("SecurityPolicy.get")["options"]["antiHammering"]
    policy(mail1, antiHammering={**guard, "isEnabled": True, "failedLoginsToBlock": 1})
    closed, silent, deaf, untrusted, plain, no_file, nothing, wrong, blocked = play(
        login(mail1, port=closed_port),
        login(mail1, port=silent_port, timeout=1),
        login(mail1, port=deaf_port, timeout=1),
        login(mail1, ca_file=mail2.ca_file),
        login(mail1, port=mail1.imap_port),
        login(mail1, ca_file="/does/not/exist.pem"),
        login(mail1, password=""),
        login(mail1, password=WRONG),
        login(mail1),
    )
    for answer, words in (
        (closed, f"{mail1.host}:{closed_port}: whether alice@example.com can log in cannot be told: connection refused"),
        (silent, "within 1 seconds"),
        (deaf, "within 1 seconds"),
        (untrusted, "the certificate is not trusted"),
        (plain, "Use access IMAP-TLS"),
        (blocked, "whether the server has blocked this host's address"),
    ):
        assert told(answer) == ("cannot_tell", "", "")
        assert words in answer.msg
    assert told(wrong) == ("refused", "PLAIN", "")
    assert_one_sentence(no_file, "/does/not/exist.pem", "No such file")
    assert_one_sentence(nothing, "password: it is empty", "Give the password of an account")
    assert [one["outcome"] for one in logins.attempts(mail1.install, service="imap")] == ["failed"]
    for refusal, answer, words in HAMMERED:
        with mail1.switched(hammering_refusal=refusal):
            found = here(mail1, "alice@example.com", f"{SECRET}-alice")
        assert found["answer"] == answer
        assert words in found["cause"] + found["remedy"]
