# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on many directories, spread over processes, with results in order and bounded memory."""

from __future__ import annotations

import os
import typing as t
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from ansible_collections.mailops.kerio.plugins.module_utils.archive.process_memory import keep_freed_memory
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import die_with
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError

Share = t.TypeVar("Share")
Result = t.TypeVar("Result")


class Spread:
    """Processes, forked when it is entered: before a catalog is open, which is not for two processes."""

    def __init__(self, name: str, processes: int = 0) -> None:
        """``name``: of the module, for errors; ``processes`` 0: one per core."""
        self._name = name
        self.processes = processes or os.cpu_count() or 1

    def __enter__(self) -> Spread:
        self._pool = ProcessPoolExecutor(self.processes, get_context("fork"), _begin, (os.getpid(),))
        self._pool.submit(os.getpid).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each(self, function: t.Callable[[Share], Result], shares: t.Iterable[Share]) -> t.Iterator[Result]:
        """The results in the order of the shares, of which only some are made ahead."""
        ahead: deque[Future[Result]] = deque()
        try:
            for share in shares:
                ahead.append(self._pool.submit(function, share))
                while len(ahead) > 2 * self.processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as error:
            raise JobError(
                self._name, "a process that read objects was killed", "Give the host memory, then run it again"
            ) from error


def _begin(parent: int) -> None:
    die_with(parent)
    keep_freed_memory()
