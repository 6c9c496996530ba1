#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at mailserver.cfg and the service on a Kerio Connect host before archiving begins."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kerio_preflight_host
short_description: Look at mailserver.cfg and the service on a Kerio Connect host before archiving begins
version_added: 0.1.0
description:
  - Tells of each fact that M(mailops.kerio.kerio_mailserver_cfg) relies on whether it holds on this host, differs or cannot be
    told, what it means for archiving, and what to set when it differs.
  - Nothing is written, stopped or started.
  - Runs on the Kerio Connect host, with the rights to read the file. The playbook C(preflight.yml) of this collection runs it,
    and docs/before-going-live.md lists all facts.
extends_documentation_fragment:
  - mailops.kerio.kerio_host
  - mailops.kerio.attributes.info
seealso:
  - module: mailops.kerio.kerio_mailserver_cfg
  - module: mailops.kerio.kerio_preflight
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure it is known what of the host differs from what is assumed
  mailops.kerio.kerio_preflight_host:
  become: true
  register: looked

- name: Ensure it is known of a server in a container
  mailops.kerio.kerio_preflight_host:
    path: /srv/kerio/mailserver.cfg
    service:
      name: kerio-container.service
      process: /opt/kerio/mailserver/mailserver
  become: true
"""

RETURN = r"""
facts:
  description:
    - Each fact with its C(id), its C(verdict) (V(holds), V(differs) or V(cannot_tell)), what was C(found), what is C(assumed),
      why that C(matters), and the C(remedy) when it differs. C(stops) is true when archiving must not begin before that.
  returned: success
  type: list
  elements: dict
  sample:
    - id: cfg-variable
      verdict: holds
      found: It is Imap/AutoExpungeOnDelete, in line 12.
      assumed: AutoExpungeOnDelete is there once, in a table.
      matters: It is never added, because its place is not known, and never changed where it is not the only one.
      remedy: Leave out kerio_mailserver_cfg_permanent_delete, and let no profile delete.
      stops: false
path:
  description: What O(path) says.
  returned: success
  type: str
  sample: /opt/kerio/mailserver/mailserver.cfg
"""

import copy
import platform

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_preflight, service


def main() -> None:
    # A copy, because Ansible writes the defaults of suboptions into it.
    module = AnsibleModule(argument_spec=copy.deepcopy(service.ARGUMENTS), supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**cfg_preflight.look(module.params, platform.system())))


if __name__ == "__main__":
    main()
