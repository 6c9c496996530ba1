# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that archiving relies on, and what a look at a real server finds of them: each holds, differs, or cannot be told."""

from __future__ import annotations

import ssl
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError

DAY = 86400.0
ENOUGH_DAYS = 30
TOLERATED_SECONDS = 60
HOLDS, DIFFERS, CANNOT_TELL = "holds", "differs", "cannot_tell"

# A verdict, and what was found.
Finding = t.Tuple[str, str]


@dataclass(frozen=True)
class Fact:
    """One row of docs/before-going-live.md. ``source`` says who told it, and how sure that is (``mark``).

    ``check``: how it is looked at, or how an operator does it. ``remedy``: what to set when it differs. ``stops``: archiving must
    not begin before that is done. ``unknown``: the open questions of the fact sheet that it answers, as "section: words".
    """

    name: str
    assumed: str
    matters: str
    mark: str
    source: str
    check: str
    remedy: str
    stops: bool = False
    unknown: tuple[str, ...] = ()


def judged(holds: bool, found: str) -> Finding:
    """Return the finding of something that could be looked at."""
    return HOLDS if holds else DIFFERS, found


def days_left(certificate: t.Mapping[str, t.Any]) -> float | None:
    """Return for how many days a certificate holds, of what ``getpeercert`` tells, which is nothing without verification."""
    end = certificate.get("notAfter")
    return None if end is None else (ssl.cert_time_to_seconds(end) - time.time()) / DAY


def lasting(days: float) -> Finding:
    """Judge how long a trusted certificate holds."""
    return judged(days >= ENOUGH_DAYS, f"It is trusted, and holds for {days:.0f} days.")


def together(ahead: float, about: str = "") -> Finding:
    """Judge by how many seconds a server's clock is ahead; ``about`` stands before a number that is not exact."""
    where = "ahead" if ahead > 0 else "behind"
    return judged(abs(ahead) < TOLERATED_SECONDS, f"The server's clock is {about}{abs(ahead):.0f} s {where}.")


class Look:
    """What one look finds of ``facts``; what it was not asked is told as ``otherwise``."""

    def __init__(self, facts: t.Sequence[Fact], otherwise: str = "It was not looked at") -> None:
        self.otherwise = otherwise
        self._facts = facts
        self._found: dict[str, Finding] = {}

    def ask(self, name: str, question: t.Callable[[], Finding]) -> None:
        """Keep the answer; what keeps it from being given is told, and stops no other question."""
        try:
            self.tell(name, question())
        except ArchiveToolError as error:
            self.tell(name, (CANNOT_TELL, str(error)))

    def tell(self, name: str, finding: Finding) -> None:
        """Keep what was found."""
        self._found[name] = finding

    def verdict(self, name: str) -> str:
        """Return the verdict of a fact so far."""
        return self._found.get(name, (CANNOT_TELL, ""))[0]

    def rows(self) -> list[dict[str, t.Any]]:
        """Return all facts in their order, as data."""
        return [self._row(fact) for fact in self._facts]

    def _row(self, fact: Fact) -> dict[str, t.Any]:
        verdict, found = self._found.get(fact.name, (CANNOT_TELL, self.otherwise))
        return {
            "id": fact.name,
            "verdict": verdict,
            "found": found,
            "assumed": fact.assumed,
            "matters": fact.matters,
            "remedy": fact.remedy,
            "stops": fact.stops and verdict == DIFFERS,
        }


def sentence(name: str, rows: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return how many facts hold, in one line."""
    count = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in (HOLDS, DIFFERS, CANNOT_TELL)}
    return f"{name}: {count[HOLDS]} facts hold, {count[DIFFERS]} differ, {count[CANNOT_TELL]} cannot be told"
