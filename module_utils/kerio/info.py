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
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import NO_SUCH_METHOD

Reader = t.Callable[[Server], t.Any]

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
    """Return ``product``, ``version``, ``settings`` and ``left_out``; no secrets, because no server returns any.

    What an old server does not have, and what cannot be declared as it is, is left out: ``left_out`` has a sentence for each,
    which is a warning as well.
    """
    facts: Object = dict(server.version(), name=server.name)
    told = len(server.warnings)
    found = dict(_settings(server, [name for name in GATHERED if name in names]))
    return {**facts, "settings": found, "left_out": server.warnings[told:]}


def _settings(server: Server, names: t.Sequence[str]) -> t.Iterator[tuple[str, t.Any]]:
    for name in names:
        try:
            yield name, _found(server, name)
        except ApiError as error:
            if error.details.get("code") != NO_SUCH_METHOD:
                raise
            server.warnings.append(f"{server.name}: {name} is left out, because the server cannot tell it: {error.cause}")


def _found(server: Server, name: str) -> t.Any:
    if name == "services":
        return [
            _without_dangling(server, f"service {entry['name']}", kinds.SERVICE_FIELDS, entry) for entry in OBJECTS[name](server)
        ]
    return OBJECTS[name](server) if name in OBJECTS else _options(server, kinds.SETTINGS[name])


def _without_dangling(server: Server, what: str, fields: t.Iterable[kinds.Field], options: Object) -> Object:
    """Leave out references to objects that are gone, of which an id is left that no declaration can name."""
    kept = dict(options)
    for field in fields:
        if field.reference and kept.get(field.option):
            kind = kinds.OBJECTS[field.reference]
            if not any(entry[kind.identity] == kept[field.option] for entry in server.objects(kind)):
                gone = kept.pop(field.option)
                server.warnings.append(
                    f"{server.name}: {field.option} of {what} is left out: it refers to an IP address group that is gone "
                    f"({gone}); declare another one, or none"
                )
    return kept


def _options(server: Server, kind: kinds.SettingsKind) -> Object:
    declarable = settings.declarable(kind.fields, server.read(kind).options)
    options = _without_dangling(server, kind.name, kind.fields, declarable)
    if kind is kinds.ARCHIVING:
        domains = declare.domain_archiving(server)
        return {**options, "domains": domains} if domains else options
    if kind is kinds.MASTER_AUTHENTICATION and options.get("enabled") and not declarable.get("ip_address_group"):
        # Without it the module refuses to leave the server as it is.
        return {**options, "allow_any_address": True}
    return options
