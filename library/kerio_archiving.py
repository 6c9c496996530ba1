#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare how a Kerio Connect server archives mail."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_archiving
short_description: Declare how a Kerio Connect server archives mail
description:
  - Sets what the administration has under Archiving and Backup, Archiving, and the archive address of single domains.
  - An option that is not given is not managed. Everything else in the same structure, paths included, is sent back as received.
  - The server archives mail from the moment of enabling on, nothing older.
version_added: 0.1.0
options:
  enabled:
    description: Whether the server archives at all.
    type: bool
  remote_address:
    description:
      - Address that gets a copy of every archived message, as a rule a mailbox of its own on the same server. No archive user may
        have this address. The empty string switches copies off.
    type: str
  to_local_folder:
    description: Whether copies go to archive folders on the server.
    type: bool
  folder_interval:
    description: How often the server begins a new archive folder.
    type: str
    choices: [day, week, month]
  compress_old_folders:
    description:
      - Whether archive folders other than the current one are compressed. Mail clients cannot read compressed folders.
    type: bool
  compression_start_time:
    description: Time of day at which compression begins, such as V("02:30"); quote it, because YAML reads V(22:30) as a number.
    type: str
  local_messages:
    description: Whether mail between local users is archived.
    type: bool
  incoming_messages:
    description: Whether mail from elsewhere to local users is archived.
    type: bool
  outgoing_messages:
    description: Whether mail from local users to elsewhere is archived.
    type: bool
  relayed_messages:
    description: Whether mail from elsewhere to elsewhere is archived.
    type: bool
  before_filter:
    description: Whether mail is archived before the filters, so with spam and viruses.
    type: bool
  instant_messages:
    description: Whether instant messages are archived. Old servers do not have it; there, only V(false) may be declared.
    type: bool
  per_domain:
    description:
      - Whether domains may have archive addresses of their own (Kerio Connect 9.1 and newer). Older servers do not have it;
        there, only V(false) may be declared.
    type: bool
  domains:
    description:
      - Settings of single domains. They have an effect while O(per_domain) is on. A domain that is not listed is not managed.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the domain.
        type: str
        required: true
      remote_address:
        description: Address that gets a copy of the domain's mail. The empty string switches copies off.
        type: str
      local_messages:
        description: Whether mail between local users is archived.
        type: bool
      incoming_messages:
        description: Whether mail from elsewhere to local users is archived.
        type: bool
      outgoing_messages:
        description: Whether mail from local users to elsewhere is archived.
        type: bool
      before_filter:
        description: Whether mail is archived before the filters.
        type: bool
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_advanced_options
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that all mail is copied to the archive mailbox
  mailops.kerio.kerio_archiving:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    enabled: true
    remote_address: archive@example.com
    local_messages: true
    incoming_messages: true
    outgoing_messages: true
    relayed_messages: true

- name: Ensure that one domain has an archive mailbox of its own
  mailops.kerio.kerio_archiving:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    per_domain: true
    domains:
      - name: example.org
        remote_address: archive@example.org
        incoming_messages: true
"""

RETURN = r"""
plan:
  description: How many things were, or would be, created, changed and deleted; the server's settings are one, a domain's too.
  returned: success
  type: dict
  sample: {create: 0, change: 1, delete: 0}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Archive.get, Archive.set, Archive.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, declare, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = declare.declare_archiving(server, module.params, module.check_mode)
        return runner.outcome_of(plan, "archiving", module.check_mode, server.calls, server.warnings)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.ARCHIVING},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
