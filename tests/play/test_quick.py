# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks keep for each other in a session of tests is used, and never in place of something else."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.play import quick
from tests.play.helpers import Step, one

PING = Step("ansible.builtin.ping")
FALLS = "def fall(): raise ValueError(7)\nfall()\n"


def imported(archive: Path, kept: Path, source: str) -> str:
    """Return what a process says that imports ``source`` from an archive."""
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("packed.py", source)
    environment = {**os.environ, **quick.environment(), quick.KEPT: str(kept)}
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); import packed"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr


def test_code_is_kept_by_its_source_and_names_the_file_it_comes_from(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    said = [imported(tmp_path / f"{name}.zip", kept, FALLS) for name in ("one", "two")]
    (code,) = kept.iterdir()
    for text, name in zip(said, ("one", "two"), strict=True):
        assert text.count(f'File "{tmp_path}/{name}.zip/packed.py", line') == 2
        assert "ValueError: 7" in text
    code.write_bytes(marshal.dumps(compile("raise KeyError(8)", "somewhere", "exec")))
    assert "KeyError: 8" in imported(tmp_path / "three.zip", kept, FALLS)
    assert "ValueError: 9" in imported(tmp_path / "three.zip", kept, FALLS.replace("7", "9"))


def test_methods_of_a_data_class_are_kept_by_their_text(tmp_path: Path) -> None:
    says = "import dataclasses, sys\n@dataclasses.dataclass\nclass Shown:\n    number: int\nsys.stderr.write(repr(Shown(7)))\n"
    assert imported(tmp_path / "one.zip", tmp_path, says) == "Shown(number=7)"
    shows = next(path for path in tmp_path.glob("*-*") if b"__repr__" in path.read_bytes())
    shows.write_bytes(shows.read_bytes().replace(b"number=", b"second="))
    assert imported(tmp_path / "two.zip", tmp_path, says) == "Shown(second=7)"
    assert imported(tmp_path / "two.zip", tmp_path, says.replace("number", "figure")) == "Shown(figure=7)"


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path: Path) -> None:
    assert "ValueError: 7" in imported(tmp_path / "one.zip", tmp_path / "nowhere", "raise ValueError(7)\n")


def test_a_module_is_packed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quick.KEPT, str(tmp_path))
    assert one(PING).result["ping"] == "pong"
    (packed,) = (path for path in tmp_path.glob("ansible-*/*") if path.suffix != ".lock")
    assert "ping" in packed.name
    before = packed.stat()
    assert one(PING).result["ping"] == "pong"
    after = packed.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_where_plugins_went_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quick.KEPT, str(tmp_path))
    assert one(PING).result["ping"] == "pong"
    (routes,) = (path for path in tmp_path.glob("*-*") if path.is_file() and b"plugin_routing" in path.read_bytes())
    routes.write_bytes(marshal.dumps({"plugin_routing": {"modules": {"ping": {"tombstone": {"warning_text": "No more."}}}}}))
    with pytest.raises(AssertionError, match="No more"):
        one(PING)


def test_a_template_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quick.KEPT, str(tmp_path))
    says = Step("ansible.builtin.debug", {"msg": "{{ 'compiled once' }}"}, also={"when": "'asked' != 'not asked'"})
    assert one(says).msg == "compiled once"
    (code,) = (path for path in tmp_path.glob("*-*") if path.is_file() and b"compiled once" in path.read_bytes())
    code.write_bytes(code.read_bytes().replace(b"compiled once", b"compiled here"))
    assert one(says).msg == "compiled here"
    asked = [path for path in tmp_path.glob("*-*") if path.is_file() and b"not asked" in path.read_bytes()]
    assert len(asked) == 1
