# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics: from results and figures to families of series. Pure: no I/O. docs/alerts.md lists them."""

from __future__ import annotations

import typing as t

from .config import Config
from .exposition import Family
from .problem import KINDS

Data = dict[str, t.Any]
PREFIX = "kerio_archive_"
DAY = 86_400

# name -> kind, help
_TABLE = {
    "textfile_timestamp_seconds": ("gauge", "When this file was written."),
    "schedule_last_run_timestamp_seconds": ("gauge", "When the last run of the schedule ended."),
    "schedule_last_success_timestamp_seconds": (
        "gauge",
        "When the last run of the schedule without a failure ended; 0 is never.",
    ),
    "schedule_max_age_seconds": ("gauge", "How old the last success of the schedule may become, as declared."),
    "schedule_last_run_success": ("gauge", "Whether the last run of the schedule had no failure."),
    "schedule_last_run_duration_seconds": ("gauge", "How long the last run of the schedule took."),
    "schedule_failures": ("gauge", "Failures of the last run of the schedule."),
    "checkout_info": ("gauge", "Which commit of which branch or tag is run."),
    "checkout_commit_timestamp_seconds": ("gauge", "When the commit that is run was made."),
    "checkout_fetched_timestamp_seconds": ("gauge", "When the repository could last be fetched; 0 is never."),
    "checkout_signature_required": ("gauge", "Whether only signed commits or tags are run."),
    "checkout_signature_verified": ("gauge", "Whether the signature of what is run was verified in the last run."),
    "checkout_environment_outdated": (
        "gauge",
        "Whether requirements.txt differs from what the Python environment was made from.",
    ),
    "problem": ("gauge", "Whether the last run met this problem before its playbook began."),
    "server_last_run_timestamp_seconds": ("gauge", "When site.yml was last run over the Kerio Connect server."),
    "server_last_success_timestamp_seconds": ("gauge", "When everything declared for the server was last done; 0 is never."),
    "server_failures": ("gauge", "What of the server could not be done in the last run of site.yml."),
    "server_drift_checked_timestamp_seconds": ("gauge", "When the server was last compared with the inventory."),
    "server_drift_settings": ("gauge", "Settings of the server that are not as declared."),
    "server_drift_relations": ("gauge", "Relations between settings that are violated and would be refused."),
    "server_drift_unknown": ("gauge", "What of the server could not be compared."),
    "host_last_run_timestamp_seconds": ("gauge", "When site.yml was last run over the archive host."),
    "host_last_success_timestamp_seconds": ("gauge", "When the archive host last had no failure; 0 is never."),
    "host_last_archived_timestamp_seconds": ("gauge", "When an archive run last came to its end there."),
    "host_failures": ("gauge", "Failures of the archive host in the last run of site.yml."),
    "host_damaged_objects": ("gauge", "Damaged objects that the last archive run met."),
    "host_free_bytes": ("gauge", "Bytes that are free for the archive, what must stay free left out."),
    "host_free_inodes": ("gauge", "Inodes that are free for the archive, what must stay free left out."),
    "host_forecast_seconds": ("gauge", "How long the free room lasts at the growth of the last days; absent when nothing grows."),
    "objects_total": ("counter", "Distinct messages ever stored in the archive."),
    "object_bytes_total": ("counter", "Bytes of the distinct messages ever stored in the archive."),
    "placements": ("gauge", "Places in trees of users in which messages are filed."),
    "stored_bytes": ("gauge", "Bytes that the objects take, compressed."),
    "users": ("gauge", "Archive users."),
    "certificate_unverified": ("gauge", "That nobody checks the certificate of the server when its mail is read."),
    "profile_last_run_timestamp_seconds": ("gauge", "When a mailbox of the profile was last tried."),
    "profile_last_success_timestamp_seconds": ("gauge", "Since when all mailboxes of the profile were gone through; 0 is never."),
    "profile_left_out_users": ("gauge", "Users without the privilege that the profile asks for."),
    "mailbox_last_run_timestamp_seconds": ("gauge", "When a run last tried the mailbox."),
    "mailbox_last_success_timestamp_seconds": ("gauge", "When a run last went through the mailbox to its end; 0 is never."),
    "mailbox_archived_messages_total": ("counter", "Messages that runs archived from the mailbox, copies included."),
    "mailbox_fetched_bytes_total": ("counter", "Bytes that runs read from the mailbox."),
    "mailbox_server_messages": ("gauge", "Messages in the selected folders of the mailbox on its server."),
    "mailbox_server_uidnext": ("gauge", "Sum of UIDNEXT of these folders: it grows with each message that comes."),
    "mailbox_server_bytes": ("gauge", "Bytes of the messages in an archive mailbox, as far as they were read."),
    "mailbox_excluded_messages": ("gauge", "Messages on the server that a rule of the profile excludes."),
    "mailbox_left_messages": ("gauge", "Messages left on the server because an address is unknown."),
    "mailbox_failed_messages": ("gauge", "Messages that could not be archived, and are tried again."),
    "mailbox_quarantined_messages": ("gauge", "Messages that failed again and again."),
    "mailbox_unknown_addresses": ("gauge", "Different unknown addresses for which messages of an archive mailbox wait."),
}
# metric -> key of a mailbox in the figures
_MAILBOX = {
    "mailbox_last_run_timestamp_seconds": "tried",
    "mailbox_archived_messages_total": "archived",
    "mailbox_fetched_bytes_total": "bytes",
    "mailbox_server_messages": "on_server",
    "mailbox_server_uidnext": "uidnext",
    "mailbox_server_bytes": "on_server_bytes",
    "mailbox_excluded_messages": "excluded",
    "mailbox_left_messages": "left",
    "mailbox_failed_messages": "failed",
    "mailbox_quarantined_messages": "quarantined",
    "mailbox_unknown_addresses": "unknown_addresses",
}
_TOTALS = {
    "objects_total": "objects",
    "object_bytes_total": "bytes",
    "placements": "placements",
    "stored_bytes": "stored_bytes",
    "users": "users",
}


class Metrics:
    """Collects the series. Mailboxes are left out of it when their addresses are nobody's business."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._families = {name: Family(PREFIX + name, *about) for name, about in _TABLE.items()}

    def families(self, results: t.Mapping[str, Data], figures: Data, now: int) -> list[Family]:
        """All of them; ``results``: schedule -> its file of results."""
        self._add("textfile_timestamp_seconds", now)
        for name in sorted(self._config.schedules):
            self._schedule(name, results.get(name, {}))
        self._checkout(figures.get("checkout", {}))
        for name, server in figures.get("servers", {}).items():
            self._server(name, server)
        for name, host in figures.get("archive_hosts", {}).items():
            self._host(name, host)
        return list(self._families.values())

    def _add(self, name: str, value: float | None, **labels: str) -> None:
        self._families[name].add(value, **labels)

    def _schedule(self, name: str, result: Data) -> None:
        schedule = self._config.schedules[name]
        labels = {"schedule": name, "playbook": schedule.playbook}
        self._add("schedule_max_age_seconds", schedule.max_age, **labels)
        self._add("schedule_last_success_timestamp_seconds", result.get("last_success", 0), **labels)
        ran = [run for run in result.get("runs", []) if run["outcome"] != "skipped"]
        for run in ran[:1]:
            self._add("schedule_last_run_timestamp_seconds", run["finished"], **labels)
            self._add("schedule_last_run_success", run["outcome"] == "ok", **labels)
            self._add("schedule_last_run_duration_seconds", run["finished"] - run["started"], **labels)
            self._add("schedule_failures", run["failure_count"], **labels)

    def _checkout(self, checkout: Data) -> None:
        if checkout.get("commit"):
            self._add("checkout_info", 1, commit=checkout["commit"], version=self._config.version)
            self._add("checkout_commit_timestamp_seconds", checkout["committed"])
        self._add("checkout_fetched_timestamp_seconds", checkout.get("fetched", 0))
        self._add("checkout_signature_required", self._config.verify_signature)
        self._add("checkout_signature_verified", bool(checkout.get("verified")))
        self._add("checkout_environment_outdated", bool(checkout.get("outdated")))
        for kind in KINDS:
            self._add("problem", checkout.get("problem") == kind, problem=kind)

    def _server(self, name: str, server: Data) -> None:
        if "seen" in server:
            self._add("server_last_run_timestamp_seconds", server["seen"], server=name)
            self._add("server_last_success_timestamp_seconds", server.get("last_success", 0), server=name)
            self._add("server_failures", server["failures"], server=name)
        drift = server.get("drift", {})
        self._add("server_drift_checked_timestamp_seconds", drift.get("seen"), server=name)
        for key in ("settings", "relations", "unknown"):
            self._add(f"server_drift_{key}", drift.get(key), server=name)

    def _host(self, name: str, host: Data) -> None:
        labels = {"archive_host": name}
        self._add("host_last_run_timestamp_seconds", host.get("seen"), **labels)
        self._add("host_last_success_timestamp_seconds", host.get("last_success", 0), **labels)
        self._add("host_failures", host.get("failures"), **labels)
        self._add("host_last_archived_timestamp_seconds", host.get("archived"), **labels)
        self._add("host_damaged_objects", host.get("damaged"), **labels)
        for server in host.get("unverified", []):
            self._add("certificate_unverified", 1, **labels, server=server)
        figures = host.get("figures", {})
        forecast = figures.get("forecast", {})
        self._add("host_free_bytes", forecast.get("room_bytes"), **labels)
        self._add("host_free_inodes", forecast.get("room_inodes"), **labels)
        days = forecast.get("days")
        self._add("host_forecast_seconds", None if days is None else days * DAY, **labels)
        for metric, key in _TOTALS.items():
            self._add(metric, figures.get("totals", {}).get(key), **labels)
        for profile, count in figures.get("left_out", {}).items():
            self._add("profile_left_out_users", count, **labels, profile=profile)
        self._mailboxes(labels, figures.get("mailboxes", []))

    def _mailboxes(self, labels: dict[str, str], mailboxes: t.Sequence[Data]) -> None:
        profiles: dict[str, list[Data]] = {}
        for mailbox in mailboxes:
            profiles.setdefault(mailbox["profile"], []).append(mailbox)
            # The archive mailboxes are nobody's, and there are few.
            if self._config.mailbox_metrics or mailbox["method"] == "multidrop":
                self._mailbox(mailbox, {**labels, **{key: str(mailbox[key]) for key in ("profile", "server", "mailbox")}})
        for profile, its in profiles.items():
            tried = max(mailbox["tried"] for mailbox in its)
            self._add("profile_last_run_timestamp_seconds", tried, **labels, profile=profile)
            succeeded = min(mailbox["succeeded"] or 0 for mailbox in its)
            self._add("profile_last_success_timestamp_seconds", succeeded, **labels, profile=profile)

    def _mailbox(self, mailbox: Data, labels: dict[str, str]) -> None:
        self._add("mailbox_last_success_timestamp_seconds", mailbox["succeeded"] or 0, **labels)
        for metric, key in _MAILBOX.items():
            self._add(metric, mailbox.get(key), **labels)
