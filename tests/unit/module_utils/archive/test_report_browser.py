# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report in a browser: nothing is wider than the window, small, large and on paper, and nothing is fetched."""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data, report_page
from tests.unit.module_utils.archive.report_scene import FINE, NOW, ODD, TEMPLATE, Facts, archive_of, facts_of

CHROMIUM = "/usr/bin/chromium"
FOLDED = 180  # addresses that a reader has to unfold
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--hide-scrollbars",
    ),
)
# Frames have the width that is asked for; a window of a headless browser may not be narrower than 500 pixels.
FRAMES = """<!DOCTYPE html><html><body>{frames}<pre id="told"></pre><script>
addEventListener("load", () => {{
  told.textContent = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    if (frame.dataset.open) page.querySelectorAll("details").forEach(one => one.open = true);
    const wide = [...page.body.querySelectorAll("*")].filter(one => !one.closest(".unseen, .skip, svg")
      && one.getBoundingClientRect().right > root.clientWidth + 0.5 && !one.closest(".scroll"));
    const rows = [...page.querySelectorAll(".scroll")].filter(one => one.scrollWidth > one.clientWidth);
    const style = getComputedStyle(page.body);
    const colours = [style.backgroundColor, style.color];
    return [frame.name, root.clientWidth, root.scrollWidth, wide.length, rows.length, ...colours].join("|");
  }}).join("\\n");
}});</script></body></html>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything, odd and long names in all places, and one with nothing."""
    folder = tmp_path_factory.mktemp("pages")
    facts = facts_of(archive_of(tmp_path_factory.mktemp("archive")))
    host = facts["archive_hosts"]["archive1.example.com"]
    long = ODD[3]
    failures = [*host["failures"], long, f"/srv/{long}/{long}"]
    figures = {"objects": 123_456_789, "stored_bytes": 987_654_321_000}
    runs = [{"id": number, "started": NOW, "finished": NOW, "outcome": "ok", "summary": figures} for number in range(30)]
    unknown = [{"address": f"{long}@example.com", "messages": 1_000_000}]
    unknown += [{"address": f"x{number}@example.com", "messages": 1} for number in range(FOLDED + report_page.SHOWN - 1)]
    archive = {**host["archive"], "runs": runs, "unknown_addresses": unknown}
    (profile, journal) = host["result"]["profiles"]
    big = {"new": 1_234_567, "known": 12_345_678, "bytes": 99_900_000_000}
    boxes = [*profile["mailboxes"], {**profile["mailboxes"][0], **big, "mailbox": f"{long}@example.com", "error": long}]
    result = {**host["result"], "profiles": [{**profile, "name": long, "mailboxes": boxes}, journal], "msg": long}
    hosts = {long: {**host, "failures": failures, "archive": archive, "result": result}}
    save(folder / "full.html", {**facts, "archive_hosts": hosts})
    save(folder / "empty.html", {**facts, "servers": {"mail1": FINE}, "archive_hosts": {}})
    return folder


def save(path: Path, facts: Facts) -> None:
    path.write_text(report_page.render(report_data.report_of(facts, 3), TEMPLATE), encoding="utf-8")


def chromium(profile: Path, *arguments: str) -> str:
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--allow-file-access-from-files", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


class Measured(t.NamedTuple):
    """Of one frame: its width, that of what is in it, elements that stick out, tables that scroll, and colours."""

    width: int
    content: int
    outside: int
    scrolling: int
    paper: str
    ink: str


def measure(pages: Path, profile: Path, *arguments: str) -> dict[str, Measured]:
    widths = {"full": (360, 1280), "open": (360, 1280), "empty": (360,)}
    frames = [
        f'<iframe name="{name} {width}" src="{"full" if name == "open" else name}.html" width="{width}" height="900"'
        f' style="border:0"{" data-open=1" if name == "open" else ""}></iframe>'
        for name, wanted in widths.items()
        for width in wanted
    ]
    (pages / "frames.html").write_text(FRAMES.format(frames="".join(frames)), encoding="utf-8")
    dump = chromium(profile, *arguments, "--window-size=1400,900", "--dump-dom", (pages / "frames.html").as_uri())
    told = re.search(r'<pre id="told">(.+?)</pre>', dump, re.DOTALL)
    assert told, dump[-2000:]
    rows = [line.split("|") for line in told[1].splitlines()]
    return {row[0]: Measured(*map(int, row[1:5]), *row[5:]) for row in rows}


def light(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_nothing_is_wider_than_the_window_and_colours_follow_the_reader(pages: Path, tmp_path: Path) -> None:
    day = measure(pages, tmp_path / "day")
    night = measure(pages, tmp_path / "night", "--blink-settings=preferredColorScheme=0")
    assert set(day) == {"full 360", "full 1280", "open 360", "open 1280", "empty 360"} == set(night)
    for name, found in day.items():
        assert found.width == int(name.split()[1])
        assert found.content <= found.width, name
        assert found.outside == 0, name
    # Figures of millions take more than a telephone has; they scroll in their own place, and only there.
    assert day["full 1280"].scrolling == day["empty 360"].scrolling == 0
    for found, dark in zip(day.values(), night.values(), strict=True):
        assert light(found.paper) > 600 > 200 > light(found.ink)
        assert light(dark.paper) < 200 < 600 < light(dark.ink)


def printed(page: Path, profile: Path) -> int:
    """How many sheets of paper a page takes."""
    paper = page.with_suffix(".pdf")
    chromium(profile, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    data = paper.read_bytes()
    assert data.startswith(b"%PDF-")
    return len(re.findall(rb"/Type\s*/Page\b", data))


def test_on_paper_all_lists_are_open(pages: Path, tmp_path: Path) -> None:
    page = (pages / "full.html").read_text(encoding="utf-8")
    closed = page.replace("details::details-content", "nothing")
    assert closed != page
    (pages / "closed.html").write_text(closed, encoding="utf-8")
    # No sheet has room for more than 80 of the addresses.
    least = printed(pages / "closed.html", tmp_path) + FOLDED // 80
    assert least <= printed(pages / "full.html", tmp_path) <= 20
