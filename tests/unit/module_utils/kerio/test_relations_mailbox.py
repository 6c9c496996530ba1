# SPDX-License-Identifier: GPL-3.0-or-later
"""Relations of the archive mailbox: each violated with its exact sentence, and beside it what is healthy."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import Alias, Domain
from tests.unit.module_utils.kerio.relations_case import JOURNAL, MAILBOXES, Case, account, case, found, people, sent_to, unclear

NOBODYS = "give the archive mailbox an account of its own that is nobody's"
OWN = f"Instead, {NOBODYS}"
ARCHIVE_ADDRESS = "mail1: archiving.remote_address archive@example.com"


def told(address: str, text: str) -> str:
    return f"mail1: archiving.remote_address {address}: {text}"


def of_alice(address: str, way: str) -> str:
    return told(
        address,
        f"it {way}, and alice@example.com is an archive user, into whose mailbox everybody's mail would come. "
        f"{OWN}; or name alice@example.com in archive.users_excluded.",
    )


def test_what_is_healthy_finds_nothing() -> None:
    assert (found(case()), unclear(case())) == ([], [])


ABSENT = (
    "nobody on the server has this address, so every copy would come back as undeliverable. "
    "Declare the account (users: [{{address: {0}, state: present}}]), or correct the address."
)


@pytest.mark.parametrize(
    "address", ["nobody@example.com", "Nobody@example.net", "round@example.com", "empty@example.com", "nobody"]
)
def test_address_that_nobody_has_is_refused(address: str) -> None:
    full = address.lower() if "@" in address else f"{address}@example.com"
    assert found(sent_to(address)) == [("archive-mailbox-exists", told(full, ABSENT.format(full)))]


@pytest.mark.parametrize("address", ["archive", "ARCHIVE@example.com"])
def test_name_without_a_domain_is_of_the_primary_one(address: str) -> None:
    assert found(sent_to(address)) == []


def test_account_that_is_declared_with_it_exists() -> None:
    assert found(sent_to("new@example.com", people=people(account("new")))) == []


def test_disabled_account_is_refused() -> None:
    text = (
        f"{ARCHIVE_ADDRESS}: it reaches archive@example.com, which is disabled, so nobody can log in to read the copies. "
        "Enable it (users: [{address: archive@example.com, enabled: true}])."
    )
    assert found(case(people=people(account("archive", enabled=False)))) == [("archive-mailbox-exists", text)]


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("copies@elsewhere.example", "it is of a domain that the server does not have"),
        ("away@example.com", "it is an alias of someone@elsewhere.example, which is of a domain that the server does not have"),
        ("any-thing@example.com", "it is caught by the alias any-*@example.com"),
    ],
)
def test_what_lies_elsewhere_cannot_be_told(address: str, way: str) -> None:
    state = sent_to(address)
    assert found(state) == []
    note = f"archive-mailbox-exists: mail1: archiving.remote_address {address}: {way}, and nobody can tell from here"
    assert unclear(state) == [f"{note} what becomes of mail to it"]


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("a.smith@example.com", "is a further address of alice@example.com"),
        ("info@example.com", "is an alias of alice@example.com"),
        ("first@example.com", "is an alias of info@example.com, which is an alias of alice@example.com"),
        ("alice@example.net", "is, by the domain alias example.net, alice@example.com"),
        (
            "info@example.net",
            "is, by the domain alias example.net, info@example.com, which is an alias of alice@example.com",
        ),
    ],
)
def test_every_way_to_an_archive_user_is_refused(address: str, way: str) -> None:
    assert found(sent_to(address)) == [("archive-mailbox-is-nobodys", of_alice(address, way))]


def test_account_with_exactly_this_address_is_the_archive_mailbox() -> None:
    """It is nobody's, unless it is named as an archive user in another way: users.yml leaves it out by itself."""
    assert [identity for identity, _ in found(sent_to("alice@example.com"))] == ["archive-mailbox-gets-other-mail"]


def test_a_further_address_in_users_excluded_leaves_nobody_out() -> None:
    expected = [("archive-mailbox-is-nobodys", of_alice("info@example.com", "is an alias of alice@example.com"))]
    assert found(sent_to("info@example.com", archive={"users_excluded": ["a.smith@example.com"]})) == expected


@pytest.mark.parametrize(
    "side",
    [
        {"users_excluded": ["Alice@example.com"]},
        {"users_excluded": ["alice"]},
        {"users_scope": {"domains": ["example.org"]}},
        {"users_scope": {"groups": ["others"]}},
        {"users_scope": None},
    ],
)
def test_whoever_is_no_archive_user_may_get_the_copies(side: dict[str, t.Any]) -> None:
    identities = [identity for identity, _ in found(sent_to("info@example.com", archive=side))]
    assert identities == ["archive-mailbox-gets-other-mail"]


@pytest.mark.parametrize(
    "scope",
    [{"domains": ["Example.com"]}, {"groups": ["Staff"]}, {"groups": ["staff@example.com"]}, {"domains": [], "groups": []}],
)
def test_scope_decides_who_is_an_archive_user(scope: dict[str, t.Any]) -> None:
    assert [identity for identity, _ in found(sent_to("info@example.com", archive={"users_scope": scope}))] == [
        "archive-mailbox-is-nobodys"
    ]


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("sales@example.com", "is the address of the group sales"),
        ("team@example.com", "is an alias of the group sales"),
    ],
)
def test_group_is_refused_whoever_is_in_it(address: str, way: str) -> None:
    text = told(
        address,
        f"it {way}, so 2 accounts get the copies of all mail (alice@example.com, bob@example.com). {OWN}.",
    )
    assert found(sent_to(address, archive={"users_scope": None})) == [("archive-mailbox-is-nobodys", text)]


def test_public_folder_is_refused() -> None:
    text = told(
        "folder@example.com",
        f"it is an alias of the public folder Public Folders/Mail, so whoever may see the folder may read all mail. {OWN}.",
    )
    assert found(sent_to("folder@example.com")) == [("archive-mailbox-is-nobodys", text)]


@pytest.mark.parametrize(
    ("side", "named"),
    [
        (
            {"users_declared": [{"name": "journal", "addresses": ["Archive@example.com"]}]},
            "journal in archive.users_declared",
        ),
        ({"users_declared": [{"name": "archive"}]}, "archive in archive.users_declared"),
        (
            {"profiles": [{**MAILBOXES, "users": {"only": ["bob", "archive@example.com"]}}]},
            "users.only of the profile all mailboxes",
        ),
        (
            {"profiles": [{"name": "one", "method": "single_mailbox", "mailbox": "bob", "target_user": "archive@example.com"}]},
            "target_user of the profile one",
        ),
    ],
)
def test_archive_mailbox_that_is_named_as_an_archive_user_is_refused(side: dict[str, t.Any], named: str) -> None:
    text = (
        f"{ARCHIVE_ADDRESS}: it is the address of the account archive@example.com, and archive@example.com is named as an "
        f"archive user: {named}. Take it out there, or give the archive mailbox another address: it must be nobody's."
    )
    assert found(case(archive=side)) == [("archive-mailbox-is-nobodys", text)]


def test_archive_mailbox_may_be_a_member_of_a_group_of_the_scope_because_it_is_left_out_by_itself() -> None:
    member = people(account("archive", groups=frozenset({"staff", "staff@example.com"})))
    assert found(case(archive={"users_scope": {"groups": ["staff"]}}, people=member)) == []


@pytest.mark.parametrize("how", ["the domain is distributed", "the domain hands mail over"])
def test_address_that_may_be_on_another_server_is_not_refused(how: str) -> None:
    domains = (Domain("example.com", ("example.net",), primary=True, continued=how), Domain("example.org"))
    state = sent_to("nobody@example.net", people=people(domains=domains))
    assert found(state) == []
    assert [text for text in unclear(state) if "archive-mailbox-exists" in text and how in text]
    assert [identity for identity, _ in found(sent_to("nobody@example.org", people=people(domains=domains)))] == [
        "archive-mailbox-exists"
    ]


def test_profile_may_name_the_mailbox_by_a_domain_alias() -> None:
    profiles = [MAILBOXES, {"name": "journal", "method": "multidrop", "mailbox": "archive@example.net"}]
    assert found(case(archive={"profiles": profiles})) == []


@pytest.mark.parametrize(
    "side",
    [
        {"users_declared": [{"name": "journal", "addresses": ["archive@example.org"]}]},
        {"profiles": [{**MAILBOXES, "users": {"except": ["archive@example.com"]}}]},
        {"profiles": [{**MAILBOXES, "servers": ["mail2"], "users": {"only": ["archive@example.com"]}}]},
        {"users_scope": {"groups": ["staff"]}},
        {"users_scope": {"domains": ["example.com"]}},
    ],
)
def test_archive_mailbox_is_nobodys(side: dict[str, t.Any]) -> None:
    assert found(case(archive=side)) == []


def test_domain_has_an_archive_mailbox_of_its_own() -> None:
    state = case(archiving={"per_domain": True}, domains={"example.org": {"remote_address": "info@example.com"}})
    texts = dict(found(state))
    where = "mail1: archiving.domains example.org remote_address info@example.com"
    assert texts["archive-mailbox-is-nobodys"].startswith(f"{where}: it is an alias of alice@example.com, and")
    off = case(archiving={"per_domain": False}, domains={"example.org": {"remote_address": "info@example.com"}})
    assert found(off) == []


def test_other_mail_in_the_archive_mailbox_is_a_warning() -> None:
    forwards = account("carol", forwarding="UForwardYes", forwards_to=("archive",))
    crowd = people(account("archive", further=("old@example.com",)), forwards)
    crowd = people_with_alias(crowd, Alias("copies@example.com", "archive@example.com"))
    text = (
        f"{ARCHIVE_ADDRESS}: beside the copies, mail to old@example.com (its own address), copies@example.com (alias), "
        "carol@example.com (forwards to it) comes into the archive mailbox archive@example.com. "
        "Take these addresses away from it: that mail is read as if it had been archived."
    )
    assert found(case(people=crowd)) == [("archive-mailbox-gets-other-mail", text)]


def people_with_alias(crowd: t.Any, alias: Alias) -> t.Any:
    return people(*crowd.accounts, aliases=(*crowd.aliases, alias))


def test_way_of_the_copies_is_no_other_mail() -> None:
    crowd = people_with_alias(people(), Alias("copies@example.com", "archive@example.com"))
    assert found(sent_to("copies@example.com", people=crowd, archive={"users_excluded": ["archive"]})) == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"disk_limit_mb": 500}, "500 MB"),
        ({"item_limit": 9}, "9 items"),
        ({"disk_limit_mb": 1, "item_limit": 2}, "1 MB and 2 items"),
    ],
)
def test_limit_of_the_archive_mailbox_is_a_warning(limits: dict[str, int], said: str) -> None:
    text = (
        f"{ARCHIVE_ADDRESS}: the archive mailbox archive@example.com is limited to {said}, and when it is full the copies of new "
        "mail are lost. Take the limit away (users: [{address: archive@example.com, disk_limit_mb: 0, item_limit: 0}])."
    )
    assert found(case(people=people(account("archive", **limits)))) == [("archive-mailbox-has-a-limit", text)]
    assert found(case(people=people(account("bob", **limits)))) == []


@pytest.mark.parametrize(("mode", "kept"), [("UForwardYes", "and may keep nothing"), ("UForwardDeliver", "and keeps a copy")])
def test_forwarding_of_the_archive_mailbox_is_a_warning(mode: str, kept: str) -> None:
    text = (
        f"{ARCHIVE_ADDRESS}: the archive mailbox archive@example.com forwards all that it gets to boss@example.com, {kept}. "
        "Switch forwarding off at this account in the administration of the server."
    )
    forwarding = account("archive", forwarding=mode, forwards_to=("boss@example.com",))
    assert found(case(people=people(forwarding))) == [("archive-mailbox-forwards", text)]


NOWHERE = (
    "mail1: archiving: it is on, but has neither a remote address nor a local folder to copy to, so nothing is archived. "
    "Set archiving.remote_address, or archiving.to_local_folder to true."
)
NO_CLASS = (
    "mail1: archiving: it is on, but local_messages, incoming_messages, outgoing_messages, relayed_messages are all off, so "
    "nothing is archived. Set those to true whose mail is to be archived."
)
OFF = (
    "mail1: archiving: it is off, and the profile journal reads the archive mailbox archive@example.com, into which nothing new "
    "comes. Set archiving.enabled to true, or remove the profile."
)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (case(archiving={"remote_address": ""}), NOWHERE),
        (case(archiving={"local_messages": False}), NO_CLASS),
        (case(archiving={"enabled": False}), OFF),
    ],
)
def test_archiving_into_nothing_is_a_warning(state: Case, text: str) -> None:
    assert found(state) == [("archiving-into-nothing", text)]


@pytest.mark.parametrize(
    "state",
    [
        case(archiving={"remote_address": "", "to_local_folder": True}),
        case(
            archiving={"remote_address": "", "per_domain": True, "local_messages": False},
            domains={"example.org": {"remote_address": "archive@example.com"}},
        ),
        case(archiving={"enabled": False}, archive={"profiles": [MAILBOXES]}),
        case(archiving={"enabled": False}, archive={"profiles": [{**JOURNAL, "servers": ["mail2"]}]}),
    ],
)
def test_archiving_into_something_is_healthy(state: Case) -> None:
    assert found(state) == []


def test_profile_that_reads_another_mailbox_is_a_warning() -> None:
    text = (
        "mail1: profile journal: it reads the mailbox bob@example.com, but the copies go to archive@example.com. "
        "Correct mailbox of the profile or archiving.remote_address, or say in its servers which ones it reads."
    )
    wrong = {**JOURNAL, "mailbox": "Bob@example.com"}
    assert found(case(archive={"profiles": [wrong]})) == [("archive-mailbox-is-not-read", text)]
    for right in ({**JOURNAL, "mailbox": "Archive"}, {**wrong, "servers": ["mail2"]}):
        assert found(case(archive={"profiles": [right]})) == []


def test_domain_addresses_without_effect_are_a_warning() -> None:
    declared = {"example.org": {"remote_address": "archive@example.com"}}
    text = (
        "mail1: per_domain is off, so the archive addresses of example.org have no effect until it is true. "
        "Set archiving.per_domain to true, or remove the addresses."
    )
    assert found(case(declared_domains=declared)) == [("domain-addresses-without-effect", text)]
    assert found(case(declared_domains=declared, archiving={"per_domain": True})) == []
    assert found(case(declared_domains={"example.org": {"remote_address": ""}})) == []


def test_compressed_folders_are_a_warning() -> None:
    text = (
        "mail1: archiving.compress_old_folders: archive folders on the server are compressed when a new one begins, and mail "
        "clients cannot read compressed ones. Set it to false, unless the folders are read before that time."
    )
    packed = {"to_local_folder": True, "compress_old_folders": True}
    assert found(case(archiving=packed)) == [("compressed-archive-folders", text)]
    for healthy in ({**packed, "to_local_folder": False}, {**packed, "compress_old_folders": False}):
        assert found(case(archiving=healthy)) == []
