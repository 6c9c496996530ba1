# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written as the report of a run, made of what its plays found out of each host. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import MULTIPLE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.report_words import outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import LISTED_ADDRESSES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_stuck import told_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.arguments import UNENCRYPTED, UNVERIFIED

Data = dict[str, t.Any]

VERSION = 1
RUNS = 30
HEAD = ("playbook", "check", "started", "finished")
# What a folder must have of one of these to be told of; the messages of all others are known, and nothing is to be said of them.
EVENTS = ("new", "copies", "excluded", "left", "failed", "quarantined", "gone", "deleted", "refiled", "spared", "error", "notes")
UNVERIFIED_API = (
    "The certificate of the administration of {} is not verified (kerio_connect_validate_certs is false): anybody between can"
    " read the administrator's password"
)
# What makes a mailbox one to look at, beside a message in quarantine that nobody knows of, and a folder that could not be read.
TROUBLE = ("error", "blocked", "failed")
NO_USER = "is an account of the server and no archive user: excluded, or outside the scope of the archive users"
_KEY = ("server", "mailbox", "folder", "uidvalidity", "uid")
# What a server's mailboxes are told with.
_READ = ("mailboxes", "troubled", "new", "known", "bytes")


def report_of(facts: Data, stale_days: int) -> Data:
    """The whole report; raises InputError. ``facts``: see ``archive_report``; ``stale_days``: when a mailbox is told of."""
    missing = [key for key in HEAD if key not in facts]
    wrong = [key for key in ("servers", "archive_hosts") if not isinstance(facts.get(key) or {}, dict)]
    if missing or wrong:
        cause = f"{', '.join(missing)} is missing" if missing else f"{', '.join(wrong)} is no dictionary of hosts"
        raise InputError("facts", cause, "Give what playbooks/vars/summary.yml puts together")
    if facts["playbook"] != "site" and not facts.get("archive_hosts"):
        raise InputError("facts", "no archive host was looked at", "Name one in the inventory, and do not --limit it away")
    finished = int(facts["finished"])
    servers = {name: _server(name, one) for name, one in (facts.get("servers") or {}).items()}
    if facts["playbook"] != "site":  # which looks at no server
        servers = {name: one for name, one in servers.items() if one["failures"] or one["insecure"]}
    hosts = {name: _archive_host(one, finished, stale_days) for name, one in (facts.get("archive_hosts") or {}).items()}
    read = _by_server(hosts)
    for name, server in servers.items():
        server.update(read.get((facts["servers"][name]).get("name") or name, dict.fromkeys(_READ, 0)))
    insecure = {text for server in servers.values() for text in server["insecure"]}
    for host in hosts.values():
        host["warnings"] = [text for text in host["warnings"] if text not in insecure]
    head = {key: facts[key] for key in HEAD}
    counts = _counts(servers, hosts)
    return {
        "version": VERSION,
        **head,
        "stale_days": stale_days,
        "outcome": outcome(counts),
        "counts": counts,
        "servers": servers,
        "archive_hosts": hosts,
    }


def _server(name: str, facts: Data) -> Data:
    own = facts.get("name") or name
    insecure = []
    if not facts.get("api_verified", True):
        insecure.append(UNVERIFIED_API.format(name))
    if facts.get("access") == "IMAP":
        insecure.append(UNENCRYPTED.format(own))
    elif not facts.get("imap_verified", True):
        insecure.append(UNVERIFIED.format(own))
    return {**_state(facts), "insecure": insecure}


def _state(facts: Data) -> Data:
    told = {"changed": bool(facts.get("changed")), "unreachable": bool(facts.get("unreachable"))}
    return {"failures": [str(text) for text in facts.get("failures") or []], **told}


def _archive_host(facts: Data, finished: int, stale_days: int) -> Data:
    result = facts.get("result") or {}
    archive = dict(facts.get("archive") or {})
    run = dict(result.get("run") or {})
    profiles = result.get("profiles") or run.get("profiles") or []
    run.pop("profiles", None)
    runs, forecast = archive.pop("runs", []), archive.pop("forecast", {})
    told = {"msg": result.get("msg") or archive.pop("msg", ""), "forecast": result.get("forecast") or forecast}
    # In check mode, or when nothing was archived, nobody has asked the archive.
    archive = {key: value for key, value in archive.items() if key in _ARCHIVE}
    stuck = _with_acknowledged(archive.pop("failed_messages", []), facts.get("acknowledged") or [])
    quiet = _quiet(stuck)
    unknown, unknown_count = archive.pop("unknown_addresses", None), archive.pop("unknown_addresses_count", 0)
    unknown = unknown or _unknown(profiles)
    unknown_count = max(len(unknown), unknown_count, *(profile.get("unknown_address_count", 0) for profile in profiles), 0)
    state = _state(facts)
    return {
        **state,
        "message_failures": told_of(state["failures"], [one for one in stuck if not one["acknowledged"]]),
        **told,
        "holder": result.get("holder") or "",
        "run": run,
        "profiles": [_profile(profile, quiet) for profile in profiles],
        "warnings": [str(text) for text in result.get("warnings") or []],
        "growth": [_grown(one) for one in reversed(runs[:RUNS])],
        "archive": archive,
        "failed_messages": stuck,
        "failed_messages_count": _waiting(stuck, archive.get("states", {})),
        "unknown_addresses": unknown,
        "unknown_addresses_count": unknown_count,
        "stale": _stale(archive.get("mailboxes", []), finished, stale_days),
        **_unmatched(archive, facts.get("users") or {}),
    }


_ARCHIVE = (
    *("totals", "states", "receipts", "unknown_addresses", "unknown_addresses_count", "failed_messages", "mailboxes"),
    *("users_without_mailbox", "users_without_mailbox_count", "mailboxes_without_user", "mailboxes_without_user_count"),
)


def _profile(profile: Data, quiet: t.Container[tuple[str, str]]) -> Data:
    return {**profile, "mailboxes": [_mailbox(one, quiet) for one in profile.get("mailboxes") or []]}


def _mailbox(mailbox: Data, quiet: t.Container[tuple[str, str]]) -> Data:
    folders = mailbox.get("folders") or []
    told = [_without_zeros(one) for one in folders if any(map(one.get, EVENTS))]
    quarantined = mailbox.get("quarantined") and (mailbox["server"], mailbox["mailbox"]) not in quiet
    troubled = quarantined or any(map(mailbox.get, TROUBLE)) or any(one.get("error") for one in told)
    return {**mailbox, "folders": told, "folders_count": len(folders), "troubled": bool(troubled)}


def _by_server(hosts: dict[str, Data]) -> dict[str, Data]:
    """What was read of each server by all archive hosts, by the name that profiles know it by."""
    found: dict[str, Data] = {}
    for mailbox in (one for host in hosts.values() for profile in host["profiles"] for one in profile["mailboxes"]):
        server = found.setdefault(mailbox["server"], dict.fromkeys(_READ, 0))
        server["mailboxes"] += 1
        for key in _READ[1:]:
            server[key] += mailbox[key]
    return found


def _without_zeros(folder: Data) -> Data:
    """A first run has news of tens of thousands of folders, and of each two or three figures say something."""
    return {key: value for key, value in folder.items() if value or key == "name"}


def _grown(run: Data) -> Data:
    """What a run added to the archive; an import and a run that failed tell the same two figures."""
    summary = run.get("summary") or {}
    figures = {key: int(summary.get(key) or 0) for key in ("objects", "stored_bytes")}
    return {**{key: run[key] for key in ("id", "started", "finished", "outcome")}, **figures}


def _with_acknowledged(messages: t.Sequence[Data], acknowledged: t.Sequence[Data]) -> list[Data]:
    known = {_key(one) for one in acknowledged if isinstance(one, dict)}
    return [{**one, "acknowledged": one["state"] == "quarantined" and _key(one) in known} for one in messages]


def _key(message: Data) -> tuple[str, ...]:
    """What tells a message, however the operator wrote the address."""
    return tuple(str(message.get(key)).lower() if key == "mailbox" else str(message.get(key)) for key in _KEY)


def _quiet(stuck: t.Iterable[Data]) -> set[tuple[str, str]]:
    """The mailboxes of which the operator knows all messages that could not be archived."""
    quiet: set[tuple[str, str]] = set()
    loud: set[tuple[str, str]] = set()
    for one in stuck:
        (quiet if one["acknowledged"] else loud).add((one["server"], one["mailbox"]))
    return quiet - loud


def _waiting(listed: t.Sequence[Data], states: Data) -> int:
    """How many messages could not be archived, without those that the operator knows of. The list may be cut."""
    quiet = sum(1 for one in listed if one["acknowledged"])
    counted: int = states.get("failed", 0) + states.get("quarantined", 0)
    return max(len(listed), counted) - quiet


def _unknown(profiles: t.Iterable[Data]) -> list[Data]:
    counts: dict[str, int] = {}
    for profile in profiles:
        for one in profile.get("unknown_addresses") or []:
            counts[one["address"]] = counts.get(one["address"], 0) + one["messages"]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"address": address, "messages": messages} for address, messages in ordered[:LISTED_ADDRESSES]]


def _stale(mailboxes: t.Iterable[Data], now: int, days: int) -> list[Data]:
    """Mailboxes that no run went through to its end for so many days, those first that none ever did."""
    found = []
    for one in mailboxes:
        age = None if one["succeeded"] is None else (now - one["succeeded"]) // DAY
        if age is None or age >= days:
            found.append({key: one[key] for key in ("profile", "server", "mailbox", "tried", "succeeded")} | {"days": age})
    return sorted(found, key=lambda one: (one["succeeded"] or 0, one["server"], one["mailbox"]))


def _unmatched(archive: Data, users: Data) -> Data:
    """Archive users without a mailbox and mailboxes without a user: what the catalog says, and what the directories do."""
    leaving = [{"user": one["name"], "server": "", "why": one["why"]} for one in users.get("would_leave") or []]
    leavers = {one["user"] for one in leaving}
    lacking = [one for one in archive.pop("users_without_mailbox", []) if one["user"] not in leavers]
    # The archive mailbox is nobody's on purpose.
    named = {one["mailbox"].lower() for one in archive.get("mailboxes", []) if one["method"] != MULTIPLE}
    lost = archive.pop("mailboxes_without_user", [])
    known = {one["mailbox"].lower() for one in lost} | named
    accounts = [name for name in users.get("left_out") or [] if name.lower() not in known]
    counted = archive.pop("users_without_mailbox_count", 0), archive.pop("mailboxes_without_user_count", 0)
    return {
        "users_without_mailbox": leaving + lacking,
        "users_without_mailbox_count": max(counted[0], len(leaving) + len(lacking)),
        "mailboxes_without_user": lost + [{"server": "", "mailbox": name, "why": NO_USER} for name in accounts],
        "mailboxes_without_user_count": max(counted[1], len(lost)) + len(accounts),
    }


def _counts(servers: dict[str, Data], hosts: dict[str, Data]) -> Data:
    def total(key: str, where: t.Callable[[Data], Data]) -> int:
        return sum(where(host).get(key, 0) for host in hosts.values())

    def listed(key: str) -> int:
        return sum(len(host[key]) for host in hosts.values())

    read = [len(profile["mailboxes"]) for host in hosts.values() for profile in host["profiles"]]
    known = [len(host["archive"].get("mailboxes", [])) for host in hosts.values()]
    counted = ("failed_messages", "unknown_addresses", "users_without_mailbox", "mailboxes_without_user")
    return {
        "servers": _by_state(servers),
        "archive_hosts": _by_state(hosts),
        "failures": sum(len(one["failures"]) for one in (*servers.values(), *hosts.values())),
        **{key: total(key, lambda host: host["run"]) for key in ("new", "copies", "known", "deleted", "bytes")},
        "mailboxes": sum(read) if any(host["run"] for host in hosts.values()) else sum(known),
        **{key: total(f"{key}_count", lambda host: host) for key in counted},
        **{key: listed(key) for key in ("stale", "warnings")},
        "insecure": sum(len(server["insecure"]) for server in servers.values()),
        **{key: total(key, lambda host: host["archive"].get("totals", {})) for key in ("objects", "users")},
    }


def _by_state(hosts: dict[str, Data]) -> Data:
    failed = sum(1 for host in hosts.values() if host["failures"])
    changed = sum(1 for host in hosts.values() if host["changed"] and not host["failures"])
    return {"all": len(hosts), "failed": failed, "changed": changed, "ok": len(hosts) - failed - changed}
