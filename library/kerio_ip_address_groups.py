#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare the IP address groups of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_ip_address_groups
short_description: Declare the IP address groups of a Kerio Connect server
description:
  - Sets what the administration has under Definitions, IP Address Groups. Master authentication, the security policy and services
    refer to such groups by name.
  - A group that is named has exactly the entries that are declared. Groups that are not named stay as they are.
  - Entries are created first, then changed, then removed, so that a group that stays is never empty and what refers to it stays
    valid. A host with another address is a new entry and a removed one.
  - Before anything is changed or removed, the server is asked whether the change would cut off the administration. If so, the
    module fails with the server's words, and takes back what it had created a moment before.
  - In check mode the server is asked as well. What it refuses only as long as new entries are missing is a warning then.
version_added: 0.1.0
options:
  groups:
    description: The groups that are managed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the group, in any case; the server's spelling is kept.
        type: str
        required: true
      state:
        description:
          - V(absent) removes all entries of the group, and with them the group.
          - It is refused as long as master authentication, the security policy, a service or another group refers to the group.
            In check mode that is a warning, because the same playbook may change what refers to it.
        type: str
        choices: [present, absent]
        default: present
      entries:
        description:
          - All entries of the group, each with exactly one of O(groups[].entries[].host), O(groups[].entries[].network),
            O(groups[].entries[].range), O(groups[].entries[].prefix), O(groups[].entries[].group) and
            O(groups[].entries[].this_machine). Other entries are removed.
          - If this is not given, the group must exist, and its entries are not managed.
        type: list
        elements: dict
        suboptions:
          host:
            description: One IP address or DNS name.
            type: str
          network:
            description: IPv4 network such as V(10.0.0.0/8) or V(10.0.0.0/255.0.0.0).
            type: str
          range:
            description: First and last address, such as V(10.0.0.1-10.0.0.9).
            type: str
          prefix:
            description: IPv6 network such as V(2001:db8::/32).
            type: str
          group:
            description: Name of another group, on the server or declared in the same task.
            type: str
          this_machine:
            description: The server itself; only V(true) means anything.
            type: bool
          description:
            description: Text beside the entry. If it is not given, it is not managed.
            type: str
          enabled:
            description: Whether the entry counts.
            type: bool
            default: true
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_master_authentication
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive host, and nothing else, may use master authentication
  mailops.kerio.kerio_ip_address_groups:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    groups:
      - name: Archive hosts
        entries:
          - host: 192.0.2.10
            description: archive1
          - prefix: 2001:db8:0:10::/64

- name: Ensure that the offices are one group and that the old one is gone
  mailops.kerio.kerio_ip_address_groups:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    groups:
      - name: Offices
        entries:
          - network: 198.51.100.0/24
          - range: 203.0.113.10-203.0.113.19
          - group: Archive hosts
          - host: vpn.example.com
            enabled: false
      - name: Old offices
        state: absent
"""

RETURN = r"""
plan:
  description: How many groups were, or would be, created, changed and deleted.
  returned: success
  type: dict
  sample: {create: 1, change: 0, delete: 0}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample:
    - Session.login
    - IpAddressGroups.getGroupList
    - IpAddressGroups.get
    - IpAddressGroups.create
    - IpAddressGroups.getGroupList
    - IpAddressGroups.get
    - Session.logout
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_groups, api, arguments, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = address_groups.declare_groups(server, module.params, module.check_mode)
        return runner.outcome_of(plan, "IP address groups", module.check_mode, server.calls, server.warnings)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.IP_ADDRESS_GROUPS},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
