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
  - mailops.kerio.attributes.info
options:
  path:
    description: The file; a symbolic link is followed.
    type: path
    default: /opt/kerio/mailserver/mailserver.cfg
  service:
    description: How the service is controlled and recognised, as for M(mailops.kerio.kerio_mailserver_cfg).
    type: dict
    default: {}
    suboptions:
      name:
        description: Name of its systemd unit.
        type: str
      script:
        description: Path of its init script.
        type: path
      process:
        description: Path of the server's program. By default C(mailserver) beside O(path).
        type: path
      watchdog:
        description: Name or path of the program that revives a dead server.
        type: str
        default: kerio-connect-watchdog
      pid_file:
        description: The file with the number of the server's process.
        type: path
        default: /var/run/kms.pid
  stop_timeout:
    description: Seconds that a stop and the proof of it may take.
    type: int
    default: 330
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

import platform

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_preflight, service

ARGUMENTS = {
    "path": {"type": "path", "default": "/opt/kerio/mailserver/mailserver.cfg"},
    **service.ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**cfg_preflight.look(module.params, platform.system())))


if __name__ == "__main__":
    main()
