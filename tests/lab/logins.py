# SPDX-License-Identifier: GPL-3.0-or-later
"""Which logins reached a server: every attempt with a password over IMAP and the admin API, and every refused X-MASTERAUTH.

Each is a line of <server>/kerio/lab-calls.jsonl: {"event": "login", "time", "service", "name", "client", "outcome", "account",
"cause", "method", "application"}.
- `service`: imap (143 and 993 alike) or admin. `client`: the source address. `name`: as the client gave it.
- `account`: the address in lower case if somebody is called so, else the name in lower case: what the lockout counts under.
- `outcome`: ok, failed (counted), locked, blocked, foreign (right, but another server is the home).
- `cause`: "", unknown, disabled, password, method (an MD5 method and a password that is stored as SHA or in a directory),
  locked, blocked, foreign. `method` (IMAP): LOGIN, PLAIN, CRAM-MD5, DIGEST-MD5, X-MASTERAUTH.

Not there, because nobody was asked: what the security policy refuses, connections of a blocked address, X-SETUSER. These are
in <server>/imap-logins.jsonl (see imap_front.py), where "tls" also tells whether a password crossed a bare connection, and in
<server>/kerio/store/logs/security.log, where anti-hammering speaks as Kerio does:

    IMAP: AntiHammering - IP address 127.0.0.2 will be blocked for 5 minutes, too many failed logins from this IP address.
    IMAP: AntiHammering: connection from IP address 127.0.0.2 is blocked

By hand: `python -m tests.lab logins --dir build/lab`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.lab import state_record

KEYS = ("service", "account", "client", "outcome", "cause")


def attempts(install: Path, **wanted: str) -> list[dict[str, Any]]:
    """The attempts in order; `wanted` are members with their values, e.g. account="alice@example.com", outcome="failed"."""
    found = state_record.events(install / "lab-calls.jsonl", "login")
    return [one for one in found if all(one.get(member) == value for member, value in wanted.items())]


def counts(install: Path) -> Counter[tuple[str, ...]]:
    """How often what happened, by KEYS."""
    return Counter(tuple(one[key] for key in KEYS) for one in attempts(install))


def table(install: Path) -> list[str]:
    """The counts as lines of text."""
    rows = sorted(counts(install).items())
    return [f"{number:>6}  {'  '.join(part or '-' for part in key)}" for key, number in rows]
