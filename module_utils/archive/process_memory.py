# SPDX-License-Identifier: GPL-3.0-or-later
"""Python's collector of cyclic garbage in processes that make rows by the thousand and no cycles."""

from __future__ import annotations

import contextlib
import gc
import typing as t

THRESHOLDS = (50_000, 20, 100)


@contextlib.contextmanager
def rare_collections() -> t.Iterator[None]:
    """Let the collector look seldom, and not at what was there before: a fork would copy all of its pages for that."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
