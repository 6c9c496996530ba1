#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at IMAP on a Kerio Connect server before archiving begins."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kerio_preflight_imap
short_description: Look at IMAP on a Kerio Connect server before archiving begins
version_added: 0.1.0
description:
  - Tells of each fact of IMAP that archiving relies on whether it holds on this server, differs or cannot be told, what it means
    for archiving, and what to set when it differs.
  - Nothing is written, and no flag is set. With O(write), one message of its own is put into a folder of its own in
    O(scratch_mailbox), deleted, and looked for; then the folder is removed.
  - A server that cannot be reached is a failure; the facts are returned all the same.
  - Run it on the archive host, because the server's IP address group admits that host. The playbook C(preflight.yml) of this
    collection runs it, and docs/before-going-live.md lists all facts.
extends_documentation_fragment:
  - mailops.kerio.imap
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Nothing is written, whatever O(write) says, and the master password is not tried, because a wrong attempt counts.
    support: full
  diff_mode:
    description: The mailboxes are afterwards as they were before, so there is nothing to compare.
    support: N/A
options:
  mailbox:
    description: The mailbox that is looked at, by its full address. Without it, nothing that needs a login can be told.
    type: str
  password:
    description: The password of O(mailbox). Without it, the mailbox is opened with O(master_password).
    type: str
  archive_mailbox:
    description: The mailbox to which the server sends archived copies.
    type: str
  archive_password:
    description: The password of O(archive_mailbox). Without it, that mailbox is opened with O(master_password).
    type: str
  master_password:
    description:
      - The master password. It is tried once; give it only where master authentication is on, because a refused attempt counts
        against the archive host.
    type: str
  sample:
    description: How many of the newest messages of a mailbox are read.
    type: int
    default: 20
  plain_port:
    description: Port of IMAP without TLS from the first byte, which is asked what it offers; V(0) does not ask.
    type: int
    default: 143
  write:
    description: Whether to try in O(scratch_mailbox) what deleting does.
    type: bool
    default: false
  scratch_mailbox:
    description: The mailbox for O(write), which nobody uses.
    type: str
  scratch_password:
    description: The password of O(scratch_mailbox). Without it, that mailbox is opened with O(master_password).
    type: str
  controller_clock:
    description: The time at the controller when this module was started, in seconds since the epoch.
    type: float
  clock_ahead:
    description: Seconds by which the server's clock is ahead of the controller's, as M(mailops.kerio.kerio_preflight) says.
    type: float
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.kerio_preflight
  - module: mailops.kerio.kerio_master_login
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure it is known what of IMAP differs from what is assumed
  mailops.kerio.kerio_preflight_imap:
    host: mail1.example.com
    mailbox: alice@example.com
    master_password: "{{ vault_kerio_master_password }}"
    archive_mailbox: archive@example.com
  delegate_to: archive1.example.com

- name: Ensure it is known what deleting does
  mailops.kerio.kerio_preflight_imap:
    host: mail1.example.com
    write: true
    scratch_mailbox: scratch@example.com
    scratch_password: "{{ vault_scratch_password }}"
  delegate_to: archive1.example.com
"""

RETURN = r"""
facts:
  description:
    - Each fact with its C(id), its C(verdict) (V(holds), V(differs) or V(cannot_tell)), what was C(found), what is C(assumed),
      why that C(matters), and the C(remedy) when it differs. C(stops) is true when archiving must not begin before that.
  returned: success or a server that cannot be reached
  type: list
  elements: dict
  sample:
    - id: imap-literal-plus
      verdict: holds
      found: It is announced.
      assumed: The server announces LITERAL+.
      matters: Restoring is faster with it; without it each message costs a round trip more.
      remedy: Nothing; plan more time for a restore.
      stops: false
reached:
  description: Whether the server could be reached.
  returned: success or a server that cannot be reached
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments, preflight

PASSWORDS = ("password", "archive_password", "master_password", "scratch_password")
ARGUMENTS = {
    **arguments.connection(),
    "mailbox": {"type": "str"},
    "archive_mailbox": {"type": "str"},
    **{name: {"type": "str", "no_log": True} for name in PASSWORDS},
    "sample": {"type": "int", "default": 20},
    "plain_port": {"type": "int", "default": 143},
    "write": {"type": "bool", "default": False},
    "scratch_mailbox": {"type": "str"},
    "controller_clock": {"type": "float"},
    "clock_ahead": {"type": "float"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = [module.params[name] for name in PASSWORDS]
    runner.run(module, lambda: runner.Outcome(**preflight.look(module.params, module.check_mode)), given)


if __name__ == "__main__":
    main()
