# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills the mailboxes of a lab with reproducible mail and tells what lies where.

fill("build/lab", messages=3000, seed=1)
load_directory("build/lab", folder_of_files, mailboxes=["alice@example.com"])
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.dovecot import Dovecot, mailbox_name
from tests.lab.generate_load import Item, Loader, dovecot_keeps
from tests.lab.generate_mail import Author, Letter, mail_date
from tests.lab.generate_text import FOLDERS

FLAGS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("\\Seen",),
    ("\\Seen",),
    ("\\Seen",),
    ("\\Seen", "\\Answered"),
    ("\\Seen", "\\Flagged"),
    ("\\Seen", "$Forwarded"),
    ("\\Seen", "\\Answered", "$Forwarded", "$MDNSent"),
)
ARCHIVE_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Placed:
    """One message in one folder of one mailbox, as loaded. `copy_of` is the digest of the mailbox copy (archive mailbox only)."""

    server: str
    address: str
    folder: str
    digest: str
    size: int
    flags: tuple[str, ...]
    internaldate: datetime.datetime
    message_id: str
    copy_of: str = ""


@dataclasses.dataclass(frozen=True)
class Mailbox:
    """Where the mail of one user goes."""

    server: str
    address: str
    backend: Dovecot
    name: str
    archive: bool


def read_lab(lab: Path | str | Mapping[str, Any]) -> dict[str, Any]:
    """lab.json: as a mapping, as a file, or as the folder that holds it."""
    if isinstance(lab, Mapping):
        return dict(lab)
    path = Path(lab)
    document: dict[str, Any] = json.loads((path / "lab.json" if path.is_dir() else path).read_text(encoding="utf-8"))
    return document


def mailboxes_of(lab: Path | str | Mapping[str, Any]) -> list[Mailbox]:
    """Every user of every server, in the order of lab.json."""
    document = read_lab(lab)
    found = []
    for server in document["servers"]:
        backend = Dovecot(Path(document["dir"]) / server["name"] / "dovecot")
        for user in server["users"]:
            archive = user["address"] == server.get("archive_mailbox")
            found.append(Mailbox(server["name"], user["address"], backend, mailbox_name(user["id"]), archive))
    return found


def fill(lab: Path | str | Mapping[str, Any], messages: int = 3000, seed: int | str = 1, archive: bool = True) -> list[Placed]:
    """Put exactly `messages` messages into the users' mailboxes, plus archive copies into the archive mailboxes."""
    boxes = mailboxes_of(lab)
    servers = list(dict.fromkeys(box.server for box in boxes))
    shares = [messages // len(servers) + (1 if number < messages % len(servers) else 0) for number in range(len(servers))]
    placed = []
    for server, share in zip(servers, shares, strict=True):
        here = [box for box in boxes if box.server == server]
        placed += fill_server(here, share, f"{seed} {server}", archive=archive)
    return placed


def fill_server(boxes: Sequence[Mailbox], messages: int, seed: str, *, archive: bool = True) -> list[Placed]:
    people = {box.address: box for box in boxes if not box.archive}
    archives = [box for box in boxes if box.archive] if archive else []
    author = Author(seed, list(people))
    chance = random.Random(f"fill {seed}")
    plan: dict[tuple[str, str], list[tuple[Item, Letter, str]]] = defaultdict(list)
    count = 0
    while count < messages:
        letter = author.letter()
        targets = list(_targets(letter, people, chance))[: messages - count]
        for address, folder in targets:
            plan[address, folder].append((_item(letter.raw, letter, chance), letter, ""))
        for box in archives if chance.random() < ARCHIVE_SHARE else []:
            raw = archive_copy(letter, box.address)
            plan[box.address, "INBOX"].append((Item(raw, letter.date), letter, _digest(letter.raw)))
        count += len(targets)
    return list(_load(plan, {box.address: box for box in boxes}))


def archive_copy(letter: Letter, archive_address: str) -> bytes:
    """The copy that the server re-sends to the archive address: the same mail below trace headers of its own."""
    trace = (
        f"Return-Path: <{letter.sender}>\r\nX-Envelope-To: <{archive_address}>\r\n"
        f""
        f"Received: from localhost ([127.0.0.1])\r\n\tby mail.example.com with ESMTP\r\n\t"
        f"for <{archive_address}>; {mail_date(letter.date)}\r\n"
    ).encode()
    return trace + _without_return_path(letter.raw)


def _without_return_path(raw: bytes) -> bytes:
    return raw.split(b"\r\n", 1)[1] if raw.startswith(b"Return-Path:") else raw


def _targets(letter: Letter, people: Mapping[str, Mailbox], chance: random.Random) -> Iterator[tuple[str, str]]:
    """Address and folder of every mailbox that holds the letter. Some recipients have filed theirs."""
    if letter.sender in people:
        yield letter.sender, "Sent Items"
    for recipient in letter.recipients:
        if recipient in people:
            yield recipient, chance.choice(FOLDERS)


def _item(raw: bytes, letter: Letter, chance: random.Random) -> Item:
    arrived = letter.date + datetime.timedelta(seconds=chance.randrange(90))
    return Item(raw, arrived, chance.choice(FLAGS))


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _load(plan: Mapping[tuple[str, str], list[tuple[Item, Letter, str]]], boxes: Mapping[str, Mailbox]) -> Iterator[Placed]:
    for address, box in boxes.items():
        folders = [(folder, rows) for (owner, folder), rows in plan.items() if owner == address]
        if not folders:
            continue
        with Loader(box.backend, box.name) as loader:
            for folder, rows in folders:
                loader.append(folder, (item for item, _letter, _copy in rows))
                for item, letter, copy in rows:
                    yield Placed(
                        server=box.server,
                        address=address,
                        folder=folder,
                        digest=_digest(item.raw),
                        size=len(item.raw),
                        flags=item.flags,
                        internaldate=item.internaldate,
                        message_id=letter.message_id,
                        copy_of=copy,
                    )


# -- existing mail --------------------------------------------------------------------------------------------------------


def crlf(raw: bytes) -> bytes:
    """Line ends as mail on the wire has them; a leading mbox "From " line goes."""
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def load_directory(
    lab: Path | str | Mapping[str, Any],
    directory: Path | str,
    *,
    mailboxes: Iterable[str] = (),
    folder: str = "INBOX",
    limit: int | None = None,
) -> list[Placed]:
    """Spread the files below `directory` (one raw message each, in the order of their paths) over mailboxes in turn.

    `mailboxes`: addresses; none = every user that is not an archive mailbox. Files that Dovecot would change are left out.
    """
    wanted = set(mailboxes)
    boxes = [box for box in mailboxes_of(lab) if (box.address in wanted if wanted else not box.archive)]
    files = sorted(path for path in Path(directory).rglob("*") if path.is_file())[:limit]
    start = datetime.datetime(2003, 1, 1, tzinfo=datetime.UTC)
    shares: dict[int, list[Item]] = defaultdict(list)
    for number, path in enumerate(files):
        raw = crlf(path.read_bytes())
        if dovecot_keeps(raw):
            shares[number % len(boxes)].append(Item(raw, start + datetime.timedelta(hours=number)))
    placed = []
    for number, items in shares.items():
        box = boxes[number]
        with Loader(box.backend, box.name) as loader:
            loader.append(folder, items)
        placed += [
            Placed(box.server, box.address, folder, _digest(item.raw), len(item.raw), (), item.internaldate, "") for item in items
        ]
    return placed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fill the mailboxes of a running lab.")
    parser.add_argument("--dir", default="build/lab")
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--corpus", help="load the raw messages below this folder instead of generated ones")
    options = parser.parse_args(arguments)
    placed = load_directory(options.dir, options.corpus) if options.corpus else fill(options.dir, options.messages, options.seed)
    size = sum(one.size for one in placed)
    sys.stdout.write(f"{len(placed)} messages, {size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
