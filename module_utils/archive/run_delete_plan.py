# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the deletion phase may look for what to delete, by the declared profiles and the catalog. No connection is opened."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_receipts import StoredReceipt
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import DeleteRules, Profile, Server
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import KnownPeople, Mailbox, Secrets, mailboxes_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, MailboxReport
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, select_folders

Key = tuple[str, str]  # server, mailbox


@dataclass(eq=False)
class FolderPlan:
    """A folder in which something may be deleted. ``before``: the instant by which ages count; ``position``: how far it is done.

    ``rules`` is None where no profile deletes any more and only ``leftovers`` of an earlier run are to be settled.
    """

    folder: Folder
    source: SourceFolder
    report: FolderReport
    rules: DeleteRules | None
    before: int
    leftovers: list[StoredReceipt]
    wanted: tuple[Wanted, ...] = ()
    position: tuple[int, int] = (-1, -1)

    @property
    def dedicated(self) -> bool:
        """Whether the mailbox is for archiving alone."""
        return self.rules is not None and self.rules.dedicated


@dataclass(eq=False)
class MailboxPlan:
    """A mailbox with folders in which something may be deleted."""

    mailbox: Mailbox
    folders: list[FolderPlan] = field(default_factory=list)


class Declared:
    """All declared profiles, whether they run now or not: what they would read, and under which names."""

    def __init__(
        self, profiles: t.Iterable[Profile], servers: t.Mapping[str, Server], secrets: Secrets, people: KnownPeople
    ) -> None:
        self._owners = {name.lower(): user.id for user in people.users() for name in (user.name, *user.addresses)}
        self._mailboxes: dict[Key, list[Mailbox]] = {}
        self._unclear: dict[Key, str] = {}
        self._unclear_owners: dict[int, str] = {}
        for profile in profiles:
            try:
                mailboxes, wrong = mailboxes_of(profile, servers, secrets, people)
            except InputError:
                # A profile without a mailbox of its own may mean any.
                self._unclear.update(((server, profile.mailbox.lower()), profile.name) for server in profile.servers)
                continue
            for mailbox in mailboxes:
                self._mailboxes.setdefault(key_of(mailbox), []).append(mailbox)
            for name, _why in wrong:
                self._unclear_owners[self._owners[name.lower()]] = profile.name
        self._bare = {name for _server, name in self._mailboxes if "@" not in name}
        self._names: dict[tuple[str, int | str], set[str]] = {}
        for server, name in self._mailboxes:
            for person in self._people_of(name):
                self._names.setdefault((server, person), set()).add(name)

    def mailboxes(self, key: Key) -> list[Mailbox]:
        """The mailbox as each profile that reads it has it."""
        return self._mailboxes.get(key, [])

    def objection(self, key: Key) -> str:
        """Why it is not known who needs the mail of this mailbox; "" when it is known."""
        server, name = key
        unclear = self._unclear.get(key) or self._unclear.get((server, "")) or self._unclear_owners.get(self._owners.get(name, 0))
        if unclear:
            return deletion.NOT_RUN.format(name=unclear)
        others = {other for person in self._people_of(name) for other in self._names.get((server, person), ())} - {name}
        if others:
            other = self._mailboxes[server, min(others)][0]
            return deletion.TWO_NAMES.format(name=other.profile.name, mailbox=name)
        return ""

    def _people_of(self, name: str) -> list[int | str]:
        """Whom a login name may mean: an archive user, and whoever has the same name where one is without a domain."""
        owner = self._owners.get(name)
        local = name.partition("@")[0]
        return [*([local] if local in self._bare else []), *([] if owner is None else [owner])]


class Planner:
    """Makes the plans of a run. ``now``: seconds since the epoch."""

    def __init__(self, catalog: Catalog, declared: Declared, now: int) -> None:
        self._catalog = catalog
        self._declared = declared
        self._now = now
        self._with_plans = catalog.folders_with_plans()

    def plans(self, mailboxes: t.Iterable[Mailbox]) -> list[MailboxPlan]:
        """The mailboxes of this run (all profiles) in which something may be deleted, or is left to be settled.

        What is old enough, but must not be deleted, is counted in the reports.
        """
        groups: dict[Key, list[Mailbox]] = {}
        for mailbox in mailboxes:
            groups.setdefault(key_of(mailbox), []).append(mailbox)
        found = (self._plan(group) for group in groups.values())
        return [plan for plan in found if plan is not None and plan.folders]

    def _plan(self, group: list[Mailbox]) -> MailboxPlan | None:
        deleting = [mailbox for mailbox in group if mailbox.profile.delete is not None]
        if not deleting and not self._with_plans:
            return None
        first = (deleting or group)[0]
        plan = MailboxPlan(first)
        problems = any(has_problems(mailbox.report) for mailbox in group)
        objection = deletion.PROBLEMS if problems else self._declared.objection(key_of(first))
        readers = _with_folders(group, first.listed)
        declared = _with_folders(self._declared.mailboxes(key_of(first)), first.listed)
        known = self._catalog.mailbox_folders(*key_of(first))
        for folder in sorted(first.listed, key=lambda folder: folder.name):
            if folder.name in known:
                wanting = [mailbox for mailbox, names in declared if folder.name in names]
                reading = [reader for reader, names in readers if folder.name in names]
                one = self._folder(folder, known[folder.name], reading, wanting, first)
                if one is not None:
                    self._object(one, objection, wanting)
                    plan.folders += [one] if one.rules or one.leftovers else []
        return plan

    def _folder(
        self, folder: Folder, source: SourceFolder, readers: list[Mailbox], declared: list[Mailbox], first: Mailbox
    ) -> FolderPlan | None:
        """The plan of a folder in which there is something old enough, or something left; None for another.

        ``readers`` are of this run; where there are none, the report is one of ``first``. ``declared`` wait for as long as they
        say, whether they run now or not.
        """
        deleters = [mailbox for mailbox in readers if mailbox.profile.delete is not None]
        left = self._catalog.planned(source.id) if source.id in self._with_plans else []
        left = [receipt for receipt in left if receipt.uidvalidity == source.uidvalidity]
        waits = [mailbox.profile.delete for mailbox in (*deleters, *declared) if mailbox.profile.delete]
        rules = deletion.strictest(waits) if deleters else None
        before = deletion.cutoff(self._now, rules) if rules else -1
        old = rules is not None and self._catalog.old_messages(source.id, source.uidvalidity, before, limit=1)
        if not (old or left):
            return None
        reports = (deleters or readers or [first])[0].report
        report = _report_of(reports, folder.name) if readers else _further_report(reports, folder.name)
        if report is None:
            return None
        return FolderPlan(folder, source, report, rules if old else None, before, left)

    def _object(self, one: FolderPlan, objection: str, declared: list[Mailbox]) -> None:
        """Find what speaks against deleting in the folder at all, which is counted; else who wants its mail."""
        if one.rules is None:
            return
        source = one.source
        reason = objection or ("" if source.complete else deletion.INCOMPLETE)
        for mailbox in declared:
            route = self._catalog.source_folder(source.server, source.mailbox, source.name, mailbox.route)
            if not reason and not (route.filed and route.rules == mailbox.rules):
                reason = deletion.NOT_FILED.format(name=mailbox.profile.name)
        if reason:
            one.report.spared[reason] = self._catalog.count_old(source.id, source.uidvalidity, one.before)
            one.rules = None
        one.wanted = tuple(
            Wanted(
                mailbox.profile.name, mailbox.filing(one.folder.parts), mailbox.profile.filter, mailbox.profile.delete is not None
            )
            for mailbox in declared
        )


def key_of(mailbox: Mailbox) -> Key:
    """What makes mailboxes of several profiles the same one."""
    return mailbox.server.name, mailbox.name


def has_problems(report: MailboxReport) -> bool:
    """Whether anything but quarantined messages went wrong in the mailbox."""
    if report.error or report.blocked:
        return True
    return any(folder.error or folder.accounts.failed or folder.accounts.missing for folder in report.folders)


def _with_folders(mailboxes: t.Iterable[Mailbox], listed: t.Sequence[Folder]) -> list[tuple[Mailbox, frozenset[str]]]:
    """Each mailbox with the names of the folders that its profile selects of those that the server lists."""
    found = []
    for mailbox in mailboxes:
        rules = mailbox.profile.folders
        selection = select_folders(listed, rules.include, rules.exclude, rules.defaults)
        found.append((mailbox, frozenset(folder.name for folder in selection.selected)))
    return found


def _report_of(report: MailboxReport, name: str) -> FolderReport | None:
    return next((folder for folder in report.folders if folder.name == name), None)


def _further_report(report: MailboxReport, name: str) -> FolderReport:
    """The report of a folder that no profile selects, and in which an earlier run left something."""
    found = FolderReport(name)
    report.folders.append(found)
    return found
