# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a Kerio Connect host before archiving begins: which of ``cfg_preflight_facts`` hold. Nothing is written."""

from __future__ import annotations

import os
import pwd
import stat
import typing as t
from functools import partial
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import CfgError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_manual, service, service_unit
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_module import DELETE_VARIABLE
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_preflight_facts import FACTS
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Document, Selector
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import DIFFERS, HOLDS, Finding, Look, judged, sentence

MEANINGS = {"0": "what IMAP clients delete is gone", "1": "the server moves what is deleted over IMAP to Deleted Items"}
LINE_ENDS = ((b"\r\n", "CRLF"), (b"\n", "LF"), (b"\r", "CR"))


def look(params: t.Mapping[str, t.Any], system: str) -> dict[str, t.Any]:
    """Look at this host; the fields of ``runner.Outcome``. ``system`` is ``platform.system()``."""
    found = Look(FACTS)
    found.tell("host-system", _system(system))
    if system == "Linux":
        host = _Host(params)
        for name, question in QUESTIONS.items():
            found.ask(name, partial(question, host))
    else:
        found.otherwise = f"On {system} it is not looked at"
    rows = found.rows()
    data = {"facts": rows, "path": params["path"]}
    return {"changed": False, "msg": sentence(params["path"], rows), "data": data}


class _Host:
    """What is there. Each of these raises what keeps it from being told."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self.path = Path(params["path"])
        self.options = params["service"]
        self.stop_timeout = float(params["stop_timeout"])

    def data(self) -> bytes:
        """The file's bytes; raises ``CfgError``."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            remedy = "Set path (kerio_mailserver_cfg_path of the role), and run with become"
            raise CfgError(str(self.path), str(error), remedy) from error

    def commands(self) -> tuple[list[str], list[str]]:
        """How the service is started and stopped; raises ``ServiceError``."""
        return service.find_commands(self.options["name"], self.options["script"])

    def service(self) -> service.Service:
        start, stop = self.commands()
        return service.Service(
            start_command=start,
            stop_command=stop,
            process=self.options["process"] or str(self.path.resolve().with_name("mailserver")),
            log=Path(os.devnull),
            pid_file=self.options["pid_file"],
            watchdog=self.options["watchdog"],
        )


def _system(system: str) -> Finding:
    if system == "Linux":
        return HOLDS, "It is Linux."
    manual = cfg_manual.MANUALS.get(system)
    place = f" The file is {manual.path}. {manual.stop}." if manual else ""
    return DIFFERS, f"It is {system}.{place}"


def _place(host: _Host) -> Finding:
    if host.path.is_file():
        real = host.path.resolve()
        return HOLDS, f"It is there{'' if real == host.path else f', and leads to {real}'}."
    return DIFFERS, f"There is no file {host.path}."


def _owner(host: _Host) -> Finding:
    try:
        info = host.path.stat()
    except OSError as error:
        raise CfgError(str(host.path), str(error), "Set path (kerio_mailserver_cfg_path of the role)") from error
    mode = stat.S_IMODE(info.st_mode)
    try:
        owner = pwd.getpwuid(info.st_uid).pw_name
    except KeyError:
        owner = str(info.st_uid)
    return judged(info.st_uid == 0 and not mode & 0o022, f"It belongs to {owner}, mode {mode:04o}.")


def _document(host: _Host) -> Document:
    return Document(host.data(), str(host.path))


def _format(host: _Host) -> Finding:
    data = host.data()
    try:
        document = Document(data, str(host.path))
    except CfgError as error:
        return DIFFERS, str(error)
    ends = next((name for end, name in LINE_ENDS if end in data), "none")
    return judged(bool(document.variables), f"{len(document.variables)} variables, {document.encoding}, line ends {ends}.")


def _variable(host: _Host) -> Finding:
    document = _document(host)
    try:
        place = document.find(Selector(name=DELETE_VARIABLE))
    except CfgError as error:
        return DIFFERS, str(error)
    return HOLDS, f"It is {place.path}, in line {place.line}."


def _value(host: _Host) -> Finding:
    value = _document(host).get(Selector(name=DELETE_VARIABLE))
    return judged(value == "0", f"It is {value}: {MEANINGS.get(value, 'what that does is not known')}.")


def _manager(host: _Host) -> Finding:
    _start, stop = host.commands()
    if Path(stop[0]).name != "systemctl":
        return HOLDS, f"It is the init script {stop[0]}."
    script = service_unit.shown(stop[0], stop[-1], "SourcePath")
    return HOLDS, f"It is the unit {stop[-1]}{f', which systemd made of {script}' if script else ''}."


def _process(host: _Host) -> Finding:
    server = host.service()
    found = server.processes()
    return judged(bool(found), f"It is process {found[0].pid}." if found else f"No process of {server.process} was found.")


def _watchdog(host: _Host) -> Finding:
    server = host.service()
    found = server.watchdogs()
    return judged(bool(found), f"It is process {found[0]}." if found else f"No process of {server.watchdog} was found.")


def _stop(host: _Host) -> Finding:
    _start, stop = host.commands()
    hasty = service_unit.hasty_stop(stop, host.stop_timeout)
    return judged(not hasty, f"{hasty}." if hasty else "Nothing ends it sooner.")


QUESTIONS: dict[str, t.Callable[[_Host], Finding]] = {
    "cfg-place": _place,
    "cfg-owner": _owner,
    "cfg-format": _format,
    "cfg-variable": _variable,
    "cfg-value": _value,
    "service-manager": _manager,
    "service-process": _process,
    "service-watchdog": _watchdog,
    "service-stop": _stop,
}
