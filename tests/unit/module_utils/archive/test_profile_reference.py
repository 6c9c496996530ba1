# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/profiles.md names every key, and its examples are profiles."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.mailops.kerio.plugins.module_utils.archive import profile_filter, profile_keys
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import (
    KEYS,
    METHODS,
    SERVER_KEYS,
    parse_profiles,
    parse_servers,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import parse_acknowledged

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)]
SERVERS = parse_servers([{"name": "mail1.example.com"}])


def profiles() -> list[dict[str, t.Any]]:
    return [profile for example in EXAMPLES for profile in example.get("archive_profiles", [])]


def test_every_example_is_a_profile() -> None:
    for example in EXAMPLES:
        parse_profiles(example.get("archive_profiles", []), SERVERS)
    assert len(profiles()) >= 8


def test_every_key_of_a_profile_has_an_example_and_is_explained() -> None:
    assert {key for profile in profiles() for key in profile} == set(KEYS)
    nested = {*profile_filter.FILTER_KEYS, *profile_filter.DELETE_KEYS, *profile_keys.FOLDER_KEYS}
    explained = {word.rpartition(".")[2] for word in re.findall(r"`([a-z_.]+)`", TEXT)}
    assert set(KEYS) | nested | set(SERVER_KEYS) <= explained


def test_the_example_inventory_takes_every_key_that_it_shows() -> None:
    lines = (ROOT / "inventory/example/group_vars/archive_hosts.yml").read_text(encoding="utf-8")
    # What is a comment there and would be YAML without its mark.
    everything = yaml.safe_load(re.sub(r"^( *)# (?=- | {2}|[a-z_]+: |[a-z_]+:$)", r"\1", lines, flags=re.MULTILINE))
    shown = everything["archive_profiles"]
    assert {profile["method"] for profile in shown} == set(METHODS)
    assert parse_acknowledged(everything["archive_acknowledged"])
    playbook = "".join((ROOT / "playbooks" / name).read_text("utf-8") for name in ("archive.yml", "vars/servers.yml"))
    for name in ("acknowledged", "connections", "host_reserve", "passwords", "quarantine_after", "reconcile_days"):
        assert f"archive_{name}" in everything
        assert f"archive_{name} |" in playbook
    names = {server for profile in shown for server in profile.get("servers", [])}
    assert {"filter", "delete", "window"} <= set(shown[0])
    assert len(parse_profiles(shown, parse_servers([{"name": name} for name in names]))) == len(shown)
