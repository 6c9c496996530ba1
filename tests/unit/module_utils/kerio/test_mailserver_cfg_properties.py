# SPDX-License-Identifier: GPL-3.0-or-later
"""The editor of mailserver.cfg on any file with any value: one text changes, everything else stays equal to the byte."""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Document, Selector
from tests.unit.module_utils.kerio.cfg_files import TEXTS, Drawn, Place, files, values

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# Another list of variables, by another parser that has no idea of places: (name, text) in order.
Told = t.List[t.Tuple[t.Optional[str], str]]


def told_by_another(data: bytes) -> Told:
    return [(element.get("name"), element.text or "") for element in ET.fromstring(data).iter("variable")]


def everything_else(data: bytes, number: int) -> str:
    """Return the whole tree as another parser writes it, comments and all, without the text of one variable."""
    root = ET.fromstring(data, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True, insert_pis=True)))
    list(root.iter("variable"))[number].text = "the one"
    return ET.tostring(root, encoding="unicode")


def chosen(drawn: Drawn, which: int) -> tuple[int, Place, Selector]:
    """Return the number of a variable that may be edited, the variable, and a selector for it: by name or by path."""
    free = [(number, place) for number, place in enumerate(drawn.places) if not place.listed]
    number, place = free[which % len(free)]
    by_path = which % 2 == 0 and "/" not in place.name and place.path == place.path.strip("/")
    return number, place, Selector(path=place.path) if by_path else Selector(name=place.name)


@settings(QUICK, max_examples=800)
@given(drawn=files(), value=TEXTS, which=st.integers(0, 9))
def test_any_file_any_value_everything_else_equal_to_the_byte(drawn: Drawn, value: str, which: int) -> None:
    data = drawn.data
    number, place, selector = chosen(drawn, which)
    document = Document(data, "cfg")
    assert [(found.path, found.value) for found in document.variables] == values(drawn)
    assert document.get(selector) == place.value

    changed = document.replace(selector, value)

    head, tail = drawn.mark + drawn.encode(place.before), drawn.encode(place.after)
    assert changed.data.startswith(head)
    assert changed.data.endswith(tail)
    written = changed.data[len(head) : len(changed.data) - len(tail)].decode(drawn.codec)
    if value == place.value:
        assert changed.data == data
    elif place.self_closing:
        assert (written[:1], written[-11:]) == (">", "</variable>")
        written = written[1:-11]
    # Nothing but text and references was written: no element, comment or section.
    assert "<" not in written or value == place.value
    # It reads back, here and elsewhere, and so do all the others.
    assert changed.get(selector) == value
    expected = values(drawn)
    expected[number] = (place.path, value)
    assert [(found.path, found.value) for found in changed.variables] == expected
    names = [place.name for place in drawn.places]
    assert told_by_another(changed.data) == list(zip(names, [text for _path, text in expected]))
    assert everything_else(changed.data, number) == everything_else(data, number)
    # A second edit is none.
    assert Document(changed.data, "cfg").replace(selector, value).data == changed.data
    # The old value comes back, and outside of the one text the old bytes never left.
    restored = changed.replace(selector, place.value).data
    assert restored.startswith(head)
    assert told_by_another(restored) == told_by_another(data)


@settings(QUICK, max_examples=200)
@given(drawn=files(), edits=st.lists(st.tuples(st.integers(0, 9), TEXTS), min_size=2, max_size=4))
def test_edits_of_several_variables_do_not_disturb_one_another(drawn: Drawn, edits: list[tuple[int, str]]) -> None:
    document, expected = Document(drawn.data, "cfg"), values(drawn)
    for which, value in edits:
        number, place, selector = chosen(drawn, which)
        document = document.replace(selector, value)
        expected[number] = (place.path, value)
    assert [(found.path, found.value) for found in document.variables] == expected
    assert [text for _name, text in told_by_another(document.data)] == [value for _path, value in expected]


@settings(QUICK, max_examples=5)
@given(value=TEXTS, count=st.integers(3000, 6000), where=st.integers(0, 10**6))
def test_huge_file(value: str, count: int, where: int) -> None:
    lines = [f'    <variable name="V{number}">{"y" * (number % 200)}</variable>\r\n' for number in range(count)]
    data = ("<config>\r\n" + "".join(lines) + "</config>\r\n\r\n").encode()
    name = f"V{where % count}"
    changed = Document(data, "cfg").replace(Selector(name=name), value)
    begin = data.index(f'"{name}">'.encode()) + len(name) + 3
    end = data.index(b"</variable>", begin)
    assert changed.data[:begin] == data[:begin]
    assert changed.data[len(changed.data) - (len(data) - end) :] == data[end:]
    assert changed.get(Selector(name=name)) == value
