# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the engine with its real IMAP code against servers on loopback: those of the lab, or those of the fault tests."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, RunReport
from tests.lab.rawimap import RawMessage
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers, mail

ALICE, BOB = "alice@example.com", "bob@example.com"


def messages(count: int, first: int = 1) -> list[RawMessage]:
    """Ordinary messages with ascending UIDs."""
    return [RawMessage(number, mail(number)) for number in range(first, first + count)]


class Served(t.Protocol):
    """What a run needs of a server; both RawImapServer and ImapServer have it."""

    @property
    def port(self) -> int: ...
    @property
    def password(self) -> str: ...
    @property
    def mailboxes(self) -> t.Iterable[str]: ...


class RawRun:
    """An archive, and one ``single_mailbox`` profile for each mailbox of each server (name -> server)."""

    timeout = 60.0  # seconds; tests may go below the least that an operator may declare

    def __init__(self, root: Path, servers: t.Mapping[str, Served], **profile: t.Any) -> None:
        self.archive = Archive(root, FakeServers(root.with_suffix(".log")))
        self.servers = servers
        self.profiles = [
            {"name": f"{name} {mailbox}", "method": "single_mailbox", "servers": [name], "mailbox": mailbox, **profile}
            for name, server in servers.items()
            for mailbox in server.mailboxes
        ]
        for entry in self.profiles:
            if entry["method"] == "single_mailbox":
                entry["target_user"] = entry["mailbox"]

    def options(self, **more: t.Any) -> Options:
        servers = parse_servers(
            [{"name": name, "host": "127.0.0.1", "port": one.port, "access": "IMAP"} for name, one in self.servers.items()]
        )
        servers = {name: dataclasses.replace(server, timeout=self.timeout) for name, server in servers.items()}
        home = {entry["name"]: entry.get("servers", list(servers))[0] for entry in self.profiles}
        passwords = {name: self.servers[server].password for name, server in home.items()}
        more.setdefault("processes", 2)
        return Options(str(self.archive.root), servers, parse_profiles(self.profiles, servers), Secrets({}, passwords), **more)

    def go(self, **more: t.Any) -> RunReport:
        return Run(self.options(**more), Silent()).go()


def folders(report: RunReport) -> dict[str, FolderReport]:
    """``<mailbox> <folder>`` -> its report."""
    return {
        f"{mailbox.mailbox} {folder.name}": folder
        for profile in report.profiles
        for mailbox in profile.mailboxes
        for folder in mailbox.folders
    }
