#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put archived mail back into a mailbox; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_restore
short_description: Put archived mail back into a mailbox
version_added: 0.1.0
description:
  - Puts messages of an archive user into a mailbox on a server, by IMAP APPEND, with the bytes, the flags and the date
    (INTERNALDATE) that they were archived with. Every message is compared with its digest before it is sent; a damaged one is
    not sent.
  - What a folder has already is not put in again, however it came there. Messages of the same size or date are fetched and
    compared; a Message-ID proves nothing. So a restore that was cut short is simply run again.
  - Every message that was put in is read back, see O(read_back). Some servers change line ends or add header fields; RV(restored)
    counts such messages. One that comes back with another content counts as failed.
  - Folders that are missing are made and subscribed. Nothing is deleted, moved or marked on the server.
  - Nothing of the archive changes, but its ledger gets an entry C(restored) before the first message is put in, and one at the
    end. An archive run may go on meanwhile.
  - A message or folder that fails stops no other, except when the mailbox is full or the server is gone. Each message that was
    asked for was appended, was there already, or failed; the figures in RV(restored) add up.
  - It uses one connection. C(bandwidth) of O(servers) limits what it sends as well as what it fetches.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.imap_servers
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Logs in, looks what the folders have already, and tells what would be put where. Nothing is put in or made.
    support: full
  diff_mode:
    description: The touched folders with the number of their messages.
    support: full
options:
  user:
    description: Archive user whose mail is restored, by name or address; one who has left, by name.
    type: str
    required: true
  mailboxes:
    description:
      - Whose mail of the user's tree, by the address under which it is filed there. Unless given, the user's own; a warning names
        what else there is.
    type: list
    elements: str
    default: []
  folders:
    description:
      - Folders as they were on the server, without the address above them in the tree, as patterns with C(*) and C(?), in any
        case. A folder stands for its subfolders as well. All unless given.
    type: list
    elements: str
    default: []
  exclude_folders:
    description: Patterns of folders that are left out.
    type: list
    elements: str
    default: []
  since:
    description:
      - Only messages with this date (INTERNALDATE) or a later one, such as V(2024-01-31) or V(2024-01-31T12:00:00Z); UTC unless
        it says otherwise.
    type: str
  before:
    description: Only messages with an earlier date.
    type: str
  digests:
    description: Only these messages, by digest (64 hexadecimal digits) or by path of the object.
    type: list
    elements: str
    default: []
  message_ids:
    description:
      - Only messages with one of these Message-IDs, besides those in O(digests). The headers of all chosen messages are read for
        it.
    type: list
    elements: str
    default: []
  server:
    description:
      - The server to restore to, by its name in O(servers). Unless given, the user's own. The only one, if the archive does not
        know which server that is.
    type: str
  mailbox:
    description:
      - The mailbox to restore to, by its login. Unless given, the user's own (primary address). Required for a user who has left,
        because somebody else may have the address by now.
    type: str
  target_folder:
    description:
      - Folder below which the folders are made as they were, so that restored mail stays apart from what is there. What was
        archived from below it goes back to where it was.
      - With an empty value every message goes into the folder that it was archived from, beside the mail that is there now.
    type: str
    default: Restored
  credentials:
    description: V(master) opens the mailbox with the server's C(master_password), V(password) with O(password).
    type: str
    choices: [master, password]
    default: master
  password:
    description: The password of the mailbox, with O(credentials=password).
    type: str
  read_back:
    description:
      - Of how many of 100 messages that were put in the bytes are fetched back and compared. The sizes of all are compared. From
        a server that does not tell UIDs (UIDPLUS) all of them are fetched.
    type: int
    default: 100
  by:
    description: Who has it done, for the ledger. O(job_owner) unless it is given.
    type: str
  fail_on_errors:
    description: Whether messages that could not be restored fail the module. Otherwise look at RV(failures).
    type: bool
    default: true
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.archive_rehearse
  - module: mailops.kerio.archive_repair
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that Alice has her mail of last year in a folder of its own
  mailops.kerio.archive_restore:
    root: /srv/archive/kerio
    servers: "{{ archive_servers }}"
    user: alice@example.com
    since: "2025-01-01"
    before: "2026-01-01"

- name: Ensure that a lost mailbox has all of its mail again
  mailops.kerio.archive_restore:
    root: /srv/archive/kerio
    servers: "{{ archive_servers }}"
    user: alice@example.com
    target_folder: ""
    by: bob, ticket 4711

- name: Ensure that one message is in the mailbox of the successor
  mailops.kerio.archive_restore:
    root: /srv/archive/kerio
    servers: "{{ archive_servers }}"
    user: leaver@example.com
    mailbox: successor@example.com
    message_ids: ["<contract-17@example.com>"]
    credentials: password
    password: "{{ vault_successor_password }}"
"""

RETURN = r"""
restored:
  description:
    - Counts of messages; C(asked) is the sum of C(appended), C(there) (already) and C(failed). In check mode C(appended) is what
      would be appended.
    - C(bytes) are those of the appended messages. C(compared) of them were fetched back; C(line_ends) came back with other line
      ends, C(headers_added) with more header fields, C(dates_changed) with another INTERNALDATE. C(flags_left_out) have a keyword
      that the folder does not take.
    - C(folders_made) are the folders that were missing. C(kinds) counts the failed messages by their kind.
  returned: success or failed messages
  type: dict
  sample: {asked: 1204, appended: 1200, there: 3, failed: 1, bytes: 98200311, compared: 1200, line_ends: 0, headers_added: 0,
    dates_changed: 0, flags_left_out: 0, folders_made: [Restored, Restored/INBOX], kinds: {too_large: 1}, seconds: 9.2}
folders:
  description: The same for each folder, with the names of the archived ones.
  returned: success or failed messages
  type: list
  elements: dict
  sample:
    - {folder: Restored/INBOX, archived: [alice@example.com/INBOX], asked: 1204, appended: 1200, there: 3, failed: 1}
failures:
  description:
    - The first 100 failures. C(kind) is C(damaged) (in the archive), C(too_large), C(overquota), C(refused), C(connection_lost),
      C(altered) (by the server), C(missing) (taken, but not given back), C(folder) (it cannot be used) or C(not_tried).
    - C(messages) is more than 1 where one cause concerns many of a folder.
  returned: success or failed messages
  type: list
  elements: dict
  sample:
    - {folder: Restored/INBOX, object: objects/ab/abcdef, messages: 1, kind: too_large, cause: "the server refused it: NO"}
holder:
  description: Who has a restore under way, when this one ended without doing anything.
  returned: when another one is under way
  type: str
  sample: admin@controller
job:
  description: The job that did it.
  returned: success
  type: dict
  sample: {state: finished, id: 5f2c, counter: 3, line: "Restored/INBOX 1,200/1,204 messages, 98 MB put in"}
previous:
  description: Results of earlier jobs that nobody has heard of.
  returned: when there are any
  type: list
  elements: dict
"""

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, restore_module
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "servers": arguments.servers(),
    "user": {"type": "str", "required": True},
    "mailboxes": {"type": "list", "elements": "str", "default": []},
    "folders": {"type": "list", "elements": "str", "default": []},
    "exclude_folders": {"type": "list", "elements": "str", "default": []},
    "since": {"type": "str"},
    "before": {"type": "str"},
    "digests": {"type": "list", "elements": "str", "default": []},
    "message_ids": {"type": "list", "elements": "str", "default": []},
    "server": {"type": "str"},
    "mailbox": {"type": "str"},
    "target_folder": {"type": "str", "default": "Restored"},
    "credentials": {"type": "str", "choices": ["master", "password"], "default": "master"},
    "password": {"type": "str", "no_log": True},
    "read_back": {"type": "int", "default": 100},
    "by": {"type": "str"},
    "fail_on_errors": {"type": "bool", "default": True},
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = runner.DiscreetModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    secrets = restore_module.secrets_of(module.params)
    runner.run(module, lambda: runner.Outcome(**restore_module.declare(module.params, module.check_mode)), secrets)


if __name__ == "__main__":
    main()
