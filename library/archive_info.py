#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Totals, states and last runs of an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_info
short_description: Totals, states and last runs of an archive
version_added: 0.1.0
description:
  - Reads the catalog of an archive and returns what it holds. Nothing is written, and a run that goes on is not disturbed.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes.info
  - mailops.kerio.forecast
options:
  runs:
    description: How many of the last runs to return.
    type: int
    default: 10
  reserve:
    description: How many MiB must stay free, as M(mailops.kerio.archive_run) is told; RV(forecast) leaves them out.
    type: int
    default: 1024
seealso:
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure the figures of the archive are known
  mailops.kerio.archive_info:
    root: /srv/archive/kerio
    runs: 1
  register: archive
"""

RETURN = r"""
totals:
  description: Objects, their bytes and the bytes that they take compressed, placements, archive users.
  returned: success
  type: dict
  sample: {objects: 4290, bytes: 96000000, stored_bytes: 40000000, placements: 4310, users: 80}
states:
  description: How many source messages are not archived, by state.
  returned: success
  type: dict
  sample: {excluded: 0, left: 12, failed: 1, quarantined: 0}
receipts:
  description: How many messages were deleted on servers with a receipt, and how many receipts are open since a run was cut short.
  returned: success
  type: dict
  sample: {deleted: 0, planned: 0}
unknown_addresses:
  description:
    - Addresses of left messages that no archive user has, the most frequent first, at most 200; C(unknown_addresses_count) are
      all of them.
  returned: success
  type: list
  elements: dict
  sample: [{address: carol@example.com, messages: 12}]
unknown_addresses_count:
  description: How many they are.
  returned: success
  type: int
  sample: 1
failed_messages:
  description:
    - Messages that could not be archived, those in quarantine first, at most 200; RV(states) counts all of them. C(state) is
      C(failed) or C(quarantined).
    - C(acknowledge) is what accepts a message in quarantine when it is put into O(mailops.kerio.archive_run#module:acknowledged).
  returned: success
  type: list
  elements: dict
  sample:
    - {server: mail1, mailbox: alice@example.com, folder: INBOX, uidvalidity: 1, uid: 7, state: failed, attempts: 2,
       reason: NO internal error, acknowledge: ""}
users_without_mailbox:
  description:
    - Archive users who are enabled and of whom no profile reads a mailbox, and C(why), at most 200;
      C(users_without_mailbox_count) are all of them. Empty where no profile reads the mailboxes of users.
  returned: success
  type: list
  elements: dict
  sample: [{user: dora@example.com, server: mail1, why: no profile reads a mailbox of this user}]
users_without_mailbox_count:
  description: How many they are.
  returned: success
  type: int
  sample: 1
mailboxes_without_user:
  description:
    - Mailboxes that were archived and whose address no archive user has, such as those of leavers, and C(why), at most 200.
      A mailbox that a profile names is nobody's on purpose, and left out.
  returned: success
  type: list
  elements: dict
  sample: [{server: mail1, mailbox: erik@example.com, why: "was archived, and no archive user has this address any more"}]
mailboxes_without_user_count:
  description: How many they are.
  returned: success
  type: int
  sample: 1
mailboxes:
  description:
    - Each mailbox of each profile that a run came to. C(tried) and C(succeeded) say when one last tried it and last went through
      it to its end, in seconds since the epoch; C(succeeded) is null for never. C(archived) messages and C(bytes) read only grow.
    - The rest is from the last run that succeeded. C(on_server) messages and C(uidnext), the sum of UIDNEXT, are what the server
      said of the selected folders; null when it did not. C(excluded), C(left), C(failed) and C(quarantined) are not archived.
      Mailboxes of C(multidrop) also have C(unknown_addresses) and C(on_server_bytes), as far as their messages were read.
  returned: success
  type: list
  elements: dict
  sample:
    - {profile: journal, server: mail1, mailbox: archive@example.com, method: multidrop, tried: 1767406514, succeeded: 1767406514,
       archived: 4290, bytes: 96000000, on_server: 4302, uidnext: 4303, excluded: 0, left: 12, failed: 0, quarantined: 0,
       unknown_addresses: 1, on_server_bytes: 96300000}
forecast:
  description:
    - How many days the free bytes or inodes of the file system last, at the growth of up to 30 days, imports left out; C(limit)
      is what ends first. C(days) is null when the archive does not grow, or when it has too little history to tell.
    - C(sentence) says it for people.
  returned: success
  type: dict
  sample:
    days: 1000
    limit: bytes
    bytes_per_day: 1000000
    inodes_per_day: 100.0
    room_bytes: 1000000000
    room_inodes: 500000
    history_days: 30
    sentence: At the growth of the last 30 days, 1.0 MB and 100.0 messages a day, the free 1.0 GB last 1,000 days
runs:
  description: The last runs, the newest first; C(finished) is null while a run goes on, or when it died.
  returned: success
  type: list
  elements: dict
  sample: [{id: 7, started: 1767406512, finished: 1767406514, outcome: ok, summary: {new: 3}}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import growth, info

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "runs": {"type": "int", "default": 10},
    "reserve": {"type": "int", "default": 1024},
    **growth.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**info.declare(module.params)))


if __name__ == "__main__":
    main()
