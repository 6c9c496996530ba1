# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error of the tree: each place that makes one is known with the test that provokes it, and its words help an operator.

tests/error_watch.py reads the text of every error that any test provokes, and proves the list by which test that is. Here the
list is held against the source, and every wording that the source can be read for is judged by the same rules (rules.py), whether
a test gets there or not.
"""

from __future__ import annotations

import ast
import errno
import functools
import inspect
import itertools

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import errors
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from tests import error_watch
from tests.unit.errors import rules, sites
from tests.unit.errors.sites import PARTS, Words
from tests.unit.errors.values import HOLE

# Its words are one table, tried below with every number of an error; a place hands over what failed, and Linux the rest.
OF_THE_SYSTEM = "os_failure"
SAMPLE = "x"


def test_every_class_has_a_kind_of_its_own() -> None:
    own = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, ArchiveToolError)]
    assert {one.__name__ for one in own} <= set(sites.classes())
    assert len({one.kind for one in own}) == len(own)


def test_every_place_that_makes_an_error_is_known_with_what_provokes_it() -> None:
    listed = error_watch.listed().keys()
    there = {key for key, site in sites.sites().items() if site.callee != OF_THE_SYSTEM}
    assert sorted(there - listed) == [], "give each of these a test, and list it in provoked.txt"
    assert sorted(listed - there) == [], "take these out of provoked.txt"


def test_every_class_is_provoked() -> None:
    made = {sites.sites()[key].callee for key in error_watch.listed()}
    assert set(sites.classes()) - made - {sites.BASE} == set()


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((sites.ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_test_on_the_list_is_there() -> None:
    tests = {test.removeprefix(error_watch.OUTSIDE) for test in error_watch.listed().values()}
    assert [test for test in sorted(tests) if test.split("::")[1] not in functions_of(test.split("::")[0])] == []


def filled(text: str) -> str:
    return text.replace(HOLE, SAMPLE)


def wordings(words: Words) -> list[tuple[str, str, str]]:
    """What a place can say; a part that only a run can tell is filled with something that is right."""
    remedies = [filled(text) if not text.startswith(HOLE) else "Check it" for text in words.remedy]
    # An empty constant is where a text begins; what it becomes is one of the others.
    others = ([filled(text) for text in part if text.strip()] for part in (words.subject, words.cause))
    return list(itertools.product(*others, remedies))


@pytest.mark.parametrize("part", PARTS)
def test_all_words_of_the_source_help_an_operator(part: str) -> None:
    found = {
        f"{words.site.path}:{words.site.line}: {fault}"
        for words in sites.words()
        for wording in wordings(words)
        for fault in rules.faults(*(text.strip() for text in wording))
        if f"its {part}" in fault
    }
    assert sorted(found) == []


@pytest.mark.parametrize("code", sorted(errno.errorcode), ids=lambda code: errno.errorcode[code])
def test_what_the_system_says_is_kept_and_answered(code: int) -> None:
    said = OSError(code, "these words of the system")
    error = os_failure(said, "/srv/archive/kerio/catalog.sqlite3")
    assert rules.faults(error.subject, error.cause, error.remedy) == []
    assert str(error).startswith("/srv/archive/kerio/catalog.sqlite3: these words of the system. ")
    assert error.as_result()["errno"] == code


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (("", "it is broken", "Mend it"), "its subject is empty"),
        (("mail1", ".", "Check it"), "its cause is empty"),
        (("mail1", "it is broken", ""), "its remedy is empty"),
        (("mail1", "port None", "Check it"), "its cause has a value that is not there"),
        (("mail1", "b'NO' came", "Check it"), "its cause has bytes of Python"),
        (("mail1", "<ssl.SSLError object at 0x1>", "Check it"), "its cause has an object of Python"),
        (("mail1", "Traceback (most recent call last)", "Check it"), "its cause has a trace"),
        (("mail1", "no such folder {name}", "Check it"), "its cause has a gap that was not filled"),
        (("mail1", "it ended..", "Check it"), "its cause has signs that do not belong together"),
        (("mail1", "it ended", "The server is down"), "its remedy begins with 'The' and not with what to do"),
        (("mail1", "not-a-secret-admin", "Check it"), "it shows a secret"),
    ],
)
def test_the_rules_see_what_is_wrong(parts: tuple[str, str, str], fault: str) -> None:
    assert fault in rules.faults(*parts)


def test_a_sentence_is_whole_and_keeps_the_words_of_the_server() -> None:
    error = ArchiveToolError("mail1: login of Admin", "Invalid user name or password.", "Check the password.")
    assert str(error) == "mail1: login of Admin: Invalid user name or password. Check the password."
    assert error.as_result()["cause"] == "Invalid user name or password."
