# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: the archiving engine beside other archivers on one Dovecot; what roles, users, searches and many servers cost.

python -m tests.bench [--rounds N] [case ...]; without a case all of them. It prints figures and asserts none.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from tests.bench import machine, peers, role_cost, search_cost, site_cost, users_cost
from tests.bench.cases import CASES, Bench
from tests.bench.figures import Json, Result, lines
from tests.bench.server import BenchServer
from tests.lab.playbooks import ROOT

REPORT = ROOT / "build" / "bench.json"
RUNS = ROOT / "build" / "bench"
SERVER_PLACE = Path("/var") / "tmp"  # whose folders the mail user may pass
# Cases without mail: what they are called in the report, and what measures and prints them.
COSTS = {
    "roles": ("role_kerio_connect", role_cost.measured),
    "users": ("archive_users", users_cost.measured),
    "search": ("imap_search", search_cost.measured),
    "site": ("site_many_servers", site_cost.measured),
}


def main() -> int:
    """Return 0 when all cases ran; how fast is no reason to fail."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Time the archiving engine beside its peers.")
    parser.add_argument("case", nargs="*", help=", ".join((*CASES, *COSTS)) + "; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant (default 5)")
    parser.add_argument("--no-rest", action="store_true", help="begin at once, also after files were deleted")
    given = parser.parse_args()
    chosen = given.case or [*CASES, *COSTS]
    unknown = set(chosen) - {*CASES, *COSTS}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    report: Json = {"machine": machine.facts(), "versions": peers.install(), "rounds": given.rounds, "cases": {}}
    results: list[Result] = []
    for case, found in measured([case for case in CASES if case in chosen], given.rounds, rest=not given.no_rest):
        print("\n".join(lines(found)), flush=True)
        results.append(found)
        report["cases"].setdefault(case, []).append(found.as_data())
    for case, (name, measure) in COSTS.items():
        if case in chosen:
            report[name] = measure()
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\n{', '.join(f'{name} {version}' for name, version in report['versions'].items())}; {report['machine']}")
    for found in results:
        print("\n".join(["", *lines(found)]))
    print(f"\nWritten to {REPORT.relative_to(ROOT)}")
    return 0


def measured(cases: t.Sequence[str], rounds: int, *, rest: bool) -> t.Iterator[tuple[str, Result]]:
    """Run the cases against one server; directories are deleted at the end: a deletion slows down who creates files next."""
    if not cases:
        return
    begin = time.monotonic()
    RUNS.mkdir(parents=True, exist_ok=True)
    runs = Path(tempfile.mkdtemp(prefix="runs-", dir=RUNS))
    place = Path(tempfile.mkdtemp(prefix="kerio-bench-", dir=SERVER_PLACE))
    place.chmod(0o755)
    try:
        with BenchServer(place) as server:
            bench = Bench(server, runs, rounds)
            if rest:
                server.mixed()
                machine.rest(begin)
            for case in cases:
                for result in CASES[case](bench):
                    yield case, result
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(runs, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
