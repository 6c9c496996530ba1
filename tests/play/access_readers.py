# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator put into mailboxes, and programs that read it from the archive: imapclient, mutt and mbsync of Debian."""

from __future__ import annotations

import email
import email.policy
import hashlib
import mailbox
import os
import subprocess
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import imapclient

from tests.lab.access import Access
from tests.lab.fixtures import Lab
from tests.lab.generate import Placed
from tests.lab.generate_mail import Author
from tests.play.archive_site import LEFT_OUT
from tests.proof.test_outside_readers import body_of, on_terminal, without_mark

MUTT = """\
set imap_user="@user@"
set imap_pass="@password@"
set imap_delim_chars="/"
set ssl_ca_certificates_file="@ca_file@"
set folder="@home@"
set header_cache=""
set mbox_type=mbox
set confirmappend=no
set confirmcreate=no
set wait_key=no
set timeout=1
push "<tag-pattern>=b \\"@words@\\"<enter><tag-prefix><copy-message>@home@/out<enter><exit>"
"""
MBSYNC = """\
IMAPAccount archive
Host @host@
Port @port@
User @user@
Pass @password@
SSLType IMAPS
CertificateFile @ca_file@

IMAPStore archive
Account archive

MaildirStore mine
Path "@home@/mine/"
Inbox "@home@/none"
SubFolders Verbatim

Channel all
Far :archive:
Near :mine:
Patterns "@user@/*"
Sync All
Create Near
Expunge Both
SyncState "@home@/state/"
"""


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@dataclass
class Record:
    """What the generator put where: the messages of mailboxes, and the bytes by digest."""

    placed: list[Placed]
    letters: dict[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, lab: Lab, messages: int) -> Record:
        """Fill the mailboxes of a lab; the letters are drawn again, from the same seed."""
        placed = [one for one in lab.fill(messages) if not one.copy_of]
        letters = {}
        for server in lab.servers:
            people = [user["address"] for user in server.users if user["address"] != server.archive_mailbox]
            author = Author(f"1 {server.name}", people)
            wanted = {one.digest for one in placed if one.server == server.name}
            while wanted:
                raw = author.letter().raw
                letters[digest(raw)] = raw
                wanted.discard(digest(raw))
        return cls(placed, letters)

    def of_person(self, address: str, folder: str = "") -> list[Placed]:
        """What is archived of a mailbox, or of one folder in it."""
        return [
            one for one in self.placed if one.address == address and one.folder not in LEFT_OUT and folder in ("", one.folder)
        ]

    def with_words(self, words: str, placed: t.Iterable[Placed]) -> Counter[str]:
        """Digests of those with the words in a text of their body, whatever its character set and encoding."""
        return Counter(one.digest for one in placed if any(words in text for text in texts(self.letters[one.digest])))


def texts(raw: bytes) -> t.Iterator[str]:
    """The texts of a message's body."""
    for part in email.message_from_bytes(raw, policy=email.policy.compat32).walk():
        if part.get_content_maintype() == "text":
            content = t.cast("bytes", part.get_payload(decode=True))
            yield content.decode(part.get_content_charset("ascii").removesuffix("-i"), "replace")


def digests(placed: t.Iterable[Placed]) -> Counter[str]:
    return Counter(one.digest for one in placed)


def folders(client: imapclient.IMAPClient, below: str = "") -> list[str]:
    """The folders that can be opened, of which LIST tells."""
    return [name for flags, _, name in client.list_folders(below, "*") if b"\\Noselect" not in flags]


def fetched(client: imapclient.IMAPClient, *criteria: str, below: str = "") -> Counter[str]:
    """Digests of the messages of all folders, or of those that a SEARCH finds."""
    found = Counter[str]()
    for name in folders(client, below):
        client.select_folder(name, readonly=True)
        uids = client.search(list(criteria) or "ALL", "UTF-8" if criteria else None)
        found.update(digest(data[b"BODY[]"]) for data in client.fetch(uids, ["BODY.PEEK[]"]).values() if uids)
    return found


def filled(template: str, access: Access, home: Path, user: dict[str, t.Any], **more: str) -> str:
    """A configuration with its values."""
    values = {"host": access.entry["host"], "port": str(access.port), "ca_file": access.ca_file, "home": str(home)}
    for name, value in {**values, "user": user["address"], "password": user["password"], **more}.items():
        template = template.replace(f"@{name}@", value)
    return template


def mutt(access: Access, home: Path, user: dict[str, t.Any], folder: str, words: str) -> Counter[bytes]:
    """The bodies that mutt finds in a folder by words, searched for on the server."""
    (home / "muttrc").write_text(filled(MUTT, access, home, user, words=words), encoding="utf-8")
    place = f"imaps://{access.entry['host']}:{access.port}/{folder}"
    on_terminal(["mutt", "-n", "-F", str(home / "muttrc"), "-f", place], {"HOME": str(home), "TERM": "xterm"})
    box = mailbox.mbox(str(home / "out"), create=False)
    found = Counter(body_of(box.get_bytes(key)) for key in box.iterkeys())
    box.close()
    return found


def mbsync(access: Access, home: Path, user: dict[str, t.Any]) -> Path:
    """Synchronise both ways with a Maildir, whose place is returned."""
    for name in ("mine", "state"):
        (home / name).mkdir(exist_ok=True)
    (home / "mbsyncrc").write_text(filled(MBSYNC, access, home, user), encoding="utf-8")
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    command = ["mbsync", "-q", "-c", str(home / "mbsyncrc"), "all"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return home / "mine"


def mails(maildir: Path) -> dict[Path, bytes]:
    """The messages of a Maildir tree without mbsync's mark; it ends lines by LF."""
    return {path: without_mark(path.read_bytes()) for path in maildir.rglob("*") if path.parent.name in ("cur", "new")}
