# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_master_authentication, run by ansible-playbook against the lab; whether a password works is asked over IMAP."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import (
    Answer,
    Step,
    assert_one_sentence,
    assert_untouched,
    connection,
    failed_logins,
    one,
    play,
    settle,
    switch_master,
    written,
)

OTHER = "not-a-secret-other-1"


def master(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_master_authentication", {**connection(server), **options})


def declared(server: LabServer, **more: t.Any) -> Step:
    wanted = {"enabled": True, "ip_address_group": "Archive hosts", "password": server.master_password}
    return master(server, **{**wanted, **more})


def probe(server: LabServer, password: str) -> Step:
    options = {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file, "password": password}
    return Step("kerio_master_login", options)


def told(*answers: Answer) -> list[str]:
    return [answer.result["answer"] for answer in answers]


def settings_of(server: LabServer) -> dict[str, t.Any]:
    settings: dict[str, t.Any] = server.api("AdvancedOptions.get")["options"]["masterAuthentication"]
    return settings


def test_it_is_switched_on_with_group_and_password_and_the_rest_stays(mail1: LabServer) -> None:
    before = mail1.api("AdvancedOptions.get")["options"]
    groups = mail1.api("IpAddressGroups.getGroupList")["groups"]
    group = next(entry["id"] for entry in groups if entry["name"] == "Archive hosts")
    real = settle(mail1, declared(mail1, ip_address_group="archive HOSTS", password_state="unset"), "AdvancedOptions.set")
    assert real.diff["before"]["master_authentication"] == {"enabled": False, "ip_address_group": "", "password": "(secret)"}
    assert real.diff["after"]["master_authentication"] == {
        "enabled": True,
        "ip_address_group": "Archive hosts",
        "password": "(new secret)",
    }
    assert real.result["password_written"] is True
    assert mail1.api("AdvancedOptions.get")["options"] == {
        **before,
        "masterAuthentication": {"isEnabled": True, "groupRestriction": group, "password": ""},
    }
    right, wrong, unset = play(probe(mail1, mail1.master_password), probe(mail1, OTHER), declared(mail1))
    assert told(right, wrong) == ["right", "wrong"]
    assert unset.status == "ok"
    assert "the master password is not compared" in unset.warnings[0]


def test_only_a_password_that_was_tried_and_wrong_is_written(mail1: LabServer) -> None:
    switch_master(mail1, True, password=OTHER)
    mail1.forget()
    right, unsure, unset, still = play(
        declared(mail1, password_state="right"),
        declared(mail1, password_state="cannot_tell", password_state_reason="the server closed the connection"),
        declared(mail1),
        probe(mail1, OTHER),
    )
    assert [answer.status for answer in (right, unsure, unset)] == ["ok", "ok", "ok"]
    assert right.warnings == []
    assert "nobody can tell whether it differs: the server closed the connection" in unsure.warnings[0]
    assert told(still) == ["right"]
    assert_untouched(mail1)

    mail1.refuse_writes()
    wrong = declared(mail1, password_state="wrong")
    check = one(replace(wrong, check=True))
    mail1.refuse_writes(False)
    assert_untouched(mail1)
    real, now = play(wrong, probe(mail1, mail1.master_password))
    assert real.diff == check.diff
    assert real.diff["after"] == {"master_authentication": {"password": "(new secret)"}}
    assert (written(mail1), told(now)) == (["AdvancedOptions.set"], ["right"])


@pytest.mark.shows("by_hand")
def test_what_is_absent_is_left_alone_and_what_was_changed_by_hand_put_right(mail1: LabServer) -> None:
    switch_master(mail1, True)
    before = settings_of(mail1)
    nothing, off, on = play(master(mail1), master(mail1, enabled=False), declared(mail1, password_state="unset"))
    assert [answer.status for answer in (nothing, off, on)] == ["ok", "changed", "changed"]
    assert off.diff["after"] == {"master_authentication": {"enabled": False}}
    assert off.result["password_written"] is False
    assert on.diff["after"] == {"master_authentication": {"enabled": True, "password": "(new secret)"}}

    mail1.api("AdvancedOptions.set", {"options": {"masterAuthentication": {**before, "groupRestriction": ""}}})
    switch_master(mail1, True, group="Local clients")
    mail1.forget()
    answer, now = play(declared(mail1, password_state="right"), probe(mail1, mail1.master_password))
    assert answer.diff["before"] == {"master_authentication": {"ip_address_group": "Local clients"}}
    assert answer.diff["after"] == {"master_authentication": {"ip_address_group": "Archive hosts"}}
    assert written(mail1) == ["AdvancedOptions.set"]
    assert settings_of(mail1) == before
    assert told(now) == ["right"]


def test_what_would_be_dangerous_is_one_sentence_and_changes_nothing(mail1: LabServer) -> None:
    before = mail1.api("AdvancedOptions.get")
    nowhere, unknown, without, short, foreign = play(
        master(mail1, enabled=True, password=mail1.master_password),
        declared(mail1, ip_address_group="No such group"),
        master(mail1, enabled=True, ip_address_group="Archive hosts"),
        declared(mail1, password="too-few"),
        declared(mail1, password="not-a-secret-pässword"),
    )
    assert_one_sentence(nowhere, "mail1: master authentication", "without an IP address group", "allow_any_address")
    assert_one_sentence(unknown, "ip_address_group 'No such group'", "'Archive hosts', 'Local clients'", "Correct the name")
    assert_one_sentence(without, "mail1: master authentication", "without a password", "Declare password")
    assert_one_sentence(short, "mail1: the master password", "shorter than 12", "Choose")
    assert_one_sentence(foreign, "mail1: the master password", "ASCII", "Choose")
    assert_untouched(mail1)
    assert mail1.api("AdvancedOptions.get") == before


@pytest.mark.shows("broken")
def test_a_refused_write_is_one_sentence_without_the_password(mail1: LabServer) -> None:
    with mail1.switched(refuse_writes=True):
        answer = one(declared(mail1))
    assert_one_sentence(answer, "mail1: AdvancedOptions.set", "Access denied. (code 1004)", "FullAdmin")
    assert settings_of(mail1)["isEnabled"] is False
    assert failed_logins(mail1) == []
