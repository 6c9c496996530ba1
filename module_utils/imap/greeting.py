# SPDX-License-Identifier: GPL-3.0-or-later
"""From TCP to a greeted, and where asked for encrypted, connection; tells an IMAP server from everything else that may answer."""

from __future__ import annotations

import re

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap import tls
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Reader, Response, told_capabilities
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import clean
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import Wire, connect

# seconds that a silent server gets to show what it is
PROBE_TIME = 3.0
PORTS = "Use the port of the IMAP service (143, or 993 with IMAP-SSL)"
# what the first bytes look like -> what answers, and what to do
STRANGERS = (
    (rb"HTTP/|\s*<(?:!DOCTYPE|html)", "an HTTP server answers on this port", PORTS),
    (rb"[\x14-\x17]\x03", "this port speaks TLS from the first byte", "Use access IMAP-SSL for it, or port 143"),
    (rb"220[ -]", "an SMTP or FTP server answers on this port", PORTS),
    (rb"\+OK", "a POP3 server answers on this port", PORTS),
)


def open_reader(endpoint: Endpoint) -> Reader:
    """Connect and encrypt as ``endpoint.access`` says; the greeting is consumed. Raises as ``open_connection`` does."""
    context = None if endpoint.access is Access.IMAP else tls.make_context(endpoint)
    wire = connect(endpoint)
    try:
        if context is not None and endpoint.access is Access.IMAP_SSL:
            wire.start_tls(context, endpoint)
        greeting = expect_greeting(wire, endpoint)
        reader = Reader(wire)
        reader.capabilities = told_capabilities(greeting)
        if context is not None and endpoint.access is Access.IMAP_TLS:
            ask_for_tls(reader)
            reader.capabilities = frozenset()  # nobody vouches for what came in plain text
            wire.start_tls(context, endpoint)
    except BaseException:
        wire.close()
        raise
    return reader


def expect_greeting(wire: Wire, endpoint: Endpoint) -> bytes:
    """Consume and return ``* OK``; everything else is an error that tells what answers."""
    try:
        line = wire.peek_line()
    except NetworkError as error:
        raise who_is_silent(wire, endpoint, error) from None
    if re.match(rb"\* OK\b", line, re.IGNORECASE):
        wire.answered()
        return wire.read_line()
    if re.match(rb"\* BYE\b", line, re.IGNORECASE):
        words = clean(line[5:])
        raise LoginRefusedError(
            endpoint.label,
            f"the server turns the connection away: {words or 'BYE, without a word more'}",
            "Check the server's connection limit, its list of blocked addresses and its log",
            stage="greeting",
            answer="BYE",
            server_text=words,
        )
    raise stranger(endpoint, line)


def who_is_silent(wire: Wire, endpoint: Endpoint, error: NetworkError) -> ArchiveToolError:
    """Find out why no greeting came: a plain text line makes HTTP and TLS servers show themselves and harms no other."""
    received = bytes(wire.view[wire.start : wire.end])
    silent = wire.lost == "timeout" and not received
    if silent:
        wire.sock.settimeout(min(PROBE_TIME, endpoint.timeout))
        try:
            wire.send(b"Z0 NOOP\r\n\r\n")
            wire.fill()
        except NetworkError:
            pass
        received = bytes(wire.view[wire.start : wire.end])
    if received and not received.startswith(b"*"):
        return stranger(endpoint, received)
    if silent and wire.lost == "closed" and not wire.encrypted:
        cause = "the server is silent and hangs up at the first plain text, as a port does that speaks TLS from the first byte"
        return ProtocolError(endpoint.label, cause, "Use access IMAP-SSL for it, or port 143")
    cause = f"no IMAP greeting came within {endpoint.timeout:g} seconds" if silent else error.cause
    remedy = (
        "Check the port, the access method (IMAP, IMAP-TLS, IMAP-SSL), and whether the server has blocked this host's address"
    )
    return NetworkError(endpoint.label, cause, remedy)


def stranger(endpoint: Endpoint, received: bytes) -> ProtocolError:
    """Return the error for something that is no IMAP server waiting for a login."""
    for look, cause, remedy in STRANGERS:
        if re.match(look, received, re.IGNORECASE):
            return ProtocolError(endpoint.label, cause, remedy)
    return ProtocolError(endpoint.label, f"this is not the greeting of an IMAP server: {clean(received, 120)}", PORTS)


def capabilities(reader: Reader) -> frozenset[str]:
    """Ask for CAPABILITY unless the server told it; it means something for this moment only. Upper case."""
    if reader.capabilities:
        return reader.capabilities
    words: list[str] = []

    def take(response: Response) -> None:
        text = response.text().decode("ascii", "replace").upper().split()
        if text[1:2] == ["CAPABILITY"]:
            words.extend(text[2:])

    reader.run([b"CAPABILITY"], take)
    return frozenset(words)


def ask_for_tls(reader: Reader) -> None:
    """STARTTLS; ProtocolError when the server does not offer it or refuses."""
    label = reader.wire.label
    remedy = "Turn TLS on for this service on the server, or use IMAP-SSL on port 993"
    if "STARTTLS" not in capabilities(reader):
        raise ProtocolError(label, "the server does not offer STARTTLS, which access IMAP-TLS needs", remedy)
    (result,) = reader.run([b"STARTTLS"])
    if not result.ok:
        raise ProtocolError(label, f"the server refused STARTTLS: {result.status} {result.text}", remedy)
