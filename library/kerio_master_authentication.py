#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare the master authentication of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_master_authentication
short_description: Declare the master authentication of a Kerio Connect server
description:
  - Master authentication lets whoever knows one password open every mailbox over IMAP. Archiving of multiple mailboxes uses it.
  - An option that is not given is not managed. Everything else in Advanced Options is sent back as it was received, without the
    passwords, which the server returns empty and would erase.
  - The password cannot be read back, so this module never compares it. It writes O(password) in two cases alone. First, when
    master authentication goes from off to on in this call, whatever it was before, also if it was on at an earlier time. Second,
    when it is on already and O(password_state=wrong). With any other O(password_state) it is left alone, so a second run
    changes nothing.
version_added: 0.1.0
options:
  enabled:
    description:
      - Whether master authentication is on. While it is off, O(password) is not written.
    type: bool
  ip_address_group:
    description:
      - Name of the IP address group from which master authentication is allowed; it must exist, and hold the archive host.
      - If master authentication would be on without a group, the module fails, unless O(allow_any_address=true). The empty string
        removes the group.
    type: str
  allow_any_address:
    description: Whether master authentication may be on without an IP address group, so that every address may try the password.
    type: bool
    default: false
  password:
    description:
      - The master password, at least 12 printable ASCII characters. Needed when master authentication is switched on.
    type: str
  password_state:
    description:
      - What mailops.kerio.kerio_master_login, run on the archive host, found out about O(password).
      - V(wrong) lets this module write it. V(right) does nothing. V(cannot_tell) does nothing and gives a warning with
        O(password_state_reason). V(unset) does nothing and gives a warning if a password is declared.
    type: str
    choices: [right, wrong, cannot_tell, unset]
    default: unset
  password_state_reason:
    description: Why O(password_state) is V(cannot_tell), in the words of the server; part of the warning.
    type: str
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that it is known whether the master password is right
  mailops.kerio.kerio_master_login:
    host: mail1.example.com
    port: 993
    access: IMAP-SSL
    password: "{{ vault_kerio_master_password }}"
  register: master_login
  delegate_to: archive1.example.com

- name: Ensure that the archive host may open all mailboxes
  mailops.kerio.kerio_master_authentication:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    enabled: true
    ip_address_group: Archive host
    password: "{{ vault_kerio_master_password }}"
    password_state: "{{ master_login.answer }}"
"""

RETURN = r"""
password_written:
  description: Whether the password was, or would be, written.
  returned: success
  type: bool
  sample: false
plan:
  description: How many things were, or would be, created, changed and deleted.
  returned: success
  type: dict
  sample: {create: 0, change: 1, delete: 0}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, AdvancedOptions.get, IpAddressGroups.getGroupList, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, master_authentication, specs

OWN_OPTIONS = {
    "password_state": {"type": "str", "choices": list(master_authentication.STATES), "default": "unset", "no_log": False},
    "password_state_reason": {"type": "str", "no_log": False},
}


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = master_authentication.declare_master_authentication(server, module.params, module.check_mode)
        outcome = runner.outcome_of(plan, "master authentication", module.check_mode, server.calls, server.warnings)
    outcome.data["password_written"] = any("password" in change.after for change in plan.changes)
    return outcome


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.MASTER_AUTHENTICATION, **OWN_OPTIONS},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"], module.params["password"]])


if __name__ == "__main__":
    main()
