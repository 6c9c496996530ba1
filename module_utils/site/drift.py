# SPDX-License-Identifier: GPL-3.0-or-later
"""How servers differ from the inventory, from what the plays of drift.yml found. docs/adopt-and-drift.md"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site.failures import SEE_ABOVE, cause
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader

# What the differences of mailserver.cfg mean; those of the settings come with them.
CFG_MEANINGS = {
    ("AutoExpungeOnDelete", "1"): "The server moves what is deleted over IMAP to Deleted Items, also what archiving deletes.",
    ("AutoExpungeOnDelete", "0"): "What users delete over IMAP is gone, and is not in Deleted Items to be archived from there.",
}
NOT_RESTARTED = "The server runs with what the file said before, until it is restarted."

Found = dict[str, Json]


def servers(reader: Reader, hosts: t.Iterable[str]) -> list[Found]:
    """Return one entry for each server, in the order of their names."""
    return [_server(reader, host) for host in sorted(hosts)]


def _server(reader: Reader, host: str) -> Found:
    known = reader.host(host)
    names = ("kerio_connect_comparison", "kerio_mailserver_cfg_result", "kerio_connect_probe")
    compared, cfg, probe = (reader.plain(reader.value(known, name, default={})) for name in names)
    differences = [*compared.get("differences", []), *_differences_of_file(cfg), *_difference_of_password(probe)]
    unknown = [f"settings: {text}" for text in reader.value(known, "kerio_failures", default=[])]
    unknown += [*_unknown_of_file(cfg), *_unknown_of_password(probe)]
    relations = [relation for relation in compared.get("relations", []) if not relation["accepted"]]
    refused = any(relation["severity"] == "refuse" for relation in relations)
    return {
        "server": host,
        "in_step": not (differences or refused or unknown),
        "differences": differences,
        "relations": relations,
        "unknown": unknown,
        "cannot_tell": compared.get("cannot_tell", []),
    }


def _differences_of_file(cfg: Found) -> list[Found]:
    changed = [entry for entry in cfg.get("variables", []) if entry["before"] != entry["after"]]
    if changed:
        return [
            _difference("mailserver_cfg", entry["variable"], entry["before"], entry["after"], _meaning(entry))
            for entry in changed
        ]
    if cfg.get("reasons"):
        return [_difference("mailserver_cfg", "service", "; ".join(cfg["reasons"]), "has read the file", NOT_RESTARTED)]
    return []


def _meaning(entry: Found) -> str:
    return CFG_MEANINGS.get((entry["variable"], entry["before"]), "")


def _difference_of_password(probe: Found) -> list[Found]:
    meaning = "No mailbox can be opened with the declared password."
    wrong = _difference("master_authentication", "password", "another one", "(secret)", meaning)
    return [wrong] if probe.get("answer") == "wrong" else []


def _difference(kind: str, option: str, server: Json, declared: Json, meaning: str) -> Found:
    return {"kind": kind, "key": "", "option": option, "server": server, "declared": declared, "meaning": meaning}


def _unknown_of_file(cfg: Found) -> list[str]:
    return [f"mailserver.cfg: {cause(cfg.get('msg', SEE_ABOVE))}"] if cfg.get("failed") or cfg.get("unreachable") else []


def _unknown_of_password(probe: Found) -> list[str]:
    if not probe or probe.get("skipped") or probe.get("answer") in ("right", "wrong"):
        return []
    return [f"master password: {probe.get('server_text') or probe['msg']}"]


def verdict(found: t.Iterable[Found], report: str) -> str:
    """Return which servers are not in step; empty when all are. ``report`` is the file that says more."""
    wrong = ", ".join(server["server"] for server in found if not server["in_step"])
    return f"Not in step with the inventory: {wrong}. What differs is told above, and in {report}." if wrong else ""
