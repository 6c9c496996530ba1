#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declares variables of mailserver.cfg on a Kerio Connect host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kerio_mailserver_cfg
short_description: Declare variables of mailserver.cfg on a Kerio Connect server
version_added: 0.1.0
description:
  - Makes variables of C(mailserver.cfg) say what is declared, and makes sure that the running server has read them.
  - Kerio Connect reads the file at start and rewrites it from memory when it stops. So a detached job on the host stops the
    service, proves that it stopped, reads the file again, changes the text of the named variables and no other byte, keeps a
    backup, replaces the file atomically, starts the service, waits for the admin API and IMAP, and reads the values again.
  - Whatever goes wrong, the file from after the stop is restored, the service is started, and the failed result tells in
    RV(error) what is true then.
  - Users have no mail service between stop and start. A stop alone may take 5 minutes on a server with large stores.
  - A value that is right in the file while the service does not run, or was started before the file was changed or put in its
    place, counts as not applied. A service that somebody stopped on purpose is therefore started; leave its host out of the run
    (C(--limit)) to keep it down. C(site.yml) and C(configure.yml) leave it out by themselves, because its admin API is down.
  - Nothing is stopped as long as the server's process cannot be found although its ports are open, the file cannot be replaced,
    or the ports to ask afterwards do not answer before.
  - Runs on the Kerio Connect host, with the rights to control its service. On Windows and macOS servers it refuses and lists the
    steps to do by hand.
extends_documentation_fragment:
  - mailops.kerio.job
  - mailops.kerio.kerio_host
attributes:
  check_mode:
    description: Looks at the file and at the start time of the process; nothing is stopped or written.
    support: full
  diff_mode:
    description: Shows the managed variables only, because the file holds secrets.
    support: full
options:
  permanent_delete:
    description:
      - Whether a message that an IMAP client deletes is gone for good once the client expunges it (C(AutoExpungeOnDelete) V(0))
        rather than moved to Deleted Items by the server (V(1), what the server is shipped with).
      - The variable looks reversed. With V(1) the server itself expunges as soon as a message is marked as deleted, and its way
        to expunge is to move the message to Deleted Items. With V(0) the mark stays a mark until the client expunges.
      - It is one setting for the whole server. It changes what deleting means for B(every user) of an IMAP client, not only for
        the archive.
      - Archiving that deletes archived messages needs V(true); otherwise they pile up in Deleted Items.
    type: bool
  variables:
    description:
      - Variables and their values. Values show up in diffs; variables that hold passwords are refused.
      - A variable is never added. None or several hits are an error that names them. Items of lists are refused, they belong to
        the admin API.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of a variable that occurs once in the file.
        type: str
      path:
        description: Names of its tables and its own name, as in V(Administration/BuiltInAdminEnabled).
        type: str
      value:
        description: The text; a boolean is written as V(1) or V(0).
        type: raw
        required: true
  ready:
    description: Where the started server must answer.
    type: dict
    default: {}
    suboptions:
      host:
        description: Address to ask on the Kerio Connect host itself.
        type: str
        default: 127.0.0.1
      api_port:
        description: Port of the admin API; V(0) does not ask it.
        type: int
        default: 4040
      imap_port:
        description: Port of IMAP without TLS from the start; V(0) does not ask it.
        type: int
        default: 143
      timeout:
        description:
          - Seconds that the started server may take. After a start command that failed there must be a process within 10 seconds.
        type: int
        default: 300
  start_timeout:
    description: Seconds that the start command may take.
    type: int
    default: 120
  settle:
    description: Seconds during which nothing may come back after the stop.
    type: float
    default: 3
  state_dir:
    description:
      - Folder on the host for the state of the job. It is refused when others can write to it or replace it, because the job
        believes what it finds there.
    type: path
    default: /var/lib/kerio-archive/jobs
  backup_keep:
    description: How many backups named C(mailserver.cfg.kerio-archive.<time>) stay beside the file.
    type: int
    default: 5
seealso:
  - module: mailops.kerio.kerio_preflight_host
  - module: mailops.kerio.kerio_info
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure deleting a message over IMAP is final
  mailops.kerio.kerio_mailserver_cfg:
    permanent_delete: true
  become: true

- name: Ensure the built-in administrator is off
  mailops.kerio.kerio_mailserver_cfg:
    variables:
      - path: Administration/BuiltInAdminEnabled
        value: false
    ready:
      imap_port: 0  # this server offers IMAP with TLS only
  become: true
"""

RETURN = r"""
variables:
  description: The managed variables with their values before and after.
  returned: success
  type: list
  elements: dict
  sample: [{variable: AutoExpungeOnDelete, before: "1", after: "0"}]
reasons:
  description: Why the service was restarted, or would be; empty when there was nothing to do.
  returned: success
  type: list
  elements: str
  sample: ["AutoExpungeOnDelete is 1, not 0"]
backup_file:
  description: The bytes of the file after the stop and before the change.
  returned: when the file was changed
  type: str
  sample: /opt/kerio/mailserver/mailserver.cfg.kerio-archive.20260103T021500Z
process:
  description: The process that runs now, C(started) in seconds since the epoch.
  returned: when the service was restarted
  type: dict
  sample: {pid: 4711, started: 1767406512.2}
down_seconds:
  description: How long the service was not available.
  returned: when the service was restarted
  type: float
  sample: 41.3
holder:
  description: Who attends the running job; nothing was done then.
  returned: when another caller attends the job
  type: str
  sample: ops@control.example.com (ansible process 4711, 5f0c91aa)
previous:
  description: Reports of jobs that ended while nobody was there to hear.
  returned: when there are any
  type: list
  elements: dict
error:
  description: C(subject), C(cause), C(remedy), and in C(state) whether the service runs and answers, the values, and the backup.
  returned: failure
  type: dict
"""

import copy
import platform

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import job_attend, runner
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_module, service

ARGUMENTS = {
    "permanent_delete": {"type": "bool"},
    "variables": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, "path": {"type": "str"}, "value": {"type": "raw", "required": True}},
        "mutually_exclusive": [("name", "path")],
        "required_one_of": [("name", "path")],
    },
    **service.ARGUMENTS,
    "ready": {
        "type": "dict",
        "default": {},
        "options": {
            "host": {"type": "str", "default": "127.0.0.1"},
            "api_port": {"type": "int", "default": 4040},
            "imap_port": {"type": "int", "default": 143},
            "timeout": {"type": "int", "default": 300},
        },
        "apply_defaults": True,
    },
    "start_timeout": {"type": "int", "default": 120},
    "settle": {"type": "float", "default": 3},
    "state_dir": {"type": "path", "default": "/var/lib/kerio-archive/jobs"},
    "backup_keep": {"type": "int", "default": 5},
    **job_attend.ARGUMENTS,
}

ONE_OF = [("permanent_delete", "variables")]


def main() -> None:
    # A copy, because Ansible writes the defaults of suboptions into it.
    module = AnsibleModule(argument_spec=copy.deepcopy(ARGUMENTS), supports_check_mode=True, required_one_of=ONE_OF)
    runner.run(module, lambda: runner.Outcome(**cfg_module.declare(module.params, module.check_mode, platform.system())))


if __name__ == "__main__":
    main()
