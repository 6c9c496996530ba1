# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over hosts of which some cannot be dealt with: one is off, others are not who they should be. The rest is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hosts import certificates
from tests.hosts.double import HostServer
from tests.hosts.fleet import Fleet
from tests.lab import generate
from tests.lab.playbooks import PlaybookRun
from tests.play.archive_site import LEFT_OUT

REFUSED = "the TLS certificate cannot be verified:"
UNKNOWN = f"{REFUSED} unable to get local issuer certificate."
EXPIRED = f"{REFUSED} certificate has expired. Renew the server's certificate."
MISNAMED = f"{REFUSED} Hostname mismatch, certificate is not valid for 'kerio2'."


def declared(value: bool) -> dict[str, Any]:
    """A setting for every server that is not as it was."""
    return {"kerio_connect_advanced_options": {"insert_x_envelope_to": True, "log_host_names": value}}


def is_set(server: HostServer) -> bool:
    return bool(server.api("AdvancedOptions.get")["options"]["miscellaneous"]["logHostNames"])


def summary(done: PlaybookRun) -> list[str]:
    """What stands at the end: its lines, and last the whole of it on one line."""
    lines = str(done.tasks[-1].result["msg"]).splitlines()
    return [*lines, " ".join(" ".join(lines).split())]


def heard(server: HostServer) -> tuple[int, int]:
    """How many calls and attempts to log in have come to the server."""
    return len(server.calls()), len(server.logins())


def more_mail(fleet: Fleet, name: str) -> set[str]:
    """Put some messages on a server; returns their digests, without those that no profile archives."""
    with fleet.inside(name):
        placed = generate.fill_server(fleet.server(name).mailboxes(), 12, f"more of {name}")
    return {one.digest for one in placed if one.folder not in LEFT_OUT}


def archived(fleet: Fleet, host: str, digests: set[str]) -> set[str]:
    return digests & {path.name for path in (fleet.disks / host / "kerio" / "objects").glob("*/*")}


def test_one_host_is_off_and_one_is_somebody_else(fleet: Fleet, tmp_path: Path) -> None:
    """First somebody else's certificate, then one that has expired, then one for another name."""
    forged, good, lost = (fleet.server(name) for name in ("kerio1", "kerio2", "kerio3"))
    mail = {name: more_mail(fleet, name) for name in fleet.entries}
    assert all(mail.values())
    lost.machine.stop()
    lost.machine.cut()
    with certificates.presented(forged, certificates.of_another_authority(forged, tmp_path / "forged")):
        before = heard(forged)
        done = fleet.play("site", extra=declared(True))
        # Neither by the controller over the admin API, nor by the archive host over IMAP.
        assert heard(forged) == before
    assert done.rc == 2, done.output
    *lines, told = summary(done)
    assert lines[:3] == [
        "servers          2 failed: kerio1, kerio3",
        "servers          1 changed: kerio2",
        "archive hosts    2 failed: archive1, archive2",
    ]
    assert f"kerio1: kerio1:4040: {UNKNOWN}" in told
    assert "archive1: kerio1: kerio1:993: the certificate is not trusted: unable to get local issuer certificate" in told
    assert all(f"kerio3: kerio3:{port}: " in told for port in (4040, 993))
    assert [is_set(forged), is_set(good)] == [False, True]
    assert archived(fleet, "archive1", mail["kerio2"]) == mail["kerio2"]
    assert archived(fleet, "archive1", mail["kerio1"]) == archived(fleet, "archive2", mail["kerio3"]) == set()

    lost.machine.mend()
    lost.machine.start()
    lost.machine.wait()
    lost.wait_ready()
    with (
        certificates.presented(forged, certificates.expired(forged, tmp_path / "old")),
        certificates.presented(good, certificates.for_another_name(good, tmp_path / "other")),
    ):
        both = heard(forged), heard(good)
        done = fleet.play("configure", limit="kerio_servers", extra=declared(True))
        assert (heard(forged), heard(good)) == both
    assert done.rc == 2, done.output
    *lines, told = summary(done)
    assert lines[:2] == ["servers          2 failed: kerio1, kerio2", "servers          1 changed: kerio3"]
    assert f"kerio1: kerio1:4040: {EXPIRED}" in told
    (misnamed,) = [task.result["msg"] for task in done.failed() if task.host == "kerio2" and "error" in task.result]
    assert misnamed.startswith(f"kerio2:4040: {MISNAMED}") and misnamed.endswith("give the server a certificate for this name.")
    assert is_set(lost)

    # All are well again, and what they missed is made up for.
    done = fleet.play("archive")
    assert done.rc == 0, done.output
    assert archived(fleet, "archive1", mail["kerio1"]) == mail["kerio1"]
    assert archived(fleet, "archive2", mail["kerio3"]) == mail["kerio3"]
