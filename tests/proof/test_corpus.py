# SPDX-License-Identifier: GPL-3.0-or-later
"""6,046 real messages on two servers, archived by a playbook, and compared by a reader that shares nothing with the project."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import itertools
import json
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fixtures import Factory, Lab
from tests.lab.generate import FLAGS, crlf
from tests.lab.generate_load import Item, dovecot_keeps
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook
from tests.proof import figures, lab_mail
from tests.proof.independent_archive import COPY, Archive
from tests.proof.independent_reader import Seen, differences, read_servers

CORPUS = ROOT.parent / "shared" / "corpora" / "spamassassin.tar.xz"
PLAYBOOK = Path(__file__).with_name("corpus.yml")
MESSAGES = 6046
START = datetime.datetime(2002, 6, 1, tzinfo=datetime.UTC)
FOLDERS = {
    "easy-ham-1": "INBOX",
    "easy-ham-2": "Projekte/Übergröße/2002 100%",
    "hard-ham-1": "Клиенты/日本 🎌/.hidden",
    "spam-1": "Junk E-mail",
    "spam-2": 'INBOX/R&D ~ "old"',
}


@dataclasses.dataclass
class Proof:
    """The lab, the archive root, the corpus as loaded, and every run so far."""

    lab: Lab
    root: Path
    loaded: lab_mail.Mail
    variables: Path
    runs: list[PlaybookRun] = dataclasses.field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Run the playbook; what archive_run returned."""
        done = run_playbook(PLAYBOOK, "-e", f"@{self.variables}", inventory="localhost,")
        assert done.rc == 0, done.output[-4000:]
        self.runs.append(done)
        result: dict[str, Any] = done.of("archive_run")[-1].result
        return result

    def served(self) -> list[Seen]:
        return read_servers((lab_mail.site(server), user["address"]) for server, user in lab_mail.people(self.lab))

    def commands_of_run(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Run the playbook; its result and the IMAP commands that it caused."""
        before = Counter(_frozen(line) for line in lab_mail.commands(self.lab))
        result = self.run()
        after = Counter(_frozen(line) for line in lab_mail.commands(self.lab))
        return result, [dict(line) for line in (after - before).elements()]


def _frozen(line: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(line.items()))


def corpus() -> Iterator[tuple[str, bytes]]:
    """Folder of the corpus and message with CRLF, in the order of their names."""
    with tarfile.open(CORPUS) as archive:
        members = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        read = {name: handle.read() for name, handle in members.items() if handle}
    for name in sorted(read):
        yield Path(name).parent.name, crlf(read[name])


def spread(lab: Lab) -> lab_mail.Mail:
    """One mailbox after the other gets a message, in the folder that stands for the corpus' own."""
    boxes = itertools.cycle(lab_mail.people(lab))
    mail: dict[tuple[str, str, str], list[Item]] = {}
    for number, (name, raw) in enumerate(corpus()):
        server, user = next(boxes)
        item = Item(raw, START + datetime.timedelta(minutes=number), FLAGS[number % len(FLAGS)])
        mail.setdefault((server.name, user["address"], FOLDERS[name]), []).append(item)
    return mail


@pytest.fixture(scope="module")
def proof(lab_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """The corpus in six mailboxes of two servers, archived once."""
    if not CORPUS.exists():
        pytest.skip("no ../shared/corpora beside this checkout")
    lab = lab_factory(servers=2, users=3)
    for server in lab.servers:
        lab_mail.admit_master(server)
    mail = spread(lab)
    lab_mail.load(lab, mail)
    home = tmp_path_factory.mktemp("corpus")
    variables = home / "variables.json"
    servers = [lab_mail.archive_server(server) for server in lab.servers]
    wanted = {"archive_root": str(home / "archive"), "archive_servers": servers, "lab": lab.document}
    variables.write_text(json.dumps(wanted), encoding="utf-8")
    found = Proof(lab, home / "archive", mail, variables)
    result = found.run()
    assert result["changed"], result["msg"]
    return found


@pytest.fixture(scope="module")
def served(proof: Proof) -> list[Seen]:
    return proof.served()


def test_the_whole_corpus_is_on_the_servers(proof: Proof, served: list[Seen]) -> None:
    assert len(served) == MESSAGES
    loaded = [item.raw for items in proof.loaded.values() for item in items]
    kept = Counter(hashlib.sha256(raw).hexdigest() for raw in loaded if dovecot_keeps(raw))
    assert kept.total() >= MESSAGES - 1  # one message has CR CR LF, of which Dovecot makes CR LF
    assert not kept - Counter(seen.row.digest for seen in served)
    assert {seen.row.folder for seen in served} == set(FOLDERS.values())
    assert len({(seen.row.server, seen.row.mailbox) for seen in served}) == 6


def test_server_and_archive_are_equal_both_ways(proof: Proof, served: list[Seen]) -> None:
    began = time.monotonic()
    archive = Archive(proof.root)
    assert differences([seen.row for seen in served], archive.rows()) == []
    assert archive.problems == []
    assert len(archive.sources) == MESSAGES  # nothing else has a state either
    run = proof.runs[0].of("archive_run")[-1].result["run"]
    size = sum(seen.size for seen in served)
    assert (run["seen"], run["new"] + run["copies"], run["bytes"]) == (MESSAGES, MESSAGES, size)
    figures.record(
        "corpus",
        messages=len(served),
        bytes=size,
        objects=len(archive.objects),
        stored_bytes=sum(known.stored_size for known in archive.objects.values()),
        placements=len(archive.placements),
        copies=run["copies"],
        run_seconds=round(run["seconds"], 2),
        playbook_seconds=round(proof.runs[0].seconds, 2),
        compare_seconds=round(time.monotonic() - began, 2),
    )


def test_every_message_is_placed_where_its_mailbox_has_it(proof: Proof, served: list[Seen]) -> None:
    archive = Archive(proof.root)
    copies = {row[:5] for row in archive.sources if row[6] == COPY}
    wanted = {
        (
            seen.row.mailbox,
            (seen.row.mailbox, *seen.row.folder.split("/")),
            seen.row.digest,
            _seconds(seen.internaldate),
            seen.virtual_size,
        )
        for seen in served
        if seen.row[:5] not in copies
    }
    found = [(one.tree, one.parts, one.digest, one.internaldate, one.virtual_size) for one in archive.placements]
    assert set(found) == wanted
    assert len(found) == len(wanted)


def _seconds(internaldate: str) -> int:
    return int(datetime.datetime.strptime(internaldate, "%d-%b-%Y %H:%M:%S %z").timestamp())


def test_every_login_was_a_master_login_over_tls(proof: Proof) -> None:
    assert {(line["ok"], line["tls"], line["method"]) for line in lab_mail.logins(proof.lab)} == {(True, True, "X-MASTERAUTH")}


def test_a_second_run_transfers_and_touches_nothing(proof: Proof) -> None:
    before = Archive(proof.root).fingerprint()
    result, sent = proof.commands_of_run()
    assert not result["changed"], result["msg"]
    assert (result["run"]["seen"], result["run"]["new"], result["run"]["known"]) == (MESSAGES, 0, MESSAGES)
    assert [line for line in sent if "FETCH" in line["command"]] == []
    assert {line["command"] for line in sent} >= {"X-MASTERAUTH", "LIST"}  # it did look
    assert Archive(proof.root).fingerprint() == before
    assert [task.task for task in proof.runs[-1].changed()] == []
    figures.record("corpus again", messages=0, commands=len(sent), playbook_seconds=round(proof.runs[-1].seconds, 2))


def test_a_third_run_fetches_the_new_message_alone(proof: Proof) -> None:
    server, user = lab_mail.people(proof.lab)[4]
    lab_mail.append(server, user, {"Клиенты/日本 🎌/.hidden": [Item(b"Subject: one more\r\n\r\nbody\r\n", START)]})
    before = Archive(proof.root).fingerprint()
    result, sent = proof.commands_of_run()
    assert (result["run"]["new"], result["run"]["known"]) == (1, MESSAGES)
    uids = [line["args"].split()[0] for line in sent if line["command"] == "UID FETCH" and "BODY" in line["args"].upper()]
    archive = Archive(proof.root)
    newest = max(row.uid for row in archive.rows() if row[:3] == (server.name, user["address"], "Клиенты/日本 🎌/.hidden"))
    assert uids == [str(newest)]
    after = archive.fingerprint()
    unchanged = [path for path in before if path.startswith(str(proof.root / "objects")) and len(Path(path).name) == 64]
    assert all(after[path] == before[path] for path in unchanged)
    assert differences([seen.row for seen in proof.served()], archive.rows()) == []
    assert archive.problems == []
