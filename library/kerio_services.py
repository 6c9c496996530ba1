#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare which services of a Kerio Connect server run, where they listen and who may use them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_services
short_description: Declare services of a Kerio Connect server
description:
  - Sets what the administration has under Configuration, Services, of the services that are named. A service that is not named
    is not managed, and an option that is not given neither.
  - What changes in a service is written first, then it is started or stopped. Reading back proves all services, also that those
    which are not named stayed as they were.
version_added: 0.1.0
options:
  services:
    description: Services by name.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the service as the administration shows it, in upper or lower case, such as V(IMAP) or V(Secure IMAP). A name
            that the server does not have is an error that lists those it has.
        type: str
        required: true
      running:
        description:
          - Whether the service runs now. What it does when the server is restarted is O(services[].start_up); the module warns
            when the two contradict each other.
        type: bool
      start_up:
        description: Whether the service starts with the server.
        type: str
        choices: [automatic, manual]
      listeners:
        description: All places at which the service listens, in any order; at least one.
        type: list
        elements: dict
        suboptions:
          address:
            description:
              - V(all) for all addresses of the server, V(localhost), or one of its IP addresses.
            type: str
            default: all
          port:
            description: Port, from 1 to 65535.
            type: int
            required: true
      ip_address_group:
        description: Name of the IP address group that alone may use the service. The empty string admits everybody.
        type: str
      connection_limit:
        description: Most connections at the same time. V(0) is no limit.
        type: int
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
notes:
  - The administration itself (port 4040) is not among the services and cannot be declared here.
  - An archive run has several connections to IMAP at the same time; they count towards O(services[].connection_limit).
seealso:
  - module: mailops.kerio.kerio_ip_address_groups
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that IMAP is there with TLS, and that POP3 stays off
  mailops.kerio.kerio_services:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    services:
      - name: Secure IMAP
        running: true
        start_up: automatic
        listeners:
          - port: 993
      - name: POP3
        running: false
        start_up: manual

- name: Ensure that IMAP without TLS is for the archive host alone
  mailops.kerio.kerio_services:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    services:
      - name: IMAP
        ip_address_group: Archive hosts
        connection_limit: 100
"""

RETURN = r"""
plan:
  description: How many services were, or would be, created, changed and deleted; a service can only be changed.
  returned: success
  type: dict
  sample: {create: 0, change: 2, delete: 0}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Services.get, Services.set, Services.start, Services.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, services, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = services.declare_services(server, module.params, module.check_mode)
        return runner.outcome_of(plan, "services", module.check_mode, server.calls, server.warnings)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.SERVICES},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
