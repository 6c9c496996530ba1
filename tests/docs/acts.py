# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done beside the commands of a page: before which of them, with which variables, and in which order pages go."""

from __future__ import annotations

import shutil
import subprocess

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.docs import blocks, disasters
from tests.docs.act import Act, next_yaml
from tests.docs.blocks import Block
from tests.docs.scene import Scene
from tests.play.archive_site import send

MAIL1, MAIL2 = "mail1.example.com", "mail2.example.org"
STARTED = "docs/getting-started.md"
VAULT = "group_vars/all/vault.yml"
MASTER, NEW_MASTER = "a new one, that nobody has", "the-new-password"  # as getting started and the rotation have them
KEEPER = "vault_kerio_archive_mailbox_password: another new one\n"
# It is run when the second server is there.
SITE = "ansible-playbook -i inventory/mine playbooks/site.yml"
PREFLIGHT = "ansible-playbook -i inventory/mine playbooks/preflight.yml -e preflight_report=preflight.json"
PAGE_OF_REPORT = "ansible-playbook -i inventory/mine playbooks/report.yml -e site_report_html=archive.html"


# -- docs/getting-started.md --------------------------------------------------------------------------------------


def write_inventory(scene: Scene, block: Block) -> None:
    """What the page says of hosts and profiles, and the vault that it shows."""
    page = blocks.page(block.page).blocks("yaml")
    by_key = {one.text.split(":")[0]: one.text for one in page}
    (scene.mine / "hosts.yml").write_text(by_key["kerio_servers"], encoding="utf-8")
    keepers = scene.mine / "group_vars" / "archive_hosts.yml"
    keepers.write_text(scene.here(by_key["archive_host_root"]), encoding="utf-8")
    scene.furnish(MAIL1)
    scene.edited(by_key["vault_kerio_admin_password"])
    alice = scene.server(MAIL1).user("alice")["address"]
    send(scene.server(MAIL1), alice, number=1)


def edit_cfg(scene: Scene, _block: Block) -> None:
    """A copy as an edit of mailserver.cfg leaves it."""
    file = scene.path("/opt/kerio/mailserver/mailserver.cfg")
    shutil.copy(file, f"{file}.kerio-archive.20260302T030405")


# -- after it -----------------------------------------------------------------------------------------------------


def both_servers(scene: Scene, _block: Block) -> None:
    """The inventory of the example, for both of its servers, and the run that getting started ends with."""
    example = scene.checkout / "inventory" / "example"
    for name in ("hosts.yml", f"host_vars/{MAIL2}.yml", "group_vars/archive_hosts.yml"):
        shutil.copy(example / name, scene.mine / name)
    scene.furnish(MAIL1, MAIL2)
    (scene.mine / "group_vars" / "all" / "report.yml").write_text(f"site_report: {scene.report}\n", encoding="utf-8")
    scene.run("git add inventory/mine && git commit --quiet --message 'Add the second server'")
    scene.run(SITE)
    shutil.copy(scene.report, scene.first_report)


def edit_vault(scene: Scene, block: Block) -> None:
    """What the page has the vault say next; the old password is the one that the servers have."""
    scene.edited(next_yaml(block).replace("the-old-password", MASTER) + KEEPER)


def forget_old(scene: Scene, _block: Block) -> None:
    """What the page says in words: the vault has the new password alone."""
    scene.edited(f"vault_kerio_master_password: {NEW_MASTER}\n{KEEPER}")
    scene.run(f"ansible-vault edit inventory/mine/{VAULT}")


def write_vault(scene: Scene, _block: Block) -> None:
    """A vault that is made again; with the password that the servers have, so that the pages after this one can go on."""
    scene.edited(f"vault_kerio_master_password: {NEW_MASTER}\n{KEEPER}")


def begin_again(scene: Scene, _block: Block) -> None:
    scene.mine.rename(scene.folder / "mine")


def go_on(scene: Scene, _block: Block) -> None:
    shutil.rmtree(scene.mine)
    (scene.folder / "mine").rename(scene.mine)


def undeclared(scene: Scene, _block: Block) -> None:
    """A server that has no file of host variables yet."""
    (scene.mine / "host_vars" / f"{MAIL1}.yml").rename(scene.folder / "declared.yml")


def declared(scene: Scene, _block: Block) -> None:
    (scene.folder / "declared.yml").rename(scene.mine / "host_vars" / f"{MAIL1}.yml")


def write_rehearsal(scene: Scene, block: Block) -> None:
    """What the page says, and how the server is reached here."""
    server = scene.server(MAIL1)
    account = server.add_user("rehearsal")
    text = "".join(
        line for line in next_yaml(block).splitlines(keepends=True) if "_host:" not in line and "_ca_file:" not in line
    )
    here = {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}
    text += "".join(f"archive_rehearse_{name}: {value}\n" for name, value in here.items())
    secret = f"vault_rehearsal_password: {account['password']}\n"
    (scene.mine / "host_vars" / "archive1.example.com.yml").write_text(text + secret, encoding="utf-8")


def drop_rehearsal(scene: Scene, _block: Block) -> None:
    (scene.mine / "host_vars" / "archive1.example.com.yml").unlink()


def write_preflight(scene: Scene, block: Block) -> None:
    """What the page says of the mailbox that is read."""
    server = scene.server(MAIL1)
    password = server.user("alice")["password"]
    text = f"{next_yaml(block)}vault_preflight_password: {password}\n"
    (scene.mine / "host_vars" / MAIL1).mkdir()
    undeclared(scene, block)
    shutil.copy(scene.folder / "declared.yml", scene.mine / "host_vars" / MAIL1 / "kerio_connect.yml")
    (scene.mine / "host_vars" / MAIL1 / "preflight.yml").write_text(text, encoding="utf-8")
    server.add_user("scratch")


def drop_preflight(scene: Scene, block: Block) -> None:
    shutil.rmtree(scene.mine / "host_vars" / MAIL1)
    declared(scene, block)


def write_export(scene: Scene, block: Block) -> None:
    (scene.checkout / "export-alice.yml").write_text(scene.here(next_yaml(block)), encoding="utf-8")
    scene.path("/mnt/auditors").mkdir(exist_ok=True)


def write_message(scene: Scene, _block: Block) -> None:
    """The message that an auditor wants proven, as a file."""
    scene.path("/home/auditor").mkdir(exist_ok=True)
    scene.run('zstdcat "$(find /srv/archive/kerio/objects -type f -print -quit)" > /home/auditor/invoice.eml')


def write_login(scene: Scene, block: Block) -> None:
    """The play of the page, for a server that listens here."""
    server = scene.server(MAIL1)
    options = {"host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}
    here = "\n".join(f"        {name}: {value}" for name, value in options.items())
    text = blocks.page(block.page).blocks("yaml")[0].text
    (scene.checkout / "playbooks" / "login.yml").write_text(text.replace(f"        host: {MAIL1}", here), encoding="utf-8")
    alice = server.user("alice")
    scene.answer(User=alice["address"], Password=alice["password"])


def publish(scene: Scene, _block: Block) -> None:
    """A newer release where the checkout came from."""
    news = scene.folder / "news"
    scene.run(
        f"git clone --quiet https://git.example.com/kerio-archive.git {news} && cd {news}"
        " && echo >> inventory/example/hosts.yml && git commit --quiet --all --message 'Release 0.2.0'"
        " && git tag v0.2.0 && git push --quiet origin v0.2.0"
    )
    scene.run("git remote add origin https://git.example.com/kerio-archive.git")


def two_archives(scene: Scene, _block: Block) -> None:
    """A second archive host, which archives the second server from now on, and a copy of the first one's archive."""
    scene.furnish(MAIL1, MAIL2, archives=["archive1.example.com", "archive2.example.com"])
    for name, number in ((MAIL1, 1), (MAIL2, 2)):
        with (scene.mine / "host_vars" / f"{name}.yml").open("a", encoding="utf-8") as file:
            file.write(f"kerio_connect_archive_hosts: [archive{number}.example.com]\n")
    root = scene.folder / "srv2" / "archive" / "kerio"
    root.parent.mkdir(parents=True)
    Store.create(str(root)).close()
    Catalog.open(str(root / "catalog.sqlite3")).close()
    scene.places |= {"COPY": f"{scene.folder}/copy", "example.net": "example.org"}  # the domain that is to move


def copy_archive(scene: Scene, _block: Block) -> None:
    """A copy, of an archive that has caught mail for unknown addresses."""
    subprocess.run(["rsync", "-a", "--delete", scene.here("/srv/archive/kerio/"), scene.places["COPY"]], check=True)
    with Catalog.open(f"{scene.places['COPY']}/catalog.sqlite3") as catalog:
        catalog.ensure_user("@catchall", origin="multidrop")


def one_archive(scene: Scene, _block: Block) -> None:
    scene.furnish(MAIL1, MAIL2)
    del scene.places["example.net"]
    for name in (MAIL1, MAIL2):
        file = scene.mine / "host_vars" / f"{name}.yml"
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "archive_hosts" not in line]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


ACTS = {
    STARTED: Act(before={"ansible-vault create": write_inventory, "grep AutoExpungeOnDelete": edit_cfg}),
    "docs/rotate-master-password.md": Act(
        first=both_servers, before={"ansible-vault edit": edit_vault, "Forget the old": forget_old}
    ),
    "README.md": Act(before={"cp -r": begin_again, "ansible-vault create": write_vault}, last=go_on),
    "docs/adopt-and-drift.md": Act(first=undeclared, last=declared),
    "docs/backup.md": Act(before={"rehearse.yml": write_rehearsal}, last=drop_rehearsal),
    "docs/before-going-live.md": Act(first=write_preflight, last=drop_preflight),
    "docs/disaster-recovery.md": disasters.DISASTERS,
    "docs/evidence.md": Act(before={"prove.yml": write_message}),
    "docs/export.md": Act(first=write_export),
    "docs/login.md": Act(first=write_login),
    "docs/rebuild.md": Act(before={"what=catalog": disasters.lose_catalog}),
    "docs/upgrading.md": Act(before={"git fetch": publish}),
    "docs/several-archive-hosts.md": Act(first=two_archives, before={"import.yml": copy_archive}, last=one_archive),
}
# Pages go in this order, and then the others by their names.
ORDER = (STARTED, "docs/rotate-master-password.md")
# Commands that another one of the docs does as well, and more.
DONE_BY = {
    "ansible-playbook -i inventory/mine playbooks/preflight.yml": PREFLIGHT,
    "ansible-playbook -i inventory/mine playbooks/preflight.yml -e preflight_mailbox=alice@example.com": PREFLIGHT,
    "ansible-playbook -i inventory/mine playbooks/report.yml": PAGE_OF_REPORT,
}
