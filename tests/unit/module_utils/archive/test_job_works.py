# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of every job of an archive can be handed to a unit of systemd: it is a pickle, with all that it was asked for."""

from __future__ import annotations

import importlib
import pickle
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, store_setup

LIBRARY = Path(__file__).parents[4] / "library"
SERVER = {"name": "mail1", "host": "192.0.2.1", "access": "IMAP-SSL", "validate_certs": True, "master_password": "not-a-secret-1"}
PROFILE = {
    "name": "all",
    "method": "multiple_mailboxes",
    "filter": {"older_than_days": 30, "smaller_than": "50M", "not_headers": {"X-Spam-Flag": ["YES"]}},
    "folders": {"exclude": ["Newsletters*"]},
    "window": "22:00-06:00",
}
# Module -> what it is given here besides the defaults of its options.
CASES: dict[str, dict[str, t.Any]] = {
    "archive_run": {"servers": [SERVER], "profiles": [PROFILE]},
    "archive_run compare": {"servers": [SERVER], "profiles": [PROFILE], "mode": "compare"},
    "archive_verify": {"rate": "50M"},
    "archive_repair": {"declare_lost": ["ab" * 32], "lost_reason": "the disk"},
    "archive_rebuild": {"what": "trees"},
    "archive_restore": {"servers": [SERVER], "user": "alice", "since": "2025-01-01"},
    "archive_export": {"all_users": True},
    "archive_import": {"users": ["alice"]},
}


def params_of(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: option.get("default") for name, option in arguments.items()}


@pytest.mark.parametrize("case", CASES)
def test_work_of_a_job_is_a_pickle(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("archive", "other"):
        store_setup.ensure(store_setup.Wish(str(tmp_path / name)), check_mode=False)
    name = case.split()[0]
    module = importlib.import_module(f"ansible_collections.mailops.kerio.plugins.modules.{name}")
    server = {key: option.get("default") for key, option in module.ARGUMENTS.get("servers", {}).get("options", {}).items()}
    params = {**params_of(module.ARGUMENTS), "root": str(tmp_path / "archive"), **CASES[case]}
    params.update({key: str(tmp_path / "other") for key in ("source",) if key in params})
    params.update({key: str(tmp_path / "export") for key in ("dest",) if key in params})
    if "servers" in CASES[case]:
        params["servers"] = [{**server, **SERVER}]
    made: list[job.Work] = []

    def follow(
        _params: t.Any, _name: str, _going_on: str, prepare: t.Callable[[], job.Work], *_more: t.Any, **_rest: t.Any
    ) -> t.Any:
        made.append(prepare())
        return {"changed": False, "msg": ""}

    monkeypatch.setattr(job_outcome, "follow", follow)
    importlib.import_module(
        f"ansible_collections.mailops.kerio.plugins.module_utils.archive.{name.removeprefix('archive_')}_module"
    ).declare(params, False)
    (work,) = made
    again: t.Any = pickle.loads(pickle.dumps(work))  # noqa: S301  made here
    assert again.func is t.cast("t.Any", work).func
    assert again.args and repr(again.args) == repr(t.cast("t.Any", work).args)


def test_no_job_is_forgotten() -> None:
    with_jobs = {path.stem for path in LIBRARY.glob("archive_*.py") if "**job_outcome.ARGUMENTS" in path.read_text("utf-8")}
    assert {case.split()[0] for case in CASES} == with_jobs


def test_job_sees_its_interpreter_and_the_authorities_of_its_servers() -> None:
    servers = [{"name": "a", "ca_file": "/home/a/ca.pem"}, {"name": "b", "ca_file": None}]
    service = job_outcome.service_of({"root": "/srv/archive", "servers": servers}, sees=["/root/backup"])
    assert set(service.sees) == {"/root/backup", "/home/a/ca.pem", sys.executable, sys.base_prefix}
    assert service.properties()["ProtectHome"] == "read-only"
