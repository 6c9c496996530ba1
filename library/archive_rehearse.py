#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rehearse a restore into a server; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_rehearse
short_description: Rehearse giving archived mail back to a server
version_added: 0.1.0
description:
  - Draws messages of an archive at random, puts them into a folder of a mailbox on an IMAP server, fetches them back, compares
    them with what the archive has, and removes the folder. It tells how long all messages would take at that rate.
  - The folder is made for it. One that exists already is refused, and nothing else of the mailbox is touched. Take a mailbox that
    nobody uses.
  - A server may add header fields or change line ends; RV(rehearsal) tells which messages came back so. It is a failure if a
    message is damaged in the archive, refused or not given back by the server, or comes back with another content.
  - The archive is only read. O(root) may be a backup of it that is mounted read-only.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.imap
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Logs in, refuses a folder that exists, and reads the messages in the archive; nothing is put into the server.
    support: full
  diff_mode:
    description: The mailbox is afterwards as it was before, so there is nothing to compare.
    support: N/A
options:
  root:
    description: Folder of the archive, or of a backup of it.
    type: path
    required: true
  mailbox:
    description: The mailbox, by its login.
    type: str
    required: true
  password:
    description: The password of the mailbox, or the master password with O(master).
    type: str
    required: true
  master:
    description: Whether O(password) is the master password of a Kerio Connect server. It is refused without TLS.
    type: bool
    default: false
  folder:
    description:
      - Name of the top folder that is made and removed again. It must not exist.
      - It stays when it holds more messages than were put in, because somebody else uses it.
    type: str
    default: kerio-archive rehearsal
  sample:
    description: How many messages. All are taken when the archive has fewer.
    type: int
    default: 50
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.archive_backup
  - module: mailops.kerio.archive_verify
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that mail can be given back to a server
  mailops.kerio.archive_rehearse:
    root: /srv/archive/kerio
    host: mail1.example.com
    mailbox: rehearsal@example.com
    password: "{{ vault_rehearsal_password }}"

- name: Ensure that a backup can be given back to a server
  mailops.kerio.archive_rehearse:
    root: /mnt/backup/kerio
    host: mail1.example.com
    mailbox: rehearsal@example.com
    password: "{{ vault_rehearsal_password }}"
    sample: 500
"""

RETURN = r"""
rehearsal:
  description:
    - Counts of messages. C(same) came back byte for byte, C(line_ends) with other line ends, C(headers_added) with header fields
      that the server added, C(other) with another content; C(refused) are those that the server did not take, C(missing) those
      that it did not give back, C(damaged) those that the archive cannot read. C(dates_changed) got another INTERNALDATE.
    - C(bytes) and C(seconds) are those of the messages that were put in; C(full_restore) is what all placements would take at
      that rate over one connection, C(seconds) null when nothing could be measured.
    - C(changed_messages) are the first 100 that did not come back as they were, with C(object), C(what) and C(cause).
  returned: success or failure of messages
  type: dict
  sample:
    messages: 50
    same: 48
    line_ends: 1
    headers_added: 1
    other: 0
    refused: 0
    damaged: 0
    missing: 0
    dates_changed: 0
    bytes: 1200000
    seconds: 0.5
    full_restore: {messages: 90442, bytes: 2100311004, seconds: 905}
    changed_messages:
      - {object: objects/ab/abcdef, what: line_ends, cause: ""}
      - {object: objects/cd/cdef01, what: headers_added, cause: ""}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import rehearse
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments

ARGUMENTS = {
    **arguments.connection(),
    "root": {"type": "path", "required": True},
    "mailbox": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "master": {"type": "bool", "default": False},
    "folder": {"type": "str", "default": "kerio-archive rehearsal"},
    "sample": {"type": "int", "default": 50},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**rehearse.declare(module.params, module.check_mode)), [module.params["password"]])


if __name__ == "__main__":
    main()
