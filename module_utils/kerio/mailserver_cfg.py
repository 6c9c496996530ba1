# SPDX-License-Identifier: GPL-3.0-or-later
"""A byte-preserving editor for mailserver.cfg: the text of one variable changes, every other byte stays what it was.

The file is XML: ``config`` holds ``table`` (named, may nest) and ``list`` (of ``listitem``), these hold ``variable``, and every
value is element text. Its encoding, line ends and root attributes are not documented, so nothing is serialised anew: expat
tells where the text stands. The file holds secrets; no message quotes a value that was not asked for.
"""

from __future__ import annotations

import codecs
import re
import typing as t
from dataclasses import dataclass, field
from xml.parsers import expat

from ansible_collections.mailops.kerio.plugins.module_utils.errors import CfgError
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

# What XML 1.0 does not allow even as a character reference.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_SHOWN_HITS = 10


@dataclass(frozen=True)
class Selector:
    """Which variable is meant: by ``name``, which must be unique in the file, or by ``path`` (``Table/Sub/Name``)."""

    name: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"variable {self.name if self.path is None else self.path!r}"

    def matches(self, variable: Variable) -> bool:
        if self.path is not None:
            return variable.path == self.path.strip("/")
        return variable.name == self.name


@dataclass(frozen=True)
class Variable:
    """One ``variable`` element. ``start`` and ``end`` are the byte offsets of its content; of a self-closing tag, of its ``/>``.

    ``listed`` names the list that it is an item of. ``value`` is None when there is markup between its tags.
    """

    name: str
    path: str
    line: int
    listed: str | None
    self_closing: bool
    tag: str
    start: int
    end: int
    value: str | None = field(repr=False)


class Document:
    """A parsed mailserver.cfg; ``label`` names the file in errors. Raises ``CfgError`` when it is not well-formed XML."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        reader = _Reader(data, label)
        self.encoding = reader.encoding
        self.variables: t.Sequence[Variable] = reader.variables

    def find(self, selector: Selector) -> Variable:
        """Return the one variable that is meant; raises ``CfgError`` with ``details['hits']`` when there is none or several."""
        hits = [variable for variable in self.variables if selector.matches(variable)]
        places = [f"{hit.path} (line {hit.line})" for hit in hits]
        if not hits:
            cause = f"there is no {selector} in it" + self._elsewhere(selector)
            remedy = "Check the spelling and the server's version; a variable is never added, because its place is not known"
            raise CfgError(self.label, cause, remedy, hits=places)
        lists = sorted({hit.listed for hit in hits if hit.listed is not None})
        if lists and all(hit.listed for hit in hits):
            cause = f"{selector} is part of the list {', '.join(lists)}: {some(places, _SHOWN_HITS)}"
            raise CfgError(self.label, cause, "Name a variable of a table; list items belong to the admin API", hits=places)
        if len(hits) > 1:
            cause = f"{selector} occurs {len(hits)} times: {some(places, _SHOWN_HITS)}"
            remedy = "Give the path of the one that is meant" if selector.path is None else "Remove the duplicate by hand"
            raise CfgError(self.label, cause, remedy, hits=places)
        if hits[0].value is None:
            cause = f"{places[0]} holds comments or elements, not plain text"
            raise CfgError(self.label, cause, "Look at that line; only plain values are edited", hits=places)
        return hits[0]

    def get(self, selector: Selector) -> str:
        """Return the value of the one variable that is meant; raises ``CfgError`` as ``find`` does."""
        return self.find(selector).value or ""

    def replace(self, selector: Selector, value: str) -> Document:
        """Return the document with another value; itself when the value is the same already."""
        variable = self.find(selector)
        if variable.value == value:
            return self
        text = self._escaped(selector, value)
        if variable.self_closing:
            text = f">{text}</{variable.tag}>"
        content = text.encode(self.encoding, "xmlcharrefreplace")
        changed = Document(self.data[: variable.start] + content + self.data[variable.end :], self.label)
        self._prove(changed, variable, value)
        return changed

    def _prove(self, changed: Document, variable: Variable, value: str) -> None:
        def content(document: Document) -> list[tuple[str, str | None, str | None]]:
            return [(item.path, item.listed, item.value) for item in document.variables]

        wanted = content(self)
        wanted[self.variables.index(variable)] = (variable.path, variable.listed, value)
        if content(changed) != wanted:
            raise CfgError(self.label, f"the edit of {variable.path} would change more than that", "Report this as a bug")

    def _escaped(self, selector: Selector, value: str) -> str:
        if _NOT_XML.search(value):
            raise CfgError(self.label, f"the new value of {selector} has characters that XML cannot hold", "Use plain text")
        return re.sub("[&<>\r]", lambda match: _ESCAPES[match.group()], value)

    def _elsewhere(self, selector: Selector) -> str:
        """Return where a variable of the same name stands when the path is wrong."""
        if selector.path is None:
            return ""
        name = selector.path.rpartition("/")[2]
        places = [f"{variable.path} (line {variable.line})" for variable in self.variables if variable.name == name]
        return f"; there is {some(places, _SHOWN_HITS)}" if places else ""


@dataclass
class _Open:
    """An element whose end tag has not come yet; ``content`` is the offset of the first byte after its start tag."""

    tag: str
    name: str
    line: int
    items: int = 0
    content: int | None = None
    text: list[str] | None = field(default_factory=list)


class _Reader:
    """Walks the file once; every event also closes the start tag before it, which is how the content's offset is known."""

    def __init__(self, data: bytes, label: str) -> None:
        self.variables: list[Variable] = []
        self.encoding = _encoding_by_mark(data)
        self._data = data
        self._label = label
        self._stack: list[_Open] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.XmlDeclHandler = self._declaration
        parser.EntityDeclHandler = self._entity
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartCdataSectionHandler = self._after_tag
        parser.EndCdataSectionHandler = self._after_tag
        parser.CommentHandler = self._markup
        parser.ProcessingInstructionHandler = self._markup
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            remedy = "Restore the file from a backup, for example mailserver.cfg.bak"
            raise CfgError(label, f"it is not well-formed XML: {error}", remedy) from error

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and not self.encoding.startswith("utf-16"):
            self.encoding = codecs.lookup(encoding).name

    def _entity(self, name: str, *_rest: t.Any) -> None:
        raise CfgError(self._label, f"it declares the entity {name}", "Write the text out; Kerio Connect needs no entities")

    def _after_tag(self) -> None:
        if self._stack and self._stack[-1].content is None:
            self._stack[-1].content = self._parser.CurrentByteIndex

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._after_tag()
        if self._stack:
            self._stack[-1].items += 1
            self._stack[-1].text = None
        name = f"[{self._stack[-1].items}]" if tag == "listitem" and self._stack else attributes.get("name", tag)
        self._stack.append(_Open(tag, name, self._parser.CurrentLineNumber))

    def _text(self, text: str) -> None:
        self._after_tag()
        if self._stack and self._stack[-1].text is not None:
            self._stack[-1].text.append(text)

    def _markup(self, *_content: str) -> None:
        self._after_tag()
        if self._stack:
            self._stack[-1].text = None

    def _end(self, _tag: str) -> None:
        self._after_tag()
        element = self._stack.pop()
        if element.tag != "variable" or not self._stack:
            return
        content = t.cast("int", element.content)
        closing = "/>".encode(self.encoding)
        self_closing = content == self._parser.CurrentByteIndex and self._data[:content].endswith(closing)
        parents = self._stack[1:]
        path = "/".join([parent.name for parent in parents] + [element.name]).replace("/[", "[")
        lists = [parent.name for parent in parents if parent.tag == "list"]
        self.variables.append(
            Variable(
                name=element.name,
                path=path,
                line=element.line,
                listed=lists[0] if lists else None,
                self_closing=self_closing,
                tag=element.tag,
                start=content - len(closing) if self_closing else content,
                end=self._parser.CurrentByteIndex,
                value=None if element.text is None else "".join(element.text),
            )
        )


def _encoding_by_mark(data: bytes) -> str:
    """Return the encoding that the first bytes show, as XML 1.0 appendix F has it; UTF-8 otherwise."""
    if data.startswith((codecs.BOM_UTF16_LE, "<".encode("utf-16-le"))):
        return "utf-16-le"
    if data.startswith((codecs.BOM_UTF16_BE, "<".encode("utf-16-be"))):
        return "utf-16-be"
    return "utf-8"
