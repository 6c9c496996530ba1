# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules that write the ledger of an archive."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.ledger) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  ledger_key:
    description:
      - The key that signs the checkpoint of the ledger at the end of each run, as C(openssl genpkey -algorithm ed25519) writes
        it. Checkpoints are not signed without it. See C(docs/evidence.md).
    type: str
  ledger_origin:
    description:
      - What a new ledger is called, for ever; name of the host and O(root) unless given. Blanks and plus signs are escaped.
    type: str
  ledger_checkpoints:
    description:
      - Checkpoints of this archive that are kept where nobody on the archive host can change them. When the ledger does not
        continue them, that is a problem of the run, and no checkpoint is signed; mail is archived all the same.
    type: list
    elements: str
    default: []
requirements:
  - cryptography, for O(ledger_key) (the role archive_host installs it)
"""
