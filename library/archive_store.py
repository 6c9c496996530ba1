#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create and check an archive root."""

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_store
short_description: Create and check an archive root
description:
  - Makes the directories, the format file and the catalog of an archive, once; what is there is only checked.
  - Tries on the file system what an archive needs of it - hard links, durable writes, permissions, names of 255 bytes that differ
    in upper and lower case - and refuses what is not fit, network file systems among it.
  - The parent directory of the archive root must exist. O(mount_point) has a disk that is not mounted noticed.
version_added: 0.1.0
options:
  owner:
    description:
      - Name or number of the user who owns the archive. Archiving must run as this user or as root.
      - An archive that belongs to somebody else is refused unless O(take_over) is given.
    type: str
  take_over:
    description:
      - Whether an archive that belongs to somebody else is handed over to O(owner), with all that is in it. That needs root, and
        no run and no other job of the archive may be under way.
      - A hand-over that was interrupted goes on. Without O(owner), or when the archive is its owner's, nothing is done.
    type: bool
    default: false
  mount_point:
    description:
      - The directory on which the disk of the archive is mounted. While nothing is mounted there, the archive is refused, and no
        new one is begun in its place on the disk of the system.
      - Without it that is not looked at.
    type: path
  group:
    description: Name or number of the group that may read the archive (Dovecot). New files and directories take it.
    type: str
  mode:
    description: Mode of the directories. It must hold the setgid bit, so that the group is inherited.
    type: str
    default: "2750"
  reserve:
    description: How many MiB must be free on the file system. With it, 10000 free inodes are asked for as well.
    type: int
    default: 1024
  allow_network_file_system:
    description:
      - Whether a network file system is accepted (NFS, CIFS, FUSE and others).
      - Its locks and its fsync must be known to work, and one host alone may use the archive, else the catalog will be damaged.
    type: bool
    default: false
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes
seealso:
  - module: mailops.kerio.archive_users
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive exists and its file system is fit for it
  mailops.kerio.archive_store:
    root: /srv/archive/kerio
    mount_point: /srv/archive
    owner: kerio-archive
    group: vmail
    reserve: 20480
"""

RETURN = r"""
archive:
  description: The archive as it is now; in check mode, of an archive that is not there yet, zeros.
  returned: success
  type: dict
  sample:
    root: /srv/archive/kerio
    format: kerio-archive 1
    objects: 81211
    bytes: 2100311004
    stored_bytes: 1400311004
    placements: 90442
    free_bytes: 500311004000
    free_inodes: 30000000
    unclean: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_setup


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "mount_point": {"type": "path"},
            "group": {"type": "str"},
            "take_over": {"type": "bool", "default": False},
            "mode": {"type": "str", "default": "2750"},
            "reserve": {"type": "int", "default": 1024},
            "allow_network_file_system": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wish = store_setup.Wish(
        root=module.params["root"],
        owner=module.params["owner"],
        group=module.params["group"],
        mode=module.params["mode"],
        reserve=module.params["reserve"] << 20,
        allow_network=module.params["allow_network_file_system"],
        take_over=module.params["take_over"],
        mount_point=module.params["mount_point"],
    )

    def work() -> runner.Outcome:
        done = store_setup.ensure(wish, check_mode=module.check_mode)
        return runner.Outcome(done.changed, done.msg, diff=done.diff, warnings=done.warnings, data={"archive": done.facts})

    runner.run(module, work)


if __name__ == "__main__":
    main()
