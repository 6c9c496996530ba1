# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends what has no end: a server that says more and more, each of it in time, and never what it was asked for."""

from __future__ import annotations

import time

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ProtocolError

# Without anything that was waited for: more than the EXPUNGEs of a large folder that somebody empties, and what memory holds.
MOST_RESPONSES = 100_000
MOST_BYTES = 32 * 1024 * 1024
# times the time-out of an answer
PATIENCE = 10


class Guard:
    """Counts what a server says since it last said what was waited for.

    ``timeout`` is that of the connection, in seconds; a server that says so meanwhile may work ``times`` as long.
    """

    def __init__(self, label: str, timeout: float | None, times: float = PATIENCE) -> None:
        self._label = label
        self._seconds = times * timeout if timeout else None
        self.progress()

    def progress(self) -> None:
        """Take note that what was waited for came."""
        self._responses = 0
        self._bytes = 0
        self._since = time.monotonic()

    def count(self, size: int) -> None:
        """Take note of a response of so many bytes that brought nothing; ProtocolError when it is one too many."""
        self._responses += 1
        self._bytes += size
        late = self._seconds is not None and time.monotonic() - self._since > self._seconds
        if late or self._responses > MOST_RESPONSES or self._bytes > MOST_BYTES:
            cause = f"the server sent {self._responses} answers ({self._bytes} bytes), but not what it was asked for"
            raise ProtocolError(self._label, cause, "Report it to its vendor, and run again")
