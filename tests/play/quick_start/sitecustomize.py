# SPDX-License-Identifier: GPL-3.0-or-later
"""Python runs this first wherever tests/play/quick.py says so.

Modules arrive as an archive, and what is imported from an archive is compiled in every process: the code is kept, by its source.
"""

from __future__ import annotations

import _imp
import gc
import importlib.util
import marshal
import os
import types
import zipimport

FOLDER = os.environ.get("TESTS_KEPT", "")
_compile = zipimport._compile_source  # type: ignore[attr-defined]


def compiled(pathname: str, source: bytes) -> types.CodeType:
    """Return the code of ``source``; tracebacks name the file that it was read from this time."""
    key = _imp.source_hash(importlib.util._RAW_MAGIC_NUMBER, source).hex()  # type: ignore[attr-defined]
    kept = os.path.join(FOLDER, f"{key}-{len(source)}")  # noqa: PTH118  pathlib is not loaded for this
    try:
        with open(kept, "rb") as file:  # noqa: PTH123
            code: types.CodeType = marshal.load(file)  # noqa: S302  written below
    except OSError:
        code = _compile(pathname, source)
        _keep(kept, code)
    _imp._fix_co_filename(code, pathname)  # type: ignore[attr-defined]
    return code


def _keep(kept: str, code: types.CodeType) -> None:
    own = f"{kept}.{os.getpid()}"
    try:
        with open(own, "wb") as file:  # noqa: PTH123
            marshal.dump(code, file)
        os.replace(own, kept)  # noqa: PTH105
    except OSError:  # some tests take a module the right to write
        return


if FOLDER:
    zipimport._compile_source = compiled  # type: ignore[attr-defined]
    # These processes end before garbage is worth looking for: a tenth of their time went into that.
    gc.set_threshold(100_000, 50, 100)
