# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a mail: the summary as its text, the page attached."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
import threading
import typing as t
from dataclasses import dataclass
from email.errors import HeaderParseError, MessageDefect
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid, parseaddr

from ansible_collections.mailops.kerio.plugins.module_utils import trust
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    CertificateError,
    InputError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)

STARTTLS, TLS, NONE = "starttls", "tls", "none"
PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
SUBJECT = "kerio-archive"
ATTACHED = "report.html"


@dataclass(frozen=True)
class Mailing:
    """Who gets the mail, and by which server it goes. ``port`` 0: that of ``security``."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int = 0
    security: str = STARTTLS
    user: str = ""
    password: str = ""
    ca_file: str = ""
    validate_certs: bool = True
    timeout: float = 30.0

    @property
    def label(self) -> str:
        """How the server is named in messages."""
        return f"mail server {self.host}:{self.port or PORTS[self.security]}"

    def warnings(self) -> list[str]:
        """What the operator is told every time."""
        if self.security == NONE:
            return [f"{self.label}: the report goes without TLS (security: none), and can be read on the way"]
        if not self.validate_certs:
            return [
                f"{self.label}: its certificate is not verified (validate_certs is false): anybody between can read the password"
            ]
        return []

    def refuse(self) -> None:
        """Raise InputError for what cannot be, before anything is connected."""
        if not self.to:
            raise InputError("mail: to", "nobody is to get the mail", "Give at least one address")
        if self.password and not self.user:
            raise InputError("mail: user", "there is a password and no user", "Give the user, or take the password out")
        if self.user and not self.password:
            raise InputError("mail: password", f"there is none for the user {self.user}", "Give the password, from the vault")
        if self.user and self.security == NONE:
            raise InputError("mail: security", "no password is sent without TLS", "Use starttls or tls, or take the user out")
        if not (self.user + self.password).isascii():
            raise InputError("mail: password", "it or the user has characters outside ASCII", "Use ASCII alone")
        if self.timeout <= 0:
            raise InputError("mail: timeout", f"{self.timeout} is no time to wait", "Give seconds, at least 1")
        for address in (self.sender, *self.to):
            if len(getaddresses([address])) != 1 or "@" not in parseaddr(address)[1] or not address.isprintable():
                raise InputError(f"mail: {address!r}", "it is no address", "Write it as alice@example.com")


class _Answering(smtplib.SMTP):
    """Waits for an answer as a whole. The library's time begins anew with each byte, and some servers slow senders down so."""

    def getreply(self) -> tuple[int, bytes]:
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            with contextlib.suppress(OSError):
                # Below TLS, whose state is in use by the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

        sock = t.cast("socket.socket", self.sock)
        timer = threading.Timer(self.timeout, give_up)
        timer.start()
        try:
            answer = super().getreply()
        except (OSError, smtplib.SMTPException):
            if not overdue.is_set():
                raise
        else:
            # The end of what came looks like that of an answer.
            if not overdue.is_set():
                return answer
        finally:
            timer.cancel()
        self.close()
        raise TimeoutError("timed out")


class _AnsweringTls(_Answering, smtplib.SMTP_SSL):
    """The same with TLS from the start."""


def message(mailing: Mailing, sentence: str, text: str, page: str) -> EmailMessage:
    """The mail; ``sentence`` becomes its subject."""
    mail = EmailMessage()
    try:
        mail["From"], mail["To"] = mailing.sender, ", ".join(mailing.to)
        mail["Subject"] = f"{SUBJECT}: {sentence}"
    except (ValueError, HeaderParseError, MessageDefect) as error:
        raise InputError("mail", f"its addresses cannot be used: {error}", "Write them as alice@example.com") from error
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = make_msgid(domain=parseaddr(mailing.sender)[1].rpartition("@")[2])
    # Automatic answers, such as those of people on leave, are not wanted (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    mail.add_attachment(page, subtype="html", filename=ATTACHED)
    return mail


def send(mailing: Mailing, mail: EmailMessage) -> None:
    """Hand the mail to the server; an error says at which step it did not take it, in the server's words."""
    try:
        refused = _handed_over(mailing, mail)
    except smtplib.SMTPAuthenticationError as error:
        raise LoginRefusedError(
            mailing.label, f"it refuses {mailing.user}: {_words(error, mailing)}", "Check the password"
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise ProtocolError(mailing.label, str(error), "Check port and security of site_report_mail") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise ProtocolError(mailing.label, f"it refuses {_recipients(error.recipients)}", "Check the addresses in to") from error
    except smtplib.SMTPResponseException as error:
        raise ProtocolError(mailing.label, f"it does not take the mail: {_words(error, mailing)}", "Ask who runs it") from error
    except ssl.SSLCertVerificationError as error:
        remedy = "Give its authority as ca_file, or its name as host"
        raise CertificateError(mailing.label, f"its certificate is not verified: {error.verify_message}", remedy) from error
    except UnicodeError as error:
        remedy = "Give that of the mail server"
        raise InputError(f"mail: host {mailing.host}", f"it is no name of a host: {error}", remedy) from error
    except (OSError, smtplib.SMTPException) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise NetworkError(mailing.label, f"no answer that can be used: {cause}", "Check host, port and security") from error
    if refused:
        raise ProtocolError(mailing.label, f"it refuses {_recipients(refused)}", "Check the addresses in to; all others have it")


def _handed_over(mailing: Mailing, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
    """The recipients that the server refused beside others."""
    server = _connected(mailing)
    try:
        if mailing.user:
            server.login(mailing.user, mailing.password)
        # Addresses alone, because a name beside one may have any characters, which the envelope must not.
        sender, *recipients = (parseaddr(address)[1] for address in (mailing.sender, *mailing.to))
        refused = server.send_message(mail, sender, recipients)
        # The server has the mail now, however it says good-bye.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()
    finally:
        server.close()
    return refused


def _connected(mailing: Mailing) -> smtplib.SMTP:
    # The name is given, because the library would ask the name service for it.
    more: dict[str, t.Any] = {"timeout": mailing.timeout, "local_hostname": socket.gethostname()}
    port = mailing.port or PORTS[mailing.security]
    if mailing.security == TLS:
        return _AnsweringTls(mailing.host, port, context=_trusted(mailing), **more)
    server = _Answering(mailing.host, port, **more)
    if mailing.security == STARTTLS:
        try:
            server.starttls(context=_trusted(mailing))
        except BaseException:
            server.close()
            raise
    return server


def _trusted(mailing: Mailing) -> ssl.SSLContext:
    return trust.context(mailing.ca_file or None, mailing.validate_certs, named="mail: ")


def _words(error: smtplib.SMTPResponseException, mailing: Mailing) -> str:
    """The server's own words, without the password where it repeats what it was sent."""
    said = error.smtp_error
    text = f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}".replace("\n", " ")
    if mailing.password:
        for sent in (f"\0{mailing.user}\0{mailing.password}", mailing.password):
            text = text.replace(base64.b64encode(sent.encode()).decode(), "***").replace(sent, "***")
    return text


def _recipients(refused: t.Mapping[str, tuple[int, bytes]]) -> str:
    told = [f"{address}: {code} {words.decode('utf-8', 'replace')}" for address, (code, words) in refused.items()]
    return "; ".join(told).replace("\n", " ")
