# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports are chosen when a server is made and bound when it starts: until then nobody else may get them."""

from __future__ import annotations

import socket
import types

import pytest

from tests.lab import ports


def test_ports_001_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(21_000, 21_100))
    monkeypatch.setattr(ports, "_given", set())
    given = [port for _ in range(15) for port in ports.free(4)]
    assert len(given) == len(set(given)) == 60


def test_ports_002_no_port_is_one_that_an_outgoing_connection_may_get() -> None:
    assert all(port < 32_768 for port in ports.free(50))


def test_ports_003_a_port_in_use_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    (wanted,) = ports.free(1)
    with socket.socket() as taken:
        taken.bind((ports.HOST, 0))
        drawn = iter([taken.getsockname()[1], wanted])
        monkeypatch.setattr(ports, "_RANDOM", types.SimpleNamespace(choice=lambda _: next(drawn)))
        monkeypatch.setattr(ports, "_given", set())
        assert ports.free(1) == [wanted]
