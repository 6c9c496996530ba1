# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion on the server: one case per clause of the proof in which that clause alone is violated, beside the healthy case.

Each case compares everything that is in the mailbox before and after.
"""

from __future__ import annotations

import json
import re
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.deletion_scene import ALL, DAY, DAYS, INBOX, Content, Scene, archived, just_now, of
from tests.faults.imap_script import Command
from tests.faults.imap_state import DELETED, TRASH
from tests.faults.raw_run import ALICE
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")

ODD = 3  # the UID of the message that violates a clause
Violate = t.Callable[[Scene], t.Any]


def without(content: Content, uids: t.Collection[int]) -> Content:
    """The content of the mailbox once these messages of the inbox are gone."""
    return {key: [one for one in found if key != INBOX or one[0] not in uids] for key, found in content.items()}


def test_what_is_archived_and_old_enough_goes_and_leaves_a_receipt(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        before = scene.content()
        report = scene.go()
        assert not report.problems(), told(report)
        assert (report.deleted, of(report).deleted, report.spared(), report.changed) == (6, 6, {}, True)
        assert "6 were deleted on the server" in report.sentence()
        assert scene.content() == without(before, ALL)
        assert scene.receipts().keys() == ALL
        assert all(scene.receipts().values())
        assert set(scene.states().values()) == {7}
        again = scene.go()
        assert (again.deleted, again.changed, again.problems(), of(again).opened) == (0, False, [], False)


def test_the_receipt_tells_what_was_proven(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        digest = scene.content()[INBOX][0][1]
        link = scene.link_of(1).relative_to(scene.root)
        scene.go()
        ((proof,),) = scene.execute("SELECT proof FROM receipts WHERE uid = 1")
        receipt = json.loads(proof)
        assert (receipt["digest"], receipt["size"], receipt["after_days"]) == (digest, len(mail(1)), DAYS)
        assert receipt["placements"] == [{"path": str(link), "proof": "the object's own file"}]
        assert receipt["reread"] in ("O_DIRECT", "posix_fadvise(DONTNEED)")
        assert (receipt["expunge"], receipt["flags"]) == ("UID EXPUNGE completed", [])
        assert receipt["watched"] == {TRASH.decode(): [1, 1]}
        assert receipt["proven"] <= receipt["gone"]


def test_a_clock_that_is_set_forward_in_the_middle_makes_nothing_old_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archived(tmp_path / "a") as scene:
        scene.age(1 - DAYS)
        before, right = scene.content(), time.time
        monkeypatch.setattr(time, "time", lambda: right() + 365 * DAY)
        report = scene.go()
        assert (report.deleted, report.problems(), scene.content()) == (0, [], before), told(report)


def test_no_profile_deletes_unless_it_says_so(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        for profile in scene.run.profiles:
            del profile["delete"]
        before = scene.content()
        report = scene.go()
        assert (report.deleted, report.changed, report.spared()) == (0, False, {})
        assert scene.content() == before
        assert "SELECT" not in scene.verbs()


def test_a_mailbox_without_old_messages_costs_no_connection(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        scene.age(-DAYS)
        logins = scene.verbs().count("LOGIN")
        assert scene.go().deleted == 0
        assert scene.verbs().count("LOGIN") == logins + 1  # the survey


# One message


def make_young(scene: Scene) -> None:
    scene.execute("UPDATE source_messages SET archived = ? WHERE uid = ?", int(time.time()) - (DAYS - 1) * DAY, ODD)


def damage(scene: Scene) -> None:
    path = scene.object_of(ODD)
    path.chmod(0o640)
    path.write_bytes(scene.object_of(4).read_bytes())


def damage_link(scene: Scene) -> None:
    """Another file in its place, with the bytes of another message."""
    link = scene.link_of(ODD)
    link.unlink()
    link.write_bytes(scene.object_of(4).read_bytes())


def forget_placement(scene: Scene) -> None:
    scene.execute("DELETE FROM placements WHERE digest = (SELECT digest FROM source_messages WHERE uid = ?)", ODD)
    scene.link_of(ODD).unlink()


def tell_other_size(scene: Scene) -> None:
    """Of this message, once the archive has it: a server that counts line ends otherwise now."""

    def lie(answer: bytes) -> bytes:
        return re.sub(rb"(UID %d RFC822\.SIZE )(\d+)" % ODD, rb"\g<1>77", answer)

    scene.script.on("UID FETCH", script.edit(lie), where=lambda command: "INTERNALDATE" in command.text)


def vanish_later(scene: Scene) -> None:
    scene.script.on("SELECT", script.before(lambda _command: scene.inbox.expunge(ODD)), times=1)


SPARED: dict[str, tuple[Violate, str, int, bool]] = {
    # what is done -> reason, state of the row afterwards, whether the archive is intact
    "flagged": (lambda scene: scene.inbox.change(ODD, flags=("\\Flagged",)), deletion.FLAGGED, 1, True),
    "flagged in another case": (lambda scene: scene.inbox.change(ODD, flags=("\\FLAGGED",)), deletion.FLAGGED, 1, True),
    "marked by its user": (lambda scene: scene.inbox.change(ODD, flags=(DELETED,)), deletion.MARKED, 1, True),
    "archived not long ago": (make_young, "", 1, True),
    "another size on the server": (tell_other_size, deletion.OTHER_SIZE, 1, True),
    "another date on the server": (
        lambda scene: scene.inbox.change(ODD, internaldate=just_now()),
        deletion.OTHER_DATE,
        1,
        True,
    ),
    "its object is damaged": (damage, deletion.OBJECT_DAMAGED, 5, False),
    "its object is missing": (lambda scene: scene.object_of(ODD).unlink(), deletion.OBJECT_DAMAGED, 5, False),
    "its file is missing": (lambda scene: scene.link_of(ODD).unlink(), deletion.LINK_DAMAGED, 1, False),
    "its file holds another message": (damage_link, deletion.LINK_DAMAGED, 1, False),
    "its placement is not committed": (forget_placement, deletion.NOT_PLACED, 1, False),
    "its row says quarantined": (
        lambda scene: scene.execute("UPDATE source_messages SET state = 6 WHERE uid = ?", ODD),
        "",
        6,
        True,
    ),
}


@pytest.mark.parametrize("case", SPARED)
def test_one_message_that_violates_a_clause_stays_and_the_others_go(tmp_path: Path, case: str) -> None:
    violate, reason, state, intact = SPARED[case]
    with archived(tmp_path / "a") as scene:
        violate(scene)
        before = scene.content()
        report = scene.go(intact=intact)
        assert scene.content() == without(before, ALL - {ODD})
        assert of(report).spared == ({reason: 1} if reason else {})
        assert report.deleted == 5
        assert scene.states()[ODD] == state
        assert ODD not in scene.receipts()
        assert bool(of(report).error) == ("damaged" in reason)


def test_a_new_message_stays_whatever_its_age_in_the_archive(tmp_path: Path) -> None:
    """The later of INTERNALDATE and archiving counts."""
    with Scene(tmp_path / "a") as scene:
        scene.inbox.change(ODD, internaldate=just_now())
        scene.archive()
        before = scene.content()
        assert scene.go().deleted == 5
        assert scene.content() == without(before, ALL - {ODD})


def test_a_size_that_was_wrong_when_it_was_fetched_spares_the_message(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        tell_other_size(scene)
        scene.archive()
        before = scene.content()
        report = scene.go()
        assert of(report).spared == {deletion.OTHER_SIZE: 1}
        assert scene.content() == without(before, ALL - {ODD})


def test_a_damaged_object_is_read_again_from_the_server_where_it_still_is(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        damage(scene)
        report = scene.go(intact=False)
        assert "damaged" in of(report).error
        # The object is read again from the server, and the placement, another name of the damaged file, is a link to it again.
        repaired = scene.go()
        assert not repaired.problems(), told(repaired)
        assert scene.inbox.uids() == []


@pytest.mark.parametrize("violate", [damage_link, lambda scene: scene.link_of(ODD).unlink()], ids=["other bytes", "gone"])
def test_a_lost_file_of_a_placement_is_put_back_before_its_message_goes(tmp_path: Path, violate: Violate) -> None:
    with archived(tmp_path / "a") as scene:
        violate(scene)
        report = scene.go()
        assert "missing or damaged" in told(report)
        assert scene.inbox.uids() == [ODD]
        assert scene.go().deleted == 1


def test_a_message_that_vanished_meanwhile_has_no_receipt(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        vanish_later(scene)
        report = scene.go()
        assert of(report).spared == {deletion.NOT_LISTED: 1}
        assert scene.receipts().keys() == ALL - {ODD}


@pytest.mark.parametrize("flag", ["\\Flagged", ""])
def test_a_message_that_is_flagged_or_unmarked_in_the_last_moment_stays_without_our_mark(tmp_path: Path, flag: str) -> None:
    with archived(tmp_path / "a") as scene:
        before = scene.content()

        def meddle(command: Command) -> t.Iterator[script.Chunk]:
            yield from command.ordinary()
            scene.inbox.change(ODD, flags=(flag, DELETED) if flag else ())

        scene.script.on("UID STORE", meddle, nth=2, times=1)  # the first one is the probe
        report = scene.go()
        assert report.deleted == 5
        assert [uid for uid, _, _ in scene.content()[INBOX]] == [ODD]
        assert scene.unmarked()
        assert ODD not in scene.receipts()
        assert scene.content()[(ALICE, TRASH)] == before[(ALICE, TRASH)]


# A whole folder or mailbox


def refuse_examine(scene: Scene) -> None:
    """Another folder of the mailbox cannot be read in this run."""
    scene.folder("Projects").add(mail(50))
    scene.script.on("EXAMINE", script.no("cannot read it"), folder="Projects")


def refuse_message(scene: Scene) -> None:
    """A new message cannot be archived."""
    scene.inbox.add(mail(99))
    scene.script.on("UID FETCH", script.no("cannot read it"), uid=7, where=lambda command: command.bodies)


def renumber_late(scene: Scene) -> None:
    scene.script.on("SELECT", script.before(lambda _command: scene.inbox.renumber()), times=1)


def other_profile(scene: Scene, **more: t.Any) -> dict[str, t.Any]:
    """A second profile that reads the mailbox, for another user."""
    one = {**scene.run.profiles[0], "name": "second", "target_user": "second@example.com", **more}
    one.pop("delete", None)
    scene.run.profiles.append(one)
    return one


WHOLE: dict[str, tuple[Violate, dict[str, t.Any], str]] = {
    "another folder has an error": (refuse_examine, {}, deletion.PROBLEMS),
    "a message could not be archived": (refuse_message, {}, deletion.PROBLEMS),
    "another profile has never run": (
        other_profile,
        {"only": ["mail1 alice@example.com"]},
        deletion.NOT_FILED.format(name="second"),
    ),
    "another profile cannot be evaluated": (
        other_profile,
        {"only": ["mail1 alice@example.com"], "unknown": "second"},
        deletion.NOT_RUN.format(name="second"),
    ),
    "another profile reads it under another name": (
        lambda scene: other_profile(scene, mailbox="alice"),
        {"only": ["mail1 alice@example.com"]},
        deletion.TWO_NAMES.format(name="second", mailbox=ALICE),
    ),
    "the UIDVALIDITY changes before the folder is opened": (renumber_late, {}, ""),
}


@pytest.mark.parametrize("case", WHOLE)
def test_nothing_of_the_mailbox_goes(tmp_path: Path, case: str) -> None:
    violate, options, reason = WHOLE[case]
    with archived(tmp_path / "a") as scene:
        violate(scene)
        before = {key: [one[1:] for one in found] for key, found in scene.content().items()}
        report = scene.go(**options)
        assert {key: [one[1:] for one in found] for key, found in scene.content().items()} == before
        assert report.deleted == 0
        if reason:
            assert of(report).spared.keys() == {reason}, told(report)
        assert scene.receipts() == {}
        assert "UID STORE" not in scene.verbs()


def test_a_quarantined_message_does_not_keep_the_others(tmp_path: Path) -> None:
    with Scene(tmp_path / "a") as scene:
        scene.script.on("UID FETCH", script.no("cannot read it"), uid=ODD, where=lambda command: command.bodies)
        scene.go()
        scene.age()
        scene.execute("UPDATE source_messages SET state = 6, attempts = 9 WHERE uid = ?", ODD)
        before = scene.content()
        assert scene.go().deleted == 5
        assert scene.content() == without(before, ALL - {ODD})


def test_another_profile_that_has_filed_the_folder_keeps_nothing(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        other_profile(scene)
        report = scene.go()
        assert report.deleted == 6, told(report)
        ((proof,),) = scene.execute("SELECT proof FROM receipts WHERE uid = 1")
        assert len(json.loads(proof)["placements"]) == 2


def test_after_a_restore_of_the_server_nothing_goes_before_everything_was_read_again(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        scene.inbox.renumber(first=100)
        scene.script.on("UID FETCH", script.close, where=lambda command: command.bodies)
        before = scene.content()
        report = scene.go()
        assert report.problems()
        assert scene.content() == before
        scene.script.clear()
        assert scene.go().deleted == 0  # read again just now, so not old enough
        scene.age()
        assert scene.go().deleted == 6
        assert scene.inbox.uids() == []


def test_what_a_restore_brings_back_under_its_uid_is_read_and_proven_again(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        before = scene.server.state.snapshot()
        scene.go()
        scene.server.state.restore(before)
        scene.script.on("UID EXPUNGE", script.close)
        scene.go()
        assert scene.states() == dict.fromkeys(ALL, 1)
        assert len(scene.run.archive.tree()) == 6
        scene.script.clear()
        assert scene.go().deleted == 6
        ((proof,),) = scene.execute("SELECT proof FROM receipts WHERE uid = 1")
        assert json.loads(proof)["earlier"]["deleted"]


def test_the_longest_wait_of_two_profiles_that_delete_counts(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        other_profile(scene)["delete"] = {"after_days": DAYS + 30}
        before = scene.content()
        assert scene.go().deleted == 0
        assert scene.content() == before
        scene.age(30)
        assert scene.go().deleted == 6


def test_a_message_that_a_filter_of_another_profile_lets_pass_later_stays(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        other_profile(scene, filter={"seen": True})
        before = scene.content()
        report = scene.go()
        assert report.spared() == {deletion.KEPT_BACK.format(name="second"): 6}
        assert scene.content() == before


def test_check_mode_counts_what_would_go_and_touches_nothing(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        scene.inbox.change(ODD, flags=("\\Flagged",))
        before = scene.content()
        report = Preview(scene.run.options(), Silent()).go()
        assert (report.deleted, report.spared()) == (5, {deletion.FLAGGED: 1})
        assert scene.content() == before
        assert not {"SELECT", "UID STORE", "UID EXPUNGE"} & set(scene.verbs())
