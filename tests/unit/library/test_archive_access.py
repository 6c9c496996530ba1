# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_access over real Dovecots: the trial, what goes live, and what people can open then."""

from __future__ import annotations

import imaplib
import itertools
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    access_apply,
    access_files,
    access_instance,
    access_names,
    access_passwords,
    access_state,
)
from tests.unit.access_scene import GROUP, PASSWORD, SCRIPT, Scene, count, folders, integrated, person, scene

ALICE, BOB, AUDITOR = "alice@example.com", "bob@example.com", "auditor"
NASTY = (
    "o'brien@example.com",
    "Müller Jörg",
    "日本",
    "a*b@example.com",
    "a?b@example.com",
    "a%b@example.com",
    "[a]{b}",
    ".dot",
    "~tilde",
    "-dash",
    "UPPER",
    "two  blanks (left, 17)",
    "owner",
    "user=bob",
    "..",
    "$&!^`|<>,;",
)
RENDER = access_files.render
NO_LOGIN = ("col:on", "sl/ash", 'qu"ote', "back\\slash", "tab\tname", " lead", "trail ", "#hash", "")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_apply, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def archive() -> t.Iterator[Scene]:
    with scene() as made:
        made.users(person(ALICE), person(BOB), integrated(AUDITOR, "login", "audit"))
        made.archive(ALICE, ALICE, "INBOX")
        yield made


def opened(imap: imaplib.IMAP4, *names: str) -> list[int | None]:
    return [count(imap, name) for name in names]


def refused(archive: Scene, user: str, password: str = PASSWORD) -> str:
    with pytest.raises(imaplib.IMAP4.error) as caught:
        archive.log_in(user, password)
    return str(caught.value)


@pytest.mark.shows("change", "again", "check", "diff")
def test_check_writes_nothing_and_a_second_run_changes_nothing(archive: Scene) -> None:
    check = archive.declare(check=True)
    assert check["changed"] and archive.snapshot() == {}
    assert not any((archive.root / "mail").glob("bob*"))
    first = archive.declare()
    assert first["changed"] and not first["failed"], first
    assert first["diff"] == check["diff"]
    assert set(first["diff"]["after"]["people"]) == {ALICE, BOB, AUDITOR}
    assert first["diff"]["after"]["people"][BOB]["kerio"] == f"{BOB}@kerio on mail1"
    assert (first["archives"], first["people"], first["running"], first["reloaded"], first["kicked"]) == (3, 3, False, False, [])
    assert not (archive.state / "next").exists()
    there = archive.snapshot()
    again, check = archive.declare(), archive.declare(check=True)
    for nothing in (again, check):
        assert (nothing["changed"], nothing["diff"]["before"], nothing["diff"]["after"]) == (False, {}, {})
    assert archive.snapshot() == there
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (archive.state / "live").iterdir()}
    assert modes.pop("applied.json") == 0o600 and set(modes.values()) == {0o640}
    assert all((archive.state / "live" / name).group() == GROUP for name in modes)

    (archive.state / "live" / "acl").write_text("nonsense\n")
    (archive.state / "live" / "owners").chmod(0o666)
    (archive.state / "homes" / "1" / "mail").unlink()
    mended = archive.declare()
    assert mended["changed"] and set(mended["diff"]["after"]) == {"files", "homes"}
    assert set(mended["diff"]["after"]["files"]) == {"acl", "owners"}
    assert stat.S_IMODE((archive.state / "live" / "owners").stat().st_mode) == 0o640


def test_people_open_what_they_may_and_lose_it_with_their_sessions(archive: Scene) -> None:
    archive.users(person("carl", reads=(ALICE,)), person("blind", "login", reads=(ALICE,)))
    archive.in_force()
    shared = f"Archives/{ALICE}/{ALICE}/INBOX"
    with archive.serving():
        alice = archive.log_in(ALICE)
        assert opened(alice, "INBOX", f"{ALICE}/INBOX", f"Archives/{BOB}") == [0, 1, None]
        assert folders(archive.log_in(ALICE)) == ["INBOX", ALICE, f"{ALICE}/INBOX"]
        assert opened(archive.log_in(BOB), "INBOX", shared) == [0, None]
        carl, auditor, blind = (archive.log_in(*who) for who in (("carl",), (AUDITOR, PASSWORD), ("blind",)))
        assert opened(carl, shared, f"Archives/{BOB}", "Archives/Alice@example.com") == [1, None, None]
        assert folders(archive.log_in("carl")) == ["Archives", f"Archives/{ALICE}", f"Archives/{ALICE}/{ALICE}", shared, "INBOX"]
        assert opened(auditor, shared, f"Archives/{BOB}", "Archives/nobody") == [1, 0, None]
        assert opened(blind, shared, "INBOX", "Archives/blind") == [1, None, None]
        assert "AUTHENTICATIONFAILED" in refused(archive, "carl", "wrong")
        assert "AUTHENTICATIONFAILED" in refused(archive, "nobody")

        archive.users(person("carl"), person("dora"), integrated(AUDITOR, "login", "read"))
        changed = archive.declare()
        assert (changed["kicked"], changed["reloaded"], changed["running"]) == ([AUDITOR, "carl"], False, True)
        assert "sessions ended of auditor, carl" in changed["msg"]
        for ended in (carl, auditor):
            with pytest.raises((imaplib.IMAP4.abort, OSError)):
                ended.noop()
        assert opened(alice, "INBOX") == [0] and opened(blind, shared) == [1]
        assert opened(archive.log_in("carl"), shared, "INBOX") == [None, 0]
        assert opened(archive.log_in("dora"), "INBOX") == [0]
        assert opened(archive.log_in(AUDITOR, PASSWORD), shared, "INBOX") == [None, 0]

        archive.users(person(ALICE, enabled=False))
        archive.leave(BOB)
        kept = archive.declare(kick=False)
        assert kept["kicked"] == [] and opened(alice, "INBOX") == [0]
        assert "AUTHENTICATIONFAILED" in refused(archive, ALICE)

        archive.candidate("kerio.lua", SCRIPT + "-- another one\n")
        reloaded = archive.declare()
        assert (reloaded["reloaded"], reloaded["kicked"], set(reloaded["diff"]["after"])) == (True, [], {"dovecot", "files"})
        assert not archive.declare()["changed"]
        assert opened(blind, shared) == [1] and opened(archive.log_in("dora"), "INBOX") == [0]
        assert [line for line in archive.log().splitlines() if " Error: " in line and "/user-not-found/nobody" not in line] == []


def test_another_password_counts_at_once_and_ends_sessions(archive: Scene) -> None:
    archive.in_force()
    with archive.serving():
        auditor = archive.log_in(AUDITOR, PASSWORD)
        hashes = access_passwords.hashes({AUDITOR: "not-a-secret-new"}, {})
        changed = archive.declare(passwords={"Auditor": hashes[AUDITOR]})
        assert changed["kicked"] == [AUDITOR]
        assert changed["diff"]["after"]["people"] == {AUDITOR: {"by": "(new secret)"}}
        assert "not-a-secret" not in str(changed) and "$argon2id$" not in str(changed)
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            auditor.noop()
        assert "AUTHENTICATIONFAILED" in refused(archive, AUDITOR)
        assert opened(archive.log_in(AUDITOR, "not-a-secret-new"), "INBOX") == [0]
        assert not archive.declare(passwords={AUDITOR: "not-a-secret-new"})["changed"]


def test_names_of_every_kind_are_served_and_none_of_them_breaks_a_file(archive: Scene) -> None:
    names = (*NASTY, *NO_LOGIN)
    archive.users(*(person(name, kerio_login="x@kerio") for name in names), person("reader's", reads=names))
    for number, name in enumerate(names):
        archive.archive(name, "mail", text=f"message {number}")
    result = archive.declare()
    assert not result["failed"], result
    assert len(result["warnings"]) == 1 and all(name in result["warnings"][0] for name in NO_LOGIN)
    with archive.serving():
        auditor, reader = archive.log_in(AUDITOR, PASSWORD), archive.log_in("reader's")
        for number, name in enumerate(names):
            for imap in (auditor, reader):
                # Before anything was listed.
                assert count(imap, f"Archives/{access_names.label(name)}/mail") == 1, name
                assert f"message {number}\r\n".encode() in imap.fetch("1", "(BODY.PEEK[TEXT])")[1][0]
        for name in NASTY:
            assert opened(archive.log_in(name), "mail", f"Archives/{access_names.label(name)}", f"Archives/{ALICE}") == [
                1,
                None,
                None,
            ]
        assert "AUTHENTICATIONFAILED" in refused(archive, "col:on")
        for imap in (auditor, reader):
            assert {f"Archives/{access_names.label(name)}/mail" for name in names} <= set(folders(imap))
        assert "Error" not in archive.log() and "Panic" not in archive.log()


BROKEN_CANDIDATES = (
    ("dovecot.conf", "nonsense = 5\n", "Unknown setting: nonsense"),
    ("dovecot.conf", "ssl = required\nssl_cert = </nowhere/cert.pem\n", "/nowhere/cert.pem: No such file or directory"),
    ("dovecot.conf", "protocol imap {\n  mail_plugins = zlib\n}\n", "imap_acl"),
    ("dovecot.conf", "plugin {\n  acl = vfile\n}\n", "a probe has other rights on an archive than lr"),
    ("dovecot.conf", "plugin {\n  acl_globals_only = no\n}\n", "acl_globals_only is not yes"),
    ("dovecot.conf", "auth_username_chars = abc\n", "disallowed by auth_username_chars"),
    ("kerio.lua", "function x(\n", "candidate/kerio.lua:"),
    ("kerio.lua", 'require "nowhere"\n', "module 'nowhere' not found"),
    ("kerio.lua", "function auth_password_verify() return nowhere.x end\n", "attempt to index a nil value (global 'nowhere')"),
    ("kerio.lua", "function auth_password_verify() return dovecot.auth.PASSDB_RESULT_OK, {} end\n", "was let in"),
)
BROKEN_FILES = (
    ("acl", "* owner q\n", "next/acl line 4: Unknown ACL 'q'"),
    ("acl", "* owner lrw\n", "a probe has other rights on an archive than lr"),
    ("owners", f"{ALICE}:::::/elsewhere::\n", f"User {ALICE} exists more than once"),
    ("acl-of-auditors", "* owner q\n", "next/acl-of-auditors line 4: Unknown ACL 'q'"),
    ("acl-of-auditors", "Archives/* group=auditors lrw\n", "a probe has other rights on an archive than lr"),
    ("logins.lua", "}\n", "next/logins.lua:"),
)


@pytest.mark.shows("error")
def test_what_would_lock_people_out_or_let_them_in_does_not_go_live(archive: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.in_force()
    there = archive.snapshot()
    for name, text, words in BROKEN_CANDIDATES:
        path = archive.state / "candidate" / name
        whole = path.read_text()
        archive.candidate(name, f"{whole}\n{text}")
        told(archive, archive.declare(), words, there)
        archive.candidate(name, whole)
    for name, text, words in BROKEN_FILES:
        with monkeypatch.context() as patch:
            patch.setattr(access_files, "render", broken(name, text))
            told(archive, archive.declare(), words, there)
    assert not archive.declare()["changed"]


def told(archive: Scene, failed: dict[str, t.Any], words: str, there: dict[str, tuple[int, int, str]]) -> None:
    """The trial failed in one sentence with Dovecot's words; what is in use is as it was; what was tried is there to be seen."""
    assert failed["failed"] and not failed["changed"], words
    assert failed["error"]["kind"] == "access" and "\n" not in failed["msg"]
    assert words in failed["msg"], failed["msg"]
    now = archive.snapshot()
    tried = {path for path in now if path.startswith(str(archive.state / "next"))}
    assert {path: now[path] for path in now if path not in tried} == there
    assert str(archive.state / "next" / "dovecot.conf") in tried


def broken(name: str, text: str) -> t.Callable[..., dict[str, str]]:
    """``render`` with something more in one file."""

    def render(*args: t.Any) -> dict[str, str]:
        made = RENDER(*args)
        return {**made, name: made[name] + text}

    return render


def test_before_anything_else_changes_nobody_can_log_in_who_has_lost_something(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.users(person("carl", reads=(ALICE,)), person("dora"))
    archive.in_force()
    archive.users(person("carl"), person("erik"))
    archive.candidate("kerio.lua", SCRIPT + "-- another one\n")
    steps: list[tuple[str, set[str]]] = []
    write = access_state.write

    def watched(path: Path, text: str, rights: access_state.Rights) -> None:
        steps.append((path.name, {line.split(":")[0] for line in text.splitlines()[1:]} if path.name == "users" else set()))
        write(path, text, rights)

    class Running:
        """Everybody is logged in, whoever is kicked."""

        def end_sessions(self, users: list[str]) -> set[str]:
            steps.append(("kick", set(users)))
            return set(users)

        def reload(self) -> None:
            steps.append(("reload", set()))

    monkeypatch.setattr(access_apply, "SETTLE_SECONDS", 1.1)
    monkeypatch.setattr(access_apply.time, "sleep", lambda seconds: steps.append(("settle", {str(seconds)})))
    monkeypatch.setattr(access_state, "write", watched)
    monkeypatch.setattr(access_apply, "_try", lambda _wanted: None)
    monkeypatch.setattr(access_apply, "_running", lambda _state: Running())
    archive.in_force()
    assert steps[:2] == [("users", {ALICE, BOB, AUDITOR, "dora"}), ("settle", {"1.1"})]
    assert steps[2] == ("kick", {"carl"})
    assert {name for name, _ in steps[3:-6]} == {"owners", "acl", "shared-mailboxes", "logins.lua", "kerio.lua"}
    assert steps[-6:] == [
        ("reload", set()),
        ("users", {ALICE, BOB, AUDITOR, "dora", "carl", "erik"}),
        ("kick", {"carl"}),
        ("settle", {"1.1"}),
        ("kick", {"carl"}),
        ("applied.json", set()),
    ]


def test_a_run_that_died_in_the_middle_is_done_again_with_its_kicks_and_its_reload(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.in_force()
    monkeypatch.setattr(access_apply, "_try", lambda _wanted: None)
    with archive.serving():
        write = access_state.write
        for died in itertools.count():
            archive.candidate("kerio.lua", SCRIPT + f"-- {died}\n")
            archive.users(person(BOB, "login", *(["read"] if died % 2 else []), server=f"mail{died + 2}"))
            bob, left = archive.log_in(BOB), itertools.count(died, -1)

            def dying(path: Path, text: str, rights: access_state.Rights, left: t.Iterator[int] = left) -> None:
                if path.parent.name == "live" and next(left) == 0:
                    raise InterruptedError
                write(path, text, rights)

            with monkeypatch.context() as patch:
                patch.setattr(access_state, "write", dying)
                try:
                    archive.declare()
                    break
                except InterruptedError:
                    pass
            again = archive.declare()
            assert again["changed"] and again["reloaded"], died
            with pytest.raises((imaplib.IMAP4.abort, OSError)):
                bob.noop()
            assert opened(archive.log_in(BOB), "INBOX") == [0 if died % 2 else None]
        assert died > 3


def test_a_folder_of_ones_own_under_the_name_of_the_archives_of_others_is_told(archive: Scene) -> None:
    archive.archive(BOB, "Archives", ALICE)
    warnings = archive.declare()["warnings"]
    assert len(warnings) == 1 and warnings[0].startswith(f"{BOB} cannot open their own folder Archives")
    with archive.serving():
        assert opened(archive.log_in(BOB), f"Archives/{ALICE}", "Archives") == [None, None]
        assert opened(archive.log_in(AUDITOR, PASSWORD), f"Archives/{BOB}/Archives/{ALICE}") == [1]


def test_a_key_that_does_not_fit_its_certificate_is_found(archive: Scene) -> None:
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]
    for name in ("one", "other"):
        made = archive.base / name
        subprocess.run([*request, "-keyout", f"{made}.key", "-out", f"{made}.pem"], check=True, capture_output=True)
    whole = (archive.state / "candidate" / "dovecot.conf").read_text()
    for key, words in (("other", "Key is for a different cert than ssl_cert"), ("one", "changed access")):
        pair = f"ssl_cert = <{archive.base}/one.pem\nssl_key = <{archive.base}/{key}.key\n"
        archive.candidate("dovecot.conf", f"{whole}\nssl = required\n{pair}")
        assert words in archive.declare()["msg"]


def test_a_failure_after_the_trial_tells_that_something_was_changed_and_the_next_call_does_the_rest(
    archive: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.in_force()
    archive.candidate("kerio.lua", SCRIPT + "-- another one\n")
    with archive.serving():
        with monkeypatch.context() as patch:
            patch.setattr(access_instance, "DOVEADM", "/nowhere/doveadm")
            failed = archive.declare()
        assert failed["failed"] and failed["changed"] and "/nowhere/doveadm: the program is not there" in failed["msg"]
        assert archive.declare()["reloaded"]


def test_dovecot_sees_a_change_of_the_same_size_within_a_second(archive: Scene) -> None:
    path = archive.base / "users"
    times = []
    for text in ("alice", "erika", "carol"):
        access_state.write(path, text, access_state.rights_of(None, None, None))
        times.append(int(path.stat().st_mtime))
    assert times == sorted(set(times))


def test_an_unreadable_record_ends_every_session(archive: Scene) -> None:
    archive.in_force()
    with archive.serving():
        archive.log_in(ALICE)
        (archive.state / "live" / "applied.json").write_text("[]")
        assert archive.declare()["kicked"] == [ALICE]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state_dir": "/var/lib/a:b"}, "cannot stand in the files of Dovecot"),
        ({"passwords": {AUDITOR: ""}}, "it is empty"),
        ({"passwords": {AUDITOR: "$argon2id$nonsense"}}, "begins as an argon2id hash"),
        ({"passwords": {AUDITOR: PASSWORD, "AUDITOR": PASSWORD}}, "it is given twice"),
        ({"root": "/nowhere"}, "/nowhere"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(
    archive: Scene, options: dict[str, t.Any], words: str
) -> None:
    failed = archive.declare(**options)
    assert failed["failed"] and words in failed["msg"] and archive.snapshot() == {}


def test_what_is_missing_is_named(archive: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(access_passwords, "HAS_ARGON2", False)
        assert archive.declare()["error"]["kind"] == "missing_library"
    (archive.state / "candidate" / "users").touch()
    assert "made from the catalog" in archive.declare()["msg"]
    (archive.state / "candidate" / "users").unlink()
    (archive.state / "candidate" / "dovecot.conf").unlink()
    assert "Run the role archive_access" in archive.declare()["msg"]
