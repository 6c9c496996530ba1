# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at IMAP on a server before archiving begins: which of ``preflight_facts`` hold. Nothing is written.

What is tried in a scratch mailbox, where that is asked for, is in ``preflight_write``.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace
from functools import partial

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments, login, preflight_folders, preflight_sample
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection, open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, list_folders, select_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap.greeting import capabilities, open_reader
from ansible_collections.mailops.kerio.plugins.module_utils.imap.preflight_facts import FACTS
from ansible_collections.mailops.kerio.plugins.module_utils.imap.preflight_write import try_deleting
from ansible_collections.mailops.kerio.plugins.module_utils.imap.tls_stream import TlsStream
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import (
    CANNOT_TELL,
    DIFFERS,
    HOLDS,
    Finding,
    Look,
    days_left,
    judged,
    lasting,
    sentence,
    together,
)

MASTER = "X-MASTERAUTH"
LOGINS = {"AUTH=PLAIN", "AUTH=LOGIN"}
NO_MAILBOX = "No mailbox was opened: give preflight_mailbox, and its password where master authentication is off"
NO_ARCHIVE = "No archive mailbox was opened: give preflight_archive_mailbox, and its password where master authentication is off"
NO_WRITE = "Nothing is written without preflight_write"
NO_SCRATCH = "No scratch mailbox can be opened: give preflight_scratch_mailbox"
USED = "The scratch mailbox is one that is read: give one that nobody uses"
UNASKED = "Check mode does not try the master password, because a wrong attempt counts against the archive host"

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Door:
    """A mailbox and how it is opened; None where there is no way."""

    mailbox: str
    password: str | None
    master: bool = False

    def credentials(self) -> Credentials | None:
        return Credentials(self.mailbox, self.password, self.master) if self.mailbox and self.password else None


def look(params: Params, check_mode: bool) -> dict[str, t.Any]:
    """Look at a server; the fields of ``runner.Outcome``. A server that cannot be reached has rows all the same, and fails."""
    endpoint = arguments.endpoint(params)
    found = Look(FACTS)
    warnings = arguments.warnings(endpoint)
    reached = _greet(found, endpoint, int(params["plain_port"]))
    found.tell("imap-clock", _clock(params))
    if reached is None:
        master = _master(found, endpoint, params, check_mode)
        _mailbox(found, endpoint, _door(params, "mailbox", "password", master), int(params["sample"]))
        _archive(found, endpoint, _door(params, "archive_mailbox", "archive_password", master), int(params["sample"]))
        used = {(params[name] or "").lower() for name in ("mailbox", "archive_mailbox")}
        door = _door(params, "scratch_mailbox", "scratch_password", master)
        refusal = NO_WRITE if check_mode or not params["write"] else USED if door.mailbox.lower() in used - {""} else ""
        warnings += _write(found, endpoint, door, refusal)
    else:
        found.otherwise = str(reached)
    rows = found.rows()
    message = str(reached) if reached else sentence(endpoint.label, rows)
    data = {"facts": rows, "reached": reached is None}
    return {"changed": False, "msg": message, "warnings": warnings, "failed": reached is not None, "data": data}


def _door(params: Params, mailbox: str, password: str, master: bool) -> Door:
    own = params[password]
    return Door(params[mailbox] or "", own or (params["master_password"] if master else None), master and not own)


def _greet(found: Look, endpoint: Endpoint, plain_port: int) -> ArchiveToolError | None:
    """Look at what is shown before a login; return why the server cannot be reached, if it cannot."""
    before = plain_port if endpoint.access is Access.IMAP_SSL else endpoint.port
    found.ask("imap-before-tls", lambda: _before_tls(replace(endpoint, port=before, access=Access.IMAP)))
    try:
        reader = open_reader(endpoint)
    except ArchiveToolError as error:
        if error.kind == "input":
            raise
        if error.kind == "certificate":
            found.tell("imap-certificate", (DIFFERS, str(error)))
        return error
    try:
        found.tell("imap-certificate", _certificate(reader.wire.sock))
        offered = capabilities(reader)
        found.tell("imap-login-methods", _login_methods(offered, encrypted=reader.wire.encrypted))
        found.tell("imap-master-announced", (HOLDS, f"It is {'' if MASTER in offered else 'not '}announced."))
    except ArchiveToolError as error:
        return error
    finally:
        reader.wire.close()
    return None


def _before_tls(endpoint: Endpoint) -> Finding:
    if not endpoint.port:
        return CANNOT_TELL, "The port without TLS was not asked"
    reader = open_reader(endpoint)
    try:
        offered = capabilities(reader)
    finally:
        reader.wire.close()
    open_ways = sorted(offered & {*LOGINS, MASTER}) + ([] if "LOGINDISABLED" in offered else ["LOGIN"])
    return judged(not open_ways, f"It offers {', '.join(open_ways)}." if open_ways else "It offers none of them.")


def _certificate(sock: t.Any) -> Finding:
    if not isinstance(sock, TlsStream):
        return CANNOT_TELL, "IMAP is used without TLS"
    days = days_left(sock.certificate())
    return (DIFFERS, "It is not verified (validate_certs is false).") if days is None else lasting(days)


def _clock(params: Params) -> Finding:
    ahead, controller = params["clock_ahead"], params["controller_clock"]
    if ahead is None or controller is None:
        return CANNOT_TELL, "The clock of the server is not known"
    # How long it takes from the controller to here makes this clock seem ahead, by some seconds.
    return together(ahead - (time.time() - controller), "about ")


def _login_methods(offered: frozenset[str], *, encrypted: bool) -> Finding:
    ways = sorted(offered & LOGINS) + ([] if "LOGINDISABLED" in offered else ["LOGIN"])
    if not encrypted:
        return CANNOT_TELL, "IMAP is used without TLS"
    return judged(bool(ways), f"It offers {', '.join(ways)}." if ways else "It offers neither.")


def _master(found: Look, endpoint: Endpoint, params: Params, check_mode: bool) -> bool:
    """Try the master password once, if it is given; return whether it is right."""
    if not params["master_password"]:
        found.tell("imap-master", (CANNOT_TELL, "Master authentication is off, or its password was not given"))
        return False
    if check_mode:
        found.tell("imap-master", (CANNOT_TELL, UNASKED))
        return False
    said = login.try_master_password(endpoint, params["mailbox"] or None, params["master_password"])
    if said.answer == "right" and said.mailbox is None:
        finding: Finding = (HOLDS, "The password is right; no mailbox was named to open with it.")
    elif said.answer == "right":
        finding = judged(said.mailbox == "opened", f"The mailbox was {said.mailbox}: {said.mailbox_text}.")
    else:
        finding = (DIFFERS if said.answer == "wrong" else CANNOT_TELL, said.text)
    found.tell("imap-master", finding)
    return said.answer == "right"


def _mailbox(found: Look, endpoint: Endpoint, door: Door, count: int) -> None:
    credentials = door.credentials()
    names = [*CAPABILITIES, *preflight_folders.QUESTIONS, *SAMPLED]
    if credentials is None:
        _cannot(found, names, NO_MAILBOX)
        return
    try:
        with open_connection(endpoint, credentials) as conn:
            for name, question in CAPABILITIES.items():
                found.ask(name, partial(question, conn.capabilities))
            folders = list_folders(conn)
            for name, ask in preflight_folders.QUESTIONS.items():
                found.ask(name, partial(ask, conn, folders))
            _sample(found, conn, folders, count)
    except ArchiveToolError as error:
        _cannot(found, names, str(error))


def _sample(found: Look, conn: Connection, folders: t.Sequence[Folder], count: int) -> None:
    sample = preflight_sample.draw(conn, select_folders(folders).selected, count)
    for name, (member, what) in SAMPLED.items():
        found.ask(name, partial(sample.judge, getattr(sample, member), what))


def _archive(found: Look, endpoint: Endpoint, door: Door, count: int) -> None:
    credentials = door.credentials()
    if credentials is None:
        _cannot(found, ENVELOPES, NO_ARCHIVE)
        return
    try:
        with open_connection(endpoint, credentials) as conn:
            inbox = [folder for folder in list_folders(conn) if folder.role == "inbox"]
            told = preflight_sample.envelopes(preflight_sample.draw(conn, inbox, count))
        found.tell("imap-envelope", _envelope(told))
        found.tell("imap-envelope-recipients", _recipients(told, door.mailbox.lower()))
    except ArchiveToolError as error:
        _cannot(found, ENVELOPES, str(error))


def _envelope(told: t.Sequence[str]) -> Finding:
    if not told:
        return CANNOT_TELL, "The archive mailbox is empty: have a message archived, and look again"
    return judged(all(told), f"{sum(map(bool, told))} of {len(told)} messages have it.")


def _recipients(told: t.Sequence[str], archive: str) -> Finding:
    given = [one for one in told if one]
    if not given:
        return CANNOT_TELL, "No message of the archive mailbox has the header"
    own = sum(one.strip("<> ") == archive for one in given)
    return judged(not own, f"{own} of {len(given)} name the archive mailbox, {len(given) - own} somebody else.")


def _write(found: Look, endpoint: Endpoint, door: Door, refusal: str) -> list[str]:
    """Try what deleting does, unless ``refusal`` says why not; return warnings of what is left behind."""
    credentials = door.credentials()
    names = ("write-append", "write-moment", "write-delete")
    if refusal or credentials is None:
        _cannot(found, names, refusal or NO_SCRATCH)
        return []
    try:
        findings, warnings = try_deleting(endpoint, credentials)
    except ArchiveToolError as error:
        _cannot(found, names, str(error))
        return []
    for name, finding in findings.items():
        found.tell(name, finding)
    return warnings


def _cannot(found: Look, names: t.Iterable[str], why: str) -> None:
    """Tell why these cannot be told, except those that were."""
    for name in names:
        if found.verdict(name) == CANNOT_TELL:
            found.tell(name, (CANNOT_TELL, why))


def _has(name: str) -> t.Callable[[frozenset[str]], Finding]:
    return lambda offered: judged(name in offered, f"It is {'' if name in offered else 'not '}announced.")


def _told(*names: str) -> t.Callable[[frozenset[str]], Finding]:
    return lambda offered: (HOLDS, f"Announced: {', '.join(name for name in names if name in offered) or 'none'}.")


CAPABILITIES: dict[str, t.Callable[[frozenset[str]], Finding]] = {
    "imap-uidplus": _has("UIDPLUS"),
    "imap-condstore": _told("CONDSTORE", "QRESYNC"),
    "imap-literal-plus": _has("LITERAL+"),
    "imap-capabilities": lambda offered: judged("IMAP4REV1" in offered, f"Announced: {' '.join(sorted(offered))}."),
}
# fact -> list of the sample, and what that lists
SAMPLED = {
    "imap-uids": ("uids", "Not so in"),
    "imap-dates": ("dates", "None can be read of"),
    "imap-sizes": ("sizes", "Others are"),
    "imap-bytes": ("contents", "Other bytes came of"),
    "imap-seen": ("flags", "Flags changed of"),
}
ENVELOPES = ("imap-envelope", "imap-envelope-recipients")
