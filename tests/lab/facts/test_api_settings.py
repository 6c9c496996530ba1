# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive, AdvancedOptions, SecurityPolicy and Services (sheet 2, 2.1-2.3, 2.8, 2.9; pitfalls 1 and 2)."""

from __future__ import annotations

import copy
import socket
import ssl
from typing import Any

import pytest

from tests.lab import service as service_module
from tests.lab.facts.plain import Plain, admin
from tests.lab.fixtures import LabServer

FAKE = "not-a-secret-master"


Values = dict[str, Any]


def options(client: Plain, interface: str) -> Values:
    found: Values = client.result(f"{interface}.get")["options"]
    return found


def put(client: Plain, interface: str, values: Values) -> None:
    assert client.result(f"{interface}.set", {"options": values}) == {}


def stored_password(server: LabServer) -> str:
    """What the server really knows: the API never tells, so the cfg file of a forced save is asked."""
    server.set_switches(save_on_change=True)
    server.api("SecurityPolicy.unlockAllAccounts")
    text = server.install.joinpath("mailserver.cfg").read_text(encoding="utf-8")
    block = text.split('<table name="MasterAuthentication">')[1].split("</table>")[0]
    return block.split('<variable name="Password">')[1].split("<")[0]


# -- write-only passwords -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "erased"), [("erases", True), ("keeps", False)])
def test_api_017_empty_write_only_password_erases(server: LabServer, client: Plain, switch: str, erased: bool) -> None:
    server.set_switches(empty_password=switch)
    values = options(client, "AdvancedOptions")
    values["masterAuthentication"]["password"] = FAKE
    put(client, "AdvancedOptions", values)
    assert stored_password(server).startswith("D3S:")
    put(client, "AdvancedOptions", options(client, "AdvancedOptions"))  # get, change nothing, set
    assert (stored_password(server) == "NUL:") is erased


def test_api_018_absent_write_only_password_stays(server: LabServer, client: Plain) -> None:
    values = options(client, "AdvancedOptions")
    values["masterAuthentication"] |= {"password": FAKE}
    put(client, "AdvancedOptions", values)
    before = stored_password(server)
    del values["masterAuthentication"]["password"]
    values["httpProxy"].pop("password")
    values["masterAuthentication"]["isEnabled"] = False
    put(client, "AdvancedOptions", values)
    assert stored_password(server) == before
    assert before != "NUL:"


@pytest.mark.parametrize("switch", ["empty", "absent"])
def test_api_040_get_never_returns_a_password(server: LabServer, client: Plain, switch: str) -> None:
    server.set_switches(write_only=switch)
    values = options(client, "AdvancedOptions")
    values["masterAuthentication"] |= {"password": FAKE}
    put(client, "AdvancedOptions", values)
    assert client.response is not None
    shown = options(client, "AdvancedOptions")["masterAuthentication"]
    assert shown.get("password") == ("" if switch == "empty" else None)
    assert FAKE not in client.response.text
    assert ("password" in options(client, "AdvancedOptions")["httpProxy"]) is (switch == "empty")


# -- sparse and partial sets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "code"), [("accept", 0), ("reject", -32602)])
def test_api_041_partial_options(server: LabServer, client: Plain, switch: str, code: int) -> None:
    before = options(client, "Archive")
    server.set_switches(partial_options=switch)
    assert client.code("Archive.set", {"options": {"archiveRelayedMessages": not before["archiveRelayedMessages"]}}) == code
    expected = {**before, "archiveRelayedMessages": not before["archiveRelayedMessages"]} if code == 0 else before
    assert options(client, "Archive") == expected
    put(client, "Archive", options(client, "Archive"))  # the whole object is always accepted


@pytest.mark.parametrize("switch", ["zero", "reject"])
def test_api_042_nested_structures_must_be_whole(server: LabServer, client: Plain, switch: str) -> None:
    put(client, "Archive", {"remoteArchive": {"enabled": True, "value": "archive@example.com"}})
    server.set_switches(incomplete_struct=switch)
    answer = client.call("Archive.set", {"options": {"remoteArchive": {"value": "other@example.com"}}})
    if switch == "reject":
        assert answer["error"]["code"] == -32602
    else:
        assert options(client, "Archive")["remoteArchive"] == {"enabled": False, "value": "other@example.com"}


@pytest.mark.parametrize(("switch", "code"), [("ignore", 0), ("reject", -32602)])
def test_api_043_read_only_members(server: LabServer, client: Plain, switch: str, code: int) -> None:
    server.set_switches(read_only_members=switch)
    domain = client.result("Domains.get", {"query": {}})["list"][0]
    answer = client.call("Domains.set", {"domainIds": [domain["id"]], "pattern": {"isDistributed": True, "description": "d"}})
    errors = answer["result"]["errors"]
    assert [e["code"] for e in errors] == ([code] if code else [])
    after = client.result("Domains.get", {"query": {}})["list"][0]
    assert after["isDistributed"] is False


def test_api_044_wrong_types_at_any_depth(client: Plain) -> None:
    for wrong in (
        {"isEnabled": "1"},
        {"remoteArchive": "archive@example.com"},
        {"remoteArchive": {"enabled": 1, "value": ""}},
        {"paths": {"storePath": None, "archivePath": "", "backupPath": ""}},
    ):
        assert client.code("Archive.set", {"options": wrong}) == -32602, wrong


def test_api_045_stale_paths_move_the_store(server: LabServer, client: Plain) -> None:
    stale = options(client, "Archive")
    moved = copy.deepcopy(stale)
    moved["paths"]["archivePath"] = "/srv/archive"
    server.forget()
    put(client, "Archive", moved)
    assert options(client, "AdvancedOptions")["storeDirectory"]["archivePath"] == "/srv/archive"
    put(client, "Archive", stale)
    assert options(client, "AdvancedOptions")["storeDirectory"]["archivePath"] == stale["paths"]["archivePath"]
    assert len(server.events("store_moved")) == 2


# -- versions -------------------------------------------------------------------------------------------------------

PER_DOMAIN = {"useRemoteArchiveAddress", "remoteArchiveAddress"}


@pytest.mark.parametrize(
    ("profile", "version", "archive_members", "per_domain", "activesync"),
    [
        ("2013", "8.2.0", set(), False, True),
        ("9.0", "9.0.4", {"isXmppEnabled"}, False, False),
        ("9.4", "9.4.1", {"isXmppEnabled", "isEnabledPerDomain"}, True, False),
        ("10.0", "10.0.8", {"isXmppEnabled", "isEnabledPerDomain"}, True, False),
    ],
)
def test_api_046_members_by_version(
    server: LabServer, client: Plain, profile: str, version: str, archive_members: set[str], per_domain: bool, activesync: bool
) -> None:
    server.set_switches(profile=profile)
    assert client.result("Server.getVersion")["version"].startswith(version)
    assert client.result("Version.getProductVersion")["productVersion"]["displayNumber"] == version
    assert set(options(client, "Archive")) & {"isXmppEnabled", "isEnabledPerDomain"} == archive_members
    domain = client.result("Domains.get", {"query": {}})["list"][0]
    assert (set(domain) >= PER_DOMAIN) is per_domain
    advanced = options(client, "AdvancedOptions")
    assert ("allowUnsupportedActiveSyncDevices" in advanced["miscellaneous"]) is activesync
    assert ("securityPolicy" in advanced) is (profile == "2013")
    # What a version does not know is an unknown member to it.
    server.set_switches(unknown_members="reject")
    assert client.code("Archive.set", {"options": {"isEnabledPerDomain": False}}) == (0 if per_domain else -32602)


def test_api_047_api_version_rises(server: LabServer, client: Plain) -> None:
    seen = []
    for profile in ("2013", "9.0", "9.4", "10.0"):
        server.set_switches(profile=profile)
        seen.append(client.result("Version.getApiVersion")["apiVersion"])
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("extra", [False, True])
def test_api_048_members_that_no_binding_knows(server: LabServer, client: Plain, extra: bool) -> None:
    server.set_switches(extra_members=extra, unknown_members="reject")
    values = options(client, "Archive")
    assert ("futureOptions" in values) is extra
    put(client, "Archive", values)  # sent back untouched they are no unknown members
    if extra:
        server.set_switches(partial_options="reject")
        del values["futureOption"]
        assert client.code("Archive.set", {"options": values}) == -32602


def test_api_049_old_servers_take_the_policy_with_the_advanced_options(server: LabServer, client: Plain) -> None:
    server.set_switches(profile="2013")
    values = options(client, "AdvancedOptions")
    values["securityPolicy"]["minutesToUnlock"] = 17
    put(client, "AdvancedOptions", values)
    assert options(client, "SecurityPolicy")["minutesToUnlock"] == 17


def test_api_050_a_new_server_archives_nothing(client: Plain, server: LabServer) -> None:
    assert server.switches["profile"] == "10.0"
    advanced = options(client, "AdvancedOptions")
    assert set(advanced["masterAuthentication"]) == {"isEnabled", "groupRestriction", "password"}
    assert advanced["masterAuthentication"]["isEnabled"] is False
    assert advanced["miscellaneous"]["insertXEnvelopeTo"] is False
    assert options(client, "Archive")["isEnabled"] is False


# -- 2.9 security policy --------------------------------------------------------------------------------------------


def methods(client: Plain) -> dict[str, bool]:
    return {m["value"]: m["enabled"] for m in options(client, "SecurityPolicy")["authenticationMethods"]}


def test_api_051_a_missing_method_comes_back_enabled(client: Plain) -> None:
    assert set(methods(client)) == {"CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN", "LOGIN"}
    off = [{"enabled": False, "value": name} for name in ("CRAM-MD5", "DIGEST-MD5", "NTLM")]
    on = [{"enabled": True, "value": name} for name in ("PLAIN", "LOGIN")]
    put(client, "SecurityPolicy", {"authenticationMethods": off + on})
    assert [name for name, enabled in methods(client).items() if not enabled] == ["CRAM-MD5", "DIGEST-MD5", "NTLM"]
    put(client, "SecurityPolicy", {"authenticationMethods": off[:1] + on})
    assert [name for name, enabled in methods(client).items() if not enabled] == ["CRAM-MD5"]
    put(client, "SecurityPolicy", {"enableLockout": False})
    assert methods(client)["CRAM-MD5"] is False
    put(client, "SecurityPolicy", {"authenticationMethods": []})
    assert all(methods(client).values())


def imap_login(server: LabServer, user: str, password: str) -> bool:
    """False also when a blocked address is cut off at once."""
    with socket.create_connection((server.host, server.imap_port), timeout=30) as link, link.makefile("rwb") as stream:
        if not stream.readline().startswith(b"* OK"):
            return False
        stream.write(f'a LOGIN "{user}" "{password}"\r\n'.encode())
        stream.flush()
        return stream.readline().startswith(b"a OK")


def test_api_052_lockout_counts_over_all_protocols_and_is_unlocked(server: LabServer, client: Plain) -> None:
    user = server.user("bob")
    put(client, "SecurityPolicy", {"enableLockout": True, "failedLoginsToLock": 3, "minutesToUnlock": 5})
    with Plain(server) as other:
        assert "error" in other.login("bob", "not-a-secret-wrong")
    assert not imap_login(server, "bob", "not-a-secret-wrong")
    assert imap_login(server, user["address"], user["password"])  # a success starts the count anew
    for _ in range(3):
        assert not imap_login(server, user["address"], "not-a-secret-wrong")
    assert not imap_login(server, "bob", user["password"])
    assert imap_login(server, "carol", server.user("carol")["password"])
    assert client.result("SecurityPolicy.unlockAllAccounts") == {}
    assert imap_login(server, "bob", user["password"])
    put(client, "SecurityPolicy", {"enableLockout": False})
    assert {e["outcome"] for e in server.events("login") if e["service"] == "imap"} >= {"ok", "failed", "locked"}


def test_api_053_anti_hammering_blocks_the_address_unless_excepted(server: LabServer, client: Plain) -> None:
    entry = {"groupId": "", "groupName": "Excepted", "host": "127.0.0.1", "type": "Host", "enabled": True}
    entry_id = client.result("IpAddressGroups.create", {"groups": [entry]})["result"][0]["id"]
    groups = client.result("IpAddressGroups.getGroupList")["groups"]
    group = {"enabled": True, **next(g for g in groups if g["name"] == "Excepted")}
    server.set_switches(hammering_scope="server")
    hammering = {"isEnabled": True, "failedLoginsToBlock": 2, "minutesToBlock": 5}
    policy = {"antiHammering": {**hammering, "exceptionIpGroup": group}}
    try:
        put(client, "SecurityPolicy", policy)
        for _ in range(3):
            assert not imap_login(server, "dora", "not-a-secret-wrong")
        assert imap_login(server, "dora", server.user("dora")["password"])
        policy["antiHammering"]["exceptionIpGroup"] = {**group, "enabled": False}
        put(client, "SecurityPolicy", policy)
        for _ in range(2):
            with Plain(server) as other:
                assert "error" in other.login("nobody", "not-a-secret-wrong")
        assert not imap_login(server, "dora", server.user("dora")["password"])
        with Plain(server) as other:
            assert "error" in other.login()
    finally:
        put(client, "SecurityPolicy", {"antiHammering": {**hammering, "isEnabled": False, "exceptionIpGroup": group}})
        client.result("IpAddressGroups.remove", {"groupIds": [entry_id]})
    assert imap_login(server, "dora", server.user("dora")["password"])


# -- 2.8 services ---------------------------------------------------------------------------------------------------


def services(client: Plain) -> dict[str, Values]:
    return {s["name"]: s for s in client.result("Services.get")["services"]}


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_api_054_fifteen_services_in_the_live_shape(server: LabServer, client: Plain) -> None:
    found = services(client)
    assert len(found) == 15
    imap = found["IMAP"]
    assert imap["id"].startswith("keriodb://service/")
    assert imap["group"] == {"isUsed": False, "ipGroup": {"id": "", "name": ""}}
    assert imap["connectionLimit"] == {"isSet": True, "value": 1000}
    assert imap["listeners"] == [{"type": "AllAddresses", "address": "All addresses", "port": server.imap_port}]
    assert imap["defaultPort"] == 143
    assert [p["port"] for p in found["Secure HTTP"]["listeners"]] == [443, 8443, 8843]
    server.set_switches(language="de")
    assert services(client)["IMAP"]["listeners"][0]["address"] == "Alle Adressen"


def test_api_055_start_and_stop_change_the_running_state_only(server: LabServer, client: Plain) -> None:
    imap = services(client)["IMAP"]
    client.result("Services.stop", {"service": imap["id"]})
    assert service_module.wait_until(lambda: not is_open(server.imap_port), 10)
    assert services(client)["IMAP"]["isRunning"] is False
    assert services(client)["IMAP"]["howToStart"] == "Automatic"
    client.result("Services.start", {"service": imap["id"]})
    assert service_module.wait_until(lambda: is_open(server.imap_port), 10)
    assert client.code("Services.start", {"service": "keriodb://service/none"}) == 1002


def test_api_056_set_takes_services_and_reports_per_item(client: Plain) -> None:
    pop = services(client)["POP3"]
    answer = client.result("Services.set", {"services": [{**pop, "id": "none"}, {**pop, "howToStart": "Manual"}]})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, 1002)]
    assert services(client)["POP3"]["howToStart"] == "Manual"
    assert services(client)["POP3"]["isRunning"] is True


def test_api_057_the_port_moves_with_the_listener(server: LabServer, client: Plain) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    imap = services(client)["Secure IMAP"]
    listeners = imap["listeners"]
    moved = {**imap, "listeners": [{**listeners[0], "port": port}]}
    assert client.result("Services.set", {"services": [moved]}) == {"errors": []}
    assert service_module.wait_until(lambda: is_open(port) and not is_open(server.imaps_port), 10)
    tls = ssl.create_default_context(cafile=server.ca_file)
    with socket.create_connection(("127.0.0.1", port)) as plain, tls.wrap_socket(plain, server_hostname="localhost") as link:
        assert link.recv(100).startswith(b"* OK")
    client.result("Services.set", {"services": [imap]})
    assert service_module.wait_until(lambda: is_open(server.imaps_port), 10)


def test_api_058_counters_are_strings_and_sizes_carry_units(client: Plain) -> None:
    statistics = client.result("Statistics.get")["statistics"]
    assert isinstance(statistics["userCount"], str)
    assert set(statistics["storeOccupied"]) == {"value", "units"}


def test_api_059_licence_and_product(server: LabServer) -> None:
    with admin(server) as client:
        info = client.result("Server.getProductInfo")["info"]
        assert info["os"] == "Linux"
        assert info["version"] == "10.0.8"
        assert isinstance(client.result("ProductRegistration.getFullStatus")["status"]["users"], int)
