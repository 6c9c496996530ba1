# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told at the end of a run, for people: 24 lines of 76 columns at most, however many hosts and failures there are."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json
from ansible_collections.mailops.kerio.plugins.module_utils.site.summary import ByName, Host, Hosts
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

LINES, COLUMNS = 24, 76
FOLLOWING = "  "
GAP = " ... "
# Of the names of hosts; what is left of the line is for their number, their state, and how many more there are.
NAMES_COLUMNS = 42
LINES_OF_FAILURE, LINES_OF_RUN, RUNS = 3, 2, 2


def text(hosts: Hosts, playbook: str, check: bool, unwritten: str, reported: t.Sequence[str]) -> str:
    """Return the text.

    ``unwritten`` says why there is no report, or not all of it; ``reported`` are sentences that say where the report is.
    """
    servers, keepers = hosts["servers"], hosts["archive_hosts"]
    # Of servers a look at the archives knows nothing but what went wrong before it.
    looked = servers if playbook != "report" else {name: host for name, host in servers.items() if host["failures"]}
    told = [*_states("servers", looked, check), *_states("archive hosts", keepers, check), *_runs(keepers)]
    failures = [*_failures(servers), *_failures(keepers), *filter(None, [unwritten])]
    if failures:
        # But for the line above them and the one that says how many more there are.
        room = (LINES - 2 - len(reported) - len(told)) // LINES_OF_FAILURE
        told.append(f"{counted(len(failures), 'failure')}, each told above as a whole:")
        told += [line for failure in failures[:room] for line in fitted(failure, LINES_OF_FAILURE)]
        told += [f"and {len(failures) - room} more"] if len(failures) > room else []
    # A path is of use as a whole only.
    return "\n".join([*told, *reported])


def _states(kind: str, hosts: ByName, check: bool) -> t.Iterator[str]:
    by_state: dict[str, list[str]] = {"failed": [], "would change" if check else "changed": [], "ok": []}
    failed, changed, fine = by_state.values()
    for name, host in hosts.items():
        (failed if host["failures"] else changed if host["changed"] else fine).append(name)
    for state, names in by_state.items():
        if names:
            yield f"{kind:14}{len(names):>4} {state}: {listed(names, NAMES_COLUMNS - len(state))}"


def listed(names: t.Sequence[str], room: int) -> str:
    """Return as many names as there is room for, and how many more there are."""
    count = len(names)
    while count > 1 and len(", ".join(names[:count])) > room:
        count -= 1
    shown = ", ".join(names[:count])
    if len(shown) > room:
        shown = f"{shown[: room - 3]}..."
    return shown if count == len(names) else f"{shown} and {len(names) - count} more"


def _runs(keepers: ByName) -> t.Iterator[str]:
    """Yield what was archived, and where another run is under way. Failures, the rest of such a sentence, are told below."""
    archived = [*_with(keepers, "ran"), *_with(keepers, "holder")]
    for name, host in archived[:RUNS]:
        sentence = host["msg"].split("; ")[0] if host["failures"] else host["msg"]
        yield from fitted(f"{name}: {sentence}", LINES_OF_RUN)
    if len(archived) > RUNS:
        yield f"what {len(archived) - RUNS} more archived stands above"


def _with(hosts: ByName, key: str) -> list[tuple[str, Host]]:
    return [(name, host) for name, host in hosts.items() if host[key]]


def _failures(hosts: ByName) -> t.Iterator[str]:
    """Yield all failures with the names of their hosts; most of what the modules say begins with it."""
    for name, host in hosts.items():
        for failure in host["failures"]:
            yield failure if failure.startswith((f"{name}: ", f"{name} (")) else f"{name}: {failure}"


def fitted(sentence: Json, lines: int) -> list[str]:
    """Return a sentence on so many lines, cut between words.

    Its beginning stays, which says what is wrong, and its end, which says what to do.
    """
    whole = str(sentence).replace("\n", "; ")
    room = min(len(whole), lines * COLUMNS)
    found = _wrapped(whole)
    while len(found) > lines:
        room -= 1
        found = _wrapped(clipped(whole, room))
    return found


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, COLUMNS, initial_indent="", subsequent_indent=FOLLOWING)


def clipped(sentence: str, room: int) -> str:
    """Return the beginning and the end of a sentence in so many characters. Only what is one long word is cut inside of it."""
    if len(sentence) <= room:
        return sentence
    half = (room - len(GAP)) // 2
    head, tail = sentence[:half], sentence[-half:]
    if not sentence[half].isspace() and " " in head:
        head = head.rpartition(" ")[0]
    if not sentence[-half - 1].isspace() and " " in tail:
        tail = tail.partition(" ")[2]
    return f"{head.rstrip()}{GAP}{tail.lstrip()}"
