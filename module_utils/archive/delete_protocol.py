# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scheduler and a worker process say to each other about deletion. Everything here is pickled through pipes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate, Link, Receipt, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Access
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder


class Leftover(t.NamedTuple):
    """A message for which a run wrote a receipt and then ended, nobody knows where. ``watched``: see ``Baseline.of_data``."""

    candidate: Candidate
    watched: t.Mapping[str, t.Sequence[int]]


@dataclass(frozen=True)
class Delete:
    """Prove these messages and delete those that may go. Answers: ``Settled`` for leftovers, ``Planned`` before every deletion
    (both wait for ``Committed``), then ``Deleted`` or ``TaskFailed``.

    ``probe``: no message was deleted on this server in this run, so the first one goes alone, and is looked for after ``settle``
    seconds as well. ``now``: the instant by which ages count.
    """

    access: Access
    folder: Folder
    uidvalidity: int
    messages: t.Sequence[Candidate]
    wanted: t.Sequence[Wanted]
    now: int
    dedicated: bool = False
    probe: bool = False
    settle: float = 0.0
    leftovers: t.Sequence[Leftover] = ()


@dataclass(frozen=True)
class Settled:
    """What became of leftovers: gone from the server for good, still there (and not marked any more), or moved to the trash."""

    gone: t.Sequence[int] = ()
    kept: t.Sequence[int] = ()
    moved: t.Sequence[int] = ()


@dataclass(frozen=True)
class Planned:
    """These were proven and are deleted next; ``watched`` goes into the receipts."""

    receipts: t.Sequence[Receipt]
    watched: t.Mapping[str, t.Sequence[int]]


@dataclass(frozen=True)
class Removed:
    """What became of the messages of the last ``Planned``. ``words``: what the server said to EXPUNGE.

    ``moved``: gone from the folder, but not deleted.
    """

    gone: t.Sequence[int] = ()
    kept: t.Sequence[int] = ()
    moved: t.Sequence[int] = ()
    words: str = ""


@dataclass
class Deleted:
    """The end of an order. ``spared``: UID -> reason. ``damage``: UID -> what is wrong with the archive; ``links``: files of
    placements to be made anew.

    ``error``: what ended it early; ``whole_server``: why nothing more is deleted on the whole server then.
    """

    spared: dict[int, str] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: ArchiveToolError | None = None
    whole_server: str = ""


DeleteAnswer = Settled | Planned | Removed | Deleted
