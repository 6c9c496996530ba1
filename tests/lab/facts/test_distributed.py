# SPDX-License-Identifier: GPL-3.0-or-later
"""A distributed domain: several servers, one directory service, every mailbox at home on one of them (sheet 7)."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import cli
from tests.lab.dovecot import mailbox_name
from tests.lab.facts import sasl
from tests.lab.facts.imap_rig import Wire
from tests.lab.facts.masterauth import master
from tests.lab.facts.plain import by
from tests.lab.fixtures import ApiFailureError, Factory, Lab, LabServer
from tests.lab.generate_load import Loader
from tests.lab.state import ServerState
from tests.lab.users import guid

DOMAIN = "corp.example"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def spread(lab_factory: Factory) -> Lab:
    """alice and bob are at home on mail1, the master; gina and henri on mail2."""
    return lab_factory(servers=2, users=2, distributed=DOMAIN)


@pytest.fixture
def lab(spread: Lab) -> Iterator[Lab]:
    yield spread
    spread.directory.reset()
    for server in spread.servers:
        server.reset_switches()


@pytest.fixture
def mail1(lab: Lab) -> LabServer:
    return lab["mail1"]


@pytest.fixture
def mail2(lab: Lab) -> LabServer:
    return lab["mail2"]


def rows(server: LabServer, interface: str, domain: str = DOMAIN) -> list[Row]:
    found: list[Row] = server.api(f"{interface}.get", {"query": {}, "domainId": server.domain(domain)["id"]})["list"]
    return found


def logins(server: LabServer, domain: str = DOMAIN) -> list[str]:
    return [one["loginName"] for one in rows(server, "Users", domain)]


def homes(server: LabServer) -> dict[str, str]:
    return {one["loginName"]: one["homeServer"]["name"] for one in rows(server, "Users")}


def opened(server: LabServer, name: str, password: str = "", way: str = "command") -> bytes:
    """The answer to a login; what was last heard when the connection ended."""
    wire = Wire(server.imap_port)
    try:
        wire.line()
        return sasl.WAYS[way](wire, name, password or f"not-a-secret-{name.partition('@')[0]}")
    except AssertionError as error:
        return str(error).encode()
    finally:
        wire.close()


def test_api_180_every_server_has_a_role(mail1: LabServer, mail2: LabServer) -> None:
    for server, role in ((mail1, "clMaster"), (mail2, "clSlave")):
        assert server.api("DistributedDomain.getRole") == {"role": role, "isMultiServer": True}
        listed = server.api("DistributedDomain.getServerList")["servers"]
        assert [(one["hostname"], one["isPrimary"], one["isLocal"]) for one in listed] == [
            ("mail.example.com", True, server is mail1),
            ("mail.example.org", False, server is mail2),
        ]
        assert set(listed[0]) == {"hostname", "isPrimary", "isLocal", "status", "errorMessages", "domainStatus"}
        assert server.api("DistributedDomain.getStatus") == {"isInCluster": True, "isError": False}
        assert server.domain()["name"] == DOMAIN
        assert server.domain()["isDistributed"]
        assert server.domain()["service"]["isEnabled"]


def test_api_181_a_server_of_its_own_stands_alone(server: LabServer) -> None:
    assert server.api("DistributedDomain.getRole") == {"role": "clStandalone", "isMultiServer": False}
    assert server.api("DistributedDomain.getServerList") == {"servers": []}
    assert server.api("DistributedDomain.getHomeServerList") == {"servers": []}
    with pytest.raises(ApiFailureError, match="1000"):
        server.api("DistributedDomain.getStatus")
    assert {one["homeServer"]["id"] for one in rows(server, "Users", "example.com")} == {""}


@pytest.mark.parametrize(("switch", "shown"), [("all", ["alice", "bob", "gina", "henri"]), ("own", ["gina", "henri"])])
def test_api_182_whom_a_server_lists(mail2: LabServer, switch: str, shown: list[str]) -> None:
    mail2.set_switches(distributed_lists=switch)
    assert logins(mail2) == shown
    assert [one["name"] for one in rows(mail2, "Aliases")] == ["info-mail1", "info-mail2"][-len(shown) // 2 :]
    assert {(one["itemSource"], one["authType"]) for one in rows(mail2, "Users")} == {("DSLDAPSource", "ULDAPAuth")}
    assert logins(mail2, "example.org") == ["archive"]  # its own domain, not shared


@pytest.mark.parametrize(("switch", "names"), [
    ("hostname", ["mail.example.com", "mail.example.org"]), ("name", ["mail1", "mail2"]),
])  # fmt: skip
def test_api_183_home_server_of_users_and_aliases(mail1: LabServer, mail2: LabServer, switch: str, names: list[str]) -> None:
    for server in (mail1, mail2):
        server.set_switches(home_server_name=switch)
        assert homes(server) == {"alice": names[0], "bob": names[0], "gina": names[1], "henri": names[1]}
        aliases = [one["homeServer"]["name"] for one in rows(server, "Aliases")]
        assert aliases == names
        known = server.api("DistributedDomain.getHomeServerList")["servers"]
        assert [one["name"] for one in known] == names
        ids = {one["name"]: one["id"] for one in known}
        assert all(ids[one["homeServer"]["name"]] == one["homeServer"]["id"] for one in rows(server, "Users"))


@pytest.mark.parametrize("switch", ["same", "own"])
def test_api_184_ids_are_the_same_everywhere_or_not(lab_factory: Factory, switch: str) -> None:
    lab = lab_factory(servers=2, users=1, distributed=DOMAIN, start=False, distributed_ids=switch)
    states = [ServerState(server.install) for server in lab.servers]
    found = []
    for server, state in zip(lab.servers, states, strict=True):
        view = state.find_user(f"alice@{DOMAIN}")
        assert view
        assert view.id == lab.directory.user("alice")["ids"][server.name]
        domain = state.directory.domain(DOMAIN)
        assert domain
        found.append((guid(view.id), domain["id"]))
    assert (found[0][0] == found[1][0]) is (switch == "same")
    assert (found[0][1] == found[1][1]) is (switch == "same")


@pytest.mark.parametrize(("switch", "answer"), [("no", b"t NO "), ("bye", b"* BYE"), ("empty", b"t OK ")])
def test_api_185_a_mailbox_opens_on_its_home_server_only(mail1: LabServer, mail2: LabServer, switch: str, answer: bytes) -> None:
    mail1.set_switches(foreign_mailbox=switch)
    mail1.forget()
    assert opened(mail2, "gina").startswith(b"t OK ")
    assert answer in opened(mail1, "gina")
    assert answer in opened(mail1, f"gina@{DOMAIN}", way="PLAIN")
    assert opened(mail1, "gina", "wrong").startswith(b"t NO LOGIN ")
    outcome = "ok" if switch == "empty" else "foreign"
    assert [one["outcome"] for one in mail1.logins(account=f"gina@{DOMAIN}")] == [outcome, outcome, "failed"]


@pytest.mark.parametrize(("switch", "answer"), [("no", b"t NO "), ("bye", b"* BYE"), ("empty", b"t OK ")])
def test_api_186_nor_for_a_master(mail1: LabServer, switch: str, answer: bytes) -> None:
    mail1.set_switches(foreign_mailbox=switch)
    options = {"isEnabled": True, "groupRestriction": "", "password": mail1.master_password}
    mail1.api("AdvancedOptions.set", {"options": {"masterAuthentication": options}})
    for name, expected in (("alice", b"t OK "), ("gina", answer)):
        wire = Wire(mail1.imap_port)
        wire.line()
        assert master(wire, mail1.master_password).startswith(b"a OK ")
        wire.send(b"t X-SETUSER ", name.encode(), b"\r\n")
        assert wire.line().startswith(expected)
        wire.close()


def test_api_187_mapped_users_cannot_use_the_md5_methods(mail1: LabServer) -> None:
    for way in sasl.HASHED:
        assert opened(mail1, "alice", way=way).startswith(b"t NO AUTHENTICATE ")
    assert opened(mail1, "alice", way="PLAIN").startswith(b"t OK ")


def test_api_188_groups_of_the_directory_are_common_local_ones_are_not(lab: Lab, mail1: LabServer, mail2: LabServer) -> None:
    sent = {"domainId": mail1.domain()["id"], "name": "here only"}
    kid = mail1.api("Groups.create", {"groups": [sent]})["result"][0]["id"]
    alice = by(rows(mail1, "Users"), "loginName", "alice")["id"]
    assert mail1.api("Groups.addMemberList", {"groupId": kid, "userList": [alice]}) == {"errors": []}
    lab.directory.change("alice", full_name="Alice Again")  # the local membership outlives that
    local = mail1.add_user("lodger", emailAddresses=["lodge"])
    try:
        assert {one["name"] for one in rows(mail1, "Groups")} == {"sales", "staff", "here only"}
        assert {one["name"] for one in rows(mail2, "Groups")} == {"sales", "staff"}
        assert [one["itemSource"] for one in rows(mail2, "Groups")] == ["DSLDAPSource", "DSLDAPSource"]
        groups = {one["loginName"]: {g["name"] for g in one["userGroups"]} for one in rows(mail1, "Users")}
        assert groups["alice"] == {"staff", "here only"}
        assert groups["bob"] == {"sales", "staff"}
        assert homes(mail1)["lodger"] == "mail.example.com"
        assert "lodger" not in logins(mail2)
        assert opened(mail1, "lodger").startswith(b"t OK ")
    finally:
        mail1.remove_users([local["id"]])
        mail1.api("Groups.remove", {"requests": [{"groupId": kid}]})


def test_api_189_the_servers_follow_the_directory(lab: Lab, mail1: LabServer, mail2: LabServer) -> None:
    before = by(rows(mail1, "Users"), "loginName", "bob")["id"]
    lab.directory.change("bob", login="robert", full_name="Robert", addresses=["bob"])
    lab.directory.move("robert", "mail2")
    lab.directory.remove("henri")
    new = lab.directory.add("nora", "mail1", groups=["sales"])
    for server in (mail1, mail2):
        assert homes(server) == {
            "alice": "mail.example.com", "robert": "mail.example.org", "gina": "mail.example.org", "nora": "mail.example.com",
        }  # fmt: skip
        robert = by(rows(server, "Users"), "loginName", "robert")
        assert (robert["id"], robert["fullName"], robert["emailAddresses"]) == (before, "Robert", ["bob"])
        assert by(rows(server, "Users"), "loginName", "nora")["id"] == new["ids"][server.name]
    mail2.service("stop")
    lab.directory.change("gina", enabled=False)
    mail2.service("start")
    mail2.forget_session()
    assert not by(rows(mail2, "Users"), "loginName", "gina")["isEnabled"]
    assert opened(mail2, "robert", "not-a-secret-bob").startswith(b"t OK ")
    lab.directory.remove("nora")
    assert lab.directory.add("nora", "mail2")["ids"] != new["ids"]  # a rehired name is somebody else
    lab.directory.reset()
    assert logins(mail1) == ["alice", "bob", "gina", "henri"]


def test_api_190_mail_passes_to_the_home_server(lab: Lab, mail1: LabServer, mail2: LabServer) -> None:
    with smtplib.SMTP(mail1.host, mail1.smtp_port) as client:
        recipients = [f"gina@{DOMAIN}", f"alice@{DOMAIN}"]
        client.sendmail("someone@elsewhere.example", recipients, b"Subject: passing\r\n\r\nthrough\r\n")
    for server, login in ((mail2, "gina"), (mail1, "alice")):
        with Loader(server.dovecot, mailbox_name(lab.directory.user(login)["ids"][server.name])) as loader:
            assert loader.numbers("INBOX")["MESSAGES"] == 1


def test_api_191_lab_json_tells_who_is_at_home_where(lab: Lab) -> None:
    part = lab.document["distributed"]
    assert part["domain"] == DOMAIN
    assert [(one["name"], one["hostname"], one["role"]) for one in part["servers"]] == [
        ("mail1", "mail.example.com", "clMaster"), ("mail2", "mail.example.org", "clSlave"),
    ]  # fmt: skip
    assert {one["login"]: one["home"] for one in part["users"]} == {
        "alice": "mail1", "bob": "mail1", "gina": "mail2", "henri": "mail2",
    }  # fmt: skip
    for server in lab.servers:
        mine = [one["address"] for one in part["users"] if one["home"] == server.name]
        assert [one["address"] for one in server.users] == [server.archive_mailbox, *mine]


def test_api_192_a_server_keeps_its_own_domain_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["start", "--dir", str(tmp_path / "lab"), "--servers", "2", "--distributed", "example.org"]
    assert cli.main(options) == 1
    assert "example.org" in capsys.readouterr().err
