# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules whose work is a detached job on the host."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.job) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  job_owner:
    description:
      - Token of the caller that attends the job; the action plugin sets it, and names the controller in it.
      - A call with another token ends without a change while the job is attended, and attaches to it when nobody has asked for
        it in the last 60 seconds, for example because the controller was killed.
      - Without a token the module itself waits until the job has ended.
    type: str
  job_wait:
    description:
      - Seconds that one call waits for the job before it returns its progress.
      - The action plugin uses 2 seconds on a terminal and 10 elsewhere unless this is set; it goes on calling until the job has
        ended.
    type: int
    default: 5
  job_seen:
    description: Number of the last progress line that the caller has; a call returns when there is a later one.
    type: int
    default: 0
  job_heard:
    description:
      - Ids of ended jobs whose result has arrived at the caller; the action plugin sets it in a call of its own, which does
        nothing else. A result that was not confirmed is told again in RV(ignore:previous) of the next run.
    type: list
    elements: str
notes:
  - The work is a detached job on the host. A lost connection, a killed controller or a closed laptop changes nothing; the next
    run attaches to the job or is told its result in RV(ignore:previous). Secrets are handed to the job in memory.
  - The keywords C(async) and C(poll) are refused, because they would write the options, secrets included, to the host's disk.
"""
