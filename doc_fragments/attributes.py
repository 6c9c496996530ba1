# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules can: check mode, diff mode; and what those that only read have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says what would be done, and changes nothing.
    support: full
  diff_mode:
    description: Returns what is touched, before and after; secrets are not shown.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: The module only reads, in check mode as well.
    support: full
  diff_mode:
    description: The module only reads, so there is nothing to compare.
    support: N/A
"""

    ADMINISTRATION = r"""
options: {}
attributes:
  action_group:
    description: Takes connection options from C(module_defaults) of this group.
    support: full
    membership: [mailops.kerio.kerio]
  platform:
    description: Runs where the administration can be reached, as a rule on the controller.
    platforms: posix
    support: full
"""
