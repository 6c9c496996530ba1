# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a page: what the template is given beside the report itself. Nothing is read but the template."""

from __future__ import annotations

import re
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data
from ansible_collections.mailops.kerio.plugins.module_utils.archive.report_chart import (
    GAP,
    HEIGHT,
    LEAST_SLOTS,
    SLOT,
    Chart,
    chart,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text, time_text
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, MissingLibraryError

try:
    import jinja2
except ImportError:  # told by render
    HAS_JINJA2 = False
else:
    HAS_JINJA2 = True

Data = dict[str, t.Any]

# Rows that are shown without unfolding, and folders that a page has at all; the JSON has the rest.
SHOWN = 20
MOST_FOLDERS = 10_000
# What a page must not have, whatever a server calls its folders: control characters, halves of surrogate pairs, and what turns
# the direction of the text around it.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
TROUBLE = ("error", "failed", "quarantined")
_HAPPENED = ("new", "copies", "left", "gone", "deleted", "folders")


class Row(t.NamedTuple):
    """An entry of a list of the report, and its place in it."""

    place: int
    value: Data


class Rows(t.NamedTuple):
    """The mailboxes of a profile: with trouble, with something that happened, and all others."""

    trouble: list[Row]
    happened: list[Row]
    quiet: list[Row]


def render(report: Data, template: str) -> str:
    """The whole page; raises InputError where the template cannot be used."""
    if not HAS_JINJA2:
        raise MissingLibraryError("jinja2", "this interpreter has no library Jinja2", "Install it, or use that of Ansible")
    path = Path(template)
    loader = jinja2.FileSystemLoader(path.parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=count_text, size=size_text, duration=time_text, moment=moment_text, day=day_text, pointer=pointer
    )
    view = {"report": printable(report), "sentence": report_data.sentence(report), "shown": SHOWN, "budget": _Budget()}
    helpers = {"rows": rows, "charts": charts, "SLOT": SLOT, "GAP": GAP, "HEIGHT": HEIGHT, "LEAST_SLOTS": LEAST_SLOTS}
    try:
        return environment.get_template(path.name).render(**view, **helpers)
    except (jinja2.TemplateError, OSError) as error:
        raise InputError(template, f"the page cannot be made of it: {error}", "Give the template of this release") from error


class _Budget:
    """How many folders the page may still have."""

    def __init__(self) -> None:
        self._left = MOST_FOLDERS

    def take(self, count: int) -> bool:
        """Whether so many more may be shown."""
        self._left -= count
        return self._left >= 0


def rows(mailboxes: t.Sequence[Data]) -> Rows:
    """The mailboxes in the order in which somebody wants to see them."""
    found = Rows([], [], [])
    for index, mailbox in enumerate(mailboxes):
        trouble, happened = (any(map(mailbox.get, keys)) for keys in (TROUBLE, _HAPPENED))
        (found.trouble if trouble else found.happened if happened else found.quiet).append(Row(index, mailbox))
    return found


def charts(runs: t.Sequence[Data]) -> list[Chart]:
    """The charts of an archive."""
    return [chart(runs, key) for key in ("objects", "stored_bytes")]


def count_text(number: int) -> str:
    """A count for people: ``4,310``."""
    return f"{number:,}"


def moment_text(seconds: int) -> str:
    """A time for people, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) + " UTC"


def day_text(seconds: int) -> str:
    """A day for people, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def pointer(part: object) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def printable(value: t.Any) -> t.Any:
    """The same with every character that a page cannot have replaced."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {printable(key): printable(one) for key, one in value.items()}
    return [printable(one) for one in value] if isinstance(value, (list, tuple)) else value
