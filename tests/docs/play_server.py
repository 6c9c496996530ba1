# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Ansible's programs, as often as it is asked to, in children of a process that has them loaded: most starts are loading.

``python -m tests.docs.play_server SOCKET``. A request is a line of JSON (``arguments``, the program first, ``folder``, and
``answers``, what is typed when it asks for these words) with the caller's standard output; the answer is the exit status. The
program has a terminal of its own, as an operator's has.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pty
import socket
import sys
import typing as t

from ansible.cli import playbook  # noqa: F401  what most of them need

MOST = 65536
PROGRAMS = {
    "ansible": ("ansible.cli.adhoc", "AdHocCLI"),
    "ansible-doc": ("ansible.cli.doc", "DocCLI"),
    "ansible-inventory": ("ansible.cli.inventory", "InventoryCLI"),
    "ansible-playbook": ("ansible.cli.playbook", "PlaybookCLI"),
    "ansible-vault": ("ansible.cli.vault", "VaultCLI"),
}


def main(path: str) -> None:
    """Serve until this process is ended."""
    kept = importlib.import_module("keep_code")  # of tests/play/quick.py
    kept.keep_routes()
    kept.keep_templates()
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(8)
        while True:
            caller, _ = listener.accept()
            with caller:
                request, streams, _, _ = socket.recv_fds(caller, MOST, 1)
                if request:
                    caller.sendall(str(_answer(json.loads(request), streams[0])).encode())


def _answer(request: dict[str, t.Any], output: int) -> int:
    child, terminal = pty.fork()
    if not child:
        _play(request)
    with contextlib.suppress(OSError):  # this is how a terminal ends
        _attend(terminal, output, dict(request["answers"]))
    os.close(terminal)
    os.close(output)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _attend(terminal: int, output: int, answers: dict[str, str]) -> None:
    """Pass on what is printed, and type what is asked for."""
    line = b""
    while printed := os.read(terminal, MOST):
        os.write(output, printed)
        line = (line + printed).rpartition(b"\n")[2]
        for words, typed in answers.items():
            if line.rstrip().endswith(f"{words}:".encode()):
                os.write(terminal, f"{typed}\n".encode())
                line = b""


def _play(request: dict[str, t.Any]) -> t.NoReturn:
    status: t.Any = 250
    try:
        os.chdir(request["folder"])
        sys.argv = list(request["arguments"])
        module, program = PROGRAMS[sys.argv[0]]
        getattr(importlib.import_module(module), program).cli_executor(sys.argv)
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
