# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a mailbox, as far as the server's answer tells. Pure: no I/O.

Which answer Kerio gives for which cause is known in part only (its vendor documents X-MASTERAUTH and the NO to a wrong digest,
article 360015186620): before the digest is sent it cannot be the password; behind it a tagged NO says that the password is wrong;
everything else is told with all that it can be.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    CertificateError,
    ImapError,
    InputError,
    LoginRefusedError,
    NetworkError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.login import proves_wrong

FINE, CANNOT_TELL, NOT_TRIED = "fine", "cannot_tell", "not_tried"
OUT_OF_REACH, CERTIFICATE, TURNED_AWAY, PROTOCOL = "out_of_reach", "certificate", "turned_away", "protocol"
DECLARED = "declared_wrong"
WRONG_GROUP, WRONG_MASTER, MASTER_OFF, NO_MASTER = "wrong_group", "wrong_master_password", "master_off", "no_master_command"
NO_MAILBOX, WRONG_PASSWORD, LOGIN_LOCKED, NEEDS_TLS = (
    "no_such_mailbox",
    "wrong_mailbox_password",
    "login_not_allowed",
    "needs_tls",
)
UNREADABLE = "unreadable_folder"
USER_DISABLED = "user_disabled"  # told by what the catalog knows of the user (run_withheld), not by the answer


class Meaning(t.NamedTuple):
    """What a code says, as a part of a sentence, and what is to be done."""

    words: str
    remedy: str


MEANINGS: dict[str, Meaning] = {
    OUT_OF_REACH: Meaning("the server is out of reach", "Check address, port, firewall and whether the IMAP service runs"),
    CERTIFICATE: Meaning("its certificate cannot be verified", "Set ca_file, or the name that the certificate carries"),
    TURNED_AWAY: Meaning(
        "the server turns this host away",
        "Look whether it blocks this address after failed logins (anti-hammering), or has too many connections",
    ),
    PROTOCOL: Meaning("what answers is no IMAP server, or not with this access", "Check port and access"),
    DECLARED: Meaning("what is declared cannot be used", "Correct it in the inventory"),
    WRONG_GROUP: Meaning(
        "this host is not in the IP address group of master authentication", "Put its address into the group, by configure.yml"
    ),
    WRONG_MASTER: Meaning("the master password is wrong", "Let configure.yml set it, or give the one that the server has"),
    MASTER_OFF: Meaning("master authentication is off", "Switch it on, by configure.yml"),
    NO_MASTER: Meaning("the server does not know X-MASTERAUTH", "Check that this is a Kerio Connect server"),
    NO_MAILBOX: Meaning(
        "the server opens no mailbox of this name: there is none, or the account is disabled",
        "Check the account on this server, and run users.yml again if it has left",
    ),
    WRONG_PASSWORD: Meaning("the mailbox's password is wrong", "Give the right one in passwords, under the name of the profile"),
    LOGIN_LOCKED: Meaning(
        "the account is locked, or the security policy does not allow this login", "Look at the account and the security policy"
    ),
    NEEDS_TLS: Meaning("the server takes no password without TLS", "Set access to IMAP-SSL or IMAP-TLS"),
    UNREADABLE: Meaning("a folder cannot be read", "Look at the folder on the server, or exclude it"),
}

_BEFORE_DIGEST = {
    "NO": (MASTER_OFF, WRONG_GROUP),
    "BAD": (MASTER_OFF, WRONG_GROUP, NO_MASTER),
}
_ENDED = {
    "X-MASTERAUTH": (MASTER_OFF, WRONG_GROUP, TURNED_AWAY),
    "X-SETUSER": (NO_MAILBOX, TURNED_AWAY),
    "LOGIN": (WRONG_PASSWORD, NO_MAILBOX, LOGIN_LOCKED, TURNED_AWAY),
}
_REFUSED = {
    "greeting": (TURNED_AWAY,),
    "X-SETUSER": (NO_MAILBOX,),
    "LOGIN": (WRONG_PASSWORD, NO_MAILBOX, LOGIN_LOCKED),
}
# The first kind that fits.
_KINDS: tuple[tuple[type[ArchiveToolError], str], ...] = (
    (InputError, DECLARED),
    (CertificateError, CERTIFICATE),
    (NetworkError, OUT_OF_REACH),
    (ImapError, UNREADABLE),
)


def can_be(error: ArchiveToolError, *, encrypted: bool = True) -> tuple[str, ...]:
    """The codes of all that an error can mean; one when the answer leaves no doubt. ``encrypted``: the access is over TLS."""
    if isinstance(error, LoginRefusedError):
        return _refused(error, encrypted)
    if isinstance(error, NetworkError) and error.details.get("stage") == "X-MASTERAUTH":
        return (MASTER_OFF, WRONG_GROUP, OUT_OF_REACH)
    return (next((code for kind, code in _KINDS if isinstance(error, kind)), PROTOCOL),)


def _refused(error: LoginRefusedError, encrypted: bool) -> tuple[str, ...]:
    stage, answer = error.details.get("stage", ""), error.details.get("answer", "NO")
    if error.details.get("server_text") == "LOGINDISABLED":
        return (NEEDS_TLS,)
    if proves_wrong(error):
        return (WRONG_MASTER,)
    if answer in ("BYE", "closed") and stage in _ENDED:
        found = _ENDED[stage]
    elif stage == "X-MASTERAUTH":
        found = _BEFORE_DIGEST.get(answer, (MASTER_OFF, WRONG_GROUP))
    else:
        found = _REFUSED.get(stage, (TURNED_AWAY,))
    if stage == "X-MASTERAUTH" and error.details.get("digest_sent"):
        found = (WRONG_MASTER, *(code for code in found if code != NO_MASTER))
    if stage == "LOGIN" and not encrypted:
        found = (*found, NEEDS_TLS)
    return found


def verdict_of(codes: t.Sequence[str]) -> str:
    """The one code, or that it cannot be told."""
    return codes[0] if len(codes) == 1 else CANNOT_TELL


def explained(error: ArchiveToolError, codes: t.Sequence[str]) -> str:
    """The error as a sentence that says what it means, in the server's own words first."""
    cause = error.cause.rstrip(". ")
    meanings = [MEANINGS[code] for code in codes]
    if len(codes) == 1:
        return f"{error.subject}: {meanings[0].words} ({cause}). {meanings[0].remedy}."
    words = "; or ".join(meaning.words for meaning in meanings)
    remedies = "; ".join(meaning.remedy[0].lower() + meaning.remedy[1:] for meaning in meanings)
    return f"{error.subject}: {cause}. The answer does not tell which it is: {words}. One after the other: {remedies}."
