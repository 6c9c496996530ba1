# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format 0.0.4. Pure: no I/O."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field


@dataclass
class Family:
    """All series of one metric. ``kind`` is "gauge" or "counter"."""

    name: str
    kind: str
    help: str
    samples: list[tuple[tuple[tuple[str, str], ...], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """One series; nothing for a value that nobody knows."""
        if value is not None:
            self.samples.append((tuple(labels.items()), value))

    def lines(self) -> list[str]:
        """The family as text."""
        if not self.samples:
            return []
        head = [f"# HELP {self.name} {_escaped(self.help)}", f"# TYPE {self.name} {self.kind}"]
        # A collector refuses the whole file when two series have the same labels.
        return head + [f"{self.name}{_labels(labels)} {_number(value)}" for labels, value in sorted(dict(self.samples).items())]


def text(families: t.Iterable[Family]) -> str:
    """What a collector reads."""
    return "".join(line + "\n" for family in families for line in family.lines())


def _labels(labels: t.Sequence[tuple[str, str]]) -> str:
    told = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(value: str) -> str:
    # Not UTF-8: half a pair, which a name on a server may hold.
    return _escaped(value.encode("utf-8", "backslashreplace").decode()).replace('"', '\\"')


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return repr(int(value)) if float(value).is_integer() else repr(float(value))
