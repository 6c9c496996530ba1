# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""As whom, and within which limits, the jobs of an archive host run."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.service) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  job_service:
    description:
      - As whom the module works in the archive, and how its job runs. The role C(archive_host) has it ready as
        C(archive_host_service).
      - Without it everything is done as the user whom the module runs as, and the job is a process of its own.
    type: dict
    suboptions:
      user:
        description:
          - Account that owns the archive. A module that runs as root works as this one, and so does its job.
          - It means nothing when the module does not run as root.
        type: str
      systemd:
        description:
          - Whether the job is a transient unit of systemd (C(kerio-archive-*)), with the limits below, no new privileges, and
            nothing writable but the archive. Only root can start one.
          - V(auto) is V(true) where systemd runs and the module is root, else V(false).
        type: str
        choices: ["auto", "true", "false"]
        default: "false"
      state_dir:
        description: Directory of the job's state; C(jobs) in the archive root unless given.
        type: path
      memory_max:
        description: Most memory of the unit, as C(MemoryMax) of systemd takes it. A job that needs more is killed, and told so.
        type: str
      cpu_weight:
        description: Its share of the processors beside other units, which have 100.
        type: int
      io_weight:
        description: Its share of the disks beside other units, which have 100.
        type: int
      tasks_max:
        description: Most processes and threads of the unit.
        type: int
"""
