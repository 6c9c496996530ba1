# SPDX-License-Identifier: GPL-3.0-or-later
"""LOGIN, and Kerio's X-MASTERAUTH with X-SETUSER."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Endpoint


@dataclass(frozen=True)
class MasterAnswer:
    """What the server says about a master password.

    ``answer`` is "wrong" only after a tagged NO to the digest. ``mailbox`` is None unless a mailbox was asked for and the password is
    right; ``mailbox_text`` are the server's words on it.
    """

    answer: t.Literal["right", "wrong", "cannot_tell"]
    text: str
    mailbox: t.Literal["opened", "refused"] | None = None
    mailbox_text: str = ""


def try_master_password(endpoint: Endpoint, user: str | None, password: str) -> MasterAnswer:
    """Ask the server once whether ``password`` is its master password, and close; raises nothing that the network can cause."""
    raise NotImplementedError
