# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a report from runs that took place: messages that fail, users and mailboxes that do not match, odd names."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import growth, info
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_module import outcome_of
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

Facts = dict[str, t.Any]
NOW = 1_800_000_000
JOURNAL = "archive@example.com"
RTL = "\u05ea\u05d9\u05e7\u05d9\u05d9\u05d4 \u202eeman"
ODD = ("<script>alert('1')</script>", "a \"b\" & 'c'</td>", RTL, "L" + "o" * 198 + "g", "x\x01y", "a/b~c")
TEMPLATE = str(Path(__file__).parents[4] / "templates" / "report.html.j2")
FINE: Facts = {"failures": [], "changed": False, "unreachable": False}


def archive_of(folder: Path) -> Archive:
    """An archive after three runs: a first one, one with trouble, and one that finds it still there."""
    servers = FakeServers(folder / "imap.log")
    archive = Archive(folder / "archive", servers)
    for name in ("alice", "bob", "carol"):
        archive.user(f"{name}@example.com")
        servers.folder("mail1", f"{name}@example.com").add(*map(mail, range(3)))
    for number, name in enumerate(ODD):
        servers.folder("mail1", "alice@example.com", name).add(*(mail(10 * number + n) for n in range(number + 1)))
    servers.folder("mail1", JOURNAL).add(mail(70), mail(71, to="x@example.com"), mail(72, to="y@example.org"))
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [MULTIPLE, multidrop()]
    archive.run()
    servers.folder("mail1", "alice@example.com", ODD[0]).add(mail(80))
    servers.hosts["mail1"]["alice@example.com"][ODD[0]].bad = {2}
    servers.folder("mail1", "bob@example.com", "Closed").add(mail(90)).refuse = "NO it is <b>closed</b>"
    archive.user("dora@example.com")
    archive.run(quarantine_after=1)
    return archive


def result_of(archive: Archive, **more: t.Any) -> Facts:
    """What archive_run returns of another run."""
    report = archive.run(**more)
    outcome = growth.told(outcome_of(report, True), str(archive.root), 0, 30, {"all mailboxes", "journal"})
    return {**outcome["data"], "msg": outcome["msg"], "warnings": outcome["warnings"]}


def facts_of(archive: Archive, **more: t.Any) -> Facts:
    """Servers of which some failed, and an archive host beside one that was not reached."""
    result = result_of(archive)
    held, _ = info.read(str(archive.root), 30, 0)
    down = "mail2: nothing answers at 192.0.2.1:4040. Start the server, and run again."
    reached = {"name": "mail1", "access": "IMAP-SSL", "api_verified": True, "imap_verified": True}
    keeper = {
        **FINE,
        "failures": [f"{one['where']}: {one['message']}" for one in result["run"]["errors"]],
        "changed": True,
        "result": result,
        "archive": held,
        "users": {"left_out": [JOURNAL, "spam@example.com"], "would_leave": [{"name": "carol@example.com", "why": "has gone"}]},
    }
    return {
        "playbook": "site",
        "check": False,
        "started": NOW - 100,
        "finished": NOW,
        "servers": {
            "mail1": {**FINE, **reached, "changed": True},
            "mail2": {**FINE, **reached, "failures": [down], "imap_verified": False, "name": "mail2"},
            "mail3": {**FINE, **reached, "access": "IMAP", "name": "mail3"},
        },
        "archive_hosts": {
            "archive1.example.com": keeper,
            "away/1": {**FINE, "failures": ["away/1: No route to host"], "unreachable": True},
        },
        **more,
    }


def crowd(facts: Facts, count: int, folders: int) -> Facts:
    """The same with so many mailboxes in the first profile, each with so many folders in which something happened."""
    keeper = facts["archive_hosts"]["archive1.example.com"]
    profile = keeper["result"]["profiles"][0]
    sample = next(one for one in profile["mailboxes"] if one["new"] == 0 and one["folders"])
    happened = [{**sample["folders"][0], "name": f"Folder {number}", "new": number + 1} for number in range(folders)]
    boxes = [{**sample, "mailbox": f"user{number}@example.com", "new": number, "folders": happened} for number in range(count)]
    passes = [{**keeper["archive"]["mailboxes"][0], "mailbox": one["mailbox"], "succeeded": NOW} for one in boxes]
    archive = {**keeper["archive"], "mailboxes": passes}
    result = {**keeper["result"], "profiles": [{**profile, "mailboxes": boxes}]}
    return {**facts, "archive_hosts": {"archive1.example.com": {**keeper, "result": result, "archive": archive}}}
