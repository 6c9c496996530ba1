# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at the dest of an export before it begins: the manifest, the names of folders, mboxes that are whole or begun."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_manifest
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_export import PAGE, ExportCatalog, ManifestLine
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_manifest import Manifest, Place
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import Names, Parts
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import MBOX, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_write import (
    Resumed,
    end_of,
    folder_of,
    journals,
    resume,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.proof_files import pieces_of, sha256_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

Data = dict[str, t.Any]


@dataclass
class Standing:
    """``places``: of folders, by key. ``bases``: sizes of mboxes that are as the manifest says. ``stale``: files of others.

    ``right``: whether every line of the manifest is; ``complete``: whether the last export came to its end and all is as it was.
    """

    wish: Wish
    catalog: ExportCatalog
    about: Data | None
    places: list[Place] = field(default_factory=list)
    bases: dict[int, int] = field(default_factory=dict)
    resumed: dict[int, Resumed] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    right: bool = True
    complete: bool = False

    def __post_init__(self) -> None:
        self._keys: dict[tuple[str, Parts], int] = {}
        self._names = Names(export_manifest.OURS)

    def key(self, tree: str, user: str, parts: Parts) -> int:
        """The number of a folder, which gets its name now unless it has one."""
        found = self._keys.get((tree, parts))
        if found is None:
            return self._add(Place(user, tree, parts, self._names.path(tree, user, parts)))
        # The manifest has the name that the user had then.
        self.places[found] = self.places[found]._replace(user=user)
        return found

    def _key_of(self, tree: str, user: str, parts: Parts, file: str) -> int:
        """The number of a folder that has ``file``."""
        found = self._keys.get((tree, parts))
        if found is None:
            path = folder_of(self.wish, file)
            self._names.know(tree, parts, path)
            found = self._add(Place(user, tree, parts, path))
        return found

    def _add(self, place: Place) -> int:
        key = self._keys[place.tree, place.parts] = len(self.places)
        self.places.append(place)
        return key

    def load(self) -> None:
        """Read the manifest, and look at mboxes."""
        if self.about is None:
            return
        manifest = self._read()
        if self.wish.format == MBOX:
            self._look_at_mboxes()
        told = {"complete": True, "manifest": manifest, "sums": self._sums()}
        whole = self.right and not self.resumed and not self._tail
        self.complete = whole and all(self.about.get(name) == value for name, value in told.items())

    def _read(self) -> str:
        total = hashlib.sha256()
        page: list[ManifestLine] = []
        manifest = Manifest(self.wish.dest)
        self._tail = manifest.path.stat().st_size if manifest.path.exists() else 0
        for number, line in enumerate(manifest.lines()):
            total.update(line)
            self._tail -= len(line)
            one = export_manifest.known_of(line, number, self._key_of)
            self._torn = self._torn or one is None
            page += [] if one is None else [one]
            if len(page) >= PAGE:
                self._know(page)
                page = []
        self._know(page)
        self.right = self.right and not self._torn
        return total.hexdigest()

    _torn = False
    _tail = 0  # bytes of a last line that is not whole; they go when the manifest is written to

    def _know(self, page: t.Sequence[ManifestLine]) -> None:
        if self.catalog.know(page) != len(page):
            self.right = False

    def _sums(self) -> str:
        path = Path(self.wish.dest, export_manifest.SUMS)
        return sha256_of(pieces_of(path)) if path.exists() else ""

    def _look_at_mboxes(self) -> None:
        """Believe those of the size that the manifest says, and what is durable of those that were begun."""
        for key, (file, end) in self.catalog.ends().items():
            path = Path(self.wish.dest, file)
            size = path.stat().st_size if path.exists() else 0
            # Where a line is missing, nobody can tell which message of which mbox is.
            if self._torn or not size or end_of(path, end) != size:
                self.catalog.forget(key)
                self.right = False
                self.stale += [file] if size else []
            else:
                self.bases[key] = size
        for journal in journals(self.wish.dest):
            place = journal.place
            key = self._key_of(place.tree, place.user, place.parts, f"{place.path}.mbox")
            if self.bases.get(key, 0) == journal.base:
                one = resume(journal, self._key_of, self.catalog.know)
                if one is not None:
                    self.resumed[key] = one


def refuse_other(wish: Wish, about: Data | None, selection: Data) -> None:
    """Raise ``InputError`` when dest holds an export in another form, or of another selection that is not to be added to."""
    if about is None:
        return
    kind = wish.kind()
    told = {name: about.get(name) for name in kind}
    if told != kind:
        cause = f"{wish.dest} holds an export with {_text(told)}, not {_text(kind)}"
        raise InputError("format", cause, "Give the same, or another dest")
    before = about.get("selections") or []
    if selection not in before and not wish.extend:
        last = before[-1] if before else {}
        other = {name: value for name, value in last.items() if value != selection.get(name)}
        cause = f"{wish.dest} holds an export of another selection, with {_text(other)}"
        raise InputError("dest", cause, "Give another dest, or extend: true to add this selection to it")


def _text(data: t.Mapping[str, t.Any]) -> str:
    text = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in data.items())
    return text if len(text) <= 300 else f"{text[:300]}..."
