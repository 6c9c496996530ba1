#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell who changed what in an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_audit
short_description: Tell who changed what in an archive, from its ledger
version_added: 0.1.0
description:
  - Returns entries of the ledger with time and author, for machines and for people - messages that were archived or deleted on a
    server, changes of users and profiles, runs, repairs.
  - Reads the whole ledger, compares every entry with the tree and the tree with the newest checkpoint. A ledger that does not fit
    fails the module; the entries before the first one that was changed are returned all the same.
  - Nothing is written and no lock is taken, so that it may go on beside M(mailops.kerio.archive_run), and on a backup that is
    mounted read-only.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes.info
options:
  events:
    description: Only these; all unless given.
    type: list
    elements: str
    choices:
      - archived
      - adopted
      - deleted
      - quarantined
      - acknowledged
      - lost
      - found
      - exported
      - restored
      - imported
      - users
      - profiles
      - run
      - repaired
      - rebuilt
      - verified
    default: []
  since:
    description: Only from this time on. ISO 8601, in UTC unless it has a zone, or seconds since the epoch.
    type: str
  until:
    description: Only up to this time. A day without a time is meant as a whole.
    type: str
  about:
    description: Only entries with this text in server, mailbox, digest, name or address of a user, or author. Case is ignored.
    type: str
    default: ""
  limit:
    description: How many entries to return, the newest. At most 100000.
    type: int
    default: 1000
  ledger_verifier_key:
    description:
      - The public key that must have signed the newest checkpoint, as C(<name>+<key id>+<base64>); C(docs/evidence.md) says how
        it is made. Signatures are not looked at without it.
    type: str
seealso:
  - module: mailops.kerio.archive_proof
  - module: mailops.kerio.archive_verify
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure it is known who changed users and profiles this year
  mailops.kerio.archive_audit:
    root: /srv/archive/kerio
    events: [users, profiles]
    since: 2026-01-01
  register: changes

- name: Ensure it is known what became of the mail of a leaver
  mailops.kerio.archive_audit:
    root: /srv/archive/kerio
    about: leaver@example.com
    ledger_verifier_key: "{{ lookup('ansible.builtin.file', 'ledger.vkey') }}"
"""

RETURN = r"""
entries:
  description: The newest entries that match, oldest first, as C(docs/evidence.md) describes them, with their number as C(index).
  returned: success or when the ledger does not fit
  type: list
  elements: dict
  sample:
    - index: 4712
      event: users
      at: 1767406512
      by: admin@controller
      changes: [{action: created, name: bob@example.com}]
table:
  description: The same for people. Time in UTC, who, what.
  returned: success or when the ledger does not fit
  type: list
  elements: str
  sample: ["2026-01-03 02:15:12  admin@controller  users: created bob@example.com"]
count:
  description: How many entries match, returned or not.
  returned: success or when the ledger does not fit
  type: int
  sample: 1
ledger:
  description:
    - C(entries) is how many the ledger has, C(behind) how many of them are newer than its newest checkpoint.
    - C(fits) says whether all of them are as the tree and the checkpoint say, null when there is no checkpoint. C(signed) says
      whether O(ledger_verifier_key) signed that, null when it is not given. C(problems) say what does not fit.
  returned: success or when the ledger does not fit
  type: dict
  sample: {entries: 20852, behind: 0, fits: true, signed: true, problems: []}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import audit

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "events": {"type": "list", "elements": "str", "choices": list(audit.EVENTS), "default": []},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "about": {"type": "str", "default": ""},
    "limit": {"type": "int", "default": 1000},
    "ledger_verifier_key": {"type": "str", "no_log": False},  # a public key
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**audit.declare(module.params)))


if __name__ == "__main__":
    main()
