# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive_users does: options to a wish, the wish to a plan, the plan into the catalog."""

from __future__ import annotations

import contextlib
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    filesystem,
    layout,
    store_lock,
    users,
    users_hold,
    users_rights,
    users_wish,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError

_AS_GIVEN = ("directories", "users", "rights", "user_name", "delete", "delete_limit", "delete_limit_share")


def wish(options: t.Mapping[str, t.Any]) -> users.Wish:
    """The wish that the module's options declare; raises InputError."""
    reused = options["reused_names"] or {}
    rules = users_wish.REUSED_RULES
    for name, rule in reused.items():
        if rule not in rules:
            raise InputError(f"reused_names of {name}", f"{rule!r} is no rule", f"Give one of {', '.join(rules)}")
    users_rights.refuse_unsound(options["default_privileges"], "default_privileges")
    for name, most in (("delete_limit", None), ("delete_limit_share", 100)):
        if options[name] < 0 or (most is not None and options[name] > most):
            raise InputError(name, f"{options[name]} cannot be", f"Give a number from 0{f' to {most}' if most else ''}")
    gone, elsewhere = options["gone"] or {}, options["elsewhere"] or {}
    return users.Wish(
        **{name: options[name] for name in _AS_GIVEN},
        scope=_scope(options["scope"] or {}),
        not_users=_lower(options["not_users"]),
        default_privileges=tuple(options["default_privileges"]),
        gone=users.Gone(_lower(gone.get("domains")), frozenset(gone.get("servers") or ())),
        unread=frozenset(options["unread"]),
        elsewhere=users_wish.Elsewhere(
            frozenset(elsewhere.get("servers") or ()),
            tuple((frozenset(one.get("servers") or ()), _declared(one)) for one in elsewhere.get("scopes") or ()),
        ),
        home_servers={name.lower(): str(server) for name, server in (options["home_servers"] or {}).items()},
        reused_names={name.lower(): rule for name, rule in reused.items()},
    )


def _declared(given: t.Mapping[str, t.Any]) -> users.Scope:
    """The scope of another archive host as that one reads it: a string, too, stands for names with commas between."""
    lists = {key: given.get(key) or [] for key in ("domains", "groups", "users")}
    names = {key: some.split(",") if isinstance(some, str) else some for key, some in lists.items()}
    return _scope({key: [str(name).strip() for name in some] for key, some in names.items()})


def _scope(given: t.Mapping[str, t.Any]) -> users.Scope:
    return users.Scope(*(_lower(given.get(key)) for key in ("domains", "groups", "users")))


def synchronise(root: str, desired: users.Wish, *, check_mode: bool, owner: str = "") -> users.UserPlan:
    """Plan the users of the archive and, unless in check mode, write the plan. It does not wait for a run: one short transaction.

    Of two at the same time one waits for the other: it would plan from users that are not those of the archive any more.
    ``owner``: who has it done, for the ledger. Of a plan that is refused nothing is written, except that users whose name
    somebody else has now cannot log in until the operator has decided (users_hold).
    """
    if check_mode and not Path(root, layout.CATALOG_FILE).exists():
        return users.plan_users(root, desired, [])  # archive_store would make the archive before
    filesystem.check_archive(root)
    with contextlib.nullcontext() if check_mode else store_lock.turn(root), Catalog.of(root, readonly=check_mode) as catalog:
        current = catalog.users(deleted=True)
        try:
            plan = users.plan_users(root, desired, current, int(time.time()))
        except UserPlanError as error:
            held = users_hold.steps_of(error, current)
            if held and not check_mode:
                catalog.apply_users(held, owner)
            raise users_hold.told(error, current, held, written=not check_mode) from error
        if plan.steps and not check_mode:
            catalog.apply_users(plan.steps, owner)
        return plan


def _lower(names: t.Iterable[str] | None) -> frozenset[str]:
    return frozenset(name.lower() for name in names or ())
