#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove that messages are in an archive; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_proof
short_description: Prove that messages are in an archive, and that its history was not changed
version_added: 0.1.0
description:
  - Makes proofs out of the ledger of an archive. One of a message shows that exactly these bytes had come into the archive, when
    and from where, before its newest checkpoint was signed. One of consistency shows that nothing of the ledger was changed since
    an older checkpoint.
  - C(standalone/check_proof.py) checks them, without an archive and without this project. C(docs/evidence.md) says what a proof
    is worth.
  - Reads the archive and takes no lock, so that it may go on beside M(mailops.kerio.archive_run), and on a backup that is mounted
    read-only.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Makes the same proofs, and says which files of O(dest) would be written.
    support: full
  diff_mode:
    description: SHA-256 and mode of the files of O(dest) that differ.
    support: full
options:
  messages:
    description:
      - Messages to prove. Each is a SHA-256 as 64 hexadecimal digits, the path or name of a file below C(mail) or C(objects) of
        the archive, whose name holds the digest, or the absolute path of another file on the archive host, which is hashed.
      - A file must hold the very bytes that came from the server; mail programs change them when they save a message.
    type: list
    elements: str
    default: []
  since:
    description: An older checkpoint of the archive, its whole text, to prove that the ledger only grew since.
    type: str
  dest:
    description:
      - Directory on the archive host, outside of the archive, for the message (C(<digest>.eml)), for its proof
        (C(<digest>.tlog-proof)) and the proof of consistency (C(consistency.proof)). The files have mode 0600; what is there as
        it should be is not written again. The directory above must exist.
    type: path
seealso:
  - module: mailops.kerio.archive_audit
  - module: mailops.kerio.archive_run
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure there are files that prove a message
  mailops.kerio.archive_proof:
    root: /srv/archive/kerio
    messages:
      - 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
      - 1700000001.5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03_0.a,S=6,W=7:2,S
      - /home/auditor/invoice.eml
    dest: /home/auditor/proofs

- name: Ensure nothing of the ledger was changed since a checkpoint that was kept
  mailops.kerio.archive_proof:
    root: /srv/archive/kerio
    since: "{{ lookup('ansible.builtin.file', 'checkpoint-of-last-year') }}"
"""

RETURN = r"""
proofs:
  description:
    - One for each message. C(entry) is what the ledger says of it, C(index) the number of that entry from 0, C(proof) the text of
      the file that proves it, C(messages) as it was named in O(messages).
  returned: success
  type: list
  elements: dict
  sample:
    - messages: [/home/auditor/invoice.eml]
      digest: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
      index: 4711
      entry:
        event: archived
        at: 1767406512
        run: 7
        server: mail1.example.com
        mailbox: alice@example.com
        folder: INBOX
        uidvalidity: 1
        uid: 12
        digest: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
        size: 6
        date: 1700000001
      proof: "c2sp.org/tlog-proof@v1\nextra ...\nindex 4711\n..."
tree_size:
  description: How many entries the ledger has for which the checkpoint was signed.
  returned: success
  type: int
  sample: 20852
checkpoint:
  description: The newest checkpoint, with its signatures. All proofs end with it.
  returned: success
  type: str
  sample: "archive1.example.com/srv/archive/kerio\n20852\nCsUYapGG...\n\n\u2014 archive1.example.com/srv/archive/kerio owlg7...\n"
consistency:
  description: The proof that the ledger only grew since O(since); empty without that.
  returned: success
  type: str
  sample: "kerio-archive consistency 1\n..."
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import proof_module

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "messages": {"type": "list", "elements": "str", "default": []},
    "since": {"type": "str"},
    "dest": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runner.run(module, lambda: runner.Outcome(**proof_module.declare(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
