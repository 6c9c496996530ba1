# SPDX-License-Identifier: GPL-3.0-or-later
"""How long archive_users takes for many users: the module as a process of its own, in an archive without mail.

A plan is the module in check mode: it reads the catalog, plans and answers with a diff, which is what a synchronisation costs
before it writes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tests.bench.engine import SERVER, engine_path, make_archive
from tests.bench.figures import Json
from tests.bench.machine import Ended, timed
from tests.lab.playbooks import ROOT

ROUNDS = 3
MODULE = ROOT / "library" / "archive_users.py"
MANY, SOME = 10_000, 1_000
DOMAINS = tuple(f"domain{number}.example" for number in range(4))
PLAN_SECONDS, UNCHANGED_SECONDS = 5.0, 2.0


@dataclass(frozen=True)
class Case:
    """A run over ``users`` that must find so many to create and to change. ``known``: they are in the archive before."""

    text: str
    users: int
    known: bool
    check_mode: bool
    target: float
    create: int = 0
    change: int = 0


CASES = (
    Case("a plan, all new", MANY, known=False, check_mode=True, target=PLAN_SECONDS, create=MANY),
    Case("a plan, a tenth changed", MANY, known=True, check_mode=True, target=PLAN_SECONDS, change=MANY // 10),
    Case("a plan, none changed", MANY, known=True, check_mode=True, target=PLAN_SECONDS),
    Case("a run, none changed", SOME, known=True, check_mode=False, target=UNCHANGED_SECONDS),
)


def measured() -> list[Json]:
    """Time the cases and print them; raises ``SystemExit`` when one did not find what it must."""
    print("archive_users, the module as a process:")
    found = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            ended = runs(case, Path(folder))
        seconds, cpu = [round(one.seconds, 2) for one in ended], [round(one.cpu, 2) for one in ended]
        print(
            f"  {case.users:6,} users, {case.text}: {listed(seconds)} s, of CPU {listed(cpu)} s; target under {case.target:.0f} s"
        )
        data = {"users": case.users, "case": case.text, "seconds": seconds, "cpu": cpu, "target": case.target}
        found.append({**data, "median": statistics.median(seconds)})
    return found


def listed(figures: t.Iterable[float]) -> str:
    """Figures as text."""
    return ", ".join(f"{one:.2f}" for one in figures)


def runs(case: Case, folder: Path) -> list[Ended]:
    """Each round of a case; raises ``SystemExit`` when one did not find what it must."""
    root, arguments = folder / "archive", folder / "arguments.json"
    make_archive(root)
    if case.known:
        written(arguments, case, root, check_mode=False, changed=0)
        run(arguments)
    written(arguments, case, root, check_mode=case.check_mode, changed=case.change)
    found = [run(arguments) for _ in range(ROUNDS)]
    counts = {"create": case.create, "change": case.change, "delete": 0}
    for done in found:
        told = json.loads(done.output)["counts"]
        if told != counts:
            raise SystemExit(f"archive_users was to find {counts} and found {told}")
    return found


def run(arguments: Path) -> Ended:
    """Run the module as a process."""
    return timed([sys.executable, str(MODULE), str(arguments)], env=engine_path())


def written(file: Path, case: Case, root: Path, *, check_mode: bool, changed: int) -> None:
    """Write the arguments of the module; the first ``changed`` users have another full name."""
    users = [user(number, "Changed" if number < changed else "First") for number in range(case.users)]
    domains = [{"name": name, "is_primary": name == DOMAINS[0], "aliases": [f"alias.{name}"]} for name in DOMAINS]
    directory = {"server": SERVER, "version": "10.0.4", "domains": domains, "users": users, "groups": [], "aliases": []}
    declared = {"root": str(root), "directories": [directory], "delete": True}
    hidden = {"_ansible_check_mode": check_mode, "_ansible_diff": True}
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**declared, **hidden}}), encoding="utf-8")


def user(number: int, first: str) -> dict[str, t.Any]:
    """A user as kerio_directory_info returns one: three addresses, two groups."""
    domain, login = DOMAINS[number % len(DOMAINS)], f"user{number:05}"
    return {
        "id": f"keriodb://user/{number:08x}",
        "login": login,
        "domain": domain,
        "address": f"{login}@{domain}",
        "addresses": [f"{login}@{domain}", f"first.last{number}@{domain}", f"{login}@alias.{domain}"],
        "full_name": f"{first} Last {number}",
        "enabled": True,
        "authentication": "internal",
        "groups": [f"office{number % 50}", f"team{number % 7}"],
    }
