# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive_users does: options to a wish, the wish to a plan, the plan into the catalog."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout, users
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError

RULES = ("adopt", "separate")


def wish(options: t.Mapping[str, t.Any]) -> users.Wish:
    """The wish that the module's options declare; raises InputError."""
    reused = options["reused_names"] or {}
    for name, rule in reused.items():
        if rule not in RULES:
            raise InputError(f"reused_names of {name}", f"{rule!r} is no rule", f"Give one of {', '.join(RULES)}")
    privileges = options["default_privileges"]
    for what, listed in (("default_privileges", privileges), *((user["name"], user["privileges"]) for user in options["users"])):
        if "none" in (listed or ()) and len(listed) > 1:
            raise InputError(f"privileges of {what}", "none stands beside others", "Give none alone, or the others")
    scope = options["scope"] or {}
    return users.Wish(
        directories=options["directories"],
        users=options["users"],
        scope=users.Scope(_lower(scope.get("domains")), _lower(scope.get("groups"))),
        user_name=options["user_name"],
        not_users=_lower(options["not_users"]),
        default_privileges=tuple(privileges),
        delete=options["delete"],
        reused_names=reused,
    )


def synchronise(root: str, desired: users.Wish, *, check_mode: bool, owner: str = "") -> users.UserPlan:
    """Plan the users of the archive and, unless in check mode, write the plan. Takes no lock: one short transaction.

    ``owner``: who has it done, for the ledger.
    """
    if check_mode and not Path(root, layout.CATALOG_FILE).exists():
        return users.plan_users(root, desired, [])  # archive_store would make the archive before
    filesystem.check_root(root)
    if not filesystem.check_format(root):
        raise StoreError(root, "it holds no archive", "Create the archive with archive_store, or mount its disk")
    with Catalog.of(root, readonly=check_mode) as catalog:
        plan = users.plan_users(root, desired, catalog.users(deleted=True))
        if plan.steps and not check_mode:
            catalog.apply_users(plan.steps, owner)
        return plan


def _lower(names: t.Iterable[str] | None) -> frozenset[str]:
    return frozenset(name.lower() for name in names or ())
