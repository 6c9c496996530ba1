# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the administration and the date that it answers with, over real TLS on loopback."""

from __future__ import annotations

import email.utils
import time
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.preflight_certificate import greet
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import days_left
from tests.unit.dripping import LIMIT, MANY, Drip, drops
from tests.unit.imap_script import Peer, Step, serving
from tests.unit.module_utils.imap.certificates import Authority


def page(ahead: float | None) -> list[Step]:
    """A server that answers with a date that is so many seconds ahead, or with none."""

    def answer(peer: Peer) -> None:
        while peer.line():
            pass
        date = b"" if ahead is None else b"Date: " + email.utils.formatdate(time.time() + ahead, usegmt=True).encode() + b"\r\n"
        peer.send(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + date + b"\r\n")

    return [answer]


def test_a_trusted_certificate_and_a_clock_that_is_ahead_or_behind_or_not_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(page(3600), page(-3600), page(None), context=authority.server_context()) as server:
        found = [greet("localhost", server.port, str(authority.ca_file), 5) for _ in range(3)]
    assert [one.refusal for one in found] == ["", "", ""]
    assert [round(one.days or 0) for one in found] == [30, 30, 30]
    assert [one.ahead and round(one.ahead / 60) for one in found] == [60, -60, None]


def test_a_certificate_that_is_not_trusted_keeps_nobody_from_reading_the_clock(tmp_path: Path) -> None:
    with serving([Peer.wait_for_close], page(3600), context=Authority(tmp_path).server_context()) as server:
        found = greet("localhost", server.port, None, 5)
    assert found.days is None
    assert "certificate" in found.refusal
    assert found.ahead is not None
    assert round(found.ahead / 60) == 60


def test_a_trusted_server_that_does_not_answer_has_shown_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving([Peer.wait_for_close], context=authority.server_context()) as server:
        found = greet("localhost", server.port, str(authority.ca_file), 0.5)
    assert (round(found.days or 0), found.refusal, found.failure, found.ahead) == (30, "", "", None)


def test_an_answer_by_drops_is_given_up_when_its_time_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, drip = Authority(tmp_path), Drip(monkeypatch, drops(b"HTTP/1.1 302 " + b"x" * MANY))
    with serving([lambda peer: drip.send(peer.send)], context=authority.server_context()) as server:
        found = greet("localhost", server.port, str(authority.ca_file), LIMIT)
    assert drip.was_cut()
    assert (round(found.days or 0), found.refusal, found.failure, found.ahead) == (30, "", "", None)


def test_a_port_on_which_nobody_listens_and_a_file_that_is_none() -> None:
    with serving([]) as server:
        greet("localhost", server.port, None, 5)
    gone = greet("127.0.0.1", server.port, None, 5)
    assert "refused" in gone.failure
    assert gone.refusal == ""
    with pytest.raises(InputError, match=r"ca_file /does/not/exist\.pem: No such file"):
        greet("localhost", 1, "/does/not/exist.pem", 5)


def test_days_are_those_to_the_end() -> None:
    end = email.utils.formatdate(time.time() + 86400 * 10, usegmt=True)
    words = end.split()
    assert round(days_left({"notAfter": f"{words[2]} {words[1]} {words[4]} {words[3]} GMT"}) or 0) == 10
    assert days_left({}) is None
