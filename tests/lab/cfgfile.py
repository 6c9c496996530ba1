# SPDX-License-Identifier: GPL-3.0-or-later
"""mailserver.cfg and users.cfg as files: config / table / list / listitem / variable, one variable a line (sheet 4.2)."""

from __future__ import annotations

import dataclasses
import shutil
import xml.parsers.expat
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.lab.switches import FileSwitches

COMMENT = "#comment"


@dataclasses.dataclass
class Node:
    """An element, or a comment (tag `#comment`, its text in `text`)."""

    tag: str
    attrs: dict[str, str] = dataclasses.field(default_factory=dict)
    text: str = ""
    children: list[Node] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        return self.attrs.get("name", "")

    def child(self, tag: str, name: str) -> Node | None:
        return next((c for c in self.children if c.tag == tag and c.name == name), None)

    def ensure(self, tag: str, name: str) -> Node:
        found = self.child(tag, name)
        if found is None:
            found = Node(tag, {"name": name})
            self.children.append(found)
        return found

    def get(self, name: str) -> str | None:
        found = self.child("variable", name)
        return found.text if found else None

    def set(self, name: str, value: str) -> None:
        self.ensure("variable", name).text = value

    def variables(self, name: str) -> Iterator[Node]:
        """Every variable of this name, wherever it is, in the order of the file."""
        for child in self.children:
            if child.tag == "variable" and child.name == name:
                yield child
            yield from child.variables(name)


def parse(data: bytes) -> Node | None:
    """None when there is no well-formed `config` document in it."""
    root = Node("")
    stack = [root]

    def start(tag: str, attrs: dict[str, str]) -> None:
        node = Node(tag, attrs)
        stack[-1].children.append(node)
        stack.append(node)

    def end(_tag: str) -> None:
        node = stack.pop()
        if node.tag != "variable":
            node.text = ""

    def text(data: str) -> None:
        stack[-1].text += data

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.CommentHandler = lambda data: stack[-1].children.append(Node(COMMENT, text=data))
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError:
        return None
    return next((n for n in root.children if n.tag == "config"), None)


def read(path: Path) -> Node | None:
    """None when the file is missing, empty or not well-formed: then the server starts as freshly installed."""
    try:
        return parse(path.read_bytes())
    except OSError:
        return None


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if node.tag == COMMENT:
        yield f"{pad}<!--{node.text}-->"
        return
    attrs = "".join(f" {k}={quoteattr(v)}" for k, v in node.attrs.items())
    if node.tag == "variable":
        yield f"{pad}<variable{attrs}>{escape(node.text)}</variable>"
        return
    yield f"{pad}<{node.tag}{attrs}>"
    for child in node.children:
        yield from _lines(child, depth + 1)
    yield f"{pad}</{node.tag}>"


def render(document: Node, how: FileSwitches) -> bytes:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>'] if how.cfg_declaration else []
    lines += _lines(document, 0)
    eol = "\r\n" if how.cfg_eol == "crlf" else "\n"
    return (b"\xef\xbb\xbf" if how.cfg_bom else b"") + (eol.join(lines) + eol).encode()


def write(path: Path, document: Node, how: FileSwitches) -> None:
    """In place (owner, mode and symbolic links stay); what was there goes to .bak first."""
    if path.exists():
        shutil.copy2(path, path.with_name(path.name + ".bak"))
    created = not path.exists()
    path.write_bytes(render(document, how))
    if created:
        path.chmod(0o600)
