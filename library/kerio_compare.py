#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare a Kerio Connect server with its declaration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_compare
short_description: Compare a Kerio Connect server with its declaration
description:
  - Reads a server in one session and says what is not as declared, and what that means for archiving. It changes nothing.
  - For each declaration it plans as the module of that declaration would in check mode; the modules then have to run for those
    in RV(differing) alone.
  - It also looks at relations, which no single module can see. The archive mailbox must exist and be nobody's, the IP address
    group must admit the archive host, and so on; C(docs/relations.md) has them all. They are about the outcome, that is, today's
    settings with the declared ones laid over them, so a contradiction is found before anything is written.
  - The accounts of the server are read only when a relation needs them.
version_added: 0.1.0
options:
  archive:
    description:
      - What the relations must know of the archive side. A relation whose part is absent is not looked at.
    type: dict
    suboptions:
      archive_hosts:
        description:
          - Names or addresses from which archiving logs in. Names are resolved on the host that runs the module; C(localhost)
            is the address that this host has towards the server.
        type: list
        elements: str
      profiles:
        description:
          - The archiving profiles, as O(mailops.kerio.archive_run#module:profiles). A profile that deletes has a key
            C(delete).
        type: list
        elements: dict
      users_scope:
        description:
          - Who of the directory becomes an archive user, as O(mailops.kerio.archive_users#module:scope); an empty dictionary
            is everybody.
        type: dict
        suboptions:
          domains:
            description:
              - Names of domains.
            type: list
            elements: str
          groups:
            description:
              - Names of groups, alone or followed by C(@) and the domain.
            type: list
            elements: str
          users:
            description:
              - Default addresses or login names of users.
            type: list
            elements: str
      users_declared:
        description:
          - Archive users of the inventory, as O(mailops.kerio.archive_users#module:users).
        type: list
        elements: dict
      users_excluded:
        description:
          - Addresses or login names of accounts that are no archive users, without the archive mailbox itself.
        type: list
        elements: str
      interval_hours:
        description:
          - Hours between two runs of archiving.
        type: float
      permanent_delete:
        description:
          - What is declared for C(AutoExpungeOnDelete) in C(mailserver.cfg); V(true) deletes for good.
        type: bool
      deleting_profiles:
        description:
          - Names of profiles that delete what they have archived.
        type: list
        elements: str
      imap_access:
        description:
          - How archiving reaches the server over IMAP.
        type: str
        choices: [IMAP, IMAP-TLS, IMAP-SSL]
      other_servers:
        description:
          - Other servers of the inventory, with C(name), C(remote_address) and, if it is known, C(domains).
        type: list
        elements: dict
  fail_on_refusal:
    description:
      - Whether a violated relation of severity C(refuse) fails the module. With V(false) it is a warning.
    type: bool
    default: true
  warn_of_relations:
    description:
      - Whether violated relations are warnings. With V(false) they are in RV(relations) alone, for a playbook that tells them
        itself.
    type: bool
    default: true
  accept:
    description:
      - Ids of relations that the operator accepts although they are violated. One of severity C(refuse) becomes a warning,
        the warning of any other is not given. RV(relations) has them all the same.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - mailops.kerio.declared
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_info
  - module: mailops.kerio.kerio_archiving
  - module: mailops.kerio.kerio_master_authentication
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure it is known what differs, and that nothing contradicts itself
  mailops.kerio.kerio_compare:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    archiving:
      enabled: true
      remote_address: archive@example.com
      relayed_messages: true
    master_authentication:
      enabled: true
      ip_address_group: Archive hosts
    archive:
      archive_hosts: [archive1.example.com]
      profiles: "{{ archive_profiles }}"
      users_scope: {}
      interval_hours: 24
      imap_access: IMAP-SSL
    accept: [archive-mailbox-has-a-limit]
  register: comparison

- name: Ensure archiving is as declared
  mailops.kerio.kerio_archiving:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    enabled: true
    remote_address: archive@example.com
    relayed_messages: true
  when: "'archiving' in comparison.differing"
"""

RETURN = r"""
differing:
  description:
    - Options of this module whose declaration the server does not fulfil, in the order in which the modules are applied.
  returned: success
  type: list
  elements: str
  sample: [archiving]
differences:
  description:
    - One entry for each setting that differs. C(kind) is the option of this module, C(key) the object (a domain, a service, an
      account, a group) or empty, C(option) the setting, or C(state) for an object that is missing or too many.
    - C(server) is today's value, C(declared) the other one, C(meaning) what it means for archiving. Passwords are never shown.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: archiving
      key: ""
      option: relayed_messages
      server: false
      declared: true
      meaning: >-
        Mail from elsewhere to elsewhere is not archived by this server since it was switched off, and what came meanwhile is not
        archived later.
relations:
  description:
    - Relations that are violated. C(severity) is V(refuse) or V(warn), C(accepted) whether O(accept) names it, C(text) the whole
      sentence.
    - When the module fails because of them, they are in C(error.relations).
  returned: success
  type: list
  elements: dict
  sample:
    - id: digest-methods
      severity: warn
      subject: "mail1: security_policy.authentication_methods"
      text: >-
        mail1: security_policy.authentication_methods: CRAM-MD5 is on, and cannot work for 1 account whose password is in a
        directory or stored as SHA (alice@example.com), so these cannot log in wherever a program prefers such a method. Switch
        off what cannot work (security_policy: {authentication_methods: {CRAM-MD5: false}}).
      accepted: false
cannot_tell:
  description: One sentence for each thing of which nobody can tell whether a relation holds.
  returned: success
  type: list
  elements: str
  sample: []
today:
  description: Today's settings that other tasks need to know; C(master_authentication) has C(enabled) and C(ip_address_group).
  returned: success
  type: dict
  sample: {master_authentication: {enabled: true, ip_address_group: Archive hosts}}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Archive.get, AdvancedOptions.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, compare, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params, remember=True) as server:
        found = compare.compare(server, module.params)
        refusing = module.params["fail_on_refusal"]
        warnings = found.warnings(server.warnings, refusing, module.params["warn_of_relations"])
        if refusing:
            found.refuse(warnings)
        # Warnings and calls of the session may still grow until it ends: the logout comes last.
        server.warnings[:] = warnings
        data = {**found.as_result(), "calls": server.calls}
        return runner.Outcome(False, found.sentence(), found.diff(), server.warnings, data)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.COMPARE},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
