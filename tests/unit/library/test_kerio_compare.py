# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_compare: the exact calls, each structure once and none that writes; what it says of differences and relations."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_compare
from tests.unit.library.test_kerio_archiving import archive, domain, domains, read
from tests.unit.rpc_script import Call, Script, error, failing, listing, login, logout, query, run_module

MAIN = kerio_compare.main
GROUPS = [{"id": "g1", "name": "Archive hosts"}]
ENTRY = {
    "id": "e1",
    "groupId": "g1",
    "groupName": "Archive hosts",
    "description": "",
    "type": "Host",
    "enabled": True,
    "host": "192.0.2.7",
    "addr1": "",
    "addr2": "",
}
DONE = {"isEnabled": True, "remoteArchive": {"enabled": True, "value": "archive@example.com"}}
ARCHIVING = {"enabled": True, "remote_address": "archive@example.com"}
MASTER = {"enabled": True, "ip_address_group": "Archive hosts"}


def advanced(*, on: bool = False, group: str = "") -> Call:
    options = {
        "masterAuthentication": {"isEnabled": on, "groupRestriction": group, "password": ""},
        "miscellaneous": {"insertXEnvelopeTo": False},
    }
    return Call("AdvancedOptions.get", None, {"options": options})


def groups() -> Call:
    return Call("IpAddressGroups.getGroupList", None, {"groups": GROUPS})


def entries() -> Call:
    return Call("IpAddressGroups.get", {"query": query("item")}, listing(ENTRY))


def user(name: str, **changed: t.Any) -> dict[str, t.Any]:
    return {"id": f"u-{name}", "loginName": name, "isEnabled": True, "emailAddresses": [], "userGroups": [], **changed}


def directory(*users: dict[str, t.Any], **asked: bool) -> list[Call]:
    """The calls that read the directory; ``domains=False`` when the domains were asked for before."""
    calls = [Call("Server.getVersion", None, {"product": "Kerio Connect", "version": "10.0.9"})]
    calls += [domains(domain("example.com"))] if asked.get("domains", True) else []
    of_domain = "keriodb://domain/example.com"
    for method, order, listed in (("Users.get", "loginName", users), ("Groups.get", "name", ()), ("Aliases.get", "name", ())):
        calls.append(Call(method, {"query": query(order), "domainId": of_domain}, listing(*listed)))
    return calls


def rows(result: dict[str, t.Any]) -> list[tuple[t.Any, ...]]:
    return [tuple(row[name] for name in ("kind", "key", "option", "server", "declared")) for row in result["differences"]]


def test_nothing_declared_reads_what_others_need_to_know() -> None:
    result = run_module(MAIN, Script(login(), advanced(on=True, group="g1"), groups(), logout()))
    assert (result["changed"], result["differing"], result["differences"], result["relations"]) == (False, [], [], [])
    assert result["today"] == {"master_authentication": {"enabled": True, "ip_address_group": "Archive hosts"}}
    assert result["msg"] == "mail1: everything is as declared"


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.shows("read", "check")
def test_differences_are_told_and_nothing_is_written(check: bool) -> None:
    script = Script(login(), advanced(), groups(), read(), *directory(user("archive")), logout())
    result = run_module(MAIN, script, check=check, archiving=ARCHIVING, master_authentication=MASTER)
    assert (result["failed"], result["changed"], result["warnings"]) == (False, False, [])
    assert result["differing"] == ["master_authentication", "archiving"]
    assert rows(result) == [
        ("master_authentication", "", "enabled", False, True),
        ("master_authentication", "", "ip_address_group", "", "Archive hosts"),
        ("archiving", "", "enabled", False, True),
        ("archiving", "", "remote_address", "", "archive@example.com"),
    ]
    assert result["differences"][2]["meaning"].startswith("The server archives nothing at all since")
    assert result["msg"] == (
        "mail1: 4 settings differ (master_authentication.enabled, master_authentication.ip_address_group, archiving.enabled, "
        "archiving.remote_address)"
    )
    assert result["diff"]["before"] == {
        "archiving": {"enabled": False, "remote_address": ""},
        "master_authentication": {"enabled": False, "ip_address_group": ""},
    }
    assert result["diff"]["after"] == {"archiving": ARCHIVING, "master_authentication": MASTER}


def test_server_that_is_as_declared_differs_in_nothing() -> None:
    script = Script(
        login(), advanced(on=True, group="g1"), groups(), read(archive(**DONE)), *directory(user("archive")), logout()
    )
    result = run_module(MAIN, script, archiving=ARCHIVING, master_authentication=MASTER)
    assert (result["differing"], result["relations"], result["msg"]) == ([], [], "mail1: everything is as declared")


def test_directory_is_not_read_while_nothing_asks_for_it() -> None:
    script = Script(login(), read(), advanced(), logout())
    result = run_module(MAIN, script, archiving={"remote_address": "nobody@example.com"})
    assert (result["differing"], result["relations"]) == (["archiving"], [])


def test_violated_relation_fails_with_its_sentence() -> None:
    script = Script(login(), read(), *directory(user("bob")), advanced(), logout())
    result = failing(MAIN, script, archiving=ARCHIVING)
    assert result["msg"] == (
        "mail1: archiving.remote_address archive@example.com: nobody on the server has this address, so every copy would come "
        "back as undeliverable. Declare the account (users: [{address: archive@example.com, state: present}]), or correct the "
        "address; if it is meant so, accept it in so many words (accept: [archive-mailbox-exists])."
    )
    assert (result["error"]["kind"], result["changed"]) == ("relation", False)
    assert [row["id"] for row in result["error"]["relations"]] == ["archive-mailbox-exists"]
    assert result["error"]["differing"] == ["archiving"]


@pytest.mark.parametrize("lenient", [{"accept": ["archive-mailbox-exists"]}, {"fail_on_refusal": False}])
def test_refusal_that_is_accepted_is_a_warning(lenient: dict[str, t.Any]) -> None:
    script = Script(login(), read(), *directory(user("bob")), advanced(), logout())
    result = run_module(MAIN, script, archiving=ARCHIVING, **lenient)
    accepted = "accept" in lenient
    (warning,) = result["warnings"]
    assert warning.endswith(f"or correct the address (archive-mailbox-exists{', accepted' if accepted else ''}).")
    assert [(row["id"], row["accepted"]) for row in result["relations"]] == [("archive-mailbox-exists", accepted)]
    assert ("1 relation is violated" in result["msg"]) is not accepted


def test_relations_are_in_the_result_alone_where_a_playbook_tells_them_itself() -> None:
    script = Script(login(), read(), *directory(user("bob")), advanced(), logout())
    result = run_module(MAIN, script, archiving=ARCHIVING, fail_on_refusal=False, warn_of_relations=False)
    assert result.get("warnings", []) == []
    assert [row["id"] for row in result["relations"]] == ["archive-mailbox-exists"]


def test_warning_that_is_accepted_is_told_no_more() -> None:
    def ask(**more: t.Any) -> dict[str, t.Any]:
        script = Script(login(), read(archive(**DONE)), *directory(user("archive", **limit)), advanced(), logout())
        return run_module(MAIN, script, archiving={"enabled": True}, **more)

    limit = {"itemLimit": {"isActive": True, "limit": 5}}
    assert [text.rpartition(" ")[2] for text in ask()["warnings"]] == ["(archive-mailbox-has-a-limit)."]
    result = ask(accept=["archive-mailbox-has-a-limit"])
    assert (result["warnings"], [row["accepted"] for row in result["relations"]]) == ([], [True])


def test_several_refusals_are_told_together() -> None:
    script = Script(login(), advanced(on=True), read(), *directory(user("bob")), logout())
    result = failing(MAIN, script, archiving=ARCHIVING, master_authentication={"enabled": True})
    assert result["msg"].startswith(
        "mail1: 2 relations are violated: mail1: archiving.remote_address archive@example.com: nobody"
    )
    assert "mail1: master authentication: it would be on without an IP address group" in result["msg"]
    assert result["msg"].endswith("(accept: [archive-mailbox-exists, master-authentication-any-address]).")


def test_unknown_relation_is_refused_before_anything_is_read() -> None:
    result = failing(MAIN, Script(login(), logout()), archiving=ARCHIVING, accept=["no-such-relation"])
    assert "accept no-such-relation: no relation is called so; there are access-without-encryption" in result["msg"]


@pytest.mark.shows("error")
def test_error_of_a_declaration_is_that_of_its_module() -> None:
    refused = Call("Archive.get", None, error(1004, "Access denied"))
    result = failing(MAIN, Script(login(), refused, logout()), archiving=ARCHIVING)
    assert "Access denied (code 1004)" in result["msg"]


def test_declared_group_counts_before_it_exists() -> None:
    new = {"name": "New hosts", "entries": [{"host": "192.0.2.9"}]}
    script = Script(login(), groups(), entries(), advanced(), logout())
    side = {"archive_hosts": ["192.0.2.9"]}
    result = run_module(
        MAIN,
        script_with_security(script),
        ip_address_groups=[new],
        master_authentication={"enabled": True, "ip_address_group": "New hosts"},
        archive=side,
    )
    assert rows(result) == [
        ("ip_address_groups", "New hosts", "state", "absent", "present"),
        ("master_authentication", "", "enabled", False, True),
        ("master_authentication", "", "ip_address_group", "", "New hosts"),
    ]
    assert result["relations"] == []


def script_with_security(script: Script) -> Script:
    """``archive`` makes the security policy and login methods matter."""
    policy = {"antiHammering": {"isEnabled": False}, "authenticationMethods": []}
    script.remaining.insert(-1, Call("SecurityPolicy.get", None, {"options": policy}))
    return script


def test_archive_host_that_the_declared_group_does_not_admit_is_refused() -> None:
    changed = {"name": "archive hosts", "entries": [{"host": "192.0.2.8"}]}
    # Asks whether the change would cut us off, and changes nothing.
    foreseen = Call("IpAddressGroups.validateRemove", {"groupIds": ["e1"]}, {"errors": []})
    script = Script(login(), groups(), entries(), foreseen, advanced(on=True, group="g1"), logout())
    result = failing(
        MAIN,
        script_with_security(script),
        ip_address_groups=[changed],
        master_authentication=MASTER,
        archive={"archive_hosts": ["192.0.2.7"]},
    )
    assert result["error"]["subject"] == "mail1: master_authentication.ip_address_group 'Archive hosts'"
    assert "it does not admit the archive host 192.0.2.7, so the server would refuse" in result["msg"]


def test_accounts_are_compared_without_their_passwords() -> None:
    calls = directory(user("bob", fullName="Bob"))
    script = Script(login(), *calls[1:], advanced(), logout())
    result = run_module(
        MAIN, script, users=[{"address": "bob@example.com", "full_name": "Robert"}, {"address": "new@example.com"}]
    )
    assert rows(result) == [
        ("users", "new@example.com", "state", "absent", "present"),
        ("users", "bob@example.com", "full_name", "Bob", "Robert"),
    ]


def test_archive_mailbox_that_is_declared_with_it_exists() -> None:
    users, others = directory(user("bob"))[2:3], [*directory()[3:5], read(), *directory()[0:1]]
    script = Script(login(), domains(domain("example.com")), *users, *others, advanced(), logout())
    result = run_module(MAIN, script, archiving=ARCHIVING, users=[{"address": "archive@example.com"}])
    assert (result["failed"], result["relations"]) == (False, [])


def test_domain_addresses_without_effect_are_told_once() -> None:
    listed = [{"name": "example.com", "remote_address": "archive@example.com"}]
    script = Script(login(), read(), domains(domain("example.com")), advanced(), logout())
    result = run_module(MAIN, script, archiving={"domains": listed})
    assert rows(result) == [("archiving", "example.com", "remote_address", "", "archive@example.com")]
    (warning,) = result["warnings"]
    assert warning.startswith("mail1: per_domain is off, so the archive addresses of example.com have no effect")
    assert warning.endswith("(domain-addresses-without-effect).")


def test_of_login_methods_those_are_told_that_differ() -> None:
    methods = [{"value": "CRAM-MD5", "enabled": True}, {"value": "PLAIN", "enabled": True}]
    policy = Call("SecurityPolicy.get", None, {"options": {"authenticationMethods": methods}})
    script = Script(login(), policy, advanced(), logout())
    wanted = {"authentication_methods": {"CRAM-MD5": False, "PLAIN": True}}
    result = run_module(MAIN, script, security_policy=wanted)
    assert rows(result) == [("security_policy", "", "authentication_methods", {"CRAM-MD5": True}, {"CRAM-MD5": False})]
