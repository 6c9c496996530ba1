# SPDX-License-Identifier: GPL-3.0-or-later
"""The four kinds of mail (local, incoming, outgoing, relayed) from SMTP through the archive mailbox into the archive."""

from __future__ import annotations

import smtplib
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.lab.facts.imap_fixtures import rig as rig
from tests.lab.facts.imap_rig import HOST, MASTER, Rig
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, multidrop

ALICE, BOB, ALIAS = "alice@example.com", "bob@example.com", "a.angstrom@example.com"
JOURNAL, OUT, FAR = "archive@example.com", "customer@elsewhere.example", "partner@faraway.example"
KINDS = {"local": (BOB, ALICE), "incoming": (OUT, ALIAS), "outgoing": (ALICE, OUT), "relayed": (OUT, FAR)}


def send(rig: Rig, number: int, sender: str, recipient: str) -> None:
    text = f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nText {number}\r\n"
    with smtplib.SMTP(HOST, rig.smtp, timeout=20) as smtp:
        smtp.sendmail(sender, [recipient], text)


@pytest.mark.parametrize("envelope", ["recipients", "archive", "none"])
@pytest.mark.parametrize("unknown", ["leave", "drop_relayed", "catchall"])
def test_the_four_kinds_of_mail(
    rig: Rig, tmp_path: Path, lab_certificate: tuple[Path, Path], unknown: str, envelope: str
) -> None:
    rig.master()
    rig.switch(envelope_to_copy=envelope)
    rig.options("Archive").update(isEnabled=True, remoteArchive={"enabled": True, "value": JOURNAL})
    kinds = ("archiveLocalMessages", "archiveIncomingMessages", "archiveOutgoingMessages", "archiveRelayedMessages")
    rig.options("Archive").update(dict.fromkeys(kinds, True))
    rig.options("AdvancedOptions")["miscellaneous"]["insertXEnvelopeTo"] = True
    archive = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    archive.user(ALICE, ALIAS)
    archive.user(BOB, groups=("sales@example.com",))
    for number, (sender, recipient) in enumerate(KINDS.values()):
        send(rig, number, sender, recipient)
    reach = {"name": "mail1", "host": HOST, "port": rig.imaps, "ca_file": str(lab_certificate[0])}
    servers = parse_servers([reach])
    raw = [MULTIPLE, multidrop(credentials="master", unknown_addresses=unknown)]
    options = Options(str(archive.root), servers, parse_profiles(raw, servers), Secrets({"mail1": MASTER}), processes=1)
    report = Run(options, Silent()).go()
    assert report.problems() == []
    journal = report.profiles[1].accounts()
    expected = {"leave": (0, 1), "drop_relayed": (1, 0), "catchall": (0, 0)}[unknown]
    assert (journal.seen, journal.excluded, journal.left) == (4, *expected)
    # local and incoming: Alice has them in her mailbox; what Bob sent is filed for him, once, as is what Alice sent.
    assert archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 2, f'["{ALICE}", "Sent Items"]': 1}
    assert archive.placed(BOB) == {f'["{BOB}", "Sent Items"]': 1}
    assert sum(archive.placed("@catchall").values()) == (unknown == "catchall")
    again = Run(options, Silent()).go()
    assert (again.changed, again.accounts().seen) == (False, report.accounts().seen)
