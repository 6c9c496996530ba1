# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight_imap against a server that misbehaves on demand: what of IMAP differs, and that nothing is changed."""

from __future__ import annotations

import itertools
import re
import time
import typing as t
from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight_imap
from tests.lab.rawimap import CLOSE, RawImapServer, RawMessage, Request
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.imap.certificates import Authority

ALICE, ARCHIVE = "alice@example.com", "archive@example.com"
PASSWORD = "not-a-secret"
MASTER = "not-a-secret-master"
SPECIAL = {"Deleted Items": "\\Trash", "Drafts": "\\Drafts", "Junk E-mail": "\\Junk", "Sent Items": "\\Sent"}
CAPABILITIES = "IMAP4rev1 LITERAL+ UIDPLUS SPECIAL-USE NAMESPACE"
ONE_NAMESPACE = b'* NAMESPACE (("" "/")) (("~" "/")) (("Public Folders/" "/"))\r\n'
# Commands that change nothing.
READING = {"CAPABILITY", "LOGIN", "LIST", "NAMESPACE", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH", "LOGOUT", "X-MASTERAUTH"}
READING |= {"X-SETUSER", "GREETING", "NOOP"}


def message(number: int, *headers: str) -> RawMessage:
    head = "".join(f"{one}\r\n" for one in ("From: bob@example.com", f"Subject: {number}", *headers))
    return RawMessage(number, f"{head}\r\nBody {number}\r\n".encode())


def namespace(answer: bytes) -> t.Callable[[Request], Iterable[bytes]]:
    return lambda request: [answer, request.tag + b" OK done\r\n"]


def server(**how: t.Any) -> RawImapServer:
    """A server as it is assumed, but for what is said."""
    folders: dict[str, list[RawMessage]] = {"INBOX": [message(3), message(7), message(8)], **{name: [] for name in SPECIAL}}
    boxes = how.pop("mailboxes", {ALICE: folders, ARCHIVE: {"INBOX": how.pop("archived", [])}})
    hooks = {"NAMESPACE": namespace(ONE_NAMESPACE), **how.pop("hooks", {})}
    return RawImapServer(boxes, **{"capabilities": CAPABILITIES, "attributes": SPECIAL, **how}, hooks=hooks)


def look(port: int, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    given = {"host": "127.0.0.1", "port": port, "access": "IMAP", "timeout": 5, "mailbox": ALICE, "password": PASSWORD}
    named = {name: value for name, value in {**given, **options}.items() if value is not None}
    return run_module(kerio_preflight_imap.main, check=check, **named)


def told(result: dict[str, t.Any]) -> dict[str, tuple[str, str]]:
    assert (result["failed"], result["changed"]) == (False, False), result
    return {row["id"]: (row["verdict"], row["found"]) for row in result["facts"]}


@pytest.mark.shows("read", "check")
@pytest.mark.parametrize("check", [False, True])
def test_a_server_as_it_is_assumed_is_only_read(check: bool) -> None:
    archived = [message(number, f"X-Envelope-To: user{number}@example.com") for number in (1, 2)]
    with server(archived=archived) as imap:
        before = [(one.uid, tuple(one.flags)) for one in imap.mailboxes[ALICE]["INBOX"]]
        now = time.time()
        result = look(
            *(imap.port,), check=check, archive_mailbox=ARCHIVE, archive_password=PASSWORD, write=check,
            scratch_mailbox=ALICE, controller_clock=now, clock_ahead=10,
        )  # fmt: skip
        assert set(imap.names()) <= READING
        assert [(one.uid, tuple(one.flags)) for one in imap.mailboxes[ALICE]["INBOX"]] == before
    found = told(result)
    without_tls = {"imap-certificate", "imap-login-methods", "imap-master"}
    assert {name for name, (verdict, _) in found.items() if verdict == "cannot_tell"} == without_tls | {
        "write-append", "write-moment", "write-delete",
    }  # fmt: skip
    # Without TLS it is seen what is offered without TLS.
    assert [name for name, (verdict, _) in found.items() if verdict == "differs"] == ["imap-before-tls"]
    assert found["imap-sizes"][1] == "Of 3 messages all are right."
    assert found["imap-envelope-recipients"][1] == "0 of 2 name the archive mailbox, 2 somebody else."
    assert found["imap-clock"][1] == "The server's clock is about 10 s ahead."
    assert found["write-append"][1] == "Nothing is written without preflight_write"


def larger(request: Request) -> Iterable[bytes] | None:
    return [re.sub(rb"RFC822\.SIZE (\d+)", lambda size: b"RFC822.SIZE %d" % (int(size[1]) + 1), b"".join(request.default()))]


def other_bytes() -> t.Callable[[Request], Iterable[bytes] | None]:
    number = itertools.count()
    return lambda request: (
        [b"".join(request.default()).replace(b"Body", b"B%03d" % next(number))] if b"BODY" in request.args else None
    )


def fewer(request: Request) -> Iterable[bytes]:
    return [b"* SEARCH 3 7\r\n", request.tag + b" OK done\r\n"]


def listed(line: bytes) -> t.Callable[[Request], Iterable[bytes]]:
    return lambda request: [b"* LIST " + line + b"\r\n", *request.default()]


def dotted(request: Request) -> Iterable[bytes]:
    return [b"".join(request.default()).replace(b'"/"', b'"."')]


def refused(request: Request) -> Iterable[bytes] | None:
    return [request.tag + b" NO not this one\r\n"] if b"Drafts" in request.args else None


FOREIGN = b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL\r\n'
PREFIXED = b'* NAMESPACE (("INBOX." ".")) NIL NIL\r\n'
MISBEHAVING: list[tuple[str, dict[str, t.Any], str]] = [
    ("imap-sizes", {"hooks": {"UID FETCH": larger}}, "Others are: INBOX/3 ("),
    ("imap-bytes", {"hooks": {"UID FETCH": other_bytes()}}, "Other bytes came of: INBOX/3, INBOX/7, INBOX/8."),
    ("imap-dates", {"mailboxes": {ALICE: {"INBOX": [RawMessage(4, b"x\r\n", "yesterday")]}}}, "INBOX/4"),
    ("imap-uids", {"uidnext": {"INBOX": 8}}, "UIDNEXT 8"),
    ("imap-uids", {"hooks": {"UID SEARCH": fewer}}, "EXISTS 3"),
    ("imap-uidplus", {"capabilities": "IMAP4rev1 LITERAL+"}, "not announced"),
    ("imap-literal-plus", {"capabilities": "IMAP4rev1 UIDPLUS"}, "not announced"),
    ("imap-special-use", {"attributes": {}}, "trash (known by the name Deleted Items)"),
    ("imap-special-use", {"mailboxes": {ALICE: {"INBOX": []}}}, "sent (not found)"),
    ("imap-separator", {"hooks": {"LIST": dotted}}, "The separator is .."),
    ("imap-names", {"hooks": {"LIST": listed(b'() "/" "Entw\xc3\xbcrfe"')}}, "Entwürfe"),
    ("imap-groupware", {"hooks": {"LIST": listed(b'() "/" "Calendar"')}}, "Listed: Calendar. Top folders: Calendar, INBOX"),
    ("imap-folders-open", {"hooks": {"STATUS": refused}}, "No answer of Drafts."),
    ("imap-namespace", {"hooks": {"NAMESPACE": namespace(PREFIXED)}}, "'INBOX.' with '.'"),
    ("imap-foreign-folders", {"hooks": {"NAMESPACE": namespace(FOREIGN)}}, "'Other Users/'"),
]


@pytest.mark.parametrize(("fact", "how", "words"), MISBEHAVING)
def test_what_differs_is_told_of_its_fact(fact: str, how: dict[str, t.Any], words: str) -> None:
    with server(**how) as imap:
        found = told(look(imap.port))
    assert found[fact][0] == "differs", found[fact]
    assert words in found[fact][1]


def test_a_server_that_marks_what_is_read() -> None:
    with server() as imap:
        inbox = imap.mailboxes[ALICE]["INBOX"]

        def mark(request: Request) -> None:
            for one in inbox if b"BODY" in request.args else ():
                one.flags = ("\\Seen",)

        imap.hooks["UID FETCH"] = mark
        result = look(imap.port)
    assert told(result)["imap-seen"] == ("differs", "Flags changed of: INBOX/3, INBOX/7, INBOX/8.")
    assert [row["id"] for row in result["facts"] if row["stops"]] == ["imap-seen"]


def test_a_folder_that_is_made_anew_while_it_is_read() -> None:
    with server() as imap:

        def anew(_request: Request) -> None:
            imap.uidvalidity = 2

        imap.hooks["UID FETCH"] = anew
        found = told(look(imap.port))
    assert found["imap-uids"] == ("differs", "Not so in: INBOX (UIDVALIDITY changed).")


def test_without_namespace_and_without_messages_nothing_is_made_up() -> None:
    with server(mailboxes={ALICE: {"INBOX": []}}, capabilities="IMAP4rev1") as imap:
        found = told(look(imap.port))
    for name in ("imap-namespace", "imap-foreign-folders", "imap-sizes", "imap-seen"):
        assert found[name][0] == "cannot_tell", name
    assert found["imap-condstore"] == ("holds", "Announced: none.")


@pytest.mark.parametrize(
    ("headers", "present", "recipients"),
    [
        (["X-Envelope-To: bob@example.com", f"x-envelope-to: <{ARCHIVE}>"], "holds", "differs"),
        (["X-Envelope-To: bob@example.com", "X-Other: 1"], "differs", "holds"),
        (["X-Other: 1"], "differs", "cannot_tell"),
        ([], "cannot_tell", "cannot_tell"),
    ],
)
def test_envelopes_of_the_archive_mailbox(headers: list[str], present: str, recipients: str) -> None:
    archived = [message(number, header) for number, header in enumerate(headers, 1)]
    with server(archived=archived) as imap:
        found = told(look(imap.port, mailbox=None, archive_mailbox=ARCHIVE, archive_password=PASSWORD))
    assert (found["imap-envelope"][0], found["imap-envelope-recipients"][0]) == (present, recipients)
    assert found["imap-uids"] == ("cannot_tell", found["imap-names"][1])
    assert "preflight_mailbox" in found["imap-uids"][1]


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(61, "differs"), (59, "holds"), (-59, "holds"), (-62, "differs"), (None, "cannot_tell")]
)
def test_clocks(ahead: float | None, verdict: str) -> None:
    with server() as imap:
        assert told(look(imap.port, controller_clock=time.time(), clock_ahead=ahead))["imap-clock"][0] == verdict


def test_what_is_offered_behind_tls_and_before_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secure = {"starttls": authority.server_context(), "master_password": MASTER}
    tls = {"access": "IMAP-TLS", "ca_file": str(authority.ca_file), "password": None, "host": "localhost"}
    with (
        server(**secure, capabilities="IMAP4rev1 LOGINDISABLED") as neither,
        server(**secure, capabilities="IMAP4rev1 AUTH=PLAIN X-MASTERAUTH LOGINDISABLED") as both,
    ):
        closed = told(look(neither.port, **tls, master_password=MASTER))
        opened = told(look(both.port, **tls, master_password=MASTER))
        wrong = told(look(both.port, **tls, master_password="not-a-secret-but-wrong"))
        tried = both.names().count("X-MASTERAUTH")
        checked = told(look(both.port, check=True, **tls, master_password=MASTER))
        assert both.names().count("X-MASTERAUTH") == tried
    assert [closed[f"imap-{name}"][0] for name in ("before-tls", "login-methods", "master")] == ["holds", "differs", "holds"]
    assert opened["imap-before-tls"] == ("differs", "It offers AUTH=PLAIN, X-MASTERAUTH.")
    assert opened["imap-login-methods"] == ("holds", "It offers AUTH=PLAIN.")
    assert (closed["imap-master-announced"][1], opened["imap-master-announced"][1]) == (
        "It is not announced.",
        "It is announced.",
    )
    # The days are not whole ones any more.
    assert opened["imap-certificate"] == ("differs", "It is trusted, and holds for 30 days.")
    assert (wrong["imap-master"][0], wrong["imap-uids"][0]) == ("differs", "cannot_tell")
    assert checked["imap-master"][1].startswith("Check mode does not try")


@pytest.mark.shows("error")
def test_a_server_that_cannot_be_reached_has_its_facts_and_fails(tmp_path: Path) -> None:
    authority, stranger = (Authority(tmp_path / name) for name in (made(tmp_path, "one"), made(tmp_path, "two")))
    with server(ssl_context=authority.server_context()) as imap:
        result = look(imap.port, access="IMAP-SSL", ca_file=str(stranger.ca_file), host="localhost", plain_port=0)
    assert (result["failed"], result["changed"], result["reached"]) == (True, False, False)
    rows = {row["id"]: row for row in result["facts"]}
    assert rows["imap-certificate"]["verdict"] == "differs"
    assert rows["imap-certificate"]["stops"] is True
    assert rows["imap-uids"]["found"] == result["msg"]
    assert rows["imap-before-tls"]["found"] == "The port without TLS was not asked"
    assert PASSWORD not in result["msg"]


def made(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name


@pytest.mark.parametrize(
    ("scratch", "words"), [(ALICE.upper(), "is one that is read"), (ARCHIVE, "is one that is read"), (None, "can be opened")]
)
def test_nothing_is_written_but_to_a_mailbox_that_nobody_uses(scratch: str | None, words: str) -> None:
    with server() as imap:
        asked = {"archive_mailbox": ARCHIVE, "archive_password": PASSWORD, "write": True, "scratch_password": PASSWORD}
        found = told(look(imap.port, **asked, scratch_mailbox=scratch))
        assert set(imap.names()) <= READING
    assert {found[f"write-{name}"][0] for name in ("append", "moment", "delete")} == {"cannot_tell"}
    assert words in found["write-delete"][1]


def test_a_connection_that_breaks_takes_nothing_back_that_was_told() -> None:
    with server(hooks={"STATUS": lambda _request: [CLOSE]}) as imap:
        found = told(look(imap.port))
    assert [found[f"imap-{name}"][0] for name in ("uidplus", "names", "folders-open", "uids")] == ["holds"] * 2 + [
        "cannot_tell"
    ] * 2


def test_a_login_that_is_refused_is_told_of_what_needs_it() -> None:
    with server() as imap:
        found = told(look(imap.port, password="not-a-secret-but-wrong"))
    assert found["imap-uids"][0] == "cannot_tell"
    assert "refused LOGIN" in found["imap-uids"][1]
    assert found["imap-master-announced"][0] == "holds"
