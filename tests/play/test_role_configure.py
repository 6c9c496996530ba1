# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles kerio_connect and kerio_mailserver_cfg, through playbooks/configure.yml and the inventory of the lab."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixtures import Lab, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun, Task
from tests.play.conftest import fresh
from tests.play.helpers import assert_untouched, failed_logins, run, switch_master, written

CONFIGURE = ROOT / "playbooks" / "configure.yml"
INVENTORY = ROOT / "inventory" / "lab"
MODULES = (
    "kerio_security_policy",
    "kerio_master_authentication",
    "kerio_advanced_options",
    "kerio_archiving",
    "kerio_mailserver_cfg",
)
# What a server that is as declared costs over its admin API.
UNCHANGED = ["kerio_compare", "kerio_master_login"]
NEW = "Archive hosts of tomorrow"
OTHER = "not-a-secret-other-1"


@dataclass
class Site:
    """The lab and the folder that its inventory works in."""

    lab: Lab
    work: Path

    def configure(self, *args: str, limit: str = "kerio_servers", **values: t.Any) -> PlaybookRun:
        """Run configure.yml; ``values`` are variables that win over those of the inventory."""
        # Both servers at the same time, which no operator would want.
        extra = ["-e", json.dumps({"kerio_mailserver_cfg_throttle": 0, **values})]
        environment = {"KERIO_LAB_JSON": str(self.lab.file), "KERIO_LAB_WORK_DIR": str(self.work)}
        return run(CONFIGURE, "--limit", limit, *extra, *args, inventory=INVENTORY, **environment)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    for server in lab.servers:
        fresh(server)
    return Site(lab, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def checked(site: Site) -> PlaybookRun:
    """A check of servers as they come from the installer, which would refuse every change."""
    for server in site.lab.servers:
        server.refuse_writes()
    before = [seen(server) for server in site.lab.servers]
    done = site.configure("--check")
    for server in site.lab.servers:
        assert_untouched(server)
        server.refuse_writes(False)
    assert [seen(server) for server in site.lab.servers] == before
    return done


@pytest.fixture(scope="module")
def first(site: Site, checked: PlaybookRun) -> PlaybookRun:
    """The run after the check."""
    assert checked.rc == 0, checked.output
    return site.configure()


@pytest.fixture
def configured(site: Site, first: PlaybookRun) -> LabServer:
    """The first server, as the run left it; a test that changes more puts it back."""
    assert first.rc == 0, first.output
    server = site.lab["mail1"]
    server.forget()
    return server


def seen(server: LabServer) -> tuple[int, bytes]:
    return server.pid, Path(server.mailserver_cfg).read_bytes()


def told(done: PlaybookRun, module: str, host: str = "mail1") -> Task:
    (task,) = [task for task in done.of(module) if task.host == host]
    return task


def after(done: PlaybookRun) -> dict[str, t.Any]:
    """Return what each changed task shows as the state after it."""
    return {task.action.rsplit(".", 1)[-1]: task.result["diff"]["after"] for task in done.changed()}


@pytest.mark.shows("run", "check")
def test_two_servers_are_configured_as_the_check_said(site: Site, checked: PlaybookRun, first: PlaybookRun) -> None:
    assert first.rc == 0, first.output
    expected = sorted((server.name, f"mailops.kerio.{module}") for server in site.lab.servers for module in MODULES)
    for done in (checked, first):
        assert sorted((task.host, task.action) for task in done.changed()) == expected
    for server in site.lab.servers:
        for module in MODULES:
            assert told(checked, module, server.name).result["diff"] == told(first, module, server.name).result["diff"]
        assert written(server) == ["SecurityPolicy.set", "AdvancedOptions.set", "AdvancedOptions.set", "Archive.set"]
        # Master authentication was off, so nothing was tried.
        assert failed_logins(server) == []
        assert first.of("kerio_master_login") == []
        archive = server.api("Archive.get")["options"]
        assert (archive["isEnabled"], archive["remoteArchive"]["value"]) == (True, server.archive_mailbox)
        options = server.api("AdvancedOptions.get")["options"]
        assert (options["miscellaneous"]["insertXEnvelopeTo"], options["masterAuthentication"]["isEnabled"]) == (True, True)
        assert b'<variable name="AutoExpungeOnDelete">0</variable>' in seen(server)[1]


@pytest.mark.shows("again")
def test_a_second_run_changes_nothing_and_finds_the_password_right(site: Site, configured: LabServer) -> None:
    before = [seen(server) for server in site.lab.servers]
    again = site.configure()
    assert again.rc == 0, again.output
    assert again.changed() == []
    assert [told(again, "kerio_master_login", server.name).result["answer"] for server in site.lab.servers] == ["right"] * 2
    assert [seen(server) for server in site.lab.servers] == before
    assert_untouched(configured)
    ours = [task for task in again.tasks if task.action.startswith("mailops.kerio.kerio_") and task.status != "skipped"]
    for server in site.lab.servers:
        assert [task.action.rsplit(".", 1)[-1] for task in ours if task.host == server.name] == [
            *UNCHANGED,
            "kerio_mailserver_cfg",
        ]
    warned = [text for task in again.tasks for text in task.result.get("warnings", [])]
    assert warned == []


@pytest.mark.shows("by_hand")
def test_a_setting_changed_by_hand_and_a_rotated_password_are_put_right_alone(site: Site, configured: LabServer) -> None:
    archive = configured.api("Archive.get")["options"]
    configured.api("Archive.set", {"options": {**archive, "archiveRelayedMessages": False}})
    switch_master(configured, True, password=OTHER)
    pid = configured.pid
    done = site.configure(limit="mail1")
    assert done.rc == 0, done.output
    assert after(done) == {
        "kerio_master_authentication": {"master_authentication": {"password": "(new secret)"}},
        "kerio_archiving": {"archiving": {"relayed_messages": True}},
    }
    assert written(configured) == ["AdvancedOptions.set", "Archive.set"]
    # One attempt with what was declared, and that is all.
    assert failed_logins(configured) == ["X-MASTERAUTH"]
    assert configured.pid == pid
    assert told(site.configure(limit="mail1"), "kerio_master_login").result["answer"] == "right"
    assert failed_logins(configured) == ["X-MASTERAUTH"]


def test_a_check_tries_no_password_and_says_nothing_of_it(site: Site, configured: LabServer) -> None:
    switch_master(configured, True, group="Local clients", password=OTHER)
    with configured.switched(refuse_writes=True):
        done = site.configure("--check", limit="mail1")
    switch_master(configured, True)
    assert done.rc == 0, done.output
    assert after(done) == {"kerio_master_authentication": {"master_authentication": {"ip_address_group": "Archive hosts"}}}
    assert [text for task in done.tasks for text in task.result.get("warnings", [])] == []
    assert (written(configured), failed_logins(configured)) == ([], [])


def test_a_wrong_password_that_cannot_be_replaced_is_told_to_what_archives(site: Site, configured: LabServer) -> None:
    switch_master(configured, True, password=OTHER)
    with configured.switched(fail_methods="AdvancedOptions.set=1004"):
        done = site.configure(limit="mail1")
    switch_master(configured, True)
    assert done.rc != 0
    facts = [task.result["ansible_facts"] for task in done.of("set_fact")]
    (refused,) = [fact["kerio_connect_master_refused"] for fact in facts if "kerio_connect_master_refused" in fact]
    assert "X-MASTERAUTH" in refused
    assert done.failed()[-1].result["msg"].startswith("mail1: AdvancedOptions.set")
    assert failed_logins(configured) == ["X-MASTERAUTH"]


def test_groups_come_before_what_names_them_and_go_after_it(site: Site, configured: LabServer) -> None:
    """A check of a group that is not there yet tells what the run then does."""
    entry = {"name": NEW, "entries": [{"host": "127.0.0.1"}]}
    policy = {"anti_hammering": True, "anti_hammering_exception_group": NEW}
    master = {"enabled": True, "ip_address_group": NEW, "password": configured.master_password}
    named = {"kerio_connect_ip_address_groups": [entry], "kerio_connect_security_policy": policy}
    named["kerio_connect_services"] = [{"name": "Secure IMAP", "ip_address_group": NEW}]
    with configured.switched(refuse_writes=True):
        check = site.configure("--check", limit="mail1", kerio_connect_master_authentication=master, **named)
    assert check.rc == 0, check.output
    assert written(configured) == []
    done = site.configure(limit="mail1", kerio_connect_master_authentication=master, **named)
    assert done.rc == 0, done.output
    assert after(done) == after(check)
    names = ["kerio_ip_address_groups", "kerio_security_policy", "kerio_services", "kerio_master_authentication"]
    assert list(after(done)) == names
    assert site.configure(limit="mail1", kerio_connect_master_authentication=master, **named).changed() == []

    gone = {"name": NEW, "state": "absent"}
    policy = {"anti_hammering": False, "anti_hammering_exception_group": "", "authentication_methods": {"CRAM-MD5": False}}
    named["kerio_connect_services"] = [{"name": "Secure IMAP", "ip_address_group": ""}]
    named["kerio_connect_security_policy"] = policy
    back = site.configure(limit="mail1", **{**named, "kerio_connect_ip_address_groups": [gone]})
    assert back.rc == 0, back.output
    assert list(after(back)) == [*names[1:], names[0]]
    assert site.configure(limit="mail1").changed() == []


def test_what_contradicts_itself_is_refused_before_anything_is_written(site: Site, configured: LabServer) -> None:
    nobody = {"enabled": True, "remote_address": "nobody@example.com", "relayed_messages": False}
    done = site.configure(limit="mail1", kerio_connect_archiving=nobody)
    assert done.rc != 0
    assert "archive-mailbox-exists" in done.failed()[0].result["msg"]
    assert_untouched(configured)
    accepted = site.configure(
        "--check", limit="mail1", kerio_connect_archiving=nobody, kerio_connect_accept=["archive-mailbox-exists"]
    )
    assert accepted.rc == 0, accepted.output
    assert list(after(accepted)) == ["kerio_archiving"]


def test_a_password_nobody_can_judge_is_never_written(site: Site, configured: LabServer) -> None:
    switch_master(configured, True, password=OTHER)
    with configured.switched(master_refusal="bye"):
        done = site.configure(limit="mail1")
    switch_master(configured, True)
    assert done.rc == 0, done.output
    assert done.changed() == []
    (warning,) = told(done, "kerio_master_authentication").result["warnings"]
    assert "the master password is not written, because nobody can tell whether it differs" in warning
    assert (written(configured), failed_logins(configured)) == ([], ["X-MASTERAUTH"])


def test_master_authentication_that_is_declared_off_is_switched_off_and_never_tried(site: Site, configured: LabServer) -> None:
    off = {"enabled": False, "password": configured.master_password}
    done = site.configure(limit="mail1", kerio_connect_master_authentication=off)
    switch_master(configured, True)
    assert done.rc == 0, done.output
    assert after(done) == {"kerio_master_authentication": {"master_authentication": {"enabled": False}}}
    assert done.of("kerio_master_login") == []
    assert failed_logins(configured) == []


@pytest.mark.shows("broken")
def test_a_server_that_refuses_the_login_is_asked_once_and_does_not_stop_the_other(site: Site, configured: LabServer) -> None:
    before = seen(configured)
    wrong = "{{ lab_server.admin_password if inventory_hostname == 'mail2' else 'not-a-secret-wrong' }}"
    done = site.configure(kerio_connect_password=wrong)
    assert done.rc != 0
    failure, told_at_the_end = done.failed()
    assert failure.host == told_at_the_end.host == "mail1"
    assert told_at_the_end.result["msg"] == failure.result["msg"]
    assert failure.result["msg"].startswith("mail1: login of Admin: Invalid user name or password.")
    assert failed_logins(configured) == ["Admin"]
    assert (configured.writes(), seen(configured)) == ([], before)
    assert [task.host for task in done.of("kerio_mailserver_cfg")] == ["mail2"]


def test_a_password_in_the_wrong_place_is_refused_by_the_arguments_of_the_role(site: Site, configured: LabServer) -> None:
    done = site.configure(limit="mail1", kerio_connect_archiving={"enable": True, "password": "not-a-secret-misplaced"})
    assert done.rc != 0
    failure, told_at_the_end = done.failed()
    assert "kerio_connect_archiving" in failure.result["msg"]
    assert told_at_the_end.result["msg"] == failure.result["msg"]
    assert_untouched(configured)
