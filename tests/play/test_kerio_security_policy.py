# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_security_policy, run by ansible-playbook against the lab."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play, settle, written

PLAIN_OFF = "mail1: PLAIN and LOGIN are both off"


def policy(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_security_policy", {**connection(server), **options})


def options_of(server: LabServer) -> dict[str, t.Any]:
    options: dict[str, t.Any] = server.api("SecurityPolicy.get")["options"]
    return options


def methods_of(server: LabServer) -> dict[str, bool]:
    return {entry["value"]: entry["enabled"] for entry in options_of(server)["authenticationMethods"]}


def test_every_option_reaches_the_server(mail1: LabServer) -> None:
    groups = {entry["name"]: entry["id"] for entry in mail1.api("IpAddressGroups.getGroupList")["groups"]}
    wanted = {
        "mode": "encryption_required",
        "authentication_methods": {"cram-md5": False, "DIGEST-MD5": False, "NTLM": False},
        "allow_ntlm_for_kerberos_users": True,
        "lockout": True,
        "failed_logins_to_lock": 11,
        "minutes_to_unlock": 12,
        "authentication_exception_group": "local clients",
        "encryption_exception_group": "Archive hosts",
        "anti_hammering": True,
        "anti_hammering_failed_logins": 13,
        "anti_hammering_minutes": 14,
        "anti_hammering_exception_group": "ARCHIVE HOSTS",
    }
    real = settle(mail1, policy(mail1, **wanted), "SecurityPolicy.set")
    assert real.warnings == []
    assert real.diff["after"]["security_policy"]["anti_hammering_exception_group"] == "Archive hosts"
    hosts, local = ({"enabled": True, "id": groups[name], "name": name} for name in ("Archive hosts", "Local clients"))
    methods = {"CRAM-MD5": False, "DIGEST-MD5": False, "NTLM": False, "PLAIN": True, "LOGIN": True}
    assert options_of(mail1) == {
        "mode": "SPEncryptionRequired",
        "authenticationExceptionGroup": local,
        "encryptionExceptionGroup": hosts,
        "authenticationMethods": [{"enabled": on, "value": name} for name, on in methods.items()],
        "allowNtlmForKerberosUsers": True,
        "enableLockout": True,
        "failedLoginsToLock": 11,
        "minutesToUnlock": 12,
        "antiHammering": {"isEnabled": True, "failedLoginsToBlock": 13, "minutesToBlock": 14, "exceptionIpGroup": hosts},
    }
    # Switched off, an exception keeps its group.
    one(policy(mail1, anti_hammering_exception_group="", mode="no_restrictions"))
    assert options_of(mail1)["antiHammering"]["exceptionIpGroup"] == {**hosts, "enabled": False}


@pytest.mark.shows("by_hand")
def test_methods_that_nobody_names_stay_off_and_one_changed_by_hand_is_put_back(mail1: LabServer) -> None:
    one(policy(mail1, authentication_methods={"CRAM-MD5": False, "NTLM": False, "LOGIN": False}))
    before = options_of(mail1)
    changed = [
        {**entry, "enabled": entry["enabled"] or entry["value"] == "CRAM-MD5"} for entry in before["authenticationMethods"]
    ]
    mail1.api("SecurityPolicy.set", {"options": {**before, "authenticationMethods": changed, "minutesToUnlock": 77}})
    mail1.forget()
    answer = one(policy(mail1, authentication_methods={"CRAM-MD5": False, "PLAIN": True}))
    assert answer.diff["before"]["security_policy"].keys() == {"authentication_methods"}
    assert methods_of(mail1) == {"CRAM-MD5": False, "DIGEST-MD5": True, "NTLM": False, "PLAIN": True, "LOGIN": False}
    assert options_of(mail1)["minutesToUnlock"] == 77
    assert written(mail1) == ["SecurityPolicy.set"]


def test_plain_and_login_both_off_is_warned_of_every_time(mail1: LabServer) -> None:
    step = policy(mail1, authentication_methods={"plain": False, "login": False})
    for answer in play(replace(step, check=True), step, step):
        assert any(warning.startswith(PLAIN_OFF) for warning in answer.warnings)


@pytest.mark.parametrize(
    "switches",
    [
        {"extra_members": True, "incomplete_struct": "reject", "partial_options": "reject", "read_only_members": "reject"},
        {"auth_methods": "PLAIN,X-Method-Of-Tomorrow", "language": "de", "session_calls": 3},
    ],
)
def test_server_that_is_stricter_or_newer(mail1: LabServer, switches: dict[str, t.Any]) -> None:
    with mail1.switched(**switches):
        before = options_of(mail1)
        step = policy(mail1, lockout=True, encryption_exception_group="Archive hosts")
        real, again = play(step, step)
        assert (real.status, again.status) == ("changed", "ok"), real
        after = options_of(mail1)
    group = after["encryptionExceptionGroup"]
    assert after == {**before, "enableLockout": True, "encryptionExceptionGroup": group}
    assert (group["enabled"], group["name"]) == (True, "Archive hosts")


def test_server_without_anti_hammering(mail1: LabServer) -> None:
    with mail1.switched(absent_members="SecurityPolicy.antiHammering"):
        same, absent, other = play(
            policy(mail1, anti_hammering=False, anti_hammering_exception_group=""),
            policy(mail1, anti_hammering=True),
            policy(mail1, lockout=True),
        )
    assert_one_sentence(absent, "mail1: security_policy: anti_hammering", "does not have this setting", "newer servers")
    assert (same.status, other.status) == ("ok", "changed")


@pytest.mark.shows("broken")
def test_what_cannot_be_had_is_one_sentence_and_changes_nothing(mail1: LabServer) -> None:
    before = options_of(mail1)
    mail1.forget()
    method, group, number, word = play(
        policy(mail1, lockout=True, authentication_methods={"APOP": False}),
        policy(mail1, lockout=True, encryption_exception_group="Nobody"),
        policy(mail1, failed_logins_to_lock=0),
        policy(mail1, authentication_methods={"PLAIN": "disabled"}),
    )
    assert_one_sentence(method, "authentication_methods: APOP", "it knows CRAM-MD5, DIGEST-MD5, LOGIN, NTLM, PLAIN")
    assert_one_sentence(group, "encryption_exception_group 'Nobody'", "'Archive hosts'", "Correct the name")
    assert_one_sentence(number, "failed_logins_to_lock", "0 is not a positive number")
    assert_one_sentence(word, "PLAIN: 'disabled' is neither true nor false")
    assert_untouched(mail1)
    with mail1.switched(fail_methods="SecurityPolicy.set=1004"):
        refused = one(policy(mail1, lockout=True))
    assert_one_sentence(refused, "mail1: SecurityPolicy.set", "(code 1004)", "FullAdmin", "kerio_connect_user in the role")
    assert options_of(mail1) == before
