# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a lab: folders, certificates, people, lab.json; starting and ending its processes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.lab import admin_dispatch, ports, service, switches, users_demo, users_shared
from tests.lab.dovecot import Dovecot
from tests.lab.state import ServerState
from tests.lab.users import User

SERVICE_PORTS = {"IMAP": "imap_port", "Secure IMAP": "imaps_port", "SMTP": "smtp_port", "admin": "admin_port"}


_backends: dict[Path, Dovecot] = {}


def backend(folder: Path) -> Dovecot:
    """One object per server in this process: whoever started Dovecot has to see it end."""
    return _backends.setdefault(folder, Dovecot(folder))


class LabError(Exception):
    """The lab cannot be made, started or stopped; the text says why."""


def _openssl(*words: str, cwd: Path) -> None:
    done = subprocess.run(["openssl", *words], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"openssl {words[0]}: {done.stderr.strip()}")


def make_certificates(folder: Path, name: str, host: str = ports.HOST) -> Path:
    """server.key, server.crt signed by a CA of its own, whose file is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *new_key, *usage, "-days", "3650", "-subj", f"/CN=Lab CA of {name}",
             "-keyout", "ca.key", "-out", "ca.crt", cwd=folder)  # fmt: skip
    _openssl("req", *new_key, "-subj", f"/CN={name}", "-keyout", "server.key", "-out", "server.csr", cwd=folder)
    extension = f"subjectAltName=DNS:localhost,DNS:{name},IP:{host}\nauthorityKeyIdentifier=keyid\n"
    (folder / "server.ext").write_text(extension)
    _openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650",
             "-extfile", "server.ext", "-out", "server.crt", cwd=folder)  # fmt: skip
    return folder / "ca.crt"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a server is installed, listens and is reached; a host of its own has the folder `root` and its own Python."""

    install: Path
    name: str
    numbers: dict[str, int]  # ports by service
    host: str = ports.HOST
    listen: str = ports.HOST
    root: Path | None = None

    @property
    def seen(self) -> Path:
        """The install dir as the server's host sees it."""
        return Path("/") / self.install.relative_to(self.root) if self.root else self.install


def make_server(folder: Path, index: int, count: int, chosen: dict[str, Any], shared: Path | None = None) -> dict[str, Any]:
    """A server on this machine, not started; returns its entry of lab.json. `shared`: the file of a distributed domain."""
    numbers = dict(zip(SERVICE_PORTS, ports.free(len(SERVICE_PORTS)), strict=True))
    entry = install_server(Place(folder / "kerio", folder.name, numbers), index, count, chosen, shared)
    shutil.copytree(folder / "kerio", folder / "pristine", ignore=shutil.ignore_patterns("*.bak", "run", "sslcert", "store"))
    return entry


def install_server(place: Place, index: int, count: int, chosen: dict[str, Any], shared: Path | None = None) -> dict[str, Any]:
    """The install dir of a server; returns its entry of lab.json."""
    name, install, numbers = place.name, place.install, place.numbers
    (install / "run").mkdir(parents=True)
    where = users_demo.site(index, 0 if shared else count)
    instance = {"name": name, "hostname": users_shared.hostname(where), "ports": numbers, "switches": chosen}
    instance |= {"distributed": str(shared)} if shared else {}
    instance |= {"listen": place.listen}
    (install / "lab-server.json").write_text(json.dumps(instance, indent=2) + "\n", encoding="utf-8")
    ca_file = make_certificates(install / "sslcert", name, place.host)
    script = service.write_script(install, place.seen, own_host=place.root is not None)
    service.write_unit(install, place.seen)
    state = ServerState(install)
    admin = {"builtInAdminUsername": "Admin", "builtInAdminPassword": f"not-a-secret-admin-{name}"}
    state.settings["Administration"].update(admin)
    state.settings["DomainSettings"]["hostname"] = instance["hostname"]
    users_demo.people(state, where)
    if state.cluster:
        users_shared.people(state, state.cluster)
    state.save()
    (install / "store" / "logs").mkdir(parents=True)
    return {
        "name": name,
        "host": place.host,
        "admin_url": f"https://{place.host}:{numbers['admin']}/admin/api/jsonrpc/",
        **{SERVICE_PORTS[key]: number for key, number in numbers.items()},
        "ca_file": str(ca_file),
        "admin_user": admin["builtInAdminUsername"],
        "admin_password": admin["builtInAdminPassword"],
        "master_password": f"not-a-secret-master-{index + 1}",
        "domains": [d["name"] for d in state.directory.domains],
        "archive_mailbox": f"{users_demo.ARCHIVE_LOGIN}@{where.domain}",
        "users": [_user_entry(user, where) for user in state.directory.views() if not state.elsewhere(user)],
        "mailserver_cfg": str(install / "mailserver.cfg"),
        "service_script": str(script),
        "pid_file": str(install / "run" / "kms.pid"),
        "service_name": "kerio-connect",
        "store_log_dir": str(install / "store" / "logs"),
        "switches": dataclasses.asdict(switches.Switches.from_mapping(chosen)),
    }


def _user_entry(user: User, where: users_demo.Site) -> dict[str, Any]:
    domain_aliases = where.aliases if user.domain == where.domain else ()
    local_parts = [address.partition("@")[0] for address in user.addresses]
    further = [f"{part}@{alias}" for alias in domain_aliases for part in local_parts]
    return {
        "id": user.id,
        "login": user.login,
        "domain": user.domain,
        "address": user.address,
        "addresses": [*user.addresses, *further],
        "full_name": user.full_name,
        "password": user.password,
    }


def lab_files(folder: Path) -> tuple[Path, Path]:
    """lab.json lies beside the lab's folder (build/lab.json) and, the same again, inside it."""
    return folder.parent / f"{folder.name}.json", folder / "lab.json"


def read(folder: Path) -> dict[str, Any]:
    inside = lab_files(folder)[1]
    try:
        document: dict[str, Any] = json.loads(inside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"no lab in {folder}: {error}") from error
    return document


def make(folder: Path, servers: int, people: int, chosen: dict[str, Any], distributed: str = "") -> dict[str, Any]:
    """A lab with fresh data in an empty folder; `distributed`: the domain that all servers share."""
    how = switches.Switches.from_mapping(chosen)
    admin_dispatch.check_switches(how)
    clear(folder)
    folder.mkdir(parents=True)
    same_ids = how.distributed_ids == "same"
    shared = users_shared.make(folder, distributed, servers, people, same_ids=same_ids) if distributed else None
    entries = [make_server(folder / f"mail{number + 1}", number, people, chosen, shared) for number in range(servers)]
    lab = {"version": 1, "dir": str(folder), "servers": entries}
    lab |= {"distributed": users_shared.overview(shared, how)} if shared else {}
    for path in lab_files(folder):
        path.write_text(json.dumps(lab, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return lab


def put_back(folder: Path) -> None:
    """The files of a stopped server as they were when it was made: settings, accounts, switches, an empty record."""
    for path in (folder / "pristine").iterdir():
        shutil.copy2(path, folder / "kerio" / path.name)
    (folder / "kerio" / "lab-calls.jsonl").unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Delete an earlier lab; refuses a folder that holds anything else."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / "lab.json").exists() and not _half_made(folder):
        raise LabError(f"{folder} is not empty and holds no lab")
    shutil.rmtree(folder)


def _half_made(folder: Path) -> bool:
    return all((path / "kerio").is_dir() or path.name == users_shared.FILE for path in folder.iterdir())


def start(lab: dict[str, Any]) -> None:
    """Every Dovecot, then every mail server through its init script, until its ports answer."""
    for entry in lab["servers"]:
        backend(Path(lab["dir"]) / entry["name"] / "dovecot").start()
    for entry in lab["servers"]:
        done = subprocess.run([entry["service_script"], "start"], capture_output=True, text=True, check=False)
        mode = entry["switches"].get("start_mode", "normal")
        if done.returncode and mode == "normal":
            raise LabError(f"{entry['name']}: {done.stderr.strip()}; see {entry['store_log_dir']}/process.log")
    for entry in lab["servers"]:
        if entry["switches"].get("start_mode", "normal") == "normal":
            wait_ready(entry)


def wait_ready(entry: dict[str, Any], seconds: float = 30) -> None:
    """The admin port opens last, so its answer is enough."""
    if not service.wait_until(lambda: ports.is_open(entry["admin_port"]), seconds):
        raise LabError(f"{entry['name']}: the admin API does not answer; see {entry['store_log_dir']}/process.log")


def stop(folder: Path, *, remove_mail: bool = False) -> None:
    """End every process that start began, also after a crash, and whatever the switches say."""
    if not folder.is_dir():
        return
    for server in sorted(path for path in folder.iterdir() if (path / "kerio").is_dir()):
        service.end_all(server / "kerio")
        backend(server / "dovecot").stop(remove=remove_mail)
        _backends.pop(server / "dovecot", None)
