# SPDX-License-Identifier: GPL-3.0-or-later
"""Services have an effect (sheet 2.8, pitfall 11), and every change survives a stop and a start (sheet 4.4)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.facts.imap_rig import Rig
from tests.lab.facts.plain import Plain, admin
from tests.lab.fixtures import LabServer
from tests.lab.service import wait_until

Row = dict[str, Any]
PORTS = {"IMAP": "imap_port", "Secure IMAP": "imaps_port", "SMTP": "smtp_port"}


def service(client: Plain, name: str) -> Row:
    found: list[Row] = client.result("Services.get")["services"]
    return next(s for s in found if s["name"] == name)


def change(client: Plain, name: str, **members: Any) -> None:
    new = {"id": service(client, name)["id"], **members}
    assert client.result("Services.set", {"services": [new]}) == {"errors": []}


def greeting(server: LabServer, name: str, source: str = "127.0.0.1") -> bytes:
    """The first line that the service says; empty when the connection is refused or closed at once."""
    try:
        return asyncio.run(asyncio.wait_for(_first_line(server, name, source), 20))
    except OSError:
        return b""


async def _first_line(server: LabServer, name: str, source: str) -> bytes:
    """Over asyncio, because ssl.wrap_socket of Python 3.11 leaves a socket open that was reset before the handshake."""
    context = ssl.create_default_context(cafile=server.ca_file) if name.startswith("Secure") else None
    host = "localhost" if context else None
    place: dict[str, Any] = {"ssl": context, "server_hostname": host, "local_addr": (source, 0)}
    reader, writer = await asyncio.open_connection(server.host, getattr(server, PORTS[name]), **place)
    try:
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def here(server: LabServer) -> Iterator[Plain]:
    with admin(server) as client:
        yield client
    server.reset()


@pytest.mark.parametrize("name", list(PORTS))
def test_api_135_a_stopped_service_answers_nobody_until_it_is_started(server: LabServer, here: Plain, name: str) -> None:
    kid = {"service": service(here, name)["id"]}
    assert greeting(server, name)
    assert here.result("Services.stop", kid) == {}
    assert wait_until(lambda: not greeting(server, name), 10)
    assert all(greeting(server, other) for other in PORTS if other != name)
    assert here.result("Services.start", kid) == {}
    assert wait_until(lambda: greeting(server, name), 10)
    here.result("Services.stop", kid)
    assert here.result("Services.restart", kid) == {}
    assert wait_until(lambda: greeting(server, name), 10)


@pytest.mark.parametrize("name", list(PORTS))
def test_api_136_how_to_start_decides_at_the_next_start_only(server: LabServer, here: Plain, name: str) -> None:
    change(here, name, howToStart="Manual")
    assert greeting(server, name)
    assert service(here, name)["isRunning"] is True
    server.service("restart")
    with admin(server) as client:
        assert service(client, name)["isRunning"] is False
        assert not greeting(server, name)
        client.result("Services.start", {"service": service(client, name)["id"]})
        assert wait_until(lambda: greeting(server, name), 10)
        assert service(client, name)["howToStart"] == "Manual"


def test_api_137_a_stop_alone_does_not_last(server: LabServer, here: Plain) -> None:
    here.result("Services.stop", {"service": service(here, "IMAP")["id"]})
    assert wait_until(lambda: not greeting(server, "IMAP"), 10)
    server.service("restart")
    assert greeting(server, "IMAP").startswith(b"* OK")


@pytest.mark.parametrize("name", list(PORTS))
def test_api_138_a_service_may_be_limited_to_a_group(server: LabServer, here: Plain, name: str) -> None:
    group = next(g for g in here.result("IpAddressGroups.getGroupList")["groups"] if g["name"] == "Archive hosts")
    change(here, name, group={"isUsed": True, "ipGroup": {"id": group["id"], "name": ""}})
    assert service(here, name)["group"] == {"isUsed": True, "ipGroup": group}
    assert [bool(greeting(server, name, source)) for source in ("127.0.0.1", "127.0.0.2")] == [True, False]
    change(here, name, group={"isUsed": True, "ipGroup": {"id": "keriodb://ipaddressgroup/none", "name": ""}})
    assert not greeting(server, name)  # a group that is gone admits nobody
    change(here, name, group={"isUsed": False, "ipGroup": {"id": "", "name": ""}})
    assert greeting(server, name, "127.0.0.2")


@pytest.mark.parametrize("name", ["IMAP", "SMTP"])
def test_api_139_connections_beyond_the_limit_are_closed(rig: Rig, name: str) -> None:
    rig.state.service(name)["connectionLimit"] = {"isSet": True, "value": 2}
    port = rig.imap if name == "IMAP" else rig.smtp
    first, second, third = (rig.wire(port) for _ in range(3))
    assert [bool(wire.line()) for wire in (first, second, third)] == [True, True, False]
    assert rig.wire(rig.imaps, rig.client_tls).line().startswith(b"* OK")  # each service counts for itself
    second.close()
    assert wait_until(lambda: rig.wire(port).line(), 10)
    rig.state.service(name)["connectionLimit"]["isSet"] = False
    assert all(rig.wire(port).line() for _ in range(3))


@pytest.mark.parametrize(
    "members",
    [
        {"howToStart": "Sometimes"},
        {"listeners": [{"type": "Moon", "address": "", "port": 110}]},
        {"listeners": [{"type": "AllAddresses", "address": "", "port": 70000}]},
        {"connectionLimit": {"isSet": 1, "value": 1}},
    ],
)
def test_api_140_impossible_services(client: Plain, members: Row) -> None:
    pop = service(client, "POP3")
    answer = client.result("Services.set", {"services": [{"id": pop["id"], **members}]})
    assert [e["code"] for e in answer["errors"]] == [-32602]
    assert service(client, "POP3") == pop


# -- all that can be set --------------------------------------------------------------------------------------------


def everything(client: Plain) -> Row:
    """Each get of the interfaces that are written."""
    methods = ("Archive.get", "AdvancedOptions.get", "SecurityPolicy.get", "Services.get", "Server.getRemoteAdministration")
    found = {method: client.result(method) for method in methods}
    found["groups"] = client.result("IpAddressGroups.get", {"query": {}})["list"]
    found["domains"] = client.result("Domains.get", {"query": {}})["list"]
    for name in ("Users", "Groups", "Aliases"):
        found[name] = client.result(f"{name}.get", {"query": {}, "domainId": found["domains"][0]["id"]})["list"]
    return found


def turn(value: Any, keep: tuple[str, ...] = ()) -> Any:
    """The same shape with other values: truths turned, numbers raised, free texts with signs that XML minds."""
    if isinstance(value, dict):
        return {k: v if k in keep else turn(v, keep) for k, v in value.items()}
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value


def test_api_141_every_change_survives_a_stop_and_a_start(server: LabServer, here: Plain) -> None:
    domain = server.domain()["id"]
    group = {"groupName": "Büro & <Lager>", "type": "IpPrefix", "addr1": "2001:db8::", "addr2": "32", "enabled": False}
    made = here.result("IpAddressGroups.create", {"groups": [{**group, "description": "a, [b] 'c' \"d\""}]})["result"][0]["id"]
    row = next(r for r in here.result("IpAddressGroups.get", {"query": {}})["list"] if r["id"] == made)
    entity = {"enabled": True, "id": row["groupId"], "name": ""}
    policy = turn(here.result("SecurityPolicy.get")["options"], keep=("authenticationMethods",))
    methods = [{"enabled": number % 2 == 0, "value": m["value"]} for number, m in enumerate(policy["authenticationMethods"])]
    hammering = {**policy["antiHammering"], "exceptionIpGroup": entity}
    new = {**policy, "mode": "SPEncryptionRequired", "authenticationMethods": methods, "antiHammering": hammering}
    here.result("SecurityPolicy.set", {"options": {**new, "encryptionExceptionGroup": entity}})
    limited = {
        "group": {"isUsed": True, "ipGroup": {"id": row["groupId"], "name": ""}},
        "connectionLimit": {"isSet": False, "value": 3},
    }
    change(here, "POP3", howToStart="Manual", listeners=[{"type": "Localhost", "address": "", "port": 1110}] * 2, **limited)
    here.result("Services.stop", {"service": service(here, "POP3")["id"]})
    here.result("Server.setRemoteAdministration", {"setting": {"isEnabled": True, "isLimited": False, "groupId": row["groupId"]}})
    size = {"isActive": True, "limit": {"value": 3, "units": "GigaBytes"}}
    after = {"isEnabled": True, "days": 99}
    user = {
        "domainId": domain,
        "loginName": "survivor",
        "fullName": "Sür & <vivor>, [x]",
        "description": "first line\nsecond line",
        "isEnabled": False,
        "password": "not-a-secret-ünï & <x>",
        "isPasswordReversible": True,
        "role": {"userRole": "Auditor", "publicFolderRight": True, "archiveFolderRight": True},
        "emailAddresses": ["one", "two"],
        "emailForwarding": {"mode": "UForwardDeliver", "emailAddresses": ["x@example.org", "y@example.org"]},
        "userGroups": here.result("Groups.get", {"query": {}, "domainId": domain})["list"][:1],
        "itemLimit": {"isActive": True, "limit": 77},
        "diskSizeLimit": size,
        "outMessageLimit": size,
        "publishInGal": False,
        "itemSource": "DSLDAPSource",
        "authType": "UKerberosAuth",
        "cleanOutItems": {
            "isUsedDomain": False,
            **dict.fromkeys(("deletedItems", "junkEmail", "sentItems", "autoDelete"), after),
        },
    }
    assert here.result("Users.create", {"users": [user]})["errors"] == []
    clean_out = dict.fromkeys(("deletedItems", "junkEmail", "sentItems", "autoDelete", "keepForRecovery"), after)
    pattern = {"description": "Domäne", "domainQuota": {"diskSizeLimit": size, "warnLimit": 5}, **clean_out}
    assert here.result("Domains.set", {"domainIds": [domain], "pattern": pattern}) == {"errors": []}
    before = everything(here)
    assert server.service("restart").returncode == 0
    with admin(server) as client:
        assert everything(client) == before
        client.result("Users.set", {"userIds": [before["Users"][-1]["id"]], "pattern": {"isEnabled": True}})
    with Plain(server) as other:
        assert "result" in other.login("survivor", "not-a-secret-ünï & <x>")
