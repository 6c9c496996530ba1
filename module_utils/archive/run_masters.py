# SPDX-License-Identifier: GPL-3.0-or-later
"""Two master passwords for one server, while the password is being rotated; and servers that refused theirs before the run."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import threading
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets, endpoint_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError, LoginRefusedError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.login import proves_wrong

# Which password is tried at the next login, and which after it was wrong; there is no way back.
FIRST, OTHER, NEITHER = b"1", b"2", b"0"
AFTER = {FIRST: OTHER, OTHER: NEITHER}

ROTATING = "{}: the server still takes the other master password; finish the rotation"
NOT_TRIED = "the master password was refused before in this playbook run and is not tried again: {}"
SET_IT = "Let configure.yml set this master password; until then give the one that the server has as other_master_password"
HAVE_ONE = "Give master_password with the server, or leave the server out of profiles that need it"

Open = t.Callable[[Endpoint, Credentials], t.Any]


class _Ring:
    """The two passwords of a server.

    The one byte in memory that all processes of a run share says which password to use. Who holds the lock on it may log in, so
    the threads and processes log in one at a time and learn from each other: a wrong password costs one attempt, also when it is
    changed during the run. The kernel takes the lock from a process that dies.
    """

    def __init__(self, server: Server, first: str, other: str) -> None:
        self.name = server.name
        self._endpoint = endpoint_of(server)
        self._first = first
        self._other = other
        self._before = server.refused
        self._shared = os.memfd_create("password in use")
        self._threads = threading.Lock()  # the kernel's lock is between processes
        self._write(OTHER if server.refused else FIRST)

    def fits(self, endpoint: Endpoint, credentials: Credentials) -> bool:
        """Whether this is a login on the server with its master password."""
        return credentials.master and (endpoint, credentials.password) == (self._endpoint, self._first)

    def open(self, attempt: Open, endpoint: Endpoint, credentials: Credentials) -> t.Any:
        """Log in with the password that is right as far as is known, and once with the other one when it is wrong."""
        usable = {FIRST: credentials, OTHER: dataclasses.replace(credentials, password=self._other)}
        words = [self._before] if self._before else []
        with self._turn():
            state = self._read()
            while state in usable:
                try:
                    return attempt(endpoint, usable[state])
                except LoginRefusedError as error:
                    if not proves_wrong(error):
                        raise
                    words.append(error.cause)
                state = AFTER[state]
                self._write(state)
        cause = "; ".join(["master_password and other_master_password are both wrong", *dict.fromkeys(words)])
        raise LoginRefusedError(endpoint.label, cause, SET_IT, stage="X-MASTERAUTH", answer="NO")

    @contextlib.contextmanager
    def _turn(self) -> t.Iterator[None]:
        with self._threads:
            fcntl.lockf(self._shared, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._shared, fcntl.LOCK_UN)

    def _read(self) -> bytes:
        return os.pread(self._shared, 1, 0)

    def _write(self, state: bytes) -> None:
        os.pwrite(self._shared, state, 0)

    def switched(self) -> bool:
        """Whether the other password is in use."""
        return self._read() == OTHER

    def close(self) -> None:
        # A look that a stop left behind may still wait for its login: it must not find somebody else's file here.
        if self._threads.acquire(blocking=False):
            os.close(self._shared)
            self._shared = -1
            self._threads.release()


class MasterKeys:
    """The servers with two master passwords. Make it before the worker processes, which inherit it; close it after them."""

    def __init__(self, servers: t.Mapping[str, Server], secrets: Secrets) -> None:
        self._rings = [_Ring(servers[name], secrets.master[name], other) for name, other in secrets.other.items()]

    def over(self, imap: Imap) -> Imap:
        """``imap`` with logins that know of the other password."""

        def open_with_either(endpoint: Endpoint, credentials: Credentials) -> t.Any:
            ring = next((ring for ring in self._rings if ring.fits(endpoint, credentials)), None)
            return ring.open(imap.open, endpoint, credentials) if ring else imap.open(endpoint, credentials)

        return dataclasses.replace(imap, open=open_with_either) if self._rings else imap

    def warnings(self) -> list[str]:
        """One for each server that took the other password."""
        return [ROTATING.format(ring.name) for ring in self._rings if ring.switched()]

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for ring in self._rings:
            ring.close()


def refused_before(servers: t.Mapping[str, Server], secrets: Secrets) -> dict[str, LoginRefusedError]:
    """Why the master password of a server is not tried in this run, by server."""
    return {
        name: LoginRefusedError(
            name, NOT_TRIED.format(server.refused), SET_IT, stage="X-MASTERAUTH", answer="NO", digest_sent=True
        )
        for name, server in servers.items()
        if server.refused and name not in secrets.other
    }


def untried(servers: t.Mapping[str, Server], secrets: Secrets) -> dict[str, ArchiveToolError]:
    """The servers on which no master password is tried in this run, with the reason: also those that have none."""
    without: dict[str, ArchiveToolError] = {
        name: InputError(f"server {name}", "it has no master password", HAVE_ONE)
        for name in servers
        if not secrets.master.get(name)
    }
    return {**without, **refused_before(servers, secrets)}
