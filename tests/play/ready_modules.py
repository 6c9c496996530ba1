# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has imported what modules import, and forks for each module that a playbook of this session starts.

The module still runs from its own archive: what was imported is taken for a part of that only if the source is the same, and only
after the archive has been run whole once.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import io
import marshal
import os
import pkgutil
import re
import sys
import types
import typing as t
import zipfile
import zipimport
from pathlib import Path

from keep_code import FOLDER

from tests.lab.playbooks import ROOT
from tests.play.ready import Kind, run

COLLECTION = "ansible_collections.mailops.kerio.plugins.module_utils"
# Of Ansible what most modules import; the rest comes with these.
SHARED = (
    "ansible.module_utils._internal._ansiballz._loader",
    "ansible.module_utils.common.respawn",
    "ansible.module_utils.facts.ansible_collector",
    "ansible.module_utils.facts.default_collectors",
    "ansible.module_utils.service",
    "ansible.module_utils.splitter",
)
# Each archive has its own, with what was packed.
OWN = ("ansible", "ansible.module_utils")
ZIP_DATA = re.compile(rb"zip_data='([^']*)'")


class Part(t.NamedTuple):
    """A module that was imported, and what it was compiled from."""

    module: types.ModuleType
    source: bytes


def parts() -> dict[str, Part]:
    """Import all that modules share, and forget it again: what a module imports it finds in its own archive."""
    sys.path.append(str(ROOT / "collections"))
    for name in SHARED:
        importlib.import_module(name)
    package = importlib.import_module(COLLECTION)
    for found in pkgutil.walk_packages(package.__path__, f"{COLLECTION}."):
        importlib.import_module(found.name)
    made = {}
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ansible", "ansible_collections")]:
        module = sys.modules.pop(name)
        file = getattr(module, "__file__", None)
        source = Path(file).read_bytes() if file else b""
        if source and name not in OWN:
            made[name] = Part(module, source)
    return made


class Archive(importlib.abc.MetaPathFinder):
    """Puts the parts in place as soon as a module is about to import from its archive."""

    def __init__(self, known: dict[str, Part], names: t.Sequence[str]) -> None:
        self._known = known
        self._names = names

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "ansible":
            sys.meta_path.remove(self)
            self._put(sys.path[0])

    def _put(self, archive: str) -> None:
        importer = zipimport.zipimporter(archive)
        for name in self._names:
            module = self._known[name].module
            place, package = f"{archive}/{name.replace('.', '/')}", hasattr(module, "__path__")
            file = f"{place}/__init__.py" if package else f"{place}.py"
            spec = importlib.machinery.ModuleSpec(name, importer, origin=file, is_package=package)
            spec.has_location = True
            module.__file__, module.__loader__, module.__spec__ = file, importer, spec
            if package:
                spec.submodule_search_locations = module.__path__ = [place]
            sys.modules[name] = module


def same(archive: bytes, known: dict[str, Part]) -> list[str]:
    """Return the parts that are in an archive too; none if one of them is another there."""
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive))) as packed:
        there = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in packed.namelist()}
        common = [name for name in known if name in there]
        sources = {name: packed.read(there[name]) for name in common}
    common = [name for name in common if sources[name] or not hasattr(known[name].module, "__path__")]
    return common if all(sources[name] == known[name].source for name in common) else []


class Modules(Kind):
    """What Ansible sends a Python by its standard input."""

    def __init__(self) -> None:
        self._known = parts()
        self._mark = hashlib.sha256(b"".join(part.source for part in self._known.values())).hexdigest()

    def become(self, _argv: t.Sequence[str]) -> t.NoReturn:
        with open(0, "rb", closefd=False) as script:
            text = script.read()
        packed = ZIP_DATA.search(text)
        if packed:
            self._expect(packed[1])
        sys.argv[:] = [""]

        def script(main: types.ModuleType) -> None:
            main.__file__ = "<stdin>"
            exec(compile(text, main.__file__, "exec"), vars(main))  # noqa: S102  what Ansible sent

        run(script)

    def _expect(self, archive: bytes) -> None:
        """Have the parts put in place if the archive was run before; else look which of them may be, the next time."""
        record = Path(FOLDER, f"parts-{hashlib.sha256(archive + self._mark.encode()).hexdigest()}")
        try:
            sys.meta_path.insert(0, Archive(self._known, marshal.loads(record.read_bytes())))  # noqa: S302  written below
        except FileNotFoundError:
            own = record.with_suffix(f".{os.getpid()}")
            own.write_bytes(marshal.dumps(same(archive, self._known)))
            own.replace(record)
