# SPDX-License-Identifier: GPL-3.0-or-later
"""A value of one server that an archive run refuses is found before, so that this server alone is left out."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_secrets import master_passwords
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments
from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, prepare, reached, usable
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader

Values = dict[str, t.Any]
PASSWORD, OTHER = "not-a-secret-master", "not-a-secret-other"
PROFILES = [{"name": "all", "method": "multiple_mailboxes"}]


def wrong(values: Values, others: dict[str, Values] | None = None, profiles: list[Values] | None = None) -> str:
    """What is told of mail1, beside other servers and an archive host with these profiles."""
    servers = {"mail1": values, **(others or {"mail2": {}})}
    groups = {"kerio_servers": list(servers), "archive_hosts": ["archive1"]}
    reader = Reader({**servers, "archive1": {"archive_profiles": PROFILES if profiles is None else profiles}})
    found = prepare.look(reader, groups, ["mail1"])["facts"].get("mail1", {})
    return "; ".join(found.get("kerio_failures", [])).removeprefix("Its variables in the inventory cannot be used: ")


def refused(values: Values) -> bool:
    """Whether archive_run refuses what is made of it."""
    server = reached.servers(Reader({"mail1": values}), ["mail1"])
    checked = ArgumentSpecValidator({"servers": arguments.servers()}).validate({"servers": server})
    if checked.error_messages:
        return True
    try:
        parse_servers(checked.validated_parameters["servers"])
        master_passwords(checked.validated_parameters["servers"])
        parse_profiles(PROFILES, parse_servers(checked.validated_parameters["servers"]))
    except InputError:
        return True
    return False


@pytest.mark.parametrize(
    ("key", "right", "not_right"),
    [
        ("imap_access", ["IMAP-TLS", "IMAP-SSL"], ["IMAPS", "imap-ssl", "", 993, None, ["IMAP-SSL"], "IMAP"]),
        ("imap_port", [1, 65535, "993", None], ["word", 0, 65536, -1, "", 9.5, [993], "9" * 30]),
        ("imap_timeout", [1, "3600"], ["fast", 0, 3601, None, "1 minute", {}]),
        ("imap_connections", [1, 64], ["many", 0, 65, None]),
        ("imap_bandwidth", ["10K", "1m", 10240, "1024G", None], ["1K", "fast", "10 KB", 10239, "1025G", "", -1]),
        ("imap_validate_certs", [True, "no", 0, "Yes"], ["maybe", None, "", 2]),
        ("imap_host", ["mail.example.com", None], ["", " ", "a\nb"]),
        ("imap_ca_file", ["/ca.pem", None], ["", "/a\n/b"]),
        ("host", ["mail.example.com", "[2001:db8::1]:4040"], [""]),
    ],
)
def test_it_is_what_archive_run_refuses(key: str, right: list[t.Any], not_right: list[t.Any]) -> None:
    for value in right:
        values = {f"kerio_connect_{key}": value}
        assert (wrong(values), refused(values)) == ("", False), value
    for value in not_right:
        values = {f"kerio_connect_{key}": value}
        assert refused(values), value
        assert wrong(values).startswith(f"kerio_connect_{key} is ") and ". Give " in wrong(values), value


@pytest.mark.parametrize(
    ("master", "cause"),
    [
        ({"password": PASSWORD}, ""),
        ({"password": PASSWORD, "other_password": OTHER}, ""),
        ({"password": PASSWORD, "other_password": "short"}, "is not at least 12 printable ASCII characters"),
        ({"password": PASSWORD, "other_password": PASSWORD}, "is the same as password"),
        ({"other_password": OTHER}, "is there without a password beside it"),
        ("no dictionary", ""),
    ],
)
def test_another_master_password_that_is_of_no_use_is_found_and_not_told(master: t.Any, cause: str) -> None:
    values = {"kerio_connect_master_authentication": master}
    told = wrong(values)
    assert (bool(told), "not-a-secret" in told, cause in told) == (refused(values), False, True)


@pytest.mark.parametrize("password", ["too-short", "p\u00e4sswords-are-long"])
def test_a_master_password_that_cannot_be_set_is_found_before_the_server_is_changed(password: str) -> None:
    told = wrong({"kerio_connect_master_authentication": {"enabled": True, "password": password}})
    assert told.startswith("kerio_connect_master_authentication.password is not at least 12 printable ASCII characters")
    assert password not in told


def test_the_master_password_goes_nowhere_without_tls() -> None:
    told = wrong({"kerio_connect_imap_access": "IMAP"})
    assert told.startswith("kerio_connect_imap_access is IMAP, by which the profile all would show the master password")
    own = [{"name": "own", "method": "multidrop", "mailbox": "a@b.example", "credentials": "password"}]
    elsewhere = [{**PROFILES[0], "servers": ["mail2"]}]
    assert [wrong({"kerio_connect_imap_access": "IMAP"}, profiles=profiles) for profiles in (own, elsewhere)] == ["", ""]


def test_two_servers_of_one_name_are_told_of_each_other() -> None:
    told = wrong({"kerio_connect_name": "two"}, {"mail2": {"kerio_connect_name": " two"}, "mail3": {}})
    assert told == "kerio_connect_name is two, as for mail2. Give each server a name of its own"
    assert wrong({}, {"mail2": {"kerio_connect_name": "mail1"}}).startswith("kerio_connect_name is mail1")


@pytest.mark.parametrize("right", [True, False])
def test_a_name_is_a_text(right: bool) -> None:
    for name in ("one", 5) if right else ("", " ", None, ["one"], "a\nb"):
        assert (usable.name_wrong(Reader({"mail1": {"kerio_connect_name": name}}), "mail1") == "") is right, name
    assert usable.name_wrong(Reader({"mail1": {}}), "mail1") == ""


def test_who_is_left_out_is_in_no_profile() -> None:
    servers = {"mail1": {"kerio_variables_wrong": True, "kerio_connect_name": "one"}, "mail2": {}}
    groups = {"kerio_servers": list(servers), "archive_hosts": ["archive1"]}
    scope = assigned.scope(Reader({**servers, "archive1": {}}), groups, "archive1", ())
    assert (scope["named"], scope["left_out"]) == (["mail1", "mail2"], ["one"])
    both = {**PROFILES[0], "servers": ["one", "mail2"]}
    found = assigned.profiles([*PROFILES, {**PROFILES[0], "servers": "one"}, both], scope["left_out"], True)
    assert [profile.get("servers") for profile in found] == [None, ["mail2"]]
