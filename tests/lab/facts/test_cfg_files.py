# SPDX-License-Identifier: GPL-3.0-or-later
"""mailserver.cfg and users.cfg (sheet 4.1-4.4)."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.lab import service as service_module
from tests.lab.facts.plain import Plain, admin
from tests.lab.fixtures import Factory, Lab, LabServer


def cfg(server: LabServer) -> Path:
    return Path(server.mailserver_cfg)


def text(server: LabServer, name: str = "mailserver.cfg") -> str:
    return (server.install / name).read_text(encoding="utf-8")


def variables(document: str, name: str) -> list[str]:
    return re.findall(rf'^ *<variable name="{name}"[^>]*>(.*)</variable>$', document, re.MULTILINE)


def outline(document: str) -> list[tuple[str, str]]:
    """(path of tags, name) of every element, read line by line: start tags, end tags, and variables on one line."""
    found: list[tuple[str, str]] = []
    stack: list[str] = []
    for line in document.splitlines():
        match = re.match(r'\s*<(/?)(\w+)(?:.*? name="([^"]*)")?', line)
        if match is None:
            continue
        if match[1]:
            assert stack.pop() == match[2]
            continue
        found.append(("/".join([*stack, match[2]]), match[3] or ""))
        if match[2] != "variable":
            stack.append(match[2])
    assert stack == []
    return found


def replace(path: Path, old: str, new: str) -> None:
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new), encoding="utf-8")


@pytest.fixture
def stopped(server: LabServer) -> LabServer:
    """Stopped; the test starts it again."""
    assert server.service("stop").returncode == 0
    return server


# -- 4.1, 4.2 files and format --------------------------------------------------------------------------------------


def test_cfg_001_both_files_and_one_generation_of_backup(stopped: LabServer) -> None:
    for name in ("mailserver.cfg", "users.cfg"):
        first = (stopped.install / name).read_bytes()
        stopped.service("restart")
        assert (stopped.install / f"{name}.bak").read_bytes() == first
    assert sorted(path.name for path in stopped.install.glob("*.bak*")) == ["mailserver.cfg.bak", "users.cfg.bak"]


def test_cfg_002_shape(server: LabServer) -> None:
    document = text(server)
    paths = [path for path, _name in outline(document)]
    assert {path.split("/")[0] for path in paths} == {"config"}
    assert {path.split("/")[1] for path in paths if "/" in path} == {"table", "list"}
    assert "config/list/listitem/variable" in paths
    assert not [path for path in paths if "listitem/" in path and not path.endswith("listitem/variable")]
    assert ("config/table/variable", "RelativePathsRoot") in outline(document)
    assert ("config/table/table/variable", "Days") in outline(document)  # tables nest
    # one variable a line: a line-based edit works
    assert document.count("<variable ") == len(re.findall(r"^ *<variable [^\n]*</variable>$", document, re.MULTILINE))
    assert variables(document, "BuiltInAdminEnabled") == ["1"]
    assert variables(document, "RelativePathsRoot")
    assert variables(document, "Syslog")[0].startswith("syslog://2@")


def test_cfg_003_names_that_sources_show_in_users_cfg(server: LabServer) -> None:
    document = text(server, "users.cfg")
    alice = next(item for item in document.split("<listitem>") if '<variable name="Name">alice<' in item)
    assert variables(alice, "Domain") == ["example.com"]
    assert variables(alice, "FullName") == ["Alice Ångström"]
    assert variables(alice, "EmailAddress") == ["a.angstrom"]
    assert variables(alice, "Rights") == ["0"]
    assert variables(alice, "Password")[0].startswith("D3S:")


def test_cfg_004_secrets_are_scrambled(server: LabServer) -> None:
    everything = text(server) + text(server, "users.cfg")
    assert "not-a-secret" not in everything
    assert variables(text(server), "BuiltInAdminPassword")[0].startswith("D3S:")
    assert "NUL:" in variables(text(server), "RelayPassword")


@pytest.mark.parametrize(
    ("switches", "count", "parent"),
    [
        ({}, 1, "Imap"),
        ({"auto_expunge_table": "Services/ImapServer"}, 1, "ImapServer"),
        ({"auto_expunge": "absent"}, 0, ""),
        ({"auto_expunge": "twice"}, 2, "Imap"),
    ],
)
def test_cfg_005_auto_expunge_on_delete(lab_factory: Factory, switches: dict[str, str], count: int, parent: str) -> None:
    server = lab_factory(servers=1, start=False, **switches).servers[0]
    found = variables(text(server), "AutoExpungeOnDelete")
    assert found == ["1"] * count
    document = text(server)
    for match in list(re.finditer('<variable name="AutoExpungeOnDelete"', document))[:1]:
        above = re.findall(r'<table name="(\w+)">(?![\s\S]*</table>)', document[: match.start()])
        assert above[-1] == parent


@pytest.mark.parametrize(
    ("switches", "start", "eol"),
    [
        ({}, b"<?xml", b"\n"),
        ({"cfg_eol": "crlf"}, b"<?xml", b"\r\n"),
        ({"cfg_bom": True}, b"\xef\xbb\xbf<?xml", b"\n"),
        ({"cfg_declaration": False}, b"<config", b"\n"),
        ({"cfg_bom": True, "cfg_declaration": False, "cfg_eol": "crlf"}, b"\xef\xbb\xbf<config", b"\r\n"),
    ],
)
def test_cfg_006_bytes_around_the_elements(lab_factory: Factory, switches: dict[str, str], start: bytes, eol: bytes) -> None:
    lab: Lab = lab_factory(servers=1, start=False, **switches)
    data = cfg(lab.servers[0]).read_bytes()
    assert data.startswith(start)
    assert data.endswith(b"</config>" + eol)
    assert data.count(b"\r") == (data.count(b"\n") if eol == b"\r\n" else 0)


def test_cfg_007_comments_and_attributes_survive_a_rewrite(lab_factory: Factory) -> None:
    server = lab_factory(servers=1, cfg_decoy=True, cfg_big=50).servers[0]
    before = cfg(server).read_bytes()
    server.service("restart")
    document = text(server)
    assert cfg(server).read_bytes() == before
    assert "<!-- Konfiguration — geändert" in document
    assert '<!-- <variable name="AutoExpungeOnDelete">0</variable> -->' in document
    assert '<variable name="Signature" type="string" lang="de">Grüße &amp; &lt;Küsse&gt; "aus" Žilina</variable>' in document
    assert len(variables(document, "Pattern")) == 50


# -- 4.4 editing ----------------------------------------------------------------------------------------------------


def test_cfg_008_an_edit_while_the_server_runs_is_lost(server: LabServer) -> None:
    line = '<variable name="AutoExpungeOnDelete">{}</variable>'
    replace(cfg(server), line.format(1), line.format(0))
    edited = cfg(server).read_bytes()
    server.service("stop")
    assert line.format(1) in text(server)
    assert cfg(server).with_name("mailserver.cfg.bak").read_bytes() == edited
    server.service("start")


def test_cfg_009_an_edit_while_it_is_stopped_counts_and_stays(stopped: LabServer) -> None:
    line = '<variable name="AutoExpungeOnDelete">{}</variable>'
    replace(cfg(stopped), line.format(1), line.format(0))
    replace(cfg(stopped), '"BuiltInAdminUsername">Admin<', '"BuiltInAdminUsername">Root<')
    stopped.service("start")
    with Plain(stopped) as client:
        assert "error" in client.login("Admin")
        assert "result" in client.login("Root")
    stopped.service("stop")
    assert line.format(0) in text(stopped)
    replace(cfg(stopped), line.format(0), line.format(1))
    replace(cfg(stopped), '"BuiltInAdminUsername">Root<', '"BuiltInAdminUsername">Admin<')
    stopped.service("start")


def test_cfg_010_the_administrators_password_is_reset_by_hand(stopped: LabServer) -> None:
    before = text(stopped)
    secret = variables(before, "BuiltInAdminPassword")[0]
    replace(cfg(stopped), f'"BuiltInAdminPassword">{secret}<', '"BuiltInAdminPassword">NUL:<')
    stopped.service("start")
    with Plain(stopped) as client:
        assert "result" in client.login("Admin", "")
    stopped.service("stop")
    cfg(stopped).write_text(before, encoding="utf-8")
    stopped.service("start")
    with admin(stopped) as client:
        assert client.code("Archive.get") == 0


@pytest.mark.parametrize("damage", ["empty", "missing", "truncated", "other document"])
def test_cfg_011_what_it_cannot_parse_makes_it_a_fresh_install(lab_factory: Factory, damage: str) -> None:
    server = lab_factory(servers=1).servers[0]
    server.service("stop")
    whole = cfg(server).read_bytes()
    if damage == "missing":
        cfg(server).unlink()
    else:
        cfg(server).write_bytes({"empty": b"", "truncated": whole[:-20], "other document": b"<other/>"}[damage])
    server.service("start")
    with Plain(server) as client:
        assert "error" in client.login()
        assert "result" in client.login("Admin", "")
        assert client.result("Domains.get", {"query": {}})["totalItems"] == 0
    server.service("stop")
    assert variables(text(server), "BuiltInAdminPassword") == ["NUL:"]


@pytest.mark.parametrize("switch", [False, True])
def test_cfg_012_saving_after_changes(server: LabServer, switch: bool) -> None:
    server.set_switches(save_on_change=switch)
    before = cfg(server).read_bytes()
    with admin(server) as client:
        interval = client.result("SecurityPolicy.get")["options"]["minutesToUnlock"]
        client.result("SecurityPolicy.set", {"options": {"minutesToUnlock": interval + 1}})
    assert (cfg(server).read_bytes() != before) is switch


def test_cfg_013_settings_survive_a_restart(server: LabServer) -> None:
    with admin(server) as client:
        client.result("Archive.set", {"options": {"remoteArchive": {"enabled": True, "value": "archive@example.com"}}})
        entry = {"groupId": "", "groupName": "Ümläut & Co", "host": "192.0.2.1", "type": "Host", "enabled": True}
        client.result("IpAddressGroups.create", {"groups": [entry]})
        before = snapshot(client)
    server.service("restart")
    with admin(server) as client:
        assert snapshot(client) == before


def snapshot(client: Plain) -> list[object]:
    domain = client.result("Domains.get", {"query": {}})["list"][0]
    here = {"query": {}, "domainId": domain["id"]}
    return [
        domain,
        *(client.result(f"{name}.get") for name in ("Archive", "AdvancedOptions", "SecurityPolicy", "Services")),
        client.result("IpAddressGroups.get", {"query": {}}),
        *(client.result(f"{name}.get", here) for name in ("Users", "Groups", "Aliases")),
    ]


def test_cfg_014_a_killed_server_saves_nothing(server: LabServer) -> None:
    before = cfg(server).read_bytes()
    with admin(server) as client:
        client.result("SecurityPolicy.set", {"options": {"failedLoginsToLock": 77}})
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    assert service_module.wait_until(lambda: not server.pid, 10)
    assert cfg(server).read_bytes() == before
    server.service("start")
    with admin(server) as client:
        assert client.result("SecurityPolicy.get")["options"]["failedLoginsToLock"] != 77


def test_cfg_015_rewriting_keeps_mode_inode_and_symbolic_links(stopped: LabServer) -> None:
    real = stopped.install / "real.cfg"
    cfg(stopped).rename(real)
    cfg(stopped).symlink_to(real)
    real.chmod(0o640)
    inode = real.stat().st_ino
    stopped.service("start")
    stopped.service("stop")
    assert cfg(stopped).is_symlink()
    assert (real.stat().st_ino, real.stat().st_mode & 0o777) == (inode, 0o640)
    cfg(stopped).unlink()
    real.rename(cfg(stopped))
    stopped.service("start")


def test_cfg_016_an_edit_of_users_cfg_while_stopped_counts(stopped: LabServer) -> None:
    path = stopped.install / "users.cfg"
    replace(path, '"EmailAddress">a.angstrom<', '"EmailAddress">a.angstrom,alicia<')
    stopped.service("start")
    with admin(stopped) as client:
        assert client.result("Aliases.check", {"checkString": "alicia"}) == {"result": ["alice@example.com"]}
