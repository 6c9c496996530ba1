# SPDX-License-Identifier: GPL-3.0-or-later
"""The files beside the messages of an export: the manifest, the sums, and what was asked for. ``docs/export.md``.

The manifest grows while an export goes on. A line of it may speak of a file that a power loss took away, so that files are
looked at before they are believed to be there; a line that is not whole is taken away.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_export import Item, ManifestLine
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import Parts, moment
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import FLAG_NAMES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.proof_files import pieces_of, sha256_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

MANIFEST, SUMS, ABOUT = "manifest.jsonl", "SHA256SUMS", "export.json"
OURS = (MANIFEST, SUMS, ABOUT)
STAGING = ".kerio-archive-export"
VERSION = 1

Data = dict[str, t.Any]


class Place(t.NamedTuple):
    """A folder of an export: whose it is, its true name, and where it lies below dest."""

    user: str
    tree: str
    parts: Parts
    path: str


def line_of(place: Place, item: Item, file: str, size: int, span: Data) -> bytes:
    """The line of one message; ``span``: offset and length in an mbox."""
    content = {
        "file": file,
        **span,
        "sha256": item.digest.hex(),
        "size": size,
        "date": moment(item.date),
        "flags": [FLAG_NAMES[letter] for letter in item.flags if letter in FLAG_NAMES],
        "user": place.user,
        "tree": place.tree,
        "folder": place.parts,
        "sources": [dict(zip(("server", "mailbox", "folder", "uidvalidity", "uid"), row, strict=True)) for row in item.sources],
    }
    # ASCII: a name may hold half a UTF-16 pair, which UTF-8 cannot.
    return json.dumps(content, separators=(",", ":")).encode("ascii") + b"\n"


def leads_out(file: str) -> bool:
    """Whether the path of a file, which others may have written, can be one outside of dest."""
    return any(name in ("", ".", "..") for name in file.split("/"))


def known_of(line: bytes, number: int | None, key_of: t.Callable[[str, str, Parts, str], int]) -> ManifestLine | None:
    """What a line says; None for one that is not whole, or not of ours. ``key_of`` a tree, a user, a folder and a file."""
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
        end = told["offset"] + told["length"] if "offset" in told else None
        if leads_out(told["file"]):
            return None
        key = key_of(told["tree"], told["user"], tuple(told["folder"]), told["file"])
        return ManifestLine(key, bytes.fromhex(told["sha256"]), number, told["file"], int(told["size"]), end)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Manifest:
    """The manifest below dest. It is read line by line, appended to, and made anew only when lines of it are wrong."""

    def __init__(self, dest: str) -> None:
        self.path = Path(dest, MANIFEST)

    def lines(self) -> t.Iterator[bytes]:
        """All that are whole; nothing when there is no manifest."""
        try:
            with self.path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))
        except FileNotFoundError:
            return

    def open(self) -> t.BinaryIO:
        """Open to be appended to; a last line that is not whole goes."""
        file = self.path.open("ab")
        file.truncate(sum(map(len, self.lines())))
        return file

    def keep(self, numbers: t.Iterator[int], target: Path) -> None:
        """Write the lines of these numbers to ``target``, in order."""
        wanted = next(numbers, None)
        with target.open("wb") as file:
            for number, line in enumerate(self.lines()):
                if number == wanted:
                    file.write(line)
                    wanted = next(numbers, None)
            file.flush()
            os.fsync(file.fileno())


def sums(manifest: Manifest, dest: str, known: t.Mapping[str, str], target: Path) -> tuple[str, str]:
    """Write the sums of all files, as sha256sum has them, to ``target``; return that of the manifest, and that of the sums.

    ``known``: sums of mboxes that are not as in the manifest, which has those of messages; others are read.
    """
    total, manifest_total = hashlib.sha256(), hashlib.sha256()
    with target.open("wb") as file:

        def put(digest: str, name: str) -> None:
            line = f"{digest}  {name}\n".encode()
            total.update(line)
            file.write(line)

        done: set[str] = set()
        for line in manifest.lines():
            manifest_total.update(line)
            told = json.loads(line)
            name = told["file"]
            if leads_out(name):
                raise StoreError(str(manifest.path), "somebody changed it during the export", "Export again, it is made anew")
            if "offset" not in told:
                put(told["sha256"], name)
            elif name not in done:
                done.add(name)
                put(known.get(name) or sha256_of(pieces_of(Path(dest, name))), name)
        put(manifest_total.hexdigest(), MANIFEST)
        file.flush()
        os.fsync(file.fileno())
    return manifest_total.hexdigest(), total.hexdigest()


def sums_known(dest: str) -> dict[str, str]:
    """What the sums say of mboxes; nothing when there are none."""
    try:
        with Path(dest, SUMS).open(encoding="utf-8") as file:
            pairs = (line.rstrip("\n").split("  ", 1) for line in file)
            return {pair[1]: pair[0] for pair in pairs if len(pair) > 1 and pair[1].endswith(".mbox")}
    except (FileNotFoundError, UnicodeDecodeError):
        return {}


def write_about(path: Path, content: Data) -> None:
    """Write what ``about`` reads."""
    with path.open("w", encoding="ascii") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def about(dest: str) -> Data | None:
    """What was asked for when dest was exported to, None when it is empty or not there. Raises StoreError for what is foreign."""
    path = Path(dest, ABOUT)
    try:
        told = json.loads(path.read_bytes())
        if told["export"] == VERSION:
            return dict(told)
    except FileNotFoundError:
        _refuse_foreign(dest)
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(str(path), "it is not the file of an export that this release knows", "Give an empty directory as dest")


def _refuse_foreign(dest: str) -> None:
    # What begins an export before it is on record is its staging directory.
    paths = Path(dest).iterdir() if Path(dest).exists() else ()
    found = sorted(path.name for path in paths if path.name not in (STAGING, "lost+found"))
    if found:
        cause = f"it is not empty and holds no export (found {', '.join(found[:3])})"
        raise StoreError(dest, cause, "Give an empty directory, or one that is not there yet")
