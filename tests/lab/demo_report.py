# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo says at its end: figures per run, what is not as promised, and the summary for a person."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from tests.lab.playbooks import ROOT, PlaybookRun

COUNTS = ("seen", "new", "known", "copies", "excluded", "left", "failed")


@dataclass(frozen=True)
class Expectation:
    """``messages``: the least that the first run must find; ``new_mails``: delivered before the third run."""

    messages: int
    new_mails: int


def totals(run: PlaybookRun) -> dict[str, t.Any]:
    """Return changed tasks, counts per profile and seconds of one run of site.yml."""
    changed = [{"host": task.host, "task": task.task, "action": task.action.rsplit(".", 1)[-1]} for task in run.changed()]
    profiles: dict[str, dict[str, int]] = {}
    for task in run.of("archive_run"):
        for profile in task.result["profiles"]:
            counts = profiles.setdefault(profile["name"], dict.fromkeys((*COUNTS, "bytes"), 0))
            for name in counts:
                counts[name] += profile[name]
    return {"changed": changed, "profiles": profiles, "seconds": round(run.seconds, 1)}


def all_profiles(run: dict[str, t.Any], count: str) -> int:
    """Return one count summed over the profiles of a run."""
    return sum(profile[count] for profile in run["profiles"].values())


def problems(report: dict[str, t.Any], expected: Expectation) -> list[str]:
    """Return one sentence for everything that is not as the demo promises."""
    runs, reader = report["runs"], report["reader"]
    first, second, third = runs
    found = []
    if all_profiles(first, "seen") < expected.messages:
        found.append(f"run 1 saw {all_profiles(first, 'seen')} messages, at least {expected.messages} are there")
    for number, run in enumerate(runs, start=1):
        if all_profiles(run, "failed"):
            found.append(f"run {number}: {all_profiles(run, 'failed')} messages failed")
    if second["changed"] or all_profiles(second, "new"):
        found.append(f"run 2 changed something although nothing had happened: {second['changed']}")
    if all_profiles(third, "new") != expected.new_mails:
        found.append(f"run 3 archived {all_profiles(third, 'new')} new messages instead of {expected.new_mails}")
    settings = [task for task in third["changed"] if task["action"] != "archive_run"]
    if len(settings) != 1:
        found.append(f"run 3 put {len(settings)} settings right instead of 1: {settings}")
    if reader["found"] != 1:
        found.append(f"{reader['user']} found {reader['found']} messages with {reader['words']!r} in the archive instead of 1")
    return found


def folder_size(folder: Path) -> int:
    """Return the bytes that the files of a folder take on disk, hard links counted once."""
    inodes = {status.st_ino: status.st_blocks * 512 for status in (path.lstat() for path in folder.rglob("*"))}
    return sum(inodes.values())


def run_line(number: int, run: dict[str, t.Any]) -> str:
    """Return one line of the summary's table."""
    counts = "".join(f"{all_profiles(run, name):>9,}" for name in ("seen", "new", "known", "copies", "failed"))
    return f"  run {number} {len(run['changed']):>9}{counts}{run['seconds']:>9.1f}"


def reading(reader: dict[str, t.Any]) -> list[str]:
    """Return who read the archive, and how to do the same."""
    return [
        f'{reader["user"]} logs in, finds {reader["found"]} message with "{reader["words"]}". By hand:',
        f"  openssl s_client -quiet -crlf -connect {reader['host']}:{reader['port']}",
        f"  a LOGIN {reader['user']} {reader['password']}",
    ]


def summary(report: dict[str, t.Any], servers: list[dict[str, t.Any]]) -> str:
    """Return the text that ends the demo; it fits a terminal of 24 lines by 80 columns."""
    archive = Path(report["archive"])
    shown = archive.relative_to(ROOT)
    users = sum(len(server["users"]) - 1 for server in servers)  # the archive mailbox is nobody's
    received = sum(profile["bytes"] for run in report["runs"] for profile in run["profiles"].values())
    lines = [
        "",
        f"==== Done in {report['seconds']:.0f} s: {len(servers)} servers, {users} users and an archive mailbox each",
        "",
        "          changed     seen      new    known   copies   failed  seconds",
        *[run_line(number, run) for number, run in enumerate(report["runs"], start=1)],
        "  changed: tasks that changed something; seen: messages on the servers, without",
        "  deleted, junk and drafts; new: archived by this run; known: archived before;",
        "  copies: what the archive mailbox has of messages that are archived already",
        "",
        f"  {received:,} bytes of mail read, {folder_size(archive):,} bytes on disk",
        "",
        "Look at it (build/lab.json says how to log in to the servers):",
        f"  ls {shown}/mail",
        f"  zstdcat {shown}/mail/alice*/alice*/INBOX/cur/* | more",
        f"  {shown.parent}/report.html in a browser: the report of the last run",
        *reading(report["reader"]),
        "Then change something in inventory/lab, and see what a run would do:",
        "  .venv/bin/ansible-playbook playbooks/site.yml --check --diff",
        "`make demo-stop` ends the lab; README.md goes on with your own servers.",
    ]
    lines += [f"PROBLEM: {problem}" for problem in report["problems"]]
    return "\n".join(lines)
