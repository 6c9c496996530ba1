# SPDX-License-Identifier: GPL-3.0-or-later
"""States of source messages. Pure: no I/O."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What became of one UID of a Kerio server; the numbers are part of the catalog's format."""

    ARCHIVED = 1
    COPY = 2
    EXCLUDED = 3
    LEFT = 4
    FAILED = 5
    QUARANTINED = 6
    DELETED = 7
    VANISHED = 8
