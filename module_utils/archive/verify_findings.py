# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification can find, and what is to be done about it. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout

NO_FILE = "it is no file"
_ADOPT = "archive_rebuild (what: orphans, orphans: adopt) takes it in"
_BACKUP = "Restore it from a backup of the archive, with archive_repair"
_OBJECT = re.compile(rf"{layout.OBJECTS}/[0-9a-f]{{2}}/([0-9a-f]{{64}})(?:\.[1-9][0-9]*)?\Z")
# What is no news of an object that was declared lost.
_LOST = {
    *("object_missing", "object_damaged", "object_size", "object_links"),
    *("placement_missing", "placement_lost", "message_lost", "ledger_lost"),
}


class Kind(t.NamedTuple):
    """A kind of damage. ``unsettled``: an unfinished run leaves it as well, and the next one clears it away."""

    cause: str
    remedy: str
    unsettled: bool = False


KINDS = {
    "format": Kind("{}", "Find out who changed the archive root; archive_store makes what is missing"),
    "catalog": Kind("SQLite says: {}", "Restore the newest catalog from a backup, or have archive_rebuild make it anew"),
    "totals": Kind("{}", "The catalog was changed by hand or damaged: restore the newest one from a backup"),
    "object_missing": Kind("the catalog has this object, but its file is not there", _BACKUP),
    "object_damaged": Kind("{}", _BACKUP),
    "object_size": Kind("{}", "The catalog or the file was changed; archive_repair has the catalog say what the bytes are"),
    "object_mode": Kind("its mode is {} instead of 0440", "Find out who changed it, then: archive_repair"),
    "object_twice": Kind("the catalog has {} rows for this object", "Have archive_repair leave one of them"),
    "object_links": Kind("{}", "Placements were removed or replaced: the findings about them tell which"),
    "object_linked": Kind(
        "{}",
        "A placement that the catalog does not know is told by itself; else look for a link somebody made, with: find -samefile",
        unsettled=True,
    ),
    "object_unknown": Kind(
        "the catalog knows no such object",
        f"{_ADOPT}; else find out where it comes from, and move it out of the archive",
        unsettled=True,
    ),
    "foreign": Kind("it is no part of an archive", "Find out where it comes from; move it out of the archive", unsettled=True),
    "placement_missing": Kind("the catalog has this placement, but its file is not there", _BACKUP),
    "placement_other": Kind("it is not the object that its name says", "Find out who did it, then: archive_repair"),
    "placement_name": Kind("the catalog has it as {}", "Find out who renamed it, then: archive_repair"),
    "placement_unknown": Kind(
        "the catalog knows no such placement",
        f"{_ADOPT}; where its folder has the message under another date, archive_repair links that one, and orphans: remove then"
        " takes this one away",
        unsettled=True,
    ),
    "placement_row": Kind("the catalog has it for another user than its folder", "Restore the newest catalog from a backup"),
    "placement_lost": Kind("a placement of it is in the catalog, but no object", _BACKUP),
    "message_lost": Kind("a message of a server is said to be archived, but there is no such object", _BACKUP),
    "message_blank": Kind("{}", "Restore the newest catalog from a backup"),
    "ledger": Kind("{}", "Find out who changed it, then: archive_rebuild (what: ledger)"),
    "ledger_tail": Kind(
        "{}", "Run archive_run; else bring the catalog forward with archive_rebuild (what: orphans)", unsettled=True
    ),
    "ledger_forked": Kind("{}", "The archive was rolled back, or the ledger written anew: compare both with a backup"),
    "ledger_lost": Kind("the ledger says that it was archived, but the catalog has no such object", _BACKUP),
    "ledger_untold": Kind(
        "no entry of the ledger tells where it comes from", "Find out who put it into the archive and the catalog", unsettled=True
    ),
    "ledger_receipt": Kind("the ledger calls it {}, but the catalog has nothing of that", "Restore the newest catalog"),
    "open_to_others": Kind("its mode {} lets others write", "Find out who changed it, then: chmod g-w,o-w"),
    "owner": Kind("it belongs to {}", "Find out who made it, then: chown it to the owner of the archive"),
}


# Where the remedy of the kind would not do.
_REMEDIES = {("object_damaged", NO_FILE): "Move it away, then: archive_repair"}


class Finding(t.NamedTuple):
    """One thing that is not as it must be. ``subject``: a path relative to the archive root, or what the catalog calls it."""

    kind: str
    subject: str
    detail: str = ""

    @property
    def digest(self) -> bytes | None:
        """The object that it speaks of, itself or by a placement; None when it speaks of none."""
        match = _OBJECT.match(self.subject)
        if match is not None:
            return bytes.fromhex(match[1])
        placement = layout.parse_placement_name(self.subject.rpartition("/")[2])
        return placement.digest if placement is not None else None

    @property
    def cause(self) -> str:
        """What is wrong."""
        return KINDS[self.kind].cause.format(self.detail)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES.get((self.kind, self.detail), KINDS[self.kind].remedy)

    def as_data(self) -> dict[str, str]:
        """Plain data for a result."""
        return {"kind": self.kind, "subject": self.subject, "cause": self.cause, "remedy": self.remedy}


def confirmed(first: t.Iterable[Finding], second: t.Iterable[Finding], *, unsettled: bool) -> list[Finding]:
    """What both looks found: what a run changed in between was no damage.

    ``unsettled``: a run goes on, or did not end cleanly, so that what it has not committed is nobody's fault.
    """
    seen = {(finding.kind, finding.subject) for finding in first}
    return [
        finding
        for finding in second
        if (finding.kind, finding.subject) in seen and not (unsettled and KINDS[finding.kind].unsettled)
    ]


def excused(findings: t.Iterable[Finding], lost: t.Container[bytes]) -> list[Finding]:
    """The findings without those that follow from what was declared lost."""
    return [finding for finding in findings if finding.kind not in _LOST or finding.digest not in lost]
