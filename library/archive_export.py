#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Export mail from an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_export
short_description: Export mail from an archive as mbox, EML files or Maildir
version_added: 0.1.0
description:
  - Writes messages of an archive to a directory, in a form that other programs read, with a manifest that says of each of them
    whose it is, in which folder it was, where it came from, its INTERNALDATE, its flags and the SHA-256 of its bytes. The bytes
    are those of the server. C(docs/export.md) describes all files.
  - Every message is compared with its digest before it gets its name. One that is damaged is left out and told, the rest goes on,
    and the module fails at its end; run M(mailops.kerio.archive_repair), then export again.
  - An export that was cut short goes on where it was, and one that is complete gets what the archive has more. What is there is
    left alone when it has the size that the manifest says; it is written again when it has not. Nothing is removed.
  - Names of users and folders are changed where a file system would refuse them, or take two of them for one. The manifest has
    the true ones.
  - It may go on beside M(mailops.kerio.archive_run), and selects what the catalog has at one instant. The ledger of the archive
    gets an entry C(exported) before the first message is written, and one at the end.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Tells how many messages and bytes would be written, and whether there is room for them. Nothing is written.
    support: full
  diff_mode:
    description: The messages of each folder that is touched, before and after; the first 100 folders.
    support: full
options:
  dest:
    description:
      - Absolute path of the directory to export to, on the archive host, outside of O(root). It is made unless it is there; the
        directory above it must exist, so that a disk that is not mounted is not taken for one that is.
      - It must be empty, or hold an earlier export of the same selection and O(format); see O(extend).
      - Root exports into no directory below one that somebody else owns or may write in, such as the home of a reader, because
        that person could lead the export elsewhere.
    type: path
    required: true
  users:
    description:
      - Whose mail, as names or addresses of archive users. People who left are known by their names, what was caught for nobody
        is that of C(@catchall).
    type: list
    elements: str
    default: []
  all_users:
    description: Export the mail of all archive users, those who left and C(@catchall) too. Instead of O(users).
    type: bool
    default: false
  folders:
    description:
      - Patterns of the folders that are exported; all of them unless given. They match whole names as the archive has them, such
        as C(alice@example.com/INBOX), in any case, with C(*) and C(?) for any characters, C(/) included. A pattern that matches a
        folder covers the folders below it.
    type: list
    elements: str
    default: []
  exclude_folders:
    description: Patterns of folders that are left out; they win over O(folders).
    type: list
    elements: str
    default: []
  since:
    description:
      - Only messages whose INTERNALDATE is at this time or later - C(2026-01-31), C(2026-01-31T12:00:00+01:00) or seconds since
        the epoch. A day is its first second; a time without a zone is in UTC.
    type: str
  before:
    description: Only messages whose INTERNALDATE is earlier than this time, which itself does not belong to them.
    type: str
  format:
    description:
      - With V(mbox), one file for each folder, in the form mboxrd. With V(eml), one file for each message, with the date and the
        beginning of the digest in its name, and the INTERNALDATE for its time. With V(maildir), the same as a Maildir for each
        folder, with the flags in the name.
    type: str
    choices: [mbox, eml, maildir]
    default: mbox
  maildir_separator:
    description:
      - What stands before the flags in the names of a Maildir. Programs on Unix look for V(:), which Windows does not allow in
        names, so that disks with its file systems need another one. V(;) and V(!) are what programs on Windows use instead.
    type: str
    choices: [":", ";", "!", "-"]
    default: ":"
  extend:
    description: Whether a selection may be added to an export of another one. Otherwise that is refused.
    type: bool
    default: false
  owner:
    description: Name or number of the user who gets what is written.
    type: str
  group:
    description: Name or number of the group that gets what is written.
    type: str
  mode:
    description: Mode of the files in octal digits. Who can read them can enter the directories, which have 0700 by default.
    type: str
    default: "0600"
  by:
    description: Who has it done, for the ledger; else the controller and its process.
    type: str
  reason:
    description: Why, for the ledger; a ticket for example.
    type: str
seealso:
  - module: mailops.kerio.archive_repair
  - module: mailops.kerio.archive_audit
  - module: mailops.kerio.archive_proof
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure Alice's mail of 2025 is on the disk for the auditors
  mailops.kerio.archive_export:
    root: /srv/archive/kerio
    dest: /mnt/auditors/alice
    users: [alice@example.com]
    since: "2025-01-01"
    before: "2026-01-01"
    format: eml
    by: Dana of the legal department
    reason: Ticket 4711

- name: Ensure a mailbox can be opened with other mail programs
  mailops.kerio.archive_export:
    root: /srv/archive/kerio
    dest: /srv/exports/projects
    users: [bob@example.com, carol@example.com]
    folders: ["*/Projects"]
    exclude_folders: ["*/Projects/Private"]
    group: projects
    mode: "0640"

- name: Ensure the whole archive is on a disk that Windows reads
  mailops.kerio.archive_export:
    root: /srv/archive/kerio
    dest: /mnt/usb/kerio
    all_users: true
    format: maildir
    maildir_separator: ";"
"""

RETURN = r"""
exported:
  description:
    - C(messages) and C(bytes) are selected, C(new) and C(new_bytes) were written now, or would be in check mode. C(lost) were
      left out because they are declared lost.
    - C(manifest) is the SHA-256 of the manifest, which the ledger has too; empty when nothing was done.
  returned: success or damage
  type: dict
  sample:
    dest: /mnt/auditors/alice
    messages: 4310
    bytes: 96000000
    new: 4310
    new_bytes: 96000000
    lost: 0
    manifest: 5c22c1f25eb9e3f9cbbb0b76bd5aa6e9a0a2e5f6b7c3c4d0e1f2a3b4c5d6e7f8
    seconds: 2.1
damaged:
  description: How many messages could not be read, and are not in the export.
  returned: success or damage
  type: int
  sample: 0
damage:
  description: The first 100 of them, as C(user), C(folder), C(subject), C(cause) and C(remedy).
  returned: success or damage
  type: list
  elements: dict
  sample:
    - user: alice@example.com
      folder: alice@example.com/INBOX
      subject: /srv/archive/kerio/objects/ab/abcdef
      cause: the object is damaged (its content has another digest)
      remedy: Run archive_repair, then export again
holder:
  description: Who has an export under way, when this one ended without doing anything.
  returned: when another one is under way
  type: str
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "4,200/4,310 messages, 94 MB, alice@example.com"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_module, job_outcome

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
    "users": {"type": "list", "elements": "str", "default": []},
    "all_users": {"type": "bool", "default": False},
    "folders": {"type": "list", "elements": "str", "default": []},
    "exclude_folders": {"type": "list", "elements": "str", "default": []},
    "since": {"type": "str"},
    "before": {"type": "str"},
    "format": {"type": "str", "choices": ["mbox", "eml", "maildir"], "default": "mbox"},
    "maildir_separator": {"type": "str", "choices": [":", ";", "!", "-"], "default": ":"},
    "extend": {"type": "bool", "default": False},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0600"},
    "by": {"type": "str"},
    "reason": {"type": "str"},
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**export_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
