# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/adopt.yml: what it writes about servers that were set up by hand, declared again, changes nothing."""

from __future__ import annotations

import json
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.lab.fixtures import Factory, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import SECRET, assert_untouched, run, switch_master

ADOPT = ROOT / "playbooks" / "adopt.yml"
SITE = ROOT / "playbooks" / "site.yml"
STRANGE = "{{ 7 * 7 }}: no #comment, 02:30, \u00fc\u20ac"


@dataclass
class Operator:
    """Somebody with a copy of the lab's inventory, which declares nothing of the settings, and its servers."""

    servers: list[LabServer]
    inventory: Path
    environment: dict[str, str]

    def run(self, playbook: Path, *args: str, **values: t.Any) -> PlaybookRun:
        # Both servers at the same time, which no operator would want.
        extra = ["-e", json.dumps({"kerio_mailserver_cfg_throttle": 0, **values})]
        return run(playbook, *args, *extra, inventory=self.inventory, **self.environment)

    def files(self) -> dict[str, str]:
        folder = self.inventory / "host_vars"
        return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def operator(lab_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """A server of today and one of 2013, both changed by hand in every kind of settings."""
    folder = tmp_path_factory.mktemp("adopt")
    lab = lab_factory(servers=2, users=2)
    today, old = lab.servers
    old.set_switches(profile="2013")
    old.service("restart")
    by_hand(today)
    by_hand(old)
    today.api("Domains.set", {"domainIds": [first(today, "Domains.get")["id"]], "pattern": {"archiveLocalMessages": True}})
    inventory = folder / "inventory"
    shutil.copytree(ROOT / "inventory" / "lab", inventory)
    path = inventory / "group_vars" / "kerio_servers.yml"
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    reached = ("lab_server", "kerio_mailserver_cfg_", "kerio_connect_host", "kerio_connect_port", "kerio_connect_user")
    kept = {name: value for name, value in known.items() if name.startswith((*reached, "kerio_connect_password"))}
    kept |= {name: known[name] for name in ("kerio_connect_ca_file", "kerio_connect_imap_port")}
    kept = {
        name: value
        for name, value in kept.items()
        if name not in ("kerio_connect_users", "kerio_mailserver_cfg_permanent_delete")
    }
    path.write_text(yaml.safe_dump({**kept, "vault_kerio_master_password": "{{ lab_server.master_password }}"}), encoding="utf-8")
    environment = {"KERIO_LAB_JSON": str(lab.file), "KERIO_LAB_WORK_DIR": str(folder)}
    return Operator(lab.servers, inventory, environment)


def first(server: LabServer, method: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = server.api(method, {"query": {}})["list"][0]
    return found


def by_hand(server: LabServer) -> None:
    """Set up a server as an administrator may have done it over the years."""
    more = {
        "groupId": "",
        "groupName": "Archive hosts",
        "type": "Host",
        "host": "192.0.2.77",
        "description": STRANGE,
        "enabled": False,
    }
    server.api("IpAddressGroups.create", {"groups": [more]})
    policy = server.api("SecurityPolicy.get")["options"]
    methods = [
        {**entry, "enabled": entry["value"] not in ("CRAM-MD5", "DIGEST-MD5")} for entry in policy["authenticationMethods"]
    ]
    server.api("SecurityPolicy.set", {"options": {**policy, "authenticationMethods": methods, "enableLockout": True}})
    services = server.api("Services.get")["services"]
    changed = [
        {**entry, "connectionLimit": {"isSet": True, "value": 77}} if entry["name"] == "IMAP" else entry for entry in services
    ]
    server.api("Services.set", {"services": changed})
    pattern = {"fullName": STRANGE, "emailAddresses": ["0123"]}
    server.api("Users.set", {"userIds": [server.user("archive")["id"]], "pattern": pattern})
    switch_master(server, True)
    advanced = server.api("AdvancedOptions.get")["options"]
    advanced["miscellaneous"].update(insertXEnvelopeTo=True, logHostNames=True)
    del advanced["masterAuthentication"]
    server.api("AdvancedOptions.set", {"options": advanced})
    archive = server.api("Archive.get")["options"]
    archive.update(isEnabled=True, remoteArchive={"enabled": True, "value": server.archive_mailbox})
    archive.update(archiveFoldersInterval="periodWeek", compressionStartTime={"hour": 2, "min": 30}, archiveBeforeFilter=True)
    server.api("Archive.set", {"options": archive})


def forget(operator: Operator) -> None:
    for server in operator.servers:
        server.forget()


def test_adopted_servers_are_as_declared(operator: Operator) -> None:
    forget(operator)
    for server in operator.servers:
        server.refuse_writes()
    before = [Path(server.mailserver_cfg).read_bytes() for server in operator.servers]
    check = operator.run(ADOPT, "--check")
    assert check.rc == 0, check.output
    assert not (operator.inventory / "host_vars").exists()
    assert "kerio_connect_archiving:" in check.output
    done = operator.run(ADOPT)
    assert done.rc == 0, done.output
    for server in operator.servers:
        assert_untouched(server)
        server.refuse_writes(False)
    assert [Path(server.mailserver_cfg).read_bytes() for server in operator.servers] == before

    written = operator.files()
    assert sorted(written) == ["mail1.yml", "mail2.yml"]
    for server in operator.servers:
        text = written[f"{server.name}.yml"]
        assert SECRET not in text
        assert not any(name in text for name in ("api_port", str(server.admin_port), server.admin_user, "ca.crt"))
        assert '  password: "{{ vault_kerio_master_password }}"' in text
        assert 'compression_start_time: "02:30"' in text
        assert text.count("- address: archive@") == 1
        assert "alice@" not in text
        assert "kerio_mailserver_cfg_permanent_delete: false" in text
    assert "Kerio Connect 8" in written["mail2.yml"]
    assert "per_domain" not in written["mail2.yml"]

    site = operator.run(SITE)
    assert site.rc == 0, site.output
    assert [task for task in site.changed() if not task.action.rsplit(".", 1)[-1].startswith("archive_")] == []
    assert {task.host for task in site.of("kerio_compare")} == {"mail1", "mail2"}
    for server in operator.servers:
        assert_untouched(server)

    again = operator.run(ADOPT)
    assert again.rc == 0, again.output
    assert operator.files() == written


def test_a_file_that_says_something_else_is_kept(operator: Operator) -> None:
    folder = operator.inventory / "host_vars"
    folder.mkdir(exist_ok=True)
    own = "---\n# by hand\nansible_host: 192.0.2.1\n"
    (folder / "mail1.yml").write_text(own, encoding="utf-8")
    (folder / "mail2.yml").unlink(missing_ok=True)
    (folder / "mail2").mkdir()
    done = operator.run(ADOPT)
    assert done.rc != 0
    (failure,) = done.failed()
    assert failure.host == "mail1"
    assert "mail1.yml says something else" in failure.result["msg"]
    assert "adopt_overwrite=true" in failure.result["msg"]
    assert sorted(operator.files()) == ["mail1.yml", "mail2/kerio_connect.yml"]
    assert operator.files()["mail1.yml"] == own
    overwritten = operator.run(ADOPT, "--limit", "mail1", adopt_overwrite=True)
    assert overwritten.rc == 0, overwritten.output
    assert "kerio_connect_archiving:" in operator.files()["mail1.yml"]


def test_a_host_that_cannot_be_reached_is_adopted_without_its_file(operator: Operator) -> None:
    shutil.rmtree(operator.inventory / "host_vars", ignore_errors=True)
    (operator.inventory / "host_vars" / "mail1").mkdir(parents=True)
    nowhere = {"kerio_mailserver_cfg_path": "/nonexistent/mailserver.cfg"}
    (operator.inventory / "host_vars" / "mail1" / "main.yml").write_text(yaml.safe_dump(nowhere), encoding="utf-8")
    done = operator.run(ADOPT, "--limit", "mail1")
    assert done.rc == 0, done.output
    text = operator.files()["mail1/kerio_connect.yml"]
    assert "kerio_mailserver_cfg_permanent_delete:" not in text
    assert "# mailserver.cfg could not be read" in text
    assert "kerio_connect_archiving:" in text
