# SPDX-License-Identifier: GPL-3.0-or-later
"""Ugly mail, byte for byte: from a server that serves any bytes, and, as far as Dovecot takes it, through the lab."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import cli_lab
from tests.lab.fixtures import Factory
from tests.lab.generate_load import Item, dovecot_keeps
from tests.lab.oddities import oddities
from tests.lab.rawimap import RawImapServer, RawMessage
from tests.proof import engine, figures, lab_mail
from tests.proof.independent_archive import ARCHIVED, Archive, Placement
from tests.proof.independent_reader import Seen, differences, read_servers
from tests.unit.module_utils.imap.certificates import load

MASTER = "not-a-secret-master"
ODDITIES = oddities()
UIDS = {name: 3 + 2 * number for number, name in enumerate(ODDITIES)}
START = datetime.datetime(2025, 3, 4, 9, 20, 30, tzinfo=datetime.UTC)
DATES = {name: START + datetime.timedelta(hours=number) for number, name in enumerate(ODDITIES)}
TOGETHER, APART = "together@example.com", "apart@example.com"
LEAST = 60


@dataclasses.dataclass
class Proof:
    """The archive, the first run's counts, and what the servers served."""

    archive: Archive
    served: list[Seen]

    def placements(self, mailbox: str, digest: str) -> list[Placement]:
        return [one for one in self.archive.placements if one.tree == mailbox and one.digest == digest]


def raw_mail() -> dict[str, dict[str, list[RawMessage]]]:
    """All of them in one folder, and each in a folder of its own."""
    messages = {name: RawMessage(UIDS[name], raw, DATES[name], ("\\Seen",)) for name, raw in ODDITIES.items()}
    return {TOGETHER: {"INBOX": list(messages.values())}, APART: {name: [one] for name, one in messages.items()}}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """Served by rawimap.py over TLS, and archived."""
    home = tmp_path_factory.mktemp("oddities")
    ca_file = cli_lab.make_certificates(home / "certificates", "mail1")
    context = load(home / "certificates" / "server.crt", home / "certificates" / "server.key")
    engine.create(home / "archive")
    with RawImapServer(raw_mail(), uidvalidity=4711, master_password=MASTER, ssl_context=context) as server:
        site = engine.site(server.port, ca_file, MASTER)
        report = engine.archive(home / "archive", site, TOGETHER, APART)
        assert report.problems() == []
        proof = Proof(Archive(home / "archive"), read_servers((site, mailbox) for mailbox in (TOGETHER, APART)))
    size = sum(seen.size for seen in proof.served)
    assert (report.accounts().seen, report.accounts().new) == (len(proof.served), len(proof.served))
    figures.record("oddities", messages=len(proof.served), bytes=size, seconds=round(report.seconds, 2))
    yield proof


def test_there_are_enough_oddities() -> None:
    assert len(ODDITIES) >= LEAST
    assert len(set(ODDITIES.values())) == len(ODDITIES)
    assert b"" in ODDITIES.values()
    assert max(map(len, ODDITIES.values())) > 20_000_000


@pytest.mark.parametrize("name", ODDITIES)
def test_stored_as_served(raw: Proof, name: str) -> None:
    message = ODDITIES[name]
    digest = hashlib.sha256(message).hexdigest()
    stored = raw.archive.root / "objects" / digest[:2] / digest
    unpacked = subprocess.run(["zstd", "-dcq", stored], stdout=subprocess.PIPE, check=True)
    assert unpacked.stdout == message
    virtual = len(message) + sum(1 for before, char in zip(b"\0" + message, message, strict=False) if char == 10 and before != 13)
    for mailbox, folder in ((TOGETHER, "INBOX"), (APART, name)):
        (placed,) = raw.placements(mailbox, digest)
        assert placed.parts == (mailbox, *folder.split("/"))
        date = int(DATES[name].timestamp())
        assert (raw.archive.root / placed.path).samefile(stored)
        assert Path(placed.path).name == f"{date}.{digest}_0.a,S={len(message)},W={virtual}:2,S"
        assert ("mail1", mailbox, folder, 4711, UIDS[name], digest, ARCHIVED) in raw.archive.sources


def test_server_and_archive_are_equal_both_ways(raw: Proof) -> None:
    assert sorted(seen.row.digest for seen in raw.served) == sorted(
        [hashlib.sha256(message).hexdigest() for message in ODDITIES.values()] * 2
    )
    assert differences([seen.row for seen in raw.served], raw.archive.rows()) == []
    assert raw.archive.problems == []
    assert len(raw.archive.placements) == 2 * len(ODDITIES)


def test_what_dovecot_takes_through_the_lab(lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(servers=1, users=1)
    server = lab.servers[0]
    lab_mail.admit_master(server)
    ((_, user),) = lab_mail.people(lab)
    taken = {name: message for name, message in ODDITIES.items() if message}
    lab_mail.append(server, user, {"INBOX": [Item(message, DATES[name]) for name, message in taken.items()]})
    engine.create(tmp_path / "archive")
    report = engine.archive(tmp_path / "archive", lab_mail.site(server), user["address"])
    assert report.problems() == []
    archive = Archive(tmp_path / "archive")
    served = read_servers([(lab_mail.site(server), user["address"])])
    assert len(served) == len(taken)
    assert differences([seen.row for seen in served], archive.rows()) == []
    assert archive.problems == []
    kept = {hashlib.sha256(message).hexdigest() for message in taken.values() if dovecot_keeps(message)}
    assert len(kept) >= LEAST
    assert kept <= {row.digest for row in archive.rows()}
    figures.record("oddities through the lab", messages=len(served), kept=len(kept), seconds=round(report.seconds, 2))
