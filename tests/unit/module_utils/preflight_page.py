# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of docs/before-going-live.md, as the tables in the code have them.

``python -m tests.unit.module_utils.preflight_page`` writes them into the page, below what is written by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.imap import preflight_facts as imap
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import (
    cfg_preflight_facts,
    preflight_by_hand,
    preflight_facts,
)
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import Fact

PAGE = Path(__file__).parents[3] / "docs" / "before-going-live.md"
WIDTH = 128
IDENTIFIER = re.compile(r"(?<![\w`/])(?:[a-z]+(?:_[a-z]+)+(?:: true)?|[a-z]+\.(?:yml|cfg))(?![\w`])")
PLACE = re.compile(r"\bdocs/([a-z-]+\.md)")
GROUPS: dict[str, Sequence[Fact]] = {
    "The admin API": preflight_facts.FACTS,
    "The host": cfg_preflight_facts.FACTS,
    "The connection over IMAP": imap.CONNECTION,
    "Folders": imap.FOLDERS,
    "Messages": imap.MESSAGES,
    "The archive mailbox": imap.ARCHIVE,
    "What deleting does": imap.WRITE,
    "By hand": preflight_by_hand.BY_HAND,
    "Unknown, and nothing depends on it": preflight_by_hand.SETTLED,
}
FACTS = [fact for facts in GROUPS.values() for fact in facts]


def rendered() -> str:
    return "\n".join(f"## {heading}\n\n{''.join(map(_fact, facts))}".rstrip("\n") + "\n" for heading, facts in GROUPS.items())


def _fact(fact: Fact) -> str:
    assumed = f"{fact.assumed} **Stops archiving where it differs.**" if fact.stops else fact.assumed
    items = (
        ("Why", fact.matters),
        ("Source", f"{fact.mark}; {fact.source}."),
        ("Check", fact.check),
        ("If it differs", fact.remedy),
    )
    told = "\n".join(_filled(f"- {name}: {text}", "  ") for name, text in items if text)
    return f"### {fact.name}\n\n{_filled(assumed)}\n\n{told}\n\n"


def _filled(text: str, indent: str = "") -> str:
    marked = IDENTIFIER.sub(r"`\g<0>`", PLACE.sub(r"[\1](\1)", text))
    return textwrap.fill(marked, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def by_hand(page: str) -> str:
    """What of the page is written by hand."""
    return page.partition(f"\n## {next(iter(GROUPS))}\n")[0]


def written(page: str) -> str:
    return f"{by_hand(page).rstrip()}\n\n{rendered()}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
