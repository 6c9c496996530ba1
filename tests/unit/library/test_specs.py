# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules do with their options: they are as documented, none is kept from one call to the next, and no secret goes to
the system log.
"""

from __future__ import annotations

import copy
import typing as t
from unittest import mock

import pytest
from ansible.module_utils import basic
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args

from tests.meta.test_house import MODULES
from tests.reference import sources
from tests.unit.library.module_run import begun

Spec = dict[str, dict[str, t.Any]]
# What an option is unless it says otherwise.
USUAL = {"type": "str", "required": False, "default": None, "choices": None, "elements": None, "aliases": []}
# Python writes all but the first with escapes.
SECRETS = ["not-a-secret-plain", "not-a-secret-a\\b", "not-a-secret-a'b\"c", "not-a-secret-\u00a0-\u00e4"]


def secrets_within(spec: Spec, path: str = "") -> list[str]:
    """The secret options that are suboptions."""
    found = [f"{path}{key}" for key, option in spec.items() if path and option.get("no_log")]
    return found + [
        one for key, option in spec.items() if "options" in option for one in secrets_within(option["options"], f"{path}{key}.")
    ]


def compare(documented: Spec, spec: Spec, where: str) -> None:
    assert documented.keys() == spec.keys(), where
    for name, option in documented.items():
        for key, default in USUAL.items():
            assert option.get(key, default) == spec[name].get(key, default), f"{where}.{name}: {key}"
        compare(option.get("suboptions", {}), spec[name].get("options", {}), f"{where}.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_what_it_documents(name: str) -> None:
    compare(sources.module(name).document["options"], begun(name).spec, name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_runs_again_has_the_defaults_that_it_has_declared(name: str) -> None:
    spec = begun(name).spec
    declared = copy.deepcopy(spec)
    ArgumentSpecValidator(spec).validate({})
    assert begun(name).spec == declared


def test_modules_with_secrets_within_options_keep_them_out_of_the_log() -> None:
    found = {name: begun(name) for name in MODULES}
    discreet = {name for name, told in found.items() if told.kind is begun("archive_run").kind}
    assert discreet == {name for name, told in found.items() if secrets_within(told.spec)} >= {"archive_run", "kerio_users"}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_within_an_option_is_masked_in_the_log(secret: str) -> None:
    logged: list[str] = []
    spec: Spec = {
        "servers": {"type": "list", "elements": "dict", "options": {"name": {}, "password": {"no_log": True}}},
        "mail": {"type": "dict", "options": {"host": {}, "password": {"no_log": True}}},
    }
    options = {
        "servers": [{"name": "mail1", "password": secret}, {"name": "mail2", "password": f"{secret}-2"}],
        "mail": {"host": "mail3", "password": f"{secret}-3"},
    }
    kind = begun("archive_run").kind
    log = mock.patch.object(basic.AnsibleModule, "log", lambda _module, text, **_more: logged.append(text))
    with log, patch_module_args(options):
        kind(argument_spec=spec)
    (text,) = logged
    assert all(name in text for name in ("mail1", "mail2", "mail3"))
    assert "a-secret" not in text, text
