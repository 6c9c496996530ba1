# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed reading and writing of any kind of the table over one session."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    ArchiveToolError,
    InputError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import arguments, kinds, rpc, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import which_item, with_code
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field, ObjectKind, SettingsKind, Source
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Client, Effect
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc_transport import Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.plan import NAMED
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

Object = dict[str, t.Any]
T = t.TypeVar("T")
PAGE_SIZE = 1000
# Without these nobody can log in.
NEEDED = ("api_host", "api_user", "api_password")
CREATE_IT = "Correct the name, or create the group on the server first"


@dataclass(frozen=True)
class Reading:
    """Settings as ``received``, and as the ``options`` of the module; references are names in ``options``."""

    received: Object
    options: Object


class Server:
    """One Kerio server during one session. ``calls`` and ``warnings`` are those of the client and grow until the session ends."""

    def __init__(self, client: Client, remember: bool = False) -> None:
        """``remember``: nothing is written in this session, so that every structure and list is asked for once."""
        self._client = client
        self._names: dict[str, dict[str, str]] = {}
        self._remembered: dict[t.Any, t.Any] | None = {} if remember else None
        # Names of objects that another module creates before what refers to them is written, by kind.
        self.expected: dict[str, set[str]] = {}
        self.name = client.name
        # Where the administration was reached; "" in a session that nobody logged in to by options.
        self.host = ""
        self.calls = client.calls
        self.warnings = client.warnings
        # What the server was told with success, in words: an error afterwards is not one that changed nothing.
        self.done: list[str] = []

    def version(self) -> dict[str, str]:
        """Return ``product`` and ``version``; this method alone has its fields directly in the result."""
        result = self._client.call("Server.getVersion")
        return {"product": str(result.get("product", "")), "version": str(result.get("version", ""))}

    def receive(self, source: Source) -> Object:
        """Return a structure as the server sends it."""

        def ask() -> Object:
            received: Object = self._member(self._client.call(source.get), source.get, source.member, dict)
            return received

        return self._once(source, ask)

    def _once(self, key: t.Any, ask: t.Callable[[], T]) -> T:
        if self._remembered is None:
            return ask()
        if key not in self._remembered:
            self._remembered[key] = ask()
        return t.cast("T", self._remembered[key])

    def read(self, kind: SettingsKind, received: Object | None = None) -> Reading:
        """Return one kind of settings, out of a structure that was ``received`` just now if there is one."""
        received = self.receive(kind.source) if received is None else received
        return Reading(received, self.options(kind.fields, received))

    def options(self, fields: t.Iterable[Field], received: Object) -> Object:
        """Return the options of what was received; ids of other objects are names in them."""
        fields = list(fields)
        options = settings.read_options(fields, received)
        for field in fields:
            # What the codec could only pass on is no id.
            if field.reference and options.get(field.option) and isinstance(options[field.option], str):
                options[field.option] = self._name_of(field, options[field.option])
        return options

    def wanted(self, what: str, fields: t.Sequence[Field], desired: t.Mapping[str, t.Any], current: Object) -> Object:
        """Return the declared options in the server's words, names of other objects too; ``InputError`` names ``what``."""
        wanted = settings.managed(f"{self.name}: {what}", fields, desired, current)
        for field in fields:
            if field.reference and wanted.get(field.option):
                wanted[field.option] = self.known_name(field, wanted[field.option])
        return wanted

    def changed(self, fields: t.Iterable[Field], received: Object, values: t.Mapping[str, t.Any]) -> Object:
        """Return ``received`` with ``values`` set, names of other objects turned into their ids."""
        fields = list(fields)
        encoded = {field.option: self._reference(field, values) for field in fields if field.option in values}
        return settings.write_options(fields, received, encoded)

    def write(self, kind: SettingsKind, reading: Reading, values: t.Mapping[str, t.Any]) -> None:
        """Send the whole structure with ``values`` set, read it back, compare; raises ``ApiError`` naming what did not hold."""
        changed = self.changed(kind.fields, reading.received, values)
        written = [field.path for field in kind.fields if field.secret and field.option in values]
        payload = settings.sendable(kind.source, changed, written)
        self._write(kind.source.set, {kind.source.member: payload}, Effect.SETTLE)
        self._proved(kind.name, kind.source.set, kind.fields, self.read(kind).options, values)

    def objects(self, kind: ObjectKind, domain_id: str = "", page_size: int = PAGE_SIZE) -> list[Object]:
        """Return all objects of a kind, page by page; raises ``ProtocolError`` when they are not as many as the server said."""
        return self._once((kind, domain_id), lambda: self._objects(kind, domain_id, page_size))

    def _objects(self, kind: ObjectKind, domain_id: str, page_size: int) -> list[Object]:
        parameters = {"domainId": domain_id} if kind.per_domain else {}
        if not kind.paged:
            return list(self._member(self._client.call(kind.get, parameters or None), kind.get, kind.member, list))
        found: dict[str, Object] = {}
        totals: list[int] = []
        start = 0
        while True:
            query = _query(kind.order_by, start, page_size)
            result = self._client.call(kind.get, {"query": query, **parameters})
            page = self._member(result, kind.get, kind.member, list)
            totals.append(self._member(result, kind.get, "totalItems", int))
            found.update((self._member(entry, kind.get, "id", str), entry) for entry in page)
            start += len(page)
            if start >= totals[-1] or not page:
                break
        # One that is removed while pages are read moves another one onto a page that was read: the count alone would still fit.
        if {len(found)} != set(totals):
            counts = ", then ".join(map(str, dict.fromkeys(totals)))
            raise ProtocolError(
                f"{self.name}: {kind.get}",
                f"{len(found)} different objects came although the server counts {counts}",
                "Run again: objects were added or removed meanwhile, or the server cuts its answers short",
            )
        return list(found.values())

    def set_object(self, kind: ObjectKind, object_id: str, received: Object, values: t.Mapping[str, t.Any]) -> None:
        """Send those members of one object that ``values`` touch: a pattern may be sparse at its top level, and only there."""
        changed = settings.write_options(kind.fields, received, values)
        touched = [field for field in kind.fields if field.option in values]
        # What belongs together is sent together, also the half that stays as it was.
        members = [member for field in touched for member in (field.path[:1] or field.codec.members)]
        pattern = {member: changed[member] for member in members}
        parameters = {kind.set_ids: [object_id], kind.set_pattern: settings.without_empty_passwords(pattern)}
        self.call(kind.set, parameters)

    def call(self, method: str, parameters: Object, effect: Effect = Effect.SETTLE, items: t.Sequence[str] = ()) -> Object:
        """Call a method that writes, or that asks whether one would succeed; errors of items raise ``ItemError``.

        ``items`` are what the operator calls the things that it is about, in the order of the input; errors name them.
        """
        try:
            if effect is Effect.READ:
                return self._client.call(method, parameters, effect)
            # What refers to other objects does not create them, but such a call may.
            self._names.clear()
            return self._write(method, parameters, effect, items)
        except (ApiError, NetworkError) as error:
            if items:
                _name_items(error, items)
                self._tell_done(error)
                self.done += _done_beside(error, method, items)
            raise

    def _tell_done(self, error: ArchiveToolError) -> None:
        if self.done:
            error.cause = f"{error.cause.rstrip('. ')}; done before: {', '.join(self.done)}"

    def _write(self, method: str, parameters: Object, effect: Effect, items: t.Sequence[str] = ()) -> Object:
        if self._remembered is not None:
            self._remembered.clear()
        result = self._client.call(method, parameters, effect)
        self.done.append(_with_items(method, items))
        return result

    def prove_objects(
        self, kind: ObjectKind, current: t.Mapping[str, Object], desired: t.Mapping[str, t.Mapping[str, t.Any]]
    ) -> None:
        """Compare objects read back, as options by identity, with what was written; raises ``ApiError``."""
        for key, values in desired.items():
            self._proved(f"{kind.name} {key}", kind.set, kind.fields, current.get(key, {}), values)

    def _proved(self, what: str, method: str, fields: t.Sequence[Field], current: Object, desired: t.Mapping[str, t.Any]) -> None:
        wrong = settings.differing(fields, current, desired)
        if wrong:
            found = {name: repr(current[name]) if name in current else "missing" for name in wrong}
            texts = [f"{name} is {found[name]} instead of {desired[name]!r}" for name in wrong]
            raise ApiError(
                f"{self.name}: {what}",
                f"{method} was answered with success, but read back {', '.join(texts)}",
                "Look into the server's error log; somebody else may have changed it at the same moment",
                method=method,
                options=wrong,
            )

    def _reference(self, field: Field, values: t.Mapping[str, t.Any]) -> t.Any:
        name = values[field.option]
        if not field.reference or not name:
            return name
        known = self.known_name(field, name)
        found = self._ids(field.reference).get(known)
        if found is None:
            raise InputError(f"{self.name}: {field.option} {name!r}", "the server still does not have it", CREATE_IT)
        return {"id": found, "name": known} if field.codec.members else found

    def known_name(self, field: Field, name: str) -> str:
        """Return the server's spelling of the name of a referenced object; raises ``InputError`` when it has none."""
        there = self._ids(field.reference)
        lower = {known.lower() for known in there}
        new = [known for known in self.expected.get(field.reference, ()) if known.lower() not in lower]
        names: list[str] = sorted({*there, *new})
        fitting = [known for known in names if known == name] or [known for known in names if known.lower() == name.lower()]
        if len(fitting) != 1:
            raise InputError(
                f"{self.name}: {field.option} {name!r}",
                f"the server has {', '.join(map(repr, names)) if names else 'none at all'}",
                CREATE_IT,
            )
        return fitting[0]

    def _name_of(self, field: Field, object_id: str) -> str:
        """Return the name of a referenced object; an id that leads nowhere is shown as it is."""
        return next((name for name, known in self._ids(field.reference).items() if known == object_id), object_id)

    def _ids(self, kind_name: str) -> dict[str, str]:
        if kind_name not in self._names:
            kind = kinds.OBJECTS[kind_name]
            self._names[kind_name] = {entry[kind.identity]: entry["id"] for entry in self.objects(kind)}
        return self._names[kind_name]

    def _member(self, result: Object, method: str, member: str, kind: type) -> t.Any:
        value = result.get(member)
        if not isinstance(value, kind):
            raise ProtocolError(
                f"{self.name}: {method}",
                f"the answer has {type(value).__name__} as {member!r} instead of {kind.__name__}",
                "Compare the server's version with the supported ones",
            )
        return value


def _with_items(text: str, items: t.Sequence[str]) -> str:
    return f"{text} ({some(items, NAMED)})" if items else text


def _done_beside(error: ArchiveToolError, method: str, items: t.Sequence[str]) -> list[str]:
    """Return what a call did besides the items that failed in it, if the server says which these are."""
    failed = {entry["index"] for entry in error.details.get("errors") or () if error.details.get("method") == method}
    rest = [item for index, item in enumerate(items) if index not in failed]
    return [_with_items(method, rest)] if rest and failed and failed <= set(range(len(items))) else []


def _name_items(error: ArchiveToolError, items: t.Sequence[str]) -> None:
    """Put the names of what the call was about into its error: those of the items that failed in place of their numbers."""
    entries = error.details.get("errors")
    if isinstance(entries, list):
        for entry in entries:
            entry["item"] = items[entry["index"]] if entry["index"] in range(len(items)) else which_item(entry["index"])
        error.cause = "; ".join(f"{entry['item']}: {with_code(entry['message'], entry['code'])}" for entry in entries)
    else:
        error.subject = _with_items(error.subject, items)


def _query(order_by: str, start: int, limit: int) -> Object:
    """Return a whole search query; no ``fields`` means all members, which no version refuses."""
    order = {"columnName": order_by, "direction": "Asc", "caseSensitive": False}
    return {"fields": [], "conditions": [], "combining": "And", "start": start, "limit": limit, "orderBy": [order]}


@contextlib.contextmanager
def session(parameters: t.Mapping[str, t.Any], remember: bool = False) -> t.Iterator[Server]:
    """Log in with the connection options of a module, and out again at the end; raises ``InputError`` when one is missing.

    ``remember`` is that of ``Server``: for modules that only read.
    """
    _refuse_incomplete(parameters)
    host, port = arguments.place(parameters)
    endpoint = Endpoint(
        name=parameters["server_name"] or parameters["api_host"],
        host=host,
        port=port,
        ca_file=parameters["ca_file"],
        validate_certs=parameters["validate_certs"],
        timeout=parameters["timeout"],
    )
    with rpc.connect(endpoint, parameters["api_user"], parameters["api_password"]) as client:
        server = Server(client, remember)
        server.host = host
        server.expected["ip_address_group"] = set(parameters.get("expected_ip_address_groups") or ())
        try:
            yield server
        except ArchiveToolError as error:
            if server.done:
                error.details.setdefault("done", server.done)
            raise


def _refuse_incomplete(parameters: t.Mapping[str, t.Any]) -> None:
    missing = [name for name in NEEDED if not parameters[name]]
    if missing:
        raise InputError(
            parameters["server_name"] or parameters["api_host"] or "the Kerio Connect server",
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given",
            "Give it in the task, or once for all modules in module_defaults, group mailops.kerio.kerio",
        )
