# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done beside the commands of a page, or of a part of one."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from tests.docs import blocks
from tests.docs.blocks import Block
from tests.docs.scene import Scene

Step = t.Callable[[Scene, Block], None]


@dataclass(frozen=True)
class Part:
    """Commands below one heading, played from the first to the last one: ``first`` and ``last`` are around them.

    ``says``: words of each command, and what is then printed (a regular expression, "" for whatever it is). ``None``: it is not
    run again when it was run before.
    """

    says: t.Mapping[str, str | None]
    first: Step | None = None
    last: Step | None = None

    def has(self, command: str) -> bool:
        """Whether it is one of these; a check is, if that is said."""
        return bool(self._words_in(command))

    def needs(self, command: str) -> bool:
        """Whether it is run although it was run before."""
        return any(self.says[words] is not None for words in self._words_in(command))

    def _words_in(self, command: str) -> list[str]:
        return [words for words in self.says if words in command and ("--check" in words or "--check" not in command)]


@dataclass(frozen=True)
class Act:
    """``first`` and ``last``: around the page. ``before``: before commands with these words. ``parts``: by their headings."""

    first: Step | None = None
    before: t.Mapping[str, Step] = field(default_factory=dict)
    last: Step | None = None
    variables: t.Callable[[Scene], t.Mapping[str, str]] = lambda _scene: {}
    parts: t.Mapping[str, Part] = field(default_factory=dict)


def next_yaml(block: Block) -> str:
    """The block in YAML that a page has behind this one."""
    return next(one.text for one in blocks.page(block.page).blocks("yaml") if one.line > block.line)
