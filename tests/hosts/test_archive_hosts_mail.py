# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that is deleted on its server while the network goes, and a server that moves to another archive host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.hosts import midrun
from tests.hosts.converged import FirstRuns
from tests.hosts.fleet import DISK, Fleet
from tests.hosts.midrun import run_of
from tests.lab.dovecot import mailbox_name
from tests.lab.generate_load import Loader
from tests.lab.playbooks import PlaybookRun
from tests.lab.service import wait_until
from tests.unit.module_utils.archive import backup_steps

OLD, NEW = "archive1", "archive2"


def left_on_server(fleet: Fleet, server: str, user: dict[str, Any]) -> int:
    with fleet.inside(server), Loader(fleet.server(server).dovecot, mailbox_name(user["id"])) as loader:
        return loader.numbers("INBOX")["MESSAGES"]


def deleted_in_inbox(done: PlaybookRun) -> int:
    (profile,) = run_of(done, OLD).result["profiles"]
    (mailbox,) = profile["mailboxes"]
    return sum(folder["deleted"] for folder in mailbox["folders"] if folder["name"] == "INBOX")


def test_network_cut_while_archived_mail_is_deleted(fleet: Fleet) -> None:
    """The server carries out what it was told, but nobody hears of it; the next run finds out."""
    user = midrun.people(fleet, "kerio2")[0]
    profile = {"name": "dedicated", "method": "single_mailbox", "servers": ["kerio2"], "mailbox": user["address"]}
    profile |= {"target_user": user["address"], "credentials": "master", "delete": {"after_days": 0, "dedicated": True}}
    # Of two archive hosts that have the profile none may delete.
    extra = {"archive_profiles": [profile], "kerio_connect_archive_hosts": [OLD], "kerio_connect_imap_timeout": 5}
    mail = midrun.load(fleet, "kerio2", "deleted")
    there = left_on_server(fleet, "kerio2", user)
    before = midrun.job_id(fleet, OLD)
    playing = fleet.start_play("archive", limit=OLD, extra=extra)

    def deleting() -> bool:
        return midrun.job_id(fleet, OLD) != before and "deleted" in midrun.said(fleet, OLD)

    assert wait_until(lambda: deleting() or playing.process.poll() is not None, midrun.PATIENCE) and deleting(), playing.output()
    with midrun.frozen(fleet.machines["kerio2"], midrun.MAILBOXES):
        fleet.machines["kerio2"].cut()
        midrun.over(fleet, OLD)
        fleet.machines["kerio2"].mend()
    done = playing.wait()
    assert done.rc != 0
    (error,) = run_of(done, OLD).result["run"]["errors"]
    assert error["where"].startswith("kerio2 ")
    assert "what was deleted by then is found out by the next run" in error["message"]
    first = deleted_in_inbox(done)
    assert 0 < first < there
    assert midrun.everywhere_once(fleet, OLD, mail)
    again = fleet.play("archive", "verify", limit=OLD, extra=extra)
    assert again.rc == 0, again.output
    assert run_of(again, OLD).result["run"]["new"] == 0
    assert first + deleted_in_inbox(again) == there
    assert left_on_server(fleet, "kerio2", user) == 0
    assert midrun.everywhere_once(fleet, OLD, mail)


def test_server_moves_to_another_archive_host(fleet: Fleet, first_runs: FirstRuns, tmp_path: Path) -> None:
    """docs/several-archive-hosts.md, step by step."""
    servers = list(fleet.entries)
    profiles = [{"name": "mailboxes", "method": "multiple_mailboxes"}]
    profiles += [
        {"name": f"archive mailbox of {name}", "method": "multidrop", "servers": [name], "credentials": "master"}
        | {"mailbox": fleet.entries[name]["archive_mailbox"]}
        for name in servers
    ]
    inventory = tmp_path / "assigned.yml"

    def assign(**hosts: str) -> None:
        known = {name: {"kerio_connect_archive_hosts": [host]} for name, host in hosts.items()}
        inventory.write_text(json.dumps({"kerio_servers": {"hosts": known}}))

    def play(*books: str, limit: str = "", check: bool = False, **extra: Any) -> PlaybookRun:
        everything = {"archive_profiles": profiles, **extra}
        done = fleet.play(*books, limit=limit, check=check, extra=everything, more=("-i", str(inventory)))
        assert done.rc == 0, done.output
        return done

    assign(kerio1=OLD, kerio2=OLD, kerio3=NEW)
    # 1. A snapshot of the catalog, 2. a copy.
    play("backup", limit=OLD)
    copy = fleet.disks / NEW / "copy"
    copy.mkdir()
    backup_steps.run(backup_steps.commands("backup.md", "rsync")[0], ARCHIVE=fleet.disks / OLD / midrun.ARCHIVE, BACKUP=copy)
    fleet.machines[NEW].run("chown", "-R", "kerio-archive:", f"{DISK}/copy")
    later = midrun.load(fleet, "kerio2", "moved", messages=20)
    # 3. Who archives the server from now on.
    assign(kerio1=OLD, kerio2=NEW, kerio3=NEW)
    play("configure", "users")
    # 4. Its mail, 5. checked.
    source = {"archive_import_source": f"{DISK}/copy", "archive_import_servers": ["kerio2"]}
    (planned,) = play("import", limit=NEW, check=True, **source).of("archive_import")
    done = play("import", "verify", "archive", "compare", limit=NEW, **source)
    (taken,), (archived, compared) = done.of("archive_import"), done.of("archive_run")
    figures = taken.result["imported"]
    assert figures == planned.result["imported"]
    assert (figures["new"], figures["lost"], figures["damaged"]) == (figures["messages"], 0, 0), figures
    assert archived.result["run"]["new"] == len(later)
    assert compared.result["run"]["errors"] == []
    # 6. The other one does not look at it any more.
    rest = run_of(play("archive", limit=OLD), OLD)
    assert not rest.result["changed"]
    assert {box["server"] for profile in rest.result["profiles"] for box in profile["mailboxes"]} == {"kerio1"}
    moved = [one.digest for one in first_runs.placed if one.server == "kerio2"]
    assert moved and midrun.places(fleet, NEW, moved) == midrun.places(fleet, OLD, moved)
    assert midrun.everywhere_once(fleet, NEW, later) and midrun.places(fleet, OLD, later) == {}
