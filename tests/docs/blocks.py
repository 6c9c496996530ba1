# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the pages of the documentation: their fenced blocks, the command lines in these, their headings and their links."""

from __future__ import annotations

import re
import shlex
import typing as t
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("sh", "yaml", "json", "text")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>.*)$")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Block:
    """A fenced block below a ``heading``; ``line`` is that of its fence, ``text`` is without what the fence is indented by."""

    page: str
    heading: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """What one types, each with the lines that go on with it: behind a backslash, or in a quote that is still open."""
        found, waiting = [], ""
        for line in self.text.splitlines():
            waiting += line
            if waiting.endswith("\\") or _open_quote(waiting):
                waiting += "\n"
            elif waiting.strip() and not waiting.lstrip().startswith("#"):
                found.append(waiting)
                waiting = ""
            else:
                waiting = ""
        return found + [waiting] * bool(waiting)


@dataclass(frozen=True)
class Page:
    """One page, by its path in the repository."""

    name: str
    lines: tuple[str, ...]

    def blocks(self, *languages: str) -> list[Block]:
        return [block for block in _blocks(self) if not languages or block.language in languages]

    def prose(self) -> str:
        """The page without its blocks and without code in its lines."""
        return CODE.sub("``", "\n".join(line for line, fenced in _outside(self) if not fenced))

    def anchors(self) -> set[str]:
        """What a Git host makes of the headings; of several with the same words, the later ones have a number."""
        found: dict[str, int] = {}
        for line, fenced in _outside(self):
            heading = HEADING.match(line)
            if heading and not fenced:
                name = re.sub(r"[^\w\- ]", "", LINK.sub(lambda link: link[0].split("]")[0], heading[1]).lower()).replace(" ", "-")
                found[name] = found.get(name, -1) + 1
                if found[name]:
                    found[f"{name}-{found[name]}"] = 0
        return set(found)

    def links(self) -> list[str]:
        return LINK.findall(self.prose())

    def target(self, link: str) -> tuple[str, str]:
        """The path in the repository and the anchor that a link of this page leads to."""
        path, _, anchor = link.partition("#")
        if not path:
            return self.name, anchor
        return (ROOT / self.name).parent.joinpath(path).resolve().relative_to(ROOT).as_posix(), anchor


@cache
def pages() -> tuple[Page, ...]:
    """All pages, in the order of their names."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("standalone/*.md"), *ROOT.glob("tests/hosts/*.md")]
    names = sorted(path.relative_to(ROOT).as_posix() for path in files)
    return tuple(Page(name, tuple((ROOT / name).read_text(encoding="utf-8").splitlines())) for name in names)


def page(name: str) -> Page:
    return next(one for one in pages() if one.name == name)


def blocks(*languages: str) -> list[Block]:
    """The blocks of all pages."""
    return [block for one in pages() for block in one.blocks(*languages)]


def steps(name: str, heading: str) -> list[str]:
    """The commands below a heading, block by block, but for those that are playbooks: tests run them one after the other."""
    below = [block for block in page(name).blocks("sh") if block.heading == heading]
    return [block.text for block in below if not block.text.startswith("ansible-playbook ")]


def documented(name: str, command: str) -> str:
    """A command of a page, which must have it: tests that play what a page says take it from there."""
    assert command in {one for block in page(name).blocks("sh") for one in block.commands()}, f"{name} has no {command}"
    return command


def words(command: str) -> list[str]:
    """A command as a shell takes it apart."""
    return shlex.split(command.replace("\\\n", " "))


def played(name: str, command: str) -> tuple[str, list[str]]:
    """The playbook and the options of a command of a page, without the inventory and the password of the vault."""
    _, *given = [word for word in words(documented(name, command)) if word != "--ask-vault-pass"]
    assert given[:2] == ["-i", "inventory/mine"]
    return given[2], given[3:]


def _outside(one: Page) -> t.Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a block; fences do."""
    inside = False
    for line in one.lines:
        fence = FENCE.match(line)
        yield line, inside or bool(fence)
        inside = inside != bool(fence)


@cache
def _blocks(one: Page) -> tuple[Block, ...]:
    found: list[Block] = []
    start: tuple[int, re.Match[str]] | None = None
    heading = ""
    for number, line in enumerate(one.lines, 1):
        fence, headed = FENCE.match(line), HEADING.match(line)
        if headed and start is None:
            heading = headed[1]
        elif fence and start is None:
            start = number, fence
        elif fence and start:
            first, opened = start
            inside = [text.removeprefix(opened["indent"]) for text in one.lines[first : number - 1]]
            found.append(Block(one.name, heading, first, opened["language"].strip(), "\n".join(inside) + "\n"))
            start = None
    assert start is None, f"{one.name}:{start and start[0]}: the block has no end"
    return tuple(found)


def _open_quote(text: str) -> bool:
    quote = ""
    escaped = False
    for sign in text:
        if escaped:
            escaped = False
        elif sign == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
    return bool(quote)
