# SPDX-License-Identifier: GPL-3.0-or-later
"""The session of a module: what it needs before it asks anybody."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments
from tests.unit.rpc_script import CONNECTION


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("option", ["api_host", "api_user", "api_password"])
def test_a_missing_connection_option_is_named_with_the_ways_to_give_it(option: str, empty: t.Any) -> None:
    spec = {name: entry.get("default") for name, entry in arguments.connection().items()}
    with pytest.raises(InputError) as raised, api.session({**spec, **CONNECTION, option: empty}):
        pass
    assert raised.value.cause == f"{option} is not given"
    assert raised.value.subject == "mail1"
    assert "in the task" in raised.value.remedy
    assert "module_defaults, group mailops.kerio.kerio" in raised.value.remedy


def test_all_missing_connection_options_are_named_at_once() -> None:
    spec = {name: entry.get("default") for name, entry in arguments.connection().items()}
    with (
        pytest.raises(InputError, match="Kerio Connect server: api_host, api_user, api_password are not given"),
        api.session(spec),
    ):
        pass
