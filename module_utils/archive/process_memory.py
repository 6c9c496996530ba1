# SPDX-License-Identifier: GPL-3.0-or-later
"""How the processes of a run treat memory: they make rows and buffers by the thousand, and no cycles."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import typing as t

THRESHOLDS = (50_000, 20, 100)
# mallopt(3): the parameters of the C library, and what they are set to. A buffer for a compressed message is so large that it
# would come from the kernel, zeroed and page by page, and go back after the message.
_MALLOC = {"M_MMAP_THRESHOLD": (-3, 16 << 20), "M_TRIM_THRESHOLD": (-1, 32 << 20), "M_TOP_PAD": (-2, 1 << 20)}


def keep_freed_memory() -> None:
    """Have this process use the memory of freed buffers again, up to 32 MB; another C library than glibc does as it likes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC.values():
            mallopt(parameter, value)


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
