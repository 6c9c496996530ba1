# SPDX-License-Identifier: GPL-3.0-or-later
"""What TLS trusts, against a server whose authority has none of what the strict checks of Python 3.13 ask for."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import trust
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from tests.unit.module_utils.imap.certificates import Authority


def shaken(theirs: ssl.SSLContext, ours: ssl.SSLContext, name: str) -> str:
    """Shake hands over a pair of sockets; the name of the error, or nothing."""
    left, right = socket.socketpair()

    def answer() -> None:
        try:
            theirs.wrap_socket(right, server_side=True).close()
        except OSError:
            right.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with ours.wrap_socket(left, server_hostname=name):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        left.close()
        thread.join()


def test_the_authority_in_the_file_is_trusted_and_no_other(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    own, other = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    theirs = own.server_context()
    assert shaken(theirs, trust.context(str(own.ca_file)), "localhost") == ""
    assert "local issuer" in shaken(theirs, trust.context(str(other.ca_file)), "localhost")
    assert "mismatch" in shaken(theirs, trust.context(str(own.ca_file)), "mail1.example.com")
    assert shaken(theirs, trust.context(None, False), "mail1.example.com") == ""


def test_all_pythons_verify_alike() -> None:
    strictest = ssl.create_default_context()
    strictest.verify_flags |= ssl.VERIFY_X509_STRICT
    flags = trust.alike(strictest).verify_flags
    assert not flags & ssl.VERIFY_X509_STRICT
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def test_a_file_that_cannot_be_used_is_named_with_the_cause(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n", encoding="ascii")
    for path, cause in ((tmp_path / "absent.pem", "No such file or directory"), (empty, "it holds no certificate in PEM form")):
        with pytest.raises(InputError) as caught:
            trust.context(str(path), named="mail: ")
        assert str(caught.value).startswith(f"mail: ca_file {path}: {cause}")
