# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on the lab: its commands and its example are run, its tables have all that there is."""

from __future__ import annotations

import inspect
import re
import typing as t
from pathlib import Path

import pytest

from tests.docs import blocks
from tests.lab import cli, cli_lab
from tests.lab.fixtures import Lab, LabServer

PAGE = "docs/lab.md"
COMMANDS = [blocks.words(line) for text in blocks.steps(PAGE, "Start and stop") for line in text.splitlines()]
# For the lab itself.
INNER = {"dovecot", "forget_session", "post"}
CODE = re.compile(r"`(\w+)`")


def typed(action: str, folder: Path) -> None:
    """The command of the page that does this, with another folder."""
    (words,) = [words[3:] for words in COMMANDS if words[3] == action]
    assert cli.main([str(folder) if word == "build/lab" else word for word in words]) == 0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Lab]:
    folder = tmp_path_factory.mktemp("page") / "lab"
    typed("start", folder)
    lab = Lab(cli_lab.read(folder))
    yield lab
    lab.servers[0].forget_session()
    typed("stop", folder)
    assert lab.servers[0].pid == 0


def table(heading: str) -> list[list[str]]:
    """The cells of the only table below a heading, without its head."""
    text = "\n".join(blocks.page(PAGE).lines).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]


def test_its_commands_do_what_it_says(started: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert [words[:3] for words in COMMANDS] == [["python", "-m", "tests.lab"]] * 4
    assert [words[3] for words in COMMANDS] == ["start", "status", "logins", "stop"]
    (server,) = started.servers
    assert server.switches["delete_moment"] == "expunge"
    typed("status", started.folder)
    assert capsys.readouterr().out == f"mail1: pid {server.pid}, {server.admin_url} answers\n"
    typed("logins", started.folder)
    assert capsys.readouterr().out == "mail1: count  service  account  client  outcome  cause\n"


def test_it_tells_all_members_of_lab_json(started: Lab) -> None:
    rows = table("How to reach it")
    (server,) = started.servers
    assert sorted(name for first, _ in rows for name in CODE.findall(first)) == sorted(server.entry)
    (of_users,) = [second for first, second in rows if "`users`" in first]
    assert CODE.findall(of_users) == list(server.users[0])


def test_it_tells_all_that_tests_can_do_with_a_server() -> None:
    named = {name for first, _ in table("In tests of your own") for name in CODE.findall(first)}
    assert named == {name for name, _ in inspect.getmembers(LabServer) if not name.startswith("_")} - INNER


def test_its_example_runs(started: Lab) -> None:
    (example,) = blocks.page(PAGE).blocks("text")
    made: list[dict[str, t.Any]] = []

    def lab_factory(**how: t.Any) -> Lab:
        made.append(how)
        started.servers[0].set_switches(**{name: value for name, value in how.items() if name not in ("servers", "users")})
        return started

    names: dict[str, t.Any] = {}
    exec(example.text, names)  # noqa: S102  what our own page says
    started.servers[0].forget()
    names["test_alice_is_let_in_and_nothing_is_written"](lab_factory)
    assert made == [{"servers": 1, "users": 3, "list_children": True}]
