# SPDX-License-Identifier: GPL-3.0-or-later
"""What adopt.yml writes: whatever a server says is the same again when Ansible reads the file, and never a template."""

from __future__ import annotations

import copy
import itertools
import random
import typing as t
from pathlib import Path

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from tests.unit.playbooks.templating import ROOT, evaluate, host_variables

MASTER = "not-a-secret-master"
Settings = dict[str, t.Any]
SETTINGS: Settings = {
    "ip_address_groups": [{"name": "Archive hosts", "entries": [{"host": "192.0.2.7"}, {"this_machine": True}]}],
    "security_policy": {"mode": "no_restrictions", "authentication_methods": {"CRAM-MD5": False}},
    "services": [{"name": "IMAP", "running": True, "listeners": [{"address": "all", "port": 143}]}, {"name": "NNTP"}],
    "users": [{"address": "archive@example.com", "addresses": []}, {"address": "alice@example.com", "addresses": ["office"]}],
    "master_authentication": {"enabled": True, "ip_address_group": "Archive hosts"},
    "advanced_options": {"insert_x_envelope_to": True},
    "archiving": {"enabled": True, "remote_address": "archive@example.com", "compression_start_time": "02:30", "domains": []},
}
CFG = {"kerio_mailserver_cfg_result": {"variables": [{"variable": "AutoExpungeOnDelete", "before": "0", "after": "0"}]}}


def adopted(settings: Settings, **values: t.Any) -> str:
    today = {"product": "Kerio Connect", "version": "10.0.8.9228", "settings": settings}
    where = {"inventory_dir": "/inventory", "inventory_hostname": "mail1"}
    text: str = evaluate("adopt.yml", "adopt_text", **{"kerio_connect_today": today, **where, **values})
    return text


def changed(**settings: t.Any) -> Settings:
    return {**copy.deepcopy(SETTINGS), **settings}


def test_settings_are_the_variables_of_the_roles(tmp_path: Path) -> None:
    text = adopted(SETTINGS, **CFG)
    assert MASTER not in text
    assert host_variables(text, tmp_path, vault_kerio_master_password=MASTER) == {
        "kerio_connect_ip_address_groups": SETTINGS["ip_address_groups"],
        "kerio_connect_security_policy": SETTINGS["security_policy"],
        "kerio_connect_services": SETTINGS["services"][:1],
        "kerio_connect_users": SETTINGS["users"][:1],
        "kerio_connect_master_authentication": {**SETTINGS["master_authentication"], "password": MASTER},
        "kerio_connect_advanced_options": SETTINGS["advanced_options"],
        "kerio_connect_archiving": SETTINGS["archiving"],
        "kerio_mailserver_cfg_permanent_delete": True,
    }


def test_file_is_as_a_person_writes_it() -> None:
    text = adopted(SETTINGS, **CFG)
    lines = text.splitlines()
    assert lines[0] == "---"
    assert "mail1 (Kerio Connect 10.0.8.9228)" in lines[1]
    assert text.endswith("true\n")
    assert all(line == line.rstrip() for line in lines)
    assert not any(one == two == "" for one, two in itertools.pairwise(lines))
    assert '  password: "{{ vault_kerio_master_password }}"' in lines
    assert '  compression_start_time: "02:30"' in lines
    assert "      - this_machine: true" in lines
    config = YamlLintConfig((ROOT / ".yamllint").read_text(encoding="utf-8"))
    assert [str(problem) for problem in linter.run(text, config)] == []


def test_what_is_left_out_is_a_comment_whatever_it_says() -> None:
    sentences = [
        "mail1: ip_address_group of service IMAP is left out",
        "word " * 60 + "\nkerio_connect_port: 1\u2028x: {{ 7 * 7 }}",
    ]
    today = {"product": "Kerio Connect", "version": "10.0.8.9228", "settings": {}, "left_out": sentences}
    text = adopted({}, kerio_connect_today=today)
    assert yaml.safe_load(text) is None
    assert text.count("\n# Not declared here when this was written:\n# ") == 3
    assert "\n# mail1: ip_address_group of service IMAP is left out\n" in text
    unread = "\n# mailserver.cfg could not be read, so kerio_mailserver_cfg_permanent_delete is not declared"
    assert f"{unread}\n" in text
    lost = {"unreachable": True, "msg": "Task failed: no route"}
    assert f"{unread}: no route\n" in adopted({}, kerio_mailserver_cfg_result=lost)
    assert all(len(line) <= 130 for line in text.splitlines())


def test_nothing_is_asked_of_the_vault_while_master_authentication_is_off() -> None:
    text = adopted(changed(master_authentication={"enabled": False, "ip_address_group": ""}))
    assert "vault_" not in text
    assert "could not be read" in text


@pytest.mark.parametrize(
    ("remote", "domains", "found"),
    [
        ("Archive@Example.com", [], ["archive@example.com"]),
        ("office@example.com", [], ["alice@example.com"]),
        ("office@elsewhere.example", [], []),
        ("", [{"name": "example.com", "remote_address": "alice@example.com"}], ["alice@example.com"]),
    ],
)
def test_accounts_that_get_copies_are_declared_and_no_others(
    tmp_path: Path, remote: str, domains: list[Settings], found: list[str]
) -> None:
    archiving = {"enabled": True, "remote_address": remote, "domains": domains}
    read = host_variables(adopted(changed(archiving=archiving)), tmp_path, vault_kerio_master_password=MASTER)
    assert [user["address"] for user in read.get("kerio_connect_users", [])] == found


def test_settings_that_the_server_does_not_have_are_left_out(tmp_path: Path) -> None:
    text = adopted({"archiving": {"enabled": False}})
    assert host_variables(text, tmp_path) == {"kerio_connect_archiving": {"enabled": False}}


PIECES = [
    *(
        "{{ vault_kerio_master_password }}",
        "{% raw %}",
        "{# note #}",
        "}}",
        "!unsafe",
        "!vault |",
        "---",
        "...",
        "\n",
        "\r\n",
        "\t",
    ),
    *(
        "02:30",
        "12:30:45",
        "0123",
        "0x1F",
        "1_000",
        "1e3",
        ".inf",
        "yes",
        "No",
        "~",
        "null",
        "=",
        "<<",
        "2026-01-03",
        "-",
        "?",
        "",
    ),
    *(
        ": ",
        " #",
        "'",
        '"',
        "\\",
        "%",
        "@",
        "`",
        "&a",
        "*a",
        "[",
        "]",
        "{",
        "}",
        ",",
        "|",
        ">",
        " ",
        "\u00fc",
        "\u20ac",
        "\U0001f600",
    ),
    *("\x00", "\x1b", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff", "\ufffe", "a" * 200, "plain text"),
]


def test_every_text_survives_and_is_never_evaluated(tmp_path: Path) -> None:
    """Texts are any pieces that YAML or Jinja could take for something, alone and in any order; the seed is fixed."""
    some = random.Random(20260103)
    texts = PIECES + ["".join(some.choices(PIECES, k=some.randint(2, 6))) for _ in range(400)]
    groups = [{"name": text, "entries": [{"host": text, "description": text}]} for text in texts]
    policy = {"mode": texts[0], "authentication_methods": dict.fromkeys(texts, True)}
    settings = changed(ip_address_groups=groups, security_policy=policy)
    read = host_variables(adopted(settings), tmp_path, vault_kerio_master_password=MASTER)
    assert read["kerio_connect_ip_address_groups"] == groups
    assert read["kerio_connect_security_policy"] == policy


def test_head_is_one_comment_whatever_the_server_calls_itself() -> None:
    today = {"product": "Kerio\nkerio_connect_port: 1", "version": "\u2028x: y", "settings": {}}
    text = adopted({}, kerio_connect_today=today)
    assert yaml.safe_load(text) is None


@pytest.mark.parametrize(
    ("there", "file", "in_the_way"),
    [
        ([], "mail1.yml", []),
        (["mail1.yml"], "mail1.yml", []),
        (["mail1/", "mail1.yml"], "mail1/kerio_connect.yml", []),
        (["mail1.yaml"], "mail1.yml", ["mail1.yaml"]),
        (["mail1"], "mail1.yml", ["mail1"]),
    ],
)
def test_place_is_the_file_that_ansible_reads(tmp_path: Path, there: list[str], file: str, in_the_way: list[str]) -> None:
    folder = tmp_path / "host_vars"
    folder.mkdir()
    for name in there:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    where = {"inventory_dir": str(tmp_path), "inventory_hostname": "mail1"}
    assert evaluate("adopt.yml", "adopt_file", **where) == str(folder / file)
    assert evaluate("adopt.yml", "adopt_in_the_way", **where) == [str(folder / name) for name in in_the_way]


@pytest.mark.parametrize("nowhere", [{"inventory_dir": None}, {}])
def test_inventory_that_is_no_file_has_no_place(nowhere: dict[str, t.Any]) -> None:
    assert evaluate("adopt.yml", "adopt_folder", inventory_hostname="mail1", **nowhere) in ("", None)
