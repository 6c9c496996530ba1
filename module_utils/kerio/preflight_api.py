# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at the admin API of a server before archiving begins: which of ``preflight_facts`` hold. Nothing is written."""

from __future__ import annotations

import typing as t
from functools import partial

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, ArchiveToolError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, kinds, preflight_certificate, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import NO_SUCH_METHOD
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.preflight_by_hand import BY_HAND
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.preflight_facts import FACTS
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Effect
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import (
    CANNOT_TELL,
    DIFFERS,
    HOLDS,
    Finding,
    Look,
    judged,
    lasting,
    sentence,
    together,
)

FIRST_VERSION, LAST_VERSION = 8, 10
ADMINISTRATORS = ("FullAdmin", "BuiltInAdmin")
SERVICES = ("IMAP", "Secure IMAP")
METHODS = ("CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN", "LOGIN")
ROW_TYPES = ("Host", "Network", "Range", "IpPrefix", "ChildGroup", "ThisMachine")
OLD_SERVERS = "Kerio Connect 8"
WEB_SESSIONS = kinds.ObjectKind("session", "Server.getWebSessions", "list", "userName", order_by="userName")
# What is asked for of the primary domain.
OF_DOMAIN = ("user", "group", "alias")


class Received:
    """What the server gave, or why it did not, by what it is about. Each method is called once: some hang until the time-out."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.errors: dict[str, ArchiveToolError] = {}
        self._values: dict[str, t.Any] = {}
        for kind in kinds.SETTINGS.values():
            self._keep(kind.source.get, partial(server.receive, kind.source))
        for name in ("domain", "ip_address_group", "ip_address_entry", "service"):
            self._list(name)
        primary = next((one for one in self._values.get("Domains.get", ()) if one.get("isPrimary")), None)
        for name in OF_DOMAIN if primary else ():
            self._list(name, str(t.cast("Object", primary)["id"]))
        self._keep("Session.whoAmI", partial(server.receive, kinds.WHO_AM_I))

    def _list(self, name: str, domain_id: str = "") -> None:
        kind = kinds.OBJECTS[name]
        self._keep(kind.get, lambda: self.server.objects(kind, domain_id))

    def _keep(self, method: str, ask: t.Callable[[], t.Any]) -> None:
        try:
            self._values[method] = ask()
        except ArchiveToolError as error:
            self.errors[method] = error

    def of(self, method: str) -> t.Any:
        """Return what a method gave; raises what it gave instead."""
        if method in self.errors:
            raise self.errors[method]
        return self._values[method]

    def missing(self) -> list[str]:
        """The methods that the server does not have."""
        return [name for name, error in self.errors.items() if error.details.get("code") == NO_SUCH_METHOD]

    def count(self, name: str) -> int:
        """Return how many objects of a kind there are; 0 for what was not asked."""
        return len(self._values.get(kinds.OBJECTS[name].get, ()))


def look(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Look at a server; the fields of ``runner.Outcome``. A server that does not let us in has rows all the same, and fails."""
    found = Look(FACTS)
    data: dict[str, t.Any] = {"archive_address": "", "master_authentication": False, "clock_ahead": None}
    name = params["server_name"] or params["api_host"]
    calls: list[str] = []
    warnings: list[str] = []
    refused: ArchiveToolError | None = None
    try:
        with api.session(params, remember=True) as server:
            calls, warnings = server.calls, server.warnings
            received = Received(server)
            for fact, question in QUESTIONS.items():
                found.ask(fact, partial(question, received))
            data.update(_to_know(received))
    except ArchiveToolError as error:
        if error.kind == "input":
            raise
        refused = error
        found.otherwise = str(error)
    data["clock_ahead"] = _greet(found, params)
    rows = found.rows()
    message = str(refused) if refused else sentence(name, rows)
    by_hand = [{"id": fact.name, "check": fact.check} for fact in BY_HAND]
    data = {**data, "name": name, "facts": rows, "by_hand": by_hand, "calls": calls}
    return {"changed": False, "msg": message, "warnings": warnings, "failed": refused is not None, "data": data}


def _to_know(received: Received) -> Object:
    """Return what those who look at the mailboxes need to know: what cannot be read is as good as off."""
    known: Object = {}
    if "Archive.get" not in received.errors:
        options = settings.read_options(kinds.ARCHIVING.fields, received.of("Archive.get"))
        known["archive_address"] = options.get("remote_address") or ""
    if "AdvancedOptions.get" not in received.errors:
        known["master_authentication"] = bool(_master(received).get("isEnabled"))
    return known


def _greet(found: Look, params: t.Mapping[str, t.Any]) -> float | None:
    host, port = arguments.place(params)
    greeted = preflight_certificate.greet(host, port, params["ca_file"], params["timeout"])
    found.tell("api-certificate", certificate(greeted))
    found.tell("api-clock", clock(greeted.ahead))
    return greeted.ahead


def certificate(greeted: preflight_certificate.Greeted) -> Finding:
    """Judge a certificate by the days that it holds, and by why it is refused."""
    if greeted.refusal:
        return DIFFERS, f"The certificate is not trusted: {greeted.refusal}."
    if greeted.days is None:
        return CANNOT_TELL, f"The server did not show its certificate: {greeted.failure or 'it does not end'}"
    return lasting(greeted.days)


def clock(ahead: float | None) -> Finding:
    """Judge a difference of clocks, in seconds."""
    if ahead is None:
        return CANNOT_TELL, "The server's answer has no date"
    return together(ahead)


def _version(received: Received) -> Finding:
    told = received.server.version()
    major = told["version"].partition(".")[0]
    known = major.isdecimal() and FIRST_VERSION <= int(major) <= LAST_VERSION
    try:
        number = received.server.call("Version.getApiVersion", {}, Effect.READ).get("apiVersion", "not told")
    except ArchiveToolError:
        number = "not told"
    found = f"It is {told['product']} {told['version']}, version of the API {number}."
    return judged(known and "Kerio Connect" in told["product"], found)


def _rights(received: Received) -> Finding:
    role = (received.of("Session.whoAmI").get("effectiveRole") or {}).get("userRole", "")
    return judged(role in ADMINISTRATORS, f"The role of the account is {role or 'not told'}.")


def _methods(received: Received) -> Finding:
    missing = received.missing()
    if missing:
        return DIFFERS, f"The server does not have {', '.join(missing)}."
    failed = {name: error for name, error in received.errors.items() if isinstance(error, ApiError) or error.kind == "network"}
    if failed:
        return CANNOT_TELL, "; ".join(map(str, failed.values()))
    return HOLDS, "All of them answer."


def _lists(received: Received) -> Finding:
    wrong = [str(error) for error in received.errors.values() if isinstance(error, ProtocolError)]
    if wrong:
        return DIFFERS, "; ".join(wrong)
    received.of("Domains.get")
    counts = [f"{name.replace('_', ' ')} {received.count(name)}" for name in kinds.OBJECTS]
    return HOLDS, f"Read and counted: {', '.join(counts)}."


def _readable(received: Received) -> t.Iterator[tuple[str, tuple[kinds.Field, ...], Object]]:
    """Yield name, fields and received structure of the settings, and of one object of each kind that has options."""
    for kind in kinds.SETTINGS.values():
        yield kind.name, kind.fields, received.of(kind.source.get)
    for objects in (kinds.DOMAIN, kinds.USER, kinds.SERVICE):
        if objects.get in received.errors or received.count(objects.name):
            yield objects.name, objects.fields, received.of(objects.get)[0]


def _members(received: Received) -> Finding:
    lacking = []
    for name, fields, structure in _readable(received):
        there = settings.read_options(fields, structure)
        lacking += [f"{name}.{field.option}" for field in fields if _needed(field) and field.option not in there]
    return judged(not lacking, f"The server lacks {', '.join(lacking)}." if lacking else "None is missing.")


def _needed(field: kinds.Field) -> bool:
    """Whether it is looked for: secrets are never told, and what only old servers have is no loss."""
    return not field.secret and field.known_to != OLD_SERVERS


def _values(received: Received) -> Finding:
    strange = []
    received.of("IpAddressGroups.getGroupList")  # which names what options refer to
    for name, fields, structure in _readable(received):
        options = received.server.options(fields, structure)
        strange += [f"{name}.{option}" for option in options if option not in settings.declarable(fields, options)]
    return judged(not strange, f"Not known: {', '.join(strange)}." if strange else "All of them are known.")


def _passwords(received: Received) -> Finding:
    told = []
    for kind in kinds.SETTINGS.values():
        for path in kind.source.write_only:
            value: t.Any = received.of(kind.source.get)
            for member in path:
                value = value.get(member, "") if isinstance(value, dict) else ""
            told += [".".join((kind.source.get, *path))] if value else []
    return judged(not told, f"The server tells {', '.join(dict.fromkeys(told))}." if told else "The server tells none.")


def _service_names(received: Received) -> Finding:
    names = [str(one.get("name")) for one in received.of("Services.get")]
    return judged(set(SERVICES) <= set(names), f"The services are {', '.join(names)}.")


def _authentication_methods(received: Received) -> Finding:
    listed = received.of("SecurityPolicy.get").get("authenticationMethods") or []
    names = [str(one.get("value")) for one in listed]
    return judged(set(names) == set(METHODS), f"The server lists {', '.join(names) or 'none'}.")


def _address_rows(received: Received) -> Finding:
    rows, groups = received.of("IpAddressGroups.get"), received.of("IpAddressGroups.getGroupList")
    known = {(one["id"], one.get("name")) for one in groups}
    belonging = {(row.get("groupId"), row.get("groupName")) for row in rows}
    if belonging == known:
        return HOLDS, f"{len(rows)} rows belong to {len(groups)} groups."
    odd = sorted(str(name) for _id, name in belonging ^ known)
    return DIFFERS, f"Rows and groups do not fit together: {', '.join(odd)}."


def _address_types(received: Received) -> Finding:
    rows = received.of("IpAddressGroups.get")
    odd = sorted({f"{row.get('groupName')} ({row.get('type')})" for row in rows if row.get("type") not in ROW_TYPES})
    return judged(not odd, f"Other kinds of rows: {', '.join(odd)}." if odd else "No row is of another kind.")


def _master(received: Received) -> Object:
    found: Object = received.of("AdvancedOptions.get").get("masterAuthentication") or {}
    return found


def _master_group(received: Received) -> Finding:
    master = _master(received)
    if not master.get("isEnabled"):
        return HOLDS, "Master authentication is off."
    group = master.get("groupRestriction")
    return judged(bool(group), "It is on, and restricted." if group else "It is on, for every address.")


def _session(received: Received) -> Finding:
    logins = received.server.calls.count("Session.login")
    if logins > 1:
        return DIFFERS, f"It ended while {len(received.server.calls)} calls were made, and {logins} logins were needed."
    try:
        sessions = received.server.objects(WEB_SESSIONS)
    except ArchiveToolError:
        return HOLDS, "It lasted; the server does not tell when it would end."
    ends = sorted(str(one.get("expirationTime")) for one in sessions if one.get("componentType") == "WebComponentADMIN")
    return HOLDS, f"It lasted. Sessions of administrators end at {', '.join(dict.fromkeys(ends))}, server time."


# The session comes last, when all calls were made.
QUESTIONS: dict[str, t.Callable[[Received], Finding]] = {
    "api-version": _version,
    "api-rights": _rights,
    "api-methods": _methods,
    "api-lists": _lists,
    "api-members": _members,
    "api-values": _values,
    "api-passwords": _passwords,
    "api-service-names": _service_names,
    "api-authentication-methods": _authentication_methods,
    "api-address-rows": _address_rows,
    "api-address-types": _address_types,
    "api-master-group": _master_group,
    "api-session": _session,
}
