# SPDX-License-Identifier: GPL-3.0-or-later
"""The role kerio_connect, with all kinds declared, on servers of every version and of every behaviour that is not known.

One server for each position of the lab's switches; all of them are configured by the same three playbook runs.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.role_cost import GROUP, written
from tests.lab import cfgfile_map
from tests.lab.fixtures import Factory, Lab, LabServer
from tests.lab.playbooks import PlaybookRun
from tests.play.helpers import assert_untouched, failed_logins, run

KINDS: tuple[dict[str, t.Any], ...] = (
    {"profile": "2013"},
    {"profile": "9.0"},
    {"profile": "9.4"},
    {"extra_members": True, "unknown_members": "accept"},
    {"unknown_members": "reject"},
    {"partial_options": "reject", "incomplete_struct": "reject"},
    {"read_only_members": "reject"},
    {"write_only": "absent", "group_role": "object"},
    {"void_result": "null", "null_error": True, "second_cookie": False, "cookie_name": "KWAT"},
    {"language": "de", "placeholders": "filled", "size_units": "largest"},
    {"session_calls": 3, "list_limit": 2},
    {"empty_password": "keeps", "group_in_use": "refuse", "unknown_group": "refuse"},
)
EVERYWHERE = {"kerio_security_policy", "kerio_master_authentication", "kerio_advanced_options", "kerio_archiving"}
PROXY_PASSWORD = "not-a-secret-proxy"


@pytest.fixture(scope="module")
def fleet(lab_factory: Factory) -> Lab:
    """Fresh servers, one of each kind, that have a password which is none of ours."""
    lab = lab_factory(servers=len(KINDS), users=3, start=False)
    for server, kind in zip(lab.servers, KINDS, strict=True):
        server.set_switches(**kind)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda server: server.service("start"), lab.servers))
    for server in lab.servers:
        advanced = server.api("AdvancedOptions.get")["options"]
        proxy = {**advanced["httpProxy"], "userName": "proxy", "password": PROXY_PASSWORD}
        server.api("AdvancedOptions.set", {"options": {**without_passwords(advanced), "httpProxy": proxy}})
        server.forget()
    return lab


def without_passwords(advanced: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return options as they can be sent back: an empty password would erase the one that is there."""
    master = {name: value for name, value in advanced["masterAuthentication"].items() if name != "password"}
    return {**advanced, "masterAuthentication": master}


def keeps_proxy_password(server: LabServer) -> bool:
    """Whether it is in the file that the server writes from memory when it stops."""
    server.service("stop")
    return cfgfile_map.scramble(PROXY_PASSWORD) in Path(server.mailserver_cfg).read_text(encoding="utf-8")


def changed(done: PlaybookRun, server: LabServer) -> set[str]:
    """Return the modules that changed a server."""
    return {task.action.rsplit(".", 1)[-1] for task in done.changed() if task.host == server.name}


def test_all_kinds_of_servers_are_configured_once_and_found_right(fleet: Lab, tmp_path: Path) -> None:
    servers = fleet.servers
    playbook, inventory = written(fleet, tmp_path)
    for server in servers:
        server.refuse_writes()
    check = run(playbook, "--check", inventory=inventory)
    assert check.rc == 0, check.output
    for server in servers:
        assert_untouched(server)
        server.refuse_writes(False)
    first = run(playbook, inventory=inventory)
    assert first.rc == 0, first.output
    for server in servers:
        assert changed(first, server) == changed(check, server) >= EVERYWHERE
        server.forget()
    again = run(playbook, inventory=inventory)
    assert again.rc == 0, again.output
    assert again.changed() == []
    assert len(again.of("kerio_compare")) == len(again.of("kerio_master_login")) == len(servers)
    assert {task.result["answer"] for task in again.of("kerio_master_login")} == {"right"}
    for server in servers:
        assert server.writes() == []
        assert failed_logins(server) == []
        archive = server.api("Archive.get")["options"]
        assert (archive["isEnabled"], archive["remoteArchive"]["value"]) == (True, server.archive_mailbox)
        assert GROUP in [group["name"] for group in server.api("IpAddressGroups.getGroupList")["groups"]]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(keeps_proxy_password, servers))
