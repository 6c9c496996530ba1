# SPDX-License-Identifier: GPL-3.0-or-later
"""Every relation against the lab, violated with its exact sentence and healthy; only kerio_compare runs, and touches nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations
from tests.lab.fixtures import LabServer
from tests.play.helpers import Answer, Step, assert_one_sentence, assert_untouched, connection, play

QUERY = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
JOURNAL = {"name": "journal", "method": "multidrop", "mailbox": "archive@example.com"}
SIDE: dict[str, t.Any] = {
    "archive_hosts": ["localhost"],
    "profiles": [{"name": "all mailboxes", "method": "multiple_mailboxes"}, JOURNAL],
    "users_scope": {"domains": ["example.com"]},
    "users_declared": [],
    "users_excluded": [],
    "interval_hours": 24,
    "permanent_delete": True,
    "deleting_profiles": ["journal"],
    "imap_access": "IMAP-SSL",
    "other_servers": [{"name": "mail2", "remote_address": "archive@example.org", "domains": ["example.org"]}],
}
HEALTHY: dict[str, t.Any] = {
    "archiving": {
        "enabled": True,
        "remote_address": "archive@example.com",
        "per_domain": True,
        "domains": [{"name": "example.com", "remote_address": "archive@example.com"}],
        "to_local_folder": True,
        "compress_old_folders": False,
    },
    "master_authentication": {"enabled": True, "ip_address_group": "Archive hosts"},
    "advanced_options": {"insert_x_envelope_to": True},
    "security_policy": {
        "mode": "encryption_required",
        "authentication_methods": {"CRAM-MD5": False, "DIGEST-MD5": False},
        "anti_hammering": True,
        "anti_hammering_exception_group": "Archive hosts",
    },
    "services": [{"name": "Secure IMAP", "running": True, "start_up": "automatic", "ip_address_group": "Archive hosts"}],
    "archive": SIDE,
}
WHERE = "mail1: archiving.remote_address"
OWN_MAILBOX = "Instead, give the archive mailbox an account of its own that is nobody's"
REMOVED = (
    "the server removes mail in Sent Items for good after 1 day, and archiving runs every 24 hours: mail may be gone before it "
    "is archived, at the latest when one run fails. Set it to 2 days or more, or run more often."
)
ADD = (
    "Add the entry {host: 127.0.0.1} to the group in ip_address_groups, or, if the server sees the archive host under another "
    "address, declare that one (archive_host_address)."
)


def compare(server: LabServer, side: dict[str, t.Any] | None = None, **declared: t.Any) -> Step:
    """The healthy declaration with some of it replaced; refusals are told like warnings."""
    options = {**HEALTHY, **declared, "archive": {**SIDE, **(side or {})}, "fail_on_refusal": False}
    return Step("kerio_compare", {**connection(server), **options})


def found(answer: Answer) -> dict[str, list[str]]:
    """Return the texts of what is violated by id, in the order of the table."""
    texts: dict[str, list[str]] = {}
    for row in answer.result["relations"]:
        texts.setdefault(row["id"], []).append(row["text"])
    return texts


def spoil(server: LabServer) -> None:
    """What an administrator can do to an archive mailbox and to the mail of a domain."""
    domain = server.api("Domains.get", {"query": QUERY})["list"][0]["id"]
    users = server.api("Users.get", {"query": QUERY, "domainId": domain})["list"]
    archive = next(user["id"] for user in users if user["loginName"] == "archive")
    pattern = {
        "emailAddresses": ["old-archive"],
        "itemLimit": {"isActive": True, "limit": 100},
        "emailForwarding": {"mode": "UForwardDeliver", "emailAddresses": ["boss@example.com"]},
    }
    server.api("Users.set", {"userIds": [archive], "pattern": pattern})
    server.api("Domains.set", {"domainIds": [domain], "pattern": {"sentItems": {"isEnabled": True, "days": 1}}})


def test_healthy_server_violates_nothing_and_a_refusal_fails(mail1: LabServer) -> None:
    mail1.forget()
    nobody = {"enabled": True, "remote_address": "nobody@example.com"}
    refusing = {**compare(mail1, archiving=nobody).options, "fail_on_refusal": True}
    accepting = {**refusing, "accept": ["archive-mailbox-exists"]}
    healthy, refused, accepted = play(compare(mail1), Step("kerio_compare", refusing), Step("kerio_compare", accepting))
    assert_untouched(mail1)
    assert (found(healthy), healthy.result["cannot_tell"], healthy.warnings) == ({}, [], [])
    assert_one_sentence(refused, "nobody on the server has this address", "(accept: [archive-mailbox-exists])")
    assert refused.result["error"]["kind"] == "relation"
    assert [row["accepted"] for row in accepted.result["relations"]] == [True]
    assert [text for text in accepted.warnings if text.endswith("(archive-mailbox-exists, accepted).")] == accepted.warnings


def test_each_relation_is_told_when_it_is_violated(mail1: LabServer) -> None:
    spoil(mail1)
    mail1.forget()
    crowded, nobody, nowhere, alias, loop = play(
        compare(
            mail1,
            {"users_declared": [{"name": "archive@example.com"}], "permanent_delete": False},
            archiving={**HEALTHY["archiving"], "per_domain": False, "compress_old_folders": True},
            master_authentication={"enabled": True, "ip_address_group": "Local clients"},
            advanced_options={"insert_x_envelope_to": False},
            security_policy={"anti_hammering": True},
            services=[{"name": "Secure IMAP", "ip_address_group": "Local clients"}],
        ),
        compare(
            mail1,
            {"imap_access": "IMAP"},
            archiving={"enabled": True, "remote_address": "nobody@example.com"},
            master_authentication={"enabled": True},
            services=[{"name": "IMAP", "running": False}],
        ),
        compare(mail1, archiving={"enabled": True}, services=[{"name": "Secure IMAP", "start_up": "manual"}]),
        compare(mail1, archiving={"enabled": True, "remote_address": "info@example.net"}),
        compare(
            mail1,
            {"other_servers": [{"name": "mail2", "remote_address": "archive@example.net", "domains": ["elsewhere.example"]}]},
            archiving={"enabled": True, "remote_address": "archive@elsewhere.example"},
        ),
    )
    assert_untouched(mail1)
    archive = f"{WHERE} archive@example.com"
    clean_out = {"clean-out-shorter-than-interval": [f"mail1: clean-out of the domain example.com: {REMOVED}"]}
    assert found(crowded) == {
        "archive-mailbox-is-nobodys": [
            f"{archive}: it is the address of the account archive@example.com, and archive@example.com is named as an archive "
            "user: archive@example.com in archive.users_declared. "
            "Take it out there, or give the archive mailbox another address: it must be nobody's."
        ],
        "archive-mailbox-gets-other-mail": [
            f"{archive}: beside the copies, mail to old-archive@example.com (its own address) comes into the archive mailbox "
            "archive@example.com. Take these addresses away from it: that mail is read as if it had been archived."
        ],
        "archive-mailbox-has-a-limit": [
            f"{archive}: the archive mailbox archive@example.com is limited to 100 items, and when it is full the copies of new "
            "mail are lost. Take the limit away (users: [{address: archive@example.com, disk_limit_mb: 0, item_limit: 0}])."
        ],
        "archive-mailbox-forwards": [
            f"{archive}: the archive mailbox archive@example.com forwards all that it gets to boss@example.com, and keeps a "
            "copy. Switch forwarding off at this account in the administration of the server."
        ],
        "domain-addresses-without-effect": [
            "mail1: per_domain is off, so the archive addresses of example.com have no effect until it is true. "
            "Set archiving.per_domain to true, or remove the addresses."
        ],
        "compressed-archive-folders": [
            "mail1: archiving.compress_old_folders: archive folders on the server are compressed when a new one begins, and mail "
            "clients cannot read compressed ones. Set it to false, unless the folders are read before that time."
        ],
        "group-admits-archive-host": [
            "mail1: master_authentication.ip_address_group 'Local clients': it does not admit the archive host localhost "
            f"(127.0.0.1), so the server would refuse the master password from there. {ADD}"
        ],
        "archive-host-not-excepted": [
            "mail1: security_policy.anti_hammering_exception_group: anti-hammering is on and excepts no address: localhost is "
            "not excepted, and 100 failed logins from there would stop all archiving for 5 minutes. "
            "Set it to a group that holds the archive host."
        ],
        "imap-service-admits-archive-host": [
            "mail1: service Secure IMAP: ip_address_group 'Local clients': it does not admit the archive host localhost "
            f"(127.0.0.1), so the server would not let it connect. {ADD}"
        ],
        "digest-methods": [
            "mail1: security_policy.authentication_methods: CRAM-MD5 and DIGEST-MD5 are on, and cannot work for 5 accounts whose "
            "password is in a directory or stored as SHA (alice@example.com, archive@example.com, bob@example.com and 2 more), "
            "so these cannot log in wherever a program prefers such a method. Switch off what cannot work "
            "(security_policy: {authentication_methods: {CRAM-MD5: false, DIGEST-MD5: false}})."
        ],
        "x-envelope-to-off": [
            "mail1: advanced_options.insert_x_envelope_to: it is off, and the multidrop profile journal files by the recipients "
            "that the server notes: BCC recipients and members of lists would not be found. "
            "Set it to true; mail that came before has no such note."
        ],
        **clean_out,
        "deletion-would-move": [
            "mail1: profile journal: it deletes what is archived, but permanent_delete is not declared true for mailserver.cfg, "
            "so the server would move the messages to Deleted Items instead. "
            "Declare permanent_delete: true for this server, or delete nothing."
        ],
    }
    assert found(nobody) == {
        "archive-mailbox-exists": [
            f"{WHERE} nobody@example.com: nobody on the server has this address, so every copy would come back as undeliverable. "
            "Declare the account (users: [{address: nobody@example.com, state: present}]), or correct the address."
        ],
        "master-authentication-any-address": [
            "mail1: master authentication: it would be on without an IP address group, so that every address may try the "
            "password of all mailboxes. Set ip_address_group to a group that holds the archive host, or set "
            "allow_any_address to true."
        ],
        "imap-service-off": [
            "mail1: service IMAP: it is not running, and archiving logs in over it. "
            "Start it (services: [{name: IMAP, running: true, start_up: automatic}])."
        ],
        "access-without-encryption": [
            "mail1: security_policy.mode: it is encryption_required, and archiving logs in over IMAP without encryption. "
            "Use the access IMAP-TLS or IMAP-SSL."
        ],
        **clean_out,
    }
    assert found(nowhere) == {
        "archiving-into-nothing": [
            "mail1: archiving: it is on, but has neither a remote address nor a local folder to copy to, so nothing is archived. "
            "Set archiving.remote_address, or archiving.to_local_folder to true."
        ],
        "imap-service-manual": [
            "mail1: service Secure IMAP: it is running, but it starts by hand alone, so after a restart of the server archiving "
            "cannot log in. Let it start by itself (services: [{name: Secure IMAP, start_up: automatic}])."
        ],
        **clean_out,
    }
    assert found(alias) == {
        "archive-mailbox-is-nobodys": [
            f"{WHERE} info@example.net: it is, by the domain alias example.net, info@example.com, which is an alias of "
            "alice@example.com, and alice@example.com is an archive user, into whose mailbox everybody's mail would come. "
            f"{OWN_MAILBOX}; or name alice@example.com in archive.users_excluded."
        ],
        "archive-mailbox-is-not-read": [
            "mail1: profile journal: it reads the mailbox archive@example.com, but the copies go to alice@example.com. "
            "Correct mailbox of the profile or archiving.remote_address, or say in its servers which ones it reads."
        ],
        **clean_out,
    }
    assert found(loop) == {
        "archiving-loop": [
            f"{WHERE} archive@elsewhere.example: copies go out to another server, and mail2 sends its copies to "
            "archive@example.net on this one: each is archived again there and comes back, without end. "
            "Let both servers send their copies to a mailbox of their own."
        ],
        **clean_out,
    }
    assert len(loop.result["cannot_tell"]) == 1
    told = {identity for answer in (crowded, nobody, nowhere, alias, loop) for identity in found(answer)}
    assert told == set(relations.IDS)
