# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what the admin API can be told: which methods, which member holds which option, what must not be sent back. Pure.

A new setting is a row here; a new module is rows here and a page of documentation. The table is checked when it is imported.
Methods, members and literals are those of the interface descriptions of Kerio Connect 8 to 10.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import codecs
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.codecs import Codec
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Rule

Path = tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One option. ``path`` leads to its value in the API object; empty: the codec works on the object itself.

    ``varies``: servers exist that do not have the member; ``known_to`` tells the operator which do. Such a server does what
    ``when_absent`` says, so that declaring exactly this is no error. ``reference`` names the object kind whose id the member
    holds. ``secret``: write-only, never read, never shown. ``after_change`` is said when the option was changed.
    """

    option: str
    path: Path
    codec: Codec
    varies: bool = False
    known_to: str = ""
    when_absent: t.Any = None
    secret: bool = False
    reference: str = ""
    after_change: str = ""

    def rule(self) -> Rule:
        codec = self.codec
        return Rule(secret=self.secret, unordered=codec.unordered, partial=codec.partial, sanitize=codec.sanitize)


@dataclass(frozen=True)
class Source:
    """A pair of methods that read and write one structure whole; ``member`` holds it in both.

    ``read_only`` members are not sent back. ``write_only`` members come back empty, and sending that empty value erases what is
    stored: their keys are left out unless they are set to something.
    """

    get: str
    set: str
    member: str
    read_only: tuple[Path, ...] = ()
    write_only: tuple[Path, ...] = ()


@dataclass(frozen=True)
class SettingsKind:
    """Settings that a server has once. ``module``: whose options they are.

    ``caution`` takes the options as they will be and returns what the operator must be told about them, or nothing.
    """

    name: str
    source: Source
    fields: tuple[Field, ...]
    module: str = ""
    caution: t.Callable[[t.Mapping[str, t.Any]], str] | None = None


@dataclass(frozen=True)
class ObjectKind:
    """Objects of which a server has many. ``identity`` is the member by which an operator knows one.

    ``per_domain``: the list method takes a domain's id beside the query. ``paged``: it takes a query at all. ``set_ids`` and
    ``set_pattern`` name the parameters of ``set``; without them ``set`` takes whole objects under the name ``set_whole``.
    """

    name: str
    get: str
    member: str
    identity: str
    per_domain: bool = False
    paged: bool = True
    order_by: str = ""
    set: str = ""
    set_ids: str = ""
    set_pattern: str = ""
    set_whole: str = ""
    create: str = ""
    remove: str = ""
    fields: tuple[Field, ...] = ()


def _switch(option: str, *path: str, **more: t.Any) -> Field:
    return Field(option, path, codecs.BOOLEAN, **more)


def _group(option: str, *path: str, **more: t.Any) -> Field:
    return Field(option, path, codecs.reference("enabled"), reference="ip_address_group", **more)


def _newer_number(option: str, *path: str) -> Field:
    return Field(option, path, codecs.POSITIVE, varies=True, known_to="newer servers")


def _no_plain_login(options: t.Mapping[str, t.Any]) -> str:
    """Say that nobody whose password is stored as SHA or checked by a directory can log in (securing-kerio-connect-1239)."""
    methods = options.get("authentication_methods")
    plain = [on for name, on in methods.items() if name.upper() in ("PLAIN", "LOGIN")] if isinstance(methods, dict) else []
    if not plain or any(plain):
        return ""
    return (
        "PLAIN and LOGIN are both off, so that users of a directory, or with a password stored as SHA, cannot log in, "
        "and archivers that log in as users may fail"
    )


# Marked read-only in the interface description of AdvancedOptions.
_CHECKED = (
    "timeFromLastCheck",
    "downloadedFile",
    "updateInfo",
    "kocVersion",
    "koffVersion",
    "kspVersion",
    "kscVersion",
)
_ARCHIVE = Source("Archive.get", "Archive.set", "options")
_ADVANCED = Source(
    "AdvancedOptions.get",
    "AdvancedOptions.set",
    "options",
    read_only=tuple(("updateChecker", member) for member in _CHECKED),
    write_only=(("masterAuthentication", "password"), ("httpProxy", "password")),
)
_SECURITY = Source("SecurityPolicy.get", "SecurityPolicy.set", "options")
# Who is logged in; there is nothing to write.
WHO_AM_I = Source("Session.whoAmI", "", "userDetails")

ARCHIVING = SettingsKind(
    "archiving",
    _ARCHIVE,
    module="kerio_archiving",
    fields=(
        _switch("enabled", "isEnabled"),
        Field("remote_address", ("remoteArchive",), codecs.switched_address("enabled", "value")),
        _switch("to_local_folder", "archiveToLocalFolder"),
        Field(
            "folder_interval",
            ("archiveFoldersInterval",),
            codecs.choice({"day": "periodDay", "week": "periodWeek", "month": "periodMonth"}),
        ),
        _switch("compress_old_folders", "compressOldArchiveFolders"),
        Field("compression_start_time", ("compressionStartTime",), codecs.TIME_OF_DAY),
        _switch("local_messages", "archiveLocalMessages"),
        _switch("incoming_messages", "archiveIncomingMessages"),
        _switch("outgoing_messages", "archiveOutgoingMessages"),
        _switch("relayed_messages", "archiveRelayedMessages"),
        _switch("before_filter", "archiveBeforeFilter"),
        _switch("instant_messages", "isXmppEnabled", varies=True, known_to="newer servers", when_absent=False),
        _switch("per_domain", "isEnabledPerDomain", varies=True, known_to="Kerio Connect 9.1 and newer", when_absent=False),
    ),
)

MASTER_AUTHENTICATION = SettingsKind(
    "master_authentication",
    _ADVANCED,
    module="kerio_master_authentication",
    fields=(
        _switch("enabled", "masterAuthentication", "isEnabled"),
        Field(
            "ip_address_group",
            ("masterAuthentication", "groupRestriction"),
            codecs.REFERENCE,
            reference="ip_address_group",
        ),
        Field("password", ("masterAuthentication", "password"), codecs.TEXT, secret=True),
    ),
)

ADVANCED_OPTIONS = SettingsKind(
    "advanced_options",
    _ADVANCED,
    module="kerio_advanced_options",
    fields=(
        _switch("insert_x_envelope_to", "miscellaneous", "insertXEnvelopeTo"),
        _switch("log_host_names", "miscellaneous", "logHostNames"),
        _switch(
            "show_program_name_and_version",
            "miscellaneous",
            "showProgramNameAndVersion",
            after_change="takes effect when the server is restarted",
        ),
        _switch("tnef_decoding", "miscellaneous", "enableTNEFDecoding"),
        _switch("uuencoded_conversion", "miscellaneous", "enableUUEncodedConversion"),
        _switch(
            "allow_unsupported_activesync_devices",
            "miscellaneous",
            "allowUnsupportedActiveSyncDevices",
            varies=True,
            known_to="Kerio Connect 8",
        ),
    ),
)

SECURITY_POLICY = SettingsKind(
    "security_policy",
    _SECURITY,
    module="kerio_security_policy",
    caution=_no_plain_login,
    fields=(
        Field(
            "mode",
            ("mode",),
            codecs.choice(
                {
                    "no_restrictions": "SPNoRestrictions",
                    "authentication_required": "SPAuthenticationRequired",
                    "encryption_required": "SPEncryptionRequired",
                }
            ),
        ),
        Field("authentication_methods", ("authenticationMethods",), codecs.SWITCHES),
        _switch("allow_ntlm_for_kerberos_users", "allowNtlmForKerberosUsers"),
        _switch("lockout", "enableLockout"),
        Field("failed_logins_to_lock", ("failedLoginsToLock",), codecs.POSITIVE),
        Field("minutes_to_unlock", ("minutesToUnlock",), codecs.POSITIVE),
        _group("authentication_exception_group", "authenticationExceptionGroup"),
        _group("encryption_exception_group", "encryptionExceptionGroup"),
        _switch("anti_hammering", "antiHammering", "isEnabled", varies=True, known_to="newer servers", when_absent=False),
        _newer_number("anti_hammering_failed_logins", "antiHammering", "failedLoginsToBlock"),
        _newer_number("anti_hammering_minutes", "antiHammering", "minutesToBlock"),
        _group(
            "anti_hammering_exception_group",
            "antiHammering",
            "exceptionIpGroup",
            varies=True,
            known_to="newer servers",
            when_absent="",
        ),
    ),
)

DOMAIN_ARCHIVING_FIELDS = (
    Field(
        "remote_address",
        (),
        codecs.switched_address("useRemoteArchiveAddress", "remoteArchiveAddress"),
        varies=True,
        known_to="Kerio Connect 9.1 and newer",
    ),
    _switch("local_messages", "archiveLocalMessages", varies=True, known_to="Kerio Connect 9.1 and newer"),
    _switch("incoming_messages", "archiveIncomingMessages", varies=True, known_to="Kerio Connect 9.1 and newer"),
    _switch("outgoing_messages", "archiveOutgoingMessages", varies=True, known_to="Kerio Connect 9.1 and newer"),
    _switch("before_filter", "archiveBeforeFilter", varies=True, known_to="Kerio Connect 9.1 and newer"),
)

SERVICE_FIELDS = (
    # Services.start and Services.stop change it; in the object it is sent as received.
    _switch("running", "isRunning"),
    Field("start_up", ("howToStart",), codecs.choice({"automatic": "Automatic", "manual": "Manual"})),
    Field("listeners", ("listeners",), codecs.LISTENERS),
    Field("ip_address_group", ("group",), codecs.reference("isUsed", "ipGroup"), reference="ip_address_group"),
    Field("connection_limit", ("connectionLimit",), codecs.switched_number("isSet", "value")),
)

USER_FIELDS = (
    Field("full_name", ("fullName",), codecs.TEXT),
    Field("description", ("description",), codecs.TEXT),
    _switch("enabled", "isEnabled"),
    Field("addresses", ("emailAddresses",), codecs.NAMES),
    Field(
        "role",
        ("role", "userRole"),
        codecs.choice(
            {"user": "UserRole", "auditor": "Auditor", "account_admin": "AccountAdmin", "full_admin": "FullAdmin"},
        ),
    ),
    _switch("public_folder_right", "role", "publicFolderRight"),
    _switch("archive_folder_right", "role", "archiveFolderRight"),
    _switch("in_global_address_list", "publishInGal"),
    _switch("may_change_password", "allowPasswordChange"),
    _switch("password_reversible", "isPasswordReversible"),
    Field("disk_limit_mb", ("diskSizeLimit",), codecs.SIZE_LIMIT),
    Field("item_limit", ("itemLimit",), codecs.switched_number("isActive", "limit")),
    Field("password", ("password",), codecs.TEXT, secret=True),
)

DOMAIN = ObjectKind(
    "domain",
    "Domains.get",
    "list",
    "name",
    order_by="name",
    set="Domains.set",
    set_ids="domainIds",
    set_pattern="pattern",
    fields=DOMAIN_ARCHIVING_FIELDS,
)
USER = ObjectKind(
    "user",
    "Users.get",
    "list",
    "loginName",
    per_domain=True,
    order_by="loginName",
    set="Users.set",
    set_ids="userIds",
    set_pattern="pattern",
    create="Users.create",
    remove="Users.remove",
    fields=USER_FIELDS,
)
GROUP = ObjectKind("group", "Groups.get", "list", "name", per_domain=True, order_by="name")
ALIAS = ObjectKind("alias", "Aliases.get", "list", "name", per_domain=True, order_by="name")
# Groups by name; the entries of all groups, one row per address, come from IpAddressGroups.get.
IP_ADDRESS_GROUP = ObjectKind("ip_address_group", "IpAddressGroups.getGroupList", "groups", "name", paged=False)
IP_ADDRESS_ENTRY = ObjectKind(
    "ip_address_entry",
    "IpAddressGroups.get",
    "list",
    "groupName",
    order_by="item",
    set="IpAddressGroups.set",
    set_ids="groupIds",
    set_pattern="details",
    create="IpAddressGroups.create",
    remove="IpAddressGroups.remove",
)
SERVICE = ObjectKind(
    "service",
    "Services.get",
    "services",
    "name",
    paged=False,
    set="Services.set",
    set_whole="services",
    fields=SERVICE_FIELDS,
)

SETTINGS = {kind.name: kind for kind in (ARCHIVING, MASTER_AUTHENTICATION, ADVANCED_OPTIONS, SECURITY_POLICY)}
OBJECTS = {kind.name: kind for kind in (DOMAIN, USER, GROUP, ALIAS, IP_ADDRESS_GROUP, IP_ADDRESS_ENTRY, SERVICE)}


def check_fields(owner: str, fields: t.Sequence[Field], references: t.Container[str]) -> None:
    """Raise ``ValueError`` when rows contradict each other."""
    _unique(owner, [field.option for field in fields])
    places = [(*field.path, member) for field in fields for member in (field.codec.members or ("",))]
    _unique(owner, [".".join(place) for place in places])
    for field in fields:
        where = f"{owner}.{field.option}"
        _require(bool(field.path or field.codec.members), f"{where} has no place in the API object")
        _require(not field.reference or field.reference in references, f"{where} refers to the unknown kind {field.reference}")
        _require(not field.varies or bool(field.known_to), f"{where} does not say which servers have it")
        _require(field.varies or field.when_absent is None, f"{where} has a value for its absence, but is never absent")


def check_settings(kind: SettingsKind, references: t.Container[str]) -> None:
    """Raise ``ValueError`` when a settings kind contradicts itself: a secret that would be echoed, a read-only option."""
    check_fields(kind.name, kind.fields, references)
    source = kind.source
    for method in (source.get, source.set):
        _require(method.count(".") == 1, f"{kind.name}: {method!r} is not Interface.method")
    for field in kind.fields:
        where = f"{kind.name}.{field.option}"
        _require(field.secret == (field.path in source.write_only), f"{where}: secret and write-only must be the same")
        read_only = [path for path in source.read_only if path == field.path[: len(path)]]
        _require(not read_only, f"{where} is read-only")


def check_objects(kind: ObjectKind, references: t.Container[str]) -> None:
    """Raise ``ValueError`` when an object kind contradicts itself."""
    check_fields(kind.name, kind.fields, references)
    _require(kind.get.count(".") == 1, f"{kind.name}: {kind.get!r} is not Interface.method")
    _require(kind.paged == bool(kind.order_by), f"{kind.name}: pages need an order, and an order needs pages")
    named = bool(kind.set_whole) != bool(kind.set_ids and kind.set_pattern)
    _require(named if kind.set else not (kind.set_whole or kind.set_ids), f"{kind.name}: set needs the names of its parameters")
    _require(bool(kind.set) or not kind.fields, f"{kind.name} has options but no way to write them")
    _require(kind.paged or not kind.per_domain, f"{kind.name}: a list per domain is asked for with a query")


def _unique(owner: str, names: t.Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    _require(not twice, f"{owner} has {', '.join(twice)} twice")


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


for _settings in SETTINGS.values():
    check_settings(_settings, OBJECTS)
for _objects in OBJECTS.values():
    check_objects(_objects, OBJECTS)
