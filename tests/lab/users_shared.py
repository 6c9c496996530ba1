# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works in a distributed domain: the people of the lab's servers, mapped from one directory service."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from tests.lab import cluster, state_defaults, users_demo
from tests.lab.cluster import Cluster
from tests.lab.state import ServerState
from tests.lab.users import Record, new_id

FILE = "distributed.json"
GROUPS = ("sales", "staff")


def _entry(**members: Any) -> Record:
    return {"guid": str(uuid.uuid4()), **members}


def person(login: str, full_name: str, home: str, taken: set[str]) -> Record:
    """An entry of the directory service. Who has somebody's login already gets the home server's name behind it."""
    name = f"{login}.{home}" if login in taken else login
    taken.add(name)
    more = {"enabled": True, "password": users_demo.password(name), "addresses": [], "groups": ["staff"], "home": home}
    return _entry(login=name, full_name=full_name, **more)


def make(folder: Path, domain: str, servers: int, count: int, *, same_ids: bool) -> Path:
    """The file for a lab of so many servers, `count` people at home on each; the first server is the master."""
    names = [f"mail{number + 1}" for number in range(servers)]
    sites = {name: users_demo.site(number, count) for number, name in enumerate(names)}
    if domain in {where.domain for where in sites.values()}:
        raise ValueError(f"--distributed {domain}: a server of the lab has that domain for itself; name another one")
    taken: set[str] = set()
    people = [person(*one, name, taken) for name, where in sites.items() for one in where.people]
    for number, entry in enumerate(people):
        entry["addresses"] = list(sites[entry["home"]].more) if entry["login"] in ("alice", "gina") else []
        entry["groups"] = ["staff", *(["sales"] if number % 3 == 1 else [])]
    shared = new_id("domain")
    first = {name: next((e["login"] for e in people if e["home"] == name), "") for name in names}
    document = {
        "domain": domain,
        "domain_ids": {name: shared if same_ids else new_id("domain") for name in names},
        "servers": [
            {"id": new_id("server"), "name": name, "hostname": hostname(sites[name]), "role": "clSlave" if number else "clMaster"}
            for number, name in enumerate(names)
        ],
        "users": people,
        "groups": [_entry(name=name, addresses=[name] if name == "sales" else []) for name in GROUPS],
        "aliases": [_entry(name=f"info-{name}", target=login, home=name) for name, login in first.items() if login],
    }
    file = folder / FILE
    cluster.write(file, document)
    return file


def hostname(where: users_demo.Site) -> str:
    return f"mail.{where.domain}"


def people(state: ServerState, shared: Cluster) -> None:
    """Give a server the distributed domain as its primary one; its own domain has the archive mailbox, which is local."""
    for domain in state.directory.domains:
        domain["isPrimary"] = False
    kid = shared.document["domain_ids"][shared.own.name]
    service = {
        "isEnabled": True,
        "serviceType": "WindowsActiveDirectory",
        "hostname": f"dc.{shared.domain}",
        "username": "reader",
        "password": "not-a-secret-directory",
    }
    members = {"isPrimary": True, "isDistributed": True, "service": service}
    state.directory.domains.append(state_defaults.domain(kid, shared.domain, **members))
    shared.map_into(state.directory, state.switches)


def overview(file: Path, how: Any) -> Record:
    """The part `distributed` of lab.json: the users with the id that each server has for them."""
    views = {one.name: Cluster(file, one.name) for one in Cluster(file, "").members}
    document = next(iter(views.values())).document
    ids = document["domain_ids"]
    users = [
        {
            "login": entry["login"],
            "address": f"{entry['login']}@{document['domain']}",
            "password": entry["password"],
            "home": entry["home"],
            "ids": {name: view.kid("user", ids[name], entry["guid"], how) for name, view in views.items()},
        }
        for entry in document["users"]
    ]
    return {"domain": document["domain"], "file": str(file), "servers": document["servers"], "users": users}
