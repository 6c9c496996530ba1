#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take users out of another archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_import
short_description: Take users with their mail and all that is known of it out of another archive
version_added: 0.1.0
description:
  - Moves users from one archive host to another, with a copy of the other archive that lies on this host, as C(docs/backup.md)
    makes it, or with a snapshot of it that is mounted. C(docs/several-archive-hosts.md) tells the steps before and after.
  - For each user who is chosen it takes the user, all folders and messages with INTERNALDATE and flags, and the objects. Every
    message is compared with its digest. It is copied, never linked, so that neither archive depends on the other.
  - With their mailboxes goes what became of each message on its server (archived, copy, excluded, left, quarantined, vanished,
    deleted with its receipt), and how far each folder was read, so that the next run reads nothing twice and deletes nothing that
    it does not know.
  - Of a mailbox from which others have mail as well, such as the archive mailbox, the messages go along that the chosen users
    have; the next run reads it again for the rest. With O(servers) all of it goes along, and a warning names who was left behind.
  - A user is known by the id of Kerio, one without an id by the name. Whoever has the name of a user here and may be somebody
    else is not taken, and the module fails at its end.
  - What this archive has is neither changed nor placed twice. What was taken before is known, so that an import that was cut
    short goes on where it was, and another one takes what is new.
  - A message that cannot be read in the other archive is named, the rest goes on, and the module fails at its end. A run fetches
    it again where it is still on its server.
  - The other archive is only read, and needs no lock. While a run goes on there, what it has committed is taken, and a warning
    says so. Nothing is ever taken away there.
  - It needs this archive for itself. While a run goes on it ends without a change and says so.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.ledger
  - mailops.kerio.attributes
attributes:
  check_mode:
    description:
      - Counts what would be taken, and writes nothing, not even the lock. It reads both catalogs and no message, so that one
        whose file is damaged counts as one that would be taken.
    support: full
  diff_mode:
    description: How many of their messages the users have here, before and after; the first 100 users that get any.
    support: full
options:
  root:
    description: Folder of the archive that takes.
    type: path
    required: true
  source:
    description: Folder of the other archive, a copy or a snapshot of it, on this host. It may be mounted read-only.
    type: path
    required: true
  users:
    description: Names or addresses of users who are to be taken, C(@catchall) and those who left too.
    type: list
    elements: str
    default: []
  domains:
    description: Domains whose users are to be taken.
    type: list
    elements: str
    default: []
  servers:
    description: Servers, as the profiles call them, whose users and mailboxes are to be taken, those who left too.
    type: list
    elements: str
    default: []
  reserve:
    description: How many MiB must stay free on the file system, as for M(mailops.kerio.archive_run).
    type: int
    default: 1024
  by:
    description: Who has it done, for the ledger. O(job_owner) unless it is given.
    type: str
seealso:
  - module: mailops.kerio.archive_verify
  - module: mailops.kerio.archive_run
  - module: mailops.kerio.archive_users
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the users of mail2 are here, with all that the other archive host knows of their mail
  mailops.kerio.archive_import:
    root: /srv/archive/kerio
    source: /srv/moving/archive1
    servers: [mail2.example.org]
    users: ["@catchall"]

- name: Ensure that a domain and one more user are here
  mailops.kerio.archive_import:
    root: /srv/archive/kerio
    source: /mnt/snapshot/archive/kerio
    domains: [example.net]
    users: [bob@example.com]
    ledger_key: "{{ vault_archive_ledger_key }}"
    by: alice
"""

RETURN = r"""
imported:
  description:
    - Figures of all users. C(messages) are the placements that the other archive has, and C(new), C(known), C(damaged) and
      C(lost) add up to them. C(copies) of the known ones are here as copies with other trace headers. C(objects_copied) and
      C(objects_known) are the objects of what is new. C(users_made) were not here before.
  returned: success or when something could not be taken
  type: dict
  sample:
    messages: 4310
    new: 4300
    known: 10
    copies: 2
    damaged: 0
    lost: 0
    objects_copied: 4122
    objects_known: 178
    users: 12
    users_made: 3
users:
  description: The same for each user.
  returned: success or when something could not be taken
  type: list
  elements: dict
  sample:
    - name: gina@example.org
      messages: 310
      new: 310
      known: 0
      copies: 0
      damaged: 0
      lost: 0
      objects_copied: 302
      objects_known: 8
mailboxes:
  description:
    - Each mailbox of which messages go along. C(whole) says whether all of them do. C(messages) are the rows of messages of the
      server; C(new), C(known) and C(left_out), whose objects cannot be had, add up to them. C(receipts) of deletions are new.
      C(objects_copied) are those of messages that no chosen user has in a folder.
  returned: success or when something could not be taken
  type: list
  elements: dict
  sample:
    - server: mail2.example.org
      mailbox: gina@example.org
      whole: true
      messages: 322
      new: 322
      known: 0
      left_out: 0
      receipts: 12
      objects_copied: 2
ledger:
  description: The ledger of the other archive, what it calls itself, its entries, and the root of their tree in base64.
  returned: success or when something could not be taken
  type: dict
  sample:
    origin: archive1.example.com/srv/archive/kerio
    entries: 20852
    root: CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
problems:
  description: The first 100 things that could not be taken, as C(where), C(subject), C(cause) and C(remedy).
  returned: success or when something could not be taken
  type: list
  elements: dict
  sample: []
problem_count:
  description: How many there are.
  returned: success or when something could not be taken
  type: int
  sample: 0
checkpoint:
  description: The new checkpoint of the ledger of O(root), empty when nothing was taken.
  returned: success or when something could not be taken
  type: str
  sample: "archive2.example.com/srv/archive/kerio\n8810\nH2fB2MPA3j2jxq2ICsUYapGGPo4dkMgIAUqom/Xajj8=\n\n"
holder:
  description: Who has the archive in use, or another import under way, when this one ended without doing anything.
  returned: when it did nothing for that reason
  type: raw
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "3/12 gina@example.org 310 messages"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_options, import_module, job_outcome

NAMES = {"type": "list", "elements": "str", "default": []}
ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "source": {"type": "path", "required": True},
    "users": NAMES,
    "domains": NAMES,
    "servers": NAMES,
    "reserve": {"type": "int", "default": 1024},
    "by": {"type": "str"},
    **evidence_options.ARGUMENTS,
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**import_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
