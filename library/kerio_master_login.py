#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a Kerio Connect server whether a master password is right."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kerio_master_login
short_description: Ask a Kerio Connect server whether a master password is right
description:
  - The master password cannot be read back from the server. This module tries it over IMAP (X-MASTERAUTH), once, and closes the
    connection. Run it on the archive host, because the server's IP address group admits that host.
  - Only a tagged NO to the password itself means RV(answer=wrong). Everything else that is not a success means
    RV(answer=cannot_tell), such as a refused or unknown command, a closed connection, an unreachable server or O(access=IMAP).
  - Every wrong attempt counts for the server's lockout and guessing protection. So call it once a run, and not while master
    authentication is off.
  - Nothing is changed. In check mode no attempt is made, because a wrong one would count; the answer is V(cannot_tell) then.
version_added: 0.1.0
options:
  password:
    description: The master password, at least 12 printable ASCII characters; anything else is refused before the server is asked.
    type: str
    required: true
  mailbox:
    description:
      - A mailbox that is opened as well when the password is right (X-SETUSER).
      - The full address, which only users of the primary domain can do without.
    type: str
extends_documentation_fragment:
  - mailops.kerio.imap
  - mailops.kerio.attributes.info
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.kerio_master_authentication
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure that it is known whether the master password is right
  mailops.kerio.kerio_master_login:
    host: mail1.example.com
    password: "{{ vault_kerio_master_password }}"
  register: master_login
  delegate_to: archive1.example.com

- name: Ensure that the master password opens a mailbox on a server with a certificate of its own
  mailops.kerio.kerio_master_login:
    host: mail1.example.com
    port: 143
    access: IMAP-TLS
    ca_file: /etc/kerio-archive/mail1.pem
    password: "{{ vault_kerio_master_password }}"
    mailbox: alice@example.com
  delegate_to: archive1.example.com
"""

RETURN = r"""
answer:
  description: Whether the password is V(right) or V(wrong), or that the server's answer does not tell (V(cannot_tell)).
  returned: success
  type: str
  sample: wrong
server_text:
  description: What the server said, or what kept it from answering.
  returned: success
  type: str
  sample: "mail1.example.com:993: the server refused X-MASTERAUTH: NO X-MASTERAUTH failed."
source_address:
  description:
    - The address from which the server was asked, as this host sees it; the IP address group of master authentication must admit
      it, or the address that it is translated to on the way. Empty when no connection was made.
  returned: success
  type: str
  sample: 192.0.2.7
mailbox_answer:
  description: Whether O(mailbox) was V(opened) or V(refused); empty when it was not tried.
  returned: success
  type: str
  sample: opened
mailbox_text:
  description: What the server said about O(mailbox).
  returned: success
  type: str
  sample: X-SETUSER completed
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import master_password, runner
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments, login

SAYS = {
    "right": "{}: the master password is right",
    "wrong": "{}: the master password is wrong",
    "cannot_tell": "{}: whether the master password is right cannot be told",
}

NOT_TRIED = "check mode does not try the master password, because a wrong attempt counts against the archive host"


def work(module: AnsibleModule) -> runner.Outcome:
    params = module.params
    master_password.refuse_weak("password", params["password"])
    endpoint = arguments.endpoint(params)
    if module.check_mode:
        found = login.MasterAnswer("cannot_tell", NOT_TRIED)
    else:
        found = login.try_master_password(endpoint, params["mailbox"], params["password"])
    data = {
        "answer": found.answer,
        "server_text": found.text,
        "source_address": found.source_address,
        "mailbox_answer": found.mailbox or "",
        "mailbox_text": found.mailbox_text,
    }
    return runner.Outcome(False, SAYS[found.answer].format(endpoint.label), warnings=arguments.warnings(endpoint), data=data)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **arguments.connection(),
            "password": {"type": "str", "required": True, "no_log": True},
            "mailbox": {"type": "str"},
        },
        supports_check_mode=True,
    )
    runner.run(module, lambda: work(module), [module.params["password"]])


if __name__ == "__main__":
    main()
