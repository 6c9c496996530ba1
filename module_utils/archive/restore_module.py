# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_restore`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import MASTER, Server, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_filter import instant
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_secrets import (
    master_passwords,
    secrets_in,
    without_secrets,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore import Restore, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets, endpoint_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments
from ansible_collections.mailops.kerio.plugins.module_utils.imap.client import refuse_without_library

JOB = "archive_restore"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
# Of the options, what makes one restore another than the next; no secrets.
_ABOUT = (
    *("root", "user", "mailboxes", "folders", "exclude_folders", "since", "before", "digests", "message_ids"),
    *("server", "mailbox", "target_folder", "credentials", "read_back", "by", "fail_on_errors"),
)

Data = dict[str, t.Any]


def secrets_of(params: Data) -> list[str]:
    """Every password in the module's parameters."""
    return [*secrets_in(params["servers"]), *([params["password"]] if params["password"] else [])]


def wish_of(params: Data) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    servers = parse_servers(params["servers"])
    masters, others = master_passwords(params["servers"])
    read_back = option_of(params, "read_back", whole(0, 100))
    return Wish(
        params["root"],
        params["user"],
        servers,
        Secrets(masters, {}, others),
        _choice(params),
        tuple(params["message_ids"]),
        params["server"] or "",
        params["mailbox"] or "",
        _password(params),
        read_back,
        params["by"] or params["job_owner"] or "",
    )


def _password(params: Data) -> str:
    """The password of the mailbox; "" for the master password of the server."""
    given = str(params["password"] or "")
    if params["credentials"] == MASTER:
        if given:
            raise InputError("password", "credentials is master, which needs none", "Leave it out, or say credentials: password")
        return ""
    if not given:
        raise InputError("password", "credentials is password, and there is none", "Give the password of the mailbox")
    return given


def _choice(params: Data) -> Choice:
    since, before = (None if params[key] is None else option_of(params, key, instant) for key in ("since", "before"))
    if since is not None and before is not None and since >= before:
        raise InputError("since", "it is not earlier than before, so no message could be chosen", "Give an earlier date")
    digests = [text.strip().lower().rpartition("/")[2] for text in params["digests"]]
    for text in digests:
        if not _DIGEST.match(text):
            raise InputError("digests", f"{text} is no digest", "Give 64 hexadecimal digits, or the path of an object")
    folder = params["target_folder"].strip("/")
    if not all(part.strip() for part in folder.split("/")) and folder:
        raise InputError("target_folder", f"{folder!r} has a part without a name", "Give names of folders joined by /")
    return Choice(
        tuple(params["mailboxes"]),
        tuple(params["folders"]),
        tuple(params["exclude_folders"]),
        since,
        before,
        frozenset(map(bytes.fromhex, digests)),
        folder,
    )


def warnings_of(servers: t.Mapping[str, Server], report: Report) -> list[str]:
    """What the operator must be told of the server that was restored to, and of the restore."""
    return [*arguments.warnings(endpoint_of(servers[report.server])), *report.warnings]


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    wish = wish_of(params)
    restore = functools.partial(_restore, wish, params["fail_on_errors"])

    def prepare() -> job.Work:
        require_zstandard()
        refuse_without_library()
        Store.open(wish.root).close()
        return restore

    if check_mode:
        prepare()
        return restore(Silent(), write=False)
    servers = without_secrets(params["servers"])
    about = {"servers": servers, **{key: params[key] for key in _ABOUT}}
    return job_outcome.follow(params, JOB, "The restore is under way", prepare, about, secrets_of(params))


def _restore(wish: Wish, fails: bool, reporter: Reporter, *, write: bool = True) -> Data:
    report = Restore(wish, reporter, write).run()
    return outcome_of(report, fails, warnings_of(wish.servers, report))


def outcome_of(report: Report, fails: bool, warnings: list[str]) -> Data:
    """The result; messages that are not in the mailbox fail the module at its end unless it is told not to."""
    return {
        "changed": bool(report.total("appended") or report.made),
        "msg": report.sentence(),
        "failed": bool(report.total("failed")) and fails,
        "warnings": warnings,
        "diff": report.diff(),
        "data": report.as_data(),
    }
