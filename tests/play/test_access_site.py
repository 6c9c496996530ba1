# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive users as a whole, on inventory/lab: they log in with Kerio passwords, read, lose rights; mail leaves and comes back.

One story, told by the tests in their order: each goes on where the one before it ended.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mailbox
import ssl
import tempfile
import typing as t
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import imapclient
import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from tests.lab.access import Access
from tests.lab.fixtures import Factory, Lab, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play import access_readers
from tests.play.access_readers import Record, digests, fetched, folders
from tests.play.archive_site import send
from tests.play.helpers import SECRET, Step, play, run
from tests.play.trees import Tree, tree
from tests.proof.test_outside_readers import body_of

BOOKS = ROOT / "playbooks"
INVENTORY = ROOT / "inventory" / "lab"
MESSAGES = 400
AUDITOR, AUDITOR_PASSWORD = "auditor", f"{SECRET}-auditor"
CYRILLIC = "французских булок"  # in bodies of three character sets, in base64, quoted-printable and as it is
FORMATS = ("mbox", "eml", "maildir")
AT_ONCE = 20
WRONG_LOGINS, FROM_ONE_SOURCE, TO_ONE_ACCOUNT = 200, 20, 3  # docs/access.md
Person = dict[str, t.Any]


@dataclass
class Story:
    """What the tests hand on."""

    lab: Lab
    access: Access
    record: Record
    open_sessions: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def work(self) -> Path:
        return self.access.folder / "work"

    @property
    def root(self) -> Path:
        return self.work / "archive"

    def person(self, server: str, login: str) -> Person:
        return self.lab[server].user(login)

    def play(self, *books: str, **more: t.Any) -> PlaybookRun:
        """Run playbooks as an operator of this inventory does."""
        variables = {
            "archive_only": ["mailboxes"],
            "archive_users_declared": [{"name": AUDITOR, "privileges": ["login", "audit"]}],
            "archive_users_rights": [{"user": "gina@example.org", "reads": ["alice@example.com"]}],
            "archive_access_passwords": {AUDITOR: AUDITOR_PASSWORD},
            **more,
        }
        given = self.access.folder / "variables.json"
        given.write_text(json.dumps(variables), encoding="utf-8")
        together = self.access.folder / "together.yml"
        imports = [{"ansible.builtin.import_playbook": str(BOOKS / f"{book}.yml")} for book in books]
        together.write_text(json.dumps(imports), encoding="utf-8")
        lab = {"KERIO_LAB_JSON": str(self.lab.file), "KERIO_LAB_WORK_DIR": str(self.work)}
        return run(together, "-e", f"@{given}", inventory=INVENTORY, **lab)

    def archived(self) -> Tree:
        """All that is kept of mail."""
        return tree(self.root / "mail", self.root / "objects")


@pytest.fixture(scope="module")
def story(lab_factory: Factory) -> t.Iterator[Story]:
    lab = lab_factory(servers=2, users=6)
    record = Record.of(lab, MESSAGES)
    access = Access.provide(lab.folder)
    try:
        told = Story(lab, access, record)
        told.work.mkdir()
        with told.open_sessions:
            yield told
    finally:
        access.stop()


@pytest.fixture
def home() -> t.Iterator[Path]:
    """A folder with a short name: mbsync cannot hold long paths."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def refusal(access: Access, user: str, password: str) -> str:
    """The code with which a login is refused."""
    with pytest.raises(imapclient.exceptions.LoginError) as refused, access.login(user, password):
        pass
    return str(refused.value).partition("]")[0].rpartition("[")[2]


def try_to_change(client: imapclient.IMAPClient, folder: str) -> None:
    """What a client may try that does not know that nothing can be changed: each command is refused, or has no effect."""
    client.select_folder(folder, readonly=True)
    uid = min(client.search())
    before = client.fetch([uid], ["FLAGS", "BODY[]"])[uid]
    for command in (
        lambda: client.append(folder, b"Subject: no\r\n\r\n"),
        lambda: client.copy([uid], folder),
        lambda: client.move([uid], folder),
        lambda: client.create_folder(f"{folder}/more"),
        lambda: client.create_folder("more"),
        lambda: client.rename_folder(folder, "more"),
    ):
        with pytest.raises(imapclient.exceptions.IMAPClientError, match=r"NOPERM|CANNOT"):
            command()
    for flag in (imapclient.DELETED, imapclient.SEEN, imapclient.FLAGGED, "$Label1"):
        client.add_flags([uid], [flag], silent=True)
    client.remove_flags([uid], [imapclient.SEEN], silent=True)
    client.expunge()
    after = client.fetch([uid], ["FLAGS", "BODY[]"])[uid]
    assert (set(after[b"FLAGS"]), after[b"BODY[]"]) == (set(before[b"FLAGS"]), before[b"BODY[]"])
    client.unselect_folder()  # Dovecot ends a session that would delete its folder, also where it may not
    with pytest.raises(imapclient.exceptions.IMAPClientError, match="NOPERM"):
        client.delete_folder(folder)


def test_one_run_makes_it_all(story: Story) -> None:
    first = story.play("site")
    assert first.rc == 0, first.output
    assert [task.action.rpartition(".")[2] for task in first.changed()].count("archive_access") == 1
    story.access.start()


@pytest.mark.parametrize(("server", "login", "other"), [("mail1", "alice", "gina"), ("mail2", "gina", "henri")])
def test_people_of_each_domain_find_their_mail_and_change_nothing(story: Story, server: str, login: str, other: str) -> None:
    person = story.person(server, login)
    own = story.record.of_person(person["address"])
    russian = story.record.with_words(CYRILLIC, own)
    assert russian
    before = story.archived()
    with story.access.login(person["address"], person["password"]) as client:
        names = folders(client, f"{person['address']}/")
        assert fetched(client, below=f"{person['address']}/") == digests(own)
        for key in ("BODY", "TEXT"):
            assert fetched(client, key, CYRILLIC, below=f"{person['address']}/") == russian
        try_to_change(client, f"{person['address']}/INBOX")
        hidden = story.person("mail2", other)["address"]
        for name in (f"Archives/{hidden}/{hidden}/INBOX", f"Archives/{hidden}", "Archives/nobody@example.com/INBOX"):
            with pytest.raises(imapclient.exceptions.IMAPClientError, match="Mailbox doesn't exist"):
                client.select_folder(name, readonly=True)
        shown = {name.split("/")[1] for name in folders(client) if name.startswith("Archives/")}
        assert shown == ({"alice@example.com"} if login == "gina" else set())
        assert folders(client, f"{person['address']}/") == names
    assert story.archived() == before
    assert refusal(story.access, person["address"], f"{SECRET}-wrong") == "AUTHENTICATIONFAILED"


def test_mutt_finds_a_message_by_words_of_its_body(story: Story, home: Path) -> None:
    alice = story.person("mail1", "alice")
    inbox = story.record.of_person(alice["address"], "INBOX")
    line = next(line for text in access_readers.texts(story.record.letters[inbox[0].digest]) for line in text.splitlines()[1:])
    words = " ".join(line.split()[1:4])
    wanted = story.record.with_words(words, inbox)
    before = story.archived()
    found = access_readers.mutt(story.access, home, alice, f"{alice['address']}/INBOX", words)
    assert found == Counter(body_of(story.record.letters[one]) for one in wanted.elements())
    assert 0 < found.total() < len(inbox)
    assert story.archived() == before


def test_mbsync_copies_everything_and_cannot_bring_back_a_deletion(story: Story, home: Path) -> None:
    alice = story.person("mail1", "alice")
    own = story.record.of_person(alice["address"])
    before = story.archived()
    copied = access_readers.mails(access_readers.mbsync(story.access, home, alice))
    assert Counter(copied.values()) == Counter(story.record.letters[one.digest].replace(b"\r\n", b"\n") for one in own)
    next(path for path in copied if path.parts[-3] == "INBOX").unlink()
    access_readers.mbsync(story.access, home, alice)
    assert story.archived() == before
    with story.access.login(alice["address"], alice["password"]) as client:
        assert fetched(client, below=f"{alice['address']}/") == digests(own)


def test_who_was_granted_an_archive_reads_it_and_an_auditor_reads_all(story: Story) -> None:
    gina, alice = story.person("mail2", "gina"), story.person("mail1", "alice")
    before = story.archived()
    with story.access.login(gina["address"], gina["password"]) as client:
        assert fetched(client, below="Archives/alice@example.com/") == digests(story.record.of_person(alice["address"]))
        try_to_change(client, "Archives/alice@example.com/alice@example.com/INBOX")
    people = [user for server in story.lab.servers for user in server.users if user["login"] != "archive"]
    with story.access.login(AUDITOR, AUDITOR_PASSWORD) as client:
        for person in people:
            below = f"Archives/{person['address']}/{person['address']}/"
            assert fetched(client, below=below) == digests(story.record.of_person(person["address"])), person["address"]
        try_to_change(client, "Archives/henri@example.org/henri@example.org/INBOX")
    assert story.archived() == before


@contextlib.contextmanager
def kerio_mailbox(server: LabServer, login: str) -> t.Iterator[imapclient.IMAPClient]:
    """The mailbox on the server, opened by its owner."""
    context = ssl.create_default_context(cafile=server.ca_file)
    person = server.user(login)
    client = imapclient.IMAPClient(server.host, server.imaps_port, ssl_context=context, timeout=30)
    try:
        client.login(person["address"], person["password"])
        client.normalise_times = False
        yield client
    finally:
        client.shutdown()


Held = Counter[tuple[str, str, float]]


def emptied(client: imapclient.IMAPClient) -> None:
    """Remove every message of a mailbox."""
    for name in folders(client):
        client.select_folder(name)
        if uids := client.search():
            client.delete_messages(uids, silent=True)
            client.expunge()
    assert held(client) == Counter()


def held(client: imapclient.IMAPClient) -> Held:
    """Folder, digest and INTERNALDATE of every message in a mailbox."""
    found: Held = Counter()
    for name in folders(client):
        client.select_folder(name, readonly=True)
        data = client.fetch(client.search(), ["BODY.PEEK[]", "INTERNALDATE"])
        found.update((name, access_readers.digest(one[b"BODY[]"]), one[b"INTERNALDATE"].timestamp()) for one in data.values())
    return found


def exported(dest: Path) -> Counter[str]:
    """Digests of the messages of an export, read by what Python has for its format."""
    opened: list[mailbox.Mailbox[t.Any]] = [mailbox.mbox(path, create=False) for path in dest.rglob("*.mbox")]
    opened += [mailbox.Maildir(path.parent, create=False) for path in dest.rglob("cur")]
    found = Counter(access_readers.digest(path.read_bytes()) for path in dest.rglob("*.eml"))
    for box in opened:
        found.update(access_readers.digest(box.get_bytes(key)) for key in box.iterkeys())
        box.close()
    return found


def test_mail_leaves_in_three_forms_and_comes_back_into_an_emptied_mailbox(story: Story, tmp_path: Path) -> None:
    mail1 = story.lab["mail1"]
    alice = story.record.of_person("alice@example.com")
    before = story.archived()
    with kerio_mailbox(mail1, "alice") as client:
        emptied(client)
    server = {"name": "mail1", "host": mail1.host, "port": mail1.imaps_port, "ca_file": mail1.ca_file}
    options = {"root": str(story.root), "user": "alice@example.com", "target_folder": ""}
    *exports, restore = play(
        *(
            Step(
                "archive_export",
                {"root": str(story.root), "dest": str(tmp_path / form), "users": ["alice@example.com"], "format": form},
            )
            for form in FORMATS
        ),
        Step("archive_restore", {**options, "servers": [{**server, "master_password": mail1.master_password}]}),
    )
    assert [answer.status for answer in (*exports, restore)] == ["changed"] * 4, [answer.msg for answer in (*exports, restore)]
    assert {form: exported(tmp_path / form) for form in FORMATS} == dict.fromkeys(FORMATS, digests(alice))
    with kerio_mailbox(mail1, "alice") as client:
        assert held(client) == Counter((one.folder, one.digest, one.internaldate.timestamp()) for one in alice)
    assert story.archived() == before


def test_who_is_removed_at_kerio_is_out_at_once_and_the_archive_stays(story: Story) -> None:
    mail1, dora = story.lab["mail1"], story.person("mail1", "dora")
    before = story.archived()
    with story.access.login(dora["address"], dora["password"]) as client:
        mail1.remove_users([dora["id"]])
        done = story.play("users", "access", archive_users_delete=True)
        assert done.rc == 0, done.output
        (task,) = done.of("archive_access")
        assert task.result["kicked"] == [dora["address"]]
        with pytest.raises((imapclient.exceptions.IMAPClientError, OSError)):
            client.noop()
    mail1.forget()
    assert refusal(story.access, dora["address"], dora["password"]) == "AUTHENTICATIONFAILED"
    assert mail1.logins() == []
    assert story.archived() == before
    with story.access.login(AUDITOR, AUDITOR_PASSWORD) as client:
        below = f"Archives/{dora['address']}/{dora['address']}/"
        assert fetched(client, below=below) == digests(story.record.of_person(dora["address"]))


def placements(story: Story) -> set[str]:
    """The files of all messages, below the folder of the trees."""
    return {str(path.relative_to(story.root / "mail")) for path in story.root.glob("mail/**/cur/*")}


def guess(access: Access, people: t.Sequence[Person], run_ended: t.Callable[[], bool]) -> None:
    """Wrong passwords for all people in turn, from this address, until the run has ended, and no fewer than WRONG_LOGINS."""
    users = itertools.cycle(person["address"] for person in people)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        count = 0
        while count < WRONG_LOGINS or not run_ended():
            some = list(itertools.islice(users, AT_ONCE))
            codes = set(pool.map(lambda user: refusal(access, user, f"{SECRET}-wrong"), some))
            assert codes == {"AUTHENTICATIONFAILED"}
            count += len(some)


def test_guesses_do_not_reach_kerio_and_an_archive_run_goes_on(story: Story) -> None:
    mail1, mail2 = story.lab.servers
    people = [user for server in (mail1, mail2) for user in server.users if user["login"] not in ("archive", "dora")]
    for server in (mail1, mail2):
        server.limit_logins(account=TO_ONE_ACCOUNT + 1, address=FROM_ONE_SOURCE + 1)
        server.forget()
    send(mail1, "alice@example.com", number=1)
    send(mail2, "gina@example.org", number=2)
    before = placements(story)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(story.play, "archive")
        guess(story.access, people, running.done)
        done = running.result()
    assert done.rc == 0, done.output
    # What came back into Alice's mailbox has other UIDs there, and is in the archive already.
    assert {path.split("/")[0] for path in placements(story) - before} == {"alice@example.com", "gina@example.org"}
    assert (len(placements(story) - before), before - placements(story)) == (2, set())
    arrived = [one for server in (mail1, mail2) for one in server.logins(service="imap", outcome="failed")]
    assert 0 < len(arrived) <= FROM_ONE_SOURCE
    assert max(Counter(one["account"] for one in arrived).values()) <= TO_ONE_ACCOUNT
    assert [server.logins(outcome="locked") + server.logins(outcome="blocked") for server in (mail1, mail2)] == [[], []]
    assert not any("AntiHammering" in line for server in (mail1, mail2) for line in server.security_log())


def test_many_deletions_at_once_are_refused_and_nothing_changes(story: Story) -> None:
    mail1 = story.lab["mail1"]
    gone = [story.person("mail1", login) for login in ("bob", "carol", "emil")]
    mail1.remove_users([person["id"] for person in gone])
    kept = tree(story.root / "mail", story.root / "objects", story.access.state / "live")
    with Catalog.of(str(story.root), readonly=True) as catalog:
        users = catalog.users(deleted=True)
    done = story.play("users", "access", archive_users_delete=True)
    assert done.rc != 0
    (task,) = done.of("archive_users")
    assert task.status == "failed"
    assert all(person["address"] in task.result["msg"] for person in gone), task.result["msg"]
    with Catalog.of(str(story.root), readonly=True) as catalog:
        assert catalog.users(deleted=True) == users
    assert tree(story.root / "mail", story.root / "objects", story.access.state / "live") == kept
