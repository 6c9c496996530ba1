# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ways to log in the security policy leaves to an IMAP connection (sheet 2.9, kb1239).

Without TLS, SPAuthenticationRequired leaves the methods that do not send the password, SPEncryptionRequired leaves none; each
has its group of excepted addresses.
"""

from __future__ import annotations

from tests.lab import imap_capabilities
from tests.lab.state import ServerState

MECHANISMS = ("CRAM-MD5", "DIGEST-MD5", "PLAIN", "LOGIN")
CLEAR = ("PLAIN", "LOGIN")
EXCEPTIONS = {"SPAuthenticationRequired": "authenticationExceptionGroup", "SPEncryptionRequired": "encryptionExceptionGroup"}


def enabled(state: ServerState, mechanism: str) -> bool:
    """NTLM is for users of a Windows domain: the double only knows its name (switch)."""
    known = mechanism in MECHANISMS or (mechanism == "NTLM" and state.switches.ntlm_announced)
    return known and state.authentication_method(mechanism)


def withheld(state: ServerState, mechanism: str, ip: str, *, tls: bool) -> bool:
    """Refused because this connection is not encrypted; X-MASTERAUTH sends no password either."""
    policy = state.settings["SecurityPolicy"]
    if tls or policy["mode"] not in EXCEPTIONS:
        return False
    exception = policy[EXCEPTIONS[policy["mode"]]]
    if exception["enabled"] and state.in_group(exception["id"], ip):
        return False
    return policy["mode"] == "SPEncryptionRequired" or mechanism in CLEAR


def login_enabled(state: ServerState) -> bool:
    """Whether the policy's method LOGIN (or PLAIN) means the command LOGIN as well is unknown (switch)."""
    needs = {"always": "", "as_login": "LOGIN", "as_plain": "PLAIN"}[state.switches.login_command]
    return not needs or state.authentication_method(needs)


def capabilities(state: ServerState, ip: str, *, tls: bool, starttls: bool) -> list[str]:
    """What is announced before login. Methods that lack TLS are hidden, or shown and refused (switch)."""
    how = state.switches
    shown = how.refused_methods == "shown"
    names = [*imap_capabilities.announced(how.capabilities), *(["STARTTLS"] if starttls else [])]
    mechanisms = [name for name in (*MECHANISMS, "NTLM") if enabled(state, name)]
    names += [f"AUTH={name}" for name in mechanisms if shown or not withheld(state, name, ip, tls=tls)]
    if not login_enabled(state) or (withheld(state, "LOGIN", ip, tls=tls) and not shown):
        names.append("LOGINDISABLED")
    return [*names, *(["X-MASTERAUTH"] if how.master_advertised else [])]
