# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's part of deletion, in one folder: prove, wait until the receipts are durable, delete, prove that it is gone."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_proof import DeletionProver, SparedError
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_protocol import (
    Delete,
    DeleteAnswer,
    Deleted,
    Planned,
    Removed,
    Settled,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_watch import Baseline, reappeared, take_baseline
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate, Receipt
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import expunge
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import Listed

MOVED = (
    "the server moved the message to {folder} instead of deleting it",
    "Declare kerio_mailserver_cfg_permanent_delete: true for this server (AutoExpungeOnDelete 0 in mailserver.cfg), or take"
    " delete out of the profile",
)
NO_UIDPLUS = (
    "the server has no UIDPLUS, so it cannot be told to delete exactly these messages",
    "Say dedicated: true under delete if the mailbox is for archiving alone, or take delete out of the profile",
)

OTHERS_GONE = (
    "{count} of the messages that somebody else had marked as deleted went together with those that were to go",
    "Take delete out of the profiles, unless somebody expunged the folder just then: the server does not keep to UID EXPUNGE",
)


class _StoppedError(Exception):
    """Deletion ends on the whole server. ``error``: what the operator is told; ``whole_server``: why others are spared."""

    def __init__(self, error: ArchiveToolError, whole_server: str) -> None:
        super().__init__(error)
        self.error = error
        self.whole_server = whole_server


class Deleter:
    """Carries out one order. ``ask`` sends an answer and returns when it is committed, ``say`` only sends it."""

    def __init__(
        self,
        conn: Connection,
        order: Delete,
        prover: DeletionProver,
        say: t.Callable[[DeleteAnswer], None],
        ask: t.Callable[[DeleteAnswer], None],
        checkpoint: t.Callable[[str], None],
    ) -> None:
        self._conn = conn
        self._order = order
        self._prover = prover
        self._say = say
        self._ask = ask
        self._checkpoint = checkpoint
        self._outcome = Deleted()
        self._strangers: set[int] = set()
        self._by_uid = {one.uid: one for one in order.messages}
        self._subject = f"{conn.name}, mailbox {conn.user}, folder {order.folder.name}"

    def run(self) -> None:
        """Do it; raises NetworkError and ProtocolError when the connection is lost, and what the store and the catalog raise."""
        try:
            self._run()
        except _StoppedError as stopped:
            self._outcome.error, self._outcome.whole_server = stopped.error, stopped.whole_server
        except ImapError as error:
            self._outcome.error = error
        self._say(self._outcome)

    def _run(self) -> None:
        order = self._order
        if order.leftovers:
            self._open()
            self._settle_leftovers()
        if not order.messages:
            return
        if not expunge.has_uidplus(self._conn) and not order.dedicated:
            raise _StoppedError(ImapError(self._conn.name, *NO_UIDPLUS), deletion.NO_UIDPLUS)
        baseline = take_baseline(self._conn)
        self._open()
        receipts = self._prove()
        groups = [receipts[:1], receipts[1:]] if order.probe else [receipts]
        for number, group in enumerate(group for group in groups if group):
            if number:
                self._open()
            self._delete(group, baseline, order.probe and number == 0)

    def _open(self) -> None:
        order = self._order
        status = imap_fetch.select(self._conn, order.folder)
        if status.uidvalidity != order.uidvalidity:
            # The connection is sound, so that the other folders of the mailbox go on.
            cause = f"its UIDVALIDITY changed from {order.uidvalidity} to {status.uidvalidity}, so no more is deleted in it"
            raise ImapError(self._subject, cause, "Run again; the folder is read anew then")

    # Which messages may go

    def _prove(self) -> list[Receipt]:
        order = self._order
        now = self._listing([one.uid for one in order.messages])
        receipts: list[Receipt] = []
        for message in order.messages:
            listed = now.get(message.uid)
            reason = deletion.judge_server(message, listed)
            if reason or listed is None:
                self._outcome.spared[message.uid] = reason
                continue
            try:
                receipts.append(self._prover.prove(message, listed.flags, order.wanted, order.now))
            except SparedError as spared:
                self._outcome.spared[message.uid] = spared.reason
                if spared.damage:
                    self._outcome.damage[message.uid] = spared.damage
                    self._outcome.links += [spared.link] if spared.link else []
        return receipts

    def _listing(self, uids: t.Sequence[int]) -> dict[int, Listed]:
        return {listed.uid: listed for listed in imap_fetch.listing(self._conn, uids)}

    # Deleting them

    def _delete(self, receipts: t.Sequence[Receipt], baseline: Baseline, probe: bool) -> None:
        uids = [receipt.candidate.uid for receipt in receipts]
        if self._others_are_marked():
            self._outcome.spared.update(dict.fromkeys(uids, deletion.OTHERS_MARKED))
            return
        self._ask(Planned(receipts, baseline.as_data()))
        self._checkpoint("planned")
        kept: dict[int, str] = {}
        words, failure = "", None
        try:
            expunge.mark(self._conn, uids)
            self._checkpoint("marked")
            kept = self._unmark_changed(uids)
            words = self._expunge([uid for uid in uids if uid not in kept])
        except ImapError as error:
            failure = error
        self._checkpoint("expunged")
        left = expunge.present(self._conn, uids)
        stubborn = sorted(left - set(kept))
        still_marked: set[int] = set()
        if stubborn:
            self._outcome.spared.update(dict.fromkeys(stubborn, deletion.NOT_EXPUNGED))
            still_marked = self._take_back(stubborn)
            cause = f"the server said OK to EXPUNGE, but {len(stubborn)} of the messages are still there"
            failure = failure or ImapError(self._subject, cause, "Check the folder on the server")
        others_gone = self._others_gone()
        gone, settled = [uid for uid in uids if uid not in left], sorted(left - still_marked)
        self._finish(Removed(gone, settled, words=words), baseline, probe)
        if others_gone:
            cause, remedy = OTHERS_GONE
            raise _StoppedError(ImapError(self._subject, cause.format(count=others_gone), remedy), deletion.SERVER_STOPPED)
        if failure is not None:
            raise failure

    def _others_are_marked(self) -> bool:
        return not expunge.has_uidplus(self._conn) and bool(expunge.marked(self._conn))

    def _unmark_changed(self, uids: t.Sequence[int]) -> dict[int, str]:
        r"""Take \Deleted off those that somebody flagged or changed since they were looked at; return UID -> reason."""
        told = self._listing(uids)
        silent = [uid for uid in uids if uid not in told]
        changed = dict.fromkeys(expunge.present(self._conn, silent) if silent else (), deletion.NOT_LISTED)
        for uid, listed in told.items():
            ours = Listed(uid, listed.size, listed.internaldate, _without_deleted(listed.flags))
            reason = deletion.judge_server(self._by_uid[uid], ours)
            if reason or ours.flags == listed.flags:
                changed[uid] = reason or deletion.NOT_EXPUNGED
        if changed:
            expunge.unmark(self._conn, changed)
            self._outcome.spared.update(changed)
        return changed

    def _expunge(self, uids: t.Sequence[int]) -> str:
        self._strangers = set()
        if not uids:
            return ""
        strangers = expunge.marked(self._conn) - set(uids)
        if expunge.has_uidplus(self._conn):
            self._strangers = strangers
            return expunge.expunge(self._conn, uids)
        if strangers:
            cause = f"somebody else marked {len(strangers)} messages as deleted meanwhile, and the server has no UIDPLUS"
            raise ImapError(self._subject, cause, "Run again: nothing was deleted")
        return expunge.expunge_all(self._conn)

    def _others_gone(self) -> int:
        """How many messages went with ours that others had marked, which a server that knows UID EXPUNGE leaves."""
        return len(self._strangers - expunge.present(self._conn, self._strangers)) if self._strangers else 0

    def _take_back(self, uids: t.Sequence[int]) -> set[int]:
        r"""Take \Deleted off what is still there; return what keeps it, whose receipts stay open: the next run tries again."""
        try:
            expunge.unmark(self._conn, uids)
        except ImapError as error:
            self._outcome.notes.append(f"{len(uids)} messages keep the mark of deletion that was set: {error.cause}")
            return set(uids)
        return set()

    # Proving that they are gone

    def _finish(self, removed: Removed, baseline: Baseline, probe: bool) -> None:
        folder = self._reappeared([self._by_uid[uid] for uid in removed.gone], baseline, probe)
        if not folder:
            self._ask(removed)
            return
        self._ask(replace(removed, gone=(), moved=removed.gone))
        cause, remedy = MOVED
        raise _StoppedError(ImapError(self._subject, cause.format(folder=folder), remedy), deletion.SERVER_STOPPED)

    def _reappeared(self, gone: t.Collection[Candidate], baseline: Baseline, probe: bool) -> str:
        folder = reappeared(self._conn, baseline, gone)
        if probe and not folder and gone and self._order.settle:
            # Whether Kerio moves at once or a moment later is not known.
            time.sleep(self._order.settle)
            folder = reappeared(self._conn, baseline, gone)
        return folder

    def _settle_leftovers(self) -> None:
        """Find out what a run that was cut short did: what is gone is done, from the rest our mark is taken."""
        leftovers = {one.candidate.uid: one for one in self._order.leftovers}
        left = expunge.present(self._conn, leftovers)
        ours = [uid for uid, listed in self._listing(sorted(left)).items() if deletion.has_flag(listed, "\\deleted")]
        if ours:
            expunge.unmark(self._conn, ours)
        gone = [one for uid, one in leftovers.items() if uid not in left]
        moved = bool(gone) and any(
            reappeared(self._conn, Baseline.of_data(watched), [one.candidate for one in gone if one.watched == watched])
            for watched in _distinct(one.watched for one in gone)
        )
        uids = sorted(one.candidate.uid for one in gone)
        self._ask(Settled([] if moved else uids, sorted(left), uids if moved else []))


def _distinct(values: t.Iterable[t.Mapping[str, t.Sequence[int]]]) -> list[t.Mapping[str, t.Sequence[int]]]:
    found: list[t.Mapping[str, t.Sequence[int]]] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _without_deleted(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(flag for flag in flags if flag.lower() != "\\deleted")
