# SPDX-License-Identifier: GPL-3.0-or-later
"""What deleting does, tried on a server that refuses or moves things: the findings, and that the mail of others stays."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.preflight_write import FOLDER, try_deleting
from tests.lab.rawimap import RawImapServer, RawMessage, Request

BOB, TRASH = "bob@example.com", "Deleted Items"
FIRST = 100  # UID of what the look puts in


def scratched(*, deleted: bool) -> RawImapServer:
    """A server without UIDPLUS that moves what is marked as deleted into Deleted Items, where a message of Bob is."""
    bobs = RawMessage(5, b"Subject: of Bob\r\n\r\n", flags=("\\Deleted",) if deleted else ())
    folders: dict[str, list[RawMessage]] = {"INBOX": [], TRASH: [bobs]}

    def create(request: Request) -> Iterable[bytes]:
        folders[FOLDER] = []
        return [request.tag + b" OK made\r\n"]

    def append(request: Request) -> Iterable[bytes]:
        folders[FOLDER].append(RawMessage(FIRST, request.pieces[1], re.findall(r'"([^"]*)"', request.args.decode())[-1]))
        return [request.tag + b" OK appended\r\n"]

    def remove(request: Request) -> Iterable[bytes]:
        del folders[FOLDER]
        return [request.tag + b" OK removed\r\n"]

    def search(request: Request) -> Iterable[bytes] | None:
        """A search that finds everything: the bytes tell what is ours."""
        if b"HEADER" not in request.args:
            return None
        found = b"".join(b" %d" % one.uid for one in request.session.messages())
        return [b"* SEARCH" + found + b"\r\n", request.tag + b" OK done\r\n"]

    def store(request: Request) -> Iterable[bytes] | None:
        if request.session.folder == TRASH:
            return None
        folders[TRASH] += folders[FOLDER]
        folders[FOLDER] = []
        return [request.tag + b" OK moved\r\n"]

    hooks: dict[str, t.Any] = {"CREATE": create, "APPEND": append, "DELETE": remove, "UID SEARCH": search, "UID STORE": store}
    attributes = {TRASH: "\\Trash"}
    return RawImapServer({BOB: folders}, capabilities="IMAP4rev1 SPECIAL-USE", attributes=attributes, hooks=hooks)


def tried(server: RawImapServer) -> t.Any:
    endpoint = Endpoint("127.0.0.1", server.port, Access.IMAP, timeout=5)
    return try_deleting(endpoint, Credentials(BOB, "not-a-secret"))


def test_what_was_moved_is_found_and_removed_and_nothing_else() -> None:
    with scratched(deleted=False) as server:
        findings, warnings = tried(server)
    assert (findings["write-append"][0], warnings) == ("holds", [])
    assert findings["write-moment"] == ("differs", f"It left its folder for {TRASH} at STORE.")
    assert findings["write-delete"] == ("differs", f"It is in {TRASH}.")
    assert {name: [one.uid for one in messages] for name, messages in server.mailboxes[BOB].items()} == {"INBOX": [], TRASH: [5]}


def test_what_cannot_be_expunged_without_the_mail_of_others_stays_and_is_told() -> None:
    with scratched(deleted=True) as server:
        findings, (warning,) = tried(server)
    assert findings["write-delete"][0] == "differs"
    assert warning.startswith(f"127.0.0.1:{server.port}, mailbox {BOB}: what the look made may be left: ")
    cause = "without UIDPLUS the messages that others have marked as deleted would be expunged too"
    assert warning.endswith(f"127.0.0.1:{server.port}, mailbox {BOB}: {cause}. Empty the folder by hand.")
    assert "EXPUNGE" not in server.names()
    assert {name: [one.uid for one in messages] for name, messages in server.mailboxes[BOB].items()} == {
        "INBOX": [],
        TRASH: [5, FIRST],
    }


def test_a_server_that_takes_no_message_is_told_and_the_folder_removed() -> None:
    with scratched(deleted=False) as server:
        server.hooks["APPEND"] = lambda request: [request.tag + b" NO [OVERQUOTA] the mailbox is full\r\n"]
        with pytest.raises(ImapError) as raised:
            tried(server)
    words = "the server refused APPEND: NO [OVERQUOTA] the mailbox is full. Choose another mailbox."
    assert str(raised.value) == f"127.0.0.1:{server.port}, mailbox {BOB}: {words}"
    assert {name: [one.uid for one in messages] for name, messages in server.mailboxes[BOB].items()} == {"INBOX": [], TRASH: [5]}
