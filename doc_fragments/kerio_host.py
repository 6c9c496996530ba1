# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules that run on a Kerio Connect host; ``module_utils/kerio/service.py`` has the same."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.kerio_host) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  path:
    description: The file C(mailserver.cfg); a symbolic link is followed.
    type: path
    default: /opt/kerio/mailserver/mailserver.cfg
  service:
    description: How the service is controlled and recognised.
    type: dict
    default: {}
    suboptions:
      name:
        description:
          - Name of its systemd unit. By default C(kerio-connect.service) when the host runs systemd and has it, else the init
            script.
        type: str
      script:
        description: Path of its init script, called with C(start) and C(stop). By default C(/etc/init.d/kerio-connect).
        type: path
      process:
        description: Path of the server's program. By default C(mailserver) beside O(path).
        type: path
      watchdog:
        description:
          - Name or path of the program that revives a dead server. It must be gone too for the service to count as stopped.
        type: str
        default: kerio-connect-watchdog
      pid_file:
        description: The file with the number of the server's process.
        type: path
        default: /var/run/kms.pid
  stop_timeout:
    description:
      - Seconds that the stop may take. The service's own script gives up after 300 and kills the server.
      - A systemd unit kills the server after its own C(TimeoutStopSec), by default 90 seconds. When that is more than 30 seconds
        shorter than this option, M(mailops.kerio.kerio_mailserver_cfg) gives the unit this time for the stop of its edit, by a
        setting in C(/run/systemd/system) that is taken away again, and warns how to raise it for good.
    type: int
    default: 330
requirements:
  - python >= 3.8 on the Kerio Connect host
attributes:
  platform:
    description: Runs on the Kerio Connect host.
    platforms: linux
    support: full
"""
