# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_advanced_options, run by ansible-playbook against the lab."""

from __future__ import annotations

import typing as t

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, connection, one, play, settle, written

MASTER = {"enabled": True, "ip_address_group": "Archive hosts", "password": "not-a-secret-master-1"}


def advanced(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_advanced_options", {**connection(server), **options})


def options_of(server: LabServer) -> dict[str, t.Any]:
    options: dict[str, t.Any] = server.api("AdvancedOptions.get")["options"]
    return options


def test_every_option_reaches_the_server_and_the_rest_of_the_page_stays(mail1: LabServer) -> None:
    before = options_of(mail1)
    wanted = {
        "insert_x_envelope_to": True,
        "log_host_names": True,
        "show_program_name_and_version": False,
        "tnef_decoding": True,
        "uuencoded_conversion": True,
    }
    real = settle(mail1, advanced(mail1, **wanted), "AdvancedOptions.set")
    assert real.diff["after"] == {"advanced_options": wanted}
    assert real.warnings == ["mail1: show_program_name_and_version takes effect when the server is restarted"]
    miscellaneous = {
        **before["miscellaneous"],
        "insertXEnvelopeTo": True,
        "logHostNames": True,
        "showProgramNameAndVersion": False,
        "enableTNEFDecoding": True,
        "enableUUEncodedConversion": True,
    }
    assert options_of(mail1) == {**before, "miscellaneous": miscellaneous}


@pytest.mark.shows("by_hand")
def test_one_option_leaves_the_others_and_the_passwords_of_the_page_alone(mail1: LabServer) -> None:
    master = Step("kerio_master_authentication", {**connection(mail1), **MASTER})
    probe = {"host": mail1.host, "port": mail1.imaps_port, "ca_file": mail1.ca_file, "password": MASTER["password"]}
    # A write-only password that comes back empty and is sent back empty would be erased.
    answers = play(master, advanced(mail1, insert_x_envelope_to=True), Step("kerio_master_login", probe))
    assert [answer.status for answer in answers] == ["changed", "changed", "ok"]
    assert answers[2].result["answer"] == "right"

    options = options_of(mail1)
    by_hand = {**options["miscellaneous"], "insertXEnvelopeTo": False, "logHostNames": True}
    mail1.api("AdvancedOptions.set", {"options": {"miscellaneous": by_hand}})
    mail1.forget()
    answer = one(advanced(mail1, insert_x_envelope_to=True))
    assert answer.diff["before"] == {"advanced_options": {"insert_x_envelope_to": False}}
    assert answer.diff["after"] == {"advanced_options": {"insert_x_envelope_to": True}}
    assert written(mail1) == ["AdvancedOptions.set"]
    assert options_of(mail1)["miscellaneous"] == {**by_hand, "insertXEnvelopeTo": True}


@pytest.mark.shows("broken")
def test_what_cannot_be_had_is_one_sentence_and_changes_nothing(mail1: LabServer) -> None:
    before = options_of(mail1)
    with mail1.switched(fail_methods="AdvancedOptions.set=1000"):
        unknown, refused = play(
            advanced(mail1, insert_x_envelope_to=True, allow_unsupported_activesync_devices=True),
            advanced(mail1, insert_x_envelope_to=True),
        )
    assert_one_sentence(
        unknown, "mail1: advanced_options: allow_unsupported_activesync_devices", "known to Kerio Connect 8", "Remove the option"
    )
    assert_one_sentence(refused, "mail1: AdvancedOptions.set", "Operation failed. (code 1000)", "error log")
    assert written(mail1) == ["AdvancedOptions.set"]
    assert options_of(mail1) == before


def test_an_old_server_that_sends_its_security_policy_along_keeps_it(mail1: LabServer) -> None:
    with mail1.switched(profile="2013"):
        before = options_of(mail1)
        answer = one(advanced(mail1, allow_unsupported_activesync_devices=True))
        assert answer.diff["after"] == {"advanced_options": {"allow_unsupported_activesync_devices": True}}
        miscellaneous = {**before["miscellaneous"], "allowUnsupportedActiveSyncDevices": True}
        assert options_of(mail1) == {**before, "miscellaneous": miscellaneous}
