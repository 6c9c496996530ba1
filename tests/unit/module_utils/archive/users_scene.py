# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories as kerio_directory_info returns them, and a catalog that is synchronised from them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User

Data = dict[str, t.Any]
ROOT = "/srv/archive"


def person(login: str, domain: str = "example.com", **more: t.Any) -> Data:
    address = f"{login}@{domain}"
    return {"id": f"id-{login}", "login": login, "domain": domain, "address": address, "addresses": [address], **more}


def directory(*people: Data, server: str = "mail1", domains: t.Sequence[str] = ("example.com",), **more: t.Any) -> Data:
    return {"server": server, "users": list(people), "domains": [{"name": name} for name in domains], **more}


def wish(*people: Data, **more: t.Any) -> users.Wish:
    """The wish with the directory of mail1, or with those given as ``directories``."""
    return users.Wish(**{"directories": [directory(*people)], **more})


def actions(found: users.UserPlan) -> dict[str, str]:
    return {user["name"]: user["action"] for user in found.touched()}


def why(found: users.UserPlan) -> dict[str, str]:
    return {user["name"]: user["why"] for user in found.touched()}


class Scene:
    """An archive's catalog. ``sync`` also proves that a second run changes nothing."""

    def __init__(self, path: Path) -> None:
        self.catalog = Catalog.open(str(path / "catalog.sqlite3"))

    def plan(self, desired: users.Wish) -> users.UserPlan:
        return users.plan_users(ROOT, desired, self.catalog.users(deleted=True))

    def sync(self, desired: users.Wish) -> users.UserPlan:
        found = self.plan(desired)
        self.catalog.apply_users(found.steps)
        again = self.plan(desired)
        assert (again.steps, again.shown.changes) == ((), ())
        return found

    def user(self, name: str) -> User:
        return next(user for user in self.catalog.users(deleted=True) if user.name == name)

    def present(self) -> set[str]:
        return {user.name for user in self.catalog.users()}


@pytest.fixture
def scene(tmp_path: Path) -> t.Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.catalog.close()
