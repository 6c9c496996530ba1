#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read domains, users, groups and aliases of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_directory_info
short_description: Read domains, users, groups and aliases of a Kerio Connect server
description:
  - Returns who has mail on a server and at which addresses, as mailops.kerio.archive_users takes it.
  - It is the whole directory or an error. Somebody who is missing by mistake would be taken for one who left.
  - No method of the server lists the members of a group, so they are the users who say that they belong to it.
version_added: 0.1.0
options:
  page_size:
    description: How many objects to ask for at a time. The server may send fewer; all pages are read in any case.
    type: int
    default: 1000
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes.info
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the directory of the server is known
  mailops.kerio.kerio_directory_info:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    server_name: mail1
  register: mail1
"""

RETURN = r"""
directory:
  description: The whole directory of one server.
  returned: success
  type: dict
  contains:
    server:
      description: What O(server_name) says, else O(api_host).
      type: str
      sample: mail1
      returned: success
    host:
      description: The host of O(api_host), without a port.
      type: str
      sample: mail1.example.com
      returned: success
    version:
      description: Version of the server.
      type: str
      sample: 10.0.8.9228
      returned: success
    domains:
      description:
        - Domains, with their aliases. C(clean_out) says after how many days the server itself removes mail for good, of all
          folders and of the three special ones; null is never.
      type: list
      elements: dict
      sample:
        - id: "keriodb://domain/908c1118-94e8-49b0-a229-7672f5c49c5a"
          name: example.com
          is_primary: true
          aliases: [example.net]
          clean_out: {deleted_items: 30, junk_email: null, sent_items: null, all_items: null}
      returned: success
    users:
      description:
        - Users of all domains. The addresses begin with the primary one; then come e-mail addresses, the same at the aliases of
          the domain, and aliases that end at the user; lower-case, each once. C(authentication) is V(internal) if the server
          itself knows the password, else V(directory). C(password_reversible) is whether that password is stored so that
          CRAM-MD5 and DIGEST-MD5 can work, null where the server does not say. C(home_server) is the server of a distributed
          domain with the mailbox. C(clean_out) is as for domains, null when the user has what the domain has.
      type: list
      elements: dict
      sample:
        - id: "keriodb://user/908c1118-94e8-49b0-a229-7672f5c49c5a/5f6bd6a5-3a5d-4f3c-8d3c-8b6c1c0c6a01"
          login: alice
          domain: example.com
          address: alice@example.com
          addresses: [alice@example.com, a.smith@example.com, alice@example.net, a.smith@example.net, sales@example.com]
          full_name: Alice
          enabled: true
          authentication: internal
          password_reversible: false
          groups: [Sales]
          role: UserRole
          home_server: null
          clean_out: null
      returned: success
    groups:
      description: Groups, with the ids of their members.
      type: list
      elements: dict
      sample:
        - id: "keriodb://group/5f6bd6a5-3a5d-4f3c-8d3c-8b6c1c0c6a02"
          name: Sales
          domain: example.com
          addresses: [team@example.com]
          members: ["keriodb://user/908c1118-94e8-49b0-a229-7672f5c49c5a/5f6bd6a5-3a5d-4f3c-8d3c-8b6c1c0c6a01"]
      returned: success
    aliases:
      description: Aliases. C(type) is V(address), V(public_folder), or what the server says if it is something else.
      type: list
      elements: dict
      sample:
        - address: sales@example.com
          deliver_to: alice@example.com
          type: address
      returned: success
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success
  type: list
  elements: str
  sample: [Session.login, Server.getVersion, Domains.get, Users.get, Groups.get, Aliases.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, directory


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        found = directory.read_directory(server, module.params["page_size"])
        message = f"{server.name}: {len(found['users'])} users in {len(found['domains'])} domains"
        return runner.Outcome(False, message, warnings=server.warnings, data={"directory": found, "calls": server.calls})


def main() -> None:
    options = {"page_size": {"type": "int", "default": api.PAGE_SIZE}}
    module = AnsibleModule(argument_spec={**arguments.connection(), **options}, supports_check_mode=True)
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
