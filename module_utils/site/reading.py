# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads variables of hosts out of ``hostvars``, where each is a template that is evaluated when it is read.

One whose template reads what is not there is as good as not there, as for Jinja's ``default``. One whose template fails raises.
"""

from __future__ import annotations

import typing as t
from collections import ChainMap
from collections.abc import Mapping, Sequence

from ansible_collections.mailops.kerio.plugins.module_utils.site import failures

Json = t.Any
Variables = Mapping[str, Json]


class Reader:
    """The variables of all hosts.

    ``error`` is what reading raises: with a cause when a template failed, without one when it reads what is not there. ``marker``
    is the class of what stands for such a value where nothing is raised yet.
    """

    def __init__(self, hosts: Mapping[str, Variables], error: type[Exception] = KeyError, marker: type | tuple[()] = ()) -> None:
        self.error = error
        self._hosts = hosts
        self._marker = marker
        self._known: dict[str, Variables] = {}
        self.facts: dict[str, dict[str, Json]] = {}

    def host(self, name: str) -> Variables:
        """Return the variables of a host, which are put together once."""
        if name not in self._known:
            self._known[name] = ChainMap(self.facts.setdefault(name, {}), t.cast("dict[str, Json]", self._hosts[name]))
        return self._known[name]

    def mark(self, name: str, **facts: Json) -> None:
        """Give a host variables that count before its own; those that it was given before stay."""
        known = self.facts.setdefault(name, {})
        known.update({key: value for key, value in facts.items() if key not in known})

    def item(self, where: Variables, key: str) -> Json:
        """Return one value; raises ``error`` when it cannot be read or is not there."""
        value = where[key]
        if isinstance(value, self._marker):
            # Whatever is done with it raises what it stands for.
            str(value)
        return value

    def value(self, where: Json, *path: str, default: Json = None) -> Json:
        """Return what stands at the end of ``path``, or ``default`` when something on the way is not there."""
        for key in path:
            if not isinstance(where, Mapping) or key not in where:
                return default
            try:
                where = self.item(where, key)
            except self.error as error:
                if error.__cause__ is not None:
                    raise
                return default
        return where

    def first(self, where: Variables, *names: str, default: Json = None) -> Json:
        """Return the first of several variables that is there."""
        missing = object()
        for name in names:
            found = self.value(where, name, default=missing)
            if found is not missing:
                return found
        return default

    def plain(self, value: Json) -> Json:
        """Return a value with all that is inside of it read; raises ``error`` when something cannot be."""
        if isinstance(value, Mapping):
            return {key: self.plain(self.item(value, key)) for key in value}
        if is_list(value):
            return [self.plain(entry) for entry in value]
        return value

    @staticmethod
    def told(error: Exception) -> str:
        """Return why a variable cannot be read, and what to do."""
        return failures.with_remedy(str(error.__cause__ or error))


def is_list(value: Json) -> bool:
    """Whether a value is a list: a text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def entries(value: Json) -> list[Json]:
    """Return the entries of a list; anything else has none."""
    return list(value) if is_list(value) else []


def flat(value: Json) -> list[Json]:
    """Return what may be one entry or a list of them as a list, lists inside of it opened; nothing is no entry."""
    if is_list(value):
        return [inner for entry in value for inner in flat(entry)]
    return [] if value is None else [value]
