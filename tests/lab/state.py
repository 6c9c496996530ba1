# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of one mail server: what the front ends ask. Loaded from the cfg files at start, written at stop."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab import cfgfile, cfgfile_fresh, cfgfile_map, state_defaults, state_groups, switches
from tests.lab.cluster import Cluster
from tests.lab.ports import HOST
from tests.lab.state_guard import Guard
from tests.lab.state_logins import Logins
from tests.lab.state_record import Recorder
from tests.lab.users import Directory, User

SERVICE_OF = {"imap": "IMAP", "imaps": "Secure IMAP", "smtp": "SMTP"}


@dataclasses.dataclass(frozen=True)
class MasterAuth:
    """Master authentication as it stands now; `allows(ip)` asks the IP address group."""

    enabled: bool
    password: str
    allows: Callable[[str], bool]


@dataclasses.dataclass(frozen=True)
class DomainArchiving:
    """Archiving of one domain (9.1+): there is no relayed class and no local folder."""

    remote_address: str | None
    local: bool
    incoming: bool
    outgoing: bool


@dataclasses.dataclass(frozen=True)
class ArchiveSettings:
    """What is archived where at this moment. `per_domain` is empty unless that option is on."""

    enabled: bool
    remote_address: str | None
    local: bool
    incoming: bool
    outgoing: bool
    relayed: bool
    to_local_folder: bool
    per_domain: dict[str, DomainArchiving]


class ServerState:
    """Thread-safe through `lock`. `install` is the kerio/ folder with mailserver.cfg, users.cfg and lab-server.json."""

    def __init__(self, install: Path) -> None:
        self.install = install
        self.lock = threading.RLock()
        self.settings_file = install / "lab-server.json"
        self._read_settings()
        self.recorder = Recorder(install / "lab-calls.jsonl")
        shared = self.instance.get("distributed", "")
        self.cluster = Cluster(Path(shared), self.instance["name"]) if shared else None
        self._directory = Directory()
        self.settings: dict[str, Any] = {}
        self.fresh = False
        self._connections: collections.Counter[str] = collections.Counter()
        self.load()
        self.guard = Guard(lambda: self.settings["SecurityPolicy"], self.in_group, lambda: self.switches, self._guard_clock)
        self.logins = Logins(self)

    # -- switches ---------------------------------------------------------------------------------------------

    def _read_settings(self) -> None:
        self._settings_mtime = self.settings_file.stat().st_mtime_ns
        text = self.settings_file.read_text(encoding="utf-8")
        self.instance: dict[str, Any] = json.loads(text)
        self._switches = switches.load(text)

    @property
    def switches(self) -> switches.Switches:
        """Re-read whenever lab-server.json changed; a file caught half-written is read the next time."""
        with self.lock:
            try:
                if self.settings_file.stat().st_mtime_ns != self._settings_mtime:
                    self._read_settings()
            except (OSError, ValueError):
                return self._switches
            return self._switches

    @property
    def version(self) -> str:
        """major.minor.revision, without the build."""
        return ".".join(state_defaults.VERSIONS[self.switches.profile].split(".")[:3])

    # -- files ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read both files. A missing, empty or unparsable mailserver.cfg means a fresh install, silently (sheet 4.4)."""
        with self.lock:
            document = cfgfile.read(self.install / "mailserver.cfg")
            self.fresh = document is None
            self.document = document if document is not None else cfgfile_fresh.document(self._switches)
            self.settings = state_defaults.settings(self.instance.get("ports", {}))
            self.settings.update(cfgfile_map.settings_from(self.document, self.settings))
            users = cfgfile.read(self.install / "users.cfg") or cfgfile.Node("config")
            self.users_document = users
            self._directory = cfgfile_map.directory_from(self.document, users)
            if self.cluster:
                self.cluster.map_into(self._directory, self._switches)
            self._auto_expunge = cfgfile_map.auto_expunge(self.document)
            # This one takes effect at the next start only (sheet 2.3).
            self._show_version = bool(self.settings["AdvancedOptions"]["miscellaneous"]["showProgramNameAndVersion"])

    def save(self) -> None:
        """Rewrite both files from memory; the bytes that were there go to .bak (one generation)."""
        with self.lock:
            cfgfile_map.settings_into(self.document, self.settings, self.directory)
            cfgfile_map.directory_into(self.users_document, self.directory)
            cfgfile.write(self.install / "mailserver.cfg", self.document, self._switches)
            cfgfile.write(self.install / "users.cfg", self.users_document, self._switches)

    def changed(self) -> None:
        """An administrator changed something."""
        if self.switches.save_on_change:
            self.save()

    # -- people -----------------------------------------------------------------------------------------------

    @property
    def directory(self) -> Directory:
        """With what the directory service of a distributed domain says at this moment."""
        with self.lock:
            if self.cluster and self.cluster.changed():
                self.cluster.map_into(self._directory, self.switches)
            return self._directory

    def elsewhere(self, user: User) -> bool:
        """Is another server of the distributed domain this user's home?"""
        return bool(self.cluster and user.home and user.home != self.cluster.own.id)

    def find_user(self, name: str) -> User | None:
        """By login (primary domain) or login@domain; enabled or not. Aliases and further addresses are not logins."""
        with self.lock:
            record = self.directory.login(name, domain_alias=self.switches.domain_alias_login)
            return self.directory.view(record) if record else None

    def blocked(self, client_ip: str, service: str) -> bool:
        """Anti-hammering: nothing from this address may log in to the service (imap, smtp, admin) for now."""
        with self.lock:
            return self.guard.blocked(client_ip, service)

    def _guard_clock(self) -> float:
        return time.monotonic() + 60 * self.switches.clock_ahead

    def resolve_recipient(self, address: str) -> list[User]:
        with self.lock:
            return self.directory.resolve(address)

    def is_local(self, address: str) -> bool:
        with self.lock:
            return self.directory.is_local(address)

    # -- settings ---------------------------------------------------------------------------------------------

    def in_group(self, group_id: str, ip: str) -> bool:
        """Does the IP address group admit the address? Nobody is in a group that does not exist (any more)."""
        with self.lock:
            return state_groups.admits(self.settings, group_id, ip)

    def administers(self, ip: str) -> bool:
        """May the admin API be used from there? Switched off, remote administration leaves the machine itself."""
        with self.lock:
            remote = self.settings["RemoteAdministration"]
            if not remote["isEnabled"]:
                return ip == HOST
            return not remote["isLimited"] or self.in_group(remote["groupId"], ip)

    def master_authentication(self) -> MasterAuth:
        with self.lock:
            options = self.settings["AdvancedOptions"]["masterAuthentication"]
            group = options["groupRestriction"]
            everyone = self.switches.empty_group_restriction == "everyone"
            return MasterAuth(
                enabled=options["isEnabled"],
                password=options["password"],
                allows=lambda ip: self.in_group(group, ip) if group else everyone,
            )

    def archiving(self) -> ArchiveSettings:
        with self.lock:
            options = self.settings["Archive"]
            remote = options["remoteArchive"]
            per_domain = {}
            if options["isEnabled"] and options["isEnabledPerDomain"]:
                per_domain = {d["name"]: _domain_archiving(d) for d in self.directory.domains}
            return ArchiveSettings(
                enabled=options["isEnabled"],
                remote_address=remote["value"] if remote["enabled"] and remote["value"] else None,
                local=options["archiveLocalMessages"],
                incoming=options["archiveIncomingMessages"],
                outgoing=options["archiveOutgoingMessages"],
                relayed=options["archiveRelayedMessages"],
                to_local_folder=options["archiveToLocalFolder"],
                per_domain=per_domain,
            )

    @property
    def insert_x_envelope_to(self) -> bool:
        return bool(self.settings["AdvancedOptions"]["miscellaneous"]["insertXEnvelopeTo"])

    @property
    def show_version(self) -> bool:
        """As it was when the process started."""
        return self._show_version

    @property
    def auto_expunge_on_delete(self) -> int:
        """The value that mailserver.cfg had when the process started (1 when absent: factory value)."""
        return self._auto_expunge

    @property
    def hostname(self) -> str:
        return str(self.instance.get("hostname", "mail.example.com"))

    def service(self, name: str) -> dict[str, Any]:
        """By API name ("Secure IMAP") or front-end name (imap, imaps, smtp)."""
        wanted = SERVICE_OF.get(name, name)
        return next(s for s in self.settings["Services"] if s["name"] == wanted)

    def service_allows(self, service_name: str, ip: str) -> bool:
        """Running, and the address is in the service's IP address group if it uses one."""
        with self.lock:
            service = self.service(service_name)
            group = service["group"]
            admitted = not group["isUsed"] or self.in_group(group["ipGroup"]["id"], ip)
            return bool(service["isRunning"] and admitted)

    @contextlib.contextmanager
    def connection(self, service_name: str, ip: str) -> Iterator[bool]:
        """For as long as a connection lasts: is it served? Counts for the service's connectionLimit."""
        service = self.service(service_name)
        limit, name = service["connectionLimit"], service["name"]
        served = self.service_allows(name, ip) and not (limit["isSet"] and self._connections[name] >= limit["value"])
        self._connections[name] += served
        try:
            yield served
        finally:
            self._connections[name] -= served

    def authentication_methods(self) -> list[dict[str, Any]]:
        """The policy's list under the names that this server has for them (switch); one that was never set is enabled."""
        stored = {_plain(m["value"]): m["enabled"] for m in self.settings["SecurityPolicy"]["authenticationMethods"]}
        names = [name.strip() for name in self.switches.auth_methods.split(",")]
        return [{"enabled": stored.get(_plain(name), True), "value": name} for name in names]

    def authentication_method(self, name: str) -> bool:
        """Is e.g. CRAM-MD5 enabled, however the list spells it? A method that the list does not know is not offered."""
        return any(_plain(m["value"]) == _plain(name) and m["enabled"] for m in self.authentication_methods())


def _plain(method: str) -> str:
    return "".join(c for c in method.upper() if c.isalnum())


def _domain_archiving(domain: dict[str, Any]) -> DomainArchiving:
    return DomainArchiving(
        remote_address=domain["remoteArchiveAddress"] if domain["useRemoteArchiveAddress"] else None,
        local=domain["archiveLocalMessages"],
        incoming=domain["archiveIncomingMessages"],
        outgoing=domain["archiveOutgoingMessages"],
    )
