# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report: HTML without a fault, every figure that of the JSON, trouble first, long lists folded."""

from __future__ import annotations

import itertools
import re
import typing as t
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from html5lib.html5parser import ParseError

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data, report_page, report_words
from tests.unit.module_utils.archive.page_reader import Reader, parse, text_of
from tests.unit.module_utils.archive.report_scene import FINE, NOW, ODD, TEMPLATE, Facts, archive_of, crowd, facts_of

Data = dict[str, t.Any]
KEEPER = "/archive_hosts/archive1.example.com"


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return facts_of(archive_of(tmp_path_factory.mktemp("archive")))


def read(facts: Facts) -> tuple[Reader, Data]:
    report = report_data.report_of(facts, 3)
    return Reader(report_page.render(report, TEMPLATE), report, report_words.sentence(report)), report


def empty(**more: t.Any) -> Facts:
    return {"playbook": "site", "check": False, "started": NOW, "finished": NOW, **more}


def test_every_figure_and_name_is_that_of_the_json(facts: Facts) -> None:
    page, report = read(facts)
    assert page.wrong == []
    host = report["archive_hosts"]["archive1.example.com"]
    # The scene has what the page is to show, and the page shows it.
    assert report["counts"]["failures"] >= 3 and len(host["growth"]) == 3 and host["failed_messages"]
    (profile, journal) = host["profiles"]
    assert {ODD[0], "Closed"} <= {folder["name"] for one in profile["mailboxes"] for folder in one["folders"]}
    assert [one["user"] for one in host["users_without_mailbox"]] == ["carol@example.com"]
    assert [one["mailbox"] for one in host["mailboxes_without_user"]] == ["spam@example.com"]
    assert {one["address"] for one in host["unknown_addresses"]} >= {"x@example.com", "y@example.org"}
    assert journal["left"] == 2
    # What the list of messages says more of is not told twice.
    (again,) = host["message_failures"]
    assert "could not be archived" in host["failures"][again] and f"{KEEPER}/failures/{again}" not in page.shown
    wanted = {f"{KEEPER}/failures/{place}" for place in range(len(host["failures"])) if place != again}
    wanted |= {f"{KEEPER}/message_failures", "/counts/insecure"}
    wanted |= {f"/servers/mail{number}/{key}" for number in (1, 2, 3) for key in ("mailboxes", "new", "bytes")}
    wanted |= {"/servers/mail1/troubled"}
    wanted |= {f"{KEEPER}/growth/{place}/{key}" for place in range(3) for key in ("objects", "stored_bytes", "started")}
    wanted |= {f"{KEEPER}/unknown_addresses/{place}/messages" for place in range(2)}
    wanted |= {f"{KEEPER}/{key}/0/why" for key in ("users_without_mailbox", "mailboxes_without_user")}
    wanted |= {f"{KEEPER}/failed_messages/0/{key}" for key in ("folder", "uid", "reason", "acknowledge")}
    wanted |= {"/servers/mail2/failures/0", "/servers/mail3/insecure/0", "/archive_hosts/away~11/failures/0", "/counts/new"}
    for place, mailbox in enumerate(profile["mailboxes"]):
        at = f"{KEEPER}/profiles/0/mailboxes/{place}"
        wanted |= {f"{at}/{key}" for key in ("mailbox", "new", "known", "bytes")}
        wanted |= {f"{at}/folders/{number}/name" for number in range(len(mailbox["folders"]))}
    assert wanted - set(page.shown) == set()


def test_names_that_are_no_names_are_shown_as_they_are_and_break_nothing(facts: Facts) -> None:
    host = facts["archive_hosts"]["archive1.example.com"]
    (profile, journal) = host["result"]["profiles"]
    odd = [{**profile["mailboxes"][0], "mailbox": name, "error": f"NO {name}"} for name in ODD]
    result = {**host["result"], "msg": " ".join(ODD), "profiles": [{**profile, "name": ODD[1], "mailboxes": odd}, journal]}
    keeper = {**host, "failures": list(ODD), "result": result}
    page, report = read({**facts, "archive_hosts": {ODD[0]: keeper}, "servers": {ODD[1]: {**FINE, "failures": [ODD[0]]}}})
    assert page.wrong == []
    shown = {text_of(element) for element in page.tree.iter() if element.get("data-s") == "mailbox"}
    assert {ODD[0], ODD[1], ODD[3]} <= shown
    assert {name for name in shown if name not in ODD and "\ufffd" in name} == {
        ODD[2].replace("\u202e", "\ufffd"),
        ODD[4].replace("\x01", "\ufffd"),
    }
    assert all(element.tag == "bdi" for element in page.tree.iter() if element.get("data-s") in ("mailbox", "name"))
    assert report["archive_hosts"][ODD[0]]["failures"] == list(ODD)


def test_it_needs_nothing_but_itself(facts: Facts) -> None:
    page, _ = read(facts)
    for element in page.tree.iter():
        assert element.tag not in ("script", "link", "iframe", "img", "object", "embed", "base", "form")
        for name, value in element.attrib.items():
            assert not name.startswith("on") and name not in ("src", "srcset", "style"), element.attrib
            assert name != "href" or value.startswith("#")
    styles = " ".join(text_of(element) for element in page.tree.iter("style"))
    assert "url(" not in styles and "@import" not in styles and "--ink" in styles


def test_keyboard_and_screen_reader_find_their_way(facts: Facts) -> None:
    page, _ = read(facts)
    elements = list(page.tree.iter())
    levels = [int(element.tag[1]) for element in elements if re.fullmatch("h[1-6]", str(element.tag))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [element.get("id") for element in elements if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in elements:
        assert element.get("aria-labelledby", "look") in ids
        if element.tag == "table":
            assert element[0].tag == "caption" and text_of(element[0])
            assert {cell.get("scope") for cell in element.iter("th")} <= {"col", "row"}
        if element.tag == "details":
            assert element[0].tag == "summary" and text_of(element[0])
        if element.tag == "svg":
            assert element.get("role") == "img" and element.get("aria-label")
    assert page.tree.get("lang") == "en"
    links = [str(element.get("href")) for element in elements if element.tag == "a"]
    assert links[0] == "#main" and set(links) > {"#look", "#people", "#growth", "#servers", "#archives"}
    assert {link.removeprefix("#") for link in links} <= set(ids)
    # What scrolls can be reached by keyboard, and says what it is.
    scrolling = [element for element in elements if element.get("class") == "scroll"]
    assert scrolling and all(element.get("tabindex") == "0" and element.get("aria-label") for element in scrolling)


def test_trouble_comes_first(facts: Facts) -> None:
    page, _ = read(facts)
    classes = [element.get("class") for element in page.tree.iter("div") if str(element.get("class")).startswith("sheet")]
    kinds = [kind for kind in classes if kind in ("sheet bad", "sheet warn")]
    assert kinds == sorted(kinds) and len(set(kinds)) == 2
    rows = [text_of(element) for element in page.tree.iter("bdi") if element.get("data-s") == "mailbox"]
    in_tables = [name for name in rows if name in ("alice@example.com", "bob@example.com", "carol@example.com")]
    # alice has a message in quarantine and bob a folder that is closed; carol has nothing.
    assert in_tables[-1] == "carol@example.com"


def charts(page: Reader) -> t.Iterator[tuple[str, Element]]:
    for figure in page.tree.iter("figure"):
        yield str(figure.get("data-chart")), figure


def test_bars_are_as_high_as_their_axis_says(facts: Facts) -> None:
    page, report = read(facts)
    runs = report["archive_hosts"]["archive1.example.com"]["growth"]
    found = dict(charts(page))
    assert set(found) == {"objects", "stored_bytes"}
    for key, figure in found.items():
        ticks = [int(str(element.get("data-tick"))) for element in figure.iter("span") if element.get("data-tick")]
        assert ticks[0] >= max(run[key] for run in runs) and ticks[1:] == [ticks[0] // 2, 0]
        bars = list(figure.iter("rect"))
        assert len(bars) == len(runs)
        for run, bar in zip(runs, bars, strict=True):
            height, y = float(str(bar.get("height"))), float(str(bar.get("y")))
            assert height == pytest.approx(100 * run[key] / ticks[0], abs=0.01) and y == pytest.approx(100 - height, abs=0.01)
            assert (bar.get("class") == "failed") is (run["outcome"] not in ("ok", "stopped"))
    assert {run["outcome"] for run in runs} == {"ok", "problems"}


def entries(element: Element) -> int:
    """How many of something an element holds: hosts, rows of a table, or items of a list, but for those within others."""
    for tag, name in (("div", "data-at"), ("tr", "data-at"), ("li", "")):
        found = [one for one in element.iter(tag) if not name or one.get(name)]
        if found:
            inner = {id(child) for one in found for child in one.iter() if child is not one}
            return sum(id(one) not in inner for one in found)
    return 0


def crowded(facts: Facts) -> Facts:
    """150 mailboxes, and more of everything that there is a list of than a page shows at once."""
    many = crowd(facts, 150, 3)
    host = many["archive_hosts"]["archive1.example.com"]
    passes = [
        {**one, "succeeded": NOW - 9 * 86_400, "server": f"mail{place % 2}"}
        for place, one in enumerate(host["archive"]["mailboxes"])
    ]
    unknown = [{"address": f"x{number}@example.org", "messages": number} for number in range(130)]
    archive = {**host["archive"], "mailboxes": passes, "unknown_addresses": unknown, "unknown_addresses_count": 500}
    host = {**host, "failures": [f"failure {number}" for number in range(45)], "archive": archive}
    servers = {f"m{number}": {**FINE, "failures": ["down"], "access": "IMAP", "api_verified": False} for number in range(40)}
    return {**many, "servers": servers, "archive_hosts": {"archive1.example.com": host}}


def test_long_lists_fold_and_say_how_many_they_have(facts: Facts) -> None:
    page, report = read(crowded(facts))
    assert page.wrong == []
    folded = [element for element in page.tree.iter("details") if "data-more" in next(element[0].iter("span"), element).attrib]
    for element in folded:
        assert text_of(next(element[0].iter("span"))) == f"{entries(element):,}"
    # Servers, failures of a host, servers that failed, insecure options, mailboxes of two servers, addresses, mailboxes.
    assert sorted(entries(element) for element in folded) == [20, 25, 30, 60, 73, 73, 110, 130]
    groups = [text_of(element) for element in page.tree.iter("h4") if next(iter(element.iter("bdi"))).get("data-server") == ""]
    assert groups == ["mail0 75 mailboxes", "mail1 75 mailboxes"]
    hidden = {id(one) for element in page.tree.iter("details") for one in element.iter()}
    seen = [one for one in page.tree.iter() if one.tag in ("tr", "li") and id(one) not in hidden]
    assert len(seen) < 8 * report_page.SHOWN
    assert report["counts"]["unknown_addresses"] == 500 and "Those of the most messages are listed" in text_of(page.tree)


def test_a_big_page_stays_small(facts: Facts) -> None:
    large = report_page.render(report_data.report_of(crowd(facts, 2000, 15), 3), TEMPLATE)
    assert len(large.encode()) < 4 << 20
    assert large.count("user1999@<wbr>example<wbr>.com") == 1


def test_mailboxes_that_were_not_tried_are_trouble_and_say_why(facts: Facts) -> None:
    host = facts["archive_hosts"]["archive1.example.com"]
    (profile, journal) = host["result"]["profiles"]
    boxes = [{**one, "mailbox": f"{place}@example.com", "folders": []} for place, one in enumerate(profile["mailboxes"][:3])]
    quiet = dict.fromkeys(("new", "copies", "left", "gone", "deleted", "failed", "quarantined"), 0) | {"error": ""}
    boxes = [{**boxes[0], **quiet}, {**boxes[1], **quiet, "blocked": True}, {**boxes[2], **quiet, "error": "it is closed"}]
    keeper = {**host, "result": {**host["result"], "profiles": [{**profile, "mailboxes": boxes}, journal]}}
    page, _ = read({**facts, "archive_hosts": {"archive1.example.com": keeper}})
    (table, *_others) = [one for one in page.tree.iter("table") if text_of(one[0]).startswith("Mailboxes of all")]
    rows = [text_of(one) for one in table.iter("th") if one.get("scope") == "row"]
    assert [row.split("\n")[0] for row in rows] == ["2@example.com", "1@example.com"]
    assert "it is closed" in rows[0] and "Not read, because of its server" in rows[1]


@pytest.mark.parametrize(("count", "told"), [(1, "1 copy"), (2, "2 copies")])
def test_one_copy_is_told_as_one(facts: Facts, count: int, told: str) -> None:
    host = facts["archive_hosts"]["archive1.example.com"]
    (profile, journal) = host["result"]["profiles"]
    quiet = dict.fromkeys(("new", "left", "gone", "deleted", "failed", "quarantined"), 0) | {"error": "", "folders": []}
    box = {**profile["mailboxes"][0], **quiet, "mailbox": "alice@example.com", "copies": count}
    keeper = {**host, "result": {**host["result"], "profiles": [{**profile, "mailboxes": [box]}, journal]}}
    page, _ = read({**facts, "archive_hosts": {"archive1.example.com": keeper}})
    (row,) = [text_of(one) for one in page.tree.iter("th") if text_of(one).startswith("alice@example.com")]
    assert f"{told}\n" in f"{row}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b/c:d@e", "a.b/c:d@e"),
        ("<first.last>@company.example.com.", "&lt;first<wbr>.last&gt;@<wbr>company<wbr>.example<wbr>.com."),
        (
            "at mail1.company.example.com:4040, at 192.0.2.1:4040",
            "at mail1<wbr>.company<wbr>.example<wbr>.com:4040, at 192.0.2.1:4040",
        ),
        ("see /srv/archive/kerio/mail/alice: no. 1", "see /srv<wbr>/archive<wbr>/kerio<wbr>/mail<wbr>/alice: no. 1"),
    ],
)
def test_a_long_word_may_break_where_it_is_joined(text: str, expected: str) -> None:
    assert report_page.breakable(text) == expected


def luminance(colour: str) -> float:
    """Of ``#rrggbb``, by WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_text_is_readable_on_what_it_stands_on() -> None:
    styles = Path(TEMPLATE).with_name("report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.+?)\}", styles, re.DOTALL)
    day, night, paper = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", block)) for block in blocks)
    on = {"paper": ("ink", "soft", "accent"), "sheet": ("ink", "soft", "accent", "bad"), "accent-soft": ("ink", "accent")}
    on |= {f"{kind}-soft": (kind,) for kind in ("bad", "warn", "good")}
    for colours in (day, night, paper):
        for below, texts in on.items():
            for text in texts:
                dark, light = sorted(luminance(colours[key]) for key in (below, text))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (below, text)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (empty(), "No host ok, nothing archived"),
        (
            empty(servers={"mail1": FINE}, archive_hosts={"archive1": FINE}),
            "1 server and 1 archive host ok, nothing archived",
        ),
        (
            empty(servers={"a": {**FINE, "failures": ["x"]}, "b": FINE}, archive_hosts={"c": {**FINE, "failures": ["y"]}}),
            "1 of 2 servers and the archive host failed, nothing archived",
        ),
    ],
)
def test_where_there_is_little_to_tell(facts: Facts, sentence: str) -> None:
    page, report = read(facts)
    assert page.wrong == []
    (title,) = page.tree.iter("h1")
    assert text_of(title) == sentence
    assert ("Nothing: no failure" in text_of(page.tree)) is (report["outcome"] == "ok")


def test_a_look_in_between_shows_what_the_archive_has_and_no_server(facts: Facts) -> None:
    host = facts["archive_hosts"]["archive1.example.com"]
    looked = {key: host[key] for key in ("changed", "unreachable", "archive")} | {"failures": []}
    page, report = read({**facts, "playbook": "report", "check": False, "archive_hosts": {"archive1.example.com": looked}})
    assert page.wrong == []
    assert list(report["servers"]) == ["mail2", "mail3"]
    (title,) = page.tree.iter("h1")
    assert text_of(title) == f"1 of 2 servers failed, {host['archive']['totals']['objects']:,} messages in the archive"
    headings = [text_of(element) for element in page.tree.iter("h2")]
    assert headings == ["What to look at", "Growth", "Archives"]
    assert f"{KEEPER}/archive/mailboxes/0/archived" in page.shown and f"{KEEPER}/archive/totals/objects" in page.shown


def test_a_check_says_that_it_was_one(facts: Facts) -> None:
    page, _ = read({**facts, "check": True})
    told = text_of(page.tree)
    assert "nothing was changed" in told and "would change" in told


def test_the_docs_name_every_key_of_the_json(facts: Facts) -> None:
    told = (Path(TEMPLATE).parents[1] / "docs" / "report.md").read_text(encoding="utf-8")
    _, report = read(facts)
    host = report["archive_hosts"]["archive1.example.com"]
    parts = (report, report["counts"], report["servers"]["mail1"], host, host["archive"], host["growth"][0], host["stale"][0])
    unnamed = {key for part in parts for key in part if f"`{key}`" not in told and f'"{key}"' not in told}
    assert unnamed == set() and len(parts[0]) == 10


def test_the_reader_of_this_test_finds_what_is_wrong(facts: Facts) -> None:
    report = report_data.report_of(facts, 3)
    whole = report_page.render(report, TEMPLATE)
    for old, new in (
        ('data-n="failures">', 'data-n="failures">1'),
        ("</h2>", " 7</h2>"),
        ('data-s="mailbox">alice', 'data-s="mailbox">malice'),
        ('data-as="size">', 'data-as="size">1'),
    ):
        assert old in whole
        assert Reader(whole.replace(old, new, 1), report, report_words.sentence(report)).wrong, old
    with pytest.raises(ParseError):
        parse(whole.replace("</table>", "", 1))
