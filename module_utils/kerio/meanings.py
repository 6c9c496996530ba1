# SPDX-License-Identifier: GPL-3.0-or-later
"""What a setting that is not as declared means for archiving, one sentence for each option and direction. Pure.

Mail that was not archived while a setting was wrong does not come back when it is put right: the sentences say so where it is so.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Switch:
    """``off``: the server has it off although it is declared on; ``on``: the other way round. So is "not there"."""

    off: str
    on: str


Meaning = str | Switch

STATE = "state"
NEW_MAIL = "what came meanwhile is not archived later"


def _class(what: str) -> Switch:
    return Switch(
        off=f"{what} is not archived by this server since it was switched off, and {NEW_MAIL}.",
        on=f"{what} is archived although it is not meant to be, and those copies are in the archive mailbox already.",
    )


def _domain_class(what: str) -> Switch:
    return Switch(
        off=f"{what} of this domain is not copied to the domain's archive address, and {NEW_MAIL}.",
        on=f"{what} of this domain is copied to the domain's archive address although it is not meant to be.",
    )


_FILTER = Switch(
    off="Mail is archived after the filters, so what they change or throw away is not in the archive as it came.",
    on="Mail is archived before the filters, so spam and viruses are archived too, untouched.",
)


def _address(what: str) -> Switch:
    return Switch(
        off=f"Copies of {what} go to no address, so the archive mailbox gets none, and {NEW_MAIL}.",
        on=f"Copies of {what} go to another address than declared, so the archive mailbox gets none, and others may read them.",
    )


MEANINGS: dict[str, dict[str, Meaning]] = {
    "archiving": {
        "enabled": Switch(
            off=f"The server archives nothing at all since archiving was switched off, and {NEW_MAIL}.",
            on="The server archives mail although it is not meant to.",
        ),
        "remote_address": _address("archived mail"),
        "to_local_folder": Switch(
            off="No copies are kept in archive folders on the server; the copies to the remote address do not depend on it.",
            on="Copies are kept in archive folders on the server too, which take space and which others may be allowed to read.",
        ),
        "folder_interval": "The server begins archive folders at another rhythm, so compression reaches them earlier or later.",
        "compress_old_folders": Switch(
            off="Old archive folders on the server stay as they are and take more space.",
            on="Old archive folders on the server are compressed, and mail clients cannot read them: what was not read from them "
            "before can no longer be archived over IMAP.",
        ),
        "compression_start_time": "Archive folders on the server are compressed at another time of day, perhaps before they were "
        "read.",
        "local_messages": _class("Mail between users of this server"),
        "incoming_messages": _class("Mail from elsewhere to users of this server"),
        "outgoing_messages": _class("Mail from users of this server to elsewhere"),
        "relayed_messages": _class("Mail from elsewhere to elsewhere"),
        "before_filter": _FILTER,
        "instant_messages": Switch(
            off=f"Instant messages are not archived, and {NEW_MAIL}.",
            on="Instant messages are archived although they are not meant to be.",
        ),
        "per_domain": Switch(
            off="Archive addresses of single domains are not used, so their mail is not copied there.",
            on="Domains may have archive addresses of their own, so their mail may go elsewhere than declared.",
        ),
    },
    "domain_archiving": {
        "remote_address": _address("this domain's mail"),
        "local_messages": _domain_class("Mail between local users"),
        "incoming_messages": _domain_class("Mail from elsewhere"),
        "outgoing_messages": _domain_class("Mail to elsewhere"),
        "before_filter": _FILTER,
    },
    "master_authentication": {
        "enabled": Switch(
            off="No mailbox can be opened with the master password, so profiles that use it archive nothing from this server.",
            on="Whoever knows the master password can open every mailbox, although nobody is meant to.",
        ),
        "ip_address_group": "Other addresses than declared may use the master password (empty: all of them), and the archive "
        "host may be locked out.",
    },
    "advanced_options": {
        "insert_x_envelope_to": Switch(
            off="The server does not note the recipients of delivered mail, so mail from the archive mailbox is filed by what "
            "its header says, and BCC recipients are not found; mail that came meanwhile has no such note.",
            on="The server notes the recipients of delivered mail in a header; recipients of BCC can be seen in it.",
        ),
        "log_host_names": Switch(
            off="The logs of the server name no hosts, only addresses; archiving does not depend on it.",
            on="The logs of the server name hosts, which costs a look-up for each connection; archiving does not depend on it.",
        ),
        "show_program_name_and_version": Switch(
            off="The greeting of the server hides name and version; archiving does not depend on it.",
            on="The greeting of the server tells everybody name and version; archiving does not depend on it.",
        ),
        "tnef_decoding": Switch(
            off="Attachments in winmail.dat stay packed in new mail, in the archive too.",
            on="The server unpacks winmail.dat in new mail, so the archive has it as the server changed it.",
        ),
        "uuencoded_conversion": Switch(
            off="Attachments in uuencode stay as they are in new mail, in the archive too.",
            on="The server converts uuencode in new mail, so the archive has it as the server changed it.",
        ),
        "allow_unsupported_activesync_devices": Switch(
            off="Some mobile devices cannot connect; archiving does not depend on it.",
            on="Mobile devices that are not supported may connect; archiving does not depend on it.",
        ),
    },
    "security_policy": {
        "mode": "The server asks for another protection of connections than declared: too strict, and archiving may not get in; "
        "too lax, and passwords may cross the network unencrypted.",
        "authentication_methods": "Other login methods are on than declared: with CRAM-MD5 or DIGEST-MD5 on, users of a "
        "directory and those whose password is stored as SHA may not be able to log in to the archive.",
        "allow_ntlm_for_kerberos_users": Switch(
            off="Users of Kerberos cannot log in by NTLM; archiving does not depend on it.",
            on="Users of Kerberos can log in by NTLM; archiving does not depend on it.",
        ),
        "lockout": Switch(
            off="Accounts are not locked after failed logins, so passwords can be tried without end.",
            on="Accounts are locked after failed logins: one wrong password in the inventory can stop a mailbox from being read.",
        ),
        "failed_logins_to_lock": "An account is locked after another number of failed logins than declared.",
        "minutes_to_unlock": "A locked account, also one that archiving reads, stays locked for another time than declared.",
        "authentication_exception_group": "Other addresses than declared are excepted from authentication.",
        "encryption_exception_group": "Other addresses than declared may connect without encryption.",
        "anti_hammering": Switch(
            off="Addresses are not blocked after failed logins, so passwords can be tried without end.",
            on="Addresses are blocked after failed logins, the archive host too unless it is excepted.",
        ),
        "anti_hammering_failed_logins": "An address is blocked after another number of failed logins than declared.",
        "anti_hammering_minutes": "A blocked address, the archive host too unless it is excepted, stays out for another time "
        "than declared.",
        "anti_hammering_exception_group": "Other addresses than declared are never blocked (empty: none), and the archive host "
        "may be blocked after failed logins.",
    },
    "services": {
        "running": Switch(
            off="The service does not run: if it is the IMAP service that archiving uses, nothing is archived from mailboxes.",
            on="The service runs although it is not meant to.",
        ),
        "start_up": "What the service does after a restart of the server is not what is declared: with manual it stays off.",
        "listeners": "The service listens on other addresses or ports than declared, so archiving may not find it.",
        "ip_address_group": "Other addresses than declared may connect to the service (empty: all), and the archive host may be "
        "locked out.",
        "connection_limit": "The service takes another number of connections than declared (0: no limit), and archiving uses "
        "several at a time.",
    },
    "users": {
        STATE: Switch(
            off="The account does not exist: if it is the archive mailbox, every copy comes back as undeliverable.",
            on="The account exists although it is not meant to; its mail goes on being archived.",
        ),
        "full_name": "The archive shows another name for this user than declared.",
        "description": "The note at the account is another one; archiving does not depend on it.",
        "enabled": Switch(
            off="Nobody can log in to this account; if it is the archive mailbox, its profile reads nothing.",
            on="One can log in to this account although it is not meant to be used.",
        ),
        "addresses": "Mail to other addresses than declared comes into this mailbox, and archived mail is filed by them.",
        "role": "The account has other rights in the administration of the server than declared.",
        "public_folder_right": Switch(
            off="The account cannot administer public folders; archiving does not depend on it.",
            on="The account can administer public folders; archiving does not depend on it.",
        ),
        "archive_folder_right": Switch(
            off="The account cannot see the archive folders on the server, so they cannot be read over IMAP with it.",
            on="The account can read all mail in the archive folders on the server although it is not meant to.",
        ),
        "in_global_address_list": Switch(
            off="The account is not in the address list of the server; archiving does not depend on it.",
            on="The account is offered to everybody in the address list, so mail may be sent to the archive mailbox by mistake.",
        ),
        "may_change_password": Switch(
            off="The user cannot change the password; archiving does not depend on it.",
            on="The user can change the password, and a profile that logs in with the declared one then fails.",
        ),
        "password_reversible": Switch(
            off="The password is stored as SHA, and this account cannot log in by CRAM-MD5 or DIGEST-MD5.",
            on="The password is stored so that it can be recovered from the server's files.",
        ),
        "disk_limit_mb": "The mailbox may hold another amount than declared (0: any); an archive mailbox that is full loses the "
        "copies of new mail.",
        "item_limit": "The mailbox may hold another number of messages than declared (0: any); an archive mailbox that is full "
        "loses the copies of new mail.",
        "password": "The password cannot be compared; it is written every time, as declared.",
    },
    "ip_address_groups": {
        STATE: Switch(
            off="The group does not exist: whatever is restricted to it cannot be set up.",
            on="The group exists although it is not meant to.",
        ),
        "entries": "The group holds other addresses than declared: whatever refers to it admits or excepts others, and the "
        "archive host may be locked out.",
    },
}
# What stands for off in options that are no switch.
_OFF = (False, None, "", "absent")


def meaning(kind: str, option: str, server: t.Any) -> str:
    """Return what it means that the server has ``server``; raises ``KeyError`` on an option that has no sentence."""
    found = MEANINGS[kind][option]
    if isinstance(found, str):
        return found
    return found.off if server in _OFF else found.on
