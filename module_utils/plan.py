# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired against current: ordered changes, the diff of what they touch, and their counts. Pure: no input, no output.

Every module decides with it what to do before it does anything, so that a check run and a real run say the same. An option that
is ``None`` is not managed.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.words import some

Values = t.Mapping[str, t.Any]

# What a diff shows in place of a secret.
HIDDEN = "(secret)"
HIDDEN_NEW = "(new secret)"
ACTIONS = ("create", "change", "delete")
# A sentence names so many of the things that it is about.
NAMED = 8


@dataclass(frozen=True)
class Rule:
    """How one option is compared and shown.

    ``secret``: cannot be read back; a desired value is always a change, and is never shown. ``unordered``: the order of a list
    means nothing. ``partial``: of a dictionary, only the keys that are desired are compared. ``sanitize`` brings spellings that
    mean the same to one form; it must be idempotent and pass on what it does not know.
    """

    secret: bool = False
    unordered: bool = False
    partial: bool = False
    sanitize: t.Callable[[t.Any], t.Any] | None = None


Rules = t.Mapping[str, Rule]
PLAIN = Rule()


@dataclass(frozen=True)
class Change:
    """One thing to do. ``key`` is the identity within ``kind``, empty for settings, which exist once.

    ``before`` and ``after`` hold the touched options alone, fit to be shown; ``values`` holds what is to be written, secrets
    included.
    """

    kind: str
    action: str
    key: str
    before: Values
    after: Values
    values: Values = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """All changes of one module call; ``subject`` names the server or archive in the headers of the diff."""

    subject: str
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def of(self, kind: str) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind == kind)

    def counts(self) -> dict[str, int]:
        return {action: sum(change.action == action for change in self.changes) for action in ACTIONS}

    def diff(self) -> dict[str, t.Any]:
        """Return one Ansible diff; the keys are sorted, whatever a callback makes of dictionaries."""
        return {
            "before": _tree((change.kind, change.key, change.before) for change in self.changes if change.action != "create"),
            "after": _tree((change.kind, change.key, change.after) for change in self.changes if change.action != "delete"),
            "before_header": self.subject,
            "after_header": self.subject,
        }

    def sentence(self, noun: str, check_mode: bool = False) -> str:
        """Say what was done, or what would be done: ``mail1: changed archiving (enabled)``."""
        if not self.changes:
            return f"{self.subject}: nothing to change in {noun}"
        verb = "would change" if check_mode else "changed"
        return f"{self.subject}: {verb} {noun} ({some(self._touched(), NAMED)})"

    def _touched(self) -> list[str]:
        names: list[str] = []
        for change in self.changes:
            if change.key:
                names.append(f"{change.action} {change.key}")
            else:
                names.extend(sorted(change.after))
        return names


def settings_change(kind: str, current: Values, desired: Values, rules: Rules) -> Change | None:
    """Return the change that brings settings to ``desired``, or ``None``."""
    return _change(kind, "", current, desired, rules)


def item_changes(
    kind: str,
    current: t.Mapping[str, Values],
    desired: t.Mapping[str, Values],
    rules: Rules,
    delete: t.Collection[str] = (),
) -> list[Change]:
    """Return the changes of a set of things known by identity: creations, changes, deletions, each in order of identity.

    Only what ``delete`` names is deleted, and only while it exists and is not desired: who calls decides what may go.
    """
    created = [
        Change(kind, "create", key, {}, _shown(_managed(desired[key]), rules), _managed(desired[key]))
        for key in sorted(desired)
        if key not in current
    ]
    changes = [_change(kind, key, current[key], desired[key], rules) for key in sorted(desired) if key in current]
    deleted = [
        Change(kind, "delete", key, _shown(current[key], rules, HIDDEN), {}, {})
        for key in sorted(delete)
        if key in current and key not in desired
    ]
    return created + [change for change in changes if change is not None] + deleted


def same(current: t.Any, desired: t.Any, rule: Rule = PLAIN) -> bool:
    """Whether two values mean the same under ``rule``; a desired secret never does, because the current one is unknown."""
    if rule.secret:
        return False
    if rule.partial and isinstance(current, dict) and isinstance(desired, dict):
        current = {key: value for key, value in current.items() if key in desired}
    return bool(normalise(current, rule) == normalise(desired, rule))


def normalise(value: t.Any, rule: Rule = PLAIN) -> t.Any:
    """Return ``value`` in the one form that is compared."""
    if rule.sanitize is not None:
        value = rule.sanitize(value)
    if isinstance(value, (list, tuple)):
        values = [_plain(item) for item in value]
        return sorted(values, key=_sort_key) if rule.unordered else values
    return _plain(value)


def _change(kind: str, key: str, current: Values, desired: Values, rules: Rules) -> Change | None:
    touched = {
        name: value for name, value in _managed(desired).items() if not same(current.get(name), value, rules.get(name, PLAIN))
    }
    if not touched:
        return None
    before = _shown({name: current.get(name) for name in touched}, rules, HIDDEN)
    return Change(kind, "change", key, before, _shown(touched, rules), touched)


def _managed(desired: Values) -> dict[str, t.Any]:
    return {name: desired[name] for name in sorted(desired) if desired[name] is not None}


def _shown(values: Values, rules: Rules, hidden: str = HIDDEN_NEW) -> dict[str, t.Any]:
    shown = {}
    for name in sorted(values):
        rule = rules.get(name, PLAIN)
        # As it was written, not as it was compared: a spelling is the operator's.
        shown[name] = hidden if rule.secret else normalise(values[name], Rule(unordered=rule.unordered))
    return shown


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _sort_key(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _tree(rows: t.Iterable[tuple[str, str, Values]]) -> dict[str, t.Any]:
    """Nest rows as ``{kind: options}`` for settings and ``{kind: {key: options}}`` for items."""
    tree: dict[str, t.Any] = {}
    for kind, key, values in rows:
        if key:
            tree.setdefault(kind, {})[key] = dict(values)
        else:
            tree[kind] = dict(values)
    plain: dict[str, t.Any] = _plain(tree)
    return plain
