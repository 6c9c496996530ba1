#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at the admin API of a Kerio Connect server before archiving begins."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_preflight
short_description: Look at the admin API of a Kerio Connect server before archiving begins
description:
  - Tells of each fact of the admin API that the modules of this collection rely on whether it holds on this server, differs or
    cannot be told, what it means for archiving, and what to set when it differs.
  - Nothing is written. Each method that the modules read with is called once, and none that writes.
  - A server that cannot be reached, or refuses the login, is a failure; the facts are returned all the same.
  - The playbook C(preflight.yml) of this collection runs it, and docs/before-going-live.md lists all facts.
version_added: 0.1.0
options: {}
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes.info
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_preflight_host
  - module: mailops.kerio.kerio_preflight_imap
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure it is known what of the administration differs from what is assumed
  mailops.kerio.kerio_preflight:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
  register: looked

- name: Ensure what differs is told
  ansible.builtin.debug:
    msg: "{{ looked.facts | selectattr('verdict', 'equalto', 'differs') }}"
"""

RETURN = r"""
name:
  description: What O(server_name) says, else O(api_host).
  returned: success or a server that does not let anybody in
  type: str
  sample: mail1
facts:
  description:
    - Each fact with its C(id), its C(verdict) (V(holds), V(differs) or V(cannot_tell)), what was C(found), what is C(assumed),
      why that C(matters), and the C(remedy) when it differs. C(stops) is true when archiving must not begin before that.
  returned: success or a server that does not let anybody in
  type: list
  elements: dict
  sample:
    - id: api-version
      verdict: holds
      found: It is Kerio Connect 10.0.8.9228.
      assumed: The server is Kerio Connect 8 to 10.
      matters: Methods and members are those of the interface descriptions of these versions.
      remedy: Run everything with --check first, against a trial server of this version.
      stops: false
by_hand:
  description: Facts that no module can look at without changing the server, each with its C(id) and how to C(check) it.
  returned: success or a server that does not let anybody in
  type: list
  elements: dict
  sample: [{id: archive-loop, check: "Send one message, wait a minute, and count the messages in the archive mailbox: one."}]
archive_address:
  description: To which address the server sends archived copies; empty when to none.
  returned: success or a server that does not let anybody in
  type: str
  sample: archive@example.com
master_authentication:
  description: Whether master authentication is on.
  returned: success or a server that does not let anybody in
  type: bool
  sample: true
clock_ahead:
  description: By how many seconds the server's clock is ahead of that of the controller; null when it cannot be told.
  returned: success or a server that does not let anybody in
  type: float
  sample: 0.4
calls:
  description: Methods of the admin API that were called, in order, without their parameters.
  returned: success or a server that does not let anybody in
  type: list
  elements: str
  sample: [Session.login, Archive.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import arguments, preflight_api


def main() -> None:
    module = AnsibleModule(argument_spec=arguments.connection(), supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**preflight_api.look(module.params)), [module.params["api_password"]])


if __name__ == "__main__":
    main()
