# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_info, run by ansible-playbook against the lab: what it returns is what the other modules take."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play, written


def info(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_info", {**connection(server), **options})


@pytest.mark.shows("run", "check")
def test_it_tells_the_settings_of_today_and_changes_nothing(mail1: LabServer) -> None:
    archive = mail1.api("Archive.get")["options"]
    remote = {"enabled": True, "value": "archive@example.com"}
    mail1.api("Archive.set", {"options": {**archive, "isEnabled": True, "remoteArchive": remote}})
    groups = mail1.api("IpAddressGroups.getGroupList")["groups"]
    group = next(entry["id"] for entry in groups if entry["name"] == "Archive hosts")
    master = {"isEnabled": True, "groupRestriction": group, "password": mail1.master_password}
    mail1.api("AdvancedOptions.set", {"options": {"masterAuthentication": master}})
    mail1.forget()

    mail1.refuse_writes()
    real, check, version = play(info(mail1), replace(info(mail1), check=True), info(mail1, gather=[]))
    assert_untouched(mail1)
    assert [answer.status for answer in (real, check, version)] == ["ok", "ok", "ok"]
    assert check.result["settings"] == real.result["settings"]
    assert (real.result["name"], real.result["product"]) == ("mail1", "Kerio Connect")
    assert real.result["version"] == mail1.api("Server.getVersion")["version"]
    assert real.result["settings"]["master_authentication"] == {"enabled": True, "ip_address_group": "Archive hosts"}
    archiving = real.result["settings"]["archiving"]
    assert (archiving["enabled"], archiving["remote_address"]) == (True, "archive@example.com")
    assert [entry["name"] for entry in archiving["domains"]] == ["example.com"]
    assert version.result["settings"] == {}
    assert version.result["calls"] == ["Session.login", "Server.getVersion", "Session.logout"]


@pytest.mark.shows("by_hand")
def test_what_it_tells_is_what_the_modules_take_on_this_server_and_on_another(mail1: LabServer, mail2: LabServer) -> None:
    archive = mail1.api("Archive.get")["options"]
    mail1.api("Archive.set", {"options": {**archive, "isEnabled": True, "compressionStartTime": {"hour": 3, "min": 7}}})
    settings = one(info(mail1)).result["settings"]
    del settings["archiving"]["domains"]
    mail1.forget()
    mail1.refuse_writes()
    same_archiving, same_options, same_master, other = play(
        Step("kerio_archiving", {**connection(mail1), **settings["archiving"]}),
        Step("kerio_advanced_options", {**connection(mail1), **settings["advanced_options"]}),
        Step("kerio_master_authentication", {**connection(mail1), **settings["master_authentication"]}),
        Step("kerio_archiving", {**connection(mail2), **settings["archiving"]}),
    )
    assert [answer.status for answer in (same_archiving, same_options, same_master, other)] == ["ok", "ok", "ok", "changed"]
    assert_untouched(mail1)
    assert written(mail2) == ["Archive.set"]
    assert other.diff["after"] == {"archiving": {"compression_start_time": "03:07", "enabled": True}}
    assert mail2.api("Archive.get") == mail1.api("Archive.get")


@pytest.mark.shows("broken")
def test_a_method_that_the_server_lacks_is_one_sentence(mail1: LabServer) -> None:
    with mail1.switched(fail_methods="Server.getVersion=-32601"):
        refused = one(info(mail1))
        assert_one_sentence(refused, "mail1: Server.getVersion", "code -32601", "Compare the version of the server")


def test_a_password_that_is_part_of_a_setting_is_refused_rather_than_masked(mail1: LabServer) -> None:
    archive = mail1.api("Archive.get")["options"]
    mail1.api(
        "Archive.set", {"options": {**archive, "remoteArchive": {"enabled": True, "value": f"{mail1.admin_password}@b.example"}}}
    )
    answer = one(info(mail1))
    assert_one_sentence(answer, "result.settings.archiving.remote_address", "Ansible would mask it", "Choose a password")
    mail1.forget_settings()
