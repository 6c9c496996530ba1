# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands of pages in a scene, page by page and block by block."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from tests.docs import acts, blocks, ties
from tests.docs.act import Act, Part
from tests.docs.acts import ACTS
from tests.docs.blocks import Block
from tests.docs.scene import Scene

Words = tuple[str, ...]


def words_of(command: str) -> Words:
    """A command as one that differs only in the order of its options, or in how the password of the vault is given."""
    return tuple(sorted(word for word in blocks.words(command) if word != "--ask-vault-pass"))


def documented() -> set[Words]:
    """All commands of all pages."""
    return {words_of(command) for block in blocks.blocks("sh") for command in block.commands()}


@dataclass
class Reading:
    """A playbook is not run again with the same options; nor as a check, where it was checked with others and runs with these.

    ``printed``: what was typed below the heading that was played last, and what came of it.
    """

    scene: Scene
    checked: set[str] = field(default_factory=set)
    ran: set[Words] = field(default_factory=lambda: {words_of(acts.SITE)})
    printed: list[tuple[str, str]] = field(default_factory=list)

    def play(self, page: str) -> None:
        """Run all commands of a page that no other test runs."""
        act, found = ACTS.get(page, Act()), blocks.page(page).blocks("sh")
        if act.first and found:
            act.first(self.scene, found[0])
        for heading, below in itertools.groupby(found, key=lambda block: block.heading):
            self._below(act, act.parts.get(heading, Part({})), list(below))
        if act.last and found:
            act.last(self.scene, found[-1])

    def _below(self, act: Act, part: Part, found: list[Block]) -> None:
        self.printed.clear()
        if part.first:
            part.first(self.scene, found[0])
        for block in found:
            self._block(act, block, part)
        for words, said in part.says.items():
            answers = [printed for typed, printed in self.printed if words in typed]
            if said is not None and not any(re.search(said, printed) for printed in answers):
                raise AssertionError("\n".join([f"{words}: no {said!r} in", *answers]))
        if part.last:
            part.last(self.scene, found[-1])

    def _block(self, act: Act, block: Block, part: Part) -> None:
        waiting: list[str] = []
        for command in block.commands():
            known = self._known(command)  # and noted
            if ties.elsewhere(block, command) or (known and not part.needs(command)):
                continue
            for words, step in act.before.items():
                if words in command:
                    self._type(act, waiting)
                    step(self.scene, block)
            waiting.append(command)
            if part.says and command.startswith("ansible"):
                self._type(act, waiting)
        self._type(act, waiting)

    def _known(self, command: str) -> bool:
        """Whether it is a playbook whose run would show nothing new."""
        if not command.startswith("ansible-playbook "):
            return False
        words = words_of(command)
        book = next(word for word in words if word.endswith(".yml") and word.startswith("playbooks/"))
        really = tuple(word for word in words if word not in ("--check", "--diff"))
        known = words in self.ran or words in {words_of(less) for less in acts.DONE_BY}
        known = known or ("--check" in words and book in self.checked and really in documented())
        if not known:
            self.ran.add(words)
            self.checked |= {book} if "--check" in words else set()
        return known

    def _type(self, act: Act, commands: list[str]) -> None:
        if commands:
            typed = "\n".join(commands)
            self.printed.append((typed, self.scene.run(typed, **act.variables(self.scene))))
        commands.clear()


def order() -> list[str]:
    """The pages with commands, those first whose scene others go on with."""
    pages = [page.name for page in blocks.pages() if page.blocks("sh")]
    return [page for page in acts.ORDER if page in pages] + [page for page in pages if page not in acts.ORDER]
