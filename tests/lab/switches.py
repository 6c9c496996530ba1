# SPDX-License-Identifier: GPL-3.0-or-later
"""Every behaviour of the double that the fact sheet leaves open, or that a test wants to provoke, as one switch."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any, Literal, get_args, get_origin

from tests.lab import switch_methods


@dataclasses.dataclass
class ApiSwitches:
    """Admin API over HTTPS (sheet, sections 1 and 2)."""

    profile: Literal["2013", "9.0", "9.4", "10.0"] = "10.0"  # the version that it says it is, and the members of that time
    extra_members: bool = False  # structures carry members that no binding knows
    cookie_name: str = "SESSION_CONNECT_WEBADMIN"  # of the session
    second_cookie: bool = True  # TOKEN_CONNECT_WEBADMIN next to the session cookie
    session_calls: int = 0  # a session expires after so many calls; 0 = never
    session_seconds: float = 0.0  # a session expires after so long without a call; 0 = never
    unknown_method: Literal["-32601", "-32602", "hang"] = "-32601"  # code of a method that does not exist, or no answer
    unknown_members: Literal["accept", "reject"] = "accept"  # parameters and members that a call has too many; reject = -32602
    read_only_members: Literal["ignore", "reject"] = "ignore"  # members of a set that are read-only; reject = -32602
    partial_options: Literal["accept", "reject"] = "accept"  # a set of options that lacks some of them; reject = -32602
    language: Literal["en", "de"] = "en"  # of texts that are made to be shown
    placeholders: Literal["filled", "unfilled"] = "unfilled"  # error messages with values, or with %1
    error_data: bool = True  # error.data with the positional parameters
    error_status: int = 200  # HTTP status of error bodies
    void_result: Literal["object", "null"] = "object"  # the result of methods that return nothing
    null_error: bool = False  # successes carry "error": null
    incomplete_struct: Literal["zero", "reject"] = "zero"  # a nested structure in a set that lacks members
    empty_password: Literal["erases", "keeps"] = "erases"  # what an empty write-only password does to the one that is set
    write_only: Literal["empty", "absent"] = "empty"  # how get shows a write-only password
    login_error: int = 1000  # JSON-RPC code of a refused login
    anonymous_version: bool = False  # Version.* answers without a session
    group_role: Literal["string", "object"] = "string"  # how the role of a group looks; that of a user is an object
    licensed_users: int = 0  # Users.create beyond it -> 1003; 0 = no limit
    list_limit: int = 0  # most rows that one get returns; 0 = no cap
    api_delay: float = 0.0  # seconds before each answer
    size_units: Literal["kept", "largest"] = "kept"  # get returns sizes as sent, or in the largest unit that fits
    absent_members: str = ""  # comma-separated "Kind.member" that this server lacks, e.g. "SecurityPolicy.antiHammering"
    hang_methods: str = ""  # comma-separated methods that never answer
    fail_methods: str = ""  # comma-separated "Method=code" that answer with this error
    fail_items: str = ""  # "Users.create=1003" (every item), "Services.set:1=1000" (this one): errors inside success
    refuse_writes: bool = False  # every method that changes something -> 1004, recorded


@dataclasses.dataclass
class AccountSwitches:
    """Who may do what: groups, rights, logins and master authentication, whatever the protocol."""

    remote_admin_refusal: Literal["forbidden", "error", "close"] = "forbidden"  # HTTP 403, JSON 1004, connection closed
    group_in_use: Literal["accept", "refuse"] = "accept"  # removal of the last entry of a group that something refers to
    unknown_group: Literal["accept", "refuse"] = "accept"  # settings that refer to a group that does not exist
    auditor_reads: Literal["some", "most"] = "some"  # most = every get but those that are known to fail
    directory_remove: Literal["needs_mode", "any"] = "needs_mode"  # Users.remove of a user from a directory
    auth_methods: str = "CRAM-MD5,DIGEST-MD5,NTLM,PLAIN,LOGIN"  # the names in the security policy's list
    domain_alias_login: bool = False  # alice@<alias of the domain> is a login too
    empty_group_restriction: Literal["everyone", "nobody"] = "everyone"  # whom master authentication without a group admits
    master_failure_counts: bool = True  # a wrong X-MASTERAUTH digest counts for anti-hammering


@dataclasses.dataclass
class LoginSwitches:
    """Failed logins: what they count for, and how a refusal looks (sheet 2.9, 3.4)."""

    hammering_scope: Literal["service", "server"] = "service"  # an address is blocked for one service, or for all
    hammering_window: float = 60.0  # seconds in which the failures of an address count together; 0 = for ever
    hammering_refusal: Literal["close", "bye", "no"] = "close"  # a blocked address: closed, BYE, or every login is refused
    success_resets: Literal["account", "both", "none"] = "account"  # whose count a success sets back: both = the address's too
    lock_admin: bool = True  # the built-in administrator can be locked out too
    locked_attempts_count: bool = False  # an attempt at a locked account counts for the address
    locked_setuser: Literal["accept", "no"] = "accept"  # X-SETUSER for an account that is locked
    disabled_setuser: Literal["accept", "no"] = "no"  # X-SETUSER for an account that is disabled
    md5_failure_counts: bool = True  # CRAM-MD5, DIGEST-MD5 for an account that cannot use them is a failed login
    clock_ahead: float = 0.0  # minutes by which the clock of lockout and anti-hammering is ahead
    refusal_words: Literal["same", "telling"] = "same"  # NO says the cause: disabled, locked, ...
    refusal_delay: float = 0.0  # seconds before a login is refused
    refusals_per_connection: int = 0  # after so many the connection is closed; 0 = never
    refused_methods: Literal["hidden", "shown"] = "hidden"  # AUTH= names a method that is refused for want of TLS
    ntlm_announced: bool = False  # AUTH=NTLM; the double refuses everybody who tries it
    digest_realm: Literal["domain", "hostname", "none"] = "domain"  # the realm that DIGEST-MD5 offers
    login_literals: Literal["accept", "refuse"] = "accept"  # literals as arguments of LOGIN


@dataclasses.dataclass
class DistributedSwitches:
    """A distributed domain (sheet 7). `python -m tests.lab start --distributed DOMAIN`."""

    distributed_lists: Literal["all", "own"] = "all"  # Users.get, Aliases.get: of the whole domain, or those at home here
    distributed_ids: Literal["same", "own"] = "same"  # a user has one id on all servers, or one on each; when the lab is made
    home_server_name: Literal["hostname", "name"] = "hostname"  # homeServer.name: Internet hostname (IDL), or the server's name
    foreign_mailbox: Literal["no", "bye", "empty"] = "no"  # a login away from the home server: refused, or an empty mailbox


@dataclasses.dataclass
class ImapSwitches:
    """IMAP front (sheet, section 3). The capabilities that are unknown can be chosen whole."""

    capabilities: str = "typical"  # minimal, typical, rich (imap_capabilities.py), or the whole list as it is announced
    master_advertised: bool = False  # CAPABILITY names X-MASTERAUTH
    master_refusal: Literal["no", "bad", "bye", "close"] = "no"  # how X-MASTERAUTH is refused
    master_refusal_disabled: Literal["", "no", "bad", "bye", "close"] = ""  # while it is switched off; "" = as master_refusal
    master_refusal_address: Literal["", "no", "bad", "bye", "close"] = ""  # to an address outside of the group
    master_refusal_password: Literal["", "no", "bad", "bye", "close"] = ""  # for a wrong password
    second_setuser: Literal["accept", "no"] = "no"  # a second X-SETUSER on one connection
    delete_moment: Literal["store", "expunge"] = "store"  # when AutoExpungeOnDelete 1 moves the message
    groupware_folders: bool = False  # Calendar, Contacts, ... show up in LIST
    public_folders: bool = False  # there is a selectable folder below Public Folders
    archive_folders: bool = False  # there is a selectable folder below #archive, as for who may read the local archive
    unselectable_folders: str = ""  # comma-separated: listed, but SELECT, EXAMINE and STATUS answer NO
    list_children: bool = False  # LIST says \HasChildren and \HasNoChildren
    login_command: Literal["always", "as_login", "as_plain"] = "always"  # the authentication method LOGIN needs, if any
    drop_after_commands: int = 0  # the connection breaks after so many commands; 0 = never


@dataclasses.dataclass
class SmtpSwitches:
    """What an archived copy looks like (sheet, section 5)."""

    envelope_to_copy: Literal["recipients", "archive", "none"] = "archive"  # whom X-Envelope-To of an archived copy names
    archive_archive_mail: bool = False  # mail addressed to the archive address is archived again


@dataclasses.dataclass
class FileSwitches:
    """mailserver.cfg (sheet, sections 4.2-4.4)."""

    auto_expunge: Literal["once", "absent", "twice"] = "once"  # how often AutoExpungeOnDelete stands in the file
    auto_expunge_table: str = "Imap"  # the table that AutoExpungeOnDelete stands in
    cfg_eol: Literal["lf", "crlf"] = "lf"  # how lines end
    cfg_bom: bool = False  # the file begins with a byte order mark
    cfg_declaration: bool = True  # the file begins with an XML declaration
    cfg_decoy: bool = False  # a commented-out AutoExpungeOnDelete line above the real one
    cfg_big: int = 0  # so many extra list items, for size
    save_on_change: bool = False  # the files are rewritten after admin changes too


@dataclasses.dataclass
class ServiceSwitches:
    """Starting and stopping (sheet, section 4.5)."""

    start_mode: Literal["normal", "refuses", "no_ports", "dies"] = "normal"  # no_ports: it runs, and nothing answers
    start_seconds: float = 0.0  # process runs, ports not yet open
    stop_mode: Literal["normal", "ignores_term", "refuses"] = "normal"  # refuses: the init script fails, and it runs on
    stop_seconds: float = 0.0  # between TERM and the end of the process
    stop_wait: float = 300.0  # after this the init script kills
    watchdog: bool = False  # a second process that starts a server that died
    status_code: int = 0  # exit code of `kerio-connect status`, meaningless by design


@dataclasses.dataclass
class Switches(
    ApiSwitches,
    AccountSwitches,
    LoginSwitches,
    DistributedSwitches,
    ImapSwitches,
    SmtpSwitches,
    FileSwitches,
    ServiceSwitches,
):
    """All switches, flat; values come as JSON or as text from `--switch name=value`."""

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Switches:
        """Raises ValueError for an unknown name or a value outside its type, naming what is allowed.

        Whether methods and members that are named exist is checked by `admin_dispatch.check_switches`.
        """
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ValueError(f"unknown switches {', '.join(unknown)}; known: {', '.join(sorted(hints))}")
        made = cls(**{name: _convert(name, hints[name], value) for name, value in values.items()})
        switch_methods.hanging(made.hang_methods)
        switch_methods.failing(made.fail_methods)
        switch_methods.failing_items(made.fail_items)
        return made

    def changed(self) -> dict[str, Any]:
        """The switches that are not at their default."""
        default = Switches()
        return {k: v for k, v in dataclasses.asdict(self).items() if v != getattr(default, k)}


TRUE_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _convert(name: str, wanted: Any, value: Any) -> Any:
    if get_origin(wanted) is Literal:
        if str(value) not in get_args(wanted):
            raise ValueError(f"switch {name}: {value!r} is not one of {', '.join(get_args(wanted))}")
        return str(value)
    if wanted is bool:
        if str(value).lower() not in TRUE_WORDS:
            raise ValueError(f"switch {name}: {value!r} is not a truth value")
        return TRUE_WORDS[str(value).lower()]
    return wanted(value)


def parse_switch(text: str) -> tuple[str, str]:
    """`name=value` of the command line."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--switch {text}: expected name=value")
    return name.strip().replace("-", "_"), value.strip()


def load(settings: str) -> Switches:
    """Switches out of the text of lab-server.json."""
    return Switches.from_mapping(json.loads(settings).get("switches", {}))
