# SPDX-License-Identifier: GPL-3.0-or-later
"""The estimate: how many messages and bytes a run would archive now, how long it would take, and how much room it needs.

Everything is asked from the servers, nothing is written. The time for reading comes from a small sample that is fetched and
thrown away. What writing costs is not tried out: the whole time comes from what earlier runs of this archive took.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, progress, run_table
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Surveyed, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text, time_text
from ansible_collections.mailops.kerio.plugins.module_utils.archive.sampling import MOST_MESSAGES, Piece, Sample, measure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

# Messages that lie side by side, as a run would fetch them.
RUN_OF_UIDS = 50
# Folders of which a connection reads a part.
FOLDERS_EACH = 3
# Rows and indexes of one message in the catalog: 234 bytes measured after VACUUM, and room for what it keeps free.
CATALOG_BYTES = 400
# A folder of a user's tree: itself, cur, new, tmp.
DIRECTORIES = 4
# Earlier runs that are looked at, and how many messages a profile must have archived in one for its time to say something: in a
# smaller one most of it is logging in and looking for what changed.
EARLIER_RUNS, TELLING_MESSAGES = 1000, 1000


@dataclass(frozen=True)
class Due:
    """A folder with messages to archive; ``uids`` are those that may be in the sample."""

    mailbox: Mailbox
    folder: Folder
    uidvalidity: int
    messages: int
    uids: tuple[int, ...]


@dataclass(frozen=True)
class ServerEstimate:
    """One server: what is due on it, and how long it takes to read that. ``seconds`` is None when nothing could be measured."""

    name: str
    messages: int
    bytes: int
    connections: int
    sample: Sample

    @property
    def seconds(self) -> float | None:
        """By messages or by bytes, whichever takes longer."""
        rates = (self.sample.messages_per_second, self.sample.bytes_per_second)
        if not all(rates):
            return None if self.messages else 0.0
        return max(self.messages / rates[0], self.bytes / rates[1])

    def as_data(self) -> dict[str, t.Any]:
        """The plain data of the result."""
        sample = self.sample
        data: dict[str, t.Any] = {"name": self.name, "messages": self.messages, "bytes": self.bytes}
        data.update(connections=self.connections, reading_seconds=None if self.seconds is None else round(self.seconds, 1))
        data.update(messages_per_second=round(sample.messages_per_second), bytes_per_second=round(sample.bytes_per_second))
        data["sample"] = {"messages": sample.messages, "bytes": sample.bytes, "seconds": round(sample.seconds, 2)}
        return data


@dataclass(frozen=True)
class Earlier:
    """What profiles archived in earlier runs that archived much, and how long that took from login to commit."""

    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, runs: t.Iterable[Run]) -> Earlier:
        """Of the runs of a catalog."""
        # One that goes on, or died, has the names of its profiles only.
        ended = [run for run in runs if run.outcome]
        told = [(profile, archived_by(profile)) for run in ended for profile in run.summary.get("profiles", ())]
        much = [(profile, messages) for profile, messages in told if messages >= TELLING_MESSAGES and profile.get("bytes")]
        size, seconds = (sum(profile.get(key, 0) for profile, _messages in much) for key in ("bytes", "seconds"))
        return cls(sum(messages for _profile, messages in much), size, seconds)

    def seconds_for(self, messages: int, size: int) -> float | None:
        """By messages or by bytes, whichever takes longer; None when no run is known that says it."""
        if not self.seconds:
            return None
        return self.seconds * max(messages / self.messages, size / self.bytes)


def archived_by(profile: t.Mapping[str, t.Any]) -> int:
    """How many messages a profile stored in a run, by the summary in the catalog."""
    return int(profile.get("new", 0)) + int(profile.get("copies", 0))


class Estimate(Preview):
    """Counts what is due, with its bytes, and measures each server. ``go`` fills ``servers``, ``earlier`` and ``room``."""

    needs_users = True

    def __init__(self, options: Options, reporter: progress.Reporter, imap: Imap | None = None) -> None:
        super().__init__(options, reporter, imap)
        self._sizes: dict[Mailbox, dict[str, int]] = {}
        self._found: dict[str, list[Due]] = defaultdict(list)
        self.servers: list[ServerEstimate] = []
        self.earlier = Earlier()
        self.room: dict[str, t.Any] = {}

    def _outside(self, _profile: Profile) -> str:
        return ""

    def _look(self, imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
        found = look(imap, mailbox, connection)
        folders = [folder for folder, status in found.folders if isinstance(status, FolderStatus) and status.messages]
        self._sizes[mailbox] = imap.folder_sizes(connection, folders)
        return found

    def _due(self, connection: t.Any, mailbox: Mailbox, folder: Folder, status: FolderStatus, uids: t.Sequence[int]) -> int:
        if not uids:
            return 0
        due = Due(mailbox, folder, status.uidvalidity, len(uids), spread(uids, MOST_MESSAGES))
        self._found[mailbox.server.name].append(due)
        whole = self._sizes.get(mailbox, {}).get(folder.name)
        if whole is not None and len(uids) == status.messages:
            return whole
        return sum(self._imap.sizes(connection, uids).values())

    def _finish(self) -> None:
        self.earlier = Earlier.of(self._catalog.last_runs(EARLIER_RUNS) if self._catalog else ())
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for profile in self.report.profiles:
            for mailbox in profile.mailboxes:
                totals[mailbox.server][0] += mailbox.accounts().new
                totals[mailbox.server][1] += mailbox.bytes
        for name, (messages, size) in totals.items():
            due = self._found.get(name, [])
            connections = min(self._options.workers, max((one.mailbox.limit for one in due), default=1))
            bandwidth = self._options.servers[name].bandwidth
            sample = measure(self._imap, parts(due, connections), bandwidth) if due else Sample()
            self.report.warnings += [f"{name} could not be measured: {error}" for error in sample.errors[:1]]
            self.servers.append(ServerEstimate(name, messages, size, connections, sample))
        self._measure_room()

    def _measure_room(self) -> None:
        total = Sample()
        for server in self.servers:
            total.add(server.sample)
        messages, size = self.messages, self.bytes
        ratio = total.stored / total.bytes if total.bytes else 1.0
        folders = sum(1 for due in self._found.values() for _one in due)
        need, inodes = round(size * ratio) + messages * CATALOG_BYTES, messages + folders * DIRECTORIES
        free = filesystem.space(str(nearest(Path(self._options.root))))
        self.room = {"disk_bytes": need, "inodes": inodes, "ratio": round(ratio, 3)}
        self.room.update(free_bytes=free.bytes, free_inodes=free.inodes)
        left = free.bytes - self._options.reserve
        if messages and need > left:
            self.report.warnings.append(
                f"{self._options.root}: the mail needs about {size_text(need)} there, {size_text(max(0, left))} are free beside"
                " the reserve. Make room or extend the file system before the run"
            )
        if messages and free.inodes is not None and inodes > free.inodes - filesystem.MINIMUM_INODES:
            self.report.warnings.append(
                f"{self._options.root}: the mail needs about {inodes:,} inodes there, {free.inodes:,} are free. Use a file system"
                " with more inodes (ext4: mkfs -i 4096) or one that does not count them"
            )

    @property
    def messages(self) -> int:
        """Of all servers."""
        return sum(server.messages for server in self.servers)

    @property
    def bytes(self) -> int:
        """Of all servers."""
        return sum(server.bytes for server in self.servers)

    @property
    def seconds(self) -> float | None:
        """How long the run takes by what earlier ones took, and no less than reading; None when no run says it."""
        whole = self.earlier.seconds_for(self.messages, self.bytes)
        return None if whole is None else max(whole, self.reading or 0.0)

    @property
    def reading(self) -> float | None:
        """How long reading alone takes: servers share the worker processes, and a slow one may take longest of all."""
        known = [(server.seconds, server.connections) for server in self.servers]
        if any(seconds is None for seconds, _connections in known):
            return None
        times = [(seconds or 0.0, connections) for seconds, connections in known]
        shared = sum(seconds * connections for seconds, connections in times) / self._options.workers
        return max([shared, *(seconds for seconds, _connections in times)])


def spread(uids: t.Sequence[int], most: int) -> tuple[int, ...]:
    """Up to ``most`` of the UIDs, in runs of neighbours from all over the folder."""
    if len(uids) <= most:
        return tuple(uids)
    runs = most // RUN_OF_UIDS
    starts = [index * (len(uids) - RUN_OF_UIDS) // max(1, runs - 1) for index in range(runs)]
    return tuple(sorted({uid for start in starts for uid in uids[start : start + RUN_OF_UIDS]}))


def parts(due: t.Sequence[Due], connections: int) -> list[list[Piece]]:
    """The sample of a server, one part for each connection: the largest folders, each divided among the connections."""
    largest = sorted(due, key=lambda one: one.messages, reverse=True)[: FOLDERS_EACH * connections]
    each = max(RUN_OF_UIDS, MOST_MESSAGES // FOLDERS_EACH)
    found: list[list[Piece]] = [[] for _connection in range(connections)]
    for number, one in enumerate(largest):
        # With fewer folders than connections, several connections read one folder, as in a run.
        readers = range(connections) if len(largest) < connections else [number % connections]
        for position, reader in enumerate(readers):
            uids = one.uids[position * len(one.uids) // len(readers) : (position + 1) * len(one.uids) // len(readers)]
            if uids:
                found[reader].append(Piece(one.mailbox.access, one.folder, one.uidvalidity, uids[:each]))
    return [pieces for pieces in found if pieces]


def nearest(path: Path) -> Path:
    """The path, or the folder above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def sentence(estimate: Estimate) -> str:
    """The estimate in one sentence."""
    report: RunReport = estimate.report
    mailboxes = sum(len(profile.mailboxes) for profile in report.profiles)
    text = f"{estimate.messages:,} messages, {size_text(estimate.bytes)}, would be archived from {counted(mailboxes, 'mailbox')}"
    if estimate.messages:
        text += f"; {_time_sentence(estimate)}; they need about {size_text(estimate.room['disk_bytes'])} of disk"
    return text + report.closing_text()


def _time_sentence(estimate: Estimate) -> str:
    seconds, reading = estimate.seconds, estimate.reading
    if seconds is not None:
        earlier = f"{estimate.earlier.messages:,} messages in {time_text(estimate.earlier.seconds)}"
        return f"that takes about {time_text(seconds)} at the rate of earlier runs ({earlier})"
    told = "the time for reading is unknown" if reading is None else f"reading alone takes about {time_text(reading)}"
    return f"{told}, writing comes on top and is known after a run that archived {TELLING_MESSAGES:,} messages"


def as_data(estimate: Estimate) -> dict[str, t.Any]:
    """The plain data of the result."""
    servers = {server.name: server for server in estimate.servers}
    profiles = []
    for profile in estimate.report.profiles:
        mailboxes: list[dict[str, t.Any]] = [
            {"server": one.server, "mailbox": one.mailbox, "user": one.user, "messages": one.accounts().new, "bytes": one.bytes}
            for one in profile.mailboxes
        ]
        row = {"name": profile.name, "method": profile.method, "mailboxes": mailboxes}
        profiles.append({**row, **{key: sum(one[key] for one in mailboxes) for key in ("messages", "bytes")}})
    total: dict[str, t.Any] = {"messages": estimate.messages, "bytes": estimate.bytes}
    for key, seconds in (("seconds", estimate.seconds), ("reading_seconds", estimate.reading)):
        total[key] = None if seconds is None else round(seconds, 1)
    total.update(estimate.room)
    total.update(profiles=profiles, servers=[server.as_data() for server in servers.values()])
    run: dict[str, t.Any] = {"mode": "estimate", "errors": [problem.as_data() for problem in estimate.report.problems()]}
    run["seconds"] = round(estimate.report.seconds, 3)
    return {"run": run, "estimate": total, "table": run_table.of_estimate(total)}
