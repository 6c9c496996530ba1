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
    changes and, if asked to, deletes archive users. Nothing is ever written to a Kerio server.
  - A user of a directory is known by the id that the server gives. Who is renamed there keeps the archive.
  - A deleted user cannot log in any more and gets no mail. The folders and messages of the user stay in any case.
  - Check mode says who would be created, changed and deleted, and why.
  - Does not wait for a run of archiving; the next run files by the new set.
version_added: 0.1.0
options:
  directories:
    description:
      - What RV(mailops.kerio.kerio_directory_info#module:directory) returned, one entry for each server.
      - The server of every user of a directory must be here, in O(unread), in O(elsewhere), or in O(gone).
    type: list
    elements: dict
    default: []
  unread:
    description: Names of servers whose directory could not be read. Their users stay as they are.
    type: list
    elements: str
    default: []
  elsewhere:
    description:
      - What other archive hosts archive. Users who come from there stay as they are, whatever O(delete) says, unless O(gone)
        names their server or domain.
    type: dict
    default: {}
    suboptions:
      servers:
        description: Names of servers that this archive host does not archive.
        type: list
        elements: str
        default: []
      scopes:
        description:
          - Who of the servers in O(directories) other archive hosts want, an entry for each of them; C(servers) are names of
            servers, C(domains), C(groups) and C(users) as in O(scope).
        type: list
        elements: dict
        default: []
  users:
    description:
      - Users who come from no directory. Known by their name. Who is not declared any more stays, until V(absent) is said.
      - An entry with the name of a user of a directory declares that user further.
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
        description:
          - How the user's password is checked. V(integrated) is against the one that is given to the role archive_access, never
            here; such a user is not deleted when the directory has the user no more. V(kerio) is by the server O(users[].server),
            as the user O(users[].kerio_login).
        type: str
        choices: [integrated, kerio]
        default: integrated
      server:
        description: The server that checks the password and has the mailbox, as O(directories) calls it.
        type: str
        default: ""
      kerio_login:
        description: What the user logs in with at O(users[].server), login name and domain.
        type: str
        default: ""
      privileges:
        description: What the user may do, as O(rights[].privileges).
        type: list
        elements: str
        choices: [login, read, export, archive, audit, administer, none]
      reads:
        description: Whose archives the user reads besides the own one, as O(rights[].reads).
        type: list
        elements: str
      enabled:
        description: Whether the user may log in.
        type: bool
        default: true
      state:
        description: With V(absent) the user leaves. The folders and messages stay.
        type: str
        choices: [present, absent]
        default: present
  rights:
    description:
      - What users may do, wherever they come from. What is declared is the truth for these users; others stay as they are, also
        those that were declared before.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: Name or address of the user.
        type: str
        required: true
      privileges:
        description:
          - All that the user may do. Absent means as it is; new users get O(default_privileges).
          - V(login) to the archive; V(read) the own archive; V(export) from it; V(archive) for profiles that ask for it; V(audit)
            reads every archive; V(administer) holds the first four and reads what nobody owns; V(none) stands alone.
        type: list
        elements: str
        choices: [login, read, export, archive, audit, administer, none]
      reads:
        description:
          - Names or addresses of all users, leavers and C(@catchall) too, whose archives the user reads besides the own one. An
            empty list takes away what was given. Absent means as it is.
        type: list
        elements: str
  scope:
    description:
      - Who is wanted of the directories. A user who is in one of the domains or in one of the groups, or is named; empty means
        all.
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
      users:
        description: Default addresses or login names of users.
        type: list
        elements: str
        default: []
  user_name:
    description: Whether users are called by their default address or by their login name. Login names must then be unique.
    type: str
    choices: [address, login]
    default: address
  not_users:
    description:
      - Default addresses or login names of accounts that are no people, such as the archive mailbox. A further address of an
        account leaves nobody out.
    type: list
    elements: str
    default: []
  home_servers:
    description:
      - For domains that are on several servers. On which server a mailbox is, where the home server that the directory names is
        neither the name of a server nor its host, nor the first part of one of them.
      - The key is a login (C(login@domain)), what the directory calls the home server, or a domain, for those of its users of
        whom the directory names no home server. The value is a server.
    type: dict
    default: {}
  default_privileges:
    description: What new users may do, as O(rights[].privileges).
    type: list
    elements: str
    choices: [login, read, export, archive, audit, administer, none]
    default: [login, read]
  delete:
    description:
      - Whether users are deleted who come from a directory and are gone from it, or are not in O(scope) any more.
      - Users whose authentication is V(integrated), and those of a server in O(unread) or O(elsewhere), are never deleted.
      - A directory that lacks a server or a domain that users come from is an error, unless O(gone) names it.
    type: bool
    default: false
  delete_limit:
    description:
      - How many users may be deleted within 24 hours, over all and of each server. Who left in the last 24 hours counts.
      - With 0 the module fails whenever somebody would be deleted. To delete nobody, leave O(delete) off.
    type: int
    default: 20
  delete_limit_share:
    description:
      - How many percent of the users of the directories may be deleted within 24 hours, over all and of each server, rounded
        down. One user always may. A server in O(gone) counts in the whole alone.
      - The smaller one of this and O(delete_limit) counts.
    type: int
    default: 10
  gone:
    description: What is not there any more on purpose, so that its users are gone as well.
    type: dict
    default: {}
    suboptions:
      domains:
        description: Names of domains.
        type: list
        elements: str
        default: []
      servers:
        description:
          - Names of servers. A user whom another server has under the same id stays, so that this is also for a server that is
            called otherwise now.
        type: list
        elements: str
        default: []
  reused_names:
    description:
      - For a name that belonged to somebody who is not there any more and that somebody else has now. Without an entry the
        module stops, and who had the name is disabled in the archive, unless that user has a password of the archive's own, so
        that the other one does not get in meanwhile. C(@) and a domain is for all names in it.
      - V(same) says that it is the same person under another id, as after Kerio was set up anew; privileges and grants stay.
      - V(adopt) gives the archive of that name to the new user, with O(default_privileges). Who was granted to read it may not
        any more, unless it is declared again.
      - V(separate) keeps it apart and begins a new one. Who had the name leaves, which counts for O(delete_limit) and
        O(delete_limit_share) whatever O(delete) says.
      - An entry for a whole domain is for one run. Left in, it decides about every later name without asking.
    type: dict
    default: {}
  by:
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
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that the archive has the users of both servers
  mailops.kerio.archive_users:
    root: /srv/archive/kerio
    directories: ["{{ mail1.directory }}", "{{ mail2.directory }}"]
    scope:
      domains: [example.com]
    not_users: [archive@example.com]
    delete: true
    by: "{{ lookup('ansible.builtin.pipe', 'echo $(id -un)@$(uname -n)') }}"

- name: Ensure that an auditor reads every archive, and that Bob reads Alice's
  mailops.kerio.archive_users:
    root: /srv/archive/kerio
    directories: ["{{ mail1.directory }}"]
    users:
      - name: auditor
        full_name: Auditor
        privileges: [login, audit]
    rights:
      - user: bob@example.com
        reads: [alice@example.com]

- name: Ensure that the users of mail1 are those of mail2 now, which took its place and knows them under other ids
  mailops.kerio.archive_users:
    root: /srv/archive/kerio
    directories: ["{{ mail2.directory }}"]
    gone:
      servers: [mail1]
    reused_names:
      "@example.com": same
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
would_leave:
  description: Each user who would be deleted with O(delete), and why. Empty with O(delete).
  returned: success
  type: list
  elements: dict
  sample:
    - name: carol@example.com
      why: is not in the directory of mail1 any more
waiting:
  description:
    - Each user who stays as is, or is not made, because a directory could not be read or the mailbox is on a server in
      O(elsewhere).
  returned: success
  type: list
  elements: dict
  sample:
    - name: dora@example.com
      why: the directory of the home server mail2 could not be read
left_out:
  description: Users of the directories who are not in the scope, or are no people.
  returned: success
  type: list
  elements: str
  sample: [archive@example.com]
"""

import copy

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_rights, users_sync

PRIVILEGES = {"type": "list", "elements": "str", "choices": list(users_rights.PRIVILEGES)}
NAMES = {"type": "list", "elements": "str"}
LIST = {**NAMES, "default": []}
TEXT = {"type": "str", "default": ""}
USER = {
    "name": {"type": "str", "required": True},
    "full_name": TEXT,
    "addresses": LIST,
    "authentication": {"type": "str", "choices": ["integrated", "kerio"], "default": "integrated"},
    "server": TEXT,
    "kerio_login": TEXT,
    "privileges": PRIVILEGES,
    "reads": NAMES,
    "enabled": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
RIGHT = {"user": {"type": "str", "required": True}, "privileges": PRIVILEGES, "reads": NAMES}
OPTIONS = {
    "root": {"type": "path", "required": True},
    "directories": {"type": "list", "elements": "dict", "default": []},
    "unread": LIST,
    "users": {"type": "list", "elements": "dict", "options": USER, "default": []},
    "rights": {"type": "list", "elements": "dict", "options": RIGHT, "default": []},
    "elsewhere": {"type": "dict", "default": {}, "options": {"servers": LIST, "scopes": {**LIST, "elements": "dict"}}},
    "scope": {"type": "dict", "default": {}, "options": {"domains": LIST, "groups": LIST, "users": LIST}},
    "user_name": {"type": "str", "choices": ["address", "login"], "default": "address"},
    "not_users": LIST,
    "home_servers": {"type": "dict", "default": {}},
    "default_privileges": {**PRIVILEGES, "default": ["login", "read"]},
    "delete": {"type": "bool", "default": False},
    "delete_limit": {"type": "int", "default": 20},
    "delete_limit_share": {"type": "int", "default": 10},
    "gone": {"type": "dict", "default": {}, "options": {"domains": LIST, "servers": LIST}},
    "reused_names": {"type": "dict", "default": {}},
    "by": TEXT,
}


def work(module: AnsibleModule) -> runner.Outcome:
    wish = users_sync.wish(module.params)
    given = {"check_mode": module.check_mode, "owner": module.params["by"]}
    plan = users_sync.synchronise(module.params["root"], wish, **given)
    data = {
        "counts": plan.shown.counts(),
        "users": plan.touched(),
        "would_leave": users.listed(plan.staying),
        "waiting": users.listed(plan.waiting),
        "left_out": list(plan.left_out),
    }
    msg = plan.sentence(module.check_mode)
    return runner.Outcome(plan.shown.changed, msg, diff=plan.shown.diff(), data=data, warnings=list(plan.warnings))


def main() -> None:
    # A copy, because Ansible writes the defaults of suboptions into it.
    module = AnsibleModule(argument_spec=copy.deepcopy(OPTIONS), supports_check_mode=True)
    runner.run(module, lambda: work(module))


if __name__ == "__main__":
    main()
