# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a message that is too large for memory waits until all of it has come."""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_all


class Staged:
    """An unnamed file on the file system of the archive: it is gone whatever happens to this process. Errors are StoreError."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # The descriptor alone: what a buffer holds back could fail to be written as late as when the file is closed.
        with self._errors(), tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            self._descriptor = os.dup(file.fileno())

    @contextlib.contextmanager
    def _errors(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise os_failure(error, self._directory) from error

    def write(self, data: memoryview) -> None:
        """Append all of ``data``."""
        with self._errors():
            write_all(self._descriptor, data)

    def seek(self, offset: int) -> None:
        """Go to ``offset``."""
        with self._errors():
            os.lseek(self._descriptor, offset, os.SEEK_SET)

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, none at the end."""
        with self._errors():
            return os.read(self._descriptor, size)

    def close(self) -> None:
        """Throw it away; once is enough, twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
