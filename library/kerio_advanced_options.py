#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declare the advanced options of a Kerio Connect server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_advanced_options
short_description: Declare advanced options of a Kerio Connect server
description:
  - Sets the options that the administration has under Advanced Options, above all the X-Envelope-To header, from which mail of an
    archive mailbox is given to its recipients.
  - An option that is not given is not managed. Everything else on the same page is sent back as it was received.
version_added: 0.1.0
options:
  insert_x_envelope_to:
    description:
      - Whether the server adds a header X-Envelope-To with the recipient of the envelope to mail that it delivers locally.
    type: bool
  log_host_names:
    description: Whether logs show host names beside addresses.
    type: bool
  show_program_name_and_version:
    description:
      - Whether greetings tell program name and version. A change takes effect when the server is restarted.
    type: bool
  tnef_decoding:
    description: Whether attachments in winmail.dat (TNEF) are decoded.
    type: bool
  uuencoded_conversion:
    description: Whether uuencoded attachments are converted to MIME.
    type: bool
  allow_unsupported_activesync_devices:
    description: Whether ActiveSync devices that are not supported may connect. Known to old servers (Kerio Connect 8) alone.
    type: bool
extends_documentation_fragment:
  - mailops.kerio.kerio
  - mailops.kerio.attributes
  - mailops.kerio.attributes.administration
seealso:
  - module: mailops.kerio.kerio_archiving
  - module: mailops.kerio.kerio_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that delivered mail says for whom it was
  mailops.kerio.kerio_advanced_options:
    api_host: mail1.example.com
    api_user: Admin
    api_password: "{{ vault_kerio_admin_password }}"
    insert_x_envelope_to: true
"""

RETURN = r"""
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
  sample: [Session.login, AdvancedOptions.get, AdvancedOptions.set, AdvancedOptions.get, Session.logout]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, declare, kinds, specs


def work(module: AnsibleModule) -> runner.Outcome:
    with api.session(module.params) as server:
        plan = declare.declare_settings(server, kinds.ADVANCED_OPTIONS, module.params, module.check_mode)
        return runner.outcome_of(plan, "advanced options", module.check_mode, server.calls, server.warnings)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.connection(), **specs.ADVANCED_OPTIONS},
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["api_password"]])


if __name__ == "__main__":
    main()
