# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the disks of the hosts, so that a run can be shown to have written nothing.

Of a host's tree the uppermost layer is enough: whatever is written, even a time or a mode, copies the file to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.hosts.fleet import DISK, Fleet
from tests.play.trees import Tree, tree

# What changes without any task: path below the root of a host, and why.
OWN_LIFE = {
    r"/home(/deploy(/\.ansible(/tmp)?)?)?": "Ansible makes the folder of its temporary files, which it removes",
    r"/root/\.ansible(/tmp)?": "the same for tasks with become",
    r"/var/log/journal/.*": "the journal",
    r"/var/log/(lastlog|wtmp)": "who logged in over SSH",
    r"/opt/kerio/mailserver/(lab-calls\.jsonl|store/logs/.*)": "the double's records of who asked what",
    r"/opt/kerio/[a-z-]+\.jsonl": "the same of IMAP and SMTP",
    r"/opt/kerio/dovecot/.*": "the store's own indexes and logs",
}
_OWN_LIFE = re.compile("|".join(OWN_LIFE))


def trees(fleet: Fleet, hosts: Iterable[str] = ()) -> dict[str, Tree]:
    """The trees of hosts by name, of all without names."""
    return {name: _tree(fleet, name) for name in hosts or fleet.machines}


def _tree(fleet: Fleet, name: str) -> Tree:
    machine = fleet.machines[name]
    disk = str(fleet.disks / name)
    found = tree(machine.upper, disk)
    named = {path.replace(str(machine.upper), "", 1).replace(disk, DISK, 1) or "/": entry for path, entry in found.items()}
    return {path: entry for path, entry in named.items() if not _OWN_LIFE.fullmatch(path)}


def differences(before: dict[str, Tree], after: dict[str, Tree]) -> dict[str, list[str]]:
    """The paths that are not as they were, by host."""
    found = {}
    for name, old in before.items():
        new = after[name]
        found[name] = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return {name: paths for name, paths in found.items() if paths}
