# SPDX-License-Identifier: GPL-3.0-or-later
"""Other Pythons of this machine, and environments of them with pinned libraries, made once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEWEST = "3.13"
OLDEST_ON_HOSTS = "3.8"
OLDEST_REQUIREMENTS = Path(__file__).with_name("requirements-3.8.txt")


def candidates(version: str) -> list[str]:
    """Return commands that may be Python ``version``: the one of the PATH, and those that pyenv installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [f"python{version}", *(str(path) for path in sorted(pyenv.glob(f"versions/{version}*/bin/python{version}")))]


def is_usable(python: str) -> bool:
    """Tell whether an interpreter starts and can make virtual environments; pyenv leaves commands behind that cannot start."""
    words = [python, "-c", "import ensurepip, venv, ssl, sqlite3"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find(version: str) -> str | None:
    """Return a Python of this version that can be used; None where there is none."""
    return next(filter(is_usable, candidates(version)), None)


def environment(python: str, name: str, *requirements: Path) -> Path:
    """Return the Python of the environment build/``name``, made anew when what it must have has changed."""
    home = ROOT / "build" / name
    stamp = home / "requirements.txt"
    wanted = b"".join(path.read_bytes() for path in requirements)
    if not stamp.exists() or stamp.read_bytes() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *(word for path in requirements for word in ("-r", str(path)))], check=True)
        stamp.write_bytes(wanted)
    return home / "bin" / "python"
