# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_login: what the module returns, and that check mode and unfit values reach no server."""

from __future__ import annotations

import base64
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import archive_login
from tests.unit.imap_script import OK_GREETING, PASSWORD, Expect, Peer, Step, serving
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.imap.certificates import Authority

USER = "alice@example.com"


def run(**options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_login.main, **{"host": "localhost", "user": USER, "password": PASSWORD, **options})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def script(answer: bytes) -> list[Step]:
    secret = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
    return [
        OK_GREETING,
        Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN\r\n{tag} OK done\r\n"),
        Expect(b"AUTHENTICATE PLAIN", b"+ \r\n"),
        Expect(secret.replace(b"+", rb"\+"), answer, tagged=False),
        Peer.wait_for_close,
    ]


@pytest.mark.shows("read")
def test_all_that_is_returned(authority: Authority) -> None:
    scripts = script(b"{tag} OK done\r\n"), script(b"{tag} NO AUTHENTICATE failed\r\n")
    with serving(*scripts, context=authority.server_context()) as server:
        where = {"port": server.port, "ca_file": str(authority.ca_file), "test_md5": False}
        right, wrong = run(**where), run(**{**where, "validate_certs": False})
    same = {"changed": False, "failed": False, "mechanism": "PLAIN", "mechanisms": ["CRAM-MD5", "PLAIN"]}
    untried = {"md5_mechanism": "", "md5_answer": "", "md5_text": ""}
    accepted = {"success": True, "answer": "accepted", "server_text": "done", "cause": "", "remedy": "", "warnings": []}
    assert right == {**same, **untried, **accepted, "msg": f"localhost:{server.port}: the login of {USER} is accepted"}
    assert {**wrong, **same, **untried} == wrong
    assert (wrong["success"], wrong["answer"], wrong["server_text"]) == (False, "refused", "AUTHENTICATE failed")
    refused = f"localhost:{server.port}: the login of {USER} is refused: {wrong['cause']}. {wrong['remedy']}"
    assert wrong["msg"] == refused
    assert ["not verified" in text for text in wrong["warnings"]] == [True]


def test_the_digest_is_tried_unless_it_is_switched_off(authority: Authority) -> None:
    again: list[Step] = [*script(b"")[:2], Expect(b"AUTHENTICATE CRAM-MD5", b"{tag} NO not from there\r\n")]
    with serving(script(b"{tag} OK done\r\n"), again, context=authority.server_context()) as server:
        found = run(port=server.port, ca_file=str(authority.ca_file))
    assert (found["success"], found["md5_mechanism"], found["md5_answer"]) == (True, "CRAM-MD5", "cannot_tell")
    assert found["md5_text"] == "not from there"


@pytest.mark.shows("check")
def test_check_mode_asks_nobody_and_says_why() -> None:
    with serving([]) as server:
        result = run(check=True, port=server.port)
        assert run(check=True, port=server.port, password="")["failed"]
        assert not server.peers
        run(port=server.port)
    assert (result["failed"], result["changed"], result["answer"], result["success"]) == (False, False, "cannot_tell", False)
    assert (result["mechanism"], result["mechanisms"], result["server_text"]) == ("", [], "")
    assert result["cause"].startswith("check mode tries no login, because a wrong one would count")


@pytest.mark.shows("error")
def test_what_cannot_be_sent_is_an_error_of_one_sentence() -> None:
    for option, value in {"user": "a\r\nb", "password": "not-a-secret\0", "ca_file": "/does/not/exist.pem"}.items():
        result = run(**{option: value, "port": 1})
        assert (result["failed"], result["error"]["kind"]) == (True, "input")
        assert "not-a-secret" not in result["msg"]


def test_a_result_that_ansible_would_mask_is_refused() -> None:
    """What is offered here is no method that goes without TLS; the cause names those that would."""
    capabilities = Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n")
    with serving([OK_GREETING, capabilities, Peer.wait_for_close]) as server:
        result = run(port=server.port, access="IMAP", password="CRAM-MD5")
    assert (result["failed"], result["error"]["kind"]) == (True, "secret_in_result")
