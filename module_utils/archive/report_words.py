# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in words: the outcome in a line, what to look at, and whether it is worth a mail. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

Data = dict[str, t.Any]

# What somebody should look at, the most urgent first: of one, and of several. All else in a report is for information.
ATTENTION = {
    "failed_messages": ("message could not be archived", "messages could not be archived"),
    "stale": ("mailbox was not archived for {}", "mailboxes were not archived for {}"),
    "unknown_addresses": ("address is unknown", "addresses are unknown"),
    "insecure": ("option is insecure", "options are insecure"),
    "warnings": ("warning was given", "warnings were given"),
}
ATTACHED = "The attached page tells each with its place, its cause and what to do."


def outcome(counts: Data) -> str:
    """``failed``, ``attention`` or ``ok``."""
    if counts["failures"]:
        return "failed"
    return "attention" if any(map(counts.__getitem__, ATTENTION)) else "ok"


def worth_a_mail(report: Data, when: str) -> bool:
    """Whether a mail is due: ``always``, on ``failures``, or on ``changes``, of which a failure is one."""
    counts = report["counts"]
    changed = any(counts[kind]["changed"] for kind in ("servers", "archive_hosts")) or counts["new"] or counts["deleted"]
    return when == "always" or report["outcome"] == "failed" or (when == "changes" and bool(changed))


def look(report: Data) -> list[str]:
    """What to look at beside failures, one line for each kind."""
    counts, days = report["counts"], counted(report["stale_days"], "day")
    return [f"{counts[key]:,} {words[counts[key] != 1].format(days)}" for key, words in ATTENTION.items() if counts[key]]


def sentence(report: Data) -> str:
    """The outcome in a line; of a run in which nothing failed also the first of what to look at."""
    counts = report["counts"]
    kinds = [(counts[kind], noun) for kind, noun in (("servers", "server"), ("archive_hosts", "archive host"))]
    failed = [_of_all(count["failed"], count["all"], noun) for count, noun in kinds if count["failed"]]
    fine = [counted(count["all"], noun) for count, noun in kinds[report["playbook"] != "site" :] if count["all"]]
    text = f"{' and '.join(failed)} failed" if failed else f"{' and '.join(fine) or 'no host'} ok"
    text = f"{text[0].upper()}{text[1:]}, {_archived(report)}"
    first, *others = [""] if failed else look(report) or [""]
    return f"{text}, but {first}{' and more' if others else ''}" if first else text


def _of_all(count: int, total: int, noun: str) -> str:
    return f"the {noun}" if total == 1 else f"{count:,} of {counted(total, noun)}"


def _archived(report: Data) -> str:
    counts, hosts = report["counts"], report["archive_hosts"].values()
    verb = "would be archived" if report["check"] else "archived"
    if any(host["run"] for host in hosts):
        return f"{counted(counts['new'], 'new message')} {verb}" if counts["new"] else f"nothing new {verb}"
    if any(host["archive"].get("totals") for host in hosts):
        return f"{counted(counts['objects'], 'message')} in the archive"
    return f"nothing {verb}" if report["playbook"] == "site" else "no archive could be read"


def mail_text(report: Data, summary: str) -> str:
    """The text of a mail, which is all that most people read: the summary, and what to look at beside failures."""
    found = look(report)
    beside = (
        [f"{'Also to' if report['counts']['failures'] else 'To'} look at:", *(f"  {line}" for line in found), ""] if found else []
    )
    last = [ATTACHED] if report["outcome"] != "ok" else []
    return "\n".join([summary or sentence(report), "", *beside, *last]).rstrip() + "\n"
