# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand in an inventory, in ``-e`` and in a task: specs of all roles, playbooks and modules, and checks against them."""

from __future__ import annotations

import copy
import typing as t
from functools import cache
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import fragment_loader, module_loader
from ansible.utils.plugin_docs import get_docstring

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from tests.meta.test_documentation import spec_of
from tests.meta.test_house import ROLES

ROOT = Path(__file__).parents[2]
COLLECTION = "mailops.kerio."
Spec = dict[str, t.Any]
Data = dict[str, t.Any]
# Ansible's own, of hosts.
CONNECTION = {
    "ansible_become_method",
    "ansible_become_password",
    "ansible_connection",
    "ansible_host",
    "ansible_port",
    "ansible_python_interpreter",
    "ansible_ssh_common_args",
    "ansible_ssh_private_key_file",
    "ansible_user",
}
# Of a task, beside its module.
KEYWORDS = {
    "become", "become_user", "changed_when", "check_mode", "connection", "delegate_to", "diff", "environment", "failed_when",
    "ignore_errors", "loop", "name", "no_log", "register", "run_once", "throttle", "vars", "when",
}  # fmt: skip


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which Ansible takes the last one."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> Data:
    keys = [str(loader.construct_object(key, deep=True)) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: a key is there twice: {keys}"
    return {str(k): loader.construct_object(v, deep=True) for k, (_, v) in zip(keys, node.value, strict=True)}


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(text: str) -> t.Any:
    return yaml.load(text, Loader=StrictLoader)  # noqa: S506  a safe one


@cache
def spec_of_module(name: str) -> Spec:
    return spec_of(name)


@cache
def variables() -> Spec:
    """The spec of every variable of the roles and the playbooks, by its name."""
    found: Spec = {}
    for role in ROLES:
        entries = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        for entry in entries["argument_specs"].values():
            found |= entry.get("options", {})
    for name, option in yaml.safe_load((ROOT / "playbooks/vars/options.yml").read_text(encoding="utf-8"))[
        "playbook_options"
    ].items():
        module, _, key = option.get("of", "").partition(".")
        found[name] = spec_of_module(module)[key] if module else option
    return found


def known(name: str) -> bool:
    return name in variables() or name in CONNECTION or name.startswith("vault_")


def problems_of_variables(given: Data) -> list[str]:
    """What Ansible, and what reads profiles, would say of these variables of an inventory or of ``-e``."""
    unknown = [f"{name}: there is no such variable" for name in given if not known(name)]
    mine = {name: value for name, value in given.items() if name in variables()}
    found = problems({name: {**variables()[name], "required": False} for name in mine}, mine)
    return unknown + found + problems_of_profiles(mine.get("archive_profiles", []))


def problems_of_profiles(profiles: t.Any) -> list[str]:
    """What a run would say of profiles; the servers that they name are there."""
    if isinstance(profiles, str):
        return []
    names = {name for one in profiles for name in one.get("servers", [])} | {"mail1.example.com"}
    servers = [{"name": name, "host": name, "master_password": "not-a-secret-of-docs"} for name in sorted(names)]
    try:
        parse_profiles(profiles, parse_servers(servers))
    except ArchiveToolError as error:
        return [str(error)]
    return []


def problems(spec: Spec, given: Data, **rules: t.Any) -> list[str]:
    """What Ansible says of options; what a template makes of one is not known."""
    # A copy, because defaults are filled in where they stand.
    own = copy.deepcopy(spec)
    loose = {name: {"type": "raw"} if _templated(given.get(name)) else option for name, option in own.items()}
    said: list[str] = ArgumentSpecValidator(loose, **rules).validate(given).error_messages
    return said


def _templated(value: t.Any) -> bool:
    if isinstance(value, dict):
        return any(_templated(one) for one in value.values())
    return any(_templated(one) for one in value) if isinstance(value, list) else "{{" in str(value)


def problems_of_task(task: Data) -> list[str]:
    """What is wrong with a task: its module, that module's options, and its keywords."""
    modules = [key for key in task if "." in key]
    found = [f"{key} is no keyword of a task" for key in task if key not in KEYWORDS and key not in modules]
    if len(modules) != 1:
        return [*found, f"{task.get('name')}: modules {modules}"]
    name, options = modules[0], task[modules[0]] or {}
    if name.startswith(COLLECTION):
        return found + problems(spec_of_module(name.removeprefix(COLLECTION)), options)
    if name in ("ansible.builtin.include_role", "ansible.builtin.import_role"):
        role = options.get("name", "")
        unknown = [] if role.removeprefix(COLLECTION) in ROLES else [f"there is no role {role}"]
        return found + unknown + problems_of_variables(task.get("vars", {}))
    return found + [f"{name} has no option {key}" for key in options if key not in _options_of(name)]


@cache
def _options_of(module: str) -> frozenset[str]:
    """The options of a module of Ansible, out of its documentation."""
    path = module_loader.find_plugin(module)
    assert path, f"there is no module {module}"
    document = get_docstring(path, fragment_loader)[0]
    return frozenset(name for key, option in document["options"].items() for name in (key, *option.get("aliases", [])))
