# SPDX-License-Identifier: GPL-3.0-or-later
"""The traps of the admin API, each as a whole session: what operators of Kerio Connect and of its API ran into.

Traps that have a file of their own are named there: write-only members in ``test_settings``, codecs in ``test_codecs``.
"""

from __future__ import annotations

import copy
import json
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    ItemError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
    SecretInResultError,
    SessionExpiredError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import declare, kinds, services
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import Reply, result_of
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Client, Effect
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan
from tests.unit.module_utils.kerio.services_script import imap, read, write
from tests.unit.module_utils.kerio.sessions import session
from tests.unit.rpc_script import PASSWORD, Call, Script, error, listing, login, logout, query

EXPIRED = error(-32001, "Session expired")
MASTER = {"isEnabled": True, "groupRestriction": "", "password": ""}
PROXY = {"isEnabled": True, "userName": "proxy", "password": ""}
MISCELLANEOUS = {"insertXEnvelopeTo": False, "logHostNames": False}
ADVANCED = {"masterAuthentication": MASTER, "httpProxy": PROXY, "miscellaneous": MISCELLANEOUS}
METHODS = [{"enabled": True, "value": "CRAM-MD5"}, {"enabled": False, "value": "NTLM"}, {"enabled": True, "value": "LOGIN"}]
KINDS = [kind for kind in kinds.SETTINGS.values() if kind.module]


def advanced(**options: t.Any) -> t.Callable[[Server], Plan]:
    return lambda server: declare.declare_settings(server, kinds.ADVANCED_OPTIONS, options, check_mode=False)


def policy(**options: t.Any) -> t.Callable[[Server], Plan]:
    return lambda server: declare.declare_settings(server, kinds.SECURITY_POLICY, options, check_mode=False)


def get(interface: str, received: Object) -> Call:
    return Call(f"{interface}.get", None, {"options": received})


def put(interface: str, sent: Object, answer: t.Any = None) -> Call:
    return Call(f"{interface}.set", {"options": sent}, {} if answer is None else answer)


# 1: a write-only password comes back empty, and sending that erases it


@pytest.mark.parametrize("shown", ["", None])
def test_password_that_comes_back_empty_is_not_sent(shown: t.Any) -> None:
    received = copy.deepcopy(ADVANCED)
    received["masterAuthentication"]["password"] = received["httpProxy"]["password"] = shown
    received["aServiceOfTomorrow"] = {"list": [{"proxyPassword": shown, "host": "h"}]}
    sent = {
        "masterAuthentication": {"isEnabled": True, "groupRestriction": ""},
        "httpProxy": {"isEnabled": True, "userName": "proxy"},
        "miscellaneous": {**MISCELLANEOUS, "logHostNames": True},
        "aServiceOfTomorrow": {"list": [{"host": "h"}]},
    }
    after = {**received, "miscellaneous": sent["miscellaneous"]}
    calls = [get("AdvancedOptions", received), put("AdvancedOptions", sent), get("AdvancedOptions", after)]
    session(advanced(log_host_names=True), *calls)


def test_password_that_an_older_server_shows_is_not_sent_either() -> None:
    received = {"masterAuthentication": {**MASTER, "password": "not-a-secret-shown"}, "miscellaneous": MISCELLANEOUS}
    changed = {**MISCELLANEOUS, "logHostNames": True}
    sent = {"masterAuthentication": {"isEnabled": True, "groupRestriction": ""}, "miscellaneous": changed}
    after = {**received, "miscellaneous": changed}
    calls = [get("AdvancedOptions", received), put("AdvancedOptions", sent), get("AdvancedOptions", after)]
    session(advanced(log_host_names=True), *calls)


# 2: a method that is missing from the list is switched on


def test_every_method_is_in_the_list_whatever_is_changed() -> None:
    received = {"authenticationMethods": METHODS, "enableLockout": False}
    calls = [get("SecurityPolicy", received), put("SecurityPolicy", {**received, "enableLockout": True})]
    session(policy(lockout=True), *calls, get("SecurityPolicy", {**received, "enableLockout": True}))

    off = [{**METHODS[0], "enabled": False}, *METHODS[1:]]
    calls = [get("SecurityPolicy", received), put("SecurityPolicy", {**received, "authenticationMethods": off})]
    session(
        policy(authentication_methods={"cram-md5": False}),
        *calls,
        get("SecurityPolicy", {**received, "authenticationMethods": off}),
    )


def test_old_server_keeps_the_methods_that_come_with_its_advanced_options() -> None:
    received = {"miscellaneous": MISCELLANEOUS, "securityPolicy": {"authenticationMethods": METHODS}}
    sent = {**received, "miscellaneous": {**MISCELLANEOUS, "logHostNames": True}}
    session(
        advanced(log_host_names=True),
        get("AdvancedOptions", received),
        put("AdvancedOptions", sent),
        get("AdvancedOptions", sent),
    )


# 3: errors inside success, of every kind of call


FAILED = {
    "inputIndex": 0,
    "code": 1004,
    "message": "%1 denied",
    "messageParameters": {"positionalParameters": ["It"], "plurality": 1},
}


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("beside", [{}, {"result": [{"inputIndex": 1, "id": "x"}]}, {"list": [], "totalItems": 0}])
def test_errors_inside_success_fail_every_call(effect: Effect, beside: Object) -> None:
    call = Call("X.y", {"a": 1}, {"errors": [FAILED], **beside})
    with pytest.raises(ItemError, match=r"It denied \(code 1004\)") as caught:
        session(lambda server: server.call("X.y", {"a": 1}, effect), call)
    assert "FullAdmin" in caught.value.remedy


def test_errors_inside_success_fail_settings_lists_and_objects() -> None:
    errors = {"errors": [FAILED]}
    with pytest.raises(ItemError):
        session(lambda server: server.read(kinds.ARCHIVING), Call("Archive.get", None, {"options": {}, **errors}))
    with pytest.raises(ItemError):
        session(advanced(log_host_names=True), get("AdvancedOptions", ADVANCED), Call("AdvancedOptions.set", _sent(), errors))
    with pytest.raises(ItemError):
        users = Call("Users.get", {"query": query("loginName"), "domainId": "d"}, {**listing(), **errors})
        session(lambda server: server.objects(kinds.USER, "d"), users)
    with pytest.raises(ItemError):
        changed = Call("Domains.set", {"domainIds": ["1"], "pattern": {"archiveLocalMessages": True}}, errors)
        session(lambda server: server.set_object(kinds.DOMAIN, "1", {"id": "1"}, {"local_messages": True}), changed)


def _sent() -> Object:
    sent = copy.deepcopy(ADVANCED)
    del sent["masterAuthentication"]["password"], sent["httpProxy"]["password"]
    return {"options": {**sent, "miscellaneous": {**MISCELLANEOUS, "logHostNames": True}}}


@pytest.mark.parametrize("none", [[], None])
def test_empty_list_of_errors_is_success(none: t.Any) -> None:
    after = imap(howToStart="Manual")
    options = {"services": [{"name": "IMAP", "start_up": "manual"}]}
    calls = [read(imap()), write(after, answer={"errors": none}), read(after)]
    assert session(lambda server: services.declare_services(server, options, check_mode=False), *calls)[0].changed


# 4: the session ends in the middle


@pytest.mark.parametrize(
    ("effect", "answer"),
    [
        (Effect.READ, {"list": [1]}),
        (Effect.SETTLE, {}),
        (Effect.WRITE, {"errors": [], "result": [{"inputIndex": 0, "id": "new"}]}),
    ],
)
def test_session_that_ends_in_the_middle_fails_no_call(effect: Effect, answer: Object) -> None:
    call = Call("Users.create", {"users": []}, EXPIRED)
    again = Call("Users.create", {"users": []}, answer)
    assert session(lambda server: server.call("Users.create", {"users": []}, effect), call, login(), again)[0] == answer


def test_session_that_ends_while_settings_are_written_or_proved() -> None:
    on = {"miscellaneous": {**MISCELLANEOUS, "logHostNames": True}}
    received = {"miscellaneous": MISCELLANEOUS}
    expired = put("AdvancedOptions", on, EXPIRED)
    calls = [get("AdvancedOptions", received), expired, login(), put("AdvancedOptions", on), get("AdvancedOptions", on)]
    assert session(advanced(log_host_names=True), *calls)[0].changed
    late = Call("AdvancedOptions.get", None, EXPIRED)
    calls = [get("AdvancedOptions", received), put("AdvancedOptions", on), late, login(), get("AdvancedOptions", on)]
    assert session(advanced(log_host_names=True), *calls)[0].changed


def test_session_that_ends_between_two_pages() -> None:
    def page(start: int, answer: t.Any) -> Call:
        return Call("Users.get", {"query": query("loginName", start, 1), "domainId": "d"}, answer)

    calls = [page(0, listing({"id": "a"}, total=2)), page(1, EXPIRED), login(), page(1, listing({"id": "b"}, total=2))]
    found = session(lambda server: server.objects(kinds.USER, "d", page_size=1), *calls)[0]
    assert [entry["id"] for entry in found] == ["a", "b"]


def test_new_login_does_not_ask_without_end() -> None:
    call = Call("X.y", {}, EXPIRED)
    with pytest.raises(SessionExpiredError, match="FullAdmin"):
        session(lambda server: server.call("X.y", {}, Effect.WRITE), call, login(), call)


# 5: a hang in place of an error


def test_hang_is_one_sentence_and_is_not_repeated() -> None:
    text = "no answer within 30 s; the server may have executed the call all the same"
    hang = NetworkError("mail1 (mail1:4040): Queue.get", text, "Use an account with full administration")
    with pytest.raises(NetworkError) as caught:
        session(lambda server: server.call("Queue.get", {}, Effect.READ), Call("Queue.get", {}, hang))
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(text) == 1


# 6: members that are missing on older servers


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_server_that_has_none_of_the_members_is_read(kind: kinds.SettingsKind) -> None:
    reading = session(lambda server: server.read(kind), Call(kind.source.get, None, {kind.source.member: {}}))[0]
    assert reading.options == {}


def test_server_of_2013_is_read_and_written_without_the_newer_members() -> None:
    old = {"isEnabled": False, "remoteArchive": {"enabled": False, "value": ""}, "archiveBeforeFilter": False}
    options = {"enabled": True, "per_domain": False, "instant_messages": False}
    after = {**old, "isEnabled": True}
    calls = [get("Archive", old), put("Archive", after), get("Archive", after)]
    plan = session(lambda server: declare.declare_archiving(server, options, check_mode=False), *calls)[0]
    assert [dict(change.values) for change in plan.changes] == [{"enabled": True}]


# 7: members that nobody knows


def test_members_of_tomorrow_are_sent_back_at_every_depth() -> None:
    miscellaneous = {**MISCELLANEOUS, "new": {"deep": [{"er": None}]}}
    received = {
        "miscellaneous": miscellaneous,
        "newList": [1, {"x": []}],
        "newText": "",
        "updateChecker": {"autoCheck": True, "new": 1},
    }
    after = {**received, "miscellaneous": {**miscellaneous, "logHostNames": True}}
    calls = [get("AdvancedOptions", received), put("AdvancedOptions", after), get("AdvancedOptions", after)]
    session(advanced(log_host_names=True), *calls)


def test_what_the_interface_description_marks_read_only_is_not_sent() -> None:
    checker = {"autoCheck": True, "checkBetaVersion": False}
    found = {"timeFromLastCheck": {"isNull": True}, "downloadedFile": "", "updateInfo": {}, "koffVersion": "1", "kocVersion": "1"}
    received = {"miscellaneous": MISCELLANEOUS, "updateChecker": {**checker, **found, "kspVersion": "", "kscVersion": ""}}
    on = {**MISCELLANEOUS, "logHostNames": True}
    sent = {"miscellaneous": on, "updateChecker": checker}
    after = {**received, "miscellaneous": on}
    calls = [get("AdvancedOptions", received), put("AdvancedOptions", sent), get("AdvancedOptions", after)]
    session(advanced(log_host_names=True), *calls)


def test_refused_member_is_among_the_names_that_are_told() -> None:
    refused = error(-32602, "Invalid params.")
    with pytest.raises(ApiError) as caught:
        session(advanced(log_host_names=True), get("AdvancedOptions", ADVANCED), Call("AdvancedOptions.set", _sent(), refused))
    assert caught.value.details["sent_members"] == [
        "options.httpProxy.isEnabled",
        "options.httpProxy.userName",
        "options.masterAuthentication.groupRestriction",
        "options.masterAuthentication.isEnabled",
        "options.miscellaneous.insertXEnvelopeTo",
        "options.miscellaneous.logHostNames",
    ]
    assert "proxy" not in json.dumps(list(caught.value.as_result()["sent_members"])).replace("httpProxy", "")


# 8: texts in the language of the administrator


@pytest.mark.parametrize("language", ["All addresses", "Alle Adressen", "Všechny adresy", ""])
def test_no_text_is_compared(language: str) -> None:
    today = imap(listeners=[{"type": "AllAddresses", "address": language, "port": 143}])
    options = {"services": [{"name": "IMAP", "listeners": [{"address": "all", "port": 143}]}]}
    assert not session(lambda server: services.declare_services(server, options, check_mode=False), read(today))[0].changed


@pytest.mark.parametrize("text", ["Operation failed.", "Operace se nezdařila.", ""])
def test_meaning_of_an_error_is_in_its_code(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        session(lambda server: server.objects(kinds.DOMAIN), Call("Domains.get", {"query": query("name")}, error(1000, text)))
    assert "FullAdmin" in caught.value.remedy


# 9: an auditor


@pytest.mark.parametrize(("code", "text"), [(1000, "Internal database error"), (1004, "Access denied"), (-32001, "no rights")])
def test_account_without_the_rights_is_told_which_one_to_use(code: int, text: str) -> None:
    refused = Call("Domains.get", {"query": query("name")}, error(code, text))
    calls = [refused, login(), refused] if code == -32001 else [refused]
    with pytest.raises(ApiError) as caught:
        session(lambda server: server.objects(kinds.DOMAIN), *calls)
    assert text in caught.value.cause
    assert "FullAdmin" in caught.value.remedy
    assert "api_user (kerio_connect_user in the role)" in caught.value.remedy


# 10: more objects than a page


def pages(*parts: tuple[range, int], asked: int = 1000) -> list[Call]:
    """Return the calls for pages of these numbers, each with the total that the server counts at that moment."""
    calls, start = [], 0
    for numbers, total in parts:
        entries = [{"id": f"u{number}", "loginName": f"u{number}"} for number in numbers]
        answer = listing(*entries, total=total)
        calls.append(Call("Users.get", {"query": query("loginName", start, asked), "domainId": "d"}, answer))
        start += len(entries)
    return calls


def users(server: Server) -> list[Object]:
    return server.objects(kinds.USER, "d")


def test_more_than_five_thousand_come_page_by_page() -> None:
    parts = [(range(first, min(first + 1000, 5300)), 5300) for first in range(0, 5300, 1000)]
    found = session(users, *pages(*parts))[0]
    assert [entry["id"] for entry in found] == [f"u{number}" for number in range(5300)]


def test_page_that_the_server_caps_lower_than_asked() -> None:
    parts = [(range(first, first + 300), 1200) for first in range(0, 1200, 300)]
    assert len(session(users, *pages(*parts))[0]) == 1200


@pytest.mark.parametrize(
    "parts",
    [
        [(range(1000), 1500), (range(1000, 1499), 1499)],  # the last one was removed
        [(range(1000), 1500), (range(1001, 1500), 1499)],  # one of the first: the 1000th moved onto the page that was read
        [(range(1000), 1500), (range(1000, 1501), 1501)],  # one was added at the end
        [(range(1000), 1500), (range(999, 1500), 1501)],  # one was added before: the 999th came twice
        [(range(1000), 1500), (range(1000, 1400), 1500), (range(0), 1500)],  # the server stops early
        [(range(1000), 999)],  # more than it counts
    ],
)
def test_list_that_changes_while_it_is_read_is_an_error(parts: list[tuple[range, int]]) -> None:
    with pytest.raises(ProtocolError, match="different objects came although the server counts") as caught:
        session(users, *pages(*parts))
    assert caught.value.subject == "mail1: Users.get"
    assert "Run again" in caught.value.remedy


@pytest.mark.parametrize(
    "answer", [{"totalItems": 0}, {"list": [], "totalItems": "0"}, {"list": {}, "totalItems": 0}, {"list": []}]
)
def test_list_of_another_shape_is_no_empty_list(answer: Object) -> None:
    # An empty directory would make leavers of everybody.
    with pytest.raises(ProtocolError):
        session(users, Call("Users.get", {"query": query("loginName"), "domainId": "d"}, answer))


# 11: what is about a call, and what is secret


@pytest.mark.parametrize("data", [{"a": ["x", {"name": "kerio"}]}, {"kerio.example": 1}, {"a": {"b": "alice@kerio.example"}}])
def test_result_that_holds_a_secret_is_refused(data: Object) -> None:
    with pytest.raises(SecretInResultError, match="Ansible would mask it"):
        runner.refuse_secrets(data, ["kerio"])


def test_secret_is_in_no_error_of_a_session() -> None:
    script = Script(login(error(1000, "Invalid user name or password.")))
    with pytest.raises(LoginRefusedError) as caught, Client("mail1", "Admin", PASSWORD, script):
        pass
    assert PASSWORD not in json.dumps(caught.value.as_result())
    body = json.dumps({"error": {"code": -32602, "message": "Invalid params."}}).encode()
    with pytest.raises(ApiError) as refused:
        result_of("mail1", "Users.create", Reply(200, body), {"users": [{"password": "not-a-secret-new", "loginName": "a"}]})
    assert refused.value.details["sent_members"] == ["users.loginName", "users.password"]
    assert "not-a-secret-new" not in json.dumps(refused.value.as_result())


def test_session_ends_with_a_logout_whatever_happened() -> None:
    # Sessions that stay behind are shown to every administrator.
    script = Script(login(), Call("X.y", {}, error(1004, "no")), logout())
    with pytest.raises(ApiError), Client("mail1", "Admin", PASSWORD, script) as client:
        Server(client).call("X.y", {})
    script.finish()
