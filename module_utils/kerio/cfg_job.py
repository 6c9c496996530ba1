# SPDX-License-Identifier: GPL-3.0-or-later
"""The guarded edit of mailserver.cfg: what is to be done (probe), and the work of the job that does it.

Kerio Connect reads the file at start and rewrites it from memory when it stops, so: stop, prove it, read again, edit, write,
start, read again. Whatever goes wrong, the bytes from after the stop are put back and the service is started.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, CfgError, JobError, ServiceError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_memory
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Document, Selector

if t.TYPE_CHECKING:
    from types import TracebackType

    from ansible_collections.mailops.kerio.plugins.module_utils.job import Reporter
    from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
    from ansible_collections.mailops.kerio.plugins.module_utils.kerio.service import Process, Service

# The start of a process is known to 10 ms, a file's time to the kernel's tick.
CLOCK_GRAIN_SECONDS = 0.05

Data = t.Dict[str, t.Any]
Mapping = t.Mapping[str, t.Optional[str]]


@dataclass(frozen=True)
class Wanted:
    """One variable and the value that it shall have."""

    selector: Selector
    value: str

    @property
    def label(self) -> str:
        return self.selector.path or self.selector.name or ""


@dataclass(frozen=True)
class Probe:
    """What the file says now, and in ``reasons`` why the job is needed; empty when there is nothing to do."""

    values: t.Mapping[str, str | None]
    reasons: t.Sequence[str]
    process: Process | None
    document: Document | None = field(default=None, repr=False, compare=False)


@dataclass
class GuardedEdit:
    """``applied`` is the file of ``cfg_memory``."""

    file: CfgFile
    service: Service
    wanted: t.Sequence[Wanted]
    backup_keep: int
    applied: Path
    _original: bytes | None = field(default=None, init=False)
    _backup: Path | None = field(default=None, init=False)
    _started_on: Document | None = field(default=None, init=False)

    def probe(self) -> Probe:
        """Look, and touch nothing. Raises ``CfgError`` when a variable cannot be found, ``ServiceError`` when the server cannot
        be recognised."""
        processes = self.service.processes()
        process = processes[0] if processes else None
        self._refuse_unrecognised(process)
        torn = self.file.torn_backup()
        if torn is not None:
            reason = f"an edit of {self.file.path} was interrupted while it wrote in place; {torn} will be restored first"
            return Probe({item.label: None for item in self.wanted}, [reason], process)
        document = self._read()
        values = self._values(document)
        reasons = [
            f"{item.label} is {values[item.label]}, not {item.value}" for item in self.wanted if values[item.label] != item.value
        ]
        if process is None:
            reasons.append("the service is not running")
        elif not self._applied_by(process, document):
            reasons.append(f"process {process.pid} was started before the file was last changed, so it may not have read it")
        return Probe(dict(values), reasons, process, document)

    def __call__(self, reporter: Reporter) -> Data:
        """Do it; the work of the job. Raises ``CfgError`` or ``ServiceError``, ``details['state']`` tells what is true then."""
        with self.file.exclusive():
            return self._do(reporter)

    def _do(self, reporter: Reporter) -> Data:
        probe = self.probe()
        self._refuse_early(probe, reporter)
        torn = self.file.torn_backup()
        began = time.monotonic()
        with _Recovery(self, reporter):
            reporter.progress("stopping the service; it may take 300 s")
            self.service.stop()
            reporter.progress(f"stopped after {time.monotonic() - began:.0f} s; changing {self.file.path}")
            self.file.restore_torn(torn)
            before = self._edit()
            reporter.progress("starting the service")
            process = self.service.start()
            after = self._values(self._read())
            for item in self.wanted:
                if after[item.label] != item.value:
                    cause = f"the server did not keep {item.label} = {item.value}: it is {after[item.label]} after the start"
                    raise CfgError(
                        str(self.file.path), cause, "Compare the variable with the documentation of this server's version"
                    )
        down = time.monotonic() - began
        with _Noting([]):
            self._remember(process, t.cast("Document", self._started_on))
        reporter.progress(f"the service is back after {down:.0f} s")
        variables = [{"variable": item.label, "before": before[item.label], "after": item.value} for item in self.wanted]
        return {
            "variables": variables,
            "reasons": list(probe.reasons),
            "backup_file": str(self._backup) if self._backup else None,
            "process": {"pid": process.pid, "started": process.started},
            "down_seconds": round(down, 1),
        }

    def rescue(self, reporter: Reporter, cause: str) -> ArchiveToolError:
        """Bring the service back after the process of the job was killed, at whatever step; called by the job's guardian.

        The file is whole: it is replaced at once, or written in place with a journal. A stop that was begun must have ended
        before the start, hence the second stop.
        """
        reporter.progress(f"{cause}; bringing the service back")
        notes: list[str] = []
        with _Noting(notes):
            torn = self.file.torn_backup()
            self.service.stop()
            self.file.restore_torn(torn)
            self.file.tidy()
        with _Noting(notes):
            self.service.start()
        state = dict(self.truth(), restored=False, repair_errors=notes)
        return JobError("guarded edit of mailserver.cfg", f"{cause}. {_sentence(state)}", "Run it again", state=state)

    def _refuse_unrecognised(self, process: Process | None) -> None:
        """Raise when the ports are open and the process is not found: a stop could not be proven, nor the start afterwards."""
        ports = ", ".join(str(port) for port in self.service.open_ports()) if process is None else ""
        if ports:
            raise ServiceError(
                "Kerio Connect service",
                f"no process runs {self.service.process}, yet something listens on {ports}; nothing was done",
                "Set service.process to the server's program and service.pid_file to its pid file (variable "
                "kerio_mailserver_cfg_service of the role), or free the port",
            )

    def _refuse_early(self, probe: Probe, reporter: Reporter) -> None:
        """Raise what would go wrong after the stop, while the service still runs."""
        self.file.check_writable()
        missing = self.service.ready.missing() if probe.process else []
        if missing:
            cause = f"it runs, but there is no answer from {', '.join(missing)}; nothing was done"
            remedy = (
                "Set ready.api_port and ready.imap_port (variable kerio_mailserver_cfg_ready of the role) to where the server "
                "listens on this host (0: not asked)"
            )
            raise ServiceError("Kerio Connect service", cause, remedy)
        if reporter.stop_requested:
            raise ServiceError("Kerio Connect service", "the job was asked to end before it stopped it", "Run it again")

    def _edit(self) -> Mapping:
        """Change the stopped server's file; return the values that it had."""
        self._original = self.file.read()
        document = Document(self._original, str(self.file.path))
        before = self._values(document)
        for item in self.wanted:
            document = document.replace(item.selector, item.value)
        if document.data != self._original:
            self._backup = self.file.backup(self._original, self.backup_keep)
            self.file.write(document.data, self._backup)
        self._started_on = document
        return before

    def restore(self) -> bool:
        """Put the bytes from after the stop back if they are not there; return whether that was necessary."""
        if self._original is None or self._backup is None or self.file.read() == self._original:
            return False
        if self.service.remains():
            self.service.stop()
        self.file.write(self._original, self._backup)
        return True

    def truth(self) -> Data:
        """Return what is so now, with None for what cannot be told."""
        processes = self.service.processes()
        values: Mapping = {item.label: None for item in self.wanted}
        with _Noting([]):
            values = self._values(self._read())
        return {
            "running": bool(processes),
            "not_answering": self.service.ready.missing(),
            "pid": processes[0].pid if processes else None,
            "values": values,
            "backup_file": str(self._backup) if self._backup else None,
        }

    def _read(self) -> Document:
        return Document(self.file.read(), str(self.file.path))

    def _values(self, document: Document) -> Mapping:
        places: dict[str, str] = {}
        for item in self.wanted:
            place = document.find(item.selector).path
            if place in places:
                raise CfgError(place, f"it is asked for twice, as {places[place]} and {item.label}", "Name each variable once")
            places[place] = item.label
        return {item.label: document.get(item.selector) for item in self.wanted}

    def _applied_by(self, process: Process, document: Document) -> bool:
        """Tell whether ``process`` read these values at its start: by what is remembered, else by the clock.

        By the clock it must be younger than the file, and so must be its pid file: the start of a process is known in ticks since
        the boot, so a clock that was set forth since makes it look younger than it is, but not what it wrote at its start. A
        server that saves the file after admin changes makes it younger than any process; then only the memory tells.
        """
        memory = cfg_memory.recall(self.applied)
        known = memory.verdict(process.identity, self._file_state(document), self._places(document)) if memory else None
        if known is not None:
            return known
        written = self.service.pid_file_written(process)
        started = process.started if written is None else min(process.started, written)
        return started + CLOCK_GRAIN_SECONDS >= self.file.changed_at()

    def settle(self, probe: Probe) -> None:
        """Remember what a probe without reasons has proven, so that a backup tool that touches the inode causes no restart."""
        if probe.process is None or probe.document is None:
            return
        with _Noting([]):
            self.file.restore_torn(None)
        memory = cfg_memory.recall(self.applied)
        if memory is None or not memory.covers(probe.process.identity, self._places(probe.document)):
            with _Noting([]):
                self._remember(probe.process, probe.document)

    def _remember(self, process: Process, read: Document) -> None:
        """Note that ``process`` has read ``read``. Variables of other tasks stay noted, or they would restart it in turns."""
        memory = cfg_memory.recall(self.applied)
        places = {*self._places(read), *(memory.values if memory else ())}
        values = {item.path: item.value for item in read.variables if item.path in places}
        digest = self._file_state(read).digest
        if memory and memory.process == process.identity:
            # What it has read at its start does not change any more.
            values, digest = {**values, **memory.values}, memory.digest
        cfg_memory.note(self.applied, process.identity, digest, values, self._file_state(self._read()))

    def _places(self, document: Document) -> Mapping:
        found = [document.find(item.selector) for item in self.wanted]
        return {variable.path: variable.value for variable in found}

    def _file_state(self, document: Document) -> cfg_memory.FileState:
        inode, changed_ns = self.file.identity()
        return cfg_memory.FileState(cfg_memory.digest_of(document.data), inode, changed_ns)


class _Noting:
    """Carries on after an error that is an answer of the host, and notes it; a bug gets through."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, (ArchiveToolError, OSError)):
            self.notes.append(error.cause if isinstance(error, ArchiveToolError) else str(error))
            return True
        return False


class _Recovery:
    """Whatever ends the edit between stop and start: restore the file, start the service, and add the truth to the error."""

    def __init__(self, edit: GuardedEdit, reporter: Reporter) -> None:
        self.edit = edit
        self.reporter = reporter

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        self.reporter.progress(f"failed: {error.cause if isinstance(error, ArchiveToolError) else error}; repairing")
        notes: list[str] = []
        restored = False
        with _Noting(notes):
            restored = self.edit.restore()
        with _Noting(notes):
            self.edit.service.start()
        state = dict(self.edit.truth(), restored=restored, repair_errors=notes)
        if isinstance(error, ArchiveToolError):
            cause = f"{error.cause}. {_sentence(state)}"
            raise type(error)(error.subject, cause, error.remedy, **dict(error.details, state=state)) from error
        if isinstance(error, OSError):
            raise ServiceError("Kerio Connect service", f"{error}. {_sentence(state)}", "See the cause", state=state) from error


def _sentence(state: Data) -> str:
    values = ", ".join(f"{name} = {'unreadable' if value is None else value}" for name, value in state["values"].items())
    file = f"{'The file was restored' if state['restored'] else 'The file needed no restoring'}: {values}."
    if not state["running"]:
        service = "THE SERVICE DOES NOT RUN"
    elif state["not_answering"]:
        service = f"The service runs as process {state['pid']}, but there is no answer from {', '.join(state['not_answering'])}"
    else:
        service = f"The service runs as process {state['pid']} and answers"
    repairs = f"; the repair failed: {'; '.join(state['repair_errors'])}" if state["repair_errors"] else ""
    return f"{file} {service}{repairs}"
