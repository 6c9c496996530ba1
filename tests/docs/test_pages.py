# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the docs: what their blocks are, where their links lead, and that all there is has a page."""

from __future__ import annotations

import json
import re

import pytest

from tests.docs import blocks
from tests.docs.blocks import ROOT, Block, Page
from tests.meta.test_house import MODULES, ROLES

PAGES = blocks.pages()
# Where a reader begins: the table of contents of the docs, and of the repository.
START = "docs/README.md"
# A page of more lines begins with links to its sections; the one on disasters has them in a table.
LONG = 125
TABLED = "docs/disaster-recovery.md"
# Parts of other playbooks, which nobody runs by themselves.
PARTS = {"prepare", "failures"}


LONG_PAGES = [one for one in PAGES if re.fullmatch(r"docs/[^/]+", one.name) and len(one.lines) > LONG and one.name != TABLED]


def names(pages: list[Page]) -> str:
    return "\n".join(line for page in pages for line in page.lines)


def test_blocks_say_what_they_are() -> None:
    assert [block.place for block in blocks.blocks() if block.language not in blocks.LANGUAGES] == []


def test_blocks_in_sh_have_commands_and_no_prompts() -> None:
    found = blocks.blocks("sh")
    assert [block.place for block in found if not block.commands()] == []
    lines = [(block.place, command) for block in found for command in block.commands()]
    assert [line for line in lines if re.match(r"\s*[$#>%] ", line[1])] == []


def test_commands_that_need_the_vault_ask_for_its_password() -> None:
    lines = [(block.place, command) for block in blocks.blocks("sh") for command in block.commands()]
    with_vault = [line for line in lines if re.match(r"\s*ansible(-playbook)? .*inventory/mine", line[1])]
    assert with_vault
    assert [line for line in with_vault if "--ask-vault-pass" not in line[1]] == []


def test_blocks_in_json_can_be_read() -> None:
    for block in blocks.blocks("json"):
        assert_json(block)


def assert_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except ValueError as error:
        pytest.fail(f"{block.place}: {error}")


def test_links_lead_somewhere() -> None:
    inside = [(page, link) for page in PAGES for link in page.links() if "://" not in link]
    assert [f"{page.name}: {link}" for page, link in inside if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Page, link: str) -> bool:
    path, anchor = page.target(link)
    return (ROOT / path).exists() and (not anchor or anchor in blocks.page(path).anchors())


@pytest.mark.parametrize("page", LONG_PAGES, ids=lambda page: page.name)
def test_long_pages_begin_with_links_to_their_sections(page: Page) -> None:
    first = next(number for number, line in enumerate(page.lines) if line.startswith("## "))
    sections = blocks.Page(page.name, tuple(line for line in page.lines if line.startswith("## "))).anchors()
    assert len(sections) > 2
    assert sections <= {link.removeprefix("#") for link in blocks.Page(page.name, page.lines[:first]).links()}


def reached(start: str) -> set[str]:
    """The pages that links lead to from a page, over any number of pages; of a folder that is its README.md."""
    known = {page.name: page for page in PAGES}
    found, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        targets = [known[name].target(link)[0] for link in known[name].links() if "://" not in link]
        waiting += [target for path in targets for target in (path, f"{path}/README.md") if target in known]
    return found


def test_every_page_of_the_docs_is_reached_from_where_a_reader_begins() -> None:
    own = {page.name for page in PAGES if page.name.startswith("docs/")}
    start = START if START in own else "README.md"
    assert own - reached(start) == set()


@pytest.mark.parametrize("kind", ["modules", "roles", "playbooks"])
def test_all_there_is_has_a_page_that_names_it(kind: str) -> None:
    pages = [page for page in PAGES if page.name.startswith("docs/") and not page.name.startswith("docs/reference/")]
    text = names(pages if kind == "playbooks" else [*pages, blocks.page("README.md")])
    wanted = {
        "modules": MODULES,
        "roles": ROLES,
        "playbooks": sorted(f"{path.stem}.yml" for path in ROOT.glob("playbooks/*.yml") if path.stem not in PARTS),
    }[kind]
    assert [name for name in wanted if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_receipts_have_what_their_page_shows() -> None:
    (block,) = blocks.page("docs/deletion.md").blocks("json")
    receipt = json.loads(block.text)
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("module_utils/archive/*delet*.py")))
    assert len(receipt) > 5
    assert [key for key in [*receipt, *receipt["placements"][0]] if f'"{key}"' not in code] == []
