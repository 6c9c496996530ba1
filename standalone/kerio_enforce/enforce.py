# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a schedule: lock, checkout, playbook, result, metrics."""

from __future__ import annotations

import os
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import exposition, files, reports
from .checkout import Checkout, Git, update
from .config import Config, Schedule
from .metrics import Metrics
from .problem import EnforceError
from .process import Ended, Stop, run

Data = dict[str, t.Any]
FRESH = 120  # seconds within which a unit that failed is told of; an older result is one of another run
KEPT_FAILURES = 50
TOLD_FAILURES = 20
TEXTFILE = "kerio_archive.prom"
ERROR, WARNING, NOTICE = 3, 4, 5  # syslog's


def say(text: str, level: int = NOTICE) -> None:
    """A line for the journal, which takes the level from its beginning; nobody else is shown one."""
    prefix = f"<{level}>" if "JOURNAL_STREAM" in os.environ else ""
    # The journal hides a line with control characters, and half pairs cannot be written.
    line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))
    sys.stdout.write(f"{prefix}{line}\n")
    sys.stdout.flush()


@dataclass
class Result:
    """What came of a run. ``outcome``: ok, failed, time, stop, refused or skipped."""

    started: int
    outcome: str = "ok"
    summary: str = ""
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rc: int | None = None
    commit: str = ""

    def as_data(self, finished: int) -> Data:
        """What is kept of it."""
        data = dict(vars(self), finished=finished, failure_count=len(self.failures))
        return {**data, "failures": self.failures[:KEPT_FAILURES]}


class Enforcement:
    """Runs one schedule. ``clock`` gives seconds since the epoch."""

    def __init__(self, config: Config, name: str, stop: Stop, clock: t.Callable[[], float] = time.time) -> None:
        self._config = config
        self._schedule = config.schedule(name)
        self._stop = stop
        self._clock = clock
        self._site = config.state / "reports" / f"{name}.site.json"
        self._drift = config.state / "reports" / f"{name}.drift.json"

    def go(self) -> int:
        """Run it; returns the exit status."""
        result = Result(int(self._clock()))
        about = {"schedule": self._schedule.name, "pid": os.getpid(), "started": result.started}
        with files.locked(self._config.state / "lock", about, self._config.lock_wait, lambda: self._stop.asked) as holder:
            if self._stop.asked:
                result.outcome, result.summary = "stop", "stopped before anything was run"
                self._keep(result)
            elif holder is not None:
                result.outcome = "skipped"
                who = f"schedule {holder.get('schedule', 'unknown')} (process {holder.get('pid', 'unknown')})"
                result.summary = f"nothing done: {who} has been running since {_time(holder.get('started'))}"
                self._keep(result)
            else:
                self._locked(result)
        self._tell(result)
        return 0 if result.outcome in ("ok", "skipped") else 1

    def _locked(self, result: Result) -> None:
        figures = files.read_json(self._config.state / "figures.json")
        before = figures.get("checkout", {})
        try:
            checkout = self._update()
        except EnforceError as error:
            result.outcome, result.failures = "refused", [str(error)]
            result.summary = f"nothing run: {error}"
            figures["checkout"] = {**before, "problem": error.kind, "verified": False}
        else:
            result.commit, result.warnings = checkout.commit, checkout.warnings
            figures["checkout"] = self._checkout(checkout, before)
            try:
                figures = self._judge(result, self._play(), figures)
            except OSError as error:
                result.outcome, result.failures = "failed", [f"{error}. Check the disk, and run playbooks/controller.yml."]
                result.summary = "ansible-playbook could not be run"
        try:
            files.write_json(self._config.state / "figures.json", figures)
            self._keep(result)
        except OSError as error:
            result.outcome = "failed" if result.outcome == "ok" else result.outcome
            result.failures.append(f"the result is not kept: {error}. Check the disk of the controller.")
        self.publish(figures)

    def _update(self) -> Checkout:
        try:
            return update(self._config, Git(self._config))
        except OSError as error:
            subject = f"checkout {self._config.checkout}"
            raise EnforceError("missing", subject, str(error), "Check the disk, and who owns the files") from error

    def _checkout(self, checkout: Checkout, before: Data) -> Data:
        return {
            "commit": checkout.commit,
            "committed": checkout.committed,
            "fetched": int(self._clock()) if checkout.fetched else before.get("fetched", 0),
            "verified": checkout.verified,
            "outdated": checkout.outdated,
            "problem": "" if checkout.fetched else "unreachable",
        }

    def _play(self) -> Ended:
        for report in (self._site, self._drift):
            report.unlink(missing_ok=True)
        # In a file, because command lines can be read by everybody.
        variables = self._config.state / "reports" / f"{self._schedule.name}.vars.json"
        reports_to = {"site_report": str(self._site), "drift_report": str(self._drift)}
        files.write_json(variables, {**self._schedule.extra_vars, **reports_to})
        return run(
            command_of(self._config, self._schedule, variables, os.environ),
            self._config.checkout,
            environment_of(os.environ),
            self._config.state / "logs" / f"{self._schedule.name}.log",
            limit=self._schedule.time_limit,
            grace=self._config.grace,
            log_bytes=self._config.log_bytes,
            stop=self._stop,
        )

    def _judge(self, result: Result, ended: Ended, figures: Data) -> Data:
        site, drift = files.read_json(self._site), files.read_json(self._drift)
        result.rc = ended.rc
        result.failures = reports.failures_of(site, drift)
        if not ended.rc and not ended.why and not {"site": site, "drift": drift}.get(self._schedule.playbook, True):
            result.failures.append(f"no report: the inventory {self._config.inventory} has no host for this playbook")
        if ended.unwritten:
            result.warnings.append(f"the log is not whole: {ended.unwritten}. Check the disk of the controller.")
        result.outcome = ended.why or ("failed" if ended.rc or result.failures else "ok")
        if result.outcome != "ok" and not result.failures:
            result.failures = reports.failures_printed(ended.tail)
        what = {
            "ok": "done",
            "failed": f"ansible-playbook ended with status {ended.rc}",
            "time": f"ended after its time limit of {self._schedule.time_limit:,} s; archiving goes on on the archive hosts",
            "stop": "stopped before its end; archiving goes on on the archive hosts",
        }[result.outcome]
        count = len(result.failures)
        failures = f", {count:,} failure{'s' if count > 1 else ''}" if count else ""
        result.summary = f"{what} in {ended.seconds:,.0f} s, commit {result.commit[:10]}{failures}"
        return reports.merged(figures, site, drift, int(self._clock()), whole=not self._schedule.limit)

    def _keep(self, result: Result) -> None:
        now = int(self._clock())
        path = self._config.state / "results" / f"{self._schedule.name}.json"
        before = files.read_json(path)
        runs = [result.as_data(now), *before.get("runs", [])]
        # The last one that did something is what metrics and the unit that tells speak of.
        did = next((run for run in runs[self._config.history :] if run["outcome"] != "skipped"), None)
        runs = runs[: self._config.history]
        if did is not None and all(run["outcome"] == "skipped" for run in runs):
            runs[-1] = did
        kept = {
            "version": 1,
            "schedule": self._schedule.name,
            "playbook": self._schedule.playbook,
            "last_success": now if result.outcome == "ok" else before.get("last_success", 0),
            "runs": runs,
        }
        files.write_json(path, kept)

    def publish(self, figures: Data) -> None:
        """Write the metrics, where that is asked for."""
        if not self._config.textfile_dir:
            return
        results = {name: files.read_json(self._config.state / "results" / f"{name}.json") for name in self._config.schedules}
        told = exposition.text(Metrics(self._config).families(results, figures, int(self._clock())))
        try:
            files.write(Path(self._config.textfile_dir, TEXTFILE), told, 0o644)
        except OSError as error:
            say(f"kerio-archive: the metrics are not written: {error}. Check controller_textfile_dir.", ERROR)

    def _tell(self, result: Result) -> None:
        for text in result.warnings:
            say(f"kerio-archive {self._schedule.name}: {text}", WARNING)
        level = NOTICE if result.outcome in ("ok", "skipped") else ERROR
        say(f"kerio-archive {self._schedule.name}: {result.outcome}: {result.summary}", level)
        told = [] if result.outcome == "refused" else result.failures
        for text in told[:TOLD_FAILURES]:
            say(f"kerio-archive {self._schedule.name}: {text}", ERROR)
        if len(told) > TOLD_FAILURES:
            log = self._config.state / "logs" / f"{self._schedule.name}.log"
            say(f"kerio-archive {self._schedule.name}: and {len(told) - TOLD_FAILURES} more, see {log}", ERROR)


def command_of(config: Config, schedule: Schedule, variables: Path, environment: t.Mapping[str, str]) -> list[str]:
    """The command line of ansible-playbook."""
    command = [config.ansible_playbook, "-i", config.inventory, f"playbooks/{schedule.playbook}.yml", "-e", f"@{variables}"]
    if config.vault:
        command += ["--vault-password-file", str(Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent"), config.vault))]
    if schedule.limit:
        command += ["--limit", schedule.limit]
    return command + (["--check"] if schedule.check else [])


def environment_of(own: t.Mapping[str, str]) -> dict[str, str]:
    """What ansible-playbook gets: where this program lies is nothing to it, and it must not make files in the checkout."""
    kept = {name: value for name, value in own.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    # A host that is in a file with a fault would be left out, and the run be well.
    strict = {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    return {**kept, **strict, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def failure_text(config: Config, unit: str, now: float) -> str:
    """One line on a unit that failed just now, for the journal."""
    name = unit.removesuffix(".service").removeprefix("kerio-archive-")
    runs = files.read_json(config.state / "results" / f"{name}.json").get("runs", [])
    told = next((run for run in runs if run["outcome"] != "skipped"), None)
    if told is None or told["outcome"] == "ok" or not -FRESH < now - told["finished"] < FRESH:
        return f"kerio-archive {name} FAILED without a result: journalctl -u {unit} tells more"
    first = f"; first: {told['failures'][0]}" if told["failures"] and told["outcome"] != "refused" else ""
    return f"kerio-archive {name} FAILED: {told['summary']}{first}"


def _time(epoch: t.Any) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch)) if isinstance(epoch, int) else "some time"
