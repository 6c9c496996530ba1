# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a restore: some messages of an archive, or of a backup of it, into a server and back.

The archive is only read.
"""

from __future__ import annotations

import hashlib
import random
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout, snapshot
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import Came, compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text, time_text
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, InputError, StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import bytes_of
from ansible_collections.mailops.kerio.plugins.module_utils.imap.scratch import Scratch

LISTED = 100
MOST_SAMPLE = 100_000

Data = dict[str, t.Any]


class Drawn(t.NamedTuple):
    """A message of the sample; ``date`` is its INTERNALDATE where it was archived first."""

    digest: bytes
    size: int
    date: int


@dataclass
class Rehearsal:
    """What became of the sample. ``odd`` are the messages that did not come back as they were, with the reason."""

    drawn: int = 0
    sent: list[Drawn] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    odd: list[dict[str, str]] = field(default_factory=list)
    dates_changed: int = 0
    seconds: float = 0.0
    whole: tuple[int, int] = (0, 0)  # placements of the archive, and their bytes
    warnings: list[str] = field(default_factory=list)

    def tell(self, digest: bytes, what: str, cause: str = "") -> None:
        """Count a message; one that is not the same is named."""
        self.counts[what] += 1
        if what != Came.SAME:
            self.odd.append({"object": layout.object_path(digest), "what": what, "cause": cause})

    @property
    def failed(self) -> bool:
        """Whether a restore would not give back every message."""
        return any(self.counts[what] for what in (Came.OTHER, "refused", "damaged", "missing"))

    @property
    def bytes(self) -> int:
        """Of all messages that the server took."""
        return sum(one.size for one in self.sent)

    def full_seconds(self) -> int | None:
        """How long all placements would take at this rate, over one connection; None when nothing was measured.

        Of messages and bytes, what takes longer counts.
        """
        if not self.sent or not self.seconds:
            return None
        messages, size = self.whole
        return round(self.seconds * max(messages / len(self.sent), size / max(1, self.bytes)))

    def as_data(self) -> Data:
        """The plain data of the result."""
        kinds = (*(each.value for each in Came), "refused", "damaged", "missing")
        return {
            "messages": self.drawn,
            **{kind: self.counts[kind] for kind in kinds},
            "dates_changed": self.dates_changed,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "full_restore": {"messages": self.whole[0], "bytes": self.whole[1], "seconds": self.full_seconds()},
            "changed_messages": self.odd[:LISTED],
        }

    def sentence(self, *, check_mode: bool = False) -> str:
        """For people."""
        if check_mode:
            return f"{self.drawn:,} messages would be put into the server and fetched back; {self.counts['damaged']:,} damaged"
        told = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in sorted(self.counts.items()) if what != "same")
        text = f"{self.counts['same']:,} of {self.drawn:,} messages came back from the server byte for byte"
        text += f" ({told})" if told else ""
        full = self.full_seconds()
        if full is None:
            return text
        return f"{text}; all {self.whole[0]:,} ({size_text(self.whole[1])}) would take {time_text(full)} over one connection"


class Source:
    """An archive that is only read: its root may be a backup that is mounted read-only, with a snapshot for a catalog."""

    def __init__(self, root: str) -> None:
        if not root.startswith("/"):
            raise InputError("root", f"{root!r} is not an absolute path", "Give the archive root as an absolute path")
        if not Path(root).is_dir() or not filesystem.check_format(root):
            raise StoreError(root, "it holds no archive", "Give the root of an archive, or of a backup of one")
        self.root = root

    def draw(self, count: int) -> tuple[list[Drawn], tuple[int, int]]:
        """``count`` messages at random, and how many placements and bytes a full restore has."""
        names = [name for name, _checkpoint in snapshot.CATALOGS if Path(self.root, name).exists()]
        if not names:
            raise StoreError(self.root, "it has neither a catalog nor a snapshot", "Give the root of an archive or of a backup")
        with Catalog.open(f"{self.root}/{names[0]}", readonly=True) as catalog:
            last = catalog.last_object()
            rows = catalog.objects_numbered(random.SystemRandom().sample(range(1, last + 1), min(count, last)))
            whole = catalog.placed()
        return [Drawn(row.digest, row.size, self._date(row.digest)) for row in rows], whole

    def _date(self, digest: bytes) -> int:
        try:
            return int(Path(self.root, layout.object_path(digest)).stat().st_mtime)
        except OSError:
            return 0  # reading it will tell

    def read(self, digest: bytes) -> bytes:
        """The bytes, compared with their digest; StoreError when they are not there or others."""
        path = Path(self.root, layout.object_path(digest))
        return b"".join(checked_pieces(lambda: path.open("rb"), str(path), digest))


@dataclass(frozen=True)
class Wish:
    """Where to, as whom, into which folder, and how many messages."""

    root: str
    endpoint: Endpoint
    credentials: Credentials
    folder: str
    sample: int


def rehearse(wish: Wish, *, check_mode: bool = False) -> Rehearsal:
    """Do it. Raises StoreError and CatalogError for the archive, and what ``open_connection`` and ``Scratch`` raise."""
    source = Source(wish.root)
    report = Rehearsal()
    messages, report.whole = source.draw(wish.sample)
    report.drawn = len(messages)
    with open_connection(wish.endpoint, wish.credentials) as conn:
        scratch = Scratch(conn, wish.folder)
        if check_mode:
            scratch.refuse_existing()
            for one in messages:
                _body(source, one, report)
            return report
        scratch.create()
        try:
            _send(source, messages, scratch, report)
            _fetch(source, scratch, report)
        finally:
            _remove(wish, scratch, report, usable=conn.usable)
    return report


def _body(source: Source, one: Drawn, report: Rehearsal) -> bytes | None:
    try:
        return source.read(one.digest)
    except StoreError as error:
        report.tell(one.digest, "damaged", error.cause)
        return None


def _send(source: Source, messages: t.Iterable[Drawn], scratch: Scratch, report: Rehearsal) -> None:
    for one in messages:
        body = _body(source, one, report)
        if body is None:
            continue
        began = time.monotonic()
        result = scratch.append(body, one.date)
        if result.ok:
            report.seconds += time.monotonic() - began
            report.sent.append(one)
        else:
            report.tell(one.digest, "refused", f"{result.status} {result.text}")


def _fetch(source: Source, scratch: Scratch, report: Rehearsal) -> None:
    """A server keeps the order in which messages were put in; where it does not, they are known by their digest."""
    waiting = list(report.sent)
    for came in scratch.messages() if waiting else ():
        body = bytes_of(came)
        digest = hashlib.sha256(body).digest()
        one = next((each for each in waiting if each.digest == digest), waiting[0] if waiting else None)
        if one is None:
            scratch.made = False  # so that nobody's mail goes with it
            cause = "the folder holds more messages than were put in, so it is not removed"
            remedy = "Take out what is not of the rehearsal, remove the folder by hand, rehearse again"
            raise ImapError(scratch.name, cause, remedy)
        waiting.remove(one)
        report.dates_changed += came.internaldate != one.date
        report.tell(one.digest, Came.SAME if digest == one.digest else compare(source.read(one.digest), body))
    for one in waiting:
        report.tell(one.digest, "missing", "the server took it, and does not give it back")


def _remove(wish: Wish, scratch: Scratch, report: Rehearsal, *, usable: bool) -> None:
    """Remove the folder that was made; over a new connection when the first one is lost."""
    if not scratch.made:
        return
    if usable:
        left = scratch.remove()
    else:
        with open_connection(wish.endpoint, wish.credentials) as conn:
            again = Scratch(conn, wish.folder)
            again.made = scratch.made
            left = again.remove()
    told = "The server moved the folder of the rehearsal to {}, where it may be removed by hand"
    report.warnings += [told.format(name) for name in left]


def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for; the fields of ``runner.Outcome``."""
    require_zstandard()
    sample = option_of(params, "sample", whole(1, MOST_SAMPLE))
    endpoint = arguments.endpoint(params)
    credentials = Credentials(params["mailbox"], params["password"], params["master"])
    report = rehearse(Wish(params["root"], endpoint, credentials, params["folder"], sample), check_mode=check_mode)
    return {
        "changed": False,
        "msg": report.sentence(check_mode=check_mode),
        "warnings": [*arguments.warnings(endpoint), *report.warnings],
        "failed": report.failed,
        "data": {"rehearsal": report.as_data()},
    }
