# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook prints with this checkout's ansible.cfg: little of what is in order, whole sentences of what failed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SERVERS = [f"mail{number}" for number in range(1, 21)]
ESCAPE = "\x1b["
SENTENCE = "mail2: the mailbox alice@example.com is full. Make room"
LOOKED = "/nowhere: it holds no archive. Create the archive with archive_store, or mount its disk."

CALM: list[dict[str, Any]] = [
    {"name": "Ensure a fact is there", "ansible.builtin.set_fact": {"fact": 1}},
    {"name": "Ensure a check is passed", "ansible.builtin.assert": {"that": "fact == 1", "quiet": True}},
    {"name": "Ensure something that is not needed", "ansible.builtin.set_fact": {"other": 1}, "when": "fact == 2"},
    {"name": "Ensure each of these is known", "ansible.builtin.set_fact": {"last": "{{ item }}"}, "loop": [1, 2]},
    {"name": "Ensure the rest is included", "ansible.builtin.include_tasks": "rest.json"},
    {"name": "Ensure it is told what was done", "ansible.builtin.debug": {"msg": "20 servers are as declared"}, "run_once": True},
]
LOST = {"ansible_connection": "ssh", "ansible_ssh_executable": "{{ playbook_dir }}/ssh"}
NO_ROUTE = "ssh: connect to host mail2 port 22: No route to host"
REST = [{"name": "Ensure the rest is there", "ansible.builtin.set_fact": {"rest": 1}}]
WRONG: list[dict[str, Any]] = [
    {"name": "Ensure a change is shown", "ansible.builtin.set_fact": {"new": 1}, "changed_when": True},
    {"name": "Ensure its mailboxes have room", "ansible.builtin.fail": {"msg": SENTENCE}, "ignore_errors": True},
    {"name": "Ensure it is said again", "ansible.builtin.assert": {"that": "false", "fail_msg": SENTENCE}, "ignore_errors": True},
    {"name": "Ensure an archive is there", "mailops.kerio.archive_info": {"root": "/nowhere"}, "ignore_errors": True},
    {"name": "Ensure a host is asked", "ansible.builtin.raw": "true", "vars": LOST, "ignore_unreachable": True},
    {"name": "Ensure a mistake is shown", "ansible.builtin.set_fact": {"x": "{{ nothing }}"}, "ignore_errors": True},
]


def play(name: str, hosts: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    own = {"connection": "local", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}}
    return {"name": name, "hosts": hosts, "tasks": tasks, **own}


BOOK = [
    play("Ensure nobody is chosen on purpose", "all:!all", CALM),
    play("Ensure nobody is chosen by mistake", "all:&nobody", CALM),
    play("Ensure all servers are as declared", "all", CALM),
    play("Ensure what is wrong is told", "mail2", WRONG),
]


def on_terminal(folder: Path, *args: str, **environment: str) -> list[str]:
    """Run the plays with a terminal as their output; return what it shows, line by line."""
    (folder / "book.json").write_text(json.dumps(BOOK), encoding="utf-8")
    (folder / "rest.json").write_text(json.dumps(REST), encoding="utf-8")
    (folder / "ssh").write_text(f"#!/bin/sh\necho {NO_ROUTE} >&2\nexit 255\n", encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "COLUMNS": "100", "LC_ALL": "C.UTF-8", **environment}
    kept = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", ",".join(SERVERS), "book.json", *args]
    with subprocess.Popen(command, cwd=folder, env={**kept, **own}, stdin=theirs, stdout=theirs, stderr=theirs) as ran:
        os.close(theirs)
        text = b"".join(iter(lambda: read(ours), b"")).decode()
    os.close(ours)
    assert ran.returncode == 0, text
    return text.replace("\r", "").splitlines()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return on_terminal(tmp_path_factory.mktemp("quiet"), TERM="xterm-256color", NO_COLOR="1")


def between(lines: list[str], begin: str, end: str) -> list[str]:
    """The lines between the banners that begin so, without empty ones."""
    first = next(number for number, line in enumerate(lines) if line.startswith(begin))
    last = next(number for number, line in enumerate(lines) if number > first and line.startswith(end))
    return [line for line in lines[first + 1 : last] if line.strip()]


def test_servers_that_are_as_declared_take_no_lines(shown: list[str]) -> None:
    calm = between(shown, "PLAY [Ensure all servers are as declared]", "PLAY [")
    assert [line.rstrip(" *") for line in calm] == [
        "TASK [Ensure it is told what was done]",
        "ok: [mail1] =>",
        "    msg: 20 servers are as declared",
    ]


def test_a_play_for_nobody_is_told_unless_it_is_meant(shown: list[str]) -> None:
    assert not any("on purpose" in line for line in shown)
    assert between(shown, "PLAY [Ensure nobody is chosen by mistake]", "PLAY [") == ["skipping: no hosts matched"]


def test_a_failure_is_one_sentence_and_is_not_repeated(shown: list[str]) -> None:
    wrong = between(shown, "PLAY [Ensure what is wrong is told]", "PLAY RECAP")
    assert "changed: [mail2]" in wrong
    assert sum(SENTENCE in line for line in wrong) == 1
    at = wrong.index(f"fatal: [mail2]: FAILED! => {SENTENCE}")
    assert wrong[at + 3] == "fatal: [mail2]: FAILED! => as told above"
    assert f"fatal: [mail2]: FAILED! => {LOOKED}" in wrong
    assert not any("remedy:" in line for line in wrong)
    # What nobody has worded keeps the place that it comes from.
    assert any(line.startswith("Origin: ") for line in wrong)


def test_a_host_that_is_not_reached_is_one_line(shown: list[str]) -> None:
    (line,) = between(shown, "TASK [Ensure a host is asked]", "TASK [")
    assert line.startswith("unreachable: [mail2] => ") and line.endswith(NO_ROUTE)
    assert "Task failed" not in line


def test_no_escape_codes_where_nobody_wants_them(tmp_path: Path, shown: list[str]) -> None:
    # ``shown`` has NO_COLOR; without it, the same terminal has colours, and one that is dumb has none.
    coloured = on_terminal(tmp_path, "-v", TERM="xterm-256color")
    dumb = on_terminal(tmp_path, "-v", TERM="dumb")
    assert [any(ESCAPE in line for line in lines) for lines in (shown, coloured, dumb)] == [False, True, False]
    assert sum(line.startswith("skipping: [mail20]") for line in dumb) == 1, "-v prints everything"
    assert sum(line.startswith("ok: [mail20]") for line in dumb) >= 4
