# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws files like mailserver.cfg piece by piece, so that each value, and where it stands, is known without a parser."""

from __future__ import annotations

import codecs
import random
import typing as t
from dataclasses import dataclass, field

from hypothesis import strategies as st

# (declared encoding, codec, byte order mark)
ENCODINGS = [
    ("UTF-8", "utf-8", b""),
    ("utf-8", "utf-8", codecs.BOM_UTF8),
    (None, "utf-8", b""),
    (None, "utf-8", codecs.BOM_UTF8),
    ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
    ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
    (None, "utf-16-le", codecs.BOM_UTF16_LE),
    ("ISO-8859-1", "latin-1", b""),
    ("US-ASCII", "ascii", b""),
    ("windows-1252", "cp1252", b""),
]
TRICKY = [
    "0", "1", "", "é", "€", "ü&", "<", ">", "]]>", "]]", '"', "'", "/>", "\t", "\n", "\r", "\r\n", "\U0001f600", " ", "--",
    "\x85", "\u2028", "&amp;", "&#65;", "</variable>", "<![CDATA[", "<!--", '<variable name="N">1</variable>', "x" * 3000,
]  # fmt: skip
# What XML 1.0 can carry at all.
ANY_CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\ufffe", "\uffff"])
TEXTS = st.lists(st.sampled_from(TRICKY) | st.text(ANY_CHARACTER, max_size=6), max_size=4).map("".join)
EOLS = ["\n", "\r\n", "\r"]
NAMES = st.text("abXY09_-. é&<", min_size=1, max_size=5)
DECOYS = [
    '<!-- <variable name="N">decoy</variable> -->', "<!--\r\n-->", "<?php <variable name='N'>1</variable> ?>", "<b>x</b>", "<x/>",
    "<note><![CDATA[<variable name='N'>1</variable>]]></note>", "loose text", "&lt;variable&gt;",
]  # fmt: skip


@dataclass
class Place:
    """A variable: what it holds, the text of the file before and after its content, and the content."""

    path: str
    name: str
    listed: bool
    value: str
    before: str = ""
    content: str = ""
    after: str = ""
    self_closing: bool = False


@dataclass
class Drawn:
    """A file: its encoding, its whole text, and its variables in order. ``data`` are its bytes."""

    codec: str
    mark: bytes
    text: str = ""
    places: list[Place] = field(default_factory=list)

    def encode(self, text: str) -> bytes:
        return text.encode(self.codec)

    @property
    def data(self) -> bytes:
        return self.mark + self.encode(self.text)


@dataclass
class _Writer:
    """Writes the pieces; ``chance`` decides about single characters, which would take too long to draw."""

    draw: st.DrawFn
    codec: str
    chance: random.Random
    out: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    starts: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def write(self, text: str) -> None:
        self.out.append(text)
        self.length += len(text)

    def plain(self, text: str) -> str:
        """Return what the encoding can hold, for where no reference is possible."""
        return text.encode(self.codec, "ignore").decode(self.codec)

    def gap(self) -> None:
        self.write("".join(self.chance.choices(["", " ", "\t", *EOLS, *DECOYS], k=self.chance.randrange(4))))

    def quoted(self, text: str) -> str:
        """Return an attribute's value in quotes, some characters as references."""
        quote = self.chance.choice("'\"")
        escaped = "".join(self.character(char, {"<", "&", quote}) for char in text)
        return f"{quote}{escaped}{quote}"

    def character(self, char: str, needed: set[str]) -> str:
        """Return a character as itself or, where needed or drawn, as one of its references."""
        holds = self.plain(char) == char
        if holds and char not in needed and (ord(char) > 127 or self.chance.random() > 0.1):
            return char
        named = {"<": "&lt;", "&": "&amp;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
        forms = [f"&#{ord(char)};", f"&#x{ord(char):x};", f"&#x{ord(char):X};"] + ([named[char]] if char in named else [])
        return self.chance.choice(forms)

    def start_tag(self, tag: str, name: str) -> None:
        choice = self.chance.choice
        attributes = [f"name{choice(['=', ' = '])}{self.quoted(name)}"]
        attributes += self.chance.sample(['a="/>"', "b='>'", 'c=""', 'type="name"'], self.chance.randrange(3))
        self.chance.shuffle(attributes)
        self.write(f"<{tag}" + "".join(choice([" ", "\n", "  ", "\r\n\t"]) + one for one in attributes))
        self.write(choice(["", " ", "\n"]))

    def variable(self, path: str, name: str, listed: bool) -> None:
        self.start_tag("variable", name)
        form = self.chance.choice(["text", "text", "cdata", "empty"])
        if form == "empty":
            self.places.append(Place(path, name, listed, "", self_closing=True))
            self.starts.append((self.length, self.length + 2))
            self.write("/>")
            return
        self.write(">")
        begin = self.length
        value = self.cdata() if form == "cdata" else self.content()
        self.places.append(Place(path, name, listed, value))
        self.starts.append((begin, self.length))
        self.write(f"</variable{self.chance.choice(['', ' ', chr(10)])}>")

    def content(self) -> str:
        """Write text with references and line ends of all kinds; return what it means."""
        value = self.draw(TEXTS)
        # A carriage return that is no reference, and the pair, mean a line feed.
        eol = self.chance.choice(EOLS)
        self.write("".join(eol if char == "\n" else self.character(char, {"<", "&", ">", "\r"}) for char in value))
        return value

    def cdata(self) -> str:
        value = self.plain(self.draw(TEXTS).replace("]]>", "").replace("\r", ""))
        self.write(f"<![CDATA[{value}]]>" if "]]>" not in value else "")
        return value if "]]>" not in value else ""


@st.composite
def files(draw: st.DrawFn) -> Drawn:
    """A file with tables in tables, lists, and variables whose names are all different from those of the list items."""
    declared, codec, mark = draw(st.sampled_from(ENCODINGS))
    writer = _Writer(draw, codec, random.Random(draw(st.integers(0, 2**32))))
    if declared:
        quote = writer.chance.choice("'\"")
        writer.write(f"<?xml version={quote}1.0{quote} encoding={quote}{declared}{quote}?>{writer.chance.choice(EOLS)}")
    writer.write(draw(st.sampled_from(["", "\n", "<!-- <variable name='N'>decoy</variable> -->"])))
    writer.write(draw(st.sampled_from(["<config>", "<config a='1'>", "<config\n>"])))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    for number, name in enumerate(names):
        tables = [f"T{number}", "Sub", "Sub"][: draw(st.integers(0, 3))]
        for table in tables:
            writer.start_tag("table", table)
            writer.write(">")
            writer.gap()
        writer.variable("/".join([*tables, name]), name, False)
        for _table in tables:
            writer.gap()
            writer.write("</table>")
        writer.gap()
    if draw(st.booleans()):
        writer.write("<list name='L'><listitem>")
        writer.variable("L[1]/item", "item", True)
        writer.write("</listitem></list>")
    writer.write(
        "</config>" + "".join(draw(st.lists(st.sampled_from(["\n", "\r\n ", " ", "<!-- z -->", "<?x y?>"]), max_size=3)))
    )
    drawn = Drawn(codec, mark, "".join(writer.out), writer.places)
    for place, (begin, end) in zip(writer.places, writer.starts):
        place.before, place.content, place.after = drawn.text[:begin], drawn.text[begin:end], drawn.text[end:]
    return drawn


def values(drawn: Drawn) -> list[tuple[str, t.Any]]:
    """Return the paths and values in the order of the file."""
    return [(place.path, place.value) for place in drawn.places]
