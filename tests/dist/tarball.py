# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as one file: how it is put together, and what it must and must not hold.

In the checkout most of the collection are links, of which `ansible-galaxy collection build` makes a file without a single module.
So a copy without links is built. What Git does not know is left out: nobody's notes, caches and inventories are published.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "collections" / "ansible_collections" / "mailops" / "kerio"
NAME = "mailops.kerio"
# What an operator who has nothing else begins with.
FIRST = ("README.md", "CHANGELOG.md", "LICENSE", "ansible.cfg", "requirements.txt", "inventory/example/hosts.yml")
# Folder of the tarball -> folder of the checkout: the same files are in both.
SAME = {
    "plugins/modules": "library",
    "plugins/module_utils": "module_utils",
    "plugins/action": "action_plugins",
    "plugins/callback": "callback_plugins",
    "plugins/filter": "filter_plugins",
    "plugins/doc_fragments": "doc_fragments",
    "roles": "roles",
    "playbooks": "playbooks",
    "templates": "templates",
    "docs": "docs",
    "inventory/example": "inventory/example",
}
FORBIDDEN_NAMES = re.compile(
    r"(^|/)(__pycache__|\.git|\.ansible|\.venv|build|inventory/(?!example)[^/]+)/|\.pyc$|(^|/)vault\.yml$"
)
# Passwords of the lab and the tests, encrypted variables, and private keys.
FORBIDDEN_TEXTS = re.compile(rb"not-a-secret|\$ANSIBLE_VAULT;|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}")


# What Ansible Galaxy takes no collection without, and a build does not ask for.
ASKED_FOR = ("repository",)
ADDRESSES = (*ASKED_FOR, "documentation", "homepage", "issues")
# Of documentation: nobody can be there.
NOBODY = re.compile(r"//([^/]+\.)?example(\.(com|org|net))?(/|:|$)")


class PackagingError(Exception):
    """The collection cannot be published as it is; the text says why."""


def tracked() -> set[Path]:
    """Return the files that Git knows."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {ROOT / name for name in listing.split("\0") if name}


def contents(known: set[Path]) -> dict[str, Path]:
    """Return what belongs into the collection, by its place there: files that Git knows, behind whatever links."""
    found = {}
    for folder, _, names in os.walk(COLLECTION, followlinks=True):
        for path in (Path(folder, name) for name in names):
            if path.resolve() in known:
                found[str(path.relative_to(COLLECTION))] = path.resolve()
    return found


def stage(build: Path) -> Path:
    """Make a copy without links below ``build``; return its folder, whose path is what `ansible-test` asks for."""
    folder = build / "ansible_collections" / "mailops" / "kerio"
    shutil.rmtree(build / "ansible_collections", ignore_errors=True)
    for place, source in contents(tracked()).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / place)
    return folder


def pack(build: Path) -> Path:
    """Build the collection below ``build``; return the file."""
    unpublished()
    versions = released()
    if len(set(versions.values())) != 1:
        raise PackagingError(f"the versions differ: {versions}")
    command = [sys.executable, "-m", "ansible", "galaxy", "collection", "build", "--force", "--output-path", str(build)]
    done = subprocess.run([*command, str(stage(build))], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackagingError(done.stdout + done.stderr)
    return build / f"mailops-kerio-{versions['galaxy.yml']}.tar.gz"


def released() -> dict[str, str]:
    """Return the version in each file that has it; that of the changelog is its newest, released or not."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "galaxy.yml": galaxy["version"],
        "pyproject.toml": project["version"],
        "CHANGELOG.md": _first(r"^## (\d+\.\d+\.\d+)", ROOT / "CHANGELOG.md"),
        "README.md": _first(r"^tar -xzf mailops-kerio-(\d+\.\d+\.\d+)\.tar\.gz", COLLECTION / "README.md"),
    }


def unpublished(galaxy: Path = COLLECTION / "galaxy.yml") -> list[str]:
    """Return what is to be filled in before the collection is published. Raises PackagingError for an address that nobody has."""
    told = yaml.safe_load(galaxy.read_text(encoding="utf-8"))
    for key in ADDRESSES:
        if NOBODY.search(told.get(key) or ""):
            raise PackagingError(
                f"galaxy.yml, {key}: {told[key]} is an address that nobody has. Give the true one, or leave it out"
            )
    return [key for key in ASKED_FOR if not told.get(key)]


def _first(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def faults(file: Path) -> list[str]:
    """Return what is wrong with a file of the collection; nothing when it can be published."""
    found = []
    with tarfile.open(file) as tar:
        members = tar.getmembers()
        names = {member.name for member in members if member.isfile()}
        found += [f"{member.name} is no plain file" for member in members if not (member.isfile() or member.isdir())]
        found += [f"{name} does not belong there" for name in sorted(names) if FORBIDDEN_NAMES.search(name)]
        for member in (member for member in members if member.isfile()):
            content = tar.extractfile(member)
            assert content is not None
            found += [f"{member.name} holds {text[:40].decode()}" for text in FORBIDDEN_TEXTS.findall(content.read())]
    found += [f"{name} is missing" for name in FIRST if name not in names]
    known = {str(path.relative_to(ROOT)) for path in tracked()}
    for there, here in SAME.items():
        found += _differences(_below(names, there), _below(known, here), there)
    return found


def _below(names: set[str], folder: str) -> set[str]:
    return {name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")}


def _differences(there: set[str], here: set[str], folder: str) -> list[str]:
    # A link of the checkout is a name of Git's without what is behind it.
    links = {name for name in here if (ROOT / SAME[folder] / name).is_symlink()}
    missing = sorted(here - there - links)
    extra = sorted(name for name in there - here if not any(name.startswith(f"{link}/") for link in links))
    return [f"{folder}/{name} is missing" for name in missing] + [f"{folder}/{name} is not of the checkout" for name in extra]
