# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_users in playbooks, fed by the directories of two servers: check, create, again, change, leave, scope, refusals."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory, Lab, LabServer
from tests.play.helpers import Answer, Step, assert_one_sentence, connection, play
from tests.play.trees import tree

LOOK = Path(__file__).with_name("trees.py")
NOBODY = ["archive@example.com", "archive@example.org"]


@pytest.fixture(scope="module")
def shared(lab_factory: Factory) -> Lab:
    return lab_factory(servers=2, users=3)


@pytest.fixture
def people(shared: Lab) -> Lab:
    """Two servers with three people and an archive mailbox each, whatever the test before changed."""
    for server in shared.servers:
        server.reset()
    return shared


def read(*servers: LabServer) -> list[Step]:
    """Tasks that read the directories of servers, for the tasks behind them; the port stands behind the host, as in the guide."""
    places = {server.name: {"api_host": f"{server.host}:{server.admin_port}", "api_port": None} for server in servers}
    return [
        Step("kerio_directory_info", connection(server, **places[server.name]), also={"register": server.name})
        for server in servers
    ]


def users(root: Path, *servers: LabServer, check: bool = False, **more: t.Any) -> Step:
    directories = [f"{{{{ {server.name}.directory }}}}" for server in servers]
    return Step("archive_users", {"root": str(root), "directories": directories, "not_users": NOBODY, **more}, check)


def store(root: Path) -> Step:
    return Step("archive_store", {"root": str(root), "reserve": 0})


def look(root: Path) -> Step:
    return Step("ansible.builtin.command", {"argv": [sys.executable, str(LOOK), str(root)]})


def seen(answer: Answer) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(answer.result["stdout"])
    return found


def counts(answer: Answer) -> tuple[int, int, int]:
    assert not answer.failed, answer.result
    found = answer.result["counts"]
    return found["create"], found["change"], found["delete"]


def touched(answer: Answer) -> dict[str, tuple[str, str]]:
    return {user["name"]: (user["action"], user["why"]) for user in answer.result["users"]}


def edit(server: LabServer, login: str, **members: t.Any) -> None:
    errors = server.api("Users.set", {"userIds": [server.user(login)["id"]], "pattern": members})["errors"]
    assert errors == []


def remove(server: LabServer, login: str) -> None:
    request = {"userId": server.user(login)["id"], "method": "UDeleteUser", "removeReferences": True}
    assert server.api("Users.remove", {"requests": [request]})["errors"] == []


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_check_is_test_settings_and_a_change_at_a_server_is_exactly_that_change(people: Lab, tmp_path: Path) -> None:
    root, absent = tmp_path / "archive", tmp_path / "not made yet"
    one, two = people["mail1"], people["mail2"]
    check, real = users(root, one, two, check=True), users(root, one, two)
    first = play(
        *read(one, two), users(absent, one, two, check=True), store(root), look(root), check, look(root), real, real, look(root)
    )
    _one, _two, without_root, _store, empty, would, still_empty, created, again, full = first
    everybody = {f"{login}@example.com" for login in ("alice", "bob", "carol")}
    everybody |= {f"{login}@example.org" for login in ("gina", "henri", "ines")}
    for answer in (without_root, would, created):
        assert (answer.changed, counts(answer)) == (True, (6, 0, 0))
        assert set(touched(answer)) == everybody
        assert touched(answer)["gina@example.org"] == ("create", "is new in mail2")
        assert answer.result["left_out"] == NOBODY
    assert without_root.diff["after"] == would.diff["after"] == created.diff["after"]
    assert not absent.exists()
    assert seen(still_empty) == seen(empty)
    assert (again.changed, counts(again), again.result["users"]) == (False, (0, 0, 0), [])

    edit(one, "bob", emailAddresses=["b.builder"])
    remove(two, "henri")
    delete = {"delete": True}
    then = play(
        *read(one, two), users(root, one, two, check=True, **delete), look(root), real, real, users(root, one, two, **delete)
    )
    _one, _two, would, same, changed, kept, deleted = then
    assert counts(would) == (0, 1, 1)
    assert touched(would)["henri@example.org"][0] == "delete"
    assert seen(same) == seen(full)
    assert counts(changed) == (0, 1, 0)
    assert touched(changed) == {"bob@example.com": ("change", "addresses changed in mail1")}
    gone = "is not in the directory of mail2 any more"
    assert changed.result["would_leave"] == [{"name": "henri@example.org", "why": gone}]
    assert changed.msg.endswith("; 1 would leave with delete: true (henri@example.org)")
    addresses = ["bob@example.com", "b.builder@example.com", "bob@example.net", "b.builder@example.net"]
    assert changed.diff["before"] == {"users": {"bob@example.com": {"addresses": ["bob@example.com", "bob@example.net"]}}}
    assert sorted(changed.diff["after"]["users"]["bob@example.com"]["addresses"]) == sorted(addresses)
    assert not kept.changed
    assert counts(deleted) == (0, 0, 1)
    assert set(touched(deleted)) == {"henri@example.org"}


def test_scope_says_who_is_an_archive_user(people: Lab, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    one, two = people["mail1"], people["mail2"]
    sales = {"scope": {"groups": ["sales@example.com"], "domains": ["example.org"]}}
    _one, _two, _store, some, wider, narrower, unread, without_server, unknown = play(
        *read(one, two),
        store(root),
        users(root, one, two, **sales),
        users(root, one, two),
        users(root, one, two, check=True, delete=True, **sales),
        users(root, one, delete=True, unread=["mail2"]),
        users(root, one, delete=True),
        users(root, one, two, user_name="login"),
    )
    assert {name for name in touched(some) if name.endswith(".com")} == {"bob@example.com", "carol@example.com"}
    assert counts(some) == (5, 0, 0)
    assert some.result["left_out"] == ["alice@example.com", *NOBODY]
    assert touched(wider) == {"alice@example.com": ("create", "is new in mail1")}
    assert {name: action for name, (action, _why) in touched(narrower).items()} == {"alice@example.com": "delete"}
    assert not unread.changed
    assert_one_sentence(without_server, "the server mail2: it is not in directories", "3 archive users come from it")
    assert touched(unknown)["alice"] == ("change", "was alice@example.com")


@pytest.mark.shows("broken")
def test_what_cannot_be_believed_is_refused_before_anything_is_written(people: Lab, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    (tmp_path / "empty").mkdir()
    one = people["mail1"]
    edit(one, "bob", emailAddresses=["shared"])
    masked = {"server": "mail1", "users": [{"id": "1", "login": "ann", "address": "ann@********.example"}]}
    twice = [{"name": "auditor", "addresses": ["Shared@example.com"]}]
    answers = play(
        *read(one),
        store(root),
        look(root),
        Step("archive_users", {"root": str(root), "directories": [masked]}),
        users(root, one, users=twice),
        users(root, one, reused_names={"bob@example.com": "perhaps"}),
        Step("archive_users", {"root": str(root), "directories": [{"server": "mail1"}]}),
        users(tmp_path / "absent", one),
        users(tmp_path / "empty", one),
        look(root),
    )
    _one, _store, before, mask, collision, rule, no_directory, absent, empty, after = answers
    assert_one_sentence(
        mask, "directories[0].users[0].address:", "masked by Ansible", "Choose a password that is not part of a name"
    )
    assert_one_sentence(
        collision, "the address shared@example.com:", "bob@example.com", "auditor", "both have it", "Take it from one of them"
    )
    assert set(collision.result["error"]["users"]) == {"bob@example.com", "auditor"}
    assert_one_sentence(rule, "reused_names of bob@example.com:", "'perhaps'", "Give one of adopt, separate")
    assert_one_sentence(no_directory, "directories[0]:", "users is missing", "kerio_directory_info")
    assert_one_sentence(absent, str(tmp_path / "absent"), "Create the archive with archive_store")
    assert_one_sentence(empty, str(tmp_path / "empty"), "it holds no archive", "Create the archive with archive_store")
    assert seen(after) == seen(before) == tree(root)
