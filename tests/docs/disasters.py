# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/disaster-recovery.md: how things are lost, what each command of the page must say then, and what must be there again."""

from __future__ import annotations

import imaplib
import re
import shutil
import ssl
from pathlib import Path

import zstandard

from ansible_collections.mailops.kerio.plugins.module_utils.archive import snapshot
from tests.docs import blocks
from tests.docs.act import Act, Part
from tests.docs.blocks import Block
from tests.docs.scene import VAULT_PASSWORD, Scene
from tests.lab import users_demo
from tests.lab.fixtures import LabServer
from tests.play.archive_site import send

MAIL1 = "mail1.example.com"
ARCHIVE, COPY = "/srv/archive/kerio", "/mnt/backup/archive/kerio"
KEEPER, OLD_PASSWORD, NEW_PASSWORD = "archive@example.com", "another new one", "made anew for the archive mailbox"
VAULT = f"""vault_kerio_master_password: made-anew-for-all-mailboxes
vault_kerio_archive_mailbox_password: {NEW_PASSWORD}
"""
EVIDENCE = 'archive_ledger_checkpoints_dir: "{{ inventory_dir }}/checkpoints"\n'
COMMIT = "git add --all . && git commit --quiet --message 'Keep all of it' && git push --quiet"
# Mail to alice, by its numbers, and what has become of it when the archive host is lost.
FIRST = 1  # of getting started
COPIED = 31  # newer than the snapshot and in the copy, deleted from both mailboxes
IN_THE_ARCHIVE_MAILBOX = 32  # not in the copy, deleted from alice's mailbox
NOT_YET = 33  # not archived yet
LOST = 34  # not in the copy, deleted from both mailboxes
WHOLE = r"\d+ objects and \d+ placements compared, \d+ messages read; no damage"


def variables(scene: Scene) -> dict[str, str]:
    return {"ARCHIVE": scene.here(ARCHIVE), "NEW": scene.here(ARCHIVE), "BACKUP": scene.here(COPY)}


def delete(server: LabServer, mailbox: str, password: str, *numbers: int) -> None:
    """Delete orders as somebody does in a mail program."""
    context = ssl.create_default_context(cafile=server.ca_file)
    with imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=context) as client:
        client.login(mailbox, password)
        client.select("INBOX")
        for number in numbers:
            (found,) = client.search(None, "SUBJECT", f'"Order {number}"')[1]
            assert found, (mailbox, number)
            client.store(found.decode().replace(" ", ","), "+FLAGS", "\\Deleted")
        client.expunge()


def order(path: Path) -> int:
    """The number of the order that a file of an archive is, or 0."""
    text = zstandard.decompress(path.read_bytes(), max_output_size=1 << 24)
    subject = re.search(rb"^Subject: Order (\d+)\r?$", text, re.MULTILINE)
    return int(subject[1]) if subject else 0


def orders(scene: Scene) -> set[int]:
    """The orders that alice's tree of the archive has."""
    return {order(path) for path in scene.path(ARCHIVE).glob("mail/alice@example.com/**/cur/*")} - {0}


# -- the archive host ---------------------------------------------------------------------------------------------


def back_up(scene: Scene, *numbers: int) -> None:
    """A backup as of docs/backup.md, during which a run archives these orders."""
    snapshot.take(str(scene.path(ARCHIVE)))
    scene.path(COPY).mkdir(parents=True)
    block = next(one for one in blocks.page("docs/backup.md").blocks("sh") if one.heading == "rsync")
    place, ledger, mail = block.commands()
    scene.run(f"{place}\n{ledger}", **variables(scene))
    for number in numbers:
        send(scene.server(MAIL1), scene.server(MAIL1).user("alice")["address"], number=number)
    scene.run("ansible-playbook -i inventory/mine playbooks/archive.yml")
    scene.run(f"{place}\n{mail}", **variables(scene))


def lose_archive_host(scene: Scene, _block: Block) -> None:
    """A backup during which a run went on that was ahead of it, and then there is nothing."""
    server, copy = scene.server(MAIL1), scene.path(COPY)
    alice = server.user("alice")
    (scene.mine / "group_vars" / "all" / "evidence.yml").write_text(EVIDENCE, encoding="utf-8")
    back_up(scene, COPIED, IN_THE_ARCHIVE_MAILBOX, LOST)
    for path in [*copy.glob("objects/*/*"), *copy.glob("mail/**/cur/*")]:
        if order(path) in (IN_THE_ARCHIVE_MAILBOX, LOST):  # as when they came after the copy
            path.unlink()
    next(copy.glob("mail/bob@example.com/**/cur/*")).unlink()  # as where it followed its message into another folder
    delete(server, alice["address"], alice["password"], COPIED, IN_THE_ARCHIVE_MAILBOX, LOST)
    delete(server, KEEPER, OLD_PASSWORD, COPIED, LOST)
    send(server, alice["address"], number=NOT_YET)
    assert orders(scene) == {FIRST, COPIED, IN_THE_ARCHIVE_MAILBOX, LOST}
    scene.run(COMMIT)
    for lost in ("/srv/archive", "/etc/kerio-archive"):
        shutil.rmtree(scene.path(lost))
    scene.units.unlink(missing_ok=True)


def strike(scene: Scene, _block: Block) -> None:
    """A schedule that was not stopped begins with an archive of its own."""
    if "stop kerio-archive-*.timer" not in (scene.units.read_text(encoding="utf-8") if scene.units.exists() else ""):
        scene.path(ARCHIVE).mkdir()


def archive_is_back(scene: Scene, _block: Block) -> None:
    """All but what was nowhere any more; and the certificate, and a snapshot of today."""
    assert orders(scene) == {FIRST, COPIED, IN_THE_ARCHIVE_MAILBOX, NOT_YET}
    assert scene.path("/etc/kerio-archive/kerio-ca.pem").exists()
    assert (scene.mine / "checkpoints" / "archive1.example.com.checkpoints").exists()
    new, old = (scene.path(f"{place}/backup/catalog.sqlite3").read_bytes() for place in (ARCHIVE, COPY))
    assert new != old


# -- the catalog --------------------------------------------------------------------------------------------------


def break_catalog(scene: Scene, _block: Block) -> None:
    """It cannot be read, and the snapshot in the archive is older than mail that is nowhere else."""
    shutil.copy(scene.path(f"{COPY}/backup/catalog.sqlite3"), scene.path(f"{ARCHIVE}/backup/catalog.sqlite3"))
    lose_catalog(scene, _block)
    scene.path(f"{ARCHIVE}/catalog.sqlite3").write_bytes(b"no catalog")


def lose_catalog(scene: Scene, _block: Block) -> None:
    for path in scene.path(f"{ARCHIVE}/").glob("catalog.sqlite3*"):
        path.unlink()


def mail_is_whole(scene: Scene, _block: Block) -> None:
    assert orders(scene) == {FIRST, COPIED, IN_THE_ARCHIVE_MAILBOX, NOT_YET}


# -- the controller, the vault ------------------------------------------------------------------------------------


def lose_controller(scene: Scene, _block: Block) -> None:
    """Another computer, on which there is nothing yet."""
    scene.run(COMMIT)
    scene.checkout.rename(scene.folder / "lost")
    scene.checkout.mkdir()


def move_in(scene: Scene, _block: Block) -> None:
    """What was cloned is where everything is typed from now on."""
    (scene.checkout / "kerio-archive").rename(scene.folder / "cloned")
    scene.checkout.rmdir()
    (scene.folder / "cloned").rename(scene.checkout)
    scene.run("git remote rename origin cloned")  # pages behind this one find a checkout without it, as those before do


def lose_vault(scene: Scene, _block: Block) -> None:
    """A controller has its password still. And what the page says in words: the archive mailbox's is written, once."""
    scene.path("/etc/kerio-archive-vault-password").write_text(f"{VAULT_PASSWORD}\n", encoding="utf-8")
    file = scene.mine / "host_vars" / f"{MAIL1}.yml"
    text = file.read_text(encoding="utf-8")
    assert f"  - address: {KEEPER}\n" in text
    file.write_text(text.replace(f"{KEEPER}\n", f"{KEEPER}\n    update_password: always\n", 1), encoding="utf-8")


def write_vault(scene: Scene, _block: Block) -> None:
    scene.edited(VAULT)


def secrets_are_new(scene: Scene, _block: Block) -> None:
    server = scene.server(MAIL1)
    delete(server, KEEPER, NEW_PASSWORD)  # nothing, but it logs in
    assert server.api("AdvancedOptions.get")["options"]["masterAuthentication"]["isEnabled"]
    file = scene.mine / "host_vars" / f"{MAIL1}.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("    update_password: always\n", ""), encoding="utf-8")


# -- a Kerio server -----------------------------------------------------------------------------------------------


def lose_server(scene: Scene, _block: Block) -> None:
    """Its accounts are other ones, with empty mailboxes, nothing of archiving is set, and it has another certificate."""
    server = scene.server(MAIL1)
    scene.path("/etc/kerio-archive/kerio-ca.pem").write_text("of the lost server\n", encoding="utf-8")
    there = server.api("Users.get", {"query": {}, "domainId": server.domain()["id"]})["list"]
    server.remove_users([user["id"] for user in there])
    known = {user["login"]: user for user in server.users}
    for login in {user["loginName"] for user in there} - {"archive"}:
        user = known.get(login, {"password": users_demo.password(login), "full_name": ""})
        server.add_user(login, password=user["password"], fullName=user["full_name"])
    settings = server.api("AdvancedOptions.get")["options"]
    settings["masterAuthentication"].update(isEnabled=False)
    server.api("AdvancedOptions.set", {"options": settings})
    settings = server.api("Archive.get")["options"]
    settings.update(isEnabled=False)
    server.api("Archive.set", {"options": settings})


def write_same(scene: Scene, block: Block) -> None:
    said = [one.text for one in blocks.page(block.page).blocks("yaml") if "archive_users_reused_names" in one.text]
    (scene.checkout / "same.yml").write_text(said[0], encoding="utf-8")


def mail_is_on_the_server(scene: Scene, _block: Block) -> None:
    """Alice has all her orders, and the archive has none of them twice."""
    server = scene.server(MAIL1)
    alice = server.user("alice")
    delete(server, alice["address"], alice["password"], *orders(scene))
    mail_is_whole(scene, _block)


def forget_checkpoints(scene: Scene, _block: Block) -> None:
    (scene.mine / "group_vars" / "all" / "evidence.yml").unlink()


ADOPTED = {
    "what=orphans": r"the catalog was brought forward: \d+ objects",
    "what=trees": "",
    "verify.yml": WHOLE,
}
CERTIFICATE = {"ansible archive_hosts": "CHANGED"}
STOPPED = {"systemctl stop 'kerio-archive-*.timer'": ""}
DISASTERS = Act(
    before={
        "mkdir -m 2750": strike,
        "what=catalog": lose_catalog,
        "ansible-vault create": write_vault,
        "@same.yml": write_same,
    },
    last=forget_checkpoints,
    variables=variables,
    parts={
        "The archive host is lost": Part(
            first=lose_archive_host,
            says={
                **STOPPED,
                "ssh-keygen -R": "",
                "mkdir -p /srv/archive": "",
                'mkdir -m 2750 "$NEW"': "",
                'rsync -aH "$BACKUP/" "$NEW/"': "",
                'cp -p "$NEW/backup/catalog.sqlite3"': "",
                'cp -p "$NEW/backup/checkpoint"': "",
                "chown -R root:root": "",
                **CERTIFICATE,
                "archive_host_take_over=true": r"archive hosts +1 changed",
                "git mv": "",
                "git commit": "",
                **ADOPTED,
                "what=trees": "1 links",
                "site.yml": r"archive1.example.com: [1-9]\d* new",
                "compare.yml": None,
                "backup.yml": r"changed: \[archive1",
                "controller.yml": None,
            },
            last=archive_is_back,
        ),
        "The catalog is lost": Part(
            first=break_catalog,
            says={
                'mkdir "$ARCHIVE.broken"': "",
                "mv ": "",
                "cp -p": "",
                **ADOPTED,
                "what=trees": None,
                "what=catalog": "the catalog was made anew",
                "users.yml": None,
                "archive.yml": None,
            },
            last=mail_is_whole,
        ),
        "The controller is lost": Part(
            first=lose_controller,
            says={
                "git clone": "",
                "cd kerio-archive": "",
                "make venv": "",
                ". .venv/bin/activate": "",
                "controller.yml": None,
            },
            last=move_in,
        ),
        "The vault's password is lost": Part(
            first=lose_vault,
            says={
                "sudo cat": VAULT_PASSWORD,
                "rm inventory": "",
                "ansible-vault create": "",
                "site.yml": r"servers +2 changed[^\n]*\n[^\n]*\n +archive1.example.com: 0 new messages",
                "git commit": "",
            },
            last=secrets_are_new,
        ),
        "A Kerio server is lost": Part(
            first=lose_server,
            says={
                **STOPPED,
                "openssl s_client": "",
                "openssl x509": "",
                **CERTIFICATE,
                "--limit 'mail1.example.com,archive_hosts'": r"servers +1 changed",
                "-e @same.yml": r"archive hosts +1 changed",
                "restore.yml": r"([1-9]\d*) of \1 messages [^\n]* put into",
                "site.yml": r"archive1.example.com: [1-9]\d* new",
                "compare.yml": None,
            },
            last=mail_is_on_the_server,
        ),
    },
)
