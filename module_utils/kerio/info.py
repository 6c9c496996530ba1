# SPDX-License-Identifier: GPL-3.0-or-later
"""Today's settings in the shape that the modules take, so that an existing server is adopted by pasting them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import declare, kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server

# What can be read and pasted: the kinds that a module writes.
GATHERED = tuple(kind.name for kind in kinds.SETTINGS.values() if kind.module)


def gather(server: Server, names: t.Sequence[str]) -> Object:
    """Return ``product``, ``version`` and ``settings``; secrets are not part of them, because no server returns any."""
    facts: Object = dict(server.version(), name=server.name)
    wanted = [kind for kind in kinds.SETTINGS.values() if kind.name in names]
    # Several kinds are parts of one structure, which is asked for once.
    received = {source: server.receive(source) for source in dict.fromkeys(kind.source for kind in wanted)}
    gathered = {kind.name: dict(server.read(kind, received[kind.source]).options) for kind in wanted}
    if kinds.ARCHIVING.name in gathered:
        domains = declare.domain_archiving(server)
        if domains:
            gathered[kinds.ARCHIVING.name]["domains"] = domains
    return {**facts, "settings": gathered}
