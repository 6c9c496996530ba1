# SPDX-License-Identifier: GPL-3.0-or-later
"""LOGIN, AUTHENTICATE, and Kerio's X-MASTERAUTH with X-SETUSER (vendor article 360015186620)."""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    InputError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap import sasl
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.greeting import capabilities, open_reader
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import (
    Reader,
    Result,
    tagged_result,
    told_capabilities,
)

_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")

HIDDEN = "***"
CUT = "..."  # how ``response.clean`` ends what is too long
LONGEST_SHOWN = 2  # characters of a secret's beginning, which may be any word's end

CREDENTIALS = "Check user name and password; the server may also have locked the account or blocked this host's address"
REFUSED = {
    "LOGIN": CREDENTIALS,
    "AUTHENTICATE": CREDENTIALS,
    "X-MASTERAUTH": "Check the password, and that the IP group of master authentication admits this host",
    "X-SETUSER": "Check that this mailbox exists on this server",
}


@dataclass(frozen=True)
class MasterAnswer:
    """What the server says about a master password.

    ``answer`` is "wrong" only after a tagged NO to the digest. ``mailbox`` is None unless a mailbox was asked for and the
    password is right; ``mailbox_text`` are the server's words on it. ``source_address`` is the local address of the connection,
    empty if none was made: the address that the server's IP address group must admit, unless it is translated on the way.
    """

    answer: t.Literal["right", "wrong", "cannot_tell"]
    text: str
    mailbox: t.Literal["opened", "refused"] | None = None
    mailbox_text: str = ""
    source_address: str = ""


class Dialogue:
    """The commands of one login; no text that leaves it contains a password, whatever the server echoes.

    ``proof_sent``: the server has the password, or a digest of it; what it said before is no judgement of it.
    """

    def __init__(self, reader: Reader, password: str) -> None:
        self._reader = reader
        self._password = password
        # The server's words come with their blanks made single.
        self._hidden = [password, " ".join(password.split())]
        self.proof_sent = False

    def login(self, user: str) -> str:
        """LOGIN; what cannot be quoted goes as a literal, for which the server must ask. Return the server's words."""
        return self._expect("LOGIN", lambda: self._ask(b"LOGIN", user, self._password)).text

    def authenticate(self, name: str, user: str, host: str) -> str:
        """AUTHENTICATE by one of ``sasl.MECHANISMS``; return the server's words.

        The password is not part of the command, so that a server which does not have the mechanism never sees it.
        """
        return self._expect("AUTHENTICATE", lambda: self._ask_authenticate(name, user, host)).text

    def masterauth(self) -> str:
        """X-MASTERAUTH; return the server's words."""
        return self._expect("X-MASTERAUTH", self._ask_masterauth).text

    def setuser(self, user: str) -> str:
        """X-SETUSER; return the server's words."""
        name = user.replace("\\", "\\\\").replace('"', '\\"').encode()
        self._reader.capabilities = frozenset()  # the mailbox may have others
        return self._expect("X-SETUSER", lambda: self._reader.run([b'X-SETUSER "%s"' % name])[0]).text

    def _ask_masterauth(self) -> Result:
        tag = self._reader.send(b"X-MASTERAUTH")
        challenge = self._wait(tag)
        if isinstance(challenge, Result):
            return challenge
        # The digest is the protocol's; it protects nothing that TLS does not protect.
        digest = hashlib.md5(challenge + self._password.encode("ascii"), usedforsecurity=False).hexdigest()
        self._hidden.append(digest)
        self.proof_sent = True
        self._reader.wire.send(digest.encode() + b"\r\n")
        return self._until_tagged(tag)

    def _ask_authenticate(self, name: str, user: str, host: str) -> Result:
        mechanism = sasl.MECHANISMS[name]
        tag = self._reader.send(b"AUTHENTICATE " + name.encode())
        for number, step in enumerate(mechanism.steps(user, self._password, host)):
            challenge = self._wait(tag)
            if isinstance(challenge, Result):
                return challenge
            try:
                answer = base64.b64encode(step(challenge))
            except sasl.ChallengeError as error:
                self._reader.wire.send(b"*\r\n")
                cause = f"the server's challenge cannot be answered by {name}: {error}"
                raise ProtocolError(self._reader.wire.label, cause, "Check who answers on this port") from None
            self._hidden.append(answer.decode())
            self.proof_sent = self.proof_sent or number >= mechanism.proof
            self._reader.wire.send(answer + b"\r\n")
        return self._until_tagged(tag)

    def _ask(self, name: bytes, *arguments: str) -> Result:
        tag = self._reader.new_tag()
        line = tag + b" " + name
        for argument in arguments:
            if _QUOTABLE.fullmatch(argument):
                line += b' "%s"' % argument.encode()
                continue
            data = argument.encode()
            self._reader.wire.send(line + b" {%d}\r\n" % len(data))
            answer = self._wait(tag)
            if isinstance(answer, Result):
                return answer
            line = data
        self.proof_sent = True  # the password comes last
        self._reader.wire.send(line + b"\r\n")
        return self._until_tagged(tag)

    def _wait(self, tag: bytes) -> bytes | Result:
        """Return what the server says behind "+", or the tagged answer."""
        guard = self._reader.guard(times=1)  # there is nothing that a server could be long at work on
        while True:
            response = self._reader.next()
            guard.count(self._reader.taken)
            if response.continuation:
                return response.text()[1:].strip()
            tagged = tagged_result(response)
            if tagged is not None and tagged[0] == tag:
                self._reader.capabilities = told_capabilities(response.text())
                return tagged[1]

    def _until_tagged(self, tag: bytes) -> Result:
        answer = self._wait(tag)
        return answer if isinstance(answer, Result) else Result("BAD", "the server asked for more than the protocol has")

    def _expect(self, stage: str, ask: t.Callable[[], Result]) -> Result:
        """Return the OK answer; anything else is LoginRefusedError.

        A time-out is NetworkError, and so is a connection that is dropped before it asked for the master password. An OK that
        came before the password was sent is ProtocolError.
        """
        wire = self._reader.wire
        try:
            result = ask()
        except NetworkError as error:
            if wire.lost != "closed":
                raise
            if stage == "X-MASTERAUTH" and not self.proof_sent and not wire.bye:
                words = f"{error.cause}, before it asked for the master password"
                raise NetworkError(wire.label, words, REFUSED[stage], stage=stage) from None
            raise self._refused(stage, "BYE" if wire.bye else "closed", wire.bye or error.cause) from None
        words = self._hide(result.text)
        if not result.ok:
            raise self._refused(stage, result.status, words)
        if not self.proof_sent:
            cause = f"the server said OK to {stage} before it had the password: {words}"
            raise ProtocolError(wire.label, cause, "Check who answers on this port")
        return Result("OK", words)

    def _refused(self, stage: str, answer: str, words: str) -> LoginRefusedError:
        words = self._hide(words)
        said = f"{answer} {words}" if answer != "closed" else words
        cause = f"the server refused {stage}: {said}"
        details = {"stage": stage, "answer": answer, "server_text": words, "digest_sent": self.proof_sent}
        return LoginRefusedError(self._reader.wire.label, cause, REFUSED[stage], **details)

    def _hide(self, words: str) -> str:
        return hide(words, self._hidden)


def hide(words: str, secrets: t.Iterable[str]) -> str:
    """Return a server's words without any of ``secrets``, nor the beginning of one at which long words were cut."""
    for secret in filter(None, secrets):
        words = words.replace(secret, HIDDEN)
        begun = words.removesuffix(CUT)
        if begun != words:
            sizes = range(len(secret) - 1, LONGEST_SHOWN, -1)
            size = next((size for size in sizes if begun.endswith(secret[:size])), 0)
            words = begun[: len(begun) - size] + (HIDDEN if size else "") + CUT
    return words


def refuse_unusable(endpoint: Endpoint, credentials: Credentials) -> None:
    """Raise InputError for what must not or cannot be sent."""
    if credentials.master and endpoint.access is Access.IMAP:
        raise InputError(endpoint.label, "master authentication is refused without TLS", "Set access to IMAP-SSL or IMAP-TLS")
    if credentials.master and not credentials.password.isascii():
        cause = "the master password has characters outside ASCII, for which Kerio defines no encoding"
        raise InputError(endpoint.label, cause, "Choose a master password of ASCII characters")
    if any(character in credentials.user + credentials.password for character in "\0\r\n"):
        raise InputError(endpoint.label, "the user name or password contains a line break or NUL", "Correct the credentials")


def proves_wrong(error: LoginRefusedError) -> bool:
    """Whether a refusal says that the master password is wrong: a tagged NO to the digest, and nothing else."""
    details = error.details
    return details.get("stage") == "X-MASTERAUTH" and details.get("answer") == "NO" and bool(details.get("digest_sent"))


def log_in(reader: Reader, endpoint: Endpoint, credentials: Credentials) -> None:
    """Bring the connection into the authenticated state. Raises LoginRefusedError and NetworkError."""
    dialogue = Dialogue(reader, credentials.password)
    if credentials.master:
        dialogue.masterauth()
        dialogue.setuser(credentials.user)
        return
    if endpoint.access is Access.IMAP and "LOGINDISABLED" in capabilities(reader):
        raise LoginRefusedError(
            endpoint.label,
            "the server allows no LOGIN without TLS (LOGINDISABLED)",
            "Set access to IMAP-TLS or IMAP-SSL",
            stage="LOGIN",
            answer="NO",
            server_text="LOGINDISABLED",
        )
    dialogue.login(credentials.user)


def try_master_password(endpoint: Endpoint, user: str | None, password: str) -> MasterAnswer:
    """Ask the server once whether ``password`` is its master password, and close.

    Whatever keeps the server from answering is ``cannot_tell``; raises InputError for a ``ca_file`` that cannot be used.
    """
    if endpoint.access is Access.IMAP:
        return MasterAnswer("cannot_tell", "master authentication is not tried without TLS; set access to IMAP-SSL or IMAP-TLS")
    refuse_unusable(endpoint, Credentials(user or "", password, master=True))
    try:
        reader = open_reader(endpoint)
    except InputError:
        raise
    except ArchiveToolError as error:
        return MasterAnswer("cannot_tell", str(error))
    source = str(reader.wire.sock.getsockname()[0])
    try:
        found = _try(Dialogue(reader, password), user)
        return replace(found, source_address=source)
    finally:
        reader.wire.close()


def _try(dialogue: Dialogue, user: str | None) -> MasterAnswer:
    try:
        text = dialogue.masterauth()
    except LoginRefusedError as error:
        return MasterAnswer("wrong" if proves_wrong(error) else "cannot_tell", str(error))
    except ArchiveToolError as error:
        return MasterAnswer("cannot_tell", str(error))
    if user is None:
        return MasterAnswer("right", text)
    try:
        return MasterAnswer("right", text, "opened", dialogue.setuser(user))
    except ArchiveToolError as error:
        return MasterAnswer("right", text, "refused", str(error))
