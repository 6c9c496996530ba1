# SPDX-License-Identifier: GPL-3.0-or-later
"""Today's settings in the shape that the modules take, so that an existing server is adopted by pasting them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import (
    accounts,
    address_groups,
    declare,
    kinds,
    services,
    settings,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server

Reader = t.Callable[[Server], t.Any]

NO_SUCH_METHOD = -32601

# What can be read and pasted, in the order in which it is written.
OBJECTS: dict[str, Reader] = {
    "ip_address_groups": address_groups.read_groups,
    "services": services.read_services,
    "users": accounts.read_users,
}
GATHERED = (*OBJECTS, *kinds.SETTINGS)
# Users can be thousands, and no server is adopted by declaring them all.
DEFAULT = tuple(name for name in GATHERED if name != "users")


def gather(server: Server, names: t.Sequence[str]) -> Object:
    """Return ``product``, ``version`` and ``settings``; secrets are not part of them, because no server returns any.

    What an old server does not have is left out, and told in a warning.
    """
    facts: Object = dict(server.version(), name=server.name)
    return {**facts, "settings": dict(_settings(server, [name for name in GATHERED if name in names]))}


def _settings(server: Server, names: t.Sequence[str]) -> t.Iterator[tuple[str, t.Any]]:
    for name in names:
        try:
            yield name, OBJECTS[name](server) if name in OBJECTS else _options(server, kinds.SETTINGS[name])
        except ApiError as error:
            if error.details.get("code") != NO_SUCH_METHOD:
                raise
            server.warnings.append(f"{server.name}: {name} is left out, because the server cannot tell it: {error.cause}")


def _options(server: Server, kind: kinds.SettingsKind) -> Object:
    options = settings.declarable(kind.fields, server.read(kind).options)
    if kind is kinds.ARCHIVING:
        domains = declare.domain_archiving(server)
        return {**options, "domains": domains} if domains else options
    if kind is kinds.MASTER_AUTHENTICATION and options.get("enabled") and not options.get("ip_address_group"):
        # Without it the module refuses to leave the server as it is.
        return {**options, "allow_any_address": True}
    return options
