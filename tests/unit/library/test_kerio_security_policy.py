# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_security_policy: the exact calls of a change, a second run, a check run and of errors."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_security_policy
from tests.unit.rpc_script import Call, Script, error, failing, login, logout, run_module

MAIN = kerio_security_policy.main
NOBODY = {"enabled": False, "id": "", "name": ""}
HOSTS = {"enabled": True, "id": "keriodb://g/1", "name": "Archive hosts"}
GROUPS = Call("IpAddressGroups.getGroupList", None, {"groups": [{"id": "keriodb://g/1", "name": "Archive hosts"}]})


def methods(**changed: bool) -> list[dict[str, t.Any]]:
    on = {"CRAM-MD5": True, "DIGEST-MD5": True, "NTLM": False, "PLAIN": True, "LOGIN": True}
    on |= {name.replace("_", "-"): value for name, value in changed.items()}
    return [{"enabled": value, "value": name, "aMemberOfTomorrow": 1} for name, value in on.items()]


def policy(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "mode": "SPNoRestrictions",
        "authenticationExceptionGroup": NOBODY,
        "encryptionExceptionGroup": NOBODY,
        "authenticationMethods": methods(),
        "allowNtlmForKerberosUsers": True,
        "enableLockout": False,
        "failedLoginsToLock": 5,
        "minutesToUnlock": 5,
        "antiHammering": {"isEnabled": False, "failedLoginsToBlock": 10, "minutesToBlock": 5, "exceptionIpGroup": NOBODY},
        "anotherOfTomorrow": {"kept": True},
        **changed,
    }


def policy_of_2013(**changed: t.Any) -> dict[str, t.Any]:
    old = policy(**changed)
    del old["antiHammering"]
    return old


def read(received: dict[str, t.Any] | None = None) -> Call:
    return Call("SecurityPolicy.get", None, {"options": policy() if received is None else received})


def write(received: dict[str, t.Any], answer: t.Any = None) -> Call:
    return Call("SecurityPolicy.set", {"options": received}, {} if answer is None else answer)


@pytest.mark.shows("change")
def test_every_option_is_sent_with_all_that_was_received() -> None:
    after = policy(
        mode="SPEncryptionRequired",
        authenticationExceptionGroup=HOSTS,
        encryptionExceptionGroup=HOSTS,
        authenticationMethods=methods(CRAM_MD5=False, DIGEST_MD5=False),
        allowNtlmForKerberosUsers=False,
        enableLockout=True,
        failedLoginsToLock=7,
        minutesToUnlock=8,
        antiHammering={"isEnabled": True, "failedLoginsToBlock": 9, "minutesToBlock": 11, "exceptionIpGroup": HOSTS},
    )
    script = Script(login(), read(), GROUPS, write(after), read(after), logout())
    result = run_module(
        MAIN,
        script,
        mode="encryption_required",
        authentication_exception_group="archive HOSTS",
        encryption_exception_group="Archive hosts",
        authentication_methods={"cram-md5": False, "DIGEST-MD5": False},
        allow_ntlm_for_kerberos_users=False,
        lockout=True,
        failed_logins_to_lock=7,
        minutes_to_unlock=8,
        anti_hammering=True,
        anti_hammering_failed_logins=9,
        anti_hammering_minutes=11,
        anti_hammering_exception_group="Archive hosts",
    )
    assert (result["failed"], result["changed"], result["warnings"]) == (False, True, [])
    assert result["calls"] == [
        "Session.login",
        "SecurityPolicy.get",
        "IpAddressGroups.getGroupList",
        "SecurityPolicy.set",
        "SecurityPolicy.get",
        "Session.logout",
    ]
    assert result["plan"] == {"create": 0, "change": 1, "delete": 0}


@pytest.mark.shows("diff")
def test_methods_that_are_not_named_are_sent_and_shown_as_they_are() -> None:
    after = policy(authenticationMethods=methods(CRAM_MD5=False))
    script = Script(login(), read(), write(after), read(after), logout())
    result = run_module(MAIN, script, authentication_methods={"cram-md5": False})
    stay = {"DIGEST-MD5": True, "NTLM": False, "PLAIN": True, "LOGIN": True}
    assert result["diff"] == {
        "before": {"security_policy": {"authentication_methods": {"CRAM-MD5": True, **stay}}},
        "after": {"security_policy": {"authentication_methods": {"CRAM-MD5": False, **stay}}},
        "before_header": "mail1",
        "after_header": "mail1",
    }
    assert result["msg"] == "mail1: changed security policy (authentication_methods)"


@pytest.mark.shows("again")
def test_again_changes_nothing() -> None:
    after = policy(authenticationMethods=methods(CRAM_MD5=False), encryptionExceptionGroup=HOSTS)
    wanted = {"authentication_methods": {"cram-md5": False, "ntlm": False}, "encryption_exception_group": "archive hosts"}
    result = run_module(MAIN, Script(login(), read(after), GROUPS, logout()), **wanted)
    assert (result["changed"], result["msg"]) == (False, "mail1: nothing to change in security policy")


@pytest.mark.shows("check")
def test_check_writes_nothing_and_says_the_same() -> None:
    result = run_module(MAIN, Script(login(), read(), logout()), check=True, authentication_methods={"NTLM": True}, lockout=True)
    assert result["changed"] is True
    assert result["msg"] == "mail1: would change security policy (authentication_methods, lockout)"
    assert result["diff"]["after"]["security_policy"]["lockout"] is True


def test_exception_that_is_taken_away_keeps_its_group_for_later() -> None:
    before = policy(encryptionExceptionGroup=HOSTS)
    after = policy(encryptionExceptionGroup={**HOSTS, "enabled": False})
    script = Script(login(), read(before), GROUPS, write(after), read(after), logout())
    result = run_module(MAIN, script, encryption_exception_group="")
    assert result["diff"]["before"] == {"security_policy": {"encryption_exception_group": "Archive hosts"}}


@pytest.mark.parametrize("check", [False, True])
def test_method_that_the_server_does_not_have_is_refused_with_those_it_has(check: bool) -> None:
    result = failing(MAIN, Script(login(), read(), logout()), check=check, authentication_methods={"APOP": False, "LOGIN": True})
    assert result["error"]["subject"] == "mail1: security_policy: authentication_methods: APOP"
    assert "it knows CRAM-MD5, DIGEST-MD5, LOGIN, NTLM, PLAIN" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"failed_logins_to_lock": 0}, "failed_logins_to_lock: 0 is not a positive number"),
        ({"minutes_to_unlock": -1}, "minutes_to_unlock"),
        ({"anti_hammering_failed_logins": 0}, "anti_hammering_failed_logins"),
        ({"anti_hammering_minutes": 0}, "anti_hammering_minutes"),
        ({"authentication_methods": {"LOGIN": "off"}}, "LOGIN: 'off' is neither true nor false"),
    ],
)
def test_value_that_cannot_be_meant_is_refused_before_anything_is_asked(options: dict[str, t.Any], words: str) -> None:
    assert words in failing(MAIN, Script(login(), logout()), **options)["msg"]


def test_method_that_came_back_is_an_error() -> None:
    # Nobody named NTLM; still it is proved that it did not move.
    after = policy(authenticationMethods=methods(CRAM_MD5=False))
    reset = policy(authenticationMethods=methods(CRAM_MD5=False, NTLM=True))
    script = Script(login(), read(), write(after), read(reset), logout())
    result = failing(MAIN, script, authentication_methods={"CRAM-MD5": False})
    assert result["error"]["options"] == ["authentication_methods"]


@pytest.mark.parametrize("changes", [True, False])
def test_both_plain_methods_off_is_warned_of_every_time(changes: bool) -> None:
    off = policy(authenticationMethods=methods(PLAIN=False, LOGIN=False))
    before = policy(authenticationMethods=methods(LOGIN=False)) if changes else off
    calls = [write(off), read(off)] if changes else []
    result = run_module(MAIN, Script(login(), read(before), *calls, logout()), authentication_methods={"PLAIN": False})
    assert result["changed"] is changes
    (warning,) = result["warnings"]
    assert warning.startswith("mail1: PLAIN and LOGIN are both off")


def test_server_of_2013_has_no_anti_hammering() -> None:
    old = policy_of_2013()
    same = run_module(
        MAIN, Script(login(), read(old), logout()), anti_hammering=False, anti_hammering_exception_group="", lockout=False
    )
    assert (same["failed"], same["changed"]) == (False, False)
    for option, value in (("anti_hammering", True), ("anti_hammering_minutes", 5), ("anti_hammering_exception_group", "x")):
        result = failing(MAIN, Script(login(), read(old), logout()), **{option: value})
        assert f"security_policy: {option}: the server does not have this setting (known to newer servers)" in result["msg"]
    after = policy_of_2013(enableLockout=True)
    assert run_module(MAIN, Script(login(), read(old), write(after), read(after), logout()), lockout=True)["changed"]


def test_group_that_is_not_there_is_refused_with_those_that_are() -> None:
    result = failing(MAIN, Script(login(), read(), GROUPS, logout()), anti_hammering_exception_group="Archive")
    assert "anti_hammering_exception_group 'Archive'" in result["msg"]
    assert "'Archive hosts'" in result["msg"]


@pytest.mark.shows("error")
def test_refused_write_keeps_the_words_of_the_server_and_names_what_was_sent() -> None:
    after = policy(enableLockout=True)
    refused = error(-32602, "Invalid %1", "params")
    result = failing(MAIN, Script(login(), read(), write(after, refused), logout()), lockout=True)
    assert "Invalid params (code -32602)" in result["msg"]
    assert "options.antiHammering.exceptionIpGroup.id" in result["error"]["sent_members"]
    assert result["error"]["calls"][-1] == "Session.logout"
