# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``kerio_mailserver_cfg`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import hashlib
import re
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_attend, job_folder
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_manual, service, service_unit
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import GuardedEdit, Probe, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Selector

DELETE_VARIABLE = "AutoExpungeOnDelete"
_SECRET = re.compile("password|passphrase|secret", re.IGNORECASE)

Data = t.Dict[str, t.Any]


def declare(params: Data, check_mode: bool, system: str) -> Data:
    """Do what the module was asked for and return its outcome; ``system`` is ``platform.system()``."""
    wanted = wanted_variables(params)
    if system != "Linux":
        cfg_manual.refuse(system, {item.label: item.value for item in wanted})
    if params["backup_keep"] < 1:
        raise InputError("backup_keep", f"it is {params['backup_keep']}", "Keep one backup at least: a failed edit needs it")
    call = _Call(params, wanted)
    if check_mode:
        return call.forecast()
    return call.confirm() if params["job_heard"] else call.follow()


def wanted_variables(params: Data) -> list[Wanted]:
    """Return the variables that the options ask for; raises ``InputError``."""
    wanted = [
        Wanted(Selector(name=entry.get("name"), path=entry.get("path")), _text(entry)) for entry in params["variables"] or []
    ]
    if params["permanent_delete"] is not None:
        wanted.append(Wanted(Selector(name=DELETE_VARIABLE), "0" if params["permanent_delete"] else "1"))
    labels = [item.label for item in wanted]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(label, "it is declared twice", "Declare each variable once; permanent_delete is AutoExpungeOnDelete")
        if _SECRET.search(label):
            raise InputError(
                label, "it holds a password, and values of this module show up in diffs", "Set it in the administration"
            )
    if not wanted:
        raise InputError("variables", "the list is empty", "Name a variable, or set permanent_delete")
    return wanted


def _text(entry: Data) -> str:
    value = entry["value"]
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int)):
        return str(value)
    label = entry.get("path") or entry.get("name")
    raise InputError(f"value of {label}", f"it is of type {type(value).__name__}", "Give text, a whole number or a boolean")


class _Call:
    """One call of the module on a Linux host."""

    def __init__(self, params: Data, wanted: t.Sequence[Wanted]) -> None:
        self.params = params
        self.state_dir = Path(params["state_dir"])
        self.path = str(Path(params["path"]).resolve())
        self.wanted = wanted
        # One host may run several servers, in containers for example.
        self.name = f"mailserver_cfg-{hashlib.sha256(self.path.encode()).hexdigest()[:8]}"
        self.about = {"path": self.path, "variables": [[item.label, item.value] for item in wanted]}
        self.probe: Probe | None = None
        self.warnings: list[str] = []
        # The second may have been made by others before the first was closed to them.
        for folder in (self.state_dir, self.state_dir / self.name):
            job_folder.refuse_unsafe(folder)

    def forecast(self) -> Data:
        """Return what a run would do."""
        probe = self._edit().probe()
        now = job.status(self.state_dir, self.name)
        warnings = list(self.warnings)
        if now.state == job.RUNNING:
            warnings.append(f"A job is changing {self.path} right now, started by {now.owner}")
        return _outcome(bool(probe.reasons), self._sentence(probe, "would be"), self._diff(probe), warnings, self._data(probe))

    def follow(self) -> Data:
        """Start the job, or attach to it, and tell how it is doing."""
        params = self.params
        turn = job_attend.attend(
            self.state_dir,
            self.name,
            self._prepare,
            about=self.about,
            owner=params["job_owner"],
            seconds=params["job_wait"],
            seen=params["job_seen"],
        )
        data = turn.as_data()
        # The call that starts the job, or that finds nothing to do, has looked at the service.
        warnings = [_told(report) for report in turn.previous] + self.warnings
        if turn.holder is not None:
            text = f"{self.path} is being changed for {turn.holder}; nothing was done here"
            return _outcome(False, text, None, [*warnings, text], dict(data, holder=turn.holder))
        if turn.status is None:
            probe = t.cast("Probe", self.probe)
            return _outcome(False, self._sentence(probe, "is"), None, warnings, dict(data, **self._data(probe)))
        if turn.running:
            return _outcome(False, turn.status.progress.line or "The job has begun", None, warnings, data)
        result = turn.status.outcome()
        text = f"{self.path} has the declared values and the service was restarted, {result['down_seconds']} s down"
        return _outcome(True, text, _result_diff(self.path, result), warnings, dict(data, **result))

    def confirm(self) -> Data:
        """Take note that the ends of these jobs were heard."""
        for job_id in self.params["job_heard"]:
            job.acknowledge(self.state_dir, self.name, job_id)
        return _outcome(False, "The result has arrived", None, [], {})

    def _prepare(self) -> GuardedEdit | None:
        """Return the work, or None when the probe finds nothing to do."""
        edit = self._edit()
        self.probe = edit.probe()
        if self.probe.reasons:
            return edit
        edit.settle(self.probe)
        return None

    def _edit(self) -> GuardedEdit:
        options, ready = self.params["service"], self.params["ready"]
        start, stop = service.find_commands(options["name"], options["script"])
        self.warnings = list(filter(None, [service_unit.hasty_stop(stop, self.params["stop_timeout"])]))
        folder = self.state_dir / self.name
        control = service.Service(
            start_command=start,
            stop_command=stop,
            process=options["process"] or str(Path(self.path).with_name("mailserver")),
            log=folder / "service.log",
            pid_file=options["pid_file"],
            watchdog=options["watchdog"],
            ready=service.Ready(ready["host"], ready["api_port"], ready["imap_port"], ready["timeout"]),
            stop_timeout=self.params["stop_timeout"],
            start_timeout=self.params["start_timeout"],
            settle=self.params["settle"],
        )
        file = CfgFile(self.path, folder / "in-place.json")
        return GuardedEdit(file, control, self.wanted, self.params["backup_keep"], folder / "applied.json")

    def _data(self, probe: Probe) -> Data:
        variables = [{"variable": item.label, "before": probe.values[item.label], "after": item.value} for item in self.wanted]
        return {"variables": variables, "reasons": list(probe.reasons)}

    def _diff(self, probe: Probe) -> Data:
        return _result_diff(self.path, self._data(probe))

    def _sentence(self, probe: Probe, verb: str) -> str:
        if not probe.reasons:
            return f"{self.path} has the declared values and the running service has read them"
        return f"The service {verb} restarted, because {'; '.join(probe.reasons)}"


def _outcome(changed: bool, msg: str, diff: Data | None, warnings: list[str], data: Data) -> Data:
    return {"changed": changed, "msg": msg, "diff": diff, "warnings": warnings, "data": data}


def _result_diff(path: str, result: Data) -> Data:
    """Return the managed values before and after; a restart that changes no value is a line of its own."""
    before = {entry["variable"]: entry["before"] for entry in result["variables"]}
    after = {entry["variable"]: entry["after"] for entry in result["variables"]}
    if result["reasons"] and before == after:
        before["service"] = "has not read the file"
        after["service"] = "restarted"
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def _told(report: Data) -> str:
    """Return the warning about a job that ended unheard."""
    error = report["error"]
    if error is None:
        end = f"succeeded: {', '.join(f'{name} = {value}' for name, value in report['about']['variables'])}"
    else:
        end = f"failed: {error.get('subject')}: {error.get('cause')}"
    return f"An earlier job for {report['owner']} ended without anybody waiting for it and {end}"
