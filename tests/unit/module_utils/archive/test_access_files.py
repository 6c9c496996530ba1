# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archive's Dovecot reads, out of users of the catalog: names, who logs in, who reads what, who has lost something."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_files, access_names, access_users
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_users import Account
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User

HASH = "$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA"
KERIO = {"server": "mail1", "kerio_login": "alice@example.com"}
SIGNS = "aZ0@._+'(), ~#-=%*?:/\\\"&<>[]{}|`^$!;\t\n\x7fäß日\u2028\ud800"


def user(number: int, name: str, *privileges: str, **more: object) -> User:
    """A person of a Kerio server, who may log in and read unless other privileges are given."""
    given = {**KERIO, "privileges": privileges or ("login", "read"), **more}
    return User(id=number, name=name, tree=f"tree {number}", **given)  # type: ignore[arg-type]  # a field of any type


def accounts(*users: User, passwords: tuple[str, ...] = ()) -> list[Account]:
    found, warnings = access_users.decide(users, passwords)
    assert warnings == []
    return found


def files(*users: User, passwords: tuple[str, ...] = ()) -> dict[str, str]:
    found = accounts(*users, passwords=passwords)
    return access_files.render(found, {access_names.key(name): HASH for name in passwords}, "/state/homes", "/live")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("#", "--"))]


def test_no_two_names_have_one_label_unless_they_differ_in_case_only() -> None:
    names = {"".join(chars) for length in range(3) for chars in itertools.product(SIGNS, repeat=length)}
    names |= {f"a{name}b" for name in names}
    by_label: dict[str, set[str]] = {}
    for name in names:
        by_label.setdefault(access_names.label(name), set()).add(access_names.key(name))
    assert [found for found in by_label.values() if len(found) > 1] == []
    for label in by_label:
        assert re.fullmatch(r"[0-9a-z@._+'(), ~#=-]+", label)
        assert label == label.strip() and label[0] not in ".~#-" and label[-1] != "."


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Alice@Example.com", "alice@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("alice@example.com (left, 17)", "alice@example.com (left, 17)"),
        ("@catchall", "@catchall"),
        ("Müller", "m=c3=bcller"),
        ("a*b?c%d", "a=2ab=3fc=25d"),
        ("../x/y", "=2e.=2fx=2fy"),
        ("m=c3=bcller", "m=3dc3=3dbcller"),
        ("", "="),
    ],
)
def test_labels(name: str, label: str) -> None:
    assert access_names.label(name) == label


@pytest.mark.parametrize("name", ["a:b", "a/b", 'a"b', "a\\b", "a\nb", "a\tb", "#a", " a", "a ", "", "a\u2028b", "a\ud800"])
def test_who_has_a_name_that_no_file_can_hold_cannot_log_in_and_is_named(name: str) -> None:
    found, warnings = access_users.decide([user(1, name)], ())
    assert [account.way for account in found] == [""]
    assert len(warnings) == 1 and warnings[0].startswith(f"{name} cannot log in")


@pytest.mark.parametrize(
    "name", ["a b", "o'brien", "a*b", "a?b", "a%b", "日本", "a=b&c", "..", "~", "-x", "a#b", "[a]{b}", "a|b<>"]
)
def test_other_names_can_log_in(name: str) -> None:
    assert [account.way for account in accounts(user(1, name))] == ["kerio"]


def test_only_who_may_log_in_is_in_the_users_file_and_every_archive_has_its_home() -> None:
    people = (
        user(1, "alice@example.com"),
        user(2, "disabled@example.com", enabled=False),
        user(3, "left@example.com", deleted=5),
        user(4, "archived@example.com", "archive"),
        user(5, "nothing@example.com", "none"),
        user(6, "@catchall", "none", server="", kerio_login=""),
        user(7, "o'brien@example.com"),
        user(8, "auditor", "login", "audit", authentication="integrated"),
        user(9, "admin@example.com", "administer"),
        user(10, "Zoë"),
    )
    made = files(*people, passwords=("Auditor",))
    assert lines(made["users"]) == [
        "admin@example.com:::::::nopassword=y noauthenticate=y",
        "alice@example.com:::::::nopassword=y noauthenticate=y",
        f"auditor:{{ARGON2ID}}{HASH}::::::",
        "o\\'brien@example.com:::::::nopassword=y noauthenticate=y",
        "zoë:::::::nopassword=y noauthenticate=y",
    ]
    assert lines(made["owners"]) == [
        "@catchall:::::/state/homes/6::",
        "admin@example.com:::::/state/homes/9::",
        "alice@example.com:::::/state/homes/1::",
        "archived@example.com:::::/state/homes/4::",
        "auditor:::::/state/homes/8::userdb_acl_groups=auditors userdb_acl=vfile:/live/acl-of-auditors",
        "disabled@example.com:::::/state/homes/2::",
        "left@example.com:::::/state/homes/3::",
        "nothing@example.com:::::/state/homes/5::",
        "o\\'brien@example.com:::::/state/homes/7::",
        "zo=c3=ab:::::/state/homes/10::",
        "zoë:::::/state/homes/10::",
    ]
    assert access_files.hashes_in(made["users"]) == {"auditor": HASH}


def test_rights_follow_grants_privileges_and_the_catch_all() -> None:
    made = files(
        user(1, "alice@example.com"),
        user(2, "bob@example.com", reads=("Alice@Example.com", "left?")),
        user(3, "blind@example.com", "login", reads=("alice@example.com",)),
        user(4, "admin@example.com", "administer"),
        user(5, "@catchall", "none"),
        user(6, "left?", "none", deleted=7),
        user(7, "Alice@Example.com (left, 7)", "none", deleted=7),
    )
    assert lines(made["acl"]) == [
        "* owner lr",
        "Archives/* group=auditors lr",
        '"Archives/@catchall" "user=admin@example.com" lr',
        '* "user=blind@example.com"',
        '"Archives/alice@example.com" "user=blind@example.com" lr',
        '"Archives/alice@example.com/*" "user=blind@example.com" lr',
        '"Archives/left=3f" "user=bob@example.com" lr',
    ]
    assert lines(made["shared-mailboxes"])[::2] == [
        "shared/shared-boxes/user/admin@example.com/@catchall",
        "shared/shared-boxes/user/blind@example.com/alice@example.com",
        "shared/shared-boxes/user/bob@example.com/left=3f",
    ]
    assert set(lines(made["shared-mailboxes"])[1::2]) == {"1"}


def test_an_auditor_lists_all_archives_by_his_group_and_needs_no_line_for_each() -> None:
    made = files(user(1, "alice"), user(2, "Auditor", "login", "audit", reads=("alice",)))
    assert lines(made["acl"]) == ["* owner lr", "Archives/* group=auditors lr"]
    assert lines(made["shared-mailboxes"])[::2] == [
        "shared/shared-boxes/group/auditors/alice",
        "shared/shared-boxes/group/auditors/auditor",
    ]


def test_grants_of_others_are_not_in_what_dovecot_reads_for_each_archive_that_an_auditor_lists() -> None:
    readers = [user(number, f"reader{number}", reads=("alice",)) for number in range(3, 9)]
    made = files(user(1, "alice"), user(2, "auditor", "login", "audit"), *readers)
    assert len(lines(made["acl"])) == 2 + len(readers)
    assert lines(made["acl-of-auditors"]) == ["* owner lr", "Archives/* group=auditors lr"]


def test_grants_of_somebody_who_may_not_log_in_open_nothing() -> None:
    made = files(user(1, "alice"), user(2, "gone", deleted=3, reads=("alice",)), user(3, "out", "audit", reads=("alice",)))
    assert lines(made["acl"]) == ["* owner lr", "Archives/* group=auditors lr"]
    assert lines(made["shared-mailboxes"]) == []
    assert "userdb_acl_groups" not in made["owners"]


def test_kerio_is_asked_for_the_login_at_the_home_server_in_a_string_that_lua_reads() -> None:
    quoted = user(2, "Quo te'", server='m"1', kerio_login="o\\'x\n\u00fc@example.com")
    made = files(user(1, "alice@example.com"), quoted, user(3, "local", authentication="integrated"), passwords=("local",))
    assert lines(made["logins.lua"]) == [
        "return {",
        '  ["alice@example.com"] = {server = "mail1", login = "alice@example.com"},',
        '  ["quo te\'"] = {server = "m\\0341", login = "o\\092\'x\\010\\195\\188@example.com"},',
        "}",
    ]


def test_names_that_dovecot_takes_for_the_same_are_left_out_unless_all_but_one_have_left() -> None:
    people = [user(1, "Twin"), user(2, "tWIN"), user(3, "bob", deleted=9), user(4, "Bob"), user(5, "é"), user(6, "=C3=A9")]
    found, warnings = access_users.decide(people, ())
    # A label is a name as well: somebody who is called like another one's label would open that archive.
    assert {account.id for account in found} == {4}
    assert len(warnings) == 1 and warnings[0].startswith("Twin, tWIN, bob, é, =C3=A9 are left out")
    found, _ = access_users.decide([*people[4:], user(7, "reader", reads=("é", "Bob")), user(8, "Bob")], ())
    assert [(account.name, account.reads) for account in found] == [("reader", ("bob",)), ("Bob", ())]


def test_who_cannot_log_in_for_want_of_a_password_or_a_server_is_named() -> None:
    people = [
        user(1, "local", authentication="integrated"),
        user(2, "lost", server=""),
        user(3, "mute", kerio_login=""),
        user(4, "fine"),
    ]
    found, warnings = access_users.decide(people, ["fine", "nobody"])
    assert [account.name for account in found if account.way] == ["fine"]
    assert sorted(warning.split(" cannot")[0].split(" have")[0] for warning in warnings) == [
        "fine, nobody",
        "local",
        "lost, mute",
    ]


def test_twenty_names_are_enough_for_a_warning() -> None:
    _, warnings = access_users.decide([user(number, f"u{number}", server="") for number in range(25)], ())
    assert "u19 and 5 more cannot log in" in warnings[0] and "u20" not in warnings[0]


BEFORE = user(1, "bob@example.com", "login", "read", "audit", reads=("a", "b"))
OTHERS = (user(2, "a"), user(3, "b"), user(4, "c"))


@pytest.mark.parametrize(
    ("change", "loses"),
    [
        ({}, False),
        ({"full_name": "Bob"}, False),
        ({"reads": ("a",)}, True),
        ({"reads": ("a", "b", "c")}, False),
        ({"reads": ("a", "c")}, True),
        ({"privileges": ("login", "read", "audit")}, False),
        ({"privileges": ("login",)}, True),
        ({"enabled": False}, True),
        ({"deleted": 7}, True),
        ({"name": "robert@example.com"}, True),
        ({"id": 9}, True),
        ({"server": "mail2"}, True),
        ({"kerio_login": "bobby@example.com"}, True),
        ({"authentication": "integrated"}, True),
    ],
)
def test_who_may_do_less_or_proves_otherwise_who_he_is_has_lost_something(change: dict[str, object], loses: bool) -> None:
    plain = dataclasses.replace(BEFORE, privileges=("login", "read"))
    changed = dataclasses.replace(plain, **change)  # type: ignore[arg-type]  # a field of any type
    assert (lost(plain, changed) == ["bob@example.com"]) is loses


def lost(before: User, after: User) -> list[str]:
    people = []
    for one in (before, after):
        found, _ = access_users.decide([one, *OTHERS], [one.name] if one.authentication else [])
        people.append(access_files.rights(found, {access_names.key(one.name): HASH}))
    return access_files.lost(*people)


def test_who_audited_has_lost_that_and_a_grant_means_the_archive_and_not_its_name() -> None:
    assert lost(BEFORE, dataclasses.replace(BEFORE, privileges=("login", "read"))) == ["bob@example.com"]
    assert lost(dataclasses.replace(BEFORE, privileges=("login", "read")), BEFORE) == []
    reader = user(1, "bob", reads=("a",))
    people = [access_files.rights(accounts(reader, owner), {}) for owner in (user(2, "a"), user(3, "a"))]
    assert access_files.lost(*people) == ["a", "bob"]


def test_another_password_is_a_loss_and_the_record_does_not_tell_it() -> None:
    local = accounts(user(1, "local", authentication="integrated"), passwords=("local",))
    people = [access_files.rights(local, {"local": HASH + more}) for more in ("", "x")]
    assert access_files.lost(*people) == ["local"] and access_files.lost(people[0], people[0]) == []
    assert HASH not in str(people)


def test_a_narrowed_users_file_keeps_exactly_the_lines_of_those_who_stay() -> None:
    text = files(
        user(1, "o'brien"), user(2, "bob"), user(3, "bobby"), user(4, "local", authentication="integrated"), passwords=("local",)
    )
    assert lines(access_files.narrowed(text["users"], {"o\\'brien", "bobby"})) == [
        "bobby:::::::nopassword=y noauthenticate=y",
        "o\\'brien:::::::nopassword=y noauthenticate=y",
    ]
    assert lines(access_files.narrowed(text["users"], ())) == []


def test_narrowed_logins_are_lua_with_those_who_stay() -> None:
    text = files(user(1, "bob"), user(2, "bobby"), user(3, "o'brien"))["logins.lua"]
    assert access_files.narrowed_logins(text, {"bob", "bobby", "o'brien"}) == text
    left = access_files.narrowed_logins(text, {"bobby", "nobody"})
    assert [line for line in text.splitlines() if line not in left.splitlines()] == [
        line for line in text.splitlines() if '"bob"' in line or "brien" in line
    ]
    assert '"bobby"' in left and left.splitlines()[-1] == "}"
