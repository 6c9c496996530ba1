# SPDX-License-Identifier: GPL-3.0-or-later
"""How long IMAP SEARCH takes in a large folder of the archive, beside zstdcat and grep over the same files.

The archive is served by a Dovecot that playbooks/access.yml has configured. For a first search the files are on the disk alone,
and Dovecot has no index of the folder; when it comes again, both are there.
"""

from __future__ import annotations

import grp
import json
import os
import secrets
import shutil
import statistics
import tempfile
import time
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import INTEGRATED
from tests.bench.figures import Json
from tests.bench.machine import FailedError, timed
from tests.bench.server import PEOPLE, short
from tests.lab import cli_lab
from tests.lab.access import Access
from tests.lab.generate_mail import Author
from tests.lab.playbooks import ROOT, run_playbook

SIZES = (20_000, 100_000)
ROUNDS = 3
FOLDER = "Everything"
# In every thousandth message, once in the subject and once in the body; nowhere else.
WORD, EVERY = "Quittenmarmelade", 1_000
KEYS = ("BODY", "TEXT", "SUBJECT")
PLAIN = "zstdcat | grep"
SYNC_EVERY = 1_000
SECONDS = 1_800.0


@dataclass(frozen=True)
class Took:
    """Seconds of one search, and those of its processes on the CPU."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Folder:
    """One person's folder: the files of its messages, and where Dovecot keeps the index."""

    size: int
    person: str
    password: str
    files: Path
    index: Path

    def forget(self) -> None:
        """Have the files on the disk alone, and no index."""
        for path in self.index.rglob("dovecot.*"):
            path.unlink()
        os.sync()
        for path in self.files.iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def measured() -> list[Json]:
    """Time the searches and print them. Raises ``FailedError`` when one did not find what it must."""
    place = Path(tempfile.mkdtemp(prefix="kerio-search-", dir=Path("/var") / "tmp"))  # Dovecot's users get there
    place.chmod(0o755)
    cli_lab.make(place / "lab", 2, 0, {})  # nobody is asked for passwords, so the servers need not run
    access = Access.provide(place / "lab")
    try:
        folders = filled(place / "archive", access)
        served(place, access, {folder.person: folder.password for folder in folders})
        print("IMAP SEARCH in one folder of the archive, first (files on the disk, no index) and again; medians:")
        found = []
        for folder in folders:
            found.append(compared(access, folder))
            print("\n".join(lines(found[-1])), flush=True)
        return found
    finally:
        access.stop()
        shutil.rmtree(place, ignore_errors=True)


def filled(root: Path, access: Access) -> list[Folder]:
    """An archive with a folder of each size, which holds the first so many letters of the bench's author."""
    Store.create(str(root), group=grp.getgrnam(access.entry["archive_group"]).gr_gid).close()
    folders, directories = [], []
    with Catalog.open(str(root / layout.CATALOG_FILE)) as catalog:
        for size in SIZES:
            name = f"user{size}@example.com"
            privileges = (users_rights.LOGIN, users_rights.READ)
            values = UserValues(name=name, origin="bench", authentication=INTEGRATED, privileges=privileges)
            catalog.apply_users([UserStep(None, values)])
            user = catalog.user_folder(catalog.ensure_user(name, origin="bench").id, (FOLDER,))
            home = access.state / "homes" / str(user.user_id)
            folders.append(Folder(size, name, secrets.token_urlsafe(18), root / user.dir / "cur", home / "index"))
            directories.append(user.dir)
    author = Author("bench", PEOPLE)
    with Store.open(str(root)) as store:
        for number in range(max(SIZES)):
            letter = author.letter()
            date = int(letter.date.timestamp())
            stored = store.put(marked(number) if number % EVERY == 0 else letter.raw, date)
            for folder, directory in zip(folders, directories, strict=True):
                if number < folder.size:
                    name = layout.placement_name(date, stored.digest, stored.size, stored.vsize, "S")
                    store.place(stored.digest, directory, name)
            if number % SYNC_EVERY == SYNC_EVERY - 1:
                store.sync()
    return folders


def marked(number: int) -> bytes:
    """A short message with the word."""
    head, body = short("marked", number).split(b"\r\n\r\n")
    word = WORD.encode()
    return head.replace(b"Subject: ", b"Subject: " + word + b" ") + b"\r\n\r\n" + body + word + b"\r\n"


def served(place: Path, access: Access, passwords: t.Mapping[str, str]) -> None:
    """Configure and start the Dovecot of the archive. Raises ``FailedError``."""
    given = place / "passwords.json"
    given.write_text(json.dumps({"archive_access_passwords": passwords}), encoding="utf-8")
    lab = {"KERIO_LAB_JSON": str(place / "lab.json"), "KERIO_LAB_WORK_DIR": str(place)}
    done = run_playbook(ROOT / "playbooks" / "access.yml", "-e", f"@{given}", inventory=ROOT / "inventory" / "lab", **lab)
    if done.rc:
        raise FailedError(f"playbooks/access.yml ended with {done.rc}:\n{done.output[-3000:]}")
    access.start()


def compared(access: Access, folder: Folder) -> Json:
    """First and further searches of one folder, each kind in turn, round after round."""
    took: dict[str, dict[str, list[Took]]] = {label: {"first": [], "again": []} for label in (*KEYS, PLAIN)}
    for _ in range(ROUNDS):
        for label, times in took.items():
            folder.forget()
            for which in times.values():
                which.append(plain(folder) if label == PLAIN else search(access, folder, label))
    runs = {label: {which: [asdict(one) for one in many] for which, many in times.items()} for label, times in took.items()}
    names = [layout.parse_placement_name(path.name) for path in folder.files.iterdir()]
    size = sum(name.size for name in names if name)
    stored = sum(path.stat().st_size for path in folder.files.iterdir())
    return {"messages": folder.size, "bytes": size, "stored_bytes": stored, "runs": runs}


def search(access: Access, folder: Folder, key: str) -> Took:
    """One search in a session of its own, SELECT included."""
    with access.login(folder.person, folder.password, SECONDS) as client:
        before, begin = cpu(access.pid), time.monotonic()
        client.select_folder(FOLDER, readonly=True)
        found = len(client.search([key, WORD]))
        took = Took(time.monotonic() - begin, cpu(access.pid) - before)
    if found != folder.size // EVERY:
        raise FailedError(f"SEARCH {key} found {found} messages instead of {folder.size // EVERY}")
    return took


def plain(folder: Folder) -> Took:
    """The same with one zstdcat and one grep, whichever way a reader of the files would take."""
    command = f"find {folder.files} -type f -print0 | xargs -0 zstdcat | LC_ALL=C grep -a -i -c -F {WORD}"
    done = timed(["sh", "-c", command])
    if int(done.output) != 2 * folder.size // EVERY:
        raise FailedError(f"grep found {done.output.strip()} lines instead of {2 * folder.size // EVERY}")
    return Took(done.seconds, done.cpu)


def cpu(master: int) -> float:
    """Seconds that the processes of a Dovecot have been on the CPU."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == master:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def lines(found: Json) -> list[str]:
    """A folder's figures as text, each with its ratio to the plain comparison."""

    def median(label: str, which: str, figure: str) -> float:
        return statistics.median(run[figure] for run in found["runs"][label][which])

    text = [f"  {found['messages']:,} messages, {found['bytes'] / 1e6:,.0f} MB, {found['stored_bytes'] / 1e6:,.0f} MB on disk"]
    for label in found["runs"]:
        parts = [
            f"{which} {median(label, which, 'seconds'):.2f} s, of CPU {median(label, which, 'cpu'):.2f} s, "
            f"{median(label, which, 'seconds') / median(PLAIN, which, 'seconds'):.2f}x"
            for which in ("first", "again")
        ]
        text.append(f"    {label}: {'; '.join(parts)}")
    return text
