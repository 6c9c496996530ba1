# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands of pages in a scene, page by page and block by block."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.docs import acts, blocks, ties
from tests.docs.acts import ACTS, Act
from tests.docs.blocks import Block
from tests.docs.scene import Scene

Words = tuple[str, ...]


def words_of(command: str) -> Words:
    """A command as one that differs only in the order of its options, or in how the password of the vault is given."""
    return tuple(sorted(word for word in blocks.words(command) if word != "--ask-vault-pass"))


@dataclass
class Reading:
    """Of playbooks, one with the same options is not run again."""

    scene: Scene
    ran: set[Words] = field(default_factory=lambda: {words_of(acts.SITE)})

    def play(self, page: str) -> None:
        """Run all commands of a page that no other test runs."""
        act, found = ACTS.get(page, Act()), blocks.page(page).blocks("sh")
        if act.first and found:
            act.first(self.scene, found[0])
        for block in found:
            self._block(act, block)
        if act.last and found:
            act.last(self.scene, found[-1])

    def _block(self, act: Act, block: Block) -> None:
        waiting: list[str] = []
        for command in block.commands():
            if ties.elsewhere(block, command):
                continue
            for words, step in act.before.items():
                if words in command:
                    self._type(act, waiting)
                    step(self.scene, block)
            if not self._known(command):
                waiting.append(command)
        self._type(act, waiting)

    def _known(self, command: str) -> bool:
        """Whether it is a playbook that ran with these options."""
        if not command.startswith("ansible-playbook "):
            return False
        words = words_of(command)
        known = words in self.ran
        self.ran |= set() if known else {words}
        return known

    def _type(self, act: Act, commands: list[str]) -> None:
        if commands:
            self.scene.run("\n".join(commands), **act.variables(self.scene))
        commands.clear()


def order() -> list[str]:
    """The pages with commands, those first whose scene others go on with."""
    pages = [page.name for page in blocks.pages() if page.blocks("sh")]
    return [page for page in acts.ORDER if page in pages] + [page for page in pages if page not in acts.ORDER]
