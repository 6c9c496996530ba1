# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreters for ``ansible_python_interpreter`` under which a module meets a real fault, for root and for an ordinary user.

Ansible starts a module by its interpreter; these are scripts that first put the fault in place, for the module alone.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

NO_LINKS = '''\
"""Runs a program for which link(2) fails as it does on vfat and exfat: a seccomp filter answers EPERM."""
import ctypes, errno, os, platform, struct, sys
CALLS = {"x86_64": (86, 265), "aarch64": (37,)}[platform.machine()]
LOAD, EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000 | errno.EPERM
code = [(LOAD, 0, 0, 0)]
for left, call in zip(range(len(CALLS), 0, -1), CALLS):
    code.append((EQUAL, left, 0, call))
code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
program = b"".join(struct.pack("HBBI", *step) for step in code)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
SECCOMP, FILTER, NO_NEW_PRIVILEGES = 22, 2, 38
assert libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
assert libc.prctl(SECCOMP, FILTER, ctypes.addressof(Filter(len(code), program)), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
'''


def _script(path: Path, line: str) -> str:
    path.write_text(f'#!/bin/sh\nexec {line} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def with_mounts(folder: Path, name: str, *commands: str) -> str:
    """Return an interpreter that sees a mount namespace of its own, in which ``commands`` (shell, may mount) have run."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    inside = "; ".join(["set -e", *commands, 'exec "$0" "$@"'])
    return _script(folder / name, shlex.join([*unshare, "sh", "-c", inside, sys.executable]))


def without_hard_links(folder: Path) -> str:
    """Return an interpreter for which no file system has hard links."""
    filtering = folder / "no_links.py"
    filtering.write_text(NO_LINKS, encoding="utf-8")
    return _script(folder / "without-hard-links", shlex.join([sys.executable, str(filtering), sys.executable]))


def with_libraries(folder: Path, name: str, *libraries: str) -> str:
    """Return the interpreter of an environment that has only these libraries, the same files as the tests use."""
    home = folder / name
    venv.EnvBuilder(with_pip=False, symlinks=True).create(home)
    python = home / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
    ).stdout.strip()
    for library in libraries:
        (Path(where) / library).symlink_to(_found(library), target_is_directory=True)
    return str(python)


def _found(library: str) -> Path:
    words = f"import {library}; print({library}.__path__[0])"
    return Path(subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True).stdout.strip())
