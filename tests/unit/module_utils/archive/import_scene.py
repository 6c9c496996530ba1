# SPDX-License-Identifier: GPL-3.0-or-later
"""Two archives over the same servers, one of which takes users out of the other."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.importing import Import, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from tests.unit.module_utils.archive.engine_fake import Archive

BY = "admin@controller"


def beside(archive: Archive, name: str = "new") -> Archive:
    """An empty archive beside another one, with the same profiles."""
    made = Archive(archive.root.with_name(name), archive.servers)
    made.profiles, made.passwords, made.hosts = archive.profiles, archive.passwords, archive.hosts
    return made


def taken(here: Archive, there: Archive | Path, *, check: bool = False, by: str = BY, **choice: t.Iterable[str]) -> Report:
    """What an import says that takes ``choice``."""
    chosen = Choice(**{key: frozenset(names) for key, names in choice.items()})
    source = str(there.root if isinstance(there, Archive) else there)
    return Import(Wish(str(here.root), source, chosen, ledger=Ledger(owner=by), check_mode=check)).run()


def everything(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every file below a root: mode, time, links, content."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            facts = path.lstat()
            found[str(path.relative_to(root))] = (facts.st_mode, facts.st_mtime_ns, facts.st_nlink, path.read_bytes())
    return found


def mail_of(archive: Archive) -> dict[str, bytes]:
    """Every placement, by its path below ``mail``, with what lies in its file."""
    return {name: (archive.root / "mail" / name).read_bytes() for name in archive.tree()}
