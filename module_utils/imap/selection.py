# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders of a mailbox are archived; pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class Folder:
    """One line of LIST.

    ``name`` is decoded, its parts joined by the separator; each part gives its raw form back through ``names.encode`` (what is
    not modified UTF-7 starts with U+FFFD). ``attributes`` are lower case with their backslash. ``separator`` is None for a
    flat name. ``role`` is "inbox", "junk", "trash", "drafts", "sent", "outbox", "archive", "all", "flagged" or None.
    """

    name: str
    raw: bytes
    attributes: frozenset[str]
    separator: str | None
    parts: tuple[str, ...]
    selectable: bool
    role: str | None = None


@dataclass(frozen=True)
class Selection:
    """``excluded`` maps the name of each folder that is left out to the rule that leaves it out: "not selectable",
    "exclude: <pattern>", "not included" or "default: <rule>"."""

    selected: list[Folder]
    excluded: dict[str, str]


@dataclass(frozen=True)
class DefaultRule:
    """Leaves out folders with one of ``roles``, and those whose first part is one of ``tops`` (case-folded) or starts with
    ``prefix``."""

    about: str
    roles: frozenset[str] = frozenset()
    tops: frozenset[str] = frozenset()
    prefix: str | None = None


# Subfolders are left out with their parent. The names are the ones that Kerio Connect gives to what is not mail.
DEFAULT_EXCLUDES: t.Mapping[str, DefaultRule] = {
    "junk": DefaultRule("the junk folder", roles=frozenset({"junk"})),
    "trash": DefaultRule("Deleted Items", roles=frozenset({"trash"})),
    "drafts": DefaultRule("drafts", roles=frozenset({"drafts"})),
    "outbox": DefaultRule("the outbox", roles=frozenset({"outbox"})),
    "public": DefaultRule("Public Folders", tops=frozenset({"public folders"})),
    "groupware": DefaultRule(
        "contacts, calendars, tasks, notes and journals",
        tops=frozenset({"contacts", "calendar", "tasks", "notes", "journal", "suggested contacts"}),
    ),
    "archive": DefaultRule("the archive root and whatever else starts with #", prefix="#"),
    "shared": DefaultRule("folders of other users, which start with ~", prefix="~"),
}


def select_folders(
    folders: t.Sequence[Folder],
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    defaults: t.Collection[str] = tuple(DEFAULT_EXCLUDES),
) -> Selection:
    """Apply the rules; ``defaults`` are names of DEFAULT_EXCLUDES, and InputError names one that is unknown.

    Patterns match the whole decoded name with "/" between its parts, in any case; ``*`` and ``?`` match "/" as well; a
    pattern that matches a folder covers its subfolders. An empty ``include`` means all. ``exclude`` wins over everything;
    an ``include`` pattern whose first part has no wildcard ("Junk E-mail", "#archive/*") wins over ``defaults``.
    """
    unknown = sorted(set(defaults) - set(DEFAULT_EXCLUDES))
    if unknown:
        known = ", ".join(DEFAULT_EXCLUDES)
        raise InputError("default folder rules", f"{', '.join(unknown)} is unknown", f"Use some of {known}")
    roles = {folder.parts: folder.role for folder in folders if folder.role}
    rules = _Rules(_compile(include), _compile(exclude), tuple(defaults), roles)
    selection = Selection([], {})
    for folder in folders:
        rule = rules.against(folder)
        if rule is None:
            selection.selected.append(folder)
        else:
            selection.excluded[folder.name] = rule
    return selection


Patterns = dict[str, re.Pattern[str]]


def _compile(patterns: t.Sequence[str]) -> Patterns:
    compiled = {}
    for pattern in patterns:
        expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern.casefold())
        compiled[pattern] = re.compile(expression, re.DOTALL)
    return compiled


def _paths(folder: Folder) -> list[str]:
    """Return the folder's name and those of its parents, as patterns see them."""
    parts = [part.casefold() for part in folder.parts]
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


@dataclass(frozen=True)
class _Rules:
    include: Patterns
    exclude: Patterns
    defaults: tuple[str, ...]
    roles: t.Mapping[tuple[str, ...], str]

    def against(self, folder: Folder) -> str | None:
        """Return the rule that leaves the folder out, None when it is archived."""
        paths = _paths(folder)
        if not folder.selectable:
            return "not selectable"
        for pattern, expression in self.exclude.items():
            if any(expression.fullmatch(path) for path in paths):
                return f"exclude: {pattern}"
        matching = [pattern for pattern, expression in self.include.items() if any(map(expression.fullmatch, paths))]
        if self.include and not matching:
            return "not included"
        if any(not re.search(r"[*?]", pattern.split("/")[0]) for pattern in matching):
            return None
        return next((f"default: {name}" for name in self.defaults if self._applies(DEFAULT_EXCLUDES[name], folder)), None)

    def _applies(self, rule: DefaultRule, folder: Folder) -> bool:
        top = folder.parts[0].casefold()
        if top in rule.tops or (rule.prefix is not None and top.startswith(rule.prefix)):
            return True
        return any(self.roles.get(folder.parts[:count]) in rule.roles for count in range(1, len(folder.parts) + 1))
