#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare who may log in to a Kerio Connect server, and how."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_security_policy
short_description: Declare authentication methods, lockout and anti-hammering of a Kerio Connect server
description:
  - Sets what the administration has under Security, Security Policy.
  - An option that is not given is not managed. Everything else in the same structure is sent back as received, above all the
    authentication methods that are not named, because the server switches a method on again that is missing from what it gets.
  - Reading back proves all of them.
version_added: 0.1.0
options:
  mode:
    description:
      - What the server asks of a client. V(authentication_required) demands secure authentication, V(encryption_required) an
        encrypted connection; then whatever reads mail over IMAP must use TLS as well.
    type: str
    choices: [no_restrictions, authentication_required, encryption_required]
  authentication_methods:
    description:
      - Methods that are on or off, by name in upper or lower case, such as V(CRAM-MD5), V(DIGEST-MD5), V(NTLM), V(PLAIN) and
        V(LOGIN). A method that is not named stays as it is. One that the server does not have is an error that lists those that
        it has.
      - V(CRAM-MD5) and V(DIGEST-MD5) cannot work for users who are mapped from a directory, nor for users whose password is
        stored as SHA. A client that sees such a method offered may choose it, and its login fails. Where there are such users,
        switch both off, leave V(PLAIN) and V(LOGIN) on, and use TLS.
      - With V(PLAIN) and V(LOGIN) both off the module warns in every run.
    type: dict
  allow_ntlm_for_kerberos_users:
    description: Whether users who are authenticated by Kerberos may use NTLM.
    type: bool
  lockout:
    description: Whether an account is locked after too many failed logins.
    type: bool
  failed_logins_to_lock:
    description: How many failed logins lock an account; at least 1.
    type: int
  minutes_to_unlock:
    description: After how many minutes a locked account is unlocked; at least 1.
    type: int
  authentication_exception_group:
    description:
      - Name of the IP address group from which secure authentication is not demanded. The empty string is no exception.
        Used by the server with O(mode=authentication_required).
    type: str
  encryption_exception_group:
    description:
      - Name of the IP address group from which an encrypted connection is not demanded. The empty string is no exception.
        Used by the server with O(mode=encryption_required).
    type: str
  anti_hammering:
    description:
      - Whether an address is blocked after too many failed logins. Old servers do not have it; there, only V(false) may be
        declared.
    type: bool
  anti_hammering_failed_logins:
    description: How many failed logins within a minute block an address; at least 1.
    type: int
  anti_hammering_minutes:
    description: For how many minutes an address stays blocked; at least 1.
    type: int
  anti_hammering_exception_group:
    description:
      - Name of the IP address group whose addresses are never blocked; the archive host belongs in it. The empty string is no
        exception.
    type: str
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_ip_address_groups
  - module: mailops.kerio.kerio_master_authentication
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that users of a directory can log in, and that the archive host is never blocked
  mailops.kerio.kerio_security_policy:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    authentication_methods:
      CRAM-MD5: false
      DIGEST-MD5: false
      PLAIN: true
      LOGIN: true
    anti_hammering: true
    anti_hammering_exception_group: Archive hosts
"""

RETURN = r"""
plan:
  description: How many things were, or would be, created, changed and deleted; the policy is one.
  returned: success
  type: dict
  sample: {create: 0, change: 1, delete: 0}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, SecurityPolicy.get, SecurityPolicy.set, SecurityPolicy.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, declare, kinds, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = declare.declare_settings(server, kinds.SECURITY_POLICY, module.params, module.check_mode)
        return runner.outcome_of(plan, "security policy", module.check_mode, server.calls, server.warnings)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.SECURITY_POLICY},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
