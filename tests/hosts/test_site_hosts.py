# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/site.yml over SSH, as somebody who is not root, on hosts from bare to archived; then again, and from outside."""

from __future__ import annotations

import functools
import hashlib
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import imapclient
import pytest
import testinfra
import zstandard

from tests.hosts import watch
from tests.hosts.converged import FirstRuns
from tests.hosts.fleet import KERIO, READERS, Fleet
from tests.lab.generate import Placed
from tests.lab.playbooks import PlaybookRun
from tests.play.archive_site import LEFT_OUT, Watch
from tests.play.helpers import SECRET

ROOT = "/srv/archive/kerio"
ACCOUNT = "kerio-archive"
SERVERS_OF = {"archive1": ("kerio1", "kerio2"), "archive2": ("kerio3",)}
READING = 20.0  # seconds that an answer may take


def selected(first_runs: FirstRuns, *servers: str) -> list[Placed]:
    """What a run must see of the mail that was put in, copies in archive mailboxes included."""
    return [one for one in first_runs.placed if one.server in servers and one.folder not in LEFT_OUT]


def touched(done: PlaybookRun) -> set[tuple[str, str]]:
    return {(task.host, task.action.rsplit(".", 1)[-1]) for task in done.changed()}


# -- the first runs -----------------------------------------------------------------------------------------------------------


def test_check_of_bare_hosts_writes_nothing(first_runs: FirstRuns) -> None:
    assert first_runs.writes_of_check == []
    assert watch.differences(first_runs.before_check, first_runs.after_check) == {}


def test_check_foretells_what_the_first_run_does_to_the_servers(first_runs: FirstRuns) -> None:
    foretold, done = (
        {one for one in touched(run) if one[0] in KERIO and one[1].startswith("kerio_")}
        for run in (first_runs.check, first_runs.first)
    )
    assert foretold == done
    assert {(server, "kerio_mailserver_cfg") for server in KERIO} <= done


def test_mail_is_archived_as_it_was_put_in(fleet: Fleet, first_runs: FirstRuns) -> None:
    for host, servers in SERVERS_OF.items():
        mail = selected(first_runs, *servers)
        archive = fleet.machines[host].path(ROOT)
        objects = {path.name: path for path in archive.glob("objects/*/*")}
        assert set(objects) == {one.digest for one in mail}
        for digest, path in objects.items():
            assert hashlib.sha256(_content(path)).hexdigest() == digest
        wanted = Counter((one.address, one.digest) for one in mail if not one.copy_of)
        found = Counter((path.relative_to(archive / "mail").parts[0], _digest(path)) for path in archive.glob("mail/**/cur/*"))
        assert not wanted - found
        inboxes = Counter((one.address, one.digest) for one in mail if not one.copy_of and one.folder == "INBOX")
        there = Counter((path.parts[-5], _digest(path)) for path in archive.glob("mail/*/*/INBOX/cur/*"))
        assert inboxes
        assert not inboxes - there


def _content(path: Path) -> bytes:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        return reader.read()


def _digest(path: Path) -> str:
    """Of a message in a Maildir, out of its name."""
    return path.name.split(".")[1].split("_")[0]


# -- from outside -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def look(fleet: Fleet) -> Iterator[functools.partial[testinfra.host.Host]]:
    """Hosts by name, over SSH."""
    config = str(fleet.control / "ssh_config")
    yield functools.partial(lambda name: testinfra.get_host(f"ssh://{name}", ssh_config=config, sudo=True, controlpersist=60))


def test_hosts_are_well(fleet: Fleet, look: functools.partial[testinfra.host.Host]) -> None:
    for name in fleet.machines:
        assert look(name).check_output("systemctl --failed --no-legend --plain") == ""


def test_kerio_runs_as_before(look: functools.partial[testinfra.host.Host]) -> None:
    for name in KERIO:
        (process,) = look(name).process.filter(comm="mailserver")
        assert process.user == "root"
        for port in (25, 143, 993, 4040):
            assert look(name).socket(f"tcp://0.0.0.0:{port}").is_listening
        file = look(name).file("/opt/kerio/mailserver/mailserver.cfg")
        assert '<variable name="AutoExpungeOnDelete">0<' in file.content_string
    assert look("kerio1").service("kerio-connect").is_running
    assert "could not be found" in look("kerio2").run("systemctl status kerio-connect").stderr
    assert "/run/systemd/generator.late/" in look("kerio3").check_output("systemctl show -P FragmentPath kerio-connect")
    assert look("kerio3").file("/opt/kerio/mailserver/mailserver.cfg").linked_to == "/etc/kerio/mailserver.cfg"
    assert look("kerio3").file("/etc/kerio/mailserver.cfg").mode == 0o600


def test_archive_belongs_to_its_account(look: functools.partial[testinfra.host.Host]) -> None:
    for name in SERVERS_OF:
        host = look(name)
        root = host.file(ROOT)
        assert (root.user, root.group, root.mode) == (ACCOUNT, READERS, 0o2750)
        assert host.check_output(f"find {ROOT} -not -user {ACCOUNT}") == ""
        assert set(host.check_output(f"find {ROOT}/objects -type f -printf '%m\\n'").split()) == {"440"}
        assert host.check_output("find /opt/kerio-archive -not -user root") == ""
        assert host.check_output(f"pgrep --euid {ACCOUNT} || true") == ""


def test_archive_is_served_by_its_own_dovecot(look: functools.partial[testinfra.host.Host]) -> None:
    host = look("archive1")
    assert host.service("kerio-archive-access").is_running
    assert host.service("kerio-archive-access").is_enabled
    assert not host.service("dovecot").is_running
    assert not host.service("dovecot").is_enabled
    assert host.socket("tcp://0.0.0.0:993").is_listening
    assert not host.socket("tcp://0.0.0.0:143").is_listening
    assert not look("archive2").file("/usr/sbin/dovecot").exists


def test_settings_are_in_force(fleet: Fleet) -> None:
    for server in fleet.servers:
        archive = server.api("Archive.get")["options"]
        assert archive["isEnabled"]
        assert archive["remoteArchive"] == {"enabled": True, "value": server.archive_mailbox}
        assert server.api("AdvancedOptions.get")["options"]["masterAuthentication"]["isEnabled"]
        groups = server.api("IpAddressGroups.get", {"query": {}})["list"]
        assert {one["host"] for one in groups if one["groupName"] == "Archive hosts"} == {"192.0.2.21", "192.0.2.22"}


def test_people_read_their_mail_at_kerio_and_in_the_archive(fleet: Fleet, first_runs: FirstRuns) -> None:
    alice = fleet.server("kerio1").user("alice")
    mine = [one for one in selected(first_runs, "kerio1") if one.address == alice["address"]]
    for host, folder in (("kerio1", "INBOX"), ("archive1", f"{alice['address']}/INBOX")):
        trusted = ssl.create_default_context(cafile=str(fleet.control / f"{host}.pem"))
        with imapclient.IMAPClient(fleet.machines[host].address, ssl_context=trusted, timeout=READING) as client:
            client.login(alice["address"], alice["password"])
            client.select_folder(folder, readonly=True)
            bodies = [one[b"BODY[]"] for one in client.fetch(client.search(), ["BODY.PEEK[]"]).values()]
        assert Counter(hashlib.sha256(body).hexdigest() for body in bodies) == Counter(
            one.digest for one in mine if one.folder == "INBOX"
        )


def test_no_password_stays_on_an_archive_host(fleet: Fleet) -> None:
    for host in SERVERS_OF:
        folders = (fleet.machines[host].upper, first_layer(fleet, host), fleet.disks / host)
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert len(files) > 1000
        assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def first_layer(fleet: Fleet, host: str) -> Path:
    """What the first runs wrote on a host."""
    return fleet.machines[host].lower[0]


# -- again --------------------------------------------------------------------------------------------------------------------


def test_second_run_changes_nothing(fleet: Fleet) -> None:
    seen = Watch(*fleet.servers)
    for server in fleet.servers:
        server.forget()
    again = fleet.play("site")
    assert again.rc == 0, again.output
    assert again.changed() == []
    assert not seen.commands()["UID FETCH"]
    assert [server.writes() for server in fleet.servers] == [[]] * len(KERIO)


def test_looks_at_archived_hosts_write_nothing(fleet: Fleet) -> None:
    """A check; and what is looked at before going live: over SSH mailserver.cfg, which is root's, and the service."""
    before = watch.trees(fleet)
    for server in fleet.servers:
        server.forget()
    check = fleet.play("site", check=True)
    assert check.rc == 0, check.output
    assert check.changed() == []
    looked = fleet.play("preflight")
    assert looked.rc == 0, looked.output
    assert looked.changed() == []
    found = {task.host: task.result["facts"] for task in looked.of("kerio_preflight_host")}
    verdicts = {host: {fact["id"]: fact["verdict"] for fact in facts} for host, facts in found.items()}
    assert {host: facts["cfg-place"] for host, facts in verdicts.items()} == dict.fromkeys(KERIO, "holds")
    assert [server.writes() for server in fleet.servers] == [[]] * len(KERIO)
    assert watch.differences(before, watch.trees(fleet)) == {}
