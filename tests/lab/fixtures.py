# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures `lab` (one for the session) and `lab_factory` (as many as a test wants), and what tests do to a lab."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.lab import admin_dispatch, cli_lab, generate, logins, secret_marks, service, state_record, switches, users_demo
from tests.lab.distributed import DirectoryService
from tests.lab.dovecot import Dovecot

APPLICATION = "lab-fixture"


class ApiFailureError(Exception):
    """The admin API answered with an error; `code` and `message` are its own."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = error
        self.code: int = error["code"]
        self.message: str = error["message"]


class LabServer:
    """One server. The members of its lab.json entry are attributes: `server.admin_url`, `server.users`, ..."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.folder = folder
        self.entry = entry
        self.install = folder / "kerio"
        self._session: requests.Session | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["entry"][name]
        except KeyError as error:
            raise AttributeError(name) from error

    @property
    def dovecot(self) -> Dovecot:
        return cli_lab.backend(self.folder / "dovecot")

    def user(self, login: str) -> dict[str, Any]:
        return next(u for u in self.entry["users"] if u["login"] == login)

    # -- admin API, as an administrator at the web interface ------------------------------------------------

    def post(self, session: requests.Session, method: str, params: Any = None) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        response = session.post(self.admin_url, json=body, timeout=30)
        if response.status_code == 403:  # remote administration is limited to others; `reset` opens it again
            raise ApiFailureError({"code": 403, "message": "refused by the limit of remote administration"})
        answer: dict[str, Any] = response.json()
        return answer

    def _logged_in(self) -> requests.Session:
        if self._session is None:
            session = requests.Session()
            session.trust_env = False  # else REQUESTS_CA_BUNDLE of the environment wins over verify
            session.verify = self.ca_file
            application = {"name": APPLICATION, "vendor": "tests", "version": "1"}
            login = {"userName": self.admin_user, "password": self.admin_password, "application": application}
            answer = self.post(session, "Session.login", login)
            if answer.get("error"):
                session.close()
                raise ApiFailureError(answer["error"])
            session.headers["X-Token"] = answer["result"]["token"]
            self._session = session
        return self._session

    def api(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result; raises ApiFailureError. These calls do not show up in `calls()`."""
        try:
            answer = self.post(self._logged_in(), method, params)
        except requests.ConnectionError:  # the server was restarted
            answer = {"error": {"code": -32001}}
        if (answer.get("error") or {}).get("code") == -32001:
            self.forget_session()
            answer = self.post(self._logged_in(), method, params)
        if answer.get("error"):
            raise ApiFailureError(answer["error"])
        result: dict[str, Any] = answer["result"] or {}
        return result

    def forget_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    # -- people -----------------------------------------------------------------------------------------------

    def domain(self, name: str = "") -> dict[str, Any]:
        """The domain by name; the primary one without a name."""
        found = self.api("Domains.get", {"query": {}})["list"]
        return next(d for d in found if (d["name"] == name if name else d["isPrimary"]))

    def add_user(
        self, login: str, *, role: str = "UserRole", domain: str = "", directory: bool = False, **members: Any
    ) -> dict[str, Any]:
        """An account more, in the shape of an entry of `users`; `reset` or `remove_users` takes it away.

        `role` is UserRole, Auditor, AccountAdmin or FullAdmin; `directory` makes it a user mapped from a directory service,
        whose `password` stands for the one in the directory. `members` are those of the API's User.
        """
        home = self.domain(domain)
        secret = members.pop("password", users_demo.password(login))
        right = {"userRole": role, "publicFolderRight": False, "archiveFolderRight": False}
        mapped = {"itemSource": "DSLDAPSource", "authType": "ULDAPAuth"} if directory else {}
        user = {"domainId": home["id"], "loginName": login, "password": secret, "role": right, **mapped, **members}
        kid = self.create_users([user])[0]
        address = f"{login}@{home['name']}"
        entry = {"id": kid, "login": login, "domain": home["name"], "address": address, "password": secret}
        local_parts = members.get("emailAddresses", [])
        addresses = [address, *(f"{part}@{home['name']}" for part in local_parts)]
        return {**entry, "addresses": addresses, "full_name": members.get("fullName", "")}

    def create_users(self, users: list[dict[str, Any]]) -> list[str]:
        """The ids; raises ApiFailureError for the first one that failed."""
        answer = self.api("Users.create", {"users": users})
        if answer["errors"]:
            raise ApiFailureError(answer["errors"][0])
        return [made["id"] for made in answer["result"]]

    def fill_users(self, count: int, *, domain: str = "", prefix: str = "person") -> list[str]:
        """`count` accounts person00001, person00002, ... by one call; their ids. 5,200 take about a second."""
        kid = self.domain(domain)["id"]
        logins = [f"{prefix}{number:05}" for number in range(1, count + 1)]
        return self.create_users([{"domainId": kid, "loginName": login, "fullName": login.title()} for login in logins])

    def remove_users(self, ids: list[str]) -> None:
        requests_ = [{"userId": kid, "method": "UDeleteUser", "mode": "DSModeDelete"} for kid in ids]
        errors = self.api("Users.remove", {"requests": requests_})["errors"]
        if errors:
            raise ApiFailureError(errors[0])

    # -- what was recorded ----------------------------------------------------------------------------------

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        return state_record.events(self.install / "lab-calls.jsonl", event)

    def calls(self, *, own: bool = False) -> list[dict[str, Any]]:
        """API calls so far (method, params masked, client, outcome, user, application, writes)."""
        return [c for c in self.events("call") if own or c["application"] != APPLICATION]

    def writes(self) -> list[dict[str, Any]]:
        """Calls that change something, refused or not."""
        return [c for c in self.calls() if c["writes"]]

    def logins(self, **wanted: str) -> list[dict[str, Any]]:
        """Attempts to log in (tests/lab/logins.py), without those of `api`: `logins(service="imap", outcome="failed")`."""
        return [one for one in logins.attempts(self.install, **wanted) if one["application"] != APPLICATION]

    def security_log(self) -> list[str]:
        """The lines of store/logs/security.log, which outlives `forget` and `reset`."""
        log = self.install / "store" / "logs" / "security.log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def forget(self) -> None:
        """Empty the record."""
        (self.install / "lab-calls.jsonl").unlink(missing_ok=True)

    def forget_settings(self) -> None:
        """Empty the record and the log of changes: a test has made a secret a setting, which the double rightly writes down."""
        self.forget()
        (self.install / "store" / "logs" / "config.log").unlink(missing_ok=True)

    # -- switches -------------------------------------------------------------------------------------------

    def set_switches(self, **values: Any) -> None:
        """Takes effect at once for what is looked at per call, at the next start for the rest. ValueError = no such thing."""
        path = self.install / "lab-server.json"
        instance = json.loads(path.read_text(encoding="utf-8"))
        instance["switches"].update(values)
        admin_dispatch.check_switches(switches.Switches.from_mapping(instance["switches"]))
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(instance, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)

    def reset_switches(self) -> None:
        """As when the lab was made."""
        path = self.install / "lab-server.json"
        current = json.loads(path.read_text(encoding="utf-8"))["switches"]
        default = switches.Switches()
        self.set_switches(**{name: self.entry["switches"].get(name, getattr(default, name)) for name in current})

    @contextlib.contextmanager
    def switched(self, **values: Any) -> Iterator[None]:
        self.set_switches(**values)
        try:
            yield
        finally:
            self.reset_switches()

    def refuse_writes(self, refuse: bool = True) -> None:
        """Any method that changes something is refused with 1004 and recorded."""
        self.set_switches(refuse_writes=refuse)

    # -- limits of logins -----------------------------------------------------------------------------------

    def limit_logins(self, *, account: int = 0, address: int = 0, minutes: int = 5, excepted: str = "") -> None:
        """Lock accounts after so many failures, block addresses after so many; 0 = never. `excepted`: name of an IP group."""
        groups = {one["name"]: one["id"] for one in self.api("IpAddressGroups.getGroupList")["groups"]}
        group = {"enabled": bool(excepted), "id": groups[excepted] if excepted else "", "name": excepted}
        hammering = {"isEnabled": bool(address), "failedLoginsToBlock": address or 100, "minutesToBlock": minutes}
        lockout = {"enableLockout": bool(account), "failedLoginsToLock": account or 5, "minutesToUnlock": minutes}
        self.api("SecurityPolicy.set", {"options": {**lockout, "antiHammering": {**hammering, "exceptionIpGroup": group}}})

    def pass_minutes(self, minutes: float) -> None:
        """Move the clock of lockout and anti-hammering; `reset` (not `reset_switches` alone) makes all new again."""
        current = json.loads((self.install / "lab-server.json").read_text(encoding="utf-8"))["switches"]
        self.set_switches(clock_ahead=float(current.get("clock_ahead", 0.0)) + minutes)

    # -- service --------------------------------------------------------------------------------------------

    def service(self, action: str, *, wait: bool = True) -> subprocess.CompletedProcess[str]:
        """The init script; after a start or restart `wait` for the ports, unless the switches say they stay closed."""
        done = subprocess.run([self.service_script, action], capture_output=True, text=True, check=False)
        chosen = json.loads((self.install / "lab-server.json").read_text(encoding="utf-8"))["switches"]
        if wait and action in ("start", "restart") and chosen.get("start_mode", "normal") == "normal":
            cli_lab.wait_ready(self.entry)
        return done

    def reset(self) -> None:
        """Settings, accounts, switches and record as when the lab was made, server running; mail stays. About 0.5 s."""
        self.forget_session()
        service.end_all(self.install)
        cli_lab.put_back(self.folder)
        self.service("start")

    @property
    def pid(self) -> int:
        """Of the mail server's process; 0 when it does not run."""
        return service.server_pid(self.install)


class Lab:
    """A running lab; `servers` in the order of lab.json, `lab["mail1"]` by name."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.folder = Path(document["dir"])
        self.file = cli_lab.lab_files(self.folder)[1]
        self.servers = [LabServer(self.folder / entry["name"], entry) for entry in document["servers"]]
        self._directory: DirectoryService | None = None

    def __getitem__(self, name: str) -> LabServer:
        return next(server for server in self.servers if server.name == name)

    @property
    def directory(self) -> DirectoryService:
        """The directory service of a lab that was made with `distributed`."""
        if self._directory is None:
            self._directory = DirectoryService(self.document["distributed"], self.document["servers"][0]["switches"])
        return self._directory

    def fill(self, messages: int, seed: int | str = 1) -> list[generate.Placed]:
        return generate.fill(self.document, messages=messages, seed=seed)

    def close(self) -> None:
        for server in self.servers:
            server.forget_session()
        cli_lab.stop(self.folder, remove_mail=True)


def open_lab(folder: Path, servers: int = 1, users: int = 3, start: bool = True, distributed: str = "", **chosen: Any) -> Lab:
    """`distributed`: the domain that all servers share; see `Lab.directory`."""
    lab = Lab(cli_lab.make(folder, servers, users, chosen, distributed))
    if start:
        try:
            cli_lab.start(lab.document)
        except Exception:
            lab.close()
            raise
    return lab


Factory = Callable[..., Lab]


@contextlib.contextmanager
def many_labs() -> Iterator[Factory]:
    """Labs in a short folder (UNIX socket paths are limited) that the mail user can reach; all end with the context."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    home.chmod(0o755)
    opened: list[Lab] = []

    def make(**how: Any) -> Lab:
        lab = open_lab(home / f"lab{len(opened)}", **how)
        opened.append(lab)
        return lab

    try:
        yield make
    finally:
        for lab in opened:
            lab.close()
        secret_marks.look(home)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two servers with four people each, for the whole session: a test that changes settings puts them back."""
    with many_labs() as make:
        yield make(servers=2, users=4)


@pytest.fixture(scope="module")
def lab_factory() -> Iterator[Factory]:
    """`lab_factory(servers=1, users=3, start=True, distributed="", **switches)`; the labs end with the module."""
    with many_labs() as make:
        yield make
