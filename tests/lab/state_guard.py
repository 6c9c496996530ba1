# SPDX-License-Identifier: GPL-3.0-or-later
"""Account lockout and anti-hammering (sheet 2.9), counted across admin API, IMAP and SMTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Clock = Callable[[], float]


class Counter:
    """Failures per key; at the limit the key is closed for so many minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.failures: dict[str, int] = {}
        self._closed_until: dict[str, float] = {}

    def closed(self, key: str) -> bool:
        return self._clock() < self._closed_until.get(key, 0.0)

    def fail(self, key: str, limit: int, minutes: int) -> None:
        self.failures[key] = self.failures.get(key, 0) + 1
        if limit > 0 and self.failures[key] >= limit:
            self._closed_until[key] = self._clock() + 60 * minutes
            self.failures[key] = 0

    def reset(self, key: str) -> None:
        self.failures.pop(key, None)

    def open_all(self) -> None:
        self.failures.clear()
        self._closed_until.clear()


class Guard:
    """`policy()` is SecurityPolicy by API shape; `in_group(id, ip)` knows the exceptions."""

    def __init__(
        self,
        policy: Callable[[], dict[str, Any]],
        in_group: Callable[[str, str], bool],
        clock: Clock = time.monotonic,
    ) -> None:
        self._policy = policy
        self._in_group = in_group
        self.accounts = Counter(clock)
        self.addresses = Counter(clock)

    def _excepted(self, ip: str) -> bool:
        group = self._policy()["antiHammering"]["exceptionIpGroup"]
        return bool(group["enabled"] and self._in_group(group["id"], ip))

    def blocked(self, ip: str) -> bool:
        return self._policy()["antiHammering"]["isEnabled"] and self.addresses.closed(ip) and not self._excepted(ip)

    def locked(self, account: str) -> bool:
        return self._policy()["enableLockout"] and self.accounts.closed(account)

    def refuses(self, account: str, ip: str) -> bool:
        return self.blocked(ip) or self.locked(account)

    def failed(self, account: str, ip: str) -> None:
        """Count a failure; an empty account counts for the address alone."""
        policy = self._policy()
        if policy["enableLockout"] and account:
            self.accounts.fail(account, policy["failedLoginsToLock"], policy["minutesToUnlock"])
        hammering = policy["antiHammering"]
        if hammering["isEnabled"] and not self._excepted(ip):
            self.addresses.fail(ip, hammering["failedLoginsToBlock"], hammering["minutesToBlock"])

    def succeeded(self, account: str) -> None:
        self.accounts.reset(account)

    def unlock_all(self) -> None:
        self.accounts.open_all()
