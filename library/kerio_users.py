#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare accounts of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_users
short_description: Declare accounts of a Kerio Connect server
description:
  - Creates, changes and removes accounts, above all the archive mailbox; single ones, or the whole set of a domain.
  - An option that is not given is not managed. An account is known by its login name at its domain, whatever the case.
  - The account that this module logs in with is not disabled, does not get a lesser role, and does not get a password other than
    the one that the module logs in with.
  - Accounts are created first, then changed, then removed, and read back at the end. When the server refuses one, the message
    names it and tells what was done before.
  - Removing an account keeps its mail in the message store of the server, and keeps what refers to it, such as memberships.
version_added: 0.1.0
options:
  users:
    description: Accounts. One that is not listed is not managed, unless O(whole_domains) has its domain.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description:
          - Login name and domain, such as V(archive@example.com). The domain is one of the server's own, by its name and not by
            an alias.
          - An address that leads to another account, a group or an alias is refused, because a new account would take its mail.
        type: str
        required: true
      state:
        description:
          - Whether the account exists. V(absent) does not remove accounts from a directory service, the account that this module
            logs in with, nor one that gets the archived mail.
        type: str
        choices: [present, absent]
        default: present
      full_name:
        description: Name of the person.
        type: str
      description:
        description: Free text.
        type: str
      enabled:
        description: Whether the account can be used. An account is created enabled unless this is V(false).
        type: bool
      addresses:
        description:
          - All further addresses as local parts, in any order. An address in the account's domain means its local part, and one
            in another domain is refused unless the account has it already. The default address is no part of the list; it may be
            given all the same.
        type: list
        elements: str
      role:
        description: What the account may administer.
        type: str
        choices: [user, auditor, account_admin, full_admin]
      public_folder_right:
        description: Whether the account may administer public folders.
        type: bool
      archive_folder_right:
        description: Whether the account may read the archive folders of the server.
        type: bool
      in_global_address_list:
        description: Whether the account is in the global address list.
        type: bool
      may_change_password:
        description: Whether the user may change the password; else only an administrator can.
        type: bool
      password_reversible:
        description:
          - Whether the server stores the password so that it can be read again, which CRAM-MD5 and DIGEST-MD5 need. It says how
            the next password is stored, and a warning says so unless the password is written in the same call.
        type: bool
      disk_limit_mb:
        description: Most megabytes in the mailbox. V(0) is no limit.
        type: int
      item_limit:
        description: Most items in the mailbox. V(0) is no limit.
        type: int
      password:
        description:
          - Password, needed for an account that does not exist yet. No server returns it, so it is written when the account is
            created, and later only if O(users[].update_password) says so.
        type: str
      update_password:
        description:
          - When the password is written. V(always) writes it in every run, and every run is a change then.
        type: str
        choices: [on_create, always]
        default: on_create
  whole_domains:
    description:
      - Domains of which O(users) is the whole set. Every other account of them is removed, with these exceptions. Accounts from a
        directory service, full administrators, and the account that this module logs in with stay.
      - It is an error if an account that gets the archived mail would be removed, or if the domain is distributed over several
        servers, because each of them lists the accounts of the others.
    type: list
    elements: str
    default: []
  delete_limit:
    description: Most accounts that one call may remove. With more to remove, nothing at all is changed.
    type: int
    default: 5
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_directory_info
  - module: mailops.kerio.kerio_archiving
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive mailbox exists
  mailops.kerio.kerio_users:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    users:
      - address: archive@example.com
        full_name: Archive
        in_global_address_list: false
        disk_limit_mb: 0
        item_limit: 0
        password: "{{ vault_kerio_archive_mailbox_password }}"

- name: Ensure that a domain has exactly these accounts
  mailops.kerio.kerio_users:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    whole_domains: [example.org]
    delete_limit: 2
    users:
      - address: alice@example.org
        full_name: Alice
        addresses: [sales, office]
        password: "{{ vault_first_passwords.alice }}"
      - address: bob@example.org
        full_name: Bob
        role: auditor
        password: "{{ vault_first_passwords.bob }}"
"""

RETURN = r"""
plan:
  description: How many accounts were, or would be, created, changed and removed.
  returned: success
  type: dict
  sample: {create: 1, change: 0, delete: 0}
accounts:
  description: Addresses of the accounts that were, or would be, created, changed and removed.
  returned: success
  type: dict
  sample: {create: [archive@example.com], change: [], delete: []}
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Domains.get, Users.get, Groups.get, Aliases.get, Users.create, Users.get, Session.logout]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import plan, runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import accounts, api, arguments, specs


def work(module: AnsibleModule, secrets: t.Sequence[str]) -> runner.Outcome:
    # Ansible would mask such a name wherever it stands, so it is refused before anything is done under it.
    shown = [{name: value for name, value in entry.items() if name != "password"} for entry in module.params["users"]]
    runner.refuse_secrets(shown, secrets, "users")
    with api.session(module.params) as server:
        done = accounts.declare_users(server, module.params, module.check_mode)
        outcome = runner.outcome_of(done, "users", module.check_mode, server.calls, server.warnings)
    touched = {action: [change.key for change in done.changes if change.action == action] for action in plan.ACTIONS}
    outcome.data["accounts"] = touched
    outcome.msg += f"; {accounts.MAIL_STAYS}" if touched["delete"] else ""
    return outcome


def main() -> None:
    module = runner.DiscreetModule(argument_spec={**arguments.connection(), **specs.USERS}, supports_check_mode=True)
    given = [module.params["api_password"], *(entry["password"] for entry in module.params["users"])]
    secrets = [secret for secret in given if secret]
    runner.run(module, lambda: work(module, secrets), secrets)


if __name__ == "__main__":
    main()
