# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module of an archive host takes."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  root:
    description: Absolute path of the archive root on the archive host.
    type: path
    required: true
requirements:
  - zstandard (the role archive_host installs it into the Python environment of the archive host)
attributes:
  platform:
    description: Runs on the archive host, with the Python of O(ignore:ansible_python_interpreter).
    platforms: linux
    support: full
"""
