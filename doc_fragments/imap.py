# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of every module that talks to a server over IMAP; ``module_utils/imap/arguments.py`` has the same."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.imap) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  host:
    description: Name or address of the IMAP server. The certificate must carry it.
    type: str
    required: true
  port:
    description: Port of the IMAP service; 993 for O(access=IMAP-SSL) and 143 for the others unless given.
    type: int
  access:
    description:
      - How IMAP is reached. V(IMAP-SSL) starts with TLS, V(IMAP-TLS) uses STARTTLS and refuses to go on without it, V(IMAP) is
        not encrypted.
    type: str
    choices: [IMAP, IMAP-TLS, IMAP-SSL]
    default: IMAP-SSL
  ca_file:
    description:
      - File of PEM certificates that are trusted, on the host where the module runs; may hold the server's own certificate.
      - Without it the trust store of that host is used.
    type: path
  validate_certs:
    description: Whether the certificate and its name are verified. Without it anybody between can read the passwords.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that the connection, the TLS handshake and every single answer may take, each as a whole.
      - An answer has a second more for each KiB of it that comes, so that a large message on a slow line is not cut, and a server
        that sends now and then a byte is given up.
    type: int
    default: 60
attributes:
  platform:
    description: Runs where the IMAP service admits the caller, as a rule on the archive host.
    platforms: posix
    support: full
"""
