# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How servers are reached over IMAP by modules that read the mailboxes of several."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.imap_servers) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  servers:
    description: How the Kerio Connect servers are reached over IMAP.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name that profiles and archive users call it by.
        type: str
        required: true
      host:
        description: Name or address; O(servers[].name) unless given. The certificate must carry it.
        type: str
      port:
        description: Port; 993 for V(IMAP-SSL), else 143.
        type: int
      access:
        description:
          - V(IMAP-SSL) starts with TLS, V(IMAP-TLS) uses STARTTLS, V(IMAP) is not encrypted.
          - Master authentication over V(IMAP) is refused.
        type: str
        choices: [IMAP, IMAP-TLS, IMAP-SSL]
        default: IMAP-SSL
      ca_file:
        description: PEM certificates to trust, on the archive host; the host's trust store unless given.
        type: path
      validate_certs:
        description: Whether certificates are verified. V(false) puts a warning into every result.
        type: bool
        default: true
      timeout:
        description:
          - Seconds that the connection, the TLS handshake and every single answer may take, each as a whole.
          - An answer has a second more for each KiB of it that comes, so that a large message on a slow line is not cut, and a
            server that sends now and then a byte is given up.
        type: int
        default: 60
      connections:
        description: Connections to this server at a time, at most.
        type: int
        default: 8
      bandwidth:
        description:
          - Bytes per second that all connections to this server together may fetch, as a number or with C(K), C(M) or C(G) behind
            it (1024 of the next smaller), at least V(10K). No limit unless given.
        type: str
      master_password:
        description: The server's master password, for profiles with C(credentials) V(master).
        type: str
      other_master_password:
        description:
          - Another password that may be the server's master password, while O(servers[].master_password) is being rotated. At
            least 12 printable ASCII characters, and not the same.
          - When the server says that O(servers[].master_password) is wrong, this one is tried once. If it is right, the run goes
            on with it and ends with a warning. So a run makes one failed attempt at most, if one of the two is right, also when
            the password is changed while the run goes on. The price is that logins on this server go one at a time.
          - See C(docs/rotate-master-password.md).
        type: str
      refused:
        description:
          - What the server said to O(servers[].master_password) earlier in the same playbook run, when the password is known to
            be wrong there and could not be set. It is not tried then. Mailboxes that need it are not read, and this text is
            reported.
          - With O(servers[].other_master_password), that password is tried instead.
        type: str
"""
