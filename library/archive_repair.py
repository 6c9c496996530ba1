#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Repair an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_repair
short_description: Repair an archive out of itself, of backups and of its servers
version_added: 0.1.0
description:
  - Verifies the archive as M(mailops.kerio.archive_verify) does, reading all of it, repairs what can be repaired, looks again,
    and tells what is left.
  - An object that is missing or damaged comes from an intact file of the archive itself, then from O(backups), then from the
    server, see O(from_server). Every file is compared with its digest before it is believed.
  - Placements are links to their objects again, under the names of the catalog; modes that let others write, missing directories
    and rows of objects are set right; what an unclean end left in C(staging) goes.
  - No step can be the end of a last copy. A file gives way only when it is damaged, or when another intact object holds the same
    message; what lies under a wrong name gets its own. What the catalog does not know stays where it is.
  - A catalog that is damaged itself is not repaired, and nothing is by it.
  - Objects that were repaired, declared lost or found are entered in the ledger of the archive.
  - It needs the archive for itself. While a run goes on it ends without a change and says so; behind one that did not end cleanly
    it fails until M(mailops.kerio.archive_run) has cleared up.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Tells the steps and does none. Nothing is written, not even the lock, so that a run may begin meanwhile.
    support: full
  diff_mode:
    description: The first 100 findings before and after.
    support: full
options:
  backups:
    description:
      - Folders on this host that are copies of O(root), the best first, from which objects may be restored. A mounted snapshot
        will do, or what C(restic mount) shows.
    type: list
    elements: path
    default: []
  from_server:
    description:
      - Whether messages that are in none of these are read again from their servers by the next run, where they are still there.
    type: bool
    default: false
  declare_lost:
    description:
      - Digests (64 hexadecimal digits) of messages that are lost for good. Only what has no intact file anywhere is declared so,
        and nothing that O(from_server) reads again. M(mailops.kerio.archive_verify) counts them and no longer calls them damage.
      - When the bytes turn up again, a repair restores them and takes the declaration back.
    type: list
    elements: str
    default: []
  lost_reason:
    description: Why they are lost; kept in the catalog and in the ledger. Required with O(declare_lost).
    type: str
  by:
    description: Who has it done, for the ledger. O(job_owner) unless it is given.
    type: str
  processes:
    description: How many processes read; 0 for one per core.
    type: int
    default: 0
  fail_on_damage:
    description: Whether damage that is left fails the module. Otherwise look at RV(left).
    type: bool
    default: true
seealso:
  - module: mailops.kerio.archive_verify
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that what is damaged is restored from last night's copy, or read again from its server
  mailops.kerio.archive_repair:
    root: /srv/archive/kerio
    backups:
      - /srv/backup/archive/kerio
    from_server: true

- name: Ensure that a message that is nowhere any more is no damage
  mailops.kerio.archive_repair:
    root: /srv/archive/kerio
    declare_lost:
      - 3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7
    lost_reason: Disk failure of 2026-03-02, the server was shut down in 2025, ticket 4711
    by: alice
"""

RETURN = r"""
found:
  description: How many things were not as they must be.
  returned: success or damage
  type: int
  sample: 2
steps:
  description:
    - The first 100 steps that were done, or would be in check mode. C(action) is one of C(set_mode), C(make_directory),
      C(restore_object), C(write_row), C(link_placement), C(drop_name), C(clear_staging), C(read_again), C(declare_lost),
      C(set_found).
    - C(source) is the intact file that an object comes from, the message on a server, or the name that takes the place of
      another.
  returned: success or damage
  type: list
  elements: dict
  sample:
    - {action: restore_object, subject: objects/ab/abcdef, source: /srv/backup/archive/kerio/objects/ab/abcdef}
undone:
  description: The first 100 steps that failed, with the C(cause).
  returned: success or damage
  type: list
  elements: dict
  sample: []
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
lost:
  description: How many messages are declared lost.
  returned: success or damage
  type: int
  sample: 0
holder:
  description: Who has the archive in use, or another repair under way, when this one ended without doing anything.
  returned: when it did nothing for that reason
  type: raw
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "3 steps done; looking again"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, repair_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "backups": {"type": "list", "elements": "path", "default": []},
    "from_server": {"type": "bool", "default": False},
    "declare_lost": {"type": "list", "elements": "str", "default": []},
    "lost_reason": {"type": "str"},
    "by": {"type": "str"},
    "processes": {"type": "int", "default": 0},
    "fail_on_damage": {"type": "bool", "default": True},
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**repair_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
