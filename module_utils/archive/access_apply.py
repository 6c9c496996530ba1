# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts into force: what differs from the files in use, a trial of the new ones, and the change in an order that is safe.

At no instant may anybody do more than before or after. So whoever may do less, or proves otherwise who he is, cannot log in any
more before anything else changes; his sessions end; everything else is put in place; the new users file comes last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import stat
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    access_files,
    access_state,
    access_trial,
    access_users,
    layout,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_instance import Instance
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_names import in_passwd_file
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_state import (
    CANDIDATE,
    CONFIGURATION,
    HOMES,
    LIVE,
    NEXT,
    RECORD,
    Rights,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.access_users import Account
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.errors import AccessError, ArchiveToolError

# Dovecot looks once in a second whether a passwd-file has changed.
SETTLE_SECONDS = 1.1
_RECORD: dict[str, t.Any] = {"loaded": {}, "rights": None}


@dataclass
class Wanted:
    """Everything that is to be in force."""

    root: str
    state: Path
    rights: Rights
    accounts: t.Sequence[Account]
    files: dict[str, str]
    candidates: dict[str, str]
    people: access_files.People

    @property
    def everything(self) -> dict[str, str]:
        return {**self.files, **self.candidates}

    @property
    def loaded(self) -> dict[str, str]:
        """Digests of what Dovecot reads at start and after a reload alone."""
        return {
            name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() for name, text in self.candidates.items()
        }

    @property
    def record(self) -> str:
        return json.dumps({"loaded": self.loaded, "rights": self.people}, indent=1, sort_keys=True) + "\n"

    def home(self, account: Account) -> Path:
        return self.state / HOMES / str(account.id)


@dataclass
class Difference:
    """What is not yet as it is wanted. ``before``: the rights that were in force last, None if that is not known."""

    files: list[str]
    homes: list[Account]
    trees: list[Account]
    reload: bool
    record: bool
    before: access_files.People | None

    @property
    def changed(self) -> bool:
        return bool(self.files or self.homes or self.trees or self.reload or self.record)


@dataclass
class Done:
    """What was done besides what the difference says."""

    kicked: list[str] = field(default_factory=list)
    reloaded: bool = False
    running: bool = False


def read_candidates(state: Path, made: t.Collection[str], *, check_mode: bool) -> dict[str, str]:
    """The texts that the role has put there. In check mode it has not, on a fresh host."""
    folder = state / CANDIDATE
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.endswith(".tmp"))
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise os_failure(error, str(folder)) from error
    if CONFIGURATION not in names and not check_mode:
        raise AccessError(str(folder / CONFIGURATION), "it is not there", "Run the role archive_access, which makes it")
    if clash := sorted({*made, RECORD} & set(names)):
        raise AccessError(str(folder / clash[0]), "a file of that name is made from the catalog", "Remove it from the candidates")
    return {name: access_state.read(folder / name) or "" for name in names}


def compare(wanted: Wanted) -> Difference:
    """Look at what is there."""
    live = wanted.state / LIVE
    record = _read_record(live / RECORD)
    return Difference(
        files=[name for name, text in wanted.everything.items() if not access_state.same(live / name, text, wanted.rights)],
        homes=[
            account
            for account in wanted.accounts
            if not access_state.home_is_there(wanted.home(account), access_state.tree_of(wanted.root, account), wanted.rights)
        ],
        trees=access_state.without_tree(wanted.root, wanted.accounts),
        reload=any(record["loaded"].get(name) != digest for name, digest in wanted.loaded.items()),
        record=not access_state.same(live / RECORD, wanted.record, wanted.rights),
        before=record["rights"],
    )


def _read_record(path: Path) -> dict[str, t.Any]:
    """The record, or one that knows nothing when it cannot be understood: then everybody counts as one who lost something."""
    try:
        found = json.loads(access_state.read(path) or "")
    except ValueError:
        return _RECORD
    return found if isinstance(found, dict) and found.keys() == _RECORD.keys() else _RECORD


def shown(wanted: Wanted, difference: Difference) -> plan.Plan:
    """The difference to show: people and what they may do, and the names of files, homes and trees."""
    changes = _people(difference.before or {}, wanted.people)
    live = wanted.state / LIVE
    for kind, names in (
        ("files", {name: (live / name).exists() for name in difference.files}),
        ("homes", {str(account.id): wanted.home(account).exists() for account in difference.homes}),
        ("trees", {account.tree: False for account in difference.trees}),
    ):
        for name, there in sorted(names.items()):
            before = {"state": "old"} if there else {}
            changes.append(plan.Change(kind, "change" if there else "create", name, before, {"state": "new"}, {}))
    if difference.reload:
        changes.append(plan.Change("dovecot", "change", "", {"configuration": "old"}, {"configuration": "new"}, {}))
    return plan.Plan(str(wanted.state), tuple(changes))


def _people(before: access_files.People, after: access_files.People) -> list[plan.Change]:
    """Changes of people. That a password is another one is said in words; the rest as it is."""
    old, new = ({key: {**entry, "by": plan.HIDDEN} for key, entry in people.items()} for people in (before, after))
    for key in new.keys() & old.keys():
        if before[key].get("by") != after[key]["by"]:
            new[key]["by"] = plan.HIDDEN_NEW
    return plan.item_changes("people", old, new, {}, delete=set(old))


def apply(wanted: Wanted, difference: Difference, *, kick: bool) -> Done:
    """Try what is wanted, then put it in force. When the trial fails, what was lost counts all the same, and nothing else."""
    losers = None if difference.before is None else access_files.lost(difference.before, wanted.people)
    try:
        _prepare(wanted, difference)
    except ArchiveToolError as error:
        _revoke(wanted, difference, losers, error, kick=kick)
        raise
    try:
        return _put_in_force(wanted, difference, losers, kick=kick)
    except ArchiveToolError as error:
        error.details["done"] = True  # something is in force; the next call does the rest
        raise


def _prepare(wanted: Wanted, difference: Difference) -> None:
    """Everything that takes effect for nobody yet."""
    for name in (LIVE, HOMES):
        access_state.directory(wanted.state / name, 0o755, wanted.rights.uid, wanted.rights.gid)
    if difference.trees:
        access_state.make_trees(wanted.root, difference.trees)
    for account in difference.homes:
        access_state.make_home(wanted.home(account), access_state.tree_of(wanted.root, account), wanted.rights)
    if difference.files:
        _try(wanted)


def _revoke(wanted: Wanted, difference: Difference, losers: list[str] | None, error: ArchiveToolError, *, kick: bool) -> None:
    """A lost right does not wait until a trial succeeds: its owner stays out until then. ``error`` tells so."""
    before = difference.before or {}
    kept = before.keys() - set(losers or ())
    narrowed = _narrow(wanted, access_files.USERS, lambda text: access_files.narrowed(text, set(map(in_passwd_file, kept))))
    # Kerio may be thinking about one of them.
    narrowed |= _narrow(wanted, access_files.LOGINS, lambda text: access_files.narrowed_logins(text, kept))
    instance = _running(wanted.state)
    try:
        kicked = _settle(instance, losers, kick=kick)
    except AccessError as failed:
        failed.details["done"] = narrowed
        raise failed from error
    if narrowed or kicked:
        error.details["done"] = True
    if losers or (losers is None and narrowed):
        who = access_users.sentence(losers, "cannot") if losers else "Nobody can"
        ended = ", and their sessions have ended" if instance and kick else ""
        error.remedy += f". Until then {who} log in, because of rights that were lost{ended}"


def _try(wanted: Wanted) -> None:
    """Run the trial in a directory of its own, which stays when it fails."""
    folder = wanted.state / NEXT
    _remove(folder)
    access_state.directory(folder, 0o755, wanted.rights.uid, wanted.rights.gid)
    trial = access_trial.Trial(str(wanted.state), folder, wanted.candidates)
    additions = trial.additions()
    for name, text in wanted.everything.items():
        moved = text.replace(f"{wanted.state}/{LIVE}", str(folder)) if name in wanted.candidates else text
        access_state.write(folder / name, moved + additions.get(name, ""), wanted.rights)
    tree = access_state.tree_of(wanted.root, wanted.accounts[0]) if wanted.accounts else _empty_tree(folder, wanted.rights)
    access_state.make_home(folder / access_trial.HOME, tree, wanted.rights)
    try:
        trial.run()
    except AccessError as error:
        if (closed := _closed(wanted, error)) is not None:
            raise closed from error
        raise
    _remove(folder)


def _closed(wanted: Wanted, error: AccessError) -> AccessError | None:
    """What the operator can do when Dovecot may not get to the archive: it tells a path in a home, and a wrong reason."""
    folder = access_state.closed_above(wanted.root, wanted.rights) if "Permission denied" in error.cause else None
    if folder is None:
        return None
    facts = folder.stat()
    cause = f"mode {stat.S_IMODE(facts.st_mode):04o} lets the user who reads mail for Dovecot not through to {wanted.root}"
    return AccessError(str(folder), cause, f"Let him through (chmod o+x), then run again: nothing was put in use ({error.cause})")


def _empty_tree(folder: Path, rights: Rights) -> str:
    """A tree for the trial of an archive that has no users yet."""
    for name in ("empty", "empty/INBOX", *(f"empty/INBOX/{part}" for part in layout.MAILDIR_PARTS)):
        access_state.directory(folder / name, 0o755, rights.uid, rights.gid)
    return str(folder / "empty")


def _remove(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise os_failure(error, str(folder)) from error


def _put_in_force(wanted: Wanted, difference: Difference, losers: list[str] | None, *, kick: bool) -> Done:
    live = wanted.state / LIVE
    instance = _running(wanted.state)
    kicked: set[str] = set()
    before = difference.before or {}
    same = {in_passwd_file(key) for key, entry in wanted.people.items() if before.get(key) == entry}
    _narrow(wanted, access_files.USERS, lambda text: access_files.narrowed(text, same))
    kicked |= _settle(instance, losers, kick=kick)
    for name, text in wanted.everything.items():
        if name != access_files.USERS and name in difference.files:
            access_state.write(live / name, text, wanted.rights)
    if instance and difference.reload:
        instance.reload()
    if not access_state.same(live / access_files.USERS, wanted.files[access_files.USERS], wanted.rights):
        access_state.write(live / access_files.USERS, wanted.files[access_files.USERS], wanted.rights)
    # Whoever was logging in at that moment; and whoever Dovecot had let in, without a session yet.
    if instance and kick:
        kicked |= _end_sessions(instance, losers)
    kicked |= _settle(instance, losers, kick=kick)
    if difference.record:
        access_state.write(live / RECORD, wanted.record, wanted.rights)
    return Done(sorted(kicked), reloaded=bool(instance and difference.reload), running=instance is not None)


def _running(state: Path) -> Instance | None:
    """The instance that runs. What is live cannot be read any more when a file that it names is gone; the next one can."""
    for folder in (LIVE, CANDIDATE):
        with contextlib.suppress(AccessError):
            instance = Instance(state / folder / CONFIGURATION)
            return instance if instance.runs() else None
    return None


def _narrow(wanted: Wanted, name: str, leave: t.Callable[[str], str]) -> bool:
    """Leave in a file in use what ``leave`` makes of it; returns whether that was a change."""
    path = wanted.state / LIVE / name
    text = access_state.read(path) or ""
    narrow = leave(text)
    if narrow == text:
        return False
    access_state.write(path, narrow, wanted.rights)
    return True


def _settle(instance: Instance | None, losers: list[str] | None, *, kick: bool) -> set[str]:
    """Let it count that files have changed, then end the sessions of those who lost something; returns whose there were."""
    if instance is None or (losers is not None and not losers):
        return set()
    time.sleep(SETTLE_SECONDS)
    return _end_sessions(instance, losers) if kick else set()


def _end_sessions(instance: Instance, losers: list[str] | None) -> set[str]:
    """End the sessions of those who lost something, or of everybody when nobody knows who did."""
    return set() if losers is not None and not losers else instance.end_sessions(losers)
