#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Repair an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_repair
short_description: Repair an archive out of itself and out of backups
version_added: 0.1.0
description:
  - Verifies the archive as M(mailops.kerio.archive_verify) does, reading all of it, and repairs what it finds.
  - An object that is missing or damaged is restored from an intact file - another inode of its own, a placement that still has
    the bytes, or the same object in one of O(backups). Every file is compared with its digest before it is put in place.
  - Placements that are missing, renamed or other files are made links to their objects again, under the names of the catalog.
    Modes that let others write are set right.
  - What the catalog does not know stays where it is, and what cannot be repaired is told. A catalog that is damaged itself is
    restored from a backup by hand.
  - It does nothing while the archive is in use, or before a run has cleared up behind one that did not end cleanly.
extends_documentation_fragment:
  - mailops.kerio.job
  - mailops.kerio.attributes
options:
  root:
    description: Folder of the archive.
    type: path
    required: true
  backups:
    description: Roots of whole copies of this archive on this host, the best first, from which objects may be restored.
    type: list
    elements: path
    default: []
  fail_on_damage:
    description: Whether damage that could not be repaired fails the module.
    type: bool
    default: true
seealso:
  - module: mailops.kerio.archive_verify
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that what is damaged is restored from last night's copy
  mailops.kerio.archive_repair:
    root: /srv/archive/kerio
    backups:
      - /srv/backup/archive/kerio
"""

RETURN = r"""
found:
  description: How many things were not as they must be.
  returned: success or damage
  type: int
  sample: 2
steps:
  description:
    - The first 100 steps that were done, or would be in check mode. C(action) is C(restore_object), C(link_placement) or
      C(set_mode), C(source) is the intact file.
  returned: success or damage
  type: list
  elements: dict
  sample:
    - {action: restore_object, subject: objects/ab/abcdef, source: /srv/backup/archive/kerio/objects/ab/abcdef}
left:
  description: How many things are not as they must be afterwards.
  returned: success or damage
  type: int
  sample: 0
damage:
  description: The first 100 of those that are left, as C(kind), C(subject), C(cause) and C(remedy).
  returned: success or damage
  type: list
  elements: dict
  sample: []
holder:
  description: Who has a repair under way, when this one ended without doing anything.
  returned: when another one is under way
  type: str
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "3 steps done, looking again"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import repair_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "backups": {"type": "list", "elements": "path", "default": []},
    "fail_on_damage": {"type": "bool", "default": True},
    "job_owner": {"type": "str", "no_log": False},
    "job_wait": {"type": "int", "default": 5},
    "job_seen": {"type": "int", "default": 0},
    "job_heard": {"type": "list", "elements": "str"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**repair_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
