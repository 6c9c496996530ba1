# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin of the whole session: names it for its workers, and takes away what all of its fleets have left in the end."""

from __future__ import annotations

import os

import pytest

from tests.hosts import remains


def pytest_configure() -> None:
    """Whoever tries something again and again may name a process of his own, and what is shared lasts as long as that."""
    os.environ.setdefault(remains.SESSION, str(os.getpid()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    own = os.environ[remains.SESSION] == str(os.getpid())
    if own and os.geteuid() == 0:
        remains.clear_session()
