# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run in playbooks against two servers: check, run, again, new mail, and what is transferred each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import FETCHED, MAILBOXES, Site, Watch, furnish, journal, profile_counts, send
from tests.play.helpers import SECRET, Step, play
from tests.play.trees import tree

MESSAGES = 120


@pytest.fixture(scope="module")
def site(lab_factory: Factory) -> Site:
    return furnish(lab_factory(servers=2, users=3), MESSAGES)


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_check_run_again_and_new_mail(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    mail1, mail2 = site.servers
    play(*site.ready(root))

    before, watch = tree(root), Watch(mail1, mail2)
    (would,) = play(site.run(root, check=True))
    assert tree(root) == before
    assert not any(watch.commands()[name] for name in FETCHED)
    assert (would.changed, would.result["run"]["check"]) == (True, True)

    (first,) = play(site.run(root))
    assert (first.changed, first.failed, first.result["run"]["outcome"]) == (True, False, "ok")
    wished, got = profile_counts(would), profile_counts(first)
    assert got["mailboxes"]["seen"] == site.expected()
    assert got["journal of mail1"]["seen"] + got["journal of mail2"]["seen"] == site.expected(archive=True)
    assert list(got) == ["leaver", "mailboxes", "journal of mail1", "journal of mail2"]
    for name in ("leaver", "mailboxes"):
        assert wished[name] == got[name]
    for name in ("journal of mail1", "journal of mail2"):
        assert wished[name]["seen"] == wished[name]["new"] == got[name]["new"] + got[name]["copies"]
    bob = root / "mail" / "bob@example.com"
    assert len(list(bob.glob("gina@example.org/**/cur/*"))) == got["leaver"]["seen"] == got["leaver"]["new"] > 0
    gina = root / "mail" / "gina@example.org"
    assert len(list(gina.glob("gina@example.org/**/cur/*"))) >= got["leaver"]["seen"]

    held, watch = tree(root / "objects", root / "mail"), Watch(mail1, mail2)
    again, unneeded = play(site.run(root), site.run(root, check=True))
    assert not any(watch.commands()[name] for name in (*FETCHED, "EXAMINE", "SELECT"))
    for answer in (again, unneeded):
        assert (answer.changed, answer.failed, answer.result["run"]["new"], answer.result["run"]["bytes"]) == (False, False, 0, 0)
        assert answer.result["run"]["known"] == answer.result["run"]["seen"] == first.result["run"]["seen"]
    assert tree(root / "objects", root / "mail") == held

    send(mail1, "alice@example.com", number=1)
    send(mail1, "carol@example.com", number=2)
    send(mail2, "ines@example.org", number=3)
    would, new = play(site.run(root, check=True), site.run(root))
    wished, got = profile_counts(would), profile_counts(new)
    assert {name: found["new"] for name, found in wished.items()} == {
        "leaver": 0, "mailboxes": 3, "journal of mail1": 2, "journal of mail2": 1,
    }  # fmt: skip
    assert (new.changed, new.result["run"]["new"], got["mailboxes"]["new"]) == (True, 3, 3)
    assert (got["journal of mail1"]["copies"], got["journal of mail2"]["copies"]) == (2, 1)
    fresh = {
        (mailbox["mailbox"], folder["name"]): folder["new"]
        for profile in new.result["profiles"]
        for mailbox in profile["mailboxes"]
        for folder in mailbox["folders"]
        if folder["new"]
    }
    assert fresh == {(name, "INBOX"): 1 for name in ("alice@example.com", "carol@example.com", "ines@example.org")}
    added = set(tree(root / "mail")) - set(held)
    assert sum(1 for path in added if "/cur/" in path) == 3
    assert_no_secret_below(root)


def test_a_check_needs_no_archive(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    leaver = site.profiles()[2]
    nobody, single = play(site.run(root, check=True), site.run(root, leaver, check=True))
    assert not root.exists()
    assert not nobody.failed
    (told,) = [text for text in nobody.warnings if "there are no archive users" in text]
    assert "users.yml makes them alone" in told
    (_store, _users, real) = play(*site.ready(root), site.run(root, leaver))
    assert profile_counts(single) == profile_counts(real)
    assert real.result["run"]["new"] > 0


def test_some_profiles_one_mailbox_and_every_access(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    mail1, mail2 = site.servers
    starttls = {"access": "IMAP-TLS", "port": mail1.imap_port}
    _store, _users, one, none, rest, twice = play(
        *site.ready(root),
        site.run(
            root, only=["mailboxes"], mailbox="Carol@example.com", servers=[site.access(mail1, **starttls), site.access(mail2)]
        ),
        site.run(root, only=["no such profile"]),
        site.run(
            root,
            journal(mail1),
            journal(mail2),
            servers=[
                site.access(mail1, access="IMAP", port=mail1.imap_port, ca_file=None, master_password=None),
                site.access(mail2, validate_certs=False, ca_file=None, master_password=None),
            ],
        ),
        site.run(root, journal(mail2), servers=[site.access(mail2, validate_certs=False, ca_file=None, master_password=None)]),
    )
    (profile,) = one.result["profiles"]
    assert [(mailbox["server"], mailbox["mailbox"]) for mailbox in profile["mailboxes"]] == [("mail1", "carol@example.com")]
    carol = [each for each in site.placed if each.address == "carol@example.com"]
    assert one.changed and one.result["run"]["new"] >= sum(1 for each in carol if each.folder == "INBOX") > 0
    assert one.warnings == []
    assert none.failed and none.msg.startswith("only: no such profile: no profile has this name. Use one of ")
    assert rest.result["run"]["seen"] >= site.expected(archive=True) and not rest.failed
    assert [text.partition(" ")[2] for text in rest.warnings if text.startswith("mail1")] == [
        "is read without TLS (access IMAP): passwords and mail can be read on the way"
    ]
    for answer in (rest, twice):
        (unverified,) = [text for text in answer.warnings if "not verified" in text]
        assert "mail2" in unverified and "validate_certs is false" in unverified
    assert not twice.changed


def test_who_is_out_of_scope_is_left_and_taken_later(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    mail1 = site.servers[0]
    watch = Watch(mail1)
    store, everybody = site.ready(root)
    some = Step("archive_users", {**everybody.options, "scope": {"groups": ["sales@example.com"]}})
    run, looked = site.run(root, journal(mail1)), Step("archive_info", {"root": str(root), "runs": 1})
    _store, _users, first, info, again, _users, later, last = play(store, some, run, looked, run, everybody, run, looked)
    left = first.result["run"]["left"]
    assert left > 0 and first.result["run"]["seen"] == left + first.result["run"]["new"] + first.result["run"]["copies"]
    (profile,) = first.result["profiles"]
    unknown = {entry["address"]: entry["messages"] for entry in profile["unknown_addresses"]}
    assert unknown["alice@example.com"] > 0
    assert info.result["states"]["left"] == left
    assert {entry["address"]: entry["messages"] for entry in info.result["unknown_addresses"]} == unknown
    assert (again.changed, again.result["run"]["left"]) == (False, left)
    assert later.changed and later.result["run"]["left"] < left
    assert last.result["states"]["left"] == later.result["run"]["left"]
    assert watch.refused(mail1) == []


def assert_no_secret_below(root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert {"result.json", "state.json", "progress.json"} <= {path.name for path in files}
    assert MAILBOXES["name"].encode() in (root / "jobs" / "archive_run" / "state.json").read_bytes()
