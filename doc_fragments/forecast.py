# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When to warn of a disk that fills up: the option of modules that look at the growth of an archive."""

from __future__ import annotations


class ModuleDocFragment:
    """Named C(mailops.kerio.forecast) in C(extends_documentation_fragment)."""

    DOCUMENTATION = r"""
options:
  forecast_days:
    description:
      - Warn when the free bytes or inodes of the file system last fewer days, at the growth of the last 30 days. 0 never warns.
    type: int
    default: 30
"""
