# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts to check before going live: the page is the table, and every open question of the fact sheet has a place in it."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import preflight, preflight_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap import preflight_facts as imap_facts
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_preflight, cfg_preflight_facts, preflight_api
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.preflight_facts import FACTS as API_FACTS
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import Fact, Look, judged, sentence
from tests.unit.module_utils.preflight_page import FACTS, PAGE, written

MARKS = {"proven", "described", "reported", "second hand", "inferred", "unknown"}

# What the fact sheet of Kerio Connect marks as unknown and archiving could come across, by section and in its order.
UNKNOWN = {
    "1.4": ["members that are not known", "code of a refused login"],
    "1.7": ["prefixes of ids", "whether ids of services are constant"],
    "1.8": ["life of a session", "arrays of calls", "version without a login"],
    "2": ["a part of options in a set"],
    "2.3": ["meaning of an empty group"],
    "2.7": ["role of a group"],
    "2.9": ["exact names of methods"],
    "3.1": [
        *("the list of capabilities", "UIDPLUS", "CONDSTORE", "QRESYNC", "COMPRESS", "MOVE", "LITERAL+", "NAMESPACE"),
        "X-MASTERAUTH announced",
    ],
    "3.2": ["characters outside ASCII", "a second user on one connection", "form of a refusal", "other protocols"],
    "3.3": ["names of shared folders"],
    "4.2": ["attributes of the root", "encoding and line ends"],
    "4.3": ["table of the variable", "effect of the variable", "moment of the move", "Deleted Items"],
    "4.4": ["mode of the file"],
    "4.5": ["unit of the vendor", "names of older versions", "Windows service", "macOS job"],
    "5": [
        *("names of archive folders", "headers of the archived copy", "recipients of the archived copy"),
        *("BCC on the archived copy", "an archive mailbox on the server itself"),
    ],
    "7": ["supported versions"],
    "10": [
        *("table of the variable", "effect of the variable", "moment of the move", "Deleted Items", "capabilities"),
        *("form of a refusal", "X-MASTERAUTH announced", "a second user", "other protocols"),
        *("folders that are not mail", "folders that cannot be opened", "shared folders"),
        *("headers of the archived copy", "BCC", "recipients of the archived copy", "names of archive folders"),
        *("partial options", "read-only members", "meaning of an empty group", "code of a refused login", "life of a session"),
        *("batches", "prefixes of ids", "whether ids of services are constant", "role of a group"),
        *("encoding and line ends", "mode of the file", "unit of the vendor", "service names"),
        *("changes without a restart", "localised texts", "localised folder names"),
    ],
}


def test_the_page_is_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "say `python -m tests.unit.module_utils.preflight_page`"


def test_every_unknown_of_the_fact_sheet_has_a_fact_and_no_other_is_told() -> None:
    wanted = {f"{section}: {words}" for section, questions in UNKNOWN.items() for words in questions}
    assert {one for fact in FACTS for one in fact.unknown} == wanted


def test_facts_have_names_of_their_own_and_say_all_that_the_page_needs() -> None:
    names = [fact.name for fact in FACTS]
    assert sorted(set(names)) == sorted(names)
    assert [fact.name for fact in FACTS if fact.mark not in MARKS] == []
    assert [fact.name for fact in FACTS if not (fact.assumed and fact.matters and fact.source)] == []
    assert [fact.name for fact in FACTS if fact.stops and not (fact.check and fact.remedy)] == []


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        ({"api-certificate", "api-clock", *preflight_api.QUESTIONS}, API_FACTS),
        ({"host-system", *cfg_preflight.QUESTIONS}, cfg_preflight_facts.FACTS),
        ({*preflight.CAPABILITIES}, [one for one in imap_facts.CONNECTION if one.name.startswith(("imap-uid", "imap-cond"))]),
        ({*preflight_folders.QUESTIONS}, imap_facts.FOLDERS),
        ({*preflight.SAMPLED}, imap_facts.MESSAGES),
        ({*preflight.ENVELOPES}, imap_facts.ARCHIVE),
    ],
)
def test_every_fact_of_a_table_is_asked(asked: set[str], facts: list[Fact]) -> None:
    assert {fact.name for fact in facts} <= asked
    assert asked <= {fact.name for fact in FACTS}


def test_one_question_that_fails_stops_no_other() -> None:
    one, other, third = (Fact(name, "", "", "", "", "", "", stops=True) for name in ("one", "other", "third"))
    look = Look((one, other, third), "Nobody asked")

    def refused() -> tuple[str, str]:
        raise ImapError("mail1", "it is refused", "Ask again")

    look.ask("one", refused)
    look.ask("other", lambda: judged(False, "It is so."))
    rows = look.rows()
    told = [(row["id"], row["verdict"], row["found"], row["stops"]) for row in rows]
    assert told == [
        ("one", "cannot_tell", "mail1: it is refused. Ask again.", False),
        ("other", "differs", "It is so.", True),
        ("third", "cannot_tell", "Nobody asked", False),
    ]
    assert sentence("mail1", rows) == "mail1: 0 facts hold, 1 differ, 2 cannot be told"
