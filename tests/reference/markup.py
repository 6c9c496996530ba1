# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's markup as Markdown of a page, with links to the other pages of the reference."""

from __future__ import annotations

import json
import posixpath
import re
import typing as t
from pathlib import PurePosixPath

from antsibull_docs_parser import dom, parser

from tests.reference import sources

DOCS = PurePosixPath("docs")
REFERENCE = DOCS / "reference"
PAGE = re.compile(r"docs/[a-z0-9/-]+\.md")
SPECIAL = re.compile(r"([\\`*<\[\]|]|(?<!\w)_|_(?!\w))")


def code(value: object) -> str:
    """Return a code span that also stands in a table, where a bar would end the cell."""
    text = (value if isinstance(value, str) else json.dumps(value)).replace("|", "\\|")
    if not text:
        return '`""`'
    return f"`` {text} ``" if "`" in text else f"`{text}`"


class Markup:
    """``page`` is the page that is written, from the root of the checkout; ``name`` is the module or role that it describes."""

    def __init__(self, page: PurePosixPath, kind: str = "", name: str = "") -> None:
        self.page = page
        full_name = f"mailops.kerio.{name}"
        plugin = dom.PluginIdentifier(full_name, kind) if kind else None
        self.context = parser.Context(plugin, "main" if kind == "role" else None)

    def link(self, text: str, target: PurePosixPath | str) -> str:
        return f"[{text}]({posixpath.relpath(str(target), str(self.page.parent))})"

    def entry(self, kind: str, name: str) -> str:
        """Return a link to the page of a module, role, filter or playbook."""
        return self.link(f"`{name}.yml`" if kind == "playbooks" else f"`{name}`", REFERENCE / kind / f"{name}.md")

    def paragraphs(self, text: str | list[str]) -> list[str]:
        """Return the paragraphs of a description. Raises ValueError where the markup is wrong."""
        return ["".join(map(self._part, part)).strip() for part in parser.parse(text, self.context, errors="exception")]

    def plain(self, text: str) -> str:
        """Return text that has no markup but names of pages, such as a comment."""
        parts: list[str] = []
        end = 0
        for found in PAGE.finditer(text):
            parts += [SPECIAL.sub(r"\\\1", text[end : found.start()]), self._page_link(found[0])]
            end = found.end()
        return "".join([*parts, SPECIAL.sub(r"\\\1", text[end:])])

    def cell(self, text: str | list[str]) -> str:
        return "<br>".join(" ".join(paragraph.split()) for paragraph in self.paragraphs(text))

    def _page_link(self, path: str) -> str:
        return self.link(path.removeprefix("docs/"), path)

    def _part(self, part: dom.AnyPart) -> str:
        match part:
            case dom.CodePart(text) if PAGE.fullmatch(text):
                return self._page_link(text)
            case dom.CodePart(text) | dom.OptionValuePart(text) | dom.EnvVariablePart(text):
                return code(text)
            case dom.OptionNamePart() | dom.ReturnValuePart():
                return self._option(part)
            case dom.ModulePart(fqcn):
                return self._plugin(fqcn, "module")
            case dom.PluginPart(plugin):
                return self._plugin(plugin.fqcn, plugin.type)
            case dom.TextPart(text):
                return self.plain(text)
            case dom.BoldPart(text):
                return f"**{self.plain(text)}**"
        message = f"{self.page}: markup of the kind {part.type} has no Markdown yet"
        raise ValueError(message)

    def _option(self, part: dom.OptionNamePart | dom.ReturnValuePart) -> str:
        told = code(part.name if part.value is None else f"{part.name}={part.value}")
        if part.plugin is None or part.plugin == self.context.current_plugin:
            return told
        return f"{told} of {self._plugin(part.plugin.fqcn, part.plugin.type)}"

    def _plugin(self, fqcn: str, kind: str) -> str:
        name = fqcn.removeprefix("mailops.kerio.")
        known = {"module": sources.MODULES, "role": sources.ROLES, "filter": sources.FILTERS}.get(kind, ())
        return self.entry(f"{kind}s", name) if name in known else code(fqcn)


class Row(t.NamedTuple):
    """One option, return value or variable of a table."""

    name: str
    kind: str
    default: str
    description: str


def kind_of(option: sources.Document) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else str(kind)


def rows(options: sources.Document, markup: Markup, above: str = "") -> t.Iterator[Row]:
    """Yield every option and, below it, those inside of it, by the path that Ansible's markup uses."""
    for name, option in options.items():
        told = markup.cell(option["description"])
        if "choices" in option:
            told += f" One of {', '.join(map(code, option['choices']))}."
        default = "**required**" if option.get("required") else code(option["default"]) if "default" in option else ""
        yield Row(code(above + name), kind_of(option), default, told)
        inside = option.get("suboptions", option.get("options", option.get("contains", {})))
        yield from rows(inside, markup, f"{above}{name}{'[]' if option.get('type') == 'list' else ''}.")
