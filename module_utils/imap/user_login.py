# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests the login of one user, with as few wrong attempts as can be, because a server counts them (lockout, anti-hammering).

Over TLS the password itself goes first, and a method that sends an MD5 digest only after that was accepted:

    password, and how the server stores it      password first       digest first
    right, readable                             0 wrong of 2         0 wrong of 1
    right, as SHA or in a directory             1 wrong of 2         1 wrong of 2
    wrong                                       1 wrong of 1         2 wrong of 2

Without TLS only a digest goes out.
"""

from __future__ import annotations

import base64
import contextlib
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    InputError,
    LoginRefusedError,
    NetworkError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.greeting import capabilities, open_reader
from ansible_collections.mailops.kerio.plugins.module_utils.imap.login import Dialogue, hide, refuse_unusable
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Reader

Answer = t.Literal["accepted", "refused", "cannot_tell"]

COMMAND = "LOGIN command"
# What sends the password itself, then what sends a digest of it; each in the order of preference.
CLEAR = ("PLAIN", COMMAND, "LOGIN")
DIGESTS = ("CRAM-MD5", "DIGEST-MD5")

_NAME = re.compile(r"AUTH=([A-Z0-9_-]{1,20})")  # RFC 4422, section 3.1
_TOLD = re.compile(r"\A\[CAPABILITY [^\]]*(?:\] ?|\Z)")  # Dovecot says so much of it that nothing else is left
_CODE = re.compile(r"\[([A-Z-]+)[\] ]")


@dataclass(frozen=True)
class Verdict:
    """What an attempt came to; ``cause`` and ``remedy`` are empty when there is nothing to do."""

    answer: Answer
    cause: str = ""
    remedy: str = ""


ACCEPTED = Verdict("accepted")
WRONG = Verdict(
    "refused",
    "the server refuses user name and password",
    "Check both, that the account is neither disabled nor locked, and that it is at home on this server if the domain is "
    "distributed; the server's security log may say which it is",
)
REFUSED_DIGEST = Verdict(
    "refused",
    "the server refuses the login by a digest of the password: either user name or password is wrong, or the password is right "
    "and of a directory or stored as SHA, so that the server cannot check a digest of it",
    "Set access to IMAP-SSL or IMAP-TLS and switch PLAIN on in authentication_methods of kerio_security_policy, so that the "
    "password itself can be tried",
)
NOT_OVER_PLAIN_TEXT = Verdict(
    "cannot_tell",
    "no password is sent without TLS, and the server offers no method that sends only a digest of it (CRAM-MD5, DIGEST-MD5)",
    "Set access to IMAP-SSL or IMAP-TLS",
)
NO_METHOD = Verdict(
    "cannot_tell",
    "the server allows no LOGIN (LOGINDISABLED) and offers no method that this test has (PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5)",
    "Switch PLAIN on in authentication_methods of kerio_security_policy",
)
DIGEST_NOT_OFFERED = Verdict("cannot_tell", "the server does not offer the method to a second connection", "Run the test again")
NOT_NOW = Verdict(
    "cannot_tell",
    "the server did not judge the password, because it cannot or does not want to at the moment",
    "Check what the server relies on, such as its directory, or the mail server that an archive asks; then run again",
)
# Response codes of RFC 5530 in a NO; one that is not here says no more than NO itself.
CODES = {
    "AUTHORIZATIONFAILED": Verdict(
        "refused", "the server knows the password, but does not let this user in", "Check what this account is allowed to do"
    ),
    "EXPIRED": Verdict("refused", "the server says that the password has expired", "Let the user choose a new password"),
    "PRIVACYREQUIRED": Verdict("cannot_tell", "the server takes no login without TLS", "Set access to IMAP-SSL or IMAP-TLS"),
    **dict.fromkeys(("UNAVAILABLE", "SERVERBUG", "INUSE", "LIMIT"), NOT_NOW),
}

WEAK = (
    "{}: the login was tried by {} without TLS, which is weak: whoever listens can guess the password from it without asking the "
    "server. Set access to IMAP-SSL or IMAP-TLS"
)
NOT_TRIED = Verdict(
    "cannot_tell",
    "check mode tries no login, because a wrong one would count against the account and this host",
    "Run it without check mode",
)
OTHERS_FAIL = Verdict(
    "accepted",
    "the server accepts the password by {clear} over TLS but refuses it by {digest}, which it offers as well, as it does when "
    "users are of a directory or passwords are stored as SHA; programs that choose {digest} cannot log in",
    "Set CRAM-MD5 and DIGEST-MD5 to false in authentication_methods of kerio_security_policy",
)
COUNTED = "This test made one failed attempt"
SAYS: dict[Answer, str] = {
    "accepted": "{}: the login of {} is accepted",
    "refused": "{}: the login of {} is refused",
    "cannot_tell": "{}: whether {} can log in cannot be told",
}


@dataclass(frozen=True)
class Attempt:
    """One connection. ``mechanism`` is empty when nothing was tried; ``offered`` are the SASL mechanisms of the server."""

    verdict: Verdict
    mechanism: str = ""
    server_text: str = ""
    offered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """``first`` judges the login. ``digest`` is the attempt by a digest that followed it, if any."""

    verdict: Verdict
    first: Attempt
    digest: Attempt | None = None
    warnings: list[str] = field(default_factory=list)

    def data(self) -> dict[str, t.Any]:
        """Return the module's own return values."""
        return {
            "success": self.verdict.answer == "accepted",
            "answer": self.verdict.answer,
            "server_text": self.first.server_text,
            "mechanism": self.first.mechanism,
            "mechanisms": list(self.first.offered),
            "cause": self.verdict.cause,
            "remedy": self.verdict.remedy,
            "md5_mechanism": self.digest.mechanism if self.digest else "",
            "md5_answer": self.digest.verdict.answer if self.digest else "",
            "md5_text": (self.digest.server_text or self.digest.verdict.cause) if self.digest else "",
        }

    def sentence(self, endpoint: Endpoint, user: str) -> str:
        """Return what became of it."""
        said = SAYS[self.verdict.answer].format(endpoint.label, user)
        return said if self.verdict.answer == "accepted" else f"{said}: {self.verdict.cause}. {self.verdict.remedy}"


Choice = t.Callable[[frozenset[str], bool], "str | Verdict"]


def try_login(endpoint: Endpoint, user: str, password: str, *, try_digest: bool = True) -> Found:
    """Ask the server whether it lets the user in: once, and once more by a digest if it did, offers one, and ``try_digest``.

    Raises InputError for what cannot be sent and for a ``ca_file`` that cannot be used.
    """
    credentials = Credentials(user, password)
    refuse_unfit(endpoint, credentials)
    first = _attempt(endpoint, credentials, choose)
    if first.mechanism in DIGESTS:
        # A refused digest proves nothing about the password.
        verdict = replace(first.verdict, answer="cannot_tell") if first.verdict is REFUSED_DIGEST else first.verdict
        weak = [WEAK.format(endpoint.label, first.mechanism)] if endpoint.access is Access.IMAP else []
        return Found(verdict, first, warnings=weak)
    if first.verdict is not ACCEPTED or not try_digest or not set(DIGESTS) & set(first.offered):
        return Found(first.verdict, first)
    digest = _attempt(endpoint, credentials, choose_digest)
    if digest.verdict is not REFUSED_DIGEST:
        return Found(ACCEPTED, first, digest)
    words = {"clear": first.mechanism, "digest": digest.mechanism}
    verdict = replace(OTHERS_FAIL, cause=OTHERS_FAIL.cause.format(**words))
    return Found(verdict, first, digest, [f"{endpoint.label}: {verdict.cause}. {verdict.remedy}. {COUNTED}"])


def untried(endpoint: Endpoint, user: str, password: str) -> Found:
    """Return what check mode tells; raises as ``try_login`` does for what cannot be sent."""
    refuse_unfit(endpoint, Credentials(user, password))
    return Found(NOT_TRIED, Attempt(NOT_TRIED))


def refuse_unfit(endpoint: Endpoint, credentials: Credentials) -> None:
    """Raise InputError for a user name or password that no mechanism can carry."""
    refuse_unusable(endpoint, credentials)
    for name, value in (("user", credentials.user), ("password", credentials.password)):
        if not value:
            raise InputError(name, "it is empty, and the server is not asked", f"Give the {name} of an account")
        if value.encode(errors="replace").decode() != value:
            raise InputError(name, "it is not valid UTF-8", f"Write the {name} in UTF-8")


def names(offered: frozenset[str]) -> tuple[str, ...]:
    """Return the SASL mechanisms among the capabilities."""
    return tuple(sorted(match[1] for capability in offered if (match := _NAME.fullmatch(capability))))


def choose(offered: frozenset[str], encrypted: bool) -> str | Verdict:
    """Return what is tried first with a server of these capabilities, or why nothing is."""
    known = {*names(offered), *([] if "LOGINDISABLED" in offered else [COMMAND])}
    possible = [name for name in (*(CLEAR if encrypted else ()), *DIGESTS) if name in known]
    return possible[0] if possible else NO_METHOD if encrypted else NOT_OVER_PLAIN_TEXT


def choose_digest(offered: frozenset[str], _encrypted: bool) -> str | Verdict:
    """Return the digest that is tried after the password itself was accepted."""
    return next((name for name in DIGESTS if name in names(offered)), DIGEST_NOT_OFFERED)


def _attempt(endpoint: Endpoint, credentials: Credentials, choice: Choice) -> Attempt:
    """Connect, try what ``choice`` says, and close."""
    try:
        reader = open_reader(endpoint)
    except InputError:
        raise
    except ArchiveToolError as error:
        return unheard(error, credentials)
    try:
        return _on(reader, endpoint, credentials, choice)
    finally:
        reader.wire.close()


def _on(reader: Reader, endpoint: Endpoint, credentials: Credentials, choice: Choice) -> Attempt:
    try:
        offered = capabilities(reader)
    except ArchiveToolError as error:
        return unheard(error, credentials)
    chosen = choice(offered, reader.wire.encrypted)
    if isinstance(chosen, Verdict):
        return Attempt(chosen, offered=names(offered))
    return replace(_log_in(reader, endpoint, credentials, chosen), offered=names(offered))


def _log_in(reader: Reader, endpoint: Endpoint, credentials: Credentials, mechanism: str) -> Attempt:
    dialogue = Dialogue(reader, credentials.password)
    try:
        if mechanism == COMMAND:
            words = dialogue.login(credentials.user)
        else:
            words = dialogue.authenticate(mechanism, credentials.user, endpoint.host)
    except LoginRefusedError as error:
        return Attempt(judge(error, mechanism), mechanism, str(error.details["server_text"]))
    except ArchiveToolError as error:
        return unheard(error, credentials, mechanism)
    with contextlib.suppress(NetworkError):
        reader.send(b"LOGOUT")
    return Attempt(ACCEPTED, mechanism, _TOLD.sub("", words))


def judge(error: LoginRefusedError, mechanism: str) -> Verdict:
    """Return what a refusal says about user name and password: something only when it is a NO that came after them."""
    answer, words = error.details["answer"], error.details["server_text"]
    if answer == "NO" and error.details["digest_sent"]:
        code = _CODE.match(words)
        return CODES.get(code[1] if code else "", REFUSED_DIGEST if mechanism in DIGESTS else WRONG)
    when = "when it had the password" if error.details["digest_sent"] else "before it had the password"
    if answer in ("BYE", "closed"):
        cause = f"the server hung up {when}: {words}"
        return Verdict("cannot_tell", cause, "Check its security log: it may have blocked this host's address")
    cause = f"the server answered {mechanism} with {answer} {when}: {words}"
    return Verdict("cannot_tell", cause, "Check which authentication methods the server allows, and its log")


def unheard(error: ArchiveToolError, credentials: Credentials, mechanism: str = "") -> Attempt:
    """Return what kept the server from answering; a second connection may be told what went over the first."""
    password = credentials.password
    encoded = [base64.b64encode(text.encode()).decode() for text in (password, f"\0{credentials.user}\0{password}")]
    secrets = [password, " ".join(password.split()), *encoded]
    verdict = Verdict("cannot_tell", hide(error.cause, secrets), error.remedy)
    return Attempt(verdict, mechanism, hide(str(error.details.get("server_text", "")), secrets))
