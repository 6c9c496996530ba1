# SPDX-License-Identifier: GPL-3.0-or-later
"""The editor of mailserver.cfg: one text changes, every other byte stays."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax import saxutils

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.errors import CfgError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Document, Selector

DECLARATION = '<?xml version="1.0" encoding="{}"?>\n'
BODY = """<!-- <variable name="Delete">comment</variable> -->
<config version='3'   extra = "1">
  <table name="Imap">
    <variable name="Delete">1</variable>
    <table name="Sub"><variable name="Port">143</variable></table>
    <variable\tname='Spaced' >a &amp; b</variable >
    <variable name="Raw"><![CDATA[<1>]]></variable>
    <variable name="Short" />
    <variable name="Empty"></variable>
    <variable name="Commented">1<!-- why --></variable>
    <variable name="Nested">1<b/></variable>
  </table>
  <table name="Pop3"><variable name="Port">110</variable></table>
  <list name="Service">
    <listitem><variable name="Port">25</variable><variable name="Kind">smtp</variable></listitem>
    <listitem><variable name="Kind">imap</variable></listitem>
  </list>
  <variable name="Top">x</variable>
</config>
<!-- end -->

"""
DELETE = Selector(name="Delete")


def text(body: str = BODY, encoding: str = "UTF-8") -> bytes:
    return (DECLARATION.format(encoding) + body).encode("utf-8")


def test_only_the_value_changes() -> None:
    document = Document(text(), "cfg").replace(DELETE, "0")
    assert document.data == text().replace(b'"Delete">1<', b'"Delete">0<')
    assert document.get(DELETE) == "0"


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        (Selector(path="Imap/Delete"), "1"),
        (Selector(path="/Imap/Delete"), "1"),
        (Selector(path="Imap/Sub/Port"), "143"),
        (Selector(path="Pop3/Port"), "110"),
        (Selector(path="Top"), "x"),
        (Selector(name="Spaced"), "a & b"),
        (Selector(name="Raw"), "<1>"),
        (Selector(name="Short"), ""),
        (Selector(name="Empty"), ""),
    ],
)
def test_values_are_found_by_name_and_by_path(selector: Selector, value: str) -> None:
    assert Document(text(), "cfg").get(selector) == value


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("Spaced", b">a &amp; b</variable >", b">x &lt;&amp;&gt; y</variable >"),
        ("Raw", b"><![CDATA[<1>]]></variable>", b">x &lt;&amp;&gt; y</variable>"),
        ("Short", b'"Short" />', b'"Short" >x &lt;&amp;&gt; y</variable>'),
        ("Empty", b'"Empty"></variable>', b'"Empty">x &lt;&amp;&gt; y</variable>'),
    ],
)
def test_new_value_is_escaped_and_a_self_closing_tag_is_opened(name: str, before: bytes, after: bytes) -> None:
    assert text().count(before) == 1
    changed = Document(text(), "cfg").replace(Selector(name=name), "x <&> y")
    assert changed.data == text().replace(before, after)
    assert changed.get(Selector(name=name)) == "x <&> y"


@pytest.mark.parametrize("name", ["Raw", "Short", "Delete", "Spaced"])
def test_same_value_leaves_the_bytes_alone(name: str) -> None:
    document = Document(text(), "cfg")
    assert document.replace(Selector(name=name), document.get(Selector(name=name))) is document


@pytest.mark.parametrize(
    ("selector", "cause", "hits"),
    [
        (Selector(name="Missing"), "there is no variable 'Missing' in it", []),
        (
            Selector(path="Pop3/Delete"),
            "there is no variable 'Pop3/Delete' in it; there is Imap/Delete (line 5)",
            [],
        ),
        (
            Selector(name="Port"),
            "variable 'Port' occurs 3 times: Imap/Sub/Port (line 6), Pop3/Port (line 14), Service[1]/Port (line 16)",
            ["Imap/Sub/Port (line 6)", "Pop3/Port (line 14)", "Service[1]/Port (line 16)"],
        ),
        (
            Selector(name="Kind"),
            "variable 'Kind' is part of the list Service: Service[1]/Kind (line 16), Service[2]/Kind (line 17)",
            ["Service[1]/Kind (line 16)", "Service[2]/Kind (line 17)"],
        ),
        (
            Selector(path="Service[2]/Kind"),
            "variable 'Service[2]/Kind' is part of the list Service: Service[2]/Kind (line 17)",
            ["Service[2]/Kind (line 17)"],
        ),
        (
            Selector(name="Commented"),
            "Imap/Commented (line 11) holds comments or elements, not plain text",
            ["Imap/Commented (line 11)"],
        ),
        (
            Selector(name="Nested"),
            "Imap/Nested (line 12) holds comments or elements, not plain text",
            ["Imap/Nested (line 12)"],
        ),
    ],
)
def test_variable_that_is_not_the_one_is_refused_with_its_lines(selector: Selector, cause: str, hits: list[str]) -> None:
    document = Document(text(), "cfg")
    for attempt in (lambda: document.get(selector), lambda: document.replace(selector, "1")):
        with pytest.raises(CfgError) as caught:
            attempt()
        assert (caught.value.subject, caught.value.cause, caught.value.details["hits"]) == ("cfg", cause, hits)


def test_path_that_occurs_twice_is_refused() -> None:
    table = '<table name="A"><variable name="X">1</variable></table>'
    body = f"<config>{table}\n{table}</config>"
    with pytest.raises(CfgError, match=r"occurs 2 times: A/X \(line 1\), A/X \(line 2\)"):
        Document(body.encode(), "cfg").replace(Selector(path="A/X"), "2")


def test_many_hits_are_shortened() -> None:
    body = "<config>" + '<variable name="X">1</variable>' * 15 + "</config>"
    with pytest.raises(CfgError, match=r"and 5 more\."):
        Document(body.encode(), "cfg").get(Selector(name="X"))


@pytest.mark.parametrize(
    "data", [b"", b"<config>", b"plain", b"<config/>\0\0", b'<?xml version="1.0" encoding="klingon"?><config/>', b"<a>\xff</a>"]
)
def test_file_that_is_not_xml_is_refused(data: bytes) -> None:
    with pytest.raises(CfgError, match="it is not well-formed XML"):
        Document(data, "cfg")


def test_file_with_entities_is_refused() -> None:
    with pytest.raises(CfgError, match="it declares the entity x"):
        Document(b"<!DOCTYPE config [<!ENTITY x \"<variable name='A'>1</variable>\">]><config>&x;</config>", "cfg")


@pytest.mark.parametrize("value", ["\0", "a\x0bb", "\ufffe", "\ud800"])
def test_value_that_xml_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(CfgError, match="characters that XML cannot hold"):
        Document(text(), "cfg").replace(DELETE, value)


def test_no_message_quotes_a_value() -> None:
    body = '<config><variable name="P">not-a-secret-1</variable><variable name="P">not-a-secret-2</variable>\n'
    whole = Document((body + "</config>").encode(), "cfg")
    for broken in (lambda: whole.get(Selector(name="P")), lambda: Document(body.encode(), "cfg")):
        with pytest.raises(CfgError) as caught:
            broken()
        assert "not-a-secret" not in str(caught.value) + repr(caught.value.details)
    assert "not-a-secret" not in repr(whole.variables)


ENCODINGS = [
    ("UTF-8", "utf-8"),
    ("UTF-8", "utf-8-sig"),
    (None, "utf-8"),
    ("UTF-16", "utf-16"),
    (None, "utf-16"),
    ("ISO-8859-1", "latin-1"),
    ("US-ASCII", "ascii"),
    ("windows-1252", "cp1252"),
]
# Names and values that a file may hold; the tricky ones are drawn often.
PIECES = st.sampled_from(
    ["a", "0", "é", "€", "ü&", "<", ">", "]]>", '"', "'", "/>", "\t", "\U0001f600", " ", "--", "</variable>"]
)
NAMES = st.text("abcXYZ019_-.", min_size=1, max_size=6)
GAPS = st.sampled_from(["", " ", "\r\n", "\n\t", "<!-- x <variable name='N'>y</variable> -->", "<?php x?>", "\r\n  "])
XML_TEXT = st.lists(PIECES, max_size=5).map("".join)


@st.composite
def variables(draw: st.DrawFn, name: str) -> str:
    value = draw(XML_TEXT)
    quote = draw(st.sampled_from(["'", '"']))
    space = draw(st.sampled_from([" ", "\n", "  "]))
    attributes = f"{space}name={quote}{name}{quote}" + draw(st.sampled_from(["", " ", ' a="/>"', " b='>'"]))
    if draw(st.booleans()) and "]]>" not in value:
        return f"<variable{attributes}><![CDATA[{value}]]></variable>"
    if value == "" and draw(st.booleans()):
        return f"<variable{attributes}/>"
    return f"<variable{attributes}>{saxutils.escape(value)}</variable{draw(st.sampled_from(['', ' ']))}>"


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return the text of a file, and the unique names of the variables in its tables."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    parts = []
    for name in names:
        opened, closed = draw(
            st.sampled_from(
                [("", ""), ('<table name="T">', "</table>"), ('<table name="T"><table name="S">', "</table></table>")]
            )
        )
        parts.append(opened + draw(GAPS) + draw(variables(name)) + draw(GAPS) + closed)
    parts.append('<list name="L"><listitem>' + draw(variables("item")) + "</listitem></list>")
    body = draw(GAPS).join(draw(st.permutations(parts)))
    root = draw(st.sampled_from(["<config>", "<config a='1'>"]))
    return root + body + "</config>" + draw(st.sampled_from(["", "\n", "\r\n \n", "<!-- z -->"])), names


def values_by_another_parser(data: bytes) -> list[tuple[str | None, str]]:
    return [(element.get("name"), element.text or "") for element in ET.fromstring(data).iter("variable")]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn=files(),
    encoding=st.sampled_from(ENCODINGS),
    value=XML_TEXT | st.sampled_from(["0", "1", "", "\r\n", "\x85", "\x80"]),
    which=st.integers(0, 5),
)
def test_any_file_any_value_everything_else_equal_to_the_byte(
    drawn: tuple[str, list[str]], encoding: tuple[str | None, str], value: str, which: int
) -> None:
    body, names = drawn
    declared, codec = encoding
    name = names[which % len(names)]
    head = f"<?xml version='1.0' encoding=\"{declared}\"?>\r\n" if declared else ""
    data = (head + body).encode(codec, "xmlcharrefreplace") if "CDATA" not in body else (head + body).encode(codec, "ignore")
    document = Document(data, "cfg")
    variable = document.find(Selector(name=name))

    changed = document.replace(Selector(name=name), value)

    assert changed.data.startswith(data[: variable.start])
    assert changed.data.endswith(data[variable.end :])
    before, after = values_by_another_parser(data), values_by_another_parser(changed.data)
    assert after == [(key, value if key == name else old) for key, old in before]
    middle = changed.data[variable.start : len(changed.data) - len(data[variable.end :])]
    assert b"<variable" not in middle
    again = changed.replace(Selector(name=name), document.get(Selector(name=name)))
    assert values_by_another_parser(again.data) == before
