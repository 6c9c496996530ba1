# SPDX-License-Identifier: GPL-3.0-or-later
"""The master passwords that come with servers: which may be used, and how they are kept out of what is told. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import SERVER_SECRETS
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.master_password import refuse_weak

Data = dict[str, t.Any]


def secrets_in(servers: t.Sequence[Data]) -> list[str]:
    """Every password of them, to be kept out of what is told."""
    return [str(server[key]) for server in servers for key in SERVER_SECRETS if server.get(key)]


def without_secrets(servers: t.Sequence[Data], *left_out: str) -> list[Data]:
    """The servers without their passwords, and without the keys ``left_out``."""
    return [{key: value for key, value in server.items() if key not in (*SERVER_SECRETS, *left_out)} for server in servers]


def master_passwords(servers: t.Sequence[Data]) -> tuple[dict[str, str], dict[str, str]]:
    """The master passwords and the other ones, by server; raises ``InputError`` for another one that is of no use."""
    masters, others = ({entry["name"]: entry[key] for entry in servers if entry.get(key)} for key in SERVER_SECRETS)
    for name, other in others.items():
        subject = f"server {name}, key other_master_password"
        refuse_weak(subject, other)
        if name not in masters:
            raise InputError(subject, "there is no master_password beside it", "Give the server's password as master_password")
        if other == masters[name]:
            remedy = "Remove it when the rotation is done, or give the password that the server had before"
            raise InputError(subject, "it is the same as master_password", remedy)
    return masters, others
