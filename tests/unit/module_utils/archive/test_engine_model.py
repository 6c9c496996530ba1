# SPDX-License-Identifier: GPL-3.0-or-later
"""Any order of changes on the server, of changes of the declaration, and of runs, also killed ones, ends in the right archive."""

from __future__ import annotations

import copy
import inspect
import itertools
import os
import random
import shutil
import signal
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from tests.unit.module_utils.archive.engine_fake import Archive, FakeFolder, FakeServers
from tests.unit.module_utils.archive.engine_model import ALICE, BOB, CAROL, JOURNAL, RULES, Model, text

FOLDERS = ("INBOX", "Work", "Later", "Work/Deep")
POINTS = ("stored", "placed", "synced", "committed", "unlinked", "ending")
SEEDS, STEPS = 10, 30
QUARANTINE_AFTER = 1000  # attempts: what failed is tried until it works

# What an event takes, by the name of its parameter.
DRAWN: dict[str, t.Callable[[random.Random], t.Any]] = {
    "mailbox": lambda draw: draw.choice([ALICE, ALICE, BOB, JOURNAL, JOURNAL]),
    "name": lambda draw: draw.choice(FOLDERS),
    "some": lambda draw: draw.sample(range(15), draw.randint(1, 4)),
    "flags": lambda draw: draw.choice([(), ("\\Seen",), ("\\Flagged",)]),
    "profile": lambda draw: draw.choice(["all", "bob", "journal", "whole"]),
    "key": lambda draw: draw.choice(["", *RULES]),
    "out": lambda draw: draw.choice([[], ["Later"], ["Work"]]),
    "order": lambda draw: draw.choice(["newest_first", "oldest_first"]),
    "unknown": lambda draw: draw.choice(["leave", "catchall"]),
    "into": lambda draw: draw.choice(["{u-email}/INBOX", "Other"]),
    "processes": lambda draw: draw.choice([1, 1, 2]),
    "days": lambda draw: draw.choice([7, 7, 0]),
    "point": lambda draw: draw.choice(POINTS),
    "count": lambda draw: draw.randint(1, 4),
    "looks": lambda draw: draw.randint(0, 12),
    "number": lambda draw: draw.randrange(15),
    "yes": lambda draw: draw.random() < 0.5,
    "pick": lambda draw: draw.randrange(50),
    "which": lambda draw: draw.randrange(50),
}
# How often an event comes.
WEIGHTS = {"deliver": 8, "move": 7, "delete": 3, "run": 8, "killed": 4, "rename": 2, "restrict": 2, "drop": 2, "save": 2}
SELDOM = (
    *("flag", "renumber", "empty", "switch", "choose", "turn", "drop_into", "call_otherwise", "come_or_leave", "call_alice"),
    *("stopped", "dying", "failing", "partly", "one", "restore"),
)

Event = tuple[str, dict[str, t.Any]]


class Stopping(Silent):
    """Asks for a stop at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    @property
    def stop_requested(self) -> bool:  # type: ignore[override] # a class variable there
        self.left -= 1
        return self.left < 0


class Engine:
    """Alice and Bob have mailboxes on mail1, there is an archive mailbox; the profiles vary."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="engine-"))
        self.servers = FakeServers(self.place / "log", stream_above=400)
        self.archive = Archive(self.place / "archive", self.servers)
        self.model = Model(self.archive)
        self.validities = itertools.count(1)
        self.saved: tuple[str, dict[str, FakeFolder]] | None = None
        self.whole = False  # a snapshot can be told from today's state only if all was read since
        for mailbox in (ALICE, BOB, CAROL, JOURNAL):
            self.make(mailbox, "INBOX")
        self.archive.user(ALICE)
        self.archive.user(BOB)
        self.archive.passwords = dict.fromkeys(("journal", "whole"), f"not-a-secret-{JOURNAL}")

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    def declare(self, moves: str, used: str) -> None:
        every = {
            "all": {"name": "all", "method": "multiple_mailboxes", "moves": moves},
            "bob": {
                "name": "bob",
                "method": "single_mailbox",
                "mailbox": ALICE,
                "target_user": BOB,
                "credentials": "master",
                "moves": moves,
            },
            "journal": {"name": "journal", "method": "multidrop", "mailbox": JOURNAL},
            "whole": {"name": "whole", "method": "single_mailbox", "mailbox": JOURNAL, "target_user": "auditor", "moves": moves},
        }
        self.every: dict[str, dict[str, t.Any]] = every
        self.archive.profiles = [every[name] for name in used.split()]

    # The server

    def make(self, mailbox: str, name: str) -> FakeFolder:
        boxes = self.servers.hosts.setdefault("mail1", {}).setdefault(mailbox, {})
        if name not in boxes:
            boxes[name] = FakeFolder(uidvalidity=next(self.validities))
        return boxes[name]

    def folder(self, mailbox: str, pick: int) -> tuple[str, FakeFolder]:
        boxes = self.servers.hosts["mail1"][mailbox]
        name = sorted(boxes)[pick % len(boxes)]
        return name, boxes[name]

    def deliver(self, mailbox: str, name: str, some: list[int], yes: bool) -> None:
        self.make(mailbox, name).add(*(text(number, yes) for number in some))

    def delete(self, mailbox: str, pick: int, which: int) -> None:
        _, folder = self.folder(mailbox, pick)
        if folder.messages:
            folder.expunge(folder.uids()[which % len(folder.messages)])

    def move(self, mailbox: str, pick: int, which: int, name: str, yes: bool) -> None:
        """Move a message to a folder, or copy it."""
        source_name, folder = self.folder(mailbox, pick)
        if folder.messages and name != source_name:
            uid = folder.uids()[which % len(folder.messages)]
            target = self.make(mailbox, name)
            target.dates[target.uidnext] = folder.date(uid)
            target.add(folder.messages[uid])
            if not yes:
                folder.expunge(uid)

    def rename(self, mailbox: str, pick: int, name: str) -> None:
        old, _ = self.folder(mailbox, pick)
        boxes = self.servers.hosts["mail1"][mailbox]
        if old != "INBOX" and name not in boxes:
            boxes[name] = boxes.pop(old)

    def flag(self, mailbox: str, pick: int, which: int, flags: tuple[str, ...]) -> None:
        _, folder = self.folder(mailbox, pick)
        if folder.messages:
            folder.flag(folder.uids()[which % len(folder.messages)], *flags)

    def renumber(self, mailbox: str, pick: int) -> None:
        _, folder = self.folder(mailbox, pick)
        folder.renumber()
        folder.uidvalidity = next(self.validities)

    def drop(self, mailbox: str, pick: int, yes: bool) -> None:
        name, _ = self.folder(mailbox, pick)
        if name != "INBOX":
            del self.servers.hosts["mail1"][mailbox][name]
            if yes:
                self.make(mailbox, name)

    def empty(self, mailbox: str) -> None:
        for folder in self.servers.hosts["mail1"][mailbox].values():
            for uid in folder.uids():
                folder.expunge(uid)

    def save(self, mailbox: str) -> None:
        self.saved = mailbox, copy.deepcopy(self.servers.hosts["mail1"][mailbox])

    # The declaration

    def switch(self, profile: str) -> None:
        """Add or remove a profile."""
        chosen = self.every[profile]
        if chosen not in self.archive.profiles:
            self.archive.profiles.append(chosen)
        elif len(self.archive.profiles) > 1:
            self.archive.profiles.remove(chosen)

    def restrict(self, pick: int, key: str) -> None:
        profile = self.archive.profiles[pick % len(self.archive.profiles)]
        profile.pop("filter", None)
        if key:
            profile["filter"] = RULES[key]

    def choose(self, pick: int, out: list[str]) -> None:
        profile = self.archive.profiles[pick % len(self.archive.profiles)]
        profile["folders"] = {"exclude": out}

    def turn(self, pick: int, order: str) -> None:
        self.archive.profiles[pick % len(self.archive.profiles)]["order"] = order

    def drop_into(self, unknown: str, into: str) -> None:
        self.every["journal"].update(unknown_addresses=unknown, target_folder=into)

    def call_otherwise(self, pick: int) -> None:
        """Another name for a profile means nothing."""
        profile = self.archive.profiles[pick % len(self.archive.profiles)]
        if "mailbox" not in profile or profile.get("credentials") == "master":
            profile["name"] = profile["name"].swapcase()

    def come_or_leave(self) -> None:
        with Catalog.open(self.archive.catalog_file) as catalog:
            known = next((user for user in catalog.users() if CAROL in user.addresses), None)
            if known is None:
                name = f"Carol {next(self.validities)}"
                values = UserValues(name=name, origin="inventory", addresses=(CAROL,), server="mail1")
                catalog.apply_users([UserStep(None, values)])
            else:
                values = UserValues(name=known.name, origin="inventory", server="mail1")
                catalog.apply_users([UserStep(known.id, values, delete=True)])

    def call_alice(self, number: int) -> None:
        with Catalog.open(self.archive.catalog_file) as catalog:
            values = UserValues(name=f"Alice {number}", origin="inventory", addresses=(ALICE,), server="mail1")
            catalog.apply_users([UserStep(catalog.addresses()[ALICE], values)])

    # Runs

    def run(self, processes: int, days: int = 7) -> None:
        report = self.archive.run(processes=processes, reconcile_days=days, quarantine_after=QUARANTINE_AFTER)
        assert not report.problems(), report.problems()
        self.model.complete()
        self.settled()

    def settled(self) -> None:
        """A run with nothing to do does nothing."""
        before, log = self.rows(), len(self.servers.commands("FETCH"))
        report = self.archive.run(processes=1, reconcile_days=10_000)
        assert not report.changed
        assert len(self.servers.commands("FETCH")) == log
        assert self.rows() == before

    def rows(self) -> list[str]:
        """All but the figures of folders: a profile may settle them after another one over the same mailbox has filed."""
        moving = ('INSERT INTO "source_folders"', 'INSERT INTO "folder_routes"')
        return [line for line in self.archive.dump() if not line.startswith(moving)]

    def killed(self, point: str, count: int) -> None:
        child = os.fork()
        if child == 0:
            try:
                self.archive.run(killer(point, count), processes=1, quarantine_after=QUARANTINE_AFTER)
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def stopped(self, looks: int) -> None:
        Run(self.archive.options(processes=1), Stopping(looks), self.servers.imap()).go()
        self.model.consistent()

    def dying(self, number: int) -> None:
        """A worker dies of one message, once."""
        real, mark = worker.Worker._stored, self.place / f"died-{next(self.validities)}"

        def stored(this: worker.Worker, message: t.Any, *args: t.Any) -> t.Any:
            item = real(this, message, *args)
            if not mark.exists() and f"message {number}\r".encode() in bytes(item_head(message)):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return item

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker.Worker, "_stored", stored)
            report = self.archive.run(processes=1, quarantine_after=QUARANTINE_AFTER)
        assert not report.problems(), report.problems()
        # What the dead one left is swept by the next run.
        self.archive.run(processes=1, quarantine_after=QUARANTINE_AFTER)
        self.model.complete()
        self.settled()

    def failing(self, mailbox: str, pick: int, which: int, yes: bool) -> None:
        """A message cannot be read in one run."""
        _, folder = self.folder(mailbox, pick)
        if not folder.messages:
            return
        uid = folder.uids()[which % len(folder.messages)]
        trouble = folder.breaks if yes else folder.bad
        trouble.add(uid)
        self.archive.run(processes=1, quarantine_after=QUARANTINE_AFTER)
        self.model.consistent()
        trouble.clear()

    def partly(self, pick: int) -> None:
        self.archive.run(
            processes=1,
            quarantine_after=QUARANTINE_AFTER,
            only=[self.archive.profiles[pick % len(self.archive.profiles)]["name"]],
        )
        self.model.consistent()

    def one(self, mailbox: str) -> None:
        self.archive.run(processes=1, quarantine_after=QUARANTINE_AFTER, mailbox=mailbox)
        self.model.consistent()

    def restore(self) -> None:
        """The server gets an older state back; its UIDs stand for other messages from then on."""
        if self.saved is None:
            return
        self.run(1)
        mailbox, boxes = self.saved
        self.servers.hosts["mail1"][mailbox] = copy.deepcopy(boxes)
        for profile in self.archive.profiles:
            profile.pop("folders", None)
        self.run(1)


def item_head(message: t.Any) -> t.Any:
    """The bytes of a message that is not streamed."""
    return message.body if isinstance(message.body, memoryview) else b""


def killer(point: str, count: int) -> t.Callable[[str], None]:
    """A checkpoint that kills the whole run when it is passed for the ``count``-th time."""
    left, run = [count], os.getpid()

    def checkpoint(name: str) -> None:
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(run, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


def drawn(draw: random.Random, name: str) -> Event:
    taken = list(inspect.signature(getattr(Engine, name)).parameters)[1:]
    return name, {one: DRAWN[one](draw) for one in taken}


def story(seed: int, steps: int = STEPS) -> tuple[str, str, list[Event]]:
    """A story: how moves are filed, the profiles, and what happens."""
    draw = random.Random(seed)
    weights = {**dict.fromkeys(SELDOM, 1), **WEIGHTS}
    names = draw.choices(list(weights), list(weights.values()), k=steps)
    used = draw.choice(["all", "all bob", "all journal", "all bob journal whole", "journal", "journal whole"])
    return draw.choice(["stay", "follow"]), used, [drawn(draw, name) for name in ["deliver", *names, "run"]]


def play(moves: str, used: str, events: t.Iterable[Event]) -> None:
    engine = Engine()
    try:
        engine.declare(moves, used)
        for name, values in events:
            getattr(engine, name)(**values)
    finally:
        engine.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_any_order_of_events_ends_in_the_right_archive(seed: int) -> None:
    play(*story(seed))
