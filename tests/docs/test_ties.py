# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that the scene does not run: the test that runs them is there, and what stands beside each is still in its page."""

from __future__ import annotations

import ast

import pytest
from ansible.cli.playbook import PlaybookCLI
from ansible.parsing.splitter import parse_kv

from tests.docs import acts, blocks, reading, ties, variables
from tests.docs.blocks import ROOT, Block
from tests.docs.scene import SERVERS

COMMANDS = [(block.place, command) for block in blocks.blocks("sh") for command in block.commands()]
PLAYED = [(place, command) for place, command in COMMANDS if command.startswith("ansible-playbook ")]
# What --limit may name.
HOSTS = {*SERVERS, "mail3.example.net", "archive1.example.com", "archive2.example.com", "archive_hosts", "kerio_servers"}


def words_in(file: str) -> set[str]:
    """The texts of a test file."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def concerned(page: str, what: str) -> list[Block]:
    found = blocks.page(page).blocks("sh")
    return [block for block in found if block.heading == what or what in block.commands()]


@pytest.mark.parametrize(("page", "what"), ties.TIED)
def test_ties_are_of_commands_that_are_there_and_of_tests_that_take_them(page: str, what: str) -> None:
    assert concerned(page, what)
    texts = words_in(ties.TIED[page, what])
    assert what in texts
    assert page in texts or page.removeprefix("docs/") in texts


def test_exceptions_are_of_commands_that_are_there_and_say_why() -> None:
    assert [key for key, why in ties.EXCEPTED.items() if not concerned(*key) or " " not in why] == []
    tests = [word for _, command in ties.EXCEPTED for word in blocks.words(command) if word.startswith("tests/")]
    assert [path for path in tests if not (ROOT / path).exists()] == []


def test_acts_are_of_pages_and_commands_that_are_there() -> None:
    for page, act in acts.ACTS.items():
        text = "\n".join(command for block in blocks.page(page).blocks("sh") for command in block.commands())
        assert [words for words in act.before if words not in text] == []
    assert [page for page in acts.ORDER if not blocks.page(page).blocks("sh")] == []


def test_parts_have_all_commands_below_their_headings() -> None:
    """So a step that is taken out of such a page, or a new one, is noticed at once."""
    for page, act in acts.ACTS.items():
        for heading, part in act.parts.items():
            found = [command for block in concerned(page, heading) for command in block.commands()]
            assert [words for words in part.says if not any(words in command for command in found)] == []
            assert [command for command in found if "--check" not in command and not part.has(command)] == []


def test_what_one_command_does_for_another_is_in_the_pages() -> None:
    known = reading.documented()
    assert [less for less, more in acts.DONE_BY.items() if not {reading.words_of(less), reading.words_of(more)} <= known] == []
    assert all(set(blocks.words(less)[:4]) <= set(blocks.words(more)) for less, more in acts.DONE_BY.items())


def unknown(command: str) -> list[str]:
    """The variables, hosts, tags and playbooks of a command that do not exist."""
    cli = PlaybookCLI(blocks.words(command))
    cli.init_parser()
    given = cli.parser.parse_args(cli.args[1:])
    found = [f"no playbook {book}" for book in given.args if not (ROOT / book).exists() and book not in OF_READERS]
    for extra in given.extra_vars:
        if not extra.startswith("@"):
            values = variables.load(extra) if extra.startswith("{") else parse_kv(extra)
            found += [f"no variable {name}" for name in values if not variables.known(name)]
    found += [f"no host {name}" for name in (given.subset or "").split(",") if name and name not in HOSTS]
    return found + [f"tag {tag}" for tag in given.tags + given.skip_tags]


# A playbook that its page has the reader write.
OF_READERS = {"playbooks/login.yml"}


def test_playbooks_variables_and_hosts_of_commands_exist() -> None:
    assert [(place, found) for place, command in PLAYED if (found := unknown(command))] == []


def test_what_does_not_exist_is_found() -> None:
    command = "ansible-playbook playbooks/sit.yml -e archive_mod=test -e '{\"site_reprot\": 1}' --limit mail9 -t a"
    wrong = ["no playbook playbooks/sit.yml", "no variable archive_mod", "no variable site_reprot", "no host mail9", "tag a"]
    assert unknown(command) == wrong
