# SPDX-License-Identifier: GPL-3.0-or-later
"""Divides the bandwidth of each server among the connections that fetch from it."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import replace

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Hand
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import share


class Rates:
    """``fetching`` gives the server that a worker fetches from, None when it does not; ``tell`` changes a worker's rate.

    Whoever fetches gets the same share. The others give way before a new one begins, and take over what one leaves behind.
    """

    def __init__(self, fetching: t.Callable[[Hand], Server | None], tell: t.Callable[[Hand, int], None]) -> None:
        self._fetching = fetching
        self._tell = tell
        self._told: dict[Hand, int] = {}

    def paced(self, hand: Hand, order: Fetch, server: Server, hands: t.Iterable[Hand]) -> Fetch:
        """The order with the rate of one more connection to the server."""
        if not server.bandwidth:
            return order
        others = [other for other in hands if other is not hand and self._fetching(other) == server]
        rate = share(server.bandwidth, len(others) + 1)
        self._set(others, rate)
        self._told[hand] = rate
        return replace(order, rate=rate)

    def divide(self, hands: t.Iterable[Hand]) -> None:
        """Divide anew what was left behind by those who have ended."""
        by_server: dict[Server, list[Hand]] = defaultdict(list)
        for hand in hands:
            server = self._fetching(hand)
            if server is not None and server.bandwidth:
                by_server[server].append(hand)
        for server, fetching in by_server.items():
            self._set(fetching, share(server.bandwidth, len(fetching)))

    def _set(self, hands: t.Iterable[Hand], rate: int) -> None:
        for hand in hands:
            if self._told.get(hand) != rate:
                self._tell(hand, rate)
                self._told[hand] = rate
