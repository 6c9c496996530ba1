# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that Dovecot reads about users and rights, rendered from accounts. Pure: no I/O.

``users`` (who may log in), ``owners`` (where each archive lies), ``acl`` and ``shared-mailboxes`` (who reads and lists what) and
``logins.lua`` (whom to ask Kerio for). ``docs/access.md`` says how they work together.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_names import in_lua, in_passwd_file
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_users import Account
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import INTEGRATED, KERIO

USERS, OWNERS, ACL, SHARED, LOGINS = "users", "owners", "acl", "shared-mailboxes", "logins.lua"
ACL_OF_AUDITORS = "acl-of-auditors"
PREFIX = "Archives/"
GROUP = "auditors"
HEAD = "Made by mailops.kerio.archive_access from the catalog; changes are lost"
SCHEME = "{ARGON2ID}"
ASK_KERIO = "nopassword=y noauthenticate=y"  # exists, and the next passdb decides
_READ = "lr"

# What each person who may log in has, by key.
People = dict[str, dict[str, t.Any]]


def render(accounts: t.Sequence[Account], hashes: t.Mapping[str, str], homes: str, live: str) -> dict[str, str]:
    """File name -> text.

    ``hashes``: argon2id hashes by key; ``homes``: the directory of homes, named after user ids; ``live``: that of the files.
    """
    by_key = sorted(accounts, key=lambda account: account.key)
    return {
        USERS: _lines(f"# {HEAD}", *(users_line(account, hashes) for account in by_key if account.way)),
        OWNERS: _lines(f"# {HEAD}", *(line for account in by_key for line in owner_lines(account, homes, live))),
        ACL: _lines(f"# {HEAD}", *_acl(by_key)),
        ACL_OF_AUDITORS: _lines(f"# {HEAD}", *_acl([account for account in by_key if account.audits])),
        SHARED: _lines(*_shared(by_key)),
        LOGINS: _logins(by_key),
    }


def users_line(account: Account, hashes: t.Mapping[str, str]) -> str:
    """The line of a person who may log in. A hash is final; without one, the next passdb asks Kerio."""
    user = in_passwd_file(account.key)
    if account.way == INTEGRATED:
        return f"{user}:{SCHEME}{hashes[account.key]}::::::"
    return f"{user}:::::::{ASK_KERIO}"


def hashes_in(text: str) -> dict[str, str]:
    """The argon2id hashes in a users file, by the first field of their lines."""
    fields = (line.split(":", 2) for line in text.splitlines())
    return {field[0]: field[1].removeprefix(SCHEME) for field in fields if len(field) > 2 and field[1].startswith(SCHEME)}


def audits(live: str) -> str:
    """What an auditor's line says besides. Dovecot reads all rights anew for each archive that is listed: a short file for who
    lists all of them.
    """
    return f"userdb_acl_groups={GROUP} userdb_acl=vfile:{live}/{ACL_OF_AUDITORS}"


def owner_lines(account: Account, homes: str, live: str) -> list[str]:
    """The home of an archive under its label, and, where that differs, under what the person logs in with."""
    groups = audits(live) if account.audits else ""
    home = f"{homes}/{account.id}"
    lines = [f"{in_passwd_file(account.label)}:::::{home}::{groups if account.label == account.key else ''}"]
    if account.way and account.label != account.key:
        lines.append(f"{in_passwd_file(account.key)}:::::{home}::{groups}")
    return lines


def _acl(accounts: t.Sequence[Account]) -> t.Iterator[str]:
    """Rights on names as the reader sees them. A line of a user counts for more than one of the owner or of a group.

    A line for the top of an archive is the default of all its folders - but not where ``*`` says something about that user.
    """
    yield f"* owner {_READ}"
    yield f"{PREFIX}* group={GROUP} {_READ}"
    for account in accounts:
        who = f'"user={account.key}"'
        if account.way and not account.own:
            yield f"* {who}"
        for label in account.reads:
            yield _granted(account.key, label)
            if not account.own:
                yield f'"{PREFIX}{label}/*" {who} {_READ}'


def _shared(accounts: t.Sequence[Account]) -> t.Iterator[str]:
    """What LIST shows; it gives no right. Keys and values take turns, line by line."""
    groups = [GROUP] if any(account.audits for account in accounts) else []
    for kind, name, labels in (
        *(("group", group, [account.label for account in accounts]) for group in groups),
        *(("user", account.key, account.reads) for account in accounts),
    ):
        for label in labels:
            yield from _listed(kind, name, label)


def grant(key: str, label: str) -> tuple[str, str]:
    """What stands in the files of rights and of lists for somebody who may read an archive."""
    return _lines(_granted(key, label)), _lines(*_listed("user", key, label))


def _granted(key: str, label: str) -> str:
    return f'"{PREFIX}{label}" "user={key}" {_READ}'


def _listed(kind: str, name: str, label: str) -> tuple[str, str]:
    return f"shared/shared-boxes/{kind}/{name}/{label}", "1"


def _logins(accounts: t.Sequence[Account]) -> str:
    rows = (
        f"{_login(account.key)}{{server = {in_lua(account.server)}, login = {in_lua(account.login)}}},"
        for account in accounts
        if account.way == KERIO
    )
    return _lines(f"-- {HEAD}", "return {", *rows, "}")


def rights(accounts: t.Sequence[Account], hashes: t.Mapping[str, str]) -> People:
    """What each person who may log in has, by key: to tell who has lost something since. ``by`` changes with the password.

    Archives are told with their ids, because a label may be that of another archive tomorrow.
    """
    homes = {account.label: account.id for account in accounts}
    return {
        account.key: {
            "home": account.id,
            "way": account.way,
            "kerio": f"{account.login} on {account.server}" if account.way == KERIO else "",
            "own": account.own,
            "audits": account.audits,
            "reads": [f"{label} ({homes[label]})" for label in account.reads],
            "by": hashlib.sha256(users_line(account, hashes).encode("utf-8", "surrogatepass")).hexdigest()[:16],
        }
        for account in accounts
        if account.way
    }


def lost(before: People, after: People) -> list[str]:
    """The keys of those who may do less than before, or who prove otherwise who they are: their sessions have to end."""
    return sorted(key for key, had in before.items() if key not in after or _less(had, after[key]))


def _less(had: t.Mapping[str, t.Any], has: t.Mapping[str, t.Any]) -> bool:
    other = any(had.get(part) != has[part] for part in ("home", "way", "kerio", "by"))
    revoked = any(had.get(part) and not has[part] for part in ("own", "audits"))
    # Who audits now reads what was granted before all the same.
    ungranted = not has["audits"] and bool(set(had.get("reads", ())) - set(has["reads"]))
    return other or revoked or ungranted


def narrowed(text: str, same: t.Container[str]) -> str:
    """A users file with the lines of ``same`` alone (first fields, as they stand there)."""
    return _lines(*(line for line in text.splitlines() if line.startswith("#") or line.split(":", 1)[0] in same))


def narrowed_logins(text: str, same: t.Iterable[str]) -> str:
    """The same for logins.lua, by keys: whom Kerio is being asked about is looked up there once more before a session begins."""
    kept = tuple(_login(key) for key in same)
    return _lines(*(line for line in text.splitlines() if not line.startswith("  ") or line.startswith(kept)))


def _login(key: str) -> str:
    return f"  [{in_lua(key)}] = "


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
