#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put in force who may log in to the archive and who reads what; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_access
short_description: Put in force who may log in to the archive and who reads what
version_added: 0.1.0
description:
  - Makes the files that the archive's Dovecot reads about users and rights from the catalog, tries them together with the
    configuration that the role C(archive_access) has made, and puts them in force.
  - The trial is a Dovecot of its own that listens on no port. Probes log in to it, open an archive and are refused. Only when all
    of that is as it must be is anything in use touched. What failed stays below O(state_dir) in C(next).
  - A lost right does not wait for that. When the trial fails, whoever may do less than before cannot log in until one succeeds,
    the sessions of such people end, and the error names them.
  - Whoever may do less than before cannot log in any more before anything else changes, and the sessions of such people end. At
    no instant does anybody have more than before or after.
  - Dovecot is reloaded only when its configuration or its Lua script has changed; users and rights count at once. It is neither
    started nor stopped.
  - Every archive user gets a home, and an empty tree below O(root) where nothing was archived yet, because IMAP clients open
    INBOX.
  - Users whose names are the same but for upper case are left out with a warning, unless all but one have left. In the folder
    list of others a name has C(=) and two digits for each byte that is no ASCII letter, digit or harmless sign.
attributes:
  check_mode:
    description: Says what would change. Nothing is tried, and nothing written.
    support: full
  diff_mode:
    description: Returns people and what they may do, and the names of files and homes; passwords and hashes are not shown.
    support: full
options:
  state_dir:
    description: Directory of the archive's Dovecot. C(candidate) in it holds what is to be tried, C(live) what is in force.
    type: path
    default: /var/lib/kerio-archive-access
  passwords:
    description:
      - Passwords of users whose authentication is C(integrated), by user name, or argon2id hashes of them that begin with
        C($argon2id$). A hash in force stays as long as it fits the password.
      - An integrated user without a password cannot log in.
    type: dict
    default: {}
  kick:
    description: Whether to end the open sessions of people who lost something. Otherwise they keep it until they log out.
    type: bool
    default: true
  owner:
    description: Account that the files belong to, for a module that runs as root. The caller unless given.
    type: str
  group:
    description: Group that reads what logins are checked with, which is that of Dovecot's own processes. The owner's unless
      given.
    type: str
  mail_user:
    description: Account that Dovecot reads mail as. The caller unless given.
    type: str
extends_documentation_fragment:
  - mailops.kerio.archive
requirements:
  - argon2-cffi, for O(passwords) (the role archive_host installs it)
  - dovecot-imapd and dovecot-auth-lua 2.3 (the role archive_access installs them)
seealso:
  - module: mailops.kerio.archive_users
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive's users can read what they may
  mailops.kerio.archive_access:
    root: /srv/archive/kerio
    group: dovecot
    mail_user: kerio-archive-reader
    passwords:
      auditor: "{{ vault_archive_auditor_password }}"
  become: true

- name: Ensure that rights change without ending sessions
  mailops.kerio.archive_access:
    root: /srv/archive/kerio
    group: dovecot
    mail_user: kerio-archive-reader
    kick: false
  become: true
"""

RETURN = r"""
plan:
  description: How many things were (in check mode would be) created, changed and deleted - people, files, homes and trees.
  returned: success
  type: dict
  sample: {create: 3, change: 2, delete: 0}
archives:
  description: How many archives are served.
  returned: success
  type: int
  sample: 82
people:
  description: How many people may log in.
  returned: success
  type: int
  sample: 80
kicked:
  description: Whose sessions were ended.
  returned: success
  type: list
  elements: str
  sample: [bob@example.com]
reloaded:
  description: Whether Dovecot was reloaded.
  returned: success
  type: bool
  sample: false
running:
  description: Whether the archive's Dovecot ran when something was put in force.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/kerio-archive-access"},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "kick": {"type": "bool", "default": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mail_user": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    secrets = [str(password) for password in (module.params["passwords"] or {}).values()]
    runner.run(module, lambda: runner.Outcome(**access_module.declare(module.params, check_mode=module.check_mode)), secrets)


if __name__ == "__main__":
    main()
