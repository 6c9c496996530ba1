# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups: whole groups are declared, while the API works on their entries."""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_entries

admits = address_entries.admits
