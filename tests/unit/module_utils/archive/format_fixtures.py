# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive as a run leaves it, and an IMAP server that reads it without any right to write."""

from __future__ import annotations

import dataclasses
import imaplib
import os
import pwd
import shlex
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    MessageRow,
    ObjectRow,
    PlacementRow,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store

DATE = 1_700_000_000
CRLF = b"From: <alice@example.com>\r\nSubject: one\r\n\r\nbody \xe4\r\n"
BARE = b"Subject: two\n\nbody\n"
USER = "bob@example.com"
IMAP_PROGRAM = "/usr/lib/dovecot/imap"
MEMORY = Path("/dev") / "shm"  # an archive per test: 256 directories each, quicker here than on a disk
READER = "dovenull"  # an account without rights that comes with Dovecot


DOVECOT = """\
base_dir = @var@/run
state_dir = @var@
log_path = @var@/log
ssl = no
first_valid_uid = 1
first_valid_gid = 1
mail_home = @var@/home
mail_location = maildir:@tree@:INBOX=@tree@/INBOX:LAYOUT=fs:UTF-8:INDEX=@var@/index:CONTROL=@var@/control
mail_plugins = zlib
protocol imap {
  mail_plugins = zlib
}
namespace inbox {
  inbox = yes
  separator = /
}
"""


@dataclasses.dataclass
class Archive:
    """An archive with two messages in INBOX of one user, written and committed like a run does."""

    root: Path
    store: Store
    catalog: Catalog

    def fill(self) -> None:
        self.store.begin("a run", self.catalog.commits())
        user = self.catalog.ensure_user(USER, origin="profile")
        folder = self.catalog.user_folder(user.id, ("INBOX",))
        batch = Batch(self.catalog.source_folder("mail1", USER, "INBOX").id, 1, 1)
        for uid, (body, flags) in enumerate(((CRLF, ["\\Seen", "\\Deleted"]), (BARE, ["\\Draft", "$Forwarded"])), 1):
            stored = self.store.put(body, DATE + uid)
            letters = layout.flag_letters(flags)
            row = PlacementRow(
                folder.id, stored.digest, user.id, DATE + uid, stored.size, stored.vsize, letters, stored.copy_key, "x"
            )
            name = layout.placement_name(row.internaldate, row.digest, row.size, row.vsize, row.flags)
            self.store.place(row.digest, folder.dir, name)
            batch.objects.append(ObjectRow(stored.digest, stored.size, stored.stored_size))
            batch.placements.append(row)
            batch.messages.append(MessageRow(uid, State.ARCHIVED, stored.digest, stored.size))
        self.store.sync()
        self.catalog.commit([batch])
        self.store.end()

    def cur(self) -> dict[bytes, Path]:
        """The placements by the digest in their name."""
        return {bytes.fromhex(path.name[11:75]): path for path in (self.root / f"mail/{USER}/INBOX/cur").iterdir()}


@pytest.fixture
def filled() -> t.Iterator[Archive]:
    # Not below tmp_path, which the unprivileged reader of the last test may not pass.
    base = Path(tempfile.mkdtemp(prefix="format-", dir=MEMORY if MEMORY.is_dir() else Path("/var") / "tmp"))
    base.chmod(0o755)
    group = pwd.getpwnam(READER).pw_gid if os.geteuid() == 0 else -1
    store = Store.create(str(base / "root"), group=group)
    with store, Catalog.open(str(base / "root/catalog.sqlite3")) as catalog:
        made = Archive(base / "root", store, catalog)
        made.fill()
        yield made
    shutil.rmtree(base)


def reader(root: Path, tree: str) -> imaplib.IMAP4_stream:
    """Dovecot's IMAP server on a pipe, already logged in, as an account without rights: no port, and it ends with the pipe."""
    var = root.parent / "var"
    var.mkdir()
    (var / "dovecot.conf").write_text(DOVECOT.replace("@var@", str(var)).replace("@tree@", str(root / "mail" / tree)))
    (var / "dovecot.conf").chmod(0o644)
    command = [IMAP_PROGRAM, "-c", str(var / "dovecot.conf")]
    if os.geteuid() == 0:
        account = pwd.getpwnam(READER)
        os.chown(var, account.pw_uid, account.pw_gid)
        command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *command]
    home = shlex.quote(str(var))
    return imaplib.IMAP4_stream(f"cd {home} && USER=bob HOME={home} exec {shlex.join(command)}")
