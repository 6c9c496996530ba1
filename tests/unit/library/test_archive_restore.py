# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_restore: what it puts back, says and refuses; check mode, diff, and whose password it uses."""

from __future__ import annotations

import ssl
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import archive_restore
from tests.faults.imap_script import no
from tests.faults.imap_server import MASTER, PASSWORD, ImapServer
from tests.faults.restore_scene import ALICE, ALL, INBOX, Scene, make_archive
from tests.lab import cli_lab
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.imap.certificates import load


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("restore") / "archive")


@pytest.fixture
def scene(root: Path) -> t.Iterator[Scene]:
    made = Scene(root)
    with made.server:
        yield made


def server_of(server: ImapServer, **more: t.Any) -> dict[str, t.Any]:
    return {"name": "mail1", "host": "127.0.0.1", "port": server.port, "access": "IMAP", **more}


def restore(scene: Scene, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    given = {"servers": [server_of(scene.server)], "user": ALICE, "credentials": "password", "password": PASSWORD, **options}
    return run_module(archive_restore.main, check=check, root=str(scene.root), **given)


def figures(result: dict[str, t.Any]) -> tuple[int, int, int, int]:
    told = result["restored"]
    return told["asked"], told["appended"], told["there"], told["failed"]


@pytest.mark.shows("change", "again", "check", "diff")
def test_it_tells_then_does_then_has_nothing_to_do(scene: Scene) -> None:
    would = restore(scene, check=True, folders=["INBOX"])
    assert (would["failed"], would["changed"], figures(would)) == (False, True, (8, 8, 0, 0))
    assert would["msg"].startswith("8 of 8 messages (")
    assert would["msg"].endswith(f"would be put into mail1 {ALICE}")
    assert "job" not in would
    done = restore(scene, folders=["INBOX"])
    assert (done["failed"], done["changed"], figures(done)) == (False, True, (8, 8, 0, 0))
    assert done["diff"] == would["diff"]
    assert done["diff"]["before"] == {}
    assert done["diff"]["after"] == {"Restored/INBOX": "8 messages"}
    assert done["restored"]["folders_made"] == ["Restored", "Restored/INBOX"]
    assert done["folders"] == [
        {"folder": "Restored/INBOX", "archived": [f"{ALICE}/INBOX"], "asked": 8, "appended": 8, "there": 0, "failed": 0}
    ]
    assert done["job"]["state"] == "finished"
    assert scene.bodies(b"Restored/INBOX") == INBOX
    again = restore(scene, folders=["INBOX"])
    assert (again["changed"], figures(again), again["diff"]["after"]) == (False, (8, 0, 8, 0), {})


@pytest.mark.shows("error")
def test_messages_that_could_not_be_restored_fail_the_module_with_all_of_its_result(scene: Scene) -> None:
    scene.script.on("APPEND", no("[OVERQUOTA] full"), nth=3)
    result = restore(scene, target_folder="")
    assert (result["failed"], result["changed"]) == (True, True)
    assert sum(figures(result)[1:]) == figures(result)[0] == ALL
    assert result["restored"]["kinds"]["overquota"] == len(INBOX) - 2
    assert "the mailbox is full: NO [OVERQUOTA] full" in result["msg"]
    assert {failure["kind"] for failure in result["failures"]} == {"overquota", "not_tried"}
    assert not restore(scene, target_folder="again", fail_on_errors=False)["failed"]


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "digest": ({"digests": ["abc"]}, "digests: abc is no digest"),
    "absent digest": ({"digests": ["0" * 64]}, "not in the chosen folders of alice@example.com: 000"),
    "since": ({"since": "yesterday"}, "since: yesterday cannot be used"),
    "no time": ({"since": "2025-01-01", "before": "2025-01-01"}, "since: it is not earlier than before"),
    "target": ({"target_folder": "a//b"}, "target_folder: 'a//b' has a part without a name"),
    "read back": ({"read_back": 101}, "read_back: 101 cannot be used"),
    "user": ({"user": "nobody"}, "user: there is no archive user nobody"),
    "server": ({"server": "mail9"}, "server: there is no server mail9"),
    "folder": ({"folders": ["Nowhere"]}, "folders: no folder of the archive is chosen"),
    "two secrets": ({"credentials": "master"}, "password: credentials is master"),
    "no secret": ({"password": None}, "password: credentials is password"),
    "no master": ({"credentials": "master", "password": None}, "server mail1: it has no master password"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_before_the_server_is_asked(scene: Scene, name: str) -> None:
    options, words = REFUSED[name]
    result = restore(scene, check=True, **options)
    assert result["failed"]
    assert words in result["msg"]
    assert scene.server.log == []


def test_the_master_password_opens_the_mailbox_and_the_other_one_too(root: Path, tmp_path: Path) -> None:
    ca_file = cli_lab.make_certificates(tmp_path, "mail1")
    context: ssl.SSLContext = load(tmp_path / "server.crt", tmp_path / "server.key")
    with ImapServer(tls=context) as server:
        server.state.folder("successor@example.com")
        scene = Scene(root)
        scene.server = server
        keys = {
            "access": "IMAP-SSL",
            "ca_file": str(ca_file),
            "master_password": "not-a-secret-old-one",
            "other_master_password": MASTER,
        }
        options = {"credentials": "master", "password": None, "mailbox": "successor@example.com", "folders": ["INBOX"]}
        result = restore(scene, servers=[server_of(server, **keys)], **options)
        assert (result["failed"], figures(result)) == (False, (8, 8, 0, 0)), result["msg"]
        assert result["warnings"] == ["mail1: the server still takes the other master password; finish the rotation"]
        state = server.state.folder("successor@example.com", b"Restored/INBOX")
        assert [one.body for one in state.messages] == INBOX
        assert server.verbs().count("X-MASTERAUTH") == 2
    for path in (root / "jobs").rglob("*"):
        assert not path.is_file() or MASTER.encode() not in path.read_bytes()
