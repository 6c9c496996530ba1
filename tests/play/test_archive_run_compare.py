# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run in its mode compare in playbooks, over two servers: after a run, with new mail, with an object that is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import FETCHED, Site, Watch, furnish, send
from tests.play.helpers import Answer, play
from tests.play.trees import tree

# What would change something on a server.
CHANGING = ("SELECT", "STORE", "UID STORE", "EXPUNGE", "UID EXPUNGE", "APPEND", "UID MOVE", "UID COPY", "CREATE", "DELETE")


@pytest.fixture(scope="module")
def site(lab_factory: Factory) -> Site:
    return furnish(lab_factory(servers=2, users=3), 60)


@pytest.fixture(scope="module")
def root(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of everything."""
    made = tmp_path_factory.mktemp("compare") / "archive"
    play(*site.ready(made), site.run(made))
    return made


def kept(answer: Answer) -> int:
    found = answer.result["compare"]
    return int(found["archived"] + found["copy"])


def test_a_comparison_proves_a_run_and_finds_what_changes_afterwards(site: Site, root: Path, tmp_path: Path) -> None:
    mail1, mail2 = site.servers
    before, watch = tree(root), Watch(mail1, mail2)
    everything = {"mode": "compare", "compare_sample": 10_000, "compare_sizes": True}
    (checked,) = play(site.run(root, check=True, mode="compare"))
    assert (tree(root), watch.commands()[FETCHED[0]]) == (before, 0)
    (whole,) = play(site.run(root, **everything))
    for answer in (checked, whole):
        assert (answer.changed, answer.failed, answer.result["compare"]["on_server"]) == (False, False, kept(answer))
    assert kept(whole) == site.expected() + site.expected(archive=True)
    assert whole.result["compare"]["sizes_compared"] == whole.result["compare"]["messages_read"] == kept(whole)
    assert {path: facts for path, facts in tree(root).items() if path in before and "jobs" not in path} == {
        path: facts for path, facts in before.items() if "jobs" not in path
    }
    assert not any(watch.commands()[name] for name in CHANGING)

    send(mail1, mail1.user("alice")["address"])
    lost = next((root / "objects").glob("*/*"))
    lost.rename(tmp_path / "lost")
    (broken,) = play(site.run(root, mode="compare"))
    (tmp_path / "lost").rename(lost)
    found = broken.result["compare"]
    assert broken.failed
    # To her, and the archive mailbox's copy of it.
    assert (found["new"], found["on_server"]) == (2, kept(whole) + 2)
    assert found["missing"] + found["not_on_server"]["missing"] == kept(whole) - kept(broken) >= 1
    told = json.loads((root / "reports" / "compare.json").read_text("utf-8"))
    assert told["compare"]["missing"] == found["missing"]
    assert {error["message"].partition(" (UID ")[0] for error in told["run"]["errors"]} == {
        "1 messages that the catalog has as archived have no intact object"
    }


def test_a_server_that_refuses_costs_its_own_mailboxes(site: Site, root: Path) -> None:
    mail1, mail2 = site.servers
    watch = Watch(mail1, mail2)
    wrong = [site.access(mail1, master_password="not-a-secret-but-wrong"), site.access(mail2)]
    (answer,) = play(site.run(root, mode="compare", servers=wrong, only=["mailboxes"]))
    assert answer.failed
    assert len(watch.refused(mail1)) == 1
    assert [error["where"] for error in answer.result["run"]["errors"]] == ["mail1"]
    assert kept(answer) == answer.result["compare"]["on_server"] > 0
