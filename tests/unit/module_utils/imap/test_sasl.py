# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered to challenges: the examples of the RFCs, and texts that their examples do not have."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap import sasl

USER, PASSWORD = 'jörg:"the\\ blank"@example.com', '  pä"ss: \\wörd ☃ '


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def answers(name: str, *challenges: bytes, user: str = USER, password: str = PASSWORD) -> list[bytes]:
    steps = sasl.MECHANISMS[name].steps(user, password, "mail1.example.com")
    return [step(challenge) for step, challenge in zip(steps, challenges, strict=False)]


def test_plain_is_the_example_of_rfc_4616_and_carries_any_text() -> None:
    # Section 4 writes NUL as <NUL>.
    assert answers("PLAIN", b"", user="tim", password="tanstaaftanstaaf") == [b"\0tim\0tanstaaftanstaaf"]
    assert answers("PLAIN", b"whatever the server says") == [b"\0" + USER.encode() + b"\0" + PASSWORD.encode()]


def test_login_gives_name_and_password_in_turn_and_only_the_second_is_the_proof() -> None:
    assert answers("LOGIN", b"VXNlcm5hbWU6", b"not base64") == [USER.encode(), PASSWORD.encode()]
    assert {name: one.proof for name, one in sasl.MECHANISMS.items()} == {"PLAIN": 0, "LOGIN": 1, "CRAM-MD5": 0, "DIGEST-MD5": 0}


def test_cram_md5_is_the_example_of_rfc_2195() -> None:
    challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    (answer,) = answers("CRAM-MD5", challenge, user="tim", password="tanstaaftanstaaf")
    assert b64(answer) == b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"


def test_cram_md5_leaves_blanks_in_the_name_to_the_server() -> None:
    (answer,) = answers("CRAM-MD5", b64(b"<1@x>"))
    assert re.fullmatch(re.escape(USER.encode()) + rb" [0-9a-f]{32}", answer)
    assert PASSWORD.strip().encode() not in answer


NONCE = b"OA6MG9tEQGm2hh"
IMAP_CHALLENGE = b'realm="elwood.innosoft.com",nonce="' + NONCE + b'",qop="auth",algorithm=md5-sess,charset=utf-8'


def chris(password: str = "secret", user: str = "chris") -> sasl.DigestMd5:
    return sasl.DigestMd5(user, password, "elwood.innosoft.com", b"OA6MHXh6VqTrRk")


def test_digest_md5_is_the_example_of_rfc_2831() -> None:
    digest = chris()
    said = digest.answer(b64(IMAP_CHALLENGE))
    assert set(said.split(b",")) == {
        b"charset=utf-8",
        b'username="chris"',
        b'realm="elwood.innosoft.com"',
        b'nonce="OA6MG9tEQGm2hh"',
        b"nc=00000001",
        b'cnonce="OA6MHXh6VqTrRk"',
        b'digest-uri="imap/elwood.innosoft.com"',
        b"response=d388dad90d4bbd760a152321f2143af7",
        b"qop=auth",
    }
    assert digest.confirm(b64(b"rspauth=ea40f60335c427b5527b84dbabcdfffd")) == b""
    with pytest.raises(sasl.ChallengeError, match="prove"):
        digest.confirm(b64(b"rspauth=ea40f60335c427b5527b84dbabcdfffe"))


def response(challenge: bytes, user: str, password: str) -> bytes:
    said = chris(password, user).answer(b64(challenge))
    match = re.search(rb"response=([0-9a-f]{32})", said)
    assert match
    return match[1]


def expected(user: bytes, realm: bytes, password: bytes) -> bytes:
    """RFC 2831, section 2.1.2.1, written out."""

    def h(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    a1 = h(user + b":" + realm + b":" + password) + b":" + NONCE + b":OA6MHXh6VqTrRk"
    a2 = h(b"AUTHENTICATE:imap/elwood.innosoft.com").hex().encode()
    return h(h(a1).hex().encode() + b":" + NONCE + b":00000001:OA6MHXh6VqTrRk:auth:" + a2).hex().encode()


def test_digest_md5_hashes_in_iso_8859_1_what_has_a_form_in_it() -> None:
    realm = b"elwood.innosoft.com"
    latin, snow = "pä:ss", "pä☃"
    assert response(IMAP_CHALLENGE, "jörg", latin) == expected("jörg".encode("latin-1"), realm, latin.encode("latin-1"))
    assert response(IMAP_CHALLENGE, "jörg", snow) == expected("jörg".encode("latin-1"), realm, snow.encode())
    without = IMAP_CHALLENGE.replace(b",charset=utf-8", b"")
    assert response(without, "jörg", latin) == expected("jörg".encode("latin-1"), realm, latin.encode("latin-1"))
    with pytest.raises(sasl.ChallengeError, match="charset=utf-8"):
        response(without, "jörg", snow)


@pytest.mark.parametrize(
    ("realms", "chosen"),
    [
        ((), b""),
        ((b"first", b"second"), b"first"),
        ((b"other", b"Example.COM"), b"Example.COM"),
        ((rb"a \"quoted\\ one",), rb"a \"quoted\\ one"),
    ],
)
def test_digest_md5_chooses_the_realm_of_the_users_domain(realms: tuple[bytes, ...], chosen: bytes) -> None:
    listed = b"".join(b'realm="%s",' % realm for realm in realms)
    challenge = b", " + listed + b' nonce="n,\\"=" , algorithm=md5-sess , '
    said = chris(user='al"ice@example.com').answer(b64(challenge))
    assert b'realm="%s",nonce="n,\\"=",' % chosen in said
    assert b'username="al\\"ice@example.com"' in said


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (b"%%%", "not base64"),
        (b64(b"<1234@host>"), "not a list"),
        (b64(b"algorithm=md5-sess"), "one nonce, not 0"),
        (b64(b'nonce="a",nonce="b",algorithm=md5-sess'), "one nonce, not 2"),
        (b64(b'nonce="a"'), "one algorithm"),
        (b64(b'nonce="a",algorithm=md5'), "md5-sess"),
        (b64(b'nonce="a",algorithm=md5-sess,qop="auth-int,auth-conf"'), "qop"),
        (b64(b'nonce="a'), "not a list"),
    ],
)
def test_digest_md5_says_why_a_challenge_cannot_be_answered(challenge: bytes, words: str) -> None:
    with pytest.raises(sasl.ChallengeError, match=words):
        answers("DIGEST-MD5", challenge)


def test_digest_md5_makes_a_cnonce_of_its_own_each_time() -> None:
    said = {answers("DIGEST-MD5", b64(IMAP_CHALLENGE))[0] for _time in range(2)}
    assert len(said) == 2
