# SPDX-License-Identifier: GPL-3.0-or-later
"""Master authentication: one password that opens every mailbox over IMAP, hence what is refused and when it is written."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import declare, kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_access import open_to_all
from ansible_collections.mailops.kerio.plugins.module_utils.master_password import refuse_weak
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan

# What can be read back.
COMPARED = ("enabled", "ip_address_group")
STATES = ("right", "wrong", "cannot_tell", "unset")
Options = t.Mapping[str, t.Any]


def declare_master_authentication(server: Server, options: Options, check_mode: bool) -> Plan:
    """Bring master authentication to what is declared.

    The password cannot be read back. It is written in two cases: when master authentication goes from off to on, and when it is
    on and a login with the declared password was refused (``password_state: wrong``).
    """
    if options["password"] is not None:
        refuse_weak(f"{server.name}: the master password", options["password"])
    reading = server.read(kinds.MASTER_AUTHENTICATION)
    current = reading.options
    _refuse_any_address(server.name, options, current)
    wanted = {name: options[name] for name in COMPARED}
    if _writes_password(server, options, bool(current.get("enabled"))):
        wanted["password"] = options["password"]
    return declare.settle(server, kinds.MASTER_AUTHENTICATION, reading, wanted, check_mode)


def compare_master_authentication(server: Server, options: Options) -> Plan:
    """Return what ``declare_master_authentication`` would change, the password left aside, and change nothing.

    An outcome that it would refuse is not refused here: that is a relation, which whoever compares may accept.
    """
    reading = server.read(kinds.MASTER_AUTHENTICATION)
    wanted = {name: options[name] for name in COMPARED}
    return declare.settle(server, kinds.MASTER_AUTHENTICATION, reading, wanted, True)


def _outcome(options: Options, current: Options, name: str) -> t.Any:
    return current.get(name) if options[name] is None else options[name]


def _refuse_any_address(where: str, options: Options, current: Options) -> None:
    """Refuse an outcome in which master authentication is on and open to every address."""
    declares = any(options[name] is not None for name in (*COMPARED, "password"))
    outcome = {name: _outcome(options, current, name) for name in COMPARED}
    problem = open_to_all(where, {**outcome, "allow_any_address": options["allow_any_address"]})
    if declares and problem is not None:
        raise InputError(*problem)


def _writes_password(server: Server, options: Options, on_now: bool) -> bool:
    on_after = on_now if options["enabled"] is None else options["enabled"]
    if not on_after:
        return False
    if not on_now:
        if options["password"] is None:
            raise InputError(
                f"{server.name}: master authentication",
                "it would be switched on without a password, and the server keeps whatever it has, perhaps none",
                "Declare password",
            )
        return True
    return options["password"] is not None and _tried_and_wrong(server, options)


def _tried_and_wrong(server: Server, options: Options) -> bool:
    state = options["password_state"]
    if state == "cannot_tell":
        reason = options["password_state_reason"] or "the login could not be tried"
        server.warnings.append(
            f"{server.name}: the master password is not written, because nobody can tell whether it differs: {reason}"
        )
    elif state == "unset":
        server.warnings.append(
            f"{server.name}: the master password is not compared, because password_state is not given; "
            "pass the answer of mailops.kerio.kerio_master_login"
        )
    return bool(state == "wrong")
