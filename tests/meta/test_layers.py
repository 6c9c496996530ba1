# SPDX-License-Identifier: GPL-3.0-or-later
"""The import direction of the house: who may import whom, and which modules do no input or output."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UTILS = ROOT / "module_utils"
PREFIX = "ansible_collections.mailops.kerio.plugins.module_utils."

# What every layer may import; it imports nothing but such.
EVERYBODYS = {"errors", "master_password", "words"}
# layer of the importing file -> layers that it may import; a layer may always import itself
MAY_IMPORT = {
    **{name: set() for name in EVERYBODYS},
    "plan": set(),
    "preflight": set(),
    "patience": set(),
    "trust": set(),
    "runner": {"plan"},
    "job": {"job_process"},
    "job_process": set(),
    "kerio": {"job", "plan", "preflight", "patience", "trust"},
    "imap": {"preflight", "patience", "trust"},
    "archive": {"imap", "job", "plan", "trust"},
    "site": set(),
    "library": {"runner", "plan", "kerio", "archive", "imap", "job"},
}

# Files that do no input or output even if they do not say so: those that the design names, and what it says of whole parts.
PURE_BY_DESIGN = [
    "plan.py",
    "kerio/kinds.py",
    "kerio/mailserver_cfg.py",
    *(f"archive/{name}.py" for name in ("layout", "ledger", "filing", "profile")),
    *(f"archive/evidence_{name}.py" for name in ("tree", "note", "proof")),
    *sorted(f"site/{path.name}" for path in (UTILS / "site").glob("*.py")),
]
# How the docstring of a file says it.
SAYS_PURE = re.compile(r'\A# SPDX.*\n"""(?:(?!""")[\s\S])*?\b[Pp]ure\b')
INPUT_OUTPUT = {
    "os",
    "io",
    "socket",
    "ssl",
    "subprocess",
    "sqlite3",
    "pathlib",
    "shutil",
    "tempfile",
    "ansible",
    "requests",
    "imapclient",
    "zstandard",
}

# third-party library -> where it may be imported
THIRD_PARTY = {
    "requests": "kerio/rpc",
    "imapclient": "imap/",
    "zstandard": "archive/store",
    "cryptography": "archive/evidence_note",
    "argon2": "archive/access_passwords",
    "jinja2": "archive/report_page",
}


def sources() -> list[Path]:
    return sorted([*UTILS.rglob("*.py"), *(ROOT / "library").glob("*.py")])


def layer_of(path: Path) -> str:
    if path.parent == ROOT / "library":
        return "library"
    return layer_named(path.relative_to(UTILS).with_suffix("").parts[0])


def layer_named(name: str) -> str:
    """Return the layer of a file or folder of module_utils; a layer in several files has its name in front."""
    return "job" if name.startswith("job_") else name


def pure() -> list[str]:
    """Return the files of module_utils that do no input or output: by design, or because their docstring says so."""
    says = [path for path in UTILS.rglob("*.py") if SAYS_PURE.match(path.read_text(encoding="utf-8"))]
    return sorted({*PURE_BY_DESIGN, *(str(path.relative_to(UTILS)) for path in says)})


@functools.cache
def imported(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, wherever in the file the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import; use the full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    layer = layer_of(path)
    ours = {layer_named(name.removeprefix(PREFIX).split(".")[0]) for name in imported(path) if name.startswith(PREFIX)}
    assert ours - {layer, *EVERYBODYS} <= MAY_IMPORT[layer]


@pytest.mark.parametrize("name", pure())
def test_pure_modules_do_no_input_or_output(name: str) -> None:
    roots = {imported_name.split(".")[0] for imported_name in imported(UTILS / name)}
    assert not roots & INPUT_OUTPUT


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_third_party_libraries_stay_where_they_belong(path: Path) -> None:
    for name in {imported_name.split(".")[0] for imported_name in imported(path)} & set(THIRD_PARTY):
        assert path.is_relative_to(UTILS), f"{path} imports {name}"
        assert str(path.relative_to(UTILS)).startswith(THIRD_PARTY[name]), f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "lab").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_lab_shares_no_code_with_the_client(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("ansible_collections")}
