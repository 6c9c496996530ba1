# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of a run, of a test or of an estimate, for people. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verdict

MOST_LINES = 24
LONGEST_CELL = 60

Data = dict[str, t.Any]
_COUNTS = ("new", "known", "copies", "excluded", "left", "failed", "quarantined", "deleted")


def size_text(size: float) -> str:
    """Bytes for people: ``98.2 GB``."""
    if size == 1:
        return "1 byte"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:,.1f} {unit}"


def time_text(seconds: float) -> str:
    """Seconds for people: ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{max(1, whole)} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def of_run(profiles: t.Sequence[Data]) -> list[str]:
    """A line for each profile, with its counts, and one for all."""
    rows = [_run_row(profile["name"], [profile]) for profile in profiles]
    if len(rows) > 1:
        rows.append(_run_row("all", profiles))
    return lines(("profile", *_COUNTS, "bytes", "seconds"), rows, keep_last=len(rows) > 1)


def _run_row(name: str, profiles: t.Sequence[Data]) -> list[str]:
    counts = [f"{sum(profile.get(key, 0) for profile in profiles):,}" for key in _COUNTS]
    size, seconds = (sum(profile[key] for profile in profiles) for key in ("bytes", "seconds"))
    return [name, *counts, size_text(size), f"{seconds:,.1f}"]


def of_test(rows: t.Sequence[Data]) -> list[str]:
    """A line for each mailbox, those with a finding first."""
    wrong = [row for row in rows if row["verdict"] != verdict.FINE]
    fine = [row for row in rows if row["verdict"] == verdict.FINE]
    table = [
        [row["server"], row["mailbox"], row["connection"], row["login"], row["folders"], f"{row['messages']:,}", _found(row)]
        for row in (*wrong, *fine)
    ]
    return lines(("server", "mailbox", "connection", "login", "folders", "messages", "verdict"), table)


def _found(row: Data) -> str:
    if len(row["can_be"]) > 1:
        return f"{row['verdict']}: " + " or ".join(row["can_be"])
    return str(row["verdict"]) if row["verdict"] != verdict.NOT_TRIED else f"{verdict.NOT_TRIED}: {''.join(row['can_be'])}"


def of_estimate(estimate: Data) -> list[str]:
    """A line for each profile and for each server."""
    rows = [
        [profile["name"], f"{profile['messages']:,}", size_text(profile["bytes"]), "", ""] for profile in estimate["profiles"]
    ]
    for server in estimate["servers"]:
        seconds = "unknown" if server["reading_seconds"] is None else time_text(server["reading_seconds"])
        rate = f"{server['messages_per_second']:,}/s, {size_text(server['bytes_per_second'])}/s"
        if not server["messages"]:
            seconds = rate = ""
        rows.append([f"server {server['name']}", f"{server['messages']:,}", size_text(server["bytes"]), seconds, rate])
    return lines(("profile or server", "messages", "bytes", "reading", "measured rate"), rows)


def lines(header: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], *, keep_last: bool = False) -> list[str]:
    """Columns under a header, at most ``MOST_LINES`` lines; numbers to the right. ``keep_last``: the last row is always shown."""
    room = MOST_LINES - 1
    shown = list(rows)
    left_out = 0
    if len(rows) > room:
        last = rows[-1:] if keep_last else []
        shown = [*rows[: room - 1 - len(last)], *last]
        left_out = len(rows) - len(shown)
    cells = [[cell[:LONGEST_CELL] for cell in row] for row in (header, *shown)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [column > 0 and bool(shown) and all(row[column][:1].isdigit() for row in shown) for column in range(len(header))]
    text = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        for row in cells
    ]
    if left_out:
        text.insert(len(text) - int(keep_last), f"... and {left_out:,} more")
    return [line.rstrip() for line in text]
