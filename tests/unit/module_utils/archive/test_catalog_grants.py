# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read whose archive: by id, so kept through renames; lost by leavers, told in the ledger, of users who are there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, UserPlanError

ANN, BEN = UserValues("ann", "directory", kerio_login="ann@example.com"), UserValues("ben", "directory")
READER = UserValues("reader", "inventory", reads=("ann", "ben"))


@pytest.fixture
def catalog(tmp_path: Path) -> t.Iterator[Catalog]:
    """Two users, and one who may read both and was written before them."""
    with Catalog.open(str(tmp_path / "catalog.sqlite3")) as opened:
        opened.apply_users([UserStep(None, READER), UserStep(None, ANN), UserStep(None, BEN)])
        yield opened


def write(catalog: Catalog, name: str, values: UserValues, *, delete: bool = False) -> None:
    (user,) = [user for user in catalog.users(deleted=True) if user.name == name]
    catalog.apply_users([UserStep(user.id, values, delete=delete)])


def reads(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    return {user.name: user.reads for user in catalog.users(deleted=True)}


def changes(catalog: Catalog) -> list[dict[str, t.Any]]:
    entries = [json.loads(text) for _, text in catalog.evidence_waiting()]
    return [change for entry in entries if entry["event"] == "users" for change in entry["changes"]]


def test_users_of_the_same_plan_may_be_named(catalog: Catalog) -> None:
    assert reads(catalog) == {"ann": (), "ben": (), "reader": ("ann", "ben")}
    reader, ann = catalog.user_by_name("reader"), catalog.user_by_name("ann")
    assert reader is not None and reader.reads == ("ann", "ben")
    assert ann is not None and (ann.reads, ann.kerio_login) == ((), "ann@example.com")


def test_a_renamed_owner_or_reader_keeps_them(catalog: Catalog) -> None:
    write(catalog, "ann", dataclasses.replace(ANN, name="zoe"))
    assert reads(catalog)["reader"] == ("ben", "zoe")
    write(catalog, "reader", dataclasses.replace(READER, name="auditor", reads=("ben", "zoe")))
    assert reads(catalog)["auditor"] == ("ben", "zoe")


def test_names_are_those_of_after_the_plan(catalog: Catalog) -> None:
    """Somebody else is ann now: who is granted to read ann reads the new one, who was granted before reads the old one."""
    by_name = {user.name: user.id for user in catalog.users()}
    old = UserStep(by_name["ann"], dataclasses.replace(ANN, name="ann (left)"), delete=True)
    granted = UserStep(by_name["ben"], dataclasses.replace(BEN, reads=("ann",)))
    catalog.apply_users([granted, old, UserStep(None, dataclasses.replace(ANN, kerio_login=""))])
    assert reads(catalog) == {"ann": (), "ann (left)": (), "ben": ("ann",), "reader": ("ann (left)", "ben")}
    trees = {user.name: user.tree for user in catalog.users()}
    assert [change["archives"] for change in changes(catalog)[3:]] == [[trees["ann"]], [], []]
    assert trees["ann"] != "ann"


def test_what_is_not_named_any_more_is_taken_away(catalog: Catalog) -> None:
    write(catalog, "reader", dataclasses.replace(READER, reads=("ben",)))
    assert reads(catalog)["reader"] == ("ben",)


def test_a_leaver_loses_them_and_stays_readable(catalog: Catalog) -> None:
    write(catalog, "ben", dataclasses.replace(BEN, reads=("ann",)))
    write(catalog, "ben", dataclasses.replace(BEN, reads=("ann",)), delete=True)
    assert reads(catalog) == {"ann": (), "ben": (), "reader": ("ann", "ben")}
    # Declared again as they are, with a leaver among them.
    write(catalog, "reader", READER)
    assert reads(catalog)["reader"] == ("ann", "ben")


def test_a_name_that_nobody_has_is_an_error_and_nothing_is_written(catalog: Catalog) -> None:
    with pytest.raises(UserPlanError, match=r"the user reader: reads names nobody, ztrange, and no archive user"):
        write(catalog, "reader", dataclasses.replace(READER, full_name="R", reads=("ann", "ztrange", "nobody")))
    assert reads(catalog)["reader"] == ("ann", "ben")
    assert [user.full_name for user in catalog.users()] == ["", "", ""]
    assert len(changes(catalog)) == 3


def test_names_that_are_swapped_meanwhile_are_told_as_before(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    write(catalog, "reader", dataclasses.replace(READER, reads=("ann",)))
    ann, ben = (user for user in catalog.users() if user.name != "reader")
    plain = Catalog.rows

    def swapped_after(self: Catalog, statement: str, values: t.Sequence[t.Any] = ()) -> list[t.Any]:
        found = plain(self, statement, values)
        if "FROM users " in statement:
            with Catalog.open(self.path) as other:
                other.apply_users([UserStep(ann.id, BEN), UserStep(ben.id, ANN)])
        return found

    monkeypatch.setattr(Catalog, "rows", swapped_after)
    users = {user.name: user for user in catalog.users()}
    assert (users["ann"].id, users["reader"].reads) == (ann.id, ("ann",))
    monkeypatch.undo()
    users = {user.name: user for user in catalog.users()}
    assert (users["ann"].id, users["reader"].reads) == (ben.id, ("ben",))


@pytest.mark.parametrize("stays", [False, True], ids=["who swapped them has gone", "who swapped them is still there"])
def test_who_only_reads_is_told_one_state_too(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, stays: bool) -> None:
    write(catalog, "reader", dataclasses.replace(READER, reads=("ann",)))
    ann, ben = (user for user in catalog.users() if user.name != "reader")
    catalog.close()
    plain = Catalog.rows
    with contextlib.ExitStack() as until_the_end, Catalog.open(catalog.path, readonly=True) as reader:

        def swapped_after(self: Catalog, statement: str, values: t.Sequence[t.Any] = ()) -> list[t.Any]:
            found = plain(self, statement, values)
            monkeypatch.undo()
            other = until_the_end.enter_context(Catalog.open(self.path))
            other.apply_users([UserStep(ann.id, BEN), UserStep(ben.id, ANN)])
            if not stays:
                other.close()
            return found

        monkeypatch.setattr(Catalog, "rows", swapped_after)
        users = {user.name: user for user in reader.users()}
        assert (users["ann"].id, users["reader"].reads) == (ben.id, ("ben",))


def test_a_catalog_that_is_taken_away_while_it_is_read_is_the_error(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog.close()
    with Catalog.open(catalog.path, readonly=True) as reader:
        texts = Catalog._texts

        def taken_away(self: Catalog, query: str) -> dict[int, list[str]]:
            Path(self.path).unlink()
            monkeypatch.undo()
            return texts(self, query)

        monkeypatch.setattr(Catalog, "_texts", taken_away)
        with pytest.raises(CatalogError, match="unable to open database file"):
            reader.users()


def test_the_ledger_tells_them_by_name_and_by_tree(catalog: Catalog) -> None:
    write(catalog, "ann", dataclasses.replace(ANN, name="zoe"))
    write(catalog, "reader", dataclasses.replace(READER, reads=("zoe",)))
    write(catalog, "reader", dataclasses.replace(READER, reads=("zoe",)), delete=True)
    told = [(one["action"], one.get("was"), one["tree"], one["reads"], one["archives"]) for one in changes(catalog)]
    assert told == [
        ("created", None, "reader", ["ann", "ben"], ["ann", "ben"]),
        ("created", None, "ann", [], []),
        ("created", None, "ben", [], []),
        ("changed", "ann", "ann", [], []),
        ("changed", "reader", "reader", ["zoe"], ["ann"]),
        ("left", "reader", "reader", [], []),
    ]
    assert changes(catalog)[1]["kerio_login"] == "ann@example.com"
