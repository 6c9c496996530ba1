# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive users of a distributed domain, in every position of the lab's switches for what is not known of one.

The modules run in this process: what playbooks add is shown elsewhere, and there are many positions.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.modules import archive_users, kerio_directory_info
from tests.lab.fixtures import Factory, Lab
from tests.play.helpers import connection
from tests.unit.library.module_run import run_module

Data = dict[str, t.Any]
DOMAIN = "corp.example"
HOMES = {"alice": "mail1", "bob": "mail1", "gina": "mail2", "henri": "mail2"}


@pytest.fixture(scope="module", params=["same", "own"])
def spread(request: pytest.FixtureRequest, lab_factory: Factory) -> Lab:
    """Two servers; a user has one id on both, or one on each."""
    return lab_factory(servers=2, users=2, distributed=DOMAIN, distributed_ids=request.param)


def synchronised(lab: Lab, root: Path, **options: t.Any) -> Data:
    read = [run_module(kerio_directory_info.main, **connection(server)) for server in lab.servers]
    options = {"not_users": [server.archive_mailbox for server in lab.servers], **options}
    return run_module(archive_users.main, root=str(root), directories=[one["directory"] for one in read], **options)


def people(root: Path) -> dict[str, User]:
    with Catalog.of(str(root), readonly=True) as catalog:
        return {user.kerio_login.partition("@")[0]: user for user in catalog.users()}


@pytest.mark.parametrize("lists", ["all", "own"])
@pytest.mark.parametrize("called", ["hostname", "name"])
def test_each_user_is_one_and_lives_on_the_home_server(spread: Lab, tmp_path: Path, lists: str, called: str) -> None:
    root = tmp_path / "archive"
    store_setup.ensure(store_setup.Wish(str(root)), check_mode=False)
    spread.directory.reset()
    for server in spread.servers:
        server.set_switches(distributed_lists=lists, home_server_name=called)
    # The servers of the lab are reached by addresses, so that their host names say nothing to the archive.
    homes = {one["hostname"]: one["name"] for one in spread.document["distributed"]["servers"]}
    told = {"home_servers": homes} if called == "hostname" else {}
    first = synchronised(spread, root, **told)
    assert (first["failed"], first["warnings"]) == (False, []), first
    before = people(root)
    assert {login: user.server for login, user in before.items()} == HOMES
    assert not synchronised(spread, root, **told)["changed"]

    spread.directory.move("alice", "mail2")
    spread.directory.change("bob", login="robert")
    spread.directory.remove("gina")
    moved = synchronised(spread, root, delete=True, **told)
    assert {user["name"]: (user["action"], user["why"]) for user in moved["users"]} == {
        f"alice@{DOMAIN}": ("change", "the mailbox is on mail2 now, was on mail1"),
        f"robert@{DOMAIN}": ("change", f"was bob@{DOMAIN}"),
        f"gina@{DOMAIN}": ("delete", "is not in the directory of mail2 any more"),
    }
    after = people(root)
    assert {login: (user.id, user.server) for login, user in after.items()} == {
        "alice": (before["alice"].id, "mail2"),
        "robert": (before["bob"].id, "mail1"),
        "henri": (before["henri"].id, "mail2"),
    }
    assert after["alice"].tree == before["alice"].tree


def test_without_a_name_that_fits_it_is_told_what_to_declare(spread: Lab, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    store_setup.ensure(store_setup.Wish(str(root)), check_mode=False)
    spread.directory.reset()
    for server in spread.servers:
        server.set_switches(distributed_lists="all", home_server_name="hostname")
    found = synchronised(spread, root)
    hosts = sorted(one["hostname"] for one in spread.document["distributed"]["servers"])
    assert [warning.partition(":")[0] for warning in found["warnings"]] == [f"home server {host}" for host in hosts]
    # Who would be read on a server that has the mailbox not is named; nobody is there twice.
    assert set(people(root)) == set(HOMES)
