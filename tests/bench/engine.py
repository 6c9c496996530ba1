# SPDX-License-Identifier: GPL-3.0-or-later
"""The archiving engine in a process of its own, called as the module archive_run calls it.

As a program it takes a ``Task`` as JSON on its standard input and prints what came out. The archive is made before.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run as archive_run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import CATALOG_FILE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection, open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from tests.bench.figures import Json, Sample
from tests.bench.machine import FailedError, timed
from tests.lab.playbooks import ROOT

SERVER = "mail1"
# A key for one run.
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
LEDGER = Ledger("bench", KEY)


@dataclass(frozen=True)
class Task:
    """One run: the archive, the server and one mailbox, or all archive users' mailboxes when ``mailbox`` is empty.

    Without ``ledger`` the engine keeps none, as nobody can have it: to tell what the ledger costs.
    """

    root: str
    port: int
    password: str = field(repr=False)
    mailbox: str = ""
    ca_file: str = ""
    connections: int = 2
    ledger: bool = True

    def options(self) -> Options:
        """What the module makes of its parameters."""
        tls = {"access": "IMAP-SSL", "ca_file": self.ca_file} if self.ca_file else {"access": "IMAP"}
        server = {"name": SERVER, "host": "127.0.0.1", "port": self.port, "connections": self.connections, **tls}
        servers = parse_servers([server])
        if not self.mailbox:
            profiles = parse_profiles([{"name": "all", "method": "multiple_mailboxes"}], servers)
            return Options(self.root, servers, profiles, Secrets({SERVER: self.password}), ledger=LEDGER)
        one = {"name": "one", "method": "single_mailbox", "mailbox": self.mailbox, "target_user": self.mailbox}
        profiles = parse_profiles([{**one, "servers": [SERVER]}], servers)
        # More processes than connections would have nothing to do.
        secrets = Secrets({}, {"one": self.password})
        return Options(self.root, servers, profiles, secrets, processes=self.connections, ledger=LEDGER)


class NoLedger:
    """In the place of Evidence."""

    grown = False
    owner = ""

    def __init__(self, *_: object) -> None:
        pass

    def nothing(self, *_: object) -> None:
        """Say nothing."""

    begin = messages = write = close = nothing

    def seal(self, *_: object) -> str:
        """No checkpoint."""
        return ""


def run(task: Task) -> Sample:
    """Archive in a new process. Raises ``FailedError`` when anything was wrong."""
    done = timed([sys.executable, "-m", "tests.bench.engine"], json.dumps(dataclasses.asdict(task)), engine_path())
    told = json.loads(done.output.splitlines()[-1])
    if told["errors"]:
        raise FailedError(f"the engine reports {told['errors'][:3]}")
    return Sample(told["seconds"], done.cpu - told["import_cpu"], told["placements"], done.seconds)


def engine_path() -> dict[str, str]:
    """Where Python finds the collection."""
    return {"PYTHONPATH": f"{ROOT}:{ROOT / 'collections'}", "PYTHONDONTWRITEBYTECODE": ""}


def make_archive(root: Path, addresses: t.Iterable[str] = ()) -> None:
    """A new archive whose users have these addresses."""
    Store.create(str(root)).close()
    values = [UserValues(name=address, origin="bench", server=SERVER, addresses=(address,)) for address in addresses]
    with Catalog.open(f"{root}/{CATALOG_FILE}") as catalog:
        if values:
            catalog.apply_users([UserStep(None, value) for value in values])


def open_like_master(endpoint: Endpoint, credentials: Credentials) -> Connection:
    """A login with as many round trips as X-MASTERAUTH and X-SETUSER need, on a server that does not have them."""
    connection = open_connection(endpoint, Credentials(credentials.user, credentials.password))
    for _ in range(2):
        connection.reader.run([b"NOOP"])
    return connection


def main() -> None:
    """Run one task."""
    task = Task(**json.load(sys.stdin))
    options = task.options()
    if not task.ledger:
        setattr(archive_run, "Evidence", NoLedger)  # noqa: B010  for a type checker it is none
    import_cpu = time.process_time()
    begin = time.monotonic()
    report = Run(options, Silent(), None if task.mailbox else Imap(open=open_like_master)).go()
    seconds = time.monotonic() - begin
    errors = [problem.message for profile in report.profiles for problem in profile.problems()]
    found: Json = {"seconds": seconds, "placements": report.placements, "errors": errors, "import_cpu": import_cpu}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
