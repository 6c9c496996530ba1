# SPDX-License-Identifier: GPL-3.0-or-later
"""Two archive hosts: servers are assigned and archived, and one moves with its users from one host to the other."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import zstandard

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import LEFT_OUT, Watch, furnish_server, send
from tests.play.helpers import run
from tests.play.trees import tree

PLAYBOOKS = ROOT / "playbooks"
HOSTS = """---
kerio_servers: {hosts: {mail1: , mail2: }}
archive_hosts: {hosts: {archive1: , archive2: }}
"""


class Site:
    """An inventory like inventory/lab with two archive hosts, each with an archive of its own."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder, self.inventory = lab, folder, folder / "inventory"
        shutil.copytree(ROOT / "inventory" / "lab" / "group_vars", self.inventory / "group_vars")
        (self.inventory / "host_vars").mkdir()
        (self.inventory / "hosts.yml").write_text(HOSTS, encoding="utf-8")
        for host in ("archive1", "archive2"):
            root = self.root(host)
            Store.create(str(root)).close()
            Catalog.open(str(root / "catalog.sqlite3")).close()
            own = f"---\narchive_host_root: {root}\narchive_host_reserve: 0\narchive_users_delete: true\n"
            (self.inventory / "host_vars" / f"{host}.yml").write_text(own, encoding="utf-8")
        for server in lab.servers:
            furnish_server(server)
        self.passwords = {server.name: server.master_password for server in lab.servers}

    def root(self, host: str) -> Path:
        return self.folder / host

    def assign(self, **servers: str) -> None:
        for server, host in servers.items():
            master = f"{{enabled: true, ip_address_group: Archive hosts, password: {self.passwords[server]}}}"
            text = f"---\nkerio_connect_archive_hosts: [{host}]\nkerio_connect_master_authentication: {master}\n"
            (self.inventory / "host_vars" / f"{server}.yml").write_text(text, encoding="utf-8")

    def play(self, book: str, *args: str) -> PlaybookRun:
        environment = {"KERIO_LAB_JSON": str(self.lab.file), "KERIO_LAB_WORK_DIR": str(self.folder)}
        return run(PLAYBOOKS / f"{book}.yml", *args, inventory=self.inventory, **environment)

    def mail(self, host: str) -> dict[str, bytes]:
        """Every placement of an archive, by its path below ``mail``."""
        mail = self.root(host) / "mail"
        return {str(path.relative_to(mail)): path.read_bytes() for path in mail.glob("**/cur/*")}

    def damage(self, host: str) -> list[verify.Finding]:
        return verify.Verification(verify.Wish(str(self.root(host)), processes=1, keep=False), Silent()).run().findings


def done(book: PlaybookRun) -> PlaybookRun:
    assert book.rc == 0, book.output
    return book


def changed(book: PlaybookRun) -> list[tuple[str, str]]:
    return [(task.host, task.action.rsplit(".", 1)[-1]) for task in book.changed()]


def archive9_told(book: PlaybookRun) -> list[str]:
    """The servers of which it is told that their archive host is none."""
    told = "kerio_connect_archive_hosts names archive9, which is no host of the group archive_hosts"
    return [task.host for task in book.of("fail") if told in str(task.result.get("msg"))]


def news(book: PlaybookRun) -> dict[str, int]:
    """Host -> what it fetched."""
    return {task.host: sum(int(profile["new"]) for profile in task.result["profiles"]) for task in book.of("archive_run")}


def test_a_server_moves_with_its_users_and_nothing_is_read_twice(lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(servers=2, users=2)
    placed = lab.fill(60)
    mail1, mail2 = lab.servers
    send(mail2, mail2.user("gina")["address"], number=7)
    site = Site(lab, tmp_path)

    site.assign(mail1="archive1", mail2="archive1")
    users, first = done(site.play("users")), done(site.play("archive"))
    assert changed(users) + changed(first) == [("archive1", "archive_users"), ("archive1", "archive_run")]
    assert site.mail("archive2") == {}
    old, rows = site.mail("archive1"), tree(site.root("archive1") / "mail", site.root("archive1") / "objects")

    # Nobody leaves the first host, although its users may be deleted; the second one knows those of its server by their ids.
    # A server whose archive host is none is left out and told, and the other one goes on.
    site.assign(mail1="archive9", mail2="archive2")
    assigned = site.play("users")
    assert changed(assigned) == [("archive2", "archive_users")]
    assert (assigned.rc == 0, archive9_told(assigned)) == (False, ["mail1"])
    site.assign(mail1="archive1")
    before = tree(site.root("archive1") / "mail", site.root("archive1") / "objects", site.root("archive1") / "evidence")
    chosen = '{"archive_import_servers": ["mail2"]}'
    source = f"archive_import_source={site.root('archive1')}"
    moved = done(site.play("import", "--limit", "archive2", "-e", source, "-e", chosen))
    (task,) = moved.of("archive_import")
    told = task.result["imported"]
    assert told["messages"] == told["new"] == len(site.mail("archive2")) > 0
    assert (told["users_made"], task.result["problem_count"]) == (0, 0)
    assert tree(*(site.root("archive1") / part for part in ("mail", "objects", "evidence"))) == before

    watch = Watch(mail1, mail2)
    again = done(site.play("archive"))
    assert (changed(again), watch.commands()["UID FETCH"]) == ([], 0)
    assert news(again) == {"archive1": 0, "archive2": 0}
    people = {name for name in old if name.split("/")[0].endswith("@example.org")}
    assert site.mail("archive2") == {name: old[name] for name in people}
    assert site.mail("archive1") == old
    assert tree(site.root("archive1") / "mail", site.root("archive1") / "objects") == rows
    assert (site.damage("archive1"), site.damage("archive2")) == ([], [])

    # What was put into the mailboxes is read from the new trees alone.
    wanted = Counter(one.digest for one in placed if one.server == "mail2" and one.folder not in LEFT_OUT and not one.copy_of)
    bodies = [zstandard.ZstdDecompressor().decompress(body) for body in site.mail("archive2").values()]
    read = Counter(hashlib.sha256(body).hexdigest() for body in bodies)
    assert {digest for digest in wanted if not read[digest]} == set()
    assert any(b"Subject: Order 7" in body for body in bodies)
