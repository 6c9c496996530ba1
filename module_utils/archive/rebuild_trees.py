# SPDX-License-Identifier: GPL-3.0-or-later
"""The user trees as they lie on the disk, without asking a catalog."""

from __future__ import annotations

import os
import typing as t
from collections import defaultdict
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_names import is_name
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Intact, read
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import inodes_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError


class DiskFolder(t.NamedTuple):
    """A directory with mail in it. ``parts`` are the escaped names below the tree, ``dir`` is relative to the archive root."""

    tree: str
    parts: tuple[str, ...]
    dir: str


class DiskPlacement(t.NamedTuple):
    """A file in ``cur`` that has the name of a placement."""

    name: str
    parsed: layout.PlacementName
    inode: int


def folders(root: str, report: Report) -> t.Iterator[DiskFolder]:
    """All directories with a ``cur``, parents first; what cannot be one of ours is told."""
    for tree in below(root, layout.MAIL, report):
        yield from _walk(root, tree, (), f"{layout.MAIL}/{tree}", report)


def _walk(root: str, tree: str, parts: tuple[str, ...], directory: str, report: Report) -> t.Iterator[DiskFolder]:
    if Path(root, directory, "cur").is_dir():
        yield DiskFolder(tree, parts, directory)
    for name in below(root, directory, report):
        yield from _walk(root, tree, (*parts, name), f"{directory}/{name}", report)


def below(root: str, directory: str, report: Report) -> list[str]:
    """The names of the directories in a directory, without those of a Maildir itself; what cannot be one of ours is told."""
    try:
        with os.scandir(f"{root}/{directory}") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise os_failure(error, f"{root}/{directory}") from error
    names = [name for name in names if name not in layout.MAILDIR_PARTS]
    for name in names:
        if not is_name(name):
            report.tell(Problem("foreign", f"{directory}/{name}".encode("utf-8", "backslashreplace").decode()))
    return [name for name in names if is_name(name)]


def placements(root: str, directory: str, report: Report) -> dict[bytes, list[DiskPlacement]]:
    """What ``cur`` holds, by digest; other files are told."""
    found: dict[bytes, list[DiskPlacement]] = defaultdict(list)
    try:
        with os.scandir(f"{root}/{directory}/cur") as entries:
            listed = sorted((entry.name, entry.inode(), entry.is_file(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise os_failure(error, f"{root}/{directory}/cur") from error
    for name, inode, is_file in listed:
        parsed = layout.parse_placement_name(name) if is_file else None
        if parsed is None or layout.placement_name(*parsed) != name:
            report.tell(Problem("foreign", f"{directory}/cur/{name}".encode("utf-8", "backslashreplace").decode()))
        else:
            found[parsed.digest].append(DiskPlacement(name, parsed, inode))
    return found


def problem_of(root: str, directory: str, placed: DiskPlacement, intact: Intact) -> Problem | None:
    """Why a placement is not taken; None when it is, or when it may be all the same (``placement_other``)."""
    path = f"{directory}/cur/{placed.name}"
    facts = intact.get(placed.parsed.digest)
    if facts is None:
        there = Path(root, layout.object_path(placed.parsed.digest)).exists()
        return Problem("placement_wrong", path, "its object is damaged") if there else Problem("object_missing", path)
    if (placed.parsed.size, placed.parsed.vsize) != (facts.size, facts.vsize):
        told = f"its name says {placed.parsed.size:,} bytes and {placed.parsed.vsize:,} in IMAP, the message has"
        return Problem("placement_wrong", path, f"{told} {facts.size:,} and {facts.vsize:,}")
    if facts.inode == placed.inode or placed.inode in inodes_of(root, placed.parsed.digest):
        return None
    try:
        read(root, path, placed.parsed.digest)
    except StoreError:
        return Problem("placement_wrong", path, "it holds another message than its name says")
    return Problem("placement_other", path)
