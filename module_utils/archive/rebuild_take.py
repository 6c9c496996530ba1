# SPDX-License-Identifier: GPL-3.0-or-later
"""What both rebuilds of rows share: taking users, folders and placements from the disk into a catalog."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    layout,
    rebuild_aside,
    rebuild_ledger,
    rebuild_names,
    rebuild_trees,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import UNKNOWN_ORIGIN, RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, Position, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_names import Names
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Facts, Intact
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_trees import DiskFolder, DiskPlacement
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import ToldUser
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import PROFILE

SomeCatalog = t.TypeVar("SomeCatalog", bound=RebuiltCatalog)
STEP = 5_000  # placements in one transaction


def opened(
    stack: contextlib.ExitStack, kind: type[SomeCatalog], root: str, *, readonly: bool = False, copied: bool = False
) -> SomeCatalog:
    """The catalog of the archive, or a copy of it in a temporary directory, until ``stack`` ends."""
    catalog = stack.enter_context(contextlib.closing(kind.of(root, readonly=readonly or copied)))
    if not copied:
        return catalog
    path = f"{stack.enter_context(tempfile.TemporaryDirectory())}/{layout.CATALOG_FILE}"
    catalog.copy_to(path)
    return stack.enter_context(contextlib.closing(kind(path, create=False)))


def complete_skeleton(root: str) -> None:
    """Make the directories of an archive that are missing, with the rights of its root."""
    facts = Path(root).stat()
    owner = facts.st_uid if os.geteuid() == 0 else -1
    Store.create(root, owner=owner, mode=facts.st_mode & 0o7777).close()


def trees_on_disk(root: str) -> list[str]:
    """The names of all user trees."""
    return rebuild_trees.below(root, layout.MAIL, Report.unread())


def put_users(
    catalog: RebuiltCatalog, trees: t.Iterable[str], told: t.Iterable[ToldUser], names: Names, report: Report
) -> dict[str, int]:
    """Make users as they are told, and one for each tree that nobody told of; return tree -> user id."""
    made = {user.tree: catalog.put_user(user.values, user.tree, user.deleted) for user in told}
    for tree, (name, reason) in rebuild_names.owners((tree for tree in trees if tree not in made), names).items():
        # Known by the tree alone: archive_users takes such a user for whoever comes under the name, and deletes none.
        made[tree] = catalog.put_user(UserValues(name, PROFILE), tree, None)
        if reason:
            report.tell(Problem("user_name", f"{layout.MAIL}/{tree}", f"{reason} (it is now {name})"))
    for user in told:
        catalog.put_grants(made[user.tree], user.archives)
    report.figures["users"] += len(made)
    return made


def directories_of(directory: str) -> set[str]:
    """What must be durable for the placements of a folder to be there."""
    parts = directory.split("/")
    return {f"{directory}/cur", *("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))}


@dataclass
class Taker:
    """Takes the placements of folders, some thousand in one transaction, each time after they are durable.

    ``store`` is None where nothing is to be written to the disk.
    """

    root: str
    catalog: RebuiltCatalog
    intact: Intact
    names: Names
    report: Report
    store: Store | None
    _rows: list[PlacementRow] = field(default_factory=list)
    _written: Written = field(default_factory=Written)

    def folder(self, folder: DiskFolder, user_id: int, known: t.Mapping[bytes, str]) -> None:
        """Take a folder. ``known``: the placements that the catalog has of it already, digest -> name."""
        found = rebuild_trees.placements(self.root, folder.dir, self.report)
        taken: dict[bytes, tuple[DiskPlacement, Facts]] = {}
        for digest, placed in found.items():
            rest = [one for one in placed if one.name != known.get(digest)]
            if digest in known:
                self._twice(folder, rest)
            elif (chosen := self._choose(folder, rest)) is not None:
                taken[digest] = chosen
        if not taken:
            return
        folder_id = self.catalog.put_folder(user_id, self._parts(folder), folder.dir)
        self.report.figures["folders"] += 1
        origins = self.catalog.origins(self._parts(folder), list(taken))
        for digest, (one, facts) in taken.items():
            name = one.parsed
            row = (folder_id, digest, user_id, name.internaldate, name.size, name.vsize, name.flags, facts.copy_key)
            self._rows.append(PlacementRow(*row, origins.get(digest, UNKNOWN_ORIGIN)))
            self.report.did(f"{folder.dir}/cur/{one.name}")
        self._written.directories |= directories_of(folder.dir)
        if len(self._rows) >= STEP:
            self.flush()

    def _twice(self, folder: DiskFolder, rest: t.Iterable[DiskPlacement]) -> None:
        self.report.tell(*(Problem("placement_twice", f"{folder.dir}/cur/{one.name}") for one in rest))

    def _choose(self, folder: DiskFolder, placed: t.Iterable[DiskPlacement]) -> tuple[DiskPlacement, Facts] | None:
        """The one file that stands for the message in the folder: the object's own rather than one with the same bytes."""
        good: list[tuple[bool, DiskPlacement, Facts]] = []
        for one in placed:
            problem = rebuild_trees.problem_of(self.root, folder.dir, one, self.intact)
            if problem is not None:
                self.report.tell(problem)
            facts = self.intact.get(one.parsed.digest)
            if facts is not None and (problem is None or problem.kind == "placement_other"):
                good.append((problem is not None, one, facts))
        if not good:
            return None
        (_odd, one, facts), *others = sorted(good)
        self._twice(folder, [other for _odd, other, _facts in others])
        return one, facts

    def _parts(self, folder: DiskFolder) -> tuple[str, ...]:
        parts = []
        for part in folder.parts:
            true = self.names.true(part)
            if true is None:
                self.report.tell(Problem("folder_name", folder.dir))
            parts.append(part if true is None else true)
        return tuple(parts)

    def flush(self) -> None:
        """Write what waits."""
        if self.store is not None:
            self.store.sync(self._written)
        self.catalog.adopt((), self._rows, durable=self.store is not None)
        self.report.figures["placements"] += len(self._rows)
        self._rows, self._written = [], Written()


def settle(catalog: RebuiltCatalog, intact: Intact, report: Report) -> None:
    """Settle the messages that the ledger told, and tell those that no user has, not even as a copy with other trace headers."""
    report.figures["messages_due_again"], report.figures["copies"] = catalog.settle_messages()
    unfiled = catalog.filed_nowhere()
    keys = catalog.copy_keys() if unfiled else set()
    for digest, server, mailbox, folder in unfiled:
        facts = intact.get(digest)
        if facts is not None and facts.copy_key not in keys:
            report.tell(Problem("unfiled", layout.object_path(digest), f"{server}/{mailbox}/{folder}"))


def keep_damaged(store: Store, paths: t.Iterable[str]) -> None:
    """Give damaged objects another name: under their own, a run that brings the message again would take its row for known.

    The bytes stay, and so do the links to them.
    """
    written = Written()
    for path in paths:
        number = itertools.count(2)
        kept = f"{path}.damaged"
        while os.path.lexists(f"{store.root}/{kept}"):
            kept = f"{path}.damaged.{next(number)}"
        try:
            Path(store.root, path).rename(Path(store.root, kept))
        except OSError as error:
            raise os_failure(error, path) from error
        written.directories.add(path.rpartition("/")[0])
    store.sync(written)


def keep_changed_ledger(store: Store, report: Report) -> None:
    """Copy a ledger with an entry that was changed, durably: the next run cuts off what the catalog does not believe."""
    if not report.counts["ledger_changed"]:
        return
    names = (ENTRIES, HASHES)
    end = rebuild_aside.ending([Path(store.root, name) for name in names])
    try:
        for name in names:
            shutil.copy(Path(store.root, name), Path(store.root, f"{name}{end}"))
    except OSError as error:
        raise os_failure(error, store.root) from error
    store.sync(Written([f"{name}{end}" for name in names], {layout.EVIDENCE}))


def least_commits(store: Store) -> int:
    """More commits than the last run, which did not end cleanly, wants to see: all that it wrote is known now."""
    marker = store.dirty()
    return 0 if marker is None else max(marker.commits, marker.relied or 0) + 1


def is_unclean(store: Store, position: Position) -> bool:
    """Whether the next run has something to clean up: of the run that did not end, or behind this position of the ledger."""
    return store.dirty() is not None or rebuild_ledger.is_cut_short(store.root, position)
