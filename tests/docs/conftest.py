# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the docs share with tests of playbooks: what these keep for each other in a session."""

from __future__ import annotations

import os
import typing as t

import pytest

from tests.play import quick


@pytest.fixture(scope="session", autouse=True)
def kept_for_docs(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "kept"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(quick.KEPT, str(folder))
        yield
