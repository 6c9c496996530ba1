#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Test the login of one user over IMAP."""

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_login
short_description: Test the login of one user over IMAP
description:
  - Archive users log in with the password that they have at the mail server, which is asked over IMAP. This module asks it for
    one user, and tells what it says. Run it on the archive host, because the server's groups of IP addresses admit that host.
  - An archive's own access is IMAP as well, so O(host) and O(port) may be those of an archive.
  - Over TLS the password is sent by PLAIN, else by the command LOGIN. If that is accepted and the server offers CRAM-MD5 or
    DIGEST-MD5 as well, one of these is tried too, see O(test_md5). Without TLS only CRAM-MD5 or DIGEST-MD5 is used; the password
    itself is never sent.
  - Every failed login counts for the server's lockout and guessing protection. One call makes at most one failed attempt and at
    most two attempts.
  - Nothing is changed. In check mode nothing is sent, because a wrong attempt would count; RV(answer) is V(cannot_tell) then.
version_added: 0.1.0
options:
  user:
    description: Name that the user logs in with, usually the full address, which only users of the primary domain can do without.
    type: str
    required: true
  password:
    description: The user's password, of any characters but line breaks and NUL.
    type: str
    required: true
  test_md5:
    description:
      - Whether CRAM-MD5, or DIGEST-MD5 where that is not offered, is tried as well after the password was accepted over TLS.
      - It is refused when the server cannot read the password, because the user is of a directory or passwords are stored as SHA.
        Programs that choose such a method cannot log in then, so the module warns and says what to set.
      - A refusal is a failed attempt of this user from this host. V(false) avoids it, and finds nothing of this.
    type: bool
    default: true
extends_documentation_fragment:
  - mailops.kerio.imap
  - mailops.kerio.attributes.info
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.archive_users
  - module: mailops.kerio.kerio_security_policy
  - module: mailops.kerio.kerio_master_login
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that Alice can log in with her password
  mailops.kerio.archive_login:
    host: mail1.example.com
    user: alice@example.com
    password: "{{ vault_alice_password }}"
  register: alice_login
  failed_when: alice_login is failed or not (alice_login.success or ansible_check_mode)
  delegate_to: archive1.example.com

- name: Ensure that it is known whether users of the directory can log in to a server with a certificate of its own
  mailops.kerio.archive_login:
    host: mail1.example.com
    port: 143
    access: IMAP-TLS
    ca_file: /etc/kerio-archive/mail1.pem
    user: bob@example.org
    password: "{{ vault_bob_password }}"
    test_md5: false
  delegate_to: archive1.example.com

- name: Ensure that the archive lets Alice in
  mailops.kerio.archive_login:
    host: archive.example.com
    user: alice@example.com
    password: "{{ vault_alice_password }}"
"""

RETURN = r"""
success:
  description: Whether the server let the user in.
  returned: success
  type: bool
  sample: true
answer:
  description:
    - V(accepted); V(refused) when the server said no to user name and password; or V(cannot_tell) when it did not judge them,
      such as a server that cannot be reached, hangs up or speaks of an error of its own.
    - A refusal by CRAM-MD5 or DIGEST-MD5 alone is V(cannot_tell), because a right password may be refused there.
  returned: success
  type: str
  sample: accepted
server_text:
  description: What the server said to the login, or when it turned the connection away; empty when it said nothing.
  returned: success
  type: str
  sample: AUTHENTICATE completed
mechanism:
  description:
    - How the login was tried, V(PLAIN), V(LOGIN command), V(LOGIN), V(CRAM-MD5) or V(DIGEST-MD5). V(LOGIN) is the SASL mechanism
      of this name. Empty when nothing was tried.
  returned: success
  type: str
  sample: PLAIN
mechanisms:
  description: SASL mechanisms that the server offers on this connection.
  returned: success
  type: list
  elements: str
  sample: [CRAM-MD5, LOGIN, PLAIN]
cause:
  description: Why the login was refused, or cannot be told, or fails in other programs; empty when there is nothing to say.
  returned: success
  type: str
  sample: the server refuses user name and password
remedy:
  description: What to do about RV(cause).
  returned: success
  type: str
  sample: Check both, that the account is neither disabled nor locked, and that it is at home on this server
md5_mechanism:
  description: The method that was tried after the password was accepted, see O(test_md5); empty when none was.
  returned: success
  type: str
  sample: CRAM-MD5
md5_answer:
  description: Whether RV(md5_mechanism) was V(accepted) or V(refused), or V(cannot_tell); empty when it was not tried.
  returned: success
  type: str
  sample: refused
md5_text:
  description: What the server said to RV(md5_mechanism), or what kept it from answering.
  returned: success
  type: str
  sample: "AUTHENTICATE failed: invalid user name or password"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments, user_login


def work(module: AnsibleModule) -> runner.Outcome:
    params = module.params
    endpoint = arguments.endpoint(params)
    user, password = params["user"], params["password"]
    if module.check_mode:
        found = user_login.untried(endpoint, user, password)
    else:
        found = user_login.try_login(endpoint, user, password, try_digest=params["test_md5"])
    warnings = arguments.warnings(endpoint) + found.warnings
    return runner.Outcome(False, found.sentence(endpoint, user), warnings=warnings, data=found.data())


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **arguments.connection(),
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "test_md5": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["password"]])


if __name__ == "__main__":
    main()
