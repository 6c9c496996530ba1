# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_archiving: the exact calls for server-wide and per-domain settings, on servers of several versions."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_archiving
from tests.unit.rpc_script import Call, Script, error, failing, listing, login, logout, query, run_module

MAIN = kerio_archiving.main


def archive(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "paths": {"storePath": "/store", "archivePath": "/store/archive", "backupPath": "/backup"},
        "isEnabled": False,
        "remoteArchive": {"enabled": False, "value": ""},
        "archiveToLocalFolder": True,
        "archiveFoldersInterval": "periodMonth",
        "compressOldArchiveFolders": False,
        "compressionStartTime": {"hour": 2, "min": 5},
        "archiveLocalMessages": True,
        "archiveIncomingMessages": True,
        "archiveOutgoingMessages": True,
        "archiveRelayedMessages": False,
        "archiveBeforeFilter": False,
        "isXmppEnabled": False,
        "isEnabledPerDomain": False,
        "aMemberOfTomorrow": "kept",
        **changed,
    }


def archive_of_2013(**changed: t.Any) -> dict[str, t.Any]:
    old = archive(**changed)
    for newer in ("isXmppEnabled", "isEnabledPerDomain"):
        del old[newer]
    return old


def domain(name: str, **changed: t.Any) -> dict[str, t.Any]:
    return {
        "id": f"keriodb://domain/{name}",
        "name": name,
        "isPrimary": name == "example.com",
        "useRemoteArchiveAddress": False,
        "remoteArchiveAddress": "",
        "archiveLocalMessages": False,
        "archiveIncomingMessages": False,
        "archiveOutgoingMessages": False,
        "archiveBeforeFilter": False,
        "deletedItems": {"isEnabled": False, "days": 30},
        **changed,
    }


def read(received: dict[str, t.Any] | None = None) -> Call:
    return Call("Archive.get", None, {"options": archive() if received is None else received})


def write(received: dict[str, t.Any], answer: t.Any = None) -> Call:
    return Call("Archive.set", {"options": received}, {} if answer is None else answer)


def domains(*entries: dict[str, t.Any]) -> Call:
    return Call("Domains.get", {"query": query("name")}, listing(*entries))


WANTED = {
    "enabled": True,
    "remote_address": "archive@example.com",
    "local_messages": True,
    "incoming_messages": True,
    "outgoing_messages": True,
    "relayed_messages": True,
}
DONE = {
    "isEnabled": True,
    "remoteArchive": {"enabled": True, "value": "archive@example.com"},
    "archiveRelayedMessages": True,
}


@pytest.mark.shows("change", "diff")
def test_guide_is_declared_in_one_write_that_keeps_everything_else() -> None:
    script = Script(login(), read(), write(archive(**DONE)), read(archive(**DONE)), logout())
    result = run_module(MAIN, script, **WANTED)
    assert result["changed"] is True
    assert result["diff"]["before"] == {"archiving": {"enabled": False, "relayed_messages": False, "remote_address": ""}}
    assert result["diff"]["after"] == {
        "archiving": {"enabled": True, "relayed_messages": True, "remote_address": "archive@example.com"}
    }
    assert result["diff"]["before_header"] == "mail1"


@pytest.mark.shows("again")
def test_again_changes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(archive(**DONE)), logout()), **WANTED)
    assert result["changed"] is False


@pytest.mark.shows("check")
def test_check_lists_the_same_changes_and_writes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(), logout()), check=True, **WANTED)
    assert result["changed"] is True
    assert sorted(result["diff"]["after"]["archiving"]) == ["enabled", "relayed_messages", "remote_address"]


def test_nothing_declared_changes_nothing() -> None:
    assert run_module(MAIN, Script(login(), read(), logout()))["changed"] is False


def test_empty_address_switches_copies_off_and_keeps_the_address() -> None:
    before = archive(remoteArchive={"enabled": True, "value": "archive@example.com"})
    after = archive(remoteArchive={"enabled": False, "value": "archive@example.com"})
    result = run_module(MAIN, Script(login(), read(before), write(after), read(after), logout()), remote_address="")
    assert result["diff"]["before"] == {"archiving": {"remote_address": "archive@example.com"}}
    assert result["diff"]["after"] == {"archiving": {"remote_address": ""}}


def test_address_in_other_case_is_the_same_address() -> None:
    current = archive(remoteArchive={"enabled": True, "value": "Archive@Example.com"})
    script = Script(login(), read(current), logout())
    assert run_module(MAIN, script, remote_address="archive@example.com")["changed"] is False


def test_interval_and_time_are_translated() -> None:
    after = archive(archiveFoldersInterval="periodWeek", compressionStartTime={"hour": 22, "min": 30})
    script = Script(login(), read(), write(after), read(after), logout())
    result = run_module(MAIN, script, folder_interval="week", compression_start_time="22:30")
    assert result["diff"]["before"] == {"archiving": {"compression_start_time": "02:05", "folder_interval": "month"}}


def test_time_with_one_digit_is_the_same_time() -> None:
    assert run_module(MAIN, Script(login(), read(), logout()), compression_start_time="2:05")["changed"] is False


@pytest.mark.parametrize(
    ("option", "value"),
    # 22:30 without quotes in YAML is the number 1350.
    [("compression_start_time", 1350), ("compression_start_time", "25:00"), ("remote_address", "a@b.example, c@d.example")],
)
def test_value_that_cannot_be_meant_is_refused_before_anything_is_read(option: str, value: t.Any) -> None:
    result = failing(MAIN, Script(login(), logout()), **{option: value})
    assert option in result["msg"]


def test_old_server_takes_what_it_knows() -> None:
    before, after = archive_of_2013(), archive_of_2013(**DONE)
    script = Script(login(), read(before), write(after), read(after), logout())
    assert run_module(MAIN, script, per_domain=False, instant_messages=False, **WANTED)["changed"] is True


def test_old_server_refuses_what_it_does_not_know() -> None:
    result = failing(MAIN, Script(login(), read(archive_of_2013()), logout()), per_domain=True)
    assert "per_domain" in result["msg"]
    assert "9.1" in result["msg"]


PER_DOMAIN = {"per_domain": True, "domains": [{"name": "Example.org", "remote_address": "keep@example.org"}]}


def test_domain_is_written_with_a_sparse_pattern_and_read_back() -> None:
    on = archive(isEnabledPerDomain=True)
    pattern = {"useRemoteArchiveAddress": True, "remoteArchiveAddress": "keep@example.org"}
    script = Script(
        login(),
        read(),
        domains(domain("example.com"), domain("example.org")),
        write(on),
        read(on),
        Call("Domains.set", {"domainIds": ["keriodb://domain/example.org"], "pattern": pattern}, {"errors": []}),
        domains(domain("example.com"), domain("example.org", **pattern)),
        logout(),
    )
    result = run_module(MAIN, script, **PER_DOMAIN)
    assert result["diff"]["before"] == {
        "archiving": {"per_domain": False},
        "domain_archiving": {"example.org": {"remote_address": ""}},
    }
    assert result["plan"] == {"create": 0, "change": 2, "delete": 0}
    assert result["warnings"] == []


def test_domain_is_planned_alone_in_a_check_run() -> None:
    script = Script(login(), read(), domains(domain("example.com"), domain("example.org")), logout())
    result = run_module(MAIN, script, check=True, **PER_DOMAIN)
    assert result["diff"]["after"]["domain_archiving"] == {"example.org": {"remote_address": "keep@example.org"}}


def test_domain_again_changes_nothing() -> None:
    done = domain("example.org", useRemoteArchiveAddress=True, remoteArchiveAddress="keep@example.org")
    script = Script(login(), read(archive(isEnabledPerDomain=True)), domains(done), logout())
    assert run_module(MAIN, script, **PER_DOMAIN)["changed"] is False


def test_domain_address_without_effect_is_told() -> None:
    done = domain("example.org", useRemoteArchiveAddress=True, remoteArchiveAddress="keep@example.org")
    script = Script(login(), read(), domains(done), logout())
    result = run_module(MAIN, script, domains=PER_DOMAIN["domains"])
    assert "per_domain is off" in result["warnings"][0]


@pytest.mark.shows("error")
def test_error_inside_success_fails() -> None:
    item = {
        "inputIndex": 0,
        "code": 1004,
        "message": "Domain %1 cannot be changed",
        "messageParameters": {"positionalParameters": ["example.org"], "plurality": 1},
    }
    script = Script(
        login(),
        read(archive(isEnabledPerDomain=True)),
        domains(domain("example.org")),
        Call(
            "Domains.set",
            {"domainIds": ["keriodb://domain/example.org"], "pattern": {"archiveIncomingMessages": True}},
            {"errors": [item]},
        ),
        logout(),
    )
    result = failing(MAIN, script, domains=[{"name": "example.org", "incoming_messages": True}])
    assert result["error"]["errors"] == [
        {
            "index": 0,
            "code": 1004,
            "message": "Domain example.org cannot be changed",
            "raw_message": "Domain %1 cannot be changed",
        }
    ]


def test_domain_that_does_not_hold_is_an_error_that_names_it() -> None:
    script = Script(
        login(),
        read(archive(isEnabledPerDomain=True)),
        domains(domain("example.org")),
        Call("Domains.set", {"domainIds": ["keriodb://domain/example.org"], "pattern": {"archiveIncomingMessages": True}}),
        domains(domain("example.org")),
        logout(),
    )
    result = failing(MAIN, script, domains=[{"name": "example.org", "incoming_messages": True}])
    assert "domain example.org" in result["msg"]
    assert "incoming_messages is False instead of True" in result["msg"]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"name": "example.net"}], "the server has example.com, example.org"),
        ([{"name": "example.org"}, {"name": "EXAMPLE.org"}], "declared twice"),
    ],
)
def test_wrong_domains_are_refused(listed: list[dict[str, t.Any]], words: str) -> None:
    calls = [] if len(listed) > 1 else [read(), domains(domain("example.com"), domain("example.org"))]
    assert words in failing(MAIN, Script(login(), *calls, logout()), domains=listed)["msg"]


def test_auditor_is_told_that_it_is_a_matter_of_rights() -> None:
    refused = Call("Domains.get", {"query": query("name")}, error(1000, "internal database error"))
    result = failing(MAIN, Script(login(), read(), refused, logout()), **PER_DOMAIN)
    assert "internal database error (code 1000)" in result["msg"]
    assert "FullAdmin" in result["msg"]
