# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that do not serve: one that is silent, and one on which no connection comes about."""

from __future__ import annotations

import contextlib
import socket
import typing as t

from tests.lab.ports import HOST


@contextlib.contextmanager
def listening(backlog: int = 16) -> t.Iterator[int]:
    """Listen, and never accept: the kernel takes connections until the backlog is full, and nobody answers."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(backlog)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def overrun() -> t.Iterator[int]:
    """Listen with a full backlog: Linux drops further requests, so that a connection is neither made nor refused."""
    with listening(backlog=0) as port, contextlib.ExitStack() as stack:
        while _connects(stack.enter_context(socket.socket()), port):
            pass
        yield port


def _connects(client: socket.socket, port: int) -> bool:
    client.settimeout(0.3)
    try:
        client.connect((HOST, port))
    except TimeoutError:
        return False
    return True
