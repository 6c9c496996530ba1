# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_archiving, run by ansible-playbook against the lab."""

from __future__ import annotations

import typing as t

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play, settle, written

GUIDE = {
    "enabled": True,
    "remote_address": "archive@example.com",
    "local_messages": True,
    "incoming_messages": True,
    "outgoing_messages": True,
    "relayed_messages": True,
}


def archiving(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_archiving", {**connection(server), **options})


def options_of(server: LabServer) -> dict[str, t.Any]:
    options: dict[str, t.Any] = server.api("Archive.get")["options"]
    return options


def change(server: LabServer, **members: t.Any) -> None:
    """Change settings as an administrator does, behind the module's back."""
    server.api("Archive.set", {"options": {**options_of(server), **members}})


def domain_of(server: LabServer) -> dict[str, t.Any]:
    query = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
    domain: dict[str, t.Any] = server.api("Domains.get", {"query": query})["list"][0]
    return domain


def test_the_guide_is_declared_once_and_what_is_absent_stays(mail1: LabServer) -> None:
    change(mail1, archiveBeforeFilter=True, archiveFoldersInterval="periodWeek")
    before = options_of(mail1)
    real = settle(mail1, archiving(mail1, **GUIDE), "Archive.set")
    assert real.diff["before"] == {"archiving": {"enabled": False, "relayed_messages": False, "remote_address": ""}}
    assert real.diff["after"] == {
        "archiving": {"enabled": True, "relayed_messages": True, "remote_address": "archive@example.com"}
    }
    assert real.msg == "mail1: changed archiving (enabled, relayed_messages, remote_address)"
    assert options_of(mail1) == {
        **before,
        "isEnabled": True,
        "remoteArchive": {"enabled": True, "value": "archive@example.com"},
        "archiveRelayedMessages": True,
    }


def test_every_other_option_reaches_the_server(mail1: LabServer) -> None:
    before = options_of(mail1)
    wanted = {
        "to_local_folder": True,
        "folder_interval": "day",
        "compress_old_folders": True,
        "compression_start_time": "22:30",
        "local_messages": False,
        "incoming_messages": False,
        "outgoing_messages": False,
        "before_filter": True,
        "instant_messages": True,
        "per_domain": True,
    }
    settle(mail1, archiving(mail1, **wanted), "Archive.set")
    assert options_of(mail1) == {
        **before,
        "archiveToLocalFolder": True,
        "archiveFoldersInterval": "periodDay",
        "compressOldArchiveFolders": True,
        "compressionStartTime": {"hour": 22, "min": 30},
        "archiveLocalMessages": False,
        "archiveIncomingMessages": False,
        "archiveOutgoingMessages": False,
        "archiveBeforeFilter": True,
        "isXmppEnabled": True,
        "isEnabledPerDomain": True,
    }


@pytest.mark.shows("by_hand")
def test_what_was_changed_by_hand_is_put_right_and_nothing_else(mail1: LabServer) -> None:
    one(archiving(mail1, **GUIDE))
    change(mail1, archiveRelayedMessages=False, compressOldArchiveFolders=True)
    mail1.forget()
    answer = one(archiving(mail1, **GUIDE))
    assert answer.diff["before"] == {"archiving": {"relayed_messages": False}}
    assert answer.diff["after"] == {"archiving": {"relayed_messages": True}}
    assert written(mail1) == ["Archive.set"]
    assert (options_of(mail1)["archiveRelayedMessages"], options_of(mail1)["compressOldArchiveFolders"]) == (True, True)


def test_a_domain_gets_an_address_of_its_own(mail1: LabServer) -> None:
    before = domain_of(mail1)
    wanted = {
        "per_domain": True,
        "domains": [{"name": "EXAMPLE.com", "remote_address": "keep@example.com", "local_messages": True}],
    }
    real = settle(mail1, archiving(mail1, **wanted), "Archive.set", "Domains.set")
    assert real.diff["after"] == {
        "archiving": {"per_domain": True},
        "domain_archiving": {"example.com": {"local_messages": True, "remote_address": "keep@example.com"}},
    }
    assert domain_of(mail1) == {
        **before,
        "useRemoteArchiveAddress": True,
        "remoteArchiveAddress": "keep@example.com",
        "archiveLocalMessages": True,
    }
    mail1.api("Domains.set", {"domainIds": [before["id"]], "pattern": {"archiveLocalMessages": False}})
    mail1.forget()
    answer = one(archiving(mail1, **wanted))
    assert answer.diff["before"] == {"domain_archiving": {"example.com": {"local_messages": False}}}
    assert written(mail1) == ["Domains.set"]
    assert domain_of(mail1)["archiveLocalMessages"] is True


def test_values_that_cannot_be_meant_change_nothing(mail1: LabServer) -> None:
    before = options_of(mail1)
    unknown, time, twice = play(
        archiving(mail1, enabled=True, domains=[{"name": "example.org", "remote_address": "keep@example.org"}]),
        archiving(mail1, enabled=True, compression_start_time=1350),
        archiving(mail1, enabled=True, domains=[{"name": "example.com"}, {"name": "Example.COM"}]),
    )
    assert_one_sentence(unknown, "mail1: domain example.org", "the server has example.com", "Correct the name")
    assert_one_sentence(time, "mail1: compression_start_time", "1350")
    assert_one_sentence(twice, "mail1: domain example.com", "declared twice")
    assert_untouched(mail1)
    assert options_of(mail1) == before


def test_an_old_server_is_told_from_a_new_one(mail1: LabServer) -> None:
    mail1.set_switches(profile="2013")
    refused, known = play(
        archiving(mail1, enabled=True, per_domain=True),
        archiving(mail1, enabled=True, per_domain=False, instant_messages=False),
    )
    assert_one_sentence(refused, "mail1: archiving: per_domain", "known to Kerio Connect 9.1 and newer", "Remove the option")
    assert (known.status, known.diff["after"]) == ("changed", {"archiving": {"enabled": True}})
    assert written(mail1) == ["Archive.set"]


@pytest.mark.shows("broken")
def test_a_refused_write_is_one_sentence(mail1: LabServer) -> None:
    before = options_of(mail1)
    with mail1.switched(refuse_writes=True):
        answer = one(archiving(mail1, **GUIDE))
    assert_one_sentence(answer, "mail1: Archive.set", "Access denied. (code 1004)", "FullAdmin")
    assert options_of(mail1) == before


def test_a_session_that_expires_on_the_way_is_renewed_once(mail1: LabServer) -> None:
    with mail1.switched(session_calls=2):
        answer = one(archiving(mail1, remote_address="archive@example.com"))
    assert answer.result["calls"].count("Session.login") == 2
    assert options_of(mail1)["remoteArchive"] == {"enabled": True, "value": "archive@example.com"}
