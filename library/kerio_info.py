#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read version and settings of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_info
short_description: Read version and settings of a Kerio Connect server
description:
  - Returns today's settings in exactly the shape that the modules of this collection take, so that an existing server is adopted
    by pasting them into the inventory. Settings that the server does not know are left out, and so are passwords.
  - The playbook C(adopt.yml) of this collection does that.
version_added: 0.1.0
options:
  gather:
    description:
      - Which settings to read. The empty list reads the version alone.
      - V(users) are all accounts of all domains, which can be many.
    type: list
    elements: str
    choices: [ip_address_groups, services, users, archiving, master_authentication, advanced_options, security_policy]
    default: [ip_address_groups, services, archiving, master_authentication, advanced_options, security_policy]
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes.info
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_ip_address_groups
  - module: mailops.kerio.kerio_services
  - module: mailops.kerio.kerio_users
  - module: mailops.kerio.kerio_archiving
  - module: mailops.kerio.kerio_master_authentication
  - module: mailops.kerio.kerio_advanced_options
  - module: mailops.kerio.kerio_security_policy
  - module: mailops.kerio.kerio_compare
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the settings of the server are known
  mailops.kerio.kerio_info:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
  register: today

- name: Ensure that today's settings can be pasted into the inventory
  ansible.builtin.debug:
    msg: "{{ today.settings }}"
"""

RETURN = r"""
name:
  description: What O(server_name) says, else O(api_host).
  returned: success
  type: str
  sample: mail1
product:
  description: Name of the product.
  returned: success
  type: str
  sample: Kerio Connect
version:
  description: Version of the server.
  returned: success
  type: str
  sample: 10.0.8.9228
settings:
  description: Settings by what they are about; each is what the module of that name takes.
  returned: success
  type: dict
  contains:
    ip_address_groups:
      description: Option O(mailops.kerio.kerio_ip_address_groups#module:groups), all groups with all entries.
      type: list
      sample: [{name: Archive hosts, entries: [{host: 192.0.2.7, enabled: true}]}]
      returned: when gathered
    services:
      description: Option O(mailops.kerio.kerio_services#module:services).
      type: list
      sample: [{name: Secure IMAP, running: true, start_up: automatic, listeners: [{address: all, port: 993}]}]
      returned: when gathered
    users:
      description: Option O(mailops.kerio.kerio_users#module:users), without passwords.
      type: list
      sample: [{address: archive@example.com, enabled: true, role: user}]
      returned: when gathered
    security_policy:
      description: Options of mailops.kerio.kerio_security_policy.
      type: dict
      sample: {authentication_methods: {CRAM-MD5: false, PLAIN: true}, lockout: true}
      returned: when gathered
    archiving:
      description: Options of mailops.kerio.kerio_archiving.
      type: dict
      sample: {enabled: true, remote_address: archive@example.com, local_messages: true}
      returned: when gathered
    master_authentication:
      description:
        - Options of mailops.kerio.kerio_master_authentication, without the password. C(allow_any_address) is there when master
          authentication is on without a group.
      type: dict
      sample: {enabled: true, ip_address_group: Archive host}
      returned: when gathered
    advanced_options:
      description: Options of mailops.kerio.kerio_advanced_options.
      type: dict
      sample: {insert_x_envelope_to: true}
      returned: when gathered
left_out:
  description:
    - One sentence for each thing that is not in RV(settings), because the server does not have it or because no module would take
      it as it is, such as the reference to an IP address group that is gone.
  returned: success
  type: list
  elements: str
  sample: []
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Server.getVersion, Archive.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, info


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params, remember=True) as server:
        data = info.gather(server, module.params["gather"])
        message = f"{server.name}: {data['product']} {data['version']}"
        return runner.Outcome(False, message, warnings=server.warnings, data={**data, "calls": server.calls})


def main() -> None:
    gather = {"type": "list", "elements": "str", "choices": list(info.GATHERED), "default": list(info.DEFAULT)}
    module = AnsibleModule(argument_spec={**arguments.connection(), "gather": gather}, supports_check_mode=True)
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
