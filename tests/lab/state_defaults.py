# SPDX-License-Identifier: GPL-3.0-or-later
"""A freshly installed server: its settings, and the shapes of the API's objects with their factory values."""

from __future__ import annotations

import uuid
from typing import Any

from tests.lab.users import Record

VERSIONS = {"2013": "8.2.0.2224", "9.0": "9.0.4.1153", "9.4": "9.4.1.6249", "10.0": "10.0.8.9228"}

# Sheet 2.8: names and factory ports of a default install.
SERVICES = {
    "SMTP": [25],
    "Secure SMTP": [465],
    "SMTP Submission": [587],
    "POP3": [110],
    "Secure POP3": [995],
    "IMAP": [143],
    "Secure IMAP": [993],
    "NNTP": [119],
    "Secure NNTP": [563],
    "LDAP": [389],
    "Secure LDAP": [636],
    "HTTP": [80, 8800],
    "Secure HTTP": [443, 8443, 8843],
    "XMPP": [5222],
    "Secure XMPP": [5223],
}
STOPPED = {"NNTP", "Secure NNTP"}
AUTHENTICATION_METHODS = ("CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN", "LOGIN")


def _optional(value: str = "") -> Record:
    return {"enabled": False, "value": value}


def _entity() -> Record:
    return {"enabled": False, "id": "", "name": ""}


def _after(days: int) -> Record:
    return {"isEnabled": False, "days": days}


def bytes_value(value: int, units: str) -> Record:
    return {"value": value, "units": units}


def _paths() -> Record:
    store = "/opt/kerio/mailserver/store"
    return {"storePath": store, "archivePath": f"{store}/archive", "backupPath": f"{store}/backup"}


def _proxy() -> Record:
    return {"isEnabled": False, "address": "", "port": 3128, "requiresAuthentication": False}


def archive() -> Record:
    """ArchiveOptions, everything off."""
    return {
        "paths": _paths(),
        "isEnabled": False,
        "remoteArchive": _optional(),
        "archiveToLocalFolder": False,
        "archiveFoldersInterval": "periodMonth",
        "compressOldArchiveFolders": False,
        "compressionStartTime": {"hour": 2, "min": 0},
        "archiveLocalMessages": True,
        "archiveIncomingMessages": True,
        "archiveOutgoingMessages": True,
        "archiveRelayedMessages": False,
        "archiveBeforeFilter": False,
        "isXmppEnabled": False,
        "isEnabledPerDomain": False,
    }


def advanced_options() -> Record:
    soft, hard = bytes_value(1, "GigaBytes"), bytes_value(100, "MegaBytes")
    return {
        "miscellaneous": {
            "logHostNames": False,
            "showProgramNameAndVersion": True,
            "insertXEnvelopeTo": False,
            "enableTNEFDecoding": False,
            "enableUUEncodedConversion": False,
            "allowUnsupportedActiveSyncDevices": False,
        },
        "storeDirectory": {**_paths(), "watchdogSoftLimit": soft, "watchdogHardLimit": hard},
        "masterAuthentication": {"isEnabled": False, "groupRestriction": "", "password": ""},
        "httpProxy": {**_proxy(), "userName": "", "password": ""},
        "updateChecker": {"autoCheck": True, "checkBetaVersion": False, "lastCheckTime": {"hours": 6, "minutes": 12}},
        "webMail": {"messageSizeLimit": bytes_value(20, "MegaBytes"), "sessionExpireTimeout": 7200},
        "userQuota": {"warningLimit": 90, "email": "", "blockedSending": False},
        "fulltext": {"enabled": True, "path": "/opt/kerio/mailserver/store/fulltext"},
        "koffOptions": {"upgradePolicy": "KoffUPolicyAskUser"},
        "operatorOptions": {"isEnabled": False, "primaryServer": "", "addresses": ""},
    }


def security_policy() -> Record:
    return {
        "mode": "SPNoRestrictions",
        "authenticationExceptionGroup": _entity(),
        "encryptionExceptionGroup": _entity(),
        "authenticationMethods": [{"enabled": True, "value": name} for name in AUTHENTICATION_METHODS],
        "allowNtlmForKerberosUsers": False,
        "enableLockout": False,
        "failedLoginsToLock": 5,
        "minutesToUnlock": 5,
        "antiHammering": {"isEnabled": False, "failedLoginsToBlock": 100, "minutesToBlock": 5, "exceptionIpGroup": _entity()},
    }


def service(name: str, ports: dict[str, int]) -> Record:
    """`ports` says where the lab really listens; the other services keep their factory ports (and nobody listens)."""
    numbers = [ports[name]] if name in ports else SERVICES[name]
    return {
        "id": f"keriodb://service/{uuid.uuid4()}",
        "name": name,
        "howToStart": "Manual" if name in STOPPED else "Automatic",
        "listeners": [{"type": "AllAddresses", "address": "All addresses", "port": port} for port in numbers],
        "group": {"isUsed": False, "ipGroup": {"id": "", "name": ""}},
        "connectionLimit": {"isSet": True, "value": 1000},
        "defaultPort": SERVICES[name][0],
        "isRunning": name not in STOPPED,
        "anonymousAccess": False,
    }


def address_entry(group_id: str, group_name: str, **members: Any) -> Record:
    """IpAddressEntry: one address line of a group."""
    return {
        "id": f"keriodb://ipaddressentry/{uuid.uuid4()}",
        "groupId": group_id,
        "sharedId": "",
        "groupName": group_name,
        "description": "",
        "type": "Host",
        "enabled": True,
        "status": "StoreStatusClean",
        "host": "",
        "addr1": "",
        "addr2": "",
        "childGroupId": "",
        "childGroupName": "",
        **members,
    }


def domain(kid: str, name: str, **members: Any) -> Record:
    return {
        "id": kid,
        "name": name,
        "description": "",
        "isPrimary": False,
        "userMaxCount": -1,
        "passwordExpirationEnabled": False,
        "passwordExpirationDays": 60,
        "passwordHistoryCount": 0,
        "passwordComplexityEnabled": False,
        "passwordMinimumLength": 8,
        "outgoingMessageLimit": {"isActive": False, "limit": bytes_value(20, "MegaBytes")},
        "deletedItems": _after(30),
        "junkEmail": _after(30),
        "sentItems": _after(365),
        "autoDelete": _after(730),
        "keepForRecovery": _after(30),
        "aliasList": [],
        "forwardingOptions": {"isEnabled": False, "host": "", "port": 25, "how": "KEtrn", "preventLoop": True},
        "service": {"isEnabled": False, "serviceType": "WindowsActiveDirectory", "hostname": "", "username": "", "password": ""},
        "domainFooter": {"isUsed": False, "text": "", "isHtml": False, "isUsedForOutgoing": True},
        "kerberosRealm": "",
        "winNtName": "",
        "pamRealm": "",
        "ipAddressBind": _optional(),
        "logo": {"isUsed": False, "url": ""},
        "customClientLogo": _optional(),
        "checkSpoofedSender": False,
        "renameInfo": {"isRenamed": False, "oldName": "", "newName": ""},
        "domainQuota": {"diskSizeLimit": {"isActive": False, "limit": bytes_value(1, "GigaBytes")}, "warnLimit": 90},
        "isDistributed": False,
        "isDkimEnabled": False,
        "isLdapManagementAllowed": False,
        "isInstantMessagingEnabled": False,
        "useRemoteArchiveAddress": False,
        "remoteArchiveAddress": "",
        "archiveLocalMessages": False,
        "archiveIncomingMessages": False,
        "archiveOutgoingMessages": False,
        "archiveBeforeFilter": False,
        **members,
    }


def role(name: str = "UserRole") -> Record:
    return {"userRole": name, "publicFolderRight": False, "archiveFolderRight": False}


def user(kid: str, domain_id: str, login: str, **members: Any) -> Record:
    """A User of the API; `password` in plain and `groupIds` are the double's own."""
    return {
        "id": kid,
        "domainId": domain_id,
        "companyContactId": "",
        "loginName": login,
        "fullName": "",
        "description": "",
        "isEnabled": True,
        "itemSource": "DSInternalSource",
        "authType": "UInternalAuth",
        "password": "",
        "isPasswordReversible": False,
        "allowPasswordChange": True,
        "hasDefaultSpamRule": True,
        "role": role(),
        "emailAddresses": [],
        "emailForwarding": {"mode": "UForwardNone", "emailAddresses": []},
        "groupIds": [],
        "itemLimit": {"isActive": False, "limit": 0},
        "diskSizeLimit": {"isActive": False, "limit": bytes_value(0, "MegaBytes")},
        "hasDomainRestriction": False,
        "outMessageLimit": {"isActive": False, "limit": bytes_value(0, "MegaBytes")},
        "lastLoginInfo": {"dateTime": 0, "protocol": ""},
        "publishInGal": True,
        "cleanOutItems": {
            "isUsedDomain": True,
            "deletedItems": _after(30),
            "junkEmail": _after(30),
            "sentItems": _after(365),
            "autoDelete": _after(730),
        },
        "accessPolicy": {"id": "", "name": "Default"},
        "homeServer": {"id": "", "name": ""},
        **members,
    }


def group(kid: str, domain_id: str, name: str, **members: Any) -> Record:
    return {
        "id": kid,
        "domainId": domain_id,
        "name": name,
        "emailAddresses": [],
        "role": "UserRole",
        "hasDomainRestriction": False,
        "description": "",
        "itemSource": "DSInternalSource",
        "publishInGal": False,
        **members,
    }


def alias(kid: str, domain_id: str, name: str, deliver_to: str, **members: Any) -> Record:
    return {
        "id": kid,
        "domainId": domain_id,
        "name": name,
        "deliverToId": "",
        "deliverTo": deliver_to,
        "type": "TypeEmailAddress",
        "description": "",
        "homeServer": {"id": "", "name": ""},
        **members,
    }


# The shapes that tell how the text of a list item's variables is to be read.
LIKE: dict[str, Record] = {
    "Service": service("IMAP", {}),
    "IpAddressGroup": address_entry("", ""),
    "Domain": domain("", ""),
    "User": user("", "", ""),
    "Group": group("", "", ""),
    "Alias": alias("", "", "", ""),
}


def settings(ports: dict[str, int]) -> dict[str, Any]:
    """Everything after installation: built-in Admin with an empty password, no domain, one IP address group."""
    clients = f"keriodb://ipaddressgroup/{uuid.uuid4()}"
    line = address_entry(clients, "Local clients", type="Network", addr1="10.0.0.0", addr2="255.0.0.0", description="private")
    return {
        "Administration": {"builtInAdminEnabled": True, "builtInAdminUsername": "Admin", "builtInAdminPassword": ""},
        "Archive": archive(),
        "AdvancedOptions": advanced_options(),
        "SecurityPolicy": security_policy(),
        "RemoteAdministration": {"isEnabled": True, "isLimited": False, "groupId": ""},
        "DomainSettings": {"hostname": "mail.example.com", "publicFoldersPerDomain": False, "serverId": ""},
        "Services": [service(name, ports) for name in SERVICES],
        "IpAddressGroups": [line],
    }
