# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a session that consists of exactly these calls, for the unit tests."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Client
from tests.unit.rpc_script import PASSWORD, Call, Script, login, logout

T = t.TypeVar("T")


def session(work: t.Callable[[Server], T], *calls: Call, remember: bool = False) -> tuple[T, list[str]]:
    """Return what ``work`` returns, and the warnings."""
    script = Script(login(), *calls, logout())
    try:
        with Client("mail1", "Admin", PASSWORD, script) as client:
            return work(Server(client, remember)), client.warnings
    finally:
        script.finish()
