# SPDX-License-Identifier: GPL-3.0-or-later
"""What privileges hold, who may log in, and whose archives somebody reads."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError

ANN = User(1, "ann", "ann", privileges=("login", "read"))
LEFT = User(2, "ben", "ben", privileges=("login", "read"), deleted=5)
CAUGHT = User(3, "@catchall", "@catchall", origin="profile")
USERS = (ANN, LEFT, CAUGHT)

# What each privilege holds.
HELD = {
    "login": {"login"},
    "read": {"read"},
    "export": {"export"},
    "archive": {"archive"},
    "audit": {"audit", "read"},
    "administer": {"administer", "login", "read", "export", "archive"},
    "none": {"none"},
}


def test_what_each_privilege_holds() -> None:
    held = {
        given: {name for name in users_rights.PRIVILEGES if users_rights.holds((given,), name)}
        for given in users_rights.PRIVILEGES
    }
    assert held == HELD
    assert not users_rights.holds((), "login")
    assert users_rights.holds(("export", "administer"), "login")


@pytest.mark.parametrize(
    ("privileges", "enabled", "deleted", "may"),
    [
        (("login", "read"), True, None, True),
        (("administer",), True, None, True),
        (("login", "read"), False, None, False),
        (("login", "read"), True, 5, False),
        (("read", "export"), True, None, False),
        (("audit",), True, None, False),
        (("none",), True, None, False),
        ((), True, None, False),
    ],
)
def test_who_may_log_in(privileges: tuple[str, ...], enabled: bool, deleted: int | None, may: bool) -> None:
    user = User(9, "x", "x", privileges=privileges, enabled=enabled, deleted=deleted)
    assert users_rights.may_log_in(user) is may


@pytest.mark.parametrize(
    ("privileges", "reads", "expected"),
    [
        (("login", "read"), (), ()),
        (("login",), ("ben",), ("ben",)),
        (("login", "audit"), (), ("@catchall", "ann", "ben")),
        (("administer",), (), ("@catchall",)),
        (("administer",), ("ann", "x"), ("@catchall", "ann")),
        (("audit", "administer"), ("ben",), ("@catchall", "ann", "ben")),
    ],
)
def test_whose_archives_somebody_reads(privileges: tuple[str, ...], reads: tuple[str, ...], expected: tuple[str, ...]) -> None:
    user = User(9, "x", "x", privileges=privileges, reads=reads)
    assert users_rights.readable(user, (*USERS, user)) == expected


def test_an_auditor_reads_the_own_archive_without_a_grant() -> None:
    auditor = dataclasses.replace(ANN, privileges=("audit",))
    assert users_rights.readable(auditor, USERS) == ("@catchall", "ben")
    assert users_rights.holds(auditor.privileges, "read")


def test_an_administrator_reads_no_catchall_that_is_not_there() -> None:
    assert users_rights.readable(dataclasses.replace(ANN, privileges=("administer",)), (ANN, LEFT)) == ()


def test_unsound_privileges_are_refused() -> None:
    with pytest.raises(InputError, match=r"privileges of ann: none stands beside others"):
        users_rights.refuse_unsound(("none", "read"), "privileges of ann")
    with pytest.raises(InputError, match=r"privileges: 'admin' is no privilege\. Give some of login, read, export, archive"):
        users_rights.refuse_unsound(("login", "admin"))
    for sound in (("none",), ("none", "none"), (), users_rights.PRIVILEGES[:-1]):
        users_rights.refuse_unsound(sound)


def test_a_grant_names_somebody_who_is_there() -> None:
    users_rights.refuse_unknown({"ann": ("ben",), "x": ()}, {"ann", "ben"})
    with pytest.raises(UserPlanError, match=r"the user ann: reads names bob, zoe, and no archive user is called so") as caught:
        users_rights.refuse_unknown({"ann": ("zoe", "ben", "bob")}, {"ann", "ben"})
    assert caught.value.details == {"users": ["ann"]}
