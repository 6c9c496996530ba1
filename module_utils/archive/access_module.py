# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive_access does: the catalog's users as accounts, their files, the difference, and the difference into force."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    access_apply,
    access_files,
    access_names,
    access_passwords,
    access_state,
    access_users,
    filesystem,
    layout,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import INTEGRATED
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

# What Dovecot's configuration and its passwd-files would read as something else.
_STATE = re.compile(r"/[\w@./+,-]+\Z", re.ASCII)

_HIDDEN = (
    "cannot open their own folder Archives, because the archives of others are shown under that name. Give the profile that fills"
    " it another target_folder"
)


def declare(options: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Do what the module's options say; returns the fields of its outcome."""
    wanted, warnings = _wanted(options, check_mode=check_mode)
    difference = access_apply.compare(wanted)
    plan = access_apply.shown(wanted, difference)
    done = access_apply.Done()
    if difference.changed and not check_mode:
        done = access_apply.apply(wanted, difference, kick=options["kick"])
    msg = plan.sentence("access", check_mode)
    if done.kicked:
        msg += f"; sessions ended of {', '.join(done.kicked)}"
    return {
        "changed": difference.changed,
        "msg": msg,
        "diff": plan.diff(),
        "warnings": warnings,
        "data": {
            "plan": plan.counts(),
            "archives": len(wanted.accounts),
            "people": len(wanted.people),
            "kicked": done.kicked,
            "reloaded": done.reloaded,
            "running": done.running,
        },
    }


def _wanted(options: t.Mapping[str, t.Any], *, check_mode: bool) -> tuple[access_apply.Wanted, list[str]]:
    state = Path(options["state_dir"])
    if not _STATE.match(str(state)) or ".." in state.parts:
        cause = f"{str(state)!r} cannot stand in the files of Dovecot"
        raise InputError("state_dir", cause, "Give an absolute path of letters, digits and the signs . _ - + , @ /")
    rights = access_state.rights_of(options["owner"], options["group"], options["mail_user"])
    passwords = _passwords(options["passwords"] or {})
    accounts, warnings = access_users.decide(_users(options["root"], check_mode=check_mode), list(passwords))
    if hidden := access_state.with_hidden_folder(options["root"], accounts):
        warnings.append(access_users.sentence([account.name for account in hidden], _HIDDEN))
    in_use = access_files.hashes_in(access_state.read(state / access_state.LIVE / access_files.USERS) or "")
    integrated = {account.key for account in accounts if account.way == INTEGRATED}
    hashes = access_passwords.hashes(
        {key: password for key, password in passwords.items() if key in integrated},
        {key: in_use[field] for key in integrated if (field := access_names.in_passwd_file(key)) in in_use},
    )
    files = access_files.render(accounts, hashes, f"{state}/{access_state.HOMES}", f"{state}/{access_state.LIVE}")
    wanted = access_apply.Wanted(
        root=options["root"],
        state=state,
        rights=rights,
        accounts=accounts,
        files=files,
        candidates=access_apply.read_candidates(state, files, check_mode=check_mode),
        people=access_files.rights(accounts, hashes),
    )
    return wanted, warnings


def _passwords(given: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The passwords by key. Names that Dovecot takes for the same must not have two."""
    found: dict[str, str] = {}
    for name, password in given.items():
        key = access_names.key(str(name))
        if key in found:
            raise InputError(f"the password of {name}", "it is given twice, in upper and in lower case", "Take one of them out")
        if not isinstance(password, str):
            raise InputError(f"the password of {name}", "it is no text", "Put it in quotes")
        found[key] = password
    return found


def _users(root: str, *, check_mode: bool) -> list[User]:
    """All users of the archive, leavers too. In check mode on a fresh host there is none yet."""
    if check_mode and not Path(root, layout.CATALOG_FILE).exists():
        return []
    filesystem.check_archive(root)
    with job_account.owning(Path(root).stat().st_uid), Catalog.of(root, readonly=True) as catalog:
        return catalog.users(deleted=True)
