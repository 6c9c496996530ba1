# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The connection options of every module that talks to the admin API; ``module_utils/kerio/arguments.py`` has the same."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_host:
    description:
      - Name or address of the Kerio Connect server, as its TLS certificate carries it. A port may follow behind a colon, and
        then counts instead of O(api_port).
      - Needed, in the task or in C(module_defaults).
    type: str
  api_port:
    description:
      - Port of the administration.
    type: int
    default: 4040
  api_user:
    description:
      - Account with full administration (role C(FullAdmin)), or the built-in administrator.
      - The domain may be left out for an account of the primary domain.
      - Needed, in the task or in C(module_defaults).
    type: str
  api_password:
    description:
      - Password of that account. A refused login is not repeated, because failed logins lock the account.
      - Ansible masks it wherever it occurs in a result, also inside names. A module that would return such data fails instead, so
        choose a password that is not part of any name or address.
      - Needed, in the task or in C(module_defaults).
    type: str
  ca_file:
    description:
      - File, on the host that runs the module, with the certificate of the authority that signed the server's certificate; the
        server's own if it signed itself. Without it the authorities known to the Python library requests are trusted.
    type: path
  validate_certs:
    description:
      - Whether to verify the server's TLS certificate. V(false) gives a warning in every run, because whoever is between can
        then read the administrator's password.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for a connection, and again for the whole of an answer, TLS handshake included, which has a second more
        for each KiB of it that comes. Some versions let a call hang instead of refusing it.
    type: float
    default: 30
  server_name:
    description:
      - What messages and diffs call the server. O(api_host) if it is not given.
    type: str
  expected_ip_address_groups:
    description:
      - For check mode, names of IP address groups that a task before this one would have created. Options that name one of them
        are not refused although the server does not have it yet.
    type: list
    elements: str
    default: []
requirements:
  - requests, for the Python that runs the module
notes:
  - Run it where the administration can be reached, as a rule on the controller, over the connection C(local).
  - Connection options can be set once for all modules with C(module_defaults) and the group C(mailops.kerio.kerio).
"""
