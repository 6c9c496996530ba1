#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verify an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_verify
short_description: Verify that an archive is whole
version_added: 0.1.0
description:
  - Compares every object, every placement and every message of a server that is said to be archived with each other, on the disk
    and in the catalog, and checks the catalog, the format, modes and link counts.
  - Reads the bytes of objects and compares them with the SHA-256 that names them - of all of them, of a share such that all are
    read within some days, or of a sample.
  - Nothing is repaired. Damage fails the module with a message that counts and names it, see O(fail_on_damage); what was read and
    the whole result is written to C(reports/verified.json) and C(reports/verify.json) below O(root).
  - It may run beside M(mailops.kerio.archive_run). What is found is looked at once more, and what an unfinished run has not
    committed is no damage.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: The same, but nothing is written, not even what was read, so that O(within_days) begins anew.
    support: full
  diff_mode:
    description: The module changes nothing, so there is nothing to compare.
    support: N/A
options:
  within_days:
    description:
      - Read a share of the objects, so large that all of them are read within so many days. It grows with the time since the last
        verification. 0 reads all of them now.
      - Everything else is compared in full every time.
    type: int
    default: 0
  sample:
    description: Read about so many objects, drawn at random. 0 for no sample. Not together with O(within_days).
    type: int
    default: 0
  rate:
    description:
      - Bytes per second that are read of objects, at most, as a whole number or with C(K), C(M) or C(G) behind it. As fast as the
        disk gives them unless it is given.
    type: str
  ledger_checkpoints:
    description:
      - Checkpoints of this archive that are kept where nobody on the archive host can change them. The ledger must continue them.
    type: list
    elements: str
    default: []
  ledger_verifier_keys:
    description: Public keys of which one must have signed each checkpoint, as C(docs/evidence.md) writes them; none is asked for
      unless given.
    type: list
    elements: str
    default: []
  processes:
    description: How many processes read; 0 for one per core.
    type: int
    default: 0
  fail_on_damage:
    description: Whether damage fails the module. Otherwise look at RV(damaged).
    type: bool
    default: true
seealso:
  - module: mailops.kerio.archive_info
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure the archive is whole
  mailops.kerio.archive_verify:
    root: /srv/archive/kerio

- name: Ensure that every message is read again within 30 days, without disturbing others
  mailops.kerio.archive_verify:
    root: /srv/archive/kerio
    within_days: 30
    rate: 50M
"""

RETURN = r"""
verified:
  description:
    - What was compared and read. C(bytes) are those of the messages that were read, C(directories) says of how many of the 256
      directories of objects all were read.
    - C(oldest) is the time since when every object was read at least once, null while some never were. C(lost) says how many
      messages were declared lost with M(mailops.kerio.archive_repair), which is no damage any more.
  returned: success or damage
  type: dict
  sample:
    objects: 81211
    placements: 90442
    folders: 1204
    read: 2700
    bytes: 52000000
    directories: 9
    oldest: 1767406512
    stopped: false
    lost: 0
    seconds: 12.4
damaged:
  description: How many things are not as they must be.
  returned: success or damage
  type: int
  sample: 1
damage:
  description: The first 100 of them, as C(kind), C(subject), C(cause) and C(remedy). C(reports/verify.json) has all.
  returned: success or damage
  type: list
  elements: dict
  sample:
    - kind: object_damaged
      subject: objects/ab/abcdef
      cause: its content has another digest
      remedy: Restore it from a backup of the archive, with archive_repair
table:
  description: Lines for people.
  returned: success or damage
  type: list
  elements: str
  sample:
    - objects 81,211, placements 90,442 in 1,204 folders
holder:
  description: Who has a verification under way, when this one ended without doing anything.
  returned: when another one is under way
  type: str
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "256/256 81,211 objects"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_options, job_outcome, verify_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "within_days": {"type": "int", "default": 0},
    "sample": {"type": "int", "default": 0},
    "rate": {"type": "str"},
    "processes": {"type": "int", "default": 0},
    "fail_on_damage": {"type": "bool", "default": True},
    **evidence_options.CHECKPOINTS,
    "ledger_verifier_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**verify_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
