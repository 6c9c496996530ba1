# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport, login, envelopes, errors, sessions of the admin API (sheet 1.1-1.5, 1.8)."""

from __future__ import annotations

import json
import socket
import ssl

import pytest
import requests

from tests.lab.facts.plain import APPLICATION, Plain, admin
from tests.lab.fixtures import LabServer


def make_role(server: LabServer, login: str, role: str) -> tuple[str, str]:
    user = server.user(login)
    members = {"userRole": role, "publicFolderRight": False, "archiveFolderRight": False}
    assert server.api("Users.set", {"userIds": [user["id"]], "pattern": {"role": members}}) == {"errors": []}
    return user["address"], user["password"]


# -- 1.1 endpoint and headers ---------------------------------------------------------------------------------------


def test_api_001_path_with_and_without_slash(server: LabServer) -> None:
    with Plain(server) as client:
        assert "result" in client.login()
        client.url = server.admin_url.rstrip("/")
        assert "result" in client.login()
        client.url = server.admin_url + "elsewhere"
        assert client.http.post(client.url, json={}, timeout=30).status_code == 404


def test_api_002_certificate_is_verifiable_with_the_written_ca_only(server: LabServer) -> None:
    assert requests.get(server.admin_url, verify=server.ca_file, timeout=30).status_code == 405
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.admin_url, timeout=30)


@pytest.mark.parametrize("content_type", ["application/json-rpc; charset=UTF-8", "application/json", "ApiApplication/json-rpc"])
def test_api_003_any_content_type(server: LabServer, content_type: str) -> None:
    with admin(server) as client:
        answer = client.call("Server.getVersion", headers={"Content-Type": content_type})
        assert answer["result"]["product"] == "Kerio Connect"


def test_api_004_both_token_and_cookie_are_needed(server: LabServer) -> None:
    with admin(server) as client:
        token = client.http.headers.pop("X-Token")
        assert client.code("Server.getVersion") == -32001
        client.http.headers["X-Token"] = token
        assert client.code("Server.getVersion") == 0
        client.http.cookies.clear()
        assert client.code("Server.getVersion") == -32001


@pytest.mark.parametrize("name", ["SESSION_CONNECT_WEBADMIN", "Session_admin80"])
@pytest.mark.parametrize("second", [True, False])
def test_api_005_cookie_names(server: LabServer, name: str, second: bool) -> None:
    server.set_switches(cookie_name=name, second_cookie=second)
    with admin(server) as client:
        expected = {name, "TOKEN_CONNECT_WEBADMIN"} if second else {name}
        assert {cookie.name for cookie in client.http.cookies} == expected
        assert {cookie.path for cookie in client.http.cookies} == {"/"}


def test_api_006_token_in_the_body_is_harmless(server: LabServer) -> None:
    with admin(server) as client:
        envelope = {"jsonrpc": "2.0", "id": 1, "method": "Session.whoAmI", "token": client.http.headers["X-Token"]}
        assert "result" in client.send(envelope)


def test_api_007_one_connection_per_call_or_many_calls_per_connection(server: LabServer) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Server.getVersion"}).encode()
    head = "POST /admin/api/jsonrpc/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n"
    tls = ssl.create_default_context(cafile=server.ca_file)
    with (
        socket.create_connection((server.host, server.admin_port), timeout=30) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as link,
    ):
        for _ in range(3):
            link.sendall(head.format(len(body), "").encode() + body)
            # the whole response in one TLS record: nothing waits for a second segment
            assert link.recv(65536).endswith(b"}")
        link.sendall(head.format(len(body), "Connection: close\r\n").encode() + body)
        assert b"Connection: close" in link.recv(65536)
        assert link.recv(1) == b""


# -- 1.2 login ------------------------------------------------------------------------------------------------------


def test_api_008_login_with_and_without_domain_in_the_primary_domain(server: LabServer) -> None:
    address, password = make_role(server, "alice", "FullAdmin")
    for name in ("alice", address, address.upper()):
        with Plain(server) as client:
            assert "result" in client.login(name, password), name


def test_api_009_application_must_be_an_object(server: LabServer) -> None:
    with Plain(server) as client:
        for application in ("facts", {}, {"name": 1, "vendor": "", "version": ""}):
            assert client.login(application=application)["error"]["code"] == -32602


def test_api_010_token_has_64_hex_digits(server: LabServer) -> None:
    with Plain(server) as client:
        token = client.login()["result"]["token"]
        assert len(token) == 64
        assert int(token, 16) >= 0


def test_api_011_logout_ends_the_session(server: LabServer) -> None:
    with admin(server) as client:
        assert isinstance(client.result("Session.logout")["redirectUrl"], str)
        assert client.code("Session.whoAmI") == -32001


def test_api_012_who_am_i(server: LabServer) -> None:
    address, password = make_role(server, "alice", "FullAdmin")
    with admin(server) as client:
        details = client.result("Session.whoAmI")["userDetails"]
        assert details["effectiveRole"]["userRole"] == "BuiltInAdmin"
        assert (details["id"], details["domainId"], details["loginName"]) == ("", "", "Admin")
        assert client.result("Session.getDomain")["domain"]["name"] == server.domains[0]
    with Plain(server) as client:
        client.login(address, password)
        details = client.result("Session.whoAmI")["userDetails"]
        assert details["id"] == server.user("alice")["id"]
        assert details["effectiveRole"]["userRole"] == "FullAdmin"


def test_api_013_a_user_called_admin_needs_the_domain_part(server: LabServer) -> None:
    domain = server.api("Domains.get", {"query": {}})["list"][0]
    role = {"userRole": "FullAdmin", "publicFolderRight": False, "archiveFolderRight": False}
    user = {"domainId": domain["id"], "loginName": "Admin", "password": "not-a-secret-other", "role": role}
    created = server.api("Users.create", {"users": [user]})["result"][0]["id"]
    try:
        with Plain(server) as client:
            assert "error" in client.login("Admin", "not-a-secret-other")
            assert "result" in client.login(f"Admin@{domain['name']}", "not-a-secret-other")
    finally:
        server.api("Users.remove", {"requests": [{"userId": created, "method": "UDeleteUser"}]})


def test_api_014_plain_users_have_no_administration(server: LabServer) -> None:
    with Plain(server) as client:
        user = server.user("bob")
        assert client.login(user["address"], user["password"])["error"]["code"] == 1004


@pytest.mark.parametrize("code", [1000, -32000, -32001])
def test_api_015_code_of_a_wrong_password(server: LabServer, code: int) -> None:
    server.set_switches(login_error=code)
    with Plain(server) as client:
        assert client.login(password="not-a-secret-wrong")["error"]["code"] == code


# -- 1.3 envelopes (017 and 018, the write-only passwords, are in test_api_settings.py) -----------------------------


def test_api_016_parameterless_calls(server: LabServer) -> None:
    with admin(server) as client:
        shapes: tuple[object, ...] = (None, {}, "")
        for params in shapes:
            assert "options" in client.result("Archive.get", params)
        assert client.code("Archive.get", [1]) == -32602


def test_api_019_get_version_has_no_wrapper_and_others_have(server: LabServer) -> None:
    with admin(server) as client:
        version = client.result("Server.getVersion")
        assert version["version"] == f"{version['major']}.{version['minor']}.{version['revision']}.{version['build']}"
        assert set(client.result("Server.getProductInfo")) == {"info"}
        assert set(client.result("Services.get")) == {"services"}
        assert set(client.result("Server.getAboutInfo")) == {"aboutInformation"}


@pytest.mark.parametrize(("switch", "expected"), [("object", {}), ("null", None)])
def test_api_020_void_results(server: LabServer, switch: str, expected: object) -> None:
    server.set_switches(void_result=switch)
    with admin(server) as client:
        assert client.call("SecurityPolicy.unlockAllAccounts") == {"jsonrpc": "2.0", "id": 7, "result": expected}


@pytest.mark.parametrize("present", [True, False])
def test_api_021_null_error_means_no_error(server: LabServer, present: bool) -> None:
    server.set_switches(null_error=present)
    with admin(server) as client:
        answer = client.call("Server.getVersion")
        assert ("error" in answer) is present
        assert answer.get("error") is None


@pytest.mark.parametrize("status", [200, 500])
def test_api_022_http_status_of_error_bodies(server: LabServer, status: int) -> None:
    server.set_switches(error_status=status)
    with Plain(server) as client:
        assert client.code("Server.getVersion") == -32001
        assert client.response is not None
        assert client.response.status_code == status


@pytest.mark.parametrize(
    ("placeholders", "language", "text"),
    [
        ("unfilled", "en", "User %1 has no administrator rights."),
        ("filled", "en", "User Anonymous has no administrator rights."),
        ("unfilled", "de", "Benutzer %1 hat keine Administratorrechte."),
        ("filled", "de", "Benutzer Anonymous hat keine Administratorrechte."),
    ],
)
def test_api_023_messages_and_their_parameters(server: LabServer, placeholders: str, language: str, text: str) -> None:
    server.set_switches(placeholders=placeholders, language=language)
    with Plain(server) as client:
        error = client.call("Server.getVersion")["error"]
        assert error["message"] == text
        assert error["data"]["messageParameters"] == {"positionalParameters": ["Anonymous"], "plurality": 1}


@pytest.mark.parametrize("present", [True, False])
def test_api_024_error_data_may_be_missing(server: LabServer, present: bool) -> None:
    server.set_switches(error_data=present)
    with Plain(server) as client:
        assert ("data" in client.call("Server.getVersion")["error"]) is present


def test_api_025_malformed_requests(server: LabServer) -> None:
    with admin(server) as client:
        broken = client.http.post(client.url, data=b"{", timeout=30)
        assert broken.json()["error"]["code"] == -32700
        assert broken.status_code == 200
        assert client.send({"id": 1, "method": "Archive.get"})["error"]["code"] == -32600
        assert client.send([{"jsonrpc": "2.0", "id": 1, "method": "Archive.get"}])["error"]["code"] == -32600


# -- 1.4 methods, parameters, rights --------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", ["-32601", "-32602"])
def test_api_026_unknown_method(server: LabServer, switch: str) -> None:
    server.set_switches(unknown_method=switch)
    with admin(server) as client:
        assert client.code("MessageQueue.get", {}) == int(switch)


def test_api_027_unknown_method_may_hang(server: LabServer) -> None:
    server.set_switches(unknown_method="hang")
    with admin(server) as client:
        with pytest.raises(requests.Timeout):
            client.call("Queue.getMessages", {}, timeout=0.3)
        assert client.code("Archive.get") == 0


def test_api_028_provoked_hang_and_error(server: LabServer) -> None:
    server.set_switches(hang_methods="Archive.get", fail_methods="Services.get=1000,Users.get=413", api_delay=0.01)
    with admin(server) as client:
        with pytest.raises(requests.Timeout):
            client.call("Archive.get", timeout=0.3)
        assert client.code("Services.get") == 1000
        assert client.code("Users.get", {"query": {}, "domainId": ""}) == 413


def test_api_029_missing_and_mistyped_parameters(server: LabServer) -> None:
    with admin(server) as client:
        assert client.code("SystemHealth.get", {}) == -32602
        assert client.code("Users.get", {"query": {}}) == -32602
        assert client.code("Users.get", {"query": {}, "domainId": 1}) == -32602
        assert client.code("Domains.get", {"query": {"start": "0"}}) == -32602
        assert client.code("Domains.get", {"query": {"fields": "name"}}) == -32602


@pytest.mark.parametrize(("switch", "code"), [("accept", 0), ("reject", -32602)])
def test_api_030_unknown_parameters_and_members(server: LabServer, switch: str, code: int) -> None:
    server.set_switches(unknown_members=switch)
    with admin(server) as client:
        options = client.result("Archive.get")["options"]
        assert client.code("Domains.get", {"query": {}, "more": 1}) == code
        assert client.code("Archive.set", {"options": {**options, "more": 1}}) == code


def test_api_031_roles(server: LabServer) -> None:
    auditor = make_role(server, "carol", "Auditor")
    with Plain(server) as client:
        client.login(*auditor)
        for method in ("Server.getVersion", "Services.get", "Statistics.get", "ProductRegistration.getFullStatus"):
            assert client.code(method) == 0, method
        refusal = client.call("Domains.get", {"query": {}})["error"]
        assert refusal["code"] == 1000
        assert "internal database error" in refusal["message"]
        assert client.code("Archive.set", {"options": {}}) == 1004
        with pytest.raises(requests.Timeout):
            client.call("Queue.get", {"query": {}}, timeout=0.3)


def test_api_032_account_administrators_manage_accounts_only(server: LabServer) -> None:
    with Plain(server) as client:
        client.login(*make_role(server, "carol", "AccountAdmin"))
        domain = client.result("Domains.get", {"query": {}})["list"][0]
        assert client.code("Users.get", {"query": {}, "domainId": domain["id"]}) == 0
        for method in ("Archive.get", "AdvancedOptions.get", "SecurityPolicy.get", "IpAddressGroups.getGroupList"):
            assert client.code(method) == 1004, method


def test_api_033_version_without_login(server: LabServer) -> None:
    for allowed in (False, True):
        server.set_switches(anonymous_version=allowed)
        with Plain(server) as client:
            assert client.code("Version.getApiVersion") == (0 if allowed else -32001)
            assert client.code("Server.getVersion") == -32001


# -- 1.8 sessions ---------------------------------------------------------------------------------------------------


def test_api_034_a_session_expires_after_so_many_calls(server: LabServer) -> None:
    server.set_switches(session_calls=2)
    with admin(server) as client:
        assert [client.code("Archive.get") for _ in range(4)] == [0, 0, -32001, -32001]
        assert "result" in client.login()
        assert client.code("Archive.get") == 0


def test_api_035_a_session_expires_after_inactivity(server: LabServer) -> None:
    with admin(server) as client:
        assert client.code("Archive.get") == 0
        server.set_switches(session_seconds=0.000001)
        assert client.code("Archive.get") == -32001


def test_api_036_leaked_sessions_are_visible(server: LabServer) -> None:
    with admin(server) as one, admin(server) as other:
        before = one.result("Server.getWebSessions", {"query": {}})["totalItems"]
        other.result("Session.logout")
        sessions = one.result("Server.getWebSessions", {"query": {}})
        assert sessions["totalItems"] == before - 1
        assert {row["componentType"] for row in sessions["list"]} == {"WebComponentADMIN"}


# -- instrumentation (the lab's own) --------------------------------------------------------------------------------


def test_api_037_calls_are_recorded_with_secrets_masked(server: LabServer) -> None:
    server.forget()
    with admin(server) as client:
        client.result("AdvancedOptions.get")
    login, call = server.calls()
    assert login["params"] == {"userName": "Admin", "password": "xxxxxx", "application": APPLICATION}
    assert (call["method"], call["outcome"], call["writes"], call["client"]) == ("AdvancedOptions.get", "ok", False, "127.0.0.1")


def test_api_038_refused_writes(server: LabServer) -> None:
    with admin(server) as client:
        options = client.result("Archive.get")["options"]
        server.forget()
        server.refuse_writes()
        assert client.code("Archive.set", {"options": {**options, "isEnabled": True}}) == 1004
        assert client.result("Archive.get")["options"] == options
        server.refuse_writes(False)
        assert client.code("Archive.set", {"options": options}) == 0
    assert [(c["method"], c["outcome"]) for c in server.writes()] == [("Archive.set", "refused"), ("Archive.set", "ok")]


def test_api_039_every_change_is_in_the_config_log_without_secrets(server: LabServer) -> None:
    with admin(server) as client:
        options = client.result("AdvancedOptions.get")["options"]
        options["masterAuthentication"]["password"] = "not-a-secret-to-be-masked"
        client.result("AdvancedOptions.set", {"options": options})
    log = (server.install / "store" / "logs" / "config.log").read_text()
    assert "Admin - AdvancedOptions.set" in log
    assert "xxxxxx" in log
    assert "not-a-secret-to-be-masked" not in log
