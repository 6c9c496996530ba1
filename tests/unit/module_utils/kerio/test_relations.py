# SPDX-License-Identifier: GPL-3.0-or-later
"""Relations of access and of the archive side, each violated with its exact sentence and healthy beside it; and the table."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import Domain
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Host
from tests.unit.module_utils.kerio.relations_case import JOURNAL, MAILBOXES, PEOPLE, Case, account, case, found, people, unclear

ROOT = Path(__file__).parents[4]
LOCAL = {"ip_address_group": "Local clients"}
BLOCKED = {"anti_hammering": True, "anti_hammering_failed_logins": 100, "anti_hammering_minutes": 5}
METHODS = {"CRAM-MD5": True, "DIGEST-MD5": True, "PLAIN": True}


def clean(**days: int) -> dict[str, t.Any]:
    return {"deleted_items": None, "junk_email": None, "sent_items": None, "all_items": None, **days}


def of_domain(**days: int) -> dict[str, t.Any]:
    domains = (dataclasses.replace(PEOPLE.domains[0], clean_out=clean(**days)), Domain("example.org"))
    return {"people": dataclasses.replace(PEOPLE, domains=domains)}


def reading(**folders: t.Any) -> dict[str, t.Any]:
    return {"archive": {"profiles": [{**MAILBOXES, "folders": folders}]}}


ADD = (
    "Add the entry {host: 192.0.2.7} to the group in ip_address_groups, or, if the server sees the archive host under another "
    "address, declare that one (archive_host_address)."
)
ADMITS = (
    f"it does not admit the archive host archive1 (192.0.2.7), so the server would refuse the master password from there. {ADD}"
)
# Identity: each case that violates it, with its sentence after "mail1: ".
VIOLATED: list[tuple[str, Case, str]] = [
    (
        "master-authentication-any-address",
        case(master={"ip_address_group": ""}),
        "master authentication: it would be on without an IP address group, so that every address may try the password of all "
        "mailboxes. Set ip_address_group to a group that holds the archive host, or set allow_any_address to true.",
    ),
    ("group-admits-archive-host", case(master=LOCAL), f"master_authentication.ip_address_group 'Local clients': {ADMITS}"),
    (
        "archive-host-not-excepted",
        case(security=BLOCKED),
        "security_policy.anti_hammering_exception_group: anti-hammering is on and excepts no address: archive1 is not excepted, "
        "and 100 failed logins from there would stop all archiving for 5 minutes. Set it to a group that holds the archive host.",
    ),
    (
        "archive-host-not-excepted",
        case(security={**BLOCKED, "anti_hammering_exception_group": "Local clients"}),
        "security_policy.anti_hammering_exception_group 'Local clients': it does not admit the archive host archive1 "
        "(192.0.2.7), and 100 failed logins from there would stop all archiving for 5 minutes. "
        f"{ADD}",
    ),
    (
        "imap-service-off",
        case(services={"Secure IMAP": {"running": False, "start_up": "automatic"}}),
        "service Secure IMAP: it is not running, and archiving logs in over it. "
        "Start it (services: [{name: Secure IMAP, running: true, start_up: automatic}]).",
    ),
    (
        "imap-service-manual",
        case(services={"IMAP": {"running": True, "start_up": "manual"}}, archive={"imap_access": "IMAP-TLS"}),
        "service IMAP: it is running, but it starts by hand alone, so after a restart of the server archiving cannot log in. "
        "Let it start by itself (services: [{name: IMAP, start_up: automatic}]).",
    ),
    (
        "imap-service-admits-archive-host",
        case(services={"Secure IMAP": {"running": True, **LOCAL}}),
        "service Secure IMAP: ip_address_group 'Local clients': it does not admit the archive host archive1 (192.0.2.7), so the "
        f"server would not let it connect. {ADD}",
    ),
    (
        "access-without-encryption",
        case(security={"mode": "encryption_required"}, archive={"imap_access": "IMAP"}),
        "security_policy.mode: it is encryption_required, and archiving logs in over IMAP without encryption. "
        "Use the access IMAP-TLS or IMAP-SSL.",
    ),
    (
        "digest-methods",
        case(
            security={"authentication_methods": METHODS},
            people=people(account("alice", from_directory=True), account("bob", reversible=False)),
        ),
        "security_policy.authentication_methods: CRAM-MD5 and DIGEST-MD5 are on, and cannot work for 2 accounts whose password "
        "is in a directory or stored as SHA (alice@example.com, bob@example.com), so these cannot log in wherever a program "
        "prefers such a method. Switch off what cannot work (security_policy: {authentication_methods: {CRAM-MD5: "
        "false, DIGEST-MD5: false}}).",
    ),
    (
        "x-envelope-to-off",
        case(advanced={"insert_x_envelope_to": False}),
        "advanced_options.insert_x_envelope_to: it is off, and the multidrop profile journal files by the recipients that the "
        "server notes: BCC recipients and members of lists would not be found. "
        "Set it to true; mail that came before has no such note.",
    ),
    (
        "clean-out-shorter-than-interval",
        case(**of_domain(sent_items=1)),
        "clean-out of the domain example.com: the server removes mail in Sent Items for good after 1 day, and archiving runs "
        "every 24 hours: mail may be gone before it is archived, at the latest when one run fails. "
        "Set it to 2 days or more, or run more often.",
    ),
    (
        "clean-out-shorter-than-interval",
        case(people=people(account("bob", clean_out=clean(all_items=30))), archive={"interval_hours": 400.0}),
        "clean-out of bob@example.com: the server removes all mail for good after 30 days, and archiving runs every 400 hours: "
        "mail may be gone before it is archived, at the latest when one run fails. Set it to 34 days or more, or run more often.",
    ),
    (
        "deletion-would-move",
        case(archive={"permanent_delete": None, "deleting_profiles": ["journal"]}),
        "profile journal: it deletes what is archived, but permanent_delete is not declared true for mailserver.cfg, so the "
        "server would move the messages to Deleted Items instead. Declare permanent_delete: true for this server, or "
        "delete nothing.",
    ),
    (
        "deletion-would-move",
        case(archive={"permanent_delete": False, "deleting_profiles": ["of another inventory"]}),
        "profile of another inventory: it deletes what is archived, but permanent_delete is not declared true for "
        "mailserver.cfg, "
        "so the server would move the messages to Deleted Items instead. "
        "Declare permanent_delete: true for this server, or delete nothing.",
    ),
    (
        "archiving-loop",
        case(
            archiving={"remote_address": "copies@elsewhere.example"},
            archive={
                "profiles": [MAILBOXES],
                "other_servers": [{"name": "mail2", "remote_address": "archive@example.org", "domains": ["elsewhere.example"]}],
            },
        ),
        "archiving.remote_address copies@elsewhere.example: copies go out to another server, and mail2 sends its copies to "
        "archive@example.org on this one: each is archived again there and comes back, without end. "
        "Let both servers send their copies to a mailbox of their own.",
    ),
]
HEALTHY = [
    case(master={"ip_address_group": "", "allow_any_address": True}),
    case(master={"enabled": False, "ip_address_group": ""}),
    case(master={**LOCAL, "enabled": False}),
    case(security={**BLOCKED, "anti_hammering": False}),
    case(security={**BLOCKED, "anti_hammering_exception_group": "Archive hosts"}),
    case(services={"IMAP": {"running": False}}),
    case(services={"Secure IMAP": {"running": False}}, archive={"profiles": []}),
    case(services={"Secure IMAP": {"running": True, "ip_address_group": "Archive hosts"}}),
    case(security={"mode": "encryption_required"}),
    case(security={"mode": "authentication_required"}, archive={"imap_access": "IMAP"}),
    case(
        security={"mode": "encryption_required", "encryption_exception_group": "Archive hosts"}, archive={"imap_access": "IMAP"}
    ),
    case(archiving={"remote_address": "copies@elsewhere.example"}),
    case(security={"authentication_methods": METHODS}),
    case(security={"authentication_methods": METHODS}, people=people(account("alice", reversible=None))),
    case(
        security={"authentication_methods": {"CRAM-MD5": False, "DIGEST-MD5": False, "PLAIN": True}},
        people=people(account("alice", from_directory=True)),
    ),
    case(security={"authentication_methods": METHODS}, people=people(account("alice", reversible=False, enabled=False))),
    case(advanced={"insert_x_envelope_to": False}, archive={"profiles": [MAILBOXES, {**JOURNAL, "servers": ["mail2"]}]}),
    case(**of_domain(sent_items=2)),
    case(**of_domain(deleted_items=1, junk_email=1)),
    case(**of_domain(junk_email=1), **reading(defaults=False, exclude=["Junk E-mail"])),
    case(**of_domain(deleted_items=1), **reading(defaults=["trash"])),
    case(archive={"deleting_profiles": ["journal"]}),
    case(archive={"permanent_delete": False}),
    case(archive={"permanent_delete": False, "profiles": [{**JOURNAL, "servers": "mail2", "delete": True}]}),
    case(
        archiving={"remote_address": "copies@elsewhere.example"},
        archive={
            "profiles": [MAILBOXES],
            "other_servers": [
                {"name": "mail2", "remote_address": "archive@another.example"},
                {"name": "mail3", "remote_address": "archive@example.org", "domains": ["third.example"]},
                {"name": "mail4", "remote_address": None},
                # Nobody knows whether it has that domain: an archiver outside is as likely.
                {"name": "mail5", "remote_address": "archive@example.org"},
            ],
        },
    ),
]


@pytest.mark.parametrize(("identity", "state", "text"), VIOLATED)
def test_what_is_violated_is_told_in_these_words(identity: str, state: Case, text: str) -> None:
    assert found(state) == [(identity, f"mail1: {text}")]


def test_loop_is_not_known_where_the_domains_of_the_other_server_are_not() -> None:
    other = {"name": "mail2", "remote_address": "archive@example.org"}
    state = case(archiving={"remote_address": "out@archiver.example"}, archive={"profiles": [], "other_servers": [other]})
    assert [text for text in unclear(state) if text.startswith("archiving-loop: ") and "which domains mail2 has" in text]


@pytest.mark.parametrize("state", HEALTHY)
def test_what_lies_beside_it_is_healthy(state: Case) -> None:
    assert found(state) == []


@pytest.mark.parametrize(
    "folders",
    [{"defaults": False}, {"defaults": ["junk", "drafts"]}, {"include": ["Deleted Items/*"]}, {"include": "deleted items"}],
)
def test_clean_out_of_deleted_items_matters_when_they_are_read(folders: dict[str, t.Any]) -> None:
    state = case(**of_domain(deleted_items=1), **reading(**folders))
    assert [text.split(":")[2] for _, text in found(state)] == [
        " the server removes mail in Deleted Items for good after 1 day, and archiving runs every 24 hours"
    ]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (Host("archive1", (), "Name or service not known"), "archive1: Name or service not known"),
        (
            Host("archive1", ("192.0.2.7", "2001:db8::7")),
            "archive1 (192.0.2.7, 2001:db8::7): its entries cannot all be compared with the address",
        ),
    ],
)
def test_host_whose_address_is_not_sure_is_not_judged(host: Host, reason: str) -> None:
    state = case(archive_hosts=(host,))
    assert found(state) == []
    where = "group-admits-archive-host: mail1: master_authentication.ip_address_group 'Archive hosts'"
    assert unclear(state) == [f"{where}: nobody can tell whether it admits the archive host {reason}"]


def test_group_that_cannot_be_compared_is_not_judged() -> None:
    state = case(master={"ip_address_group": "Names"})
    assert (found(state), len(unclear(state))) == ([], 1)


def test_host_may_be_admitted_by_its_name() -> None:
    state = case(groups={"Archive hosts": ["archive1"]})
    assert (found(state), unclear(state)) == ([], [])


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ("archiving", case(archiving={"remote_address": "nobody@example.com"}, archive={"profiles": [MAILBOXES]})),
        ("archive_hosts", case(master=LOCAL, security=BLOCKED)),
        ("master_authentication", case(master={"ip_address_group": ""})),
        ("imap_access", case(services={"Secure IMAP": {"running": False}})),
        ("interval_hours", case(**of_domain(sent_items=1))),
    ],
)
def test_what_is_not_given_is_not_looked_at(given: str, state: Case) -> None:
    assert found(state) != []
    assert found(dataclasses.replace(state, given=state.given - {given})) == []


def test_accepted_relation_refuses_no_more() -> None:
    state = case(master={"ip_address_group": ""})
    (open_one,), _ = relations.check(state, [])
    (accepted,), _ = relations.check(state, ["master-authentication-any-address"])
    assert (open_one.refuses, accepted.refuses, accepted.accepted) == (True, False, True)
    assert open_one.text == accepted.text


def test_unknown_id_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match="accept archive-mailbox: no relation is called so; there are access-without-encryption, "
    ):
        relations.check(case(), ["archive-mailbox"])


def test_each_relation_has_a_case_that_violates_it() -> None:
    here = {identity for identity, _, _ in VIOLATED}
    other = (Path(__file__).parent / "test_relations_mailbox.py").read_text(encoding="utf-8")
    assert {identity for identity in relations.IDS if identity not in here and f'"{identity}"' not in other} == set()


def test_operators_are_told_of_each_relation_and_of_no_other() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (refuse|warn) \|", (ROOT / "docs" / "relations.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [(relation.id, relation.severity) for relation in relations.RELATIONS]
