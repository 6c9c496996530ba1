# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the job of ``archive_import`` and shows its progress."""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.action._job import JobAction


class ActionModule(JobAction):
    """See ``JobAction``."""
