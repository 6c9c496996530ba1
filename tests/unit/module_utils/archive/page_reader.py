# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a report's page by the rules of HTML, and holds every figure and name that it shows against the JSON."""

from __future__ import annotations

import datetime
import re
import typing as t
from xml.etree.ElementTree import Element

import html5lib

Data = dict[str, t.Any]
UNITS = {"bytes": 1, "byte": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
# What a page must not show as it is: it would break HTML, or turn the text around it.
REPLACED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def parse(page: str) -> Element:
    """The tree of a page; the first thing that is no HTML is an error."""
    parser = html5lib.HTMLParser(html5lib.getTreeBuilder("etree"), strict=True, namespaceHTMLElements=False)
    tree = parser.parse(page)
    for element in tree.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return t.cast(Element, tree)


def text_of(element: Element) -> str:
    return "".join(element.itertext()).strip()


def resolve(report: t.Any, pointer: str) -> t.Any:
    """What a JSON pointer (RFC 6901) leads to."""
    for part in pointer.strip("/").split("/") if pointer.strip("/") else ():
        key = part.replace("~1", "/").replace("~0", "~")
        report = report[int(key)] if isinstance(report, list) else report[key]
    return report


class Reader:
    """Walks a page. ``shown``: the pointers of all that it shows; ``wrong``: what is not as the JSON says, or points nowhere."""

    def __init__(self, page: str, report: Data, sentence: str) -> None:
        self.tree = parse(page)
        self.shown: list[str] = []
        self.wrong: list[str] = []
        self._report, self._sentence = report, sentence
        self._walk(self.tree, "/")

    def _walk(self, element: Element, where: str) -> None:
        if not isinstance(element.tag, str) or element.tag == "style":
            return
        where = joined(where, element.get("data-at", ""))
        if self._is_told(element, where):
            return
        own = [element.text, *(child.tail for child in element)]
        self.wrong += [f"{where}: {text.strip()!r}" for text in own if text and re.search(r"\d", text)]
        for child in element:
            self._walk(child, where)

    def _is_told(self, element: Element, where: str) -> bool:
        """Whether the element says what it shows; then that is compared."""
        text = text_of(element)
        if (path := element.get("data-n") or element.get("data-s")) is not None:
            pointer = joined(where, path)
            self.shown.append(pointer)
            self._compare(text, resolve(self._report, pointer), element, pointer)
        elif "data-name" in element.attrib:
            hosts = {*self._report["servers"], *self._report["archive_hosts"]}
            named = resolve_host(where)
            self._must(text == named if named else text in hosts, element, where)
        elif "data-key" in element.attrib:
            self._must(text in resolve(self._report, joined(where, "spared")), element, where)
        elif "data-server" in element.attrib:
            self._must(text in servers_of(self._report), element, where)
        elif not {"data-more", "data-rows", "data-tick", "data-duration"}.isdisjoint(element.attrib):
            pass  # looked at by tests of their own
        elif "data-sentence" in element.attrib or element.tag == "title":
            self._must(text == self._sentence, element, where)
        else:
            return False
        return True

    def _compare(self, text: str, value: t.Any, element: Element, pointer: str) -> None:
        kind = element.get("data-as", "count" if element.get("data-n") else "text")
        if kind == "clause":
            value, kind = value.split("; ")[0], "text"
        if kind == "text":
            self._must(text == REPLACED.sub("\ufffd", str(value)).strip(), element, pointer)
        elif kind == "size":
            self._must(is_size(text, value), element, pointer)
        elif kind in ("moment", "day"):
            shape = "%Y-%m-%d %H:%M UTC" if kind == "moment" else "%Y-%m-%d"
            self._must(datetime.datetime.fromtimestamp(value, datetime.UTC).strftime(shape) == text, element, pointer)
        else:
            number = len(value) if isinstance(value, list) else value
            self._must(text == (f"{number:,}" if kind == "count" else str(number)), element, pointer)

    def _must(self, right: bool, element: Element, pointer: str) -> None:
        if not right:
            self.wrong.append(f"{pointer}: {text_of(element)!r}")


def joined(where: str, path: str) -> str:
    return path if path.startswith("/") else f"{where.rstrip('/')}/{path}" if path else where


def servers_of(report: Data) -> set[str]:
    """The names by which archive hosts know servers."""
    hosts = report["archive_hosts"].values()
    return {one["server"] for host in hosts for one in (*host["stale"], *host["archive"].get("mailboxes", []))}


def resolve_host(where: str) -> str:
    """The host that a pointer goes through, "" for none."""
    parts = where.strip("/").split("/")
    return parts[1].replace("~1", "/").replace("~0", "~") if parts[0] in ("servers", "archive_hosts") and len(parts) > 1 else ""


def is_size(text: str, value: int) -> bool:
    """Whether ``96.0 MB`` is that many bytes, rounded to what is shown."""
    number, unit = text.replace(",", "").split()
    step = UNITS[unit] * (0.1 if "." in number else 1)
    return abs(float(number) * UNITS[unit] - value) <= step / 2
