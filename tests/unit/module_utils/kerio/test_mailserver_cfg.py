# SPDX-License-Identifier: GPL-3.0-or-later
"""The editor of mailserver.cfg: one text changes, every other byte stays."""

from __future__ import annotations

import pytest

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
