# SPDX-License-Identifier: GPL-3.0-or-later
"""Account lockout and anti-hammering (sheet 2.9).

An account is locked for every service after so many wrong passwords in a row. An address is blocked after so many failures
within a minute, for the service that it failed at (support.gfi.com, article 110122); `hammering_scope` and `hammering_window`
are the other readings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.lab.switches import Switches

Clock = Callable[[], float]


class Counter:
    """Failures per key; at the limit the key is closed for so many minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, list[float]] = {}
        self._closed_until: dict[str, float] = {}

    def closed(self, key: str) -> bool:
        return self._clock() < self._closed_until.get(key, 0.0)

    def count(self, key: str) -> int:
        """Failures since the last success or closing, old ones included."""
        return len(self._failures.get(key, []))

    def fail(self, key: str, limit: int, minutes: int, window: float = 0.0) -> bool:
        """Count; True if that closed the key. `window`: seconds after which a failure is forgotten; 0 = never."""
        now = self._clock()
        recent = [when for when in self._failures.get(key, []) if not window or now - when < window]
        self._failures[key] = [*recent, now]
        if not 0 < limit <= len(self._failures[key]):
            return False
        self._closed_until[key] = now + 60 * minutes
        del self._failures[key]
        return True

    def reset(self, key: str) -> None:
        self._failures.pop(key, None)

    def open_all(self) -> None:
        self._failures.clear()
        self._closed_until.clear()


class Guard:
    """`policy()` is SecurityPolicy by API shape; `in_group(id, ip)` knows the exceptions."""

    def __init__(
        self,
        policy: Callable[[], dict[str, Any]],
        in_group: Callable[[str, str], bool],
        how: Callable[[], Switches] = Switches,
        clock: Clock = time.monotonic,
    ) -> None:
        self._policy = policy
        self._in_group = in_group
        self._how = how
        self.accounts = Counter(clock)
        self.addresses = Counter(clock)

    def _excepted(self, ip: str) -> bool:
        group = self._policy()["antiHammering"]["exceptionIpGroup"]
        return bool(group["enabled"] and self._in_group(group["id"], ip))

    def place(self, ip: str, service: str) -> str:
        """Under what the failures of an address are counted."""
        return ip if self._how().hammering_scope == "server" else f"{ip} {service}"

    def blocked(self, ip: str, service: str) -> bool:
        is_on = self._policy()["antiHammering"]["isEnabled"]
        return is_on and self.addresses.closed(self.place(ip, service)) and not self._excepted(ip)

    def locked(self, account: str) -> bool:
        return self._policy()["enableLockout"] and self.accounts.closed(account)

    def failed(self, account: str, ip: str, service: str) -> bool:
        """Count a failure; an empty account counts for the address alone. True if the address is blocked from now on."""
        policy = self._policy()
        if policy["enableLockout"] and account:
            self.accounts.fail(account, policy["failedLoginsToLock"], policy["minutesToUnlock"])
        hammering = policy["antiHammering"]
        if not hammering["isEnabled"] or self._excepted(ip):
            return False
        limits = hammering["failedLoginsToBlock"], hammering["minutesToBlock"]
        return self.addresses.fail(self.place(ip, service), *limits, self._how().hammering_window)

    def succeeded(self, account: str, ip: str, service: str) -> None:
        """What a success takes back is unknown but for "consecutive" failures of an account (switch)."""
        if self._how().success_resets in ("account", "both"):
            self.accounts.reset(account)
        if self._how().success_resets == "both":
            self.addresses.reset(self.place(ip, service))

    def unlock_all(self) -> None:
        self.accounts.open_all()
