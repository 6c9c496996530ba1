# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark makes of its runs: medians, claims with a target, the table. Pure: no I/O."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import asdict, dataclass, field

Json = dict[str, t.Any]


@dataclass(frozen=True)
class Sample:
    """One run of one contestant. ``seconds`` count; ``cpu`` is user and system time of all its processes.

    ``process`` are the seconds of the whole process, where ``seconds`` leave out the start of the interpreter.
    """

    seconds: float
    cpu: float
    messages: int = 0
    process: float = 0.0

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds


@dataclass(frozen=True)
class Median:
    """The medians of a contestant's runs, each figure for itself."""

    seconds: float
    cpu: float
    rate: float
    process: float


@dataclass(frozen=True)
class Claim:
    """A figure with its target: at least ``target`` when ``at_least``, else at most. ``unit`` "x" is a ratio."""

    text: str
    value: float
    target: float
    at_least: bool
    unit: str

    @property
    def reached(self) -> bool:
        """Whether the figure is where it has to be."""
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass
class Result:
    """What one case found: the runs of its contestants in their order, and its claims."""

    title: str
    runs: dict[str, list[Sample]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)

    def add(self, label: str, sample: Sample) -> None:
        """Take one run."""
        self.runs.setdefault(label, []).append(sample)

    def median(self, label: str) -> Median:
        """The medians of one contestant."""
        runs = self.runs[label]
        return Median(
            statistics.median(run.seconds for run in runs),
            statistics.median(run.cpu for run in runs),
            statistics.median(run.rate for run in runs),
            statistics.median(run.process for run in runs),
        )

    def at_least(self, text: str, value: float, target: float, unit: str = "x") -> None:
        """Claim that ``value`` is no less than ``target``."""
        self.claims.append(Claim(text, value, target, at_least=True, unit=unit))

    def at_most(self, text: str, value: float, target: float, unit: str = "x") -> None:
        """Claim that ``value`` is no more than ``target``."""
        self.claims.append(Claim(text, value, target, at_least=False, unit=unit))

    def as_data(self) -> Json:
        """The plain data of build/bench.json."""
        return {
            "title": self.title,
            "medians": {label: asdict(self.median(label)) for label in self.runs},
            "claims": [{**asdict(claim), "reached": claim.reached} for claim in self.claims],
            "runs": {label: [asdict(run) for run in runs] for label, runs in self.runs.items()},
        }


def lines(result: Result) -> list[str]:
    """A case as text: its medians, then target and figure of each claim."""
    head = ("", "seconds", "process", "CPU s", "messages/s")
    rows = [head, *(_row(label, result.median(label)) for label in result.runs)]
    found = [result.title, *("  " + line for line in aligned(rows))]
    claims = [(claim.text, bound(claim), figure(claim.value, claim.unit), verdict(claim)) for claim in result.claims]
    return found + ["  " + line for line in aligned([("", "target", "reached", ""), *claims])] if claims else found


def _row(label: str, median: Median) -> tuple[str, ...]:
    process = f"{median.process:.2f}" if median.process else ""
    rate = f"{median.rate:,.0f}" if median.rate else ""
    return (label, f"{median.seconds:.3f}", process, f"{median.cpu:.2f}", rate)


def bound(claim: Claim) -> str:
    """The target as text."""
    return f"{'>=' if claim.at_least else '<='} {figure(claim.target, claim.unit)}"


def figure(value: float, unit: str) -> str:
    """A value with its unit."""
    return f"{value:.2f}{unit}" if unit == "x" else f"{value:.2f} {unit}"


def verdict(claim: Claim) -> str:
    """What a reader looks for first."""
    return "" if claim.reached else "short"


def aligned(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Columns under each other: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
