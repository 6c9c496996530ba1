#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the users of an archive in line with the directories of the Kerio servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_users
short_description: Bring the users of an archive in line with the directories of the Kerio servers
description:
  - Takes the whole set of users at once - the directories of all servers and users written in the inventory - and creates,
    changes and, if asked to, deletes archive users.
  - A user of a directory is known by the id that the server gives. Who is renamed there keeps the archive.
  - A deleted user cannot log in any more and gets no mail. The folders and messages of the user stay in any case.
  - Check mode says who would be created, changed and deleted, and why.
  - Does not wait for a run of archiving; the next run files by the new set.
version_added: 0.1.0
options:
  directories:
    description: What RV(mailops.kerio.kerio_directory_info#module:directory) returned, one entry for each server.
    type: list
    elements: dict
    default: []
  users:
    description: Users who come from no directory. Known by their name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: User name, as the user logs in.
        type: str
        required: true
      full_name:
        description: Full name.
        type: str
        default: ""
      addresses:
        description: E-mail addresses whose mail is filed to the user.
        type: list
        elements: str
        default: []
      authentication:
        description: How the user's password is checked.
        type: str
        default: ""
      privileges:
        description: What the user may do. Absent means as it is; new users get O(default_privileges).
        type: list
        elements: str
        choices: [login, read, export, none]
      enabled:
        description: Whether the user may log in.
        type: bool
        default: true
  scope:
    description: Who is wanted of the directories. A user who is in one of the domains or in one of the groups; empty means all.
    type: dict
    default: {}
    suboptions:
      domains:
        description: Names of domains.
        type: list
        elements: str
        default: []
      groups:
        description: Names of groups, alone or followed by C(@) and the domain.
        type: list
        elements: str
        default: []
  user_name:
    description: Whether users are called by their default address or by their login name. Login names must then be unique.
    type: str
    choices: [address, login]
    default: address
  not_users:
    description: Addresses or login names of accounts that are no people, such as the archive mailbox.
    type: list
    elements: str
    default: []
  default_privileges:
    description: What new users may do.
    type: list
    elements: str
    choices: [login, read, export, none]
    default: [login, read]
  delete:
    description:
      - Whether users are deleted who are gone from the directory of their server, from the inventory or from O(scope).
      - Users of a server that is not in O(directories) are never touched.
    type: bool
    default: false
  reused_names:
    description:
      - For a name that belonged to somebody who is not there any more and that somebody else has now. Without an entry the
        module stops.
      - V(adopt) gives the archive of that name to the new user. V(separate) keeps it apart and begins a new one.
    type: dict
    default: {}
  owner:
    description: Who has it done, such as user and host of the controller, for the ledger (M(mailops.kerio.archive_audit)).
    type: str
    default: ""
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes
seealso:
  - module: mailops.kerio.kerio_directory_info
  - module: mailops.kerio.archive_store
author:
  - mailops (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive has the users of both servers
  mailops.kerio.archive_users:
    root: /srv/archive
    directories: ["{{ mail1.directory }}", "{{ mail2.directory }}"]
    scope:
      domains: [example.com]
    not_users: [archive@example.com]
    delete: true
    owner: "{{ lookup('ansible.builtin.pipe', 'echo $(id -un)@$(uname -n)') }}"

- name: Ensure that an auditor can read
  mailops.kerio.archive_users:
    root: /srv/archive
    directories: ["{{ mail1.directory }}"]
    users:
      - name: auditor
        full_name: Auditor
        authentication: local
"""

RETURN = r"""
counts:
  description: How many users were (in check mode would be) created, changed and deleted.
  returned: success
  type: dict
  sample: {create: 2, change: 1, delete: 0}
users:
  description: Each user who was (would be) touched, what was done and why.
  returned: success
  type: list
  elements: dict
  sample:
    - name: bob@example.com
      action: change
      why: was robert@example.com
left_out:
  description: Users of the directories who are not in the scope, or are no people.
  returned: success
  type: list
  elements: str
  sample: [archive@example.com]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_sync

PRIVILEGES = {"type": "list", "elements": "str", "choices": ["login", "read", "export", "none"]}
LIST = {"type": "list", "elements": "str", "default": []}
USER = {
    "name": {"type": "str", "required": True},
    "full_name": {"type": "str", "default": ""},
    "addresses": LIST,
    "authentication": {"type": "str", "default": ""},
    "privileges": PRIVILEGES,
    "enabled": {"type": "bool", "default": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "directories": {"type": "list", "elements": "dict", "default": []},
            "users": {"type": "list", "elements": "dict", "options": USER, "default": []},
            "scope": {"type": "dict", "default": {}, "options": {"domains": LIST, "groups": LIST}},
            "user_name": {"type": "str", "choices": ["address", "login"], "default": "address"},
            "not_users": LIST,
            "default_privileges": {**PRIVILEGES, "default": ["login", "read"]},
            "delete": {"type": "bool", "default": False},
            "reused_names": {"type": "dict", "default": {}},
            "owner": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )

    def work() -> runner.Outcome:
        wish = users_sync.wish(module.params)
        given = {"check_mode": module.check_mode, "owner": module.params["owner"]}
        plan = users_sync.synchronise(module.params["root"], wish, **given)
        touched = [
            {"name": change.key, "action": change.action, "why": plan.why.get(change.key, "")} for change in plan.shown.changes
        ]
        data = {"counts": plan.shown.counts(), "users": touched, "left_out": list(plan.left_out)}
        msg = plan.shown.sentence("archive users", module.check_mode)
        return runner.Outcome(plan.shown.changed, msg, diff=plan.shown.diff(), data=data, warnings=users.scope_warnings(wish))

    runner.run(module, work)


if __name__ == "__main__":
    main()
