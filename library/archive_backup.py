#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prepare an archive for being copied by a backup program; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_backup
short_description: Prepare an archive for being copied by a backup program
version_added: 0.1.0
description:
  - Writes a consistent copy of the catalog to C(backup/catalog.sqlite3) below O(root), durably, also while
    M(mailops.kerio.archive_run) goes on. A copy of the archive that rsync, restic or Borg make after it has all that this
    snapshot speaks of, because an archive only adds.
  - The copy is checked. A catalog that is damaged fails the module, and the last good snapshot stays.
  - What to copy and how to restore it is in C(docs/backup.md).
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Compares the catalog with the snapshot by a temporary file outside of the archive, and writes nothing in it.
    support: full
  diff_mode:
    description: The figures of both snapshots.
    support: full
options: {}
seealso:
  - module: mailops.kerio.archive_verify
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure the snapshot of the catalog is as the catalog
  mailops.kerio.archive_backup:
    root: /srv/archive/kerio

- name: Ensure the archive is backed up
  ansible.builtin.command:
    argv: [rsync, -aH, --exclude-from=/etc/kerio-archive/no-backup, /srv/archive/kerio/, backup@nas.example.com:kerio/]
  changed_when: true
"""

RETURN = r"""
snapshot:
  description:
    - The snapshot. C(path) is its file, C(bytes) its size, C(commits), C(objects) and C(placements) what it speaks of.
  returned: success
  type: dict
  sample:
    path: /srv/archive/kerio/backup/catalog.sqlite3
    bytes: 41200000
    commits: 4711
    objects: 81211
    placements: 90442
    seconds: 0.8
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import snapshot

ARGUMENTS = {"root": {"type": "path", "required": True}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**snapshot.declare(module.params["root"], module.check_mode)))


if __name__ == "__main__":
    main()
