# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine in this process, below its module, on one mailbox of a server in memory."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from tests.lab.ports import HOST
from tests.proof.independent_reader import Site


def create(root: Path, *, group: str | None = None) -> None:
    """An empty archive that `group` may read."""
    store_setup.ensure(store_setup.Wish(str(root), group=group), check_mode=False)


def site(port: int, ca_file: Path | str, master_password: str) -> Site:
    return Site("mail1", HOST, port, str(ca_file), master_password)


def archive(root: Path, server: Site, *mailboxes: str) -> RunReport:
    """Archive every folder of the mailboxes, each into the tree of a user of its name."""
    servers = parse_servers([{"name": server.name, "host": server.host, "port": server.port, "ca_file": server.ca_file}])
    profiles = [
        {
            "name": mailbox,
            "method": "single_mailbox",
            "mailbox": mailbox,
            "target_user": mailbox,
            "credentials": "master",
            "folders": {"defaults": False},
        }
        for mailbox in mailboxes
    ]
    secrets = Secrets({server.name: server.master_password})
    return Run(Options(str(root), servers, parse_profiles(profiles, servers), secrets), Silent()).go()
