# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs with filters: what is kept out, why, and when it is looked at again."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeFolder, FakeServers, mail, multidrop

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"
DAY = 86_400
TODAY = 1_800_000_000
EXCLUDED, ARCHIVED, LEFT = 3, 1, 4


class Clock:
    """The time of the engine; the test sets it."""

    def __init__(self) -> None:
        self.now = float(TODAY)

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    return made


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.passwords = {"journal": f"not-a-secret-{JOURNAL}", "journal of bills": f"not-a-secret-{JOURNAL}"}
    made.user(ALICE)
    return made


@pytest.fixture
def inbox(servers: FakeServers) -> FakeFolder:
    """Three messages: 40, 20 and 0 days old; the second is unseen, the third flagged."""
    folder = servers.folder("mail1", ALICE).add(mail(1), mail(2, body="long " * 400), mail(3))
    folder.dates = {1: TODAY - 40 * DAY, 2: TODAY - 20 * DAY, 3: TODAY}
    folder.flags = {2: (), 3: ("\\Seen", "\\Flagged")}
    return folder


def filtered(**conditions: t.Any) -> dict[str, t.Any]:
    return {**MULTIPLE, "filter": conditions}


def run(archive: Archive, *profiles: dict[str, t.Any], days: int = 36_500, **more: t.Any) -> RunReport:
    """Run these profiles. Nothing is compared for the day's sake alone, unless a test says so."""
    archive.profiles = list(profiles)
    return archive.run(reconcile_days=days, **more)


def states(archive: Archive) -> dict[int, tuple[int, str]]:
    return {uid: (state, reason) for uid, state, reason in archive.rows("SELECT uid, state, reason FROM source_messages")}


def fetched(servers: FakeServers) -> list[int]:
    """The messages whose bodies were fetched since the last call."""
    found = [int(line.split()[-1]) for line in servers.commands("FETCH")]
    servers.log.unlink(missing_ok=True)
    return found


def opened(servers: FakeServers) -> int:
    return len(servers.commands("EXAMINE"))


@pytest.mark.parametrize(
    ("conditions", "reasons"),
    [
        ({"since": "2026-12-26"}, {1: "filter: before 2026-12-26", 2: "", 3: ""}),
        ({"before": "2026-12-26"}, {1: "", 2: "filter: not before 2026-12-26", 3: "filter: not before 2026-12-26"}),
        ({"older_than_days": 30}, {1: "", 2: "filter: younger than 30 days", 3: "filter: younger than 30 days"}),
        ({"younger_than_days": 30}, {1: "filter: 30 days old or older", 2: "", 3: ""}),
        ({"seen": True}, {1: "", 2: "filter: not seen", 3: ""}),
        ({"flagged": False}, {1: "", 2: "", 3: "filter: flagged"}),
        ({"larger_than": "1K"}, {1: "filter: not larger than 1024 bytes", 2: "", 3: "filter: not larger than 1024 bytes"}),
        ({"smaller_than": "1K"}, {1: "", 2: "filter: not smaller than 1024 bytes", 3: ""}),
        ({"headers": {"Subject": "MESSAGE 1"}}, dict.fromkeys((2, 3), "filter: header subject has none of MESSAGE 1") | {1: ""}),
        ({"not_headers": {"Subject": ["e 3", "x"]}}, {1: "", 2: "", 3: "filter: header subject has e 3"}),
        ({"seen": True, "flagged": False}, {1: "", 2: "filter: not seen", 3: "filter: flagged"}),
    ],
)
@pytest.mark.usefixtures("inbox")
def test_each_condition_keeps_out_what_it_says_and_fetches_no_body_for_it(
    archive: Archive, servers: FakeServers, conditions: dict[str, t.Any], reasons: dict[int, str]
) -> None:
    report = run(archive, filtered(**conditions))
    assert {uid: reason for uid, (_, reason) in states(archive).items()} == reasons
    kept = [uid for uid, reason in reasons.items() if not reason]
    assert {uid: state for uid, (state, _) in states(archive).items()} == {
        uid: ARCHIVED if uid in kept else EXCLUDED for uid in reasons
    }
    assert fetched(servers) == kept
    assert (report.accounts().seen, report.accounts().new, report.accounts().excluded) == (3, len(kept), 3 - len(kept))
    assert archive.rows("SELECT count(*) FROM source_messages WHERE size IS NULL OR internaldate IS NULL") == [(0,)]

    before = archive.dump()
    again = run(archive, filtered(**conditions))
    assert archive.dump() == before
    assert not fetched(servers) and not again.changed
    assert (again.accounts().known, again.accounts().excluded) == (len(kept), 3 - len(kept))


@pytest.mark.usefixtures("inbox")
def test_a_weaker_filter_archives_more_and_a_stricter_one_leaves_what_is_archived(archive: Archive) -> None:
    run(archive, filtered(older_than_days=30))
    weaker = run(archive, filtered(older_than_days=10))
    assert (weaker.accounts().new, weaker.accounts().known, weaker.accounts().excluded) == (1, 1, 1)
    placed = archive.tree()
    stricter = run(archive, filtered(older_than_days=50))
    assert (stricter.accounts().new, stricter.accounts().known, stricter.accounts().excluded) == (0, 2, 1)
    assert states(archive)[3] == (EXCLUDED, "filter: younger than 50 days")
    assert archive.tree() == placed
    none = run(archive, MULTIPLE)
    assert (none.accounts().new, none.accounts().known, none.accounts().excluded) == (1, 2, 0)


@pytest.mark.usefixtures("inbox")
def test_age_comes_due_by_time_without_any_change_on_the_server(archive: Archive, servers: FakeServers, clock: Clock) -> None:
    profile = filtered(older_than_days=30)
    run(archive, profile)
    fetched(servers)
    clock.now = TODAY + 10 * DAY - 1
    run(archive, profile)
    assert not opened(servers)
    clock.now = TODAY + 10 * DAY
    report = run(archive, profile)
    assert (report.accounts().new, report.accounts().excluded) == (1, 1)
    assert fetched(servers) == [2]
    clock.now = TODAY + 29 * DAY
    run(archive, profile)
    assert not opened(servers)
    clock.now = TODAY + 31 * DAY
    assert run(archive, profile).accounts().as_data()["known"] == 2
    assert fetched(servers) == [3]
    run(archive, profile)
    assert not opened(servers)


@pytest.mark.parametrize("tells_modseq", [True, False])
def test_a_flag_that_changes_opens_the_message_again(
    archive: Archive, servers: FakeServers, inbox: FakeFolder, tells_modseq: bool
) -> None:
    inbox.tells_modseq = tells_modseq
    profile = filtered(seen=True)
    run(archive, profile)
    fetched(servers)
    run(archive, profile)
    # Only the figure tells that a flag changed; where there is none, the folder is looked at in every run.
    assert opened(servers) == (0 if tells_modseq else 1)
    inbox.flag(2, "\\Seen")
    report = run(archive, profile)
    assert report.accounts().new == 1
    assert fetched(servers) == [2]
    run(archive, profile)
    assert not opened(servers)


def test_a_message_that_is_seen_but_too_young_waits_for_its_age(
    archive: Archive, servers: FakeServers, inbox: FakeFolder, clock: Clock
) -> None:
    profile = filtered(seen=True, older_than_days=30)
    run(archive, profile)
    inbox.flag(2, "\\Seen")
    assert run(archive, profile).accounts().as_data()["new"] == 0
    fetched(servers)
    clock.now = TODAY + 10 * DAY
    assert run(archive, profile).accounts().new == 1
    assert fetched(servers) == [2]


def test_a_server_that_refuses_the_search_has_everything_checked_here(archive: Archive, inbox: FakeFolder) -> None:
    inbox.unsearchable = "BAD unknown criteria"
    profile = filtered(seen=True, headers={"Subject": "message 1"})
    report = run(archive, profile)
    assert {uid: state for uid, (state, _) in states(archive).items()} == {1: ARCHIVED, 2: EXCLUDED, 3: EXCLUDED}
    (note,) = report.profiles[0].mailboxes[0].folders[0].notes
    assert "BAD unknown criteria" in note
    assert not report.problems()


def test_a_search_that_overlooks_a_message_does_not_keep_it_out(
    archive: Archive, servers: FakeServers, inbox: FakeFolder
) -> None:
    inbox.overlooked = {1}
    report = run(archive, filtered(headers={"Subject": "message"}, older_than_days=30))
    assert states(archive)[1] == (ARCHIVED, "")
    (note,) = report.profiles[0].mailboxes[0].folders[0].notes
    assert note == "UID 1: the filter lets it pass, but the server's SEARCH did not find it"
    assert fetched(servers) == [1]


def test_a_flag_that_the_search_hides_is_found_when_the_folder_is_compared(
    archive: Archive, inbox: FakeFolder, clock: Clock
) -> None:
    inbox.overlooked = {2}
    run(archive, filtered(seen=True), days=7)
    inbox.flag(2, "\\Seen")
    assert run(archive, filtered(seen=True), days=7).accounts().new == 0
    clock.now = TODAY + 8 * DAY
    assert run(archive, filtered(seen=True), days=7).accounts().new == 1


def test_encoded_words_and_folded_lines_of_a_header_are_read(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE)
    for subject in ("=?utf-8?B?SW52b2ljZSA3?=", "Your\r\n invoice 7", "Rechnung =?iso-8859-1?Q?f=E4llig?=", "none"):
        inbox.add(mail(1).replace(b"message 1", subject.encode()))
    run(archive, filtered(headers={"subject": ["invoice 7", "FÄLLIG"]}))
    assert [state for state, _ in states(archive).values()] == [ARCHIVED, ARCHIVED, ARCHIVED, EXCLUDED]


def test_what_the_header_keeps_out_is_not_looked_at_again_for_a_flag(
    archive: Archive, servers: FakeServers, inbox: FakeFolder
) -> None:
    # The server cannot be asked for such a text, so it finds all.
    profile = filtered(headers={"Subject": "ü"}, seen=True)
    for change, read in ((lambda: None, "1,3"), (lambda: inbox.flag(2, "\\Seen"), "2"), (lambda: inbox.add(mail(4)), "4")):
        change()
        run(archive, profile)
        assert servers.commands("HEADERS") == [f"HEADERS mail1 {ALICE} {read} subject"]
        assert not fetched(servers)


def test_a_message_too_large_for_memory_is_kept_out_by_its_header_alone(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server that tells no header fields the whole message has to come."""
    monkeypatch.setattr(servers, "headers", lambda *_: {})
    servers.stream_above = 100
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    run(archive, filtered(headers={"Subject": "ü"}))
    assert [state for state, _ in states(archive).values()] == [EXCLUDED, EXCLUDED]
    assert fetched(servers) == [1, 2]
    assert not archive.files()


@pytest.mark.parametrize("second", [{"older_than_days": 10}, {"seen": False}, {"headers": {"Subject": "message 2"}}])
@pytest.mark.usefixtures("inbox")
def test_what_one_filter_keeps_out_and_another_wants_is_archived_and_stays_so(
    archive: Archive, servers: FakeServers, second: dict[str, t.Any]
) -> None:
    profiles = [{**filtered(older_than_days=30)}, {**filtered(**second), "name": "second"}]
    report = run(archive, *profiles)
    assert {uid: state for uid, (state, _) in states(archive).items()} == {1: ARCHIVED, 2: ARCHIVED, 3: EXCLUDED}
    assert [profile.accounts().excluded for profile in report.profiles] == [2, 1]
    run(archive, *profiles)
    before = archive.dump()
    fetched(servers)
    for only in ((), ("second",), ("all mailboxes",), ()):
        run(archive, *profiles, only=only)
        assert archive.dump() == before
        assert not opened(servers)


@pytest.mark.usefixtures("inbox")
def test_the_order_of_two_filters_does_not_matter(archive: Archive, servers: FakeServers, clock: Clock) -> None:
    wide, narrow = filtered(older_than_days=10), {**filtered(seen=True, older_than_days=30), "name": "narrow"}
    run(archive, wide, narrow)
    clock.now = TODAY + 20 * DAY
    report = run(archive, wide, narrow)
    assert [profile.accounts().new for profile in report.profiles] == [1, 0]
    run(archive, wide, narrow)
    servers.log.unlink()
    run(archive, wide, narrow)
    assert not opened(servers)


@pytest.mark.usefixtures("inbox")
def test_what_another_user_got_comes_due_for_this_one(archive: Archive, servers: FakeServers, clock: Clock) -> None:
    """A message that one profile has archived is filed for the user of another when its filter lets it pass, from the store."""
    archive.user(BOB)
    servers.folder("mail1", BOB)
    leaver = {"name": "for bob", "method": "single_mailbox", "mailbox": ALICE, "target_user": BOB, "credentials": "master"}
    profiles = [MULTIPLE, {**leaver, "filter": {"older_than_days": 30}}]
    run(archive, *profiles)
    assert sum(archive.placed(BOB).values()) == 1
    fetched(servers)
    clock.now = TODAY + 10 * DAY
    report = run(archive, *profiles)
    assert sum(archive.placed(BOB).values()) == 2
    assert not fetched(servers)
    assert report.changed
    before = archive.dump()
    run(archive, *profiles)
    assert not opened(servers) and archive.dump() == before


def test_what_multidrop_left_is_not_taken_from_its_list_by_another_filter(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", JOURNAL).add(mail(1, to="unknown@example.net", sender="nobody@example.net"), mail(2, to=ALICE))
    bills = {**multidrop(filter={"headers": {"Subject": "bill"}}), "name": "journal of bills"}
    for _ in range(3):
        report = run(archive, bills, multidrop())
        assert states(archive)[1] == (LEFT, "unknown@example.net nobody@example.net")
        assert states(archive)[2] == (ARCHIVED, "")
    servers.log.unlink()
    run(archive, bills, multidrop(), only=["journal of bills"])
    report = run(archive, bills, multidrop())
    assert not opened(servers)
    assert dict(report.profiles[1].unknown) == {"unknown@example.net": 1, "nobody@example.net": 1}


def test_what_was_left_is_kept_out_once_a_filter_says_so(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", JOURNAL).add(mail(1, to="unknown@example.net", sender="nobody@example.net"))
    run(archive, multidrop())
    report = run(archive, multidrop(filter={"headers": {"Subject": "bill"}}))
    assert states(archive)[1] == (EXCLUDED, "filter: header subject has none of bill")
    assert not report.profiles[0].unknown
    assert run(archive, multidrop()).accounts().left == 1


def test_a_run_that_breaks_before_all_is_decided_goes_on_in_the_next(archive: Archive, inbox: FakeFolder) -> None:
    run(archive, filtered(older_than_days=50))
    inbox.refuse = "NO such folder now"
    run(archive, filtered(older_than_days=10))
    inbox.refuse = ""
    assert run(archive, filtered(older_than_days=10)).accounts().new == 2


def test_a_message_that_failed_and_is_now_excluded_fails_no_more(archive: Archive, inbox: FakeFolder) -> None:
    inbox.bad = {2}
    assert run(archive, MULTIPLE).accounts().failed == 1
    report = run(archive, filtered(seen=True))
    assert (report.accounts().failed, report.accounts().excluded) == (0, 1)


@pytest.mark.parametrize(
    "conditions", [{"older_than_days": 30}, {"seen": True}, {"headers": {"Subject": "message 2"}}, {"smaller_than": "1K"}]
)
@pytest.mark.usefixtures("inbox")
def test_check_mode_counts_what_a_run_keeps_out_without_reading_a_message(
    archive: Archive, servers: FakeServers, conditions: dict[str, t.Any]
) -> None:
    archive.profiles = [filtered(**conditions)]
    before = archive.dump()
    foreseen = Preview(archive.options(), Silent(), servers.imap()).go().accounts().as_data()
    assert not fetched(servers) and archive.dump() == before
    assert archive.run().accounts().as_data() == foreseen
    archive.profiles = [filtered(older_than_days=10)]
    foreseen = Preview(archive.options(), Silent(), servers.imap()).go().accounts().as_data()
    assert archive.run().accounts().as_data() == foreseen
