# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the admin API modules from their server: each module says so in one sentence, and nothing is changed or repeated."""

from __future__ import annotations

import re
import sys
import typing as t

from tests.lab.fixtures import LabServer
from tests.play.helpers import Answer, Step, assert_one_sentence, assert_untouched, connection, failed_logins, one, play

MODULES: dict[str, dict[str, t.Any]] = {
    "kerio_advanced_options": {"insert_x_envelope_to": True},
    "kerio_archiving": {"enabled": True},
    "kerio_directory_info": {},
    "kerio_info": {},
    "kerio_master_authentication": {"ip_address_group": "Archive hosts"},
}


def every_module(server: LabServer, python: str = sys.executable, parallel: bool = False, **changed: t.Any) -> list[Answer]:
    """Run all modules with ``changed`` connection options; ``parallel`` is for those that wait."""
    given = connection(server, **changed)
    steps = [Step(module, {**given, **options}, python=python) for module, options in MODULES.items()]
    return play(*steps, parallel=parallel)


def test_all_of_them_succeed_without_any_of_this(mail1: LabServer) -> None:
    assert [answer.status for answer in every_module(mail1)] == ["changed", "changed", "ok", "ok", "changed"]


def test_a_wrong_password_is_tried_once(mail1: LabServer) -> None:
    for answer in every_module(mail1, api_password="not-a-secret-wrong"):
        assert_one_sentence(
            answer, "mail1: login of Admin", "Invalid user name or password. (code 1000)", "Check api_user and api_password"
        )
    assert failed_logins(mail1) == ["Admin"] * len(MODULES)
    assert mail1.writes() == []


def test_the_port_of_another_protocol_is_told(mail1: LabServer) -> None:
    for answer in every_module(mail1, api_port=mail1.imap_port):
        assert_one_sentence(answer, f"mail1 ({mail1.host}:{mail1.imap_port})", "does not speak TLS", "Check api_port", "4040")
    assert_untouched(mail1)


def test_the_port_of_imap_with_tls_is_told(mail1: LabServer) -> None:
    for answer in every_module(mail1, api_port=mail1.imaps_port):
        assert_one_sentence(answer, f"mail1 ({mail1.host}:{mail1.imaps_port})", "Check api_port", "4040")
    assert_untouched(mail1)


def test_a_closed_port_is_told_after_a_few_attempts(mail1: LabServer, closed_port: int) -> None:
    for answer in every_module(mail1, api_port=closed_port, parallel=True):
        assert_one_sentence(
            answer, f"mail1 ({mail1.host}:{closed_port})", "Connection refused", "attempts", "Check that Kerio Connect is running"
        )
    assert_untouched(mail1)


def test_a_server_behind_a_silent_firewall_is_told(mail1: LabServer, deaf_port: int) -> None:
    for answer in every_module(mail1, api_port=deaf_port, timeout=0.5):
        assert_one_sentence(answer, f"mail1 ({mail1.host}:{deaf_port})", "no connection within 0.5 s", "firewall")
    assert_untouched(mail1)


def test_a_server_that_never_answers_is_told(mail1: LabServer, silent_port: int) -> None:
    for answer in every_module(mail1, api_port=silent_port, timeout=0.5):
        assert_one_sentence(answer, f"mail1 ({mail1.host}:{silent_port})", "no answer within 0.5 s", "api_port")
    assert_untouched(mail1)


def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused(mail1: LabServer, mail2: LabServer) -> None:
    for answer in every_module(mail1, ca_file=mail2.ca_file):
        assert_one_sentence(answer, "mail1", "the TLS certificate cannot be verified", "Point ca_file at the certificate")
    assert_untouched(mail1)
    assert mail1.calls() == []


def test_without_requests_the_interpreter_and_the_remedy_are_named(mail1: LabServer, bare_python: str) -> None:
    for answer in every_module(mail1, python=bare_python):
        assert_one_sentence(answer, "requests: No module named", bare_python, "ansible_python_interpreter")
    assert_untouched(mail1)


def test_connection_options_come_from_module_defaults_and_a_missing_one_is_named(mail1: LabServer) -> None:
    group = {"group/mailops.kerio.kerio": {name: f"{{{{ {name} }}}}" for name in connection(mail1, api_password=None)}}
    given = connection(mail1)
    complete = Step("kerio_info", {"api_password": given["api_password"]}, also={"vars": given})
    missing = Step("kerio_info", also={"vars": given})
    with_all, without = play(complete, missing, defaults=group)
    assert with_all.status == "ok"
    assert_one_sentence(without, "mail1: api_password is not given", "module_defaults", "mailops.kerio.kerio")


def test_an_unverified_certificate_is_warned_of_in_every_run(mail1: LabServer) -> None:
    first, second = play(*[Step("kerio_info", connection(mail1, ca_file=None, validate_certs=False))] * 2)
    for answer in (first, second):
        assert answer.status == "ok"
        assert re.search("certificate is not verified .validate_certs is false.", answer.warnings[0])


def test_a_ca_file_that_is_none_is_one_sentence(mail1: LabServer) -> None:
    assert_one_sentence(
        one(Step("kerio_info", connection(mail1, ca_file="/does/not/exist.pem"))),
        "mail1: ca_file /does/not/exist.pem",
        "No such file",
    )
