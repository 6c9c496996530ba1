# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail into a lab, and the way to it: what the proofs on real servers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.lab import imap_log
from tests.lab.dovecot import mailbox_name
from tests.lab.fixtures import Lab, LabServer
from tests.lab.generate_load import Item, Loader
from tests.lab.users_demo import ARCHIVE_GROUP
from tests.proof.independent_reader import Site

Mail = Mapping[tuple[str, str, str], list[Item]]  # by server, address and folder


def admit_master(server: LabServer) -> None:
    """Master authentication on, from the address group of archive hosts, with the password of lab.json."""
    groups = server.api("IpAddressGroups.get", {"query": {"start": 0, "limit": -1}})["list"]
    group = next(row["groupId"] for row in groups if row["groupName"] == ARCHIVE_GROUP)
    options = server.api("AdvancedOptions.get")["options"]
    options["masterAuthentication"] = {"isEnabled": True, "groupRestriction": group, "password": server.master_password}
    server.api("AdvancedOptions.set", {"options": options})


def site(server: LabServer) -> Site:
    return Site(server.name, server.host, server.imaps_port, server.ca_file, server.master_password)


def archive_server(server: LabServer) -> dict[str, Any]:
    """The server as `archive_run` takes it."""
    reached = {"name": server.name, "host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}
    return {**reached, "master_password": server.master_password}


def people(lab: Lab) -> list[tuple[LabServer, dict[str, Any]]]:
    """Everybody who has a mailbox, without the archive mailboxes."""
    return [(server, user) for server in lab.servers for user in server.users if user["address"] != server.archive_mailbox]


def load(lab: Lab, mail: Mail) -> None:
    """Straight into the store behind the IMAP front."""
    for server, user in people(lab):
        folders = {key[2]: items for key, items in mail.items() if key[:2] == (server.name, user["address"])}
        if folders:
            append(server, user, folders)


def append(server: LabServer, user: Mapping[str, Any], folders: Mapping[str, Iterable[Item]]) -> None:
    with Loader(server.dovecot, mailbox_name(user["id"])) as loader:
        for folder, items in folders.items():
            loader.append(folder, items)


def commands(lab: Lab) -> list[dict[str, Any]]:
    """Every IMAP command that the servers got, in order for each server."""
    return [line for server in lab.servers for line in imap_log.read(server.folder / "imap-commands.jsonl")]


def logins(lab: Lab) -> list[dict[str, Any]]:
    return [line for server in lab.servers for line in imap_log.read(server.folder / "imap-logins.jsonl")]
