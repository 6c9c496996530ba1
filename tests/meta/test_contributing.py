# SPDX-License-Identifier: GPL-3.0-or-later
"""CONTRIBUTING.md and the decisions speak of what is there."""

from __future__ import annotations

import re

from tests.meta.test_house import ROOT, tracked
from tests.meta.test_layers import MAY_IMPORT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DECISIONS = ROOT / "docs" / "decisions"
PARTS = ["Context", "Decision", "Tried and measured", "Consequences", "What would change it"]


def table(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table below a heading."""
    part = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_rule_names_a_test_that_is_there() -> None:
    files = [re.fullmatch(r"`(tests/[a-z0-9_/]+\.py)`", cells[1]) for cells in table("Rules that a test enforces")]
    assert len(files) > 15
    assert [found for found in files if not found or not (ROOT / found[1]).is_file()] == []


def test_every_test_of_the_house_and_of_the_docs_is_named() -> None:
    named = {cells[1].strip("`") for cells in table("Rules that a test enforces")}
    found = tracked("tests/meta/test_*.py", "tests/docs/test_*.py", "tests/dist/test_*.py")
    assert {str(path.relative_to(ROOT)) for path in found} - named == set()


def test_the_map_names_all_folders_and_what_they_import() -> None:
    named = {folder: cells[2] for cells in table("The house") for folder in re.findall(r"`([^`]+)`", cells[0])}
    assert [name for name in named if not list(ROOT.glob(name))] == []
    top = {path.relative_to(ROOT).parts[0] for path in tracked("[a-z]*/*")}
    assert top - {name.split("/")[0] for name in named} == set()
    for folder, layer in (("library/", "library"), *((f"module_utils/{name}/", name) for name in ("kerio", "imap", "archive"))):
        assert set(re.findall(r"`([a-z]+)`", named[folder])) == MAY_IMPORT[layer]


def test_every_file_of_the_archive_belongs_to_a_family() -> None:
    words = [word for cells in table("The way of a message") for word in re.findall(r"`([a-z]+)`", cells[0])]
    files = tracked("module_utils/archive/*.py")
    assert sorted({path.stem.split("_")[0] for path in files if path.stem != "__init__"}) == sorted(words)


def test_files_that_are_named_are_there() -> None:
    named = set(re.findall(r"`((?:tests|module_utils|playbooks|library|docs)/[a-z0-9_./*-]+)`", TEXT))
    named |= {f"module_utils/{name}" for name in re.findall(r"`((?:archive|imap)/[a-z_]+\.py|job_?[a-z]*\.py)`", TEXT)}
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_every_decision_is_in_the_index_and_has_all_parts() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    pages = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))
    assert len(re.findall(r"\(\d{4}-[a-z0-9-]+\.md\)", index)) == len(pages)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        title = text.splitlines()[0].removeprefix(f"# {int(path.name[:4])}. ")
        assert f"[{title}]({path.name})" in index
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == PARTS
