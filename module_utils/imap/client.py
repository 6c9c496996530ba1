# SPDX-License-Identifier: GPL-3.0-or-later
"""An IMAPClient over our wire, for everything but bulk transfer."""

from __future__ import annotations

import imaplib
import sys
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import MissingLibraryError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.guard import Guard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import FREE_TEXT, clean
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import Wire

if t.TYPE_CHECKING:
    import socket

try:
    import imapclient
except ImportError:
    imapclient = None


class WireIMAP4(imaplib.IMAP4):
    """imaplib reading and writing through a wire on which the login already happened.

    The five methods are those that imaplib documents as overridable. So imaplib keeps no buffer of its own, from which the bulk
    reader would have to take bytes back, and no password ever passes through it and its log. The greeting was consumed before the
    login: imaplib gets one that says "logged in", and then asks for CAPABILITY by itself. What the server told of it with the
    login (``told``) is the answer, without another round trip.
    """

    def __init__(self, wire: Wire, told: frozenset[str]) -> None:
        self.wire = wire
        self._in_response = False
        self._guard = Guard(wire.label, wire.sock.gettimeout())
        self._told = " ".join(sorted(told)).encode() if "IMAP4REV1" in told else b""
        self._said_before = [b"* PREAUTH ready\r\n"]
        super().__init__(wire.label)

    def open(self, *_host_port_timeout: t.Any) -> None:
        self.sock = t.cast("socket.socket", self.wire.sock)

    def readline(self) -> bytes:
        line = self._said_before.pop(0) if self._said_before else self.wire.read_line()
        self.wire.answered()
        self._count(len(line))
        if not self._in_response and FREE_TEXT.match(line):
            # imaplib would take a text that ends with "{17}" for the header of a literal.
            line = line.rstrip(b"\r\n") + b" \r\n"
        self._in_response = False
        if line[:6].upper() == b"* BYE ":
            self.wire.bye = clean(line[6:])
        return line

    def read(self, size: int) -> bytes:
        self._in_response = True
        self._count(size)
        return self.wire.read(size)

    def _count(self, size: int) -> None:
        """imaplib keeps every answer in memory."""
        try:
            self._guard.count(size)
        except ProtocolError:
            self.wire.close()
            raise

    def send(self, data: t.Any) -> None:
        self._guard.progress()
        if self._told and data.endswith(b" CAPABILITY\r\n"):
            tag = data.split()[0]
            self._said_before = [b"* CAPABILITY %s\r\n" % self._told, b"%s OK told with the login\r\n" % tag]
            self._told = b""
            return
        self.wire.send(data)

    def shutdown(self) -> None:
        self.wire.close()


def refuse_without_library() -> None:
    """Raise MissingLibraryError when imapclient is absent."""
    if imapclient is None:
        raise MissingLibraryError(
            "imapclient",
            f"the Python library imapclient is not installed for {sys.executable}",
            "Let the role archive_host install the Python environment, and set ansible_python_interpreter to it",
        )


def make_client(wire: Wire, timeout: float, told: frozenset[str] = frozenset()) -> tuple[t.Any, frozenset[str]]:
    """Return the client and the capabilities, upper case; raises what ``imaplib`` raises.

    ``told``: the capabilities, when the server told them with the login; else it is asked.
    """
    imap = WireIMAP4(wire, told)
    # IMAPClient connects in its constructor and has no public way to hand it a connection.
    over_wire = type("WireIMAPClient", (imapclient.IMAPClient,), {"_create_IMAP4": lambda _self: imap})
    client = over_wire(wire.label, ssl=False, timeout=timeout)
    # Names are sent as the server gave them; IMAPClient would encode them a second time.
    client.folder_encode = False
    # IMAPClient turns imaplib's debug output up to its highest level and sends it to logging.
    imap.debug = 0
    # IMAPClient would ask for CAPABILITY again, unless it finds the answer among those that nobody took.
    imap.untagged_responses["CAPABILITY"] = [" ".join(imap.capabilities).encode()]
    client.capabilities()
    imap.untagged_responses.pop("CAPABILITY", None)
    return client, frozenset(imap.capabilities)


# imaplib.IMAP4.abort is a kind of this; so are all errors of IMAPClient
ClientError = imaplib.IMAP4.error
ClientAbort = imaplib.IMAP4.abort
# a kind of abort, though the connection is as good as before
ClientReadOnly = imaplib.IMAP4.readonly
