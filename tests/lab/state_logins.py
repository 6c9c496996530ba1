# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody may log in: the one place where all front ends ask, and where attempts are counted and recorded.

The causes of a refusal are the double's own words, for records and for tests; what a client reads is the front end's matter.
"""

from __future__ import annotations

import dataclasses
import hmac
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.lab.users import User

if TYPE_CHECKING:
    from tests.lab.state import ServerState

# Says what is wrong with the proof that a client gave for this user: "" (nothing), "password" or "method".
Proof = Callable[[User], str]
OUTCOMES = {"": "ok", "blocked": "blocked", "locked": "locked", "foreign": "foreign"}  # else failed
# Attempts that count for nothing: the password was right or was not looked at.
UNCOUNTED = ("", "blocked", "locked", "foreign")
LOG_NAMES = {"imap": "IMAP", "smtp": "SMTP", "admin": "HTTP"}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`user` is None when the login is refused, and `cause` says why: unknown, disabled, password, method, ..."""

    user: User | None
    cause: str = ""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Who tried to log in, as `account` (under which it counts) and as the client said it, from where, to what."""

    account: str
    name: str
    ip: str
    service: str
    method: str = ""
    application: str = ""


def password(given: str) -> Proof:
    """The proof of PLAIN and LOGIN: the password itself."""
    return lambda user: "" if hmac.compare_digest(user.password.encode(), given.encode("utf-8", "replace")) else "password"


class Logins:
    """The logins of one server."""

    def __init__(self, state: ServerState) -> None:
        self.state = state

    def check(
        self, name: str, proof: Proof, ip: str, service: str, *, method: str = "", application: str = "", own: bool = False
    ) -> Verdict:
        """One attempt of a user. `name` as the client gave it; `own`: the mailbox has to be on this server."""
        with self.state.lock:
            user = self.state.find_user(name)
            account = user.address.lower() if user else name.strip().lower()
            cause = self._cause(user, account, proof, ip, service)
            if user and not cause and own and self.state.elsewhere(user):
                cause = "foreign"
            attempt = Attempt(account, name, ip, service, method, application)
            self._settle(attempt, cause)
            return Verdict(None if cause else user, cause)

    def check_admin(self, given: str, ip: str, application: str = "") -> Verdict:
        """One attempt of the built-in administrator, who is no user."""
        with self.state.lock:
            admin = self.state.settings["Administration"]
            name = admin["builtInAdminUsername"]
            cause = "" if given == admin["builtInAdminPassword"] else "password"
            if self.state.guard.blocked(ip, "admin"):
                cause = "blocked"
            elif self.state.switches.lock_admin and self.state.guard.locked(name.lower()):
                cause = "locked"
            self._settle(Attempt(name.lower(), name, ip, "admin", application=application), cause)
            return Verdict(None, cause)

    def _cause(self, user: User | None, account: str, proof: Proof, ip: str, service: str) -> str:
        if self.state.guard.blocked(ip, service):
            return "blocked"
        if self.state.guard.locked(account):
            return "locked"
        if user is None:
            return "unknown"
        if not user.enabled:
            return "disabled"
        return proof(user)

    def _settle(self, attempt: Attempt, cause: str) -> None:
        """Count the attempt and write it down."""
        how = self.state.switches
        if not cause:
            self.state.guard.succeeded(attempt.account, attempt.ip, attempt.service)
        elif cause == "locked" and how.locked_attempts_count:
            self._failed(dataclasses.replace(attempt, account=""))
        elif cause not in UNCOUNTED and (cause != "method" or how.md5_failure_counts):
            self._failed(attempt, unknown=cause == "unknown")
        outcome = OUTCOMES.get(cause, "failed")
        more = {"account": attempt.account, "cause": cause, "method": attempt.method, "application": attempt.application}
        self.state.recorder.login(attempt.service, attempt.name, attempt.ip, outcome, **more)

    def master_failed(self, ip: str) -> None:
        """A wrong X-MASTERAUTH digest; whether it counts for anti-hammering is a switch."""
        with self.state.lock:
            if self.state.switches.master_failure_counts:
                self._failed(Attempt("", "X-MASTERAUTH", ip, "imap"))
            self.state.recorder.login("imap", "X-MASTERAUTH", ip, "failed", account="", cause="password", method="X-MASTERAUTH")

    def _failed(self, attempt: Attempt, *, unknown: bool = False) -> None:
        """Count for account and address; store/logs/security.log as support.gfi.com, article 115464, shows it."""
        label, ip = LOG_NAMES[attempt.service], attempt.ip
        if unknown:
            self._log(f"{label}: User {attempt.name} doesn't exist. Attempt from IP address {ip}.")
        else:
            self._log(f"Failed {label} login from {ip}, user {attempt.name}")
        if self.state.guard.failed(attempt.account, ip, attempt.service):
            minutes = self.state.settings["SecurityPolicy"]["antiHammering"]["minutesToBlock"]
            fate = f"will be blocked for {minutes} minutes, too many failed logins from this IP address."
            self._log(f"{label}: AntiHammering - IP address {ip} {fate}")

    def turned_away(self, ip: str, service: str) -> bool:
        """A connection from a blocked address; told in the log."""
        if not self.state.blocked(ip, service):
            return False
        self._log(f"{LOG_NAMES[service]}: AntiHammering: connection from IP address {ip} is blocked")
        return True

    def _log(self, text: str) -> None:
        log = self.state.install / "store" / "logs" / "security.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"[{time.strftime('%d/%b/%Y %H:%M:%S')}] {text}\n")
