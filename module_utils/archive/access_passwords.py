# SPDX-License-Identifier: GPL-3.0-or-later
"""argon2id hashes of the passwords of integrated users, in the form that Dovecot reads."""

from __future__ import annotations

import sys
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, MissingLibraryError

try:
    import argon2
except ImportError:
    HAS_ARGON2 = False
else:
    HAS_ARGON2 = True

MARK = "$argon2id$"
_LARGEST = 131072  # KiB that a hash may take


def require_argon2() -> None:
    """Raise MissingLibraryError when the interpreter has no argon2-cffi."""
    if not HAS_ARGON2:
        raise MissingLibraryError(
            "argon2-cffi",
            f"the Python library is not installed for {sys.executable}",
            "Let the role archive_host install the Python environment, or install argon2-cffi for that interpreter",
        )


def hashes(passwords: t.Mapping[str, str], live: t.Mapping[str, str]) -> dict[str, str]:
    """The hash of each password, by the same key. ``live``: the hashes in use, which stay while they fit.

    A value that is a hash already is taken as it is.
    """
    if passwords:
        require_argon2()
    return {user: _hash(user, password, live.get(user, "")) for user, password in passwords.items()}


def _hash(user: str, password: str, live: str) -> str:
    if password.startswith(MARK):
        return _checked(user, password)
    if not password or "\0" in password:
        raise InputError(f"the password of {user}", "it is empty or has a NUL in it", "Give one that an IMAP client can send")
    if live and _fits(live, password):
        return live
    # 64 MiB, about 80 ms; Dovecot's auth process may take 256 MB. One lane: it computes them in one thread.
    return argon2.PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1).hash(password)


def _fits(live: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(live, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _checked(user: str, given: str) -> str:
    subject = f"the password of {user}"
    try:
        costs = argon2.extract_parameters(given)
    except (argon2.exceptions.InvalidHashError, ValueError) as error:
        raise InputError(
            subject, "it begins as an argon2id hash and is none", "Copy the whole hash, or give the password"
        ) from error
    if ":" in given or any(char.isspace() for char in given):
        raise InputError(subject, "it has a blank or a colon in it", "Copy the hash alone")
    if costs.memory_cost > _LARGEST:
        cause = f"the hash takes {costs.memory_cost:,} KiB, and Dovecot's process for logins cannot have so much"
        raise InputError(subject, cause, f"Make one with at most {_LARGEST:,} KiB")
    return given
