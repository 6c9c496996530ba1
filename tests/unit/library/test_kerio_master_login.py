# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_master_login: one attempt, three answers, nothing changed."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.mailops.kerio.plugins.doc_fragments.imap import ModuleDocFragment
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments
from ansible_collections.mailops.kerio.plugins.modules import kerio_master_login
from tests.unit.imap_script import OK_GREETING, PASSWORD, Expect, Peer, Step, serving
from tests.unit.module_utils.imap.certificates import Authority

DIGEST = hashlib.md5(b"challenge" + PASSWORD.encode(), usedforsecurity=False).hexdigest().encode()
ASKED: list[Step] = [OK_GREETING, Expect(b"X-MASTERAUTH", b"+ challenge\r\n")]
RIGHT: list[Step] = [*ASKED, Expect(DIGEST, b"{tag} OK X-MASTERAUTH Welcome to server, master\r\n", tagged=False)]
WRONG: list[Step] = [*ASKED, Expect(DIGEST, b"{tag} NO X-MASTERAUTH failed\r\n", tagged=False)]


class EndedError(Exception):
    """The module has ended with ``result``."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        super().__init__(result)
        self.result = result


def ends(failed: bool) -> t.Callable[..., None]:
    def end(_module: t.Any, **result: t.Any) -> None:
        raise EndedError({"failed": failed, **result})

    return end


def run_module(*, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    said: list[str] = []
    with (
        mock.patch.object(basic.AnsibleModule, "exit_json", ends(failed=False)),
        mock.patch.object(basic.AnsibleModule, "fail_json", ends(failed=True)),
        mock.patch.object(basic.AnsibleModule, "warn", lambda _module, text: said.append(text)),
        patch_module_args({"password": PASSWORD, "host": "localhost", **options, "_ansible_check_mode": check}),
        pytest.raises(EndedError) as ended,
    ):
        kerio_master_login.main()
    return {**ended.value.result, "warnings": said}


@pytest.mark.parametrize(
    ("steps", "answer", "words"),
    [
        (RIGHT, "right", "Welcome to server, master"),
        (WRONG, "wrong", "NO X-MASTERAUTH failed"),
        ([OK_GREETING, Expect(b"X-MASTERAUTH", b"{tag} BAD unknown\r\n")], "cannot_tell", "BAD unknown"),
    ],
)
@pytest.mark.shows("read")
def test_three_answers(tmp_path: Path, steps: list[Step], answer: str, words: str) -> None:
    authority = Authority(tmp_path)
    with serving([*steps, Peer.wait_for_close], context=authority.server_context()) as server:
        result = run_module(port=server.port, ca_file=str(authority.ca_file))
    assert (result["failed"], result["changed"], result["answer"]) == (False, False, answer)
    assert words in result["server_text"]
    assert result["warnings"] == []
    assert (result["mailbox_answer"], result["mailbox_text"]) == ("", "")
    assert result["source_address"] == "127.0.0.1"


@pytest.mark.shows("check")
def test_check_mode_asks_nobody_and_says_why() -> None:
    with serving([]) as server:
        result = run_module(check=True, port=server.port)
        assert not server.peers
        assert run_module(check=True, port=server.port, password="too-short-1")["failed"]
        run_module(port=server.port)
    assert (result["failed"], result["changed"], result["answer"]) == (False, False, "cannot_tell")
    assert result["server_text"].startswith("check mode does not try the master password, because a wrong attempt counts")
    assert (result["source_address"], result["mailbox_answer"]) == ("", "")


def test_mailbox_is_opened_and_a_missing_verification_is_told(tmp_path: Path) -> None:
    steps = [*RIGHT, Expect(b'X-SETUSER "alice@example.com"', b"{tag} OK X-SETUSER completed\r\n"), Peer.wait_for_close]
    with serving(steps, context=Authority(tmp_path).server_context()) as server:
        result = run_module(port=server.port, validate_certs=False, mailbox="alice@example.com")
    assert (result["answer"], result["mailbox_answer"], result["mailbox_text"]) == ("right", "opened", "X-SETUSER completed")
    assert len(result["warnings"]) == 1
    assert "is not verified" in result["warnings"][0]


@pytest.mark.parametrize("password", ["too-short-1", "not-a-secret-p\u00e4ssword", "not-a-secret\tpassword"])
@pytest.mark.shows("error")
def test_unfit_passwords_are_refused_before_the_server_is_asked(password: str) -> None:
    with serving([]) as server:
        result = run_module(port=server.port, password=password)
        assert result["failed"]
        assert result["error"]["kind"] == "input"
        assert password not in repr(result)
        assert not server.peers
        run_module(port=server.port)


def test_nothing_listens_and_no_tls_cannot_tell() -> None:
    with serving([]) as server:
        assert run_module(port=server.port)["answer"] == "cannot_tell"
    unreachable = run_module(port=server.port)
    assert "connection refused" in unreachable["server_text"]
    assert unreachable["answer"] == "cannot_tell"
    assert "without TLS" in run_module(port=server.port, access="IMAP")["server_text"]


@pytest.mark.parametrize(("access", "port"), [("IMAP", 143), ("IMAP-TLS", 143), ("IMAP-SSL", 993)])
def test_port_follows_access(access: str, port: int) -> None:
    params = {"host": "mail1.example.com", "port": None, "access": access, "ca_file": None, "validate_certs": True, "timeout": 60}
    assert arguments.endpoint(params).port == port


def test_documentation_and_argument_spec_agree() -> None:
    for name, spec in arguments.connection().items():
        documented = ModuleDocFragment.DOCUMENTATION.split(f"\n  {name}:\n")[1].split("\n  ", 1)[0]
        assert documented
        assert f"type: {spec['type']}" in ModuleDocFragment.DOCUMENTATION.split(f"\n  {name}:\n")[1]
