# SPDX-License-Identifier: GPL-3.0-or-later
"""Python runs this first wherever tests/play/quick.py says so."""

from __future__ import annotations

import os


def start() -> None:
    """Import as little as can be, in this order."""
    if os.environ.get("TESTS_READY"):
        import hand_over

        if hand_over.kind():
            hand_over.hand_over(hand_over.kind())
    import keep_code  # noqa: F401  which does it when it is imported
    import note_log  # noqa: F401  as well


start()
