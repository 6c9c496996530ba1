#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rebuild parts of an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_rebuild
short_description: Rebuild the catalog, the trees or the ledger of an archive
version_added: 0.1.0
description:
  - Makes a new catalog out of the objects, the user trees and the ledger of an archive, makes the user trees anew out of the
    catalog, takes into the catalog what it does not know, for example after it was restored from a backup, or makes a damaged
    ledger one that runs can go on with.
  - Every object is decompressed and compared with the SHA-256 that names it before anything refers to it. What does not belong
    there is left as it is, what is damaged is kept under a name that ends with C(.damaged); both are told in RV(problems) and in
    C(reports/rebuild.json) below O(root).
  - What comes back and what does not stands in C(docs/rebuild.md).
  - Nothing else may work on the archive meanwhile. While a run holds its lock the module ends without doing anything and says so.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.attributes
attributes:
  check_mode:
    description:
      - Reads and compares the same, counts what would be done, and writes nothing below O(root), not even the lock. The new
        catalog is made in the temporary directory of the host and thrown away.
    support: full
  diff_mode:
    description: Returns the state before, the figures after, and the first 100 of the files that are taken, linked or removed.
    support: full
options:
  what:
    description:
      - V(catalog) makes a new catalog because it is gone or unreadable. The old one is kept beside it as
        C(catalog.sqlite3.TIME.broken). One that can be read is refused, see O(replace).
      - V(trees) makes directories and links that are missing below C(mail), out of an intact catalog. Files that are none of
        these are left.
      - V(ledger) is for a ledger that was changed, cut or lost. Where its entries are whole, its hashes are made again, and
        nothing else changes. Else the entries before the first one that was changed are kept, and what the catalog has beyond
        them is told anew; the old files are kept beside the new ones as C(evidence/NAME.TIME.broken). Checkpoints of more entries
        than were kept do not fit any more, which is what they are for.
      - V(orphans) looks for objects, placements and entries of the ledger that the catalog does not know, see O(orphans).
    type: str
    choices: [catalog, trees, orphans, ledger]
    required: true
  replace:
    description: With O(what=catalog), make a new catalog although the old one can be read. The old one is kept beside it.
    type: bool
    default: false
  orphans:
    description:
      - With O(what=orphans), V(report) tells them.
      - V(adopt) takes them into the catalog, which brings a catalog forward that is older than its archive.
      - V(remove) removes placements whose object stays, and objects that are damaged and of which the catalog knows nothing.
    type: str
    choices: [report, adopt, remove]
    default: report
  remove_last_copies:
    description:
      - With O(orphans=remove), remove intact objects as well, of which the catalog knows nothing. They may be the last copy of a
        message.
    type: bool
    default: false
  processes:
    description: How many processes read; 0 for one per core.
    type: int
    default: 0
seealso:
  - module: mailops.kerio.archive_verify
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure the archive has a catalog again, after its disk lost it
  mailops.kerio.archive_rebuild:
    root: /srv/archive/kerio
    what: catalog

- name: Ensure that every message has its link in the trees
  mailops.kerio.archive_rebuild:
    root: /srv/archive/kerio
    what: trees

- name: Ensure a catalog from a backup knows what was archived since
  mailops.kerio.archive_rebuild:
    root: /srv/archive/kerio
    what: orphans
    orphans: adopt

- name: Ensure runs can go on after the disk damaged the ledger
  mailops.kerio.archive_rebuild:
    root: /srv/archive/kerio
    what: ledger
"""

RETURN = r"""
rebuilt:
  description:
    - Figures of what was done, or would be; those that are 0 are left out. C(objects), C(bytes), C(users), C(folders) and
      C(placements) were taken, C(ledger_entries) read, C(messages_archived), C(messages_quarantined) and C(receipts) taken from
      them.
    - C(copies) are archived messages that are filed nowhere; C(messages_due_again) have lost their object, and the next run
      fetches them again if they are still on the server.
    - C(links) and C(directories) were made; C(unknown_objects) and C(unknown_placements) were found, C(objects_removed) and
      C(placements_removed) removed.
    - Of the ledger C(entries_kept) are the old ones, C(objects_told), C(deletions_told) and C(losses_told) those that the catalog
      had to tell again; C(hashed_entries) are all of them when only their hashes were made again.
  returned: success
  type: dict
  sample:
    what: catalog
    objects: 81211
    bytes: 5200000000
    users: 120
    folders: 1204
    placements: 90442
    ledger_entries: 83000
    messages_archived: 82100
    receipts: 600
    stopped: false
    seconds: 212.4
problems:
  description: The first 100 things that were not taken as they are, as C(kind), C(subject), C(cause) and C(remedy).
  returned: success
  type: list
  elements: dict
  sample:
    - kind: object_damaged
      subject: objects/ab/abcdef
      cause: the object is damaged (its content has another digest)
      remedy: Restore it from a backup of the archive; what is left of it is kept as a file that ends with .damaged
problem_counts:
  description: How many there are of each kind.
  returned: success
  type: dict
  sample: {object_damaged: 1}
holder:
  description: Who works on the archive, when this call ended without doing anything.
  returned: when somebody else does
  type: raw
  sample: {pid: 4711, host: archive1, started: 1767406512, what: archive_run}
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
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, rebuild_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "what": {"type": "str", "choices": ["catalog", "trees", "orphans", "ledger"], "required": True},
    "replace": {"type": "bool", "default": False},
    "orphans": {"type": "str", "choices": ["report", "adopt", "remove"], "default": "report"},
    "remove_last_copies": {"type": "bool", "default": False},
    "processes": {"type": "int", "default": 0},
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**rebuild_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
