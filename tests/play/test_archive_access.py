# SPDX-License-Identifier: GPL-3.0-or-later
"""The role archive_access by playbooks/access.yml: people of two servers read their mail with their Kerio passwords."""

from __future__ import annotations

import contextlib
import grp
import json
import pwd
import re
import stat
import subprocess
import typing as t
from pathlib import Path

import imapclient
import pytest

from tests.docs import blocks
from tests.lab.access import Access
from tests.lab.cli_lab import make_certificates
from tests.lab.fixtures import Factory, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import MAILBOXES, Site, Watch, furnish, send
from tests.play.helpers import SECRET, Step, play, run
from tests.play.trees import tree

PAGE = "docs/access.md"
ORDER = 4711
LIMIT = "archive_access_guesses_per_account"
# What two servers declare that would not be safe, and what is said of their number of failed logins.
UNSAFE: dict[str, t.Any] = {
    "kerio_connect_imap_access": "IMAP",
    "kerio_connect_security_policy": {"failed_logins_to_lock": 4, "anti_hammering_failed_logins": 51},
}
ACTS = f"{LIMIT} is 4, but Kerio acts at the failed login number 4. Set {LIMIT} to less, and not to 0."


class Stand:
    """An archive of two servers, and playbooks/access.yml over it."""

    def __init__(self, site: Site, access: Access) -> None:
        self.site = site
        self.access = access
        self.root = access.folder / "archive"
        self.state = access.state

    def fill(self) -> None:
        """Make the archive and its users, and archive the mailboxes."""
        for server in self.site.servers:
            send(server, server.users[0]["address"], number=ORDER)
        store, users = self.site.ready(self.root)
        store = Step(store.module, {**store.options, "group": self.access.entry["archive_group"]})
        for answer in play(store, users, self.site.run(self.root, MAILBOXES)):
            assert not answer.failed, answer.result

    def serve_as_documented(self, command: str) -> PlaybookRun:
        """By a command of docs/access.md."""
        book, options = blocks.played(PAGE, command)
        assert book == "playbooks/access.yml"
        return self.serve(*options)

    def serve(self, *args: str, **changed: t.Any) -> PlaybookRun:
        lab = {"KERIO_LAB_JSON": str(self.site.lab.file), "KERIO_LAB_WORK_DIR": str(self.access.folder)}
        return run(ROOT / "playbooks/access.yml", "-e", json.dumps(changed), *args, inventory=ROOT / "inventory/lab", **lab)


@pytest.fixture(scope="module")
def stand(lab_factory: Factory) -> t.Iterator[Stand]:
    site = furnish(lab_factory(servers=2, users=2), 0)
    access = Access.provide(site.lab.folder)
    try:
        stand = Stand(site, access)
        stand.fill()
        yield stand
    finally:
        access.stop()


def changed(done: PlaybookRun) -> list[str]:
    """The modules of the tasks that changed something."""
    assert done.rc == 0, done.output
    return [task.action.rpartition(".")[2] for task in done.changed()]


def refusal(stand: Stand, user: str, password: str) -> str:
    with pytest.raises(imapclient.exceptions.LoginError) as refused, stand.access.login(user, password):
        pass
    return str(refused.value).partition("]")[0]


def found(client: imapclient.IMAPClient, words: str) -> list[tuple[str, int]]:
    """The messages with these words in their body, in all folders."""
    places = []
    for flags, _delimiter, name in client.list_folders():
        if b"\\Noselect" not in flags:
            client.select_folder(name, readonly=True)
            places += [(name, uid) for uid in client.search(["BODY", words])]
    return places


def assert_read_only(client: imapclient.IMAPClient, folder: str, uid: int) -> dict[bytes, t.Any]:
    """Nothing can be done to a message or its folder, by a client that does not know that it may not."""
    client.select_folder(folder, readonly=True)
    before = client.fetch([uid], ["FLAGS", "BODY.PEEK[]"])[uid]
    for attempt in (
        lambda: client.append(folder, b"Subject: no\r\n\r\n"),
        lambda: client.copy([uid], "INBOX"),
        lambda: client.move([uid], "INBOX"),
        lambda: client.create_folder(f"{folder}/more"),
        lambda: client.rename_folder(folder, "other"),
    ):
        with pytest.raises(imapclient.exceptions.IMAPClientError, match="NOPERM"):
            attempt()
    client.add_flags([uid], [imapclient.DELETED], silent=True)
    client.expunge()
    client.fetch([uid], ["BODY[]"])
    after = client.fetch([uid], ["FLAGS", "BODY.PEEK[]"])[uid]
    assert [after[part] for part in (b"FLAGS", b"BODY[]")] == [before[part] for part in (b"FLAGS", b"BODY[]")]
    assert imapclient.DELETED not in after[b"FLAGS"]
    status: dict[bytes, t.Any] = client.folder_status(folder, ["MESSAGES", "UIDVALIDITY"])
    with pytest.raises(imapclient.exceptions.IMAPClientError, match="NOPERM"):
        client.delete_folder(folder)
    return status


def assert_nobody_is_betrayed(client: imapclient.IMAPClient, somebody: str) -> None:
    """The archive of somebody else and that of nobody answer alike; commands for rights would not."""
    assert b"ACL" not in client.capabilities()
    for command in ('STATUS "{}" (MESSAGES)', 'EXAMINE "{}"', 'LIST "" "{}/*"', 'SUBSCRIBE "{}"'):
        answers = []
        for name in (somebody, "nobody@example.com"):
            verb, arguments = command.format(f"Archives/{name}").split(" ", 1)
            answer = str(client._imap.xatom(verb, arguments)).replace(name, "NAME")
            answers.append(re.sub(r"[0-9.]+ \+ .*secs", "", answer))
        assert answers[0] == answers[1]


def opened_by(stand: Stand, user: str, folder: str, uid: int) -> int:
    """How often the log says that a person opened a message."""
    lines = [json.loads(line.partition("Info: ")[2]) for line in stand.access.logged().splitlines() if '"mail_opened"' in line]
    wanted = {"user": user, "mailbox": folder, "uid": uid}
    return sum({name: line["fields"][name] for name in wanted} == wanted for line in lines)


def read_unseen(client: imapclient.IMAPClient, folder: str, uid: int) -> None:
    """Read a message twice, by commands that do not name it: as what was found before, and at the end of a long list."""
    client.select_folder(folder, readonly=True)
    scattered = ",".join(map(str, range(100_000, 100_600, 2)))
    for arguments in (f"SEARCH RETURN (SAVE) UID {uid}", "FETCH $ (BODY.PEEK[])", f"FETCH {scattered},{uid} (BODY.PEEK[])"):
        assert client._imap.uid(*arguments.split(" ", 1))[0] == "OK"


def assert_sessions_cannot_read_hashes(stand: Stand) -> None:
    """No process of the reader is in the group of those that check logins."""
    entry = stand.access.entry
    reader, group = pwd.getpwnam(entry["user"]).pw_uid, grp.getgrnam(entry["auth_group"]).gr_gid
    groups: list[list[str]] = []
    for file in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
            groups += [lines["Groups"].split()] if int(lines["Uid"].split()[0]) == reader else []
    assert groups
    if entry["user"] != entry["auth_user"]:
        assert str(group) not in [number for numbers in groups for number in numbers]


def assert_logins(stand: Stand, server: LabServer) -> None:
    """A person of a server: reads, changes nothing, is refused with a wrong password."""
    person = server.users[0]
    user, password = person["address"], person["password"]
    with stand.access.login(user, password) as client:
        ((folder, uid),) = found(client, f"send {ORDER} of these")
        assert folder.startswith(f"{user}/")
        assert_nobody_is_betrayed(client, server.users[1]["address"])
        assert_sessions_cannot_read_hashes(stand)
        status = assert_read_only(client, folder, uid)
    opened = opened_by(stand, user, folder, uid)
    with stand.access.login(user.upper(), password) as again:
        assert again.folder_status(folder, ["MESSAGES", "UIDVALIDITY"]) == status
        read_unseen(again, folder, uid)
    assert refusal(stand, user, f"{SECRET}-wrong") == "b'[AUTHENTICATIONFAILED"
    log = stand.access.logged()
    assert f"kerio: user=<{user}> rip=127.0.0.1" in log
    assert f"result=wrong {server.name}: the server said: NO" in log
    commands = [json.loads(line.partition("Info: ")[2])["fields"] for line in log.splitlines() if '{"event"' in line]
    own = [fields for fields in commands if fields["user"] == user]
    assert {fields["session"] for fields in own if fields.get("cmd_human_args") == f"{uid} (BODY[])"}
    assert opened_by(stand, user, folder, uid) == opened + 2
    assert ORDER not in [word for fields in own for word in json.dumps(fields).split()]


def assert_doveadm(stand: Stand) -> None:
    """What the page does with the configuration, to a message that is there."""
    (commands,) = blocks.steps(PAGE, "The log")
    here = commands.replace("/var/lib/kerio-archive-access", str(stand.state))
    for documented, own in (("Sent Items", "INBOX"), ("uid 12", "uid 1")):
        assert documented in here
        here = here.replace(documented, own)
    done = subprocess.run(["bash", "-eu", "-c", here], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hdr.message-id" in done.stdout and "@" in done.stdout


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_people_read_their_mail_with_their_kerio_passwords_and_change_nothing(stand: Stand) -> None:
    candidates = ["file", "template", "copy"]
    look = "ansible-playbook -i inventory/mine playbooks/access.yml --ask-vault-pass --check --diff"
    assert changed(stand.serve_as_documented(look)) == candidates
    assert not stand.state.exists()
    first = stand.serve_as_documented("ansible-playbook -i inventory/mine playbooks/access.yml --ask-vault-pass")
    assert changed(first) == ["file", "copy", "template", "copy", "archive_access"]
    stand.access.start()

    archived, watch = tree(stand.root / "mail", stand.root / "objects"), Watch(*stand.site.servers)
    for server in stand.site.servers:
        assert_logins(stand, server)
        assert [line["cause"] for line in watch.refused(server)] == ["password"]
    assert_doveadm(stand)
    asked = watch.commands()["LOGIN"]
    assert refusal(stand, "nobody@example.com", f"{SECRET}-wrong") == "b'[AUTHENTICATIONFAILED"
    assert watch.commands()["LOGIN"] == asked
    mail1 = stand.site.servers[0]
    mail1.service("stop")
    assert refusal(stand, mail1.users[0]["address"], mail1.users[0]["password"]) == "b'[UNAVAILABLE"
    assert tree(stand.root / "mail", stand.root / "objects") == archived

    assert changed(stand.serve()) == []
    before = tree(stand.state / "candidate", stand.state / "live")
    make_certificates(stand.access.folder / "tls", "renewed.example.com")
    assert changed(stand.serve("--check")) == ["template"]
    assert tree(stand.state / "candidate", stand.state / "live") == before


def told(done: PlaybookRun) -> str:
    """What the playbook says at its end."""
    assert done.rc != 0
    return str(done.failed()[-1].result["msg"])


@pytest.mark.shows("broken")
def test_what_would_not_be_safe_is_told_before_anything_is_made(stand: Stand) -> None:
    before = tree(stand.state / "candidate")
    # No profile logs in with the master password, by which a server with IMAP would be left out.
    done = stand.serve(**UNSAFE, archive_profiles=[], archive_access_key="/no/such/key", archive_access_root="/root")
    assert done.changed() == []
    clear = "its access is IMAP, so passwords of people would be sent to it without encryption. Say IMAP-SSL or IMAP-TLS in"
    mode = f"{stat.S_IMODE(Path('/root').stat().st_mode):04o}"
    sentences = [
        f"/root: group root, mode {mode}. Dovecot reads the archive as a member of its group.",
        "/no/such/key: not there. Put the certificate",
        *(f"{name}: {problem}" for name in ("mail1", "mail2") for problem in (clear, ACTS)),
    ]
    said = told(done)
    places = [said.find(sentence) for sentence in sentences]
    assert said.startswith(f"The archive is not served to people: {sentences[0]}") and places == sorted(set(places)), said
    assert "per_server" not in said
    assert tree(stand.state / "candidate") == before


@pytest.mark.shows("broken")
def test_of_servers_that_are_left_out_all_that_would_not_be_safe_is_told_in_one_run(stand: Stand) -> None:
    before = tree(stand.state / "candidate")
    done = stand.serve(**UNSAFE)
    assert done.rc != 0 and done.changed() == []
    said = {task.host: str(task.result["msg"]) for task in done.failed()}
    clear = "kerio_connect_imap_access is IMAP, by which the profile mailboxes would show the master password to the network."
    for name in ("mail1", "mail2"):
        assert said[name] == f"Its variables in the inventory cannot be used: {clear} Give IMAP-TLS or IMAP-SSL", said
    assert told(done) == f"The archive is not served to people: mail1: {ACTS} mail2: {ACTS}"
    assert tree(stand.state / "candidate") == before
