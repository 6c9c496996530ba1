# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages are archived, and what the archived copy looks like (sheet, section 5). Pure."""

from __future__ import annotations

import dataclasses
import email.utils
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.state import ArchiveSettings
    from tests.lab.switches import Switches

CLASSES = {
    (True, True): "local",
    (False, True): "incoming",
    (True, False): "outgoing",
    (False, False): "relayed",
}


@dataclasses.dataclass(frozen=True)
class Envelope:
    """What SMTP said: sender and recipients without angle brackets, and who said it from where."""

    sender: str
    recipients: tuple[str, ...]
    helo: str
    ip: str


@dataclasses.dataclass(frozen=True)
class Copy:
    """One copy to be sent to an archive address."""

    address: str
    raw: bytes


def classify(sender: str, recipient: str, is_local: Callable[[str], bool]) -> str:
    """local, incoming, outgoing or relayed, by the locality of both ends."""
    return CLASSES[is_local(sender), is_local(recipient)]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _same(address: str, other: str) -> bool:
    return address.strip("<> ").lower() == other.strip("<> ").lower()


def targets(envelope: Envelope, settings: ArchiveSettings, is_local: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Archive addresses, each with the envelope recipients on whose account it gets the message."""
    found: dict[str, list[str]] = {}
    if not settings.enabled:
        return {}
    for recipient in envelope.recipients:
        kind = classify(envelope.sender, recipient, is_local)
        if settings.remote_address and getattr(settings, kind):
            found.setdefault(settings.remote_address, []).append(recipient)
        for name, domain in settings.per_domain.items():
            concerned = {"local": (envelope.sender, recipient), "incoming": (recipient,), "outgoing": (envelope.sender,)}
            ends = concerned.get(kind, ())
            if domain.remote_address and ends and getattr(domain, kind) and any(_domain(end) == name.lower() for end in ends):
                found.setdefault(domain.remote_address, []).append(recipient)
    return {address: tuple(dict.fromkeys(recipients)) for address, recipients in found.items()}


def copies(
    envelope: Envelope,
    raw: bytes,
    settings: ArchiveSettings,
    switches: Switches,
    is_local: Callable[[str], bool],
    *,
    host: str,
    insert_x_envelope_to: bool,
) -> list[Copy]:
    """`raw` is the message as received, with the Received line of its arrival. Mail for the archive address is no case
    for the archive (switch archive_archive_mail)."""
    made = []
    for address, recipients in targets(envelope, settings, is_local).items():
        wanted = recipients if switches.archive_archive_mail else tuple(r for r in recipients if not _same(r, address))
        if not wanted:
            continue
        trace = [f"Return-Path: <{envelope.sender}>"]
        if insert_x_envelope_to and switches.envelope_to_copy != "none":
            named: Sequence[str] = wanted if switches.envelope_to_copy == "recipients" else (address,)
            trace += [f"X-Envelope-To: <{one}>" for one in named]
        trace.append(received("localhost", "127.0.0.1", host, (address,)))
        made.append(Copy(address, headers(trace) + raw))
    return made


def received(helo: str, ip: str, host: str, recipients: Sequence[str]) -> str:
    """A trace line; the recipient is named only if there is one."""
    only = f"\r\n\tfor <{recipients[0]}>" if len(recipients) == 1 else ""
    return f"Received: from {helo} ([{ip}])\r\n\tby {host} with ESMTP{only};\r\n\t{email.utils.formatdate()}"


def delivered(envelope: Envelope, recipient: str, raw: bytes, *, insert_x_envelope_to: bool) -> bytes:
    """The copy for a local mailbox. X-Envelope-To names the original recipient of this very copy."""
    trace = [f"Return-Path: <{envelope.sender}>"]
    if insert_x_envelope_to:
        trace.append(f"X-Envelope-To: <{recipient}>")
    return headers(trace) + raw


def headers(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
