# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a page: what the template is given beside the report itself. Nothing is read but the template."""

from __future__ import annotations

import re
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_words
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
    import markupsafe
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
_LONG_WORD = re.compile(r"\S{16,}")
# Not within the figures of an IP address, or between a host and its port.
_JOINT = re.compile(r"(?<=\w)(?=[.:/][^\W\d])|(?<=@)(?=\w)")
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
        breakable=breakable,
        count=count_text,
        size=size_text,
        duration=time_text,
        moment=moment_text,
        day=day_text,
        pointer=pointer,
    )
    view = {"report": printable(report), "sentence": report_words.sentence(report), "shown": SHOWN, "budget": _Budget()}
    helpers = {one.__name__: one for one in (rows, charts, causes, by_server, waiting, insecure, in_order)}
    sizes = {"SLOT": SLOT, "GAP": GAP, "HEIGHT": HEIGHT, "LEAST_SLOTS": LEAST_SLOTS}
    try:
        return environment.get_template(path.name).render(**view, **helpers, **sizes)
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
        happened = any(map(mailbox.get, _HAPPENED))
        (found.trouble if mailbox["troubled"] else found.happened if happened else found.quiet).append(Row(index, mailbox))
    # Many that were not tried because of their server say less than one that has a cause of its own.
    found.trouble.sort(key=lambda row: bool(row.value.get("blocked")))
    return found


def causes(host: Data) -> list[tuple[int, str]]:
    """The failures of a host, each with its place, but for those that a list of messages says more of."""
    return [(place, text) for place, text in enumerate(host["failures"]) if place not in host.get("message_failures", ())]


def by_server(entries: t.Sequence[Data]) -> dict[str, list[Row]]:
    """The entries of a list by their server, servers and entries in the order of the list."""
    found: dict[str, list[Row]] = {}
    for index, entry in enumerate(entries):
        found.setdefault(entry["server"], []).append(Row(index, entry))
    return found


def waiting(host: Data) -> list[Row]:
    """The messages that could not be archived and that nobody knows of."""
    return [Row(index, one) for index, one in enumerate(host["failed_messages"]) if not one["acknowledged"]]


def insecure(servers: t.Mapping[str, Data]) -> list[tuple[str, int, str]]:
    """All insecure options: the server, the place in its list, and the text."""
    return [(name, place, text) for name, server in servers.items() for place, text in enumerate(server["insecure"])]


def in_order(servers: t.Mapping[str, Data]) -> list[tuple[str, Data]]:
    """The servers, those first with which something is wrong, then those that were changed."""
    return sorted(servers.items(), key=lambda one: (not one[1]["failures"], not one[1]["troubled"], not one[1]["changed"]))


def charts(runs: t.Sequence[Data]) -> list[Chart]:
    """The charts of an archive."""
    return [chart(runs, key) for key in ("objects", "stored_bytes")]


def breakable(text: str) -> str:
    """The text as HTML, in which an address or a path that is longer than a line may break at its dots and slashes."""
    escaped = str(markupsafe.escape(text))
    broken = _LONG_WORD.sub(lambda word: _JOINT.sub("<wbr>", word[0]), escaped)
    return markupsafe.Markup(broken)  # noqa: S704 - it was escaped above


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
