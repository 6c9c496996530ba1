# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be of the servers that check logins to the archive, and what every run warns of."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import logins

CLEAR = "mail1: its access is IMAP, so passwords of people would be sent to it without encryption. Say IMAP-SSL or IMAP-TLS in"
ACCOUNT = "archive_access_guesses_per_account"
SERVER = "archive_access_guesses_per_server"


def refusals(in_clear: t.Sequence[str] = (), per_account: t.Any = 3, per_server: t.Any = 10, **server: t.Any) -> list[str]:
    return logins.refusals([{"name": "mail1", **server}], in_clear, per_account, per_server)


@pytest.mark.parametrize("access", [{}, {"access": "IMAP-SSL"}, {"access": "IMAP-TLS"}])
def test_a_server_that_is_asked_over_tls_is_fine(access: dict[str, str]) -> None:
    assert refusals(**access) == []


def test_a_server_without_encryption_is_refused_unless_it_is_named() -> None:
    (told,) = refusals(["mail2"], access="IMAP")
    assert told.startswith(CLEAR) and told.endswith("or name it in archive_access_servers_in_clear.")
    assert refusals(["mail1"], access="IMAP") == []


@pytest.mark.parametrize(
    ("guesses", "acts", "refused"),
    [
        ({"per_account": 3}, {}, ""),
        ({"per_account": 3}, {"failed_logins_to_lock": None}, ""),
        ({"per_account": 3}, {"failed_logins_to_lock": 4}, ""),
        ({"per_account": "3"}, {"failed_logins_to_lock": "10"}, ""),
        ({"per_account": 3}, {"failed_logins_to_block": 3}, SERVER),
        ({"per_account": 3}, {"failed_logins_to_lock": 3}, ACCOUNT),
        ({"per_account": 0}, {"failed_logins_to_lock": 5}, ACCOUNT),
        ({"per_server": 10}, {"failed_logins_to_block": 10}, SERVER),
        ({"per_server": 0}, {"failed_logins_to_block": 10}, SERVER),
    ],
)
def test_guesses_end_before_kerio_acts(guesses: dict[str, t.Any], acts: dict[str, t.Any], refused: str) -> None:
    told = refusals(**guesses, **acts)
    assert [text.split(" is ")[0] for text in told] == ([f"mail1: {refused}"] if refused else [])


def test_a_refusal_says_both_numbers_and_what_to_do() -> None:
    told = refusals(per_account=7, failed_logins_to_lock=5)
    assert told == [f"mail1: {ACCOUNT} is 7, but Kerio acts at the failed login number 5. Set {ACCOUNT} to less, and not to 0."]


def test_all_that_must_not_be_is_told_server_by_server() -> None:
    servers = [{"name": name, "access": "IMAP", "failed_logins_to_lock": 1, "failed_logins_to_block": 1} for name in ("a", "b")]
    told = logins.refusals(servers, [], 1, 1)
    assert [text.split(": ")[0] for text in told] == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({}, []),
        ({"access": "IMAP-TLS", "validate_certs": "yes"}, []),
        ({"access": "IMAP", "validate_certs": False}, ["without encryption."]),
        ({"validate_certs": False}, ["whose certificate is not verified."]),
        ({"validate_certs": "no"}, ["whose certificate is not verified."]),
    ],
)
def test_every_run_warns_where_passwords_could_be_read(server: dict[str, t.Any], told: list[str]) -> None:
    found = logins.dangers([{"name": "mail1", **server}])
    assert len(found) == len(told)
    assert all(text.startswith("WARNING: passwords of people are sent to mail1") for text in found)
    assert all(text.endswith(end) for text, end in zip(found, told, strict=True))
