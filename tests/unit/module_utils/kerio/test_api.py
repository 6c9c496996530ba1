# SPDX-License-Identifier: GPL-3.0-or-later
"""The session of a module: what it needs before it asks anybody, and what it knows of the server's objects."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, InputError, ItemError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import api, arguments, codecs, kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field
from tests.unit.module_utils.kerio.sessions import session
from tests.unit.rpc_script import CONNECTION, Call, error

GROUP = Field("group", ("group",), codecs.reference("enabled"), reference="ip_address_group")


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


def groups(*names: str) -> Call:
    return Call("IpAddressGroups.getGroupList", None, {"groups": [{"id": f"id of {name}", "name": name} for name in names]})


def archiving(**options: t.Any) -> Call:
    return Call("Archive.get", None, {"options": options})


def test_nothing_is_asked_twice_in_a_session_that_only_reads() -> None:
    def work(server: Server) -> t.Any:
        return [
            (
                server.read(kinds.ARCHIVING).options,
                server.objects(kinds.IP_ADDRESS_GROUP),
                server.objects(kinds.IP_ADDRESS_GROUP, page_size=5),
                server.known_name(GROUP, "a"),
                server.known_name(kinds.MASTER_AUTHENTICATION.fields[1], "A"),
            )
            for _ in range(2)
        ]

    first, second = session(work, archiving(isEnabled=True), groups("A"), remember=True)[0]
    assert first == second


def test_session_that_writes_asks_each_time_and_one_that_remembers_forgets_when_it_writes() -> None:
    def work(server: Server) -> None:
        for _ in range(2):
            server.read(kinds.ARCHIVING)
        server.call("Archive.set", {})
        server.read(kinds.ARCHIVING)

    write = Call("Archive.set", {})
    session(work, archiving(), archiving(), write, archiving())
    session(work, archiving(), write, archiving(), remember=True)


def test_name_of_an_object_is_told_in_the_spelling_of_the_server() -> None:
    def work(server: Server) -> list[str]:
        server.expected["ip_address_group"] = {"ARCHIVE hosts", "New"}
        return [server.known_name(GROUP, name) for name in ("archive HOSTS", "Archive hosts", "new", "b", "B")]

    assert session(work, groups("Archive hosts", "B", "b"))[0] == ["Archive hosts", "Archive hosts", "New", "b", "B"]


@pytest.mark.parametrize("name", ["Archive", "Alpha"])
def test_name_that_fits_none_or_several_is_refused_with_those_that_are_there(name: str) -> None:
    with pytest.raises(InputError, match="'ALPHA', 'B', 'alpha'") as caught:
        session(lambda server: server.known_name(GROUP, name), groups("alpha", "B", "ALPHA"))
    assert "create the group" in caught.value.remedy


def test_object_that_is_only_expected_cannot_be_written() -> None:
    def work(server: Server) -> t.Any:
        server.expected["ip_address_group"] = {"New"}
        return server.changed([GROUP], {}, {"group": "New"})

    with pytest.raises(InputError, match="group 'New'"):
        session(work, groups("A"))


def test_names_become_ids_and_back() -> None:
    received = {"group": {"enabled": True, "id": "id of A", "name": "A of yesterday", "new": 1}}

    def work(server: Server) -> t.Any:
        return server.options([GROUP], received), server.changed([GROUP], received, {"group": "B"})

    options, changed = session(work, groups("A", "B"))[0]
    assert options == {"group": "A"}
    assert changed == {"group": {"enabled": True, "id": "id of B", "name": "B", "new": 1}}


@pytest.mark.parametrize("odd", [{"enabled": True, "id": ""}, {"enabled": True, "id": 5, "name": "A"}])
def test_reference_of_another_shape_is_passed_on(odd: dict[str, t.Any]) -> None:
    assert session(lambda server: server.options([GROUP], {"group": odd}))[0] == {"group": odd}


def test_names_are_asked_for_again_after_a_call_that_may_create_them() -> None:
    def work(server: Server) -> str:
        server.known_name(GROUP, "A")
        server.call("IpAddressGroups.create", {})
        return server.known_name(GROUP, "B")

    assert session(work, groups("A"), Call("IpAddressGroups.create", {}), groups("A", "B"))[0] == "B"


def test_error_names_the_items_that_failed() -> None:
    errors = [
        {"inputIndex": 1, "code": 1001, "message": "exists"},
        {"inputIndex": 9, "code": 1, "message": "odd"},
        {"message": "x"},
    ]
    call = Call("X.create", {}, {"errors": errors})
    with pytest.raises(ItemError, match=r"X.create: bob: exists \(code 1001\); item 9: odd \(code 1\); an item: x") as caught:
        session(lambda server: server.call("X.create", {}, items=["alice", "bob"]), call)
    assert [entry["item"] for entry in caught.value.details["errors"]] == ["bob", "item 9", "an item"]


def test_error_of_the_whole_call_names_what_it_was_about() -> None:
    with pytest.raises(ApiError, match=r"X.start \(IMAP\): no"):
        session(lambda server: server.call("X.start", {}, items=["IMAP"]), Call("X.start", {}, error(1000, "no")))


def test_empty_password_is_not_part_of_a_pattern() -> None:
    box = Field("on", ("service", "isOn"), codecs.BOOLEAN)
    kind = kinds.ObjectKind(
        "d", "D.get", "list", "name", order_by="n", set="D.set", set_ids="ids", set_pattern="p", fields=(box,)
    )
    call = Call("D.set", {"ids": ["1"], "p": {"service": {"isOn": True, "user": "x"}}})
    received = {"id": "1", "service": {"isOn": False, "user": "x", "password": ""}, "name": "n"}
    session(lambda server: server.set_object(kind, "1", received, {"on": True}), call)


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("mail1.example.com", ("mail1.example.com", 4040)),
        ("mail1.example.com:4041", ("mail1.example.com", 4041)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("2001:db8::1", ("2001:db8::1", 4040)),
        ("[2001:db8::1]", ("2001:db8::1", 4040)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_a_port_may_follow_the_host(host: str, place: tuple[str, int]) -> None:
    assert arguments.place({"api_host": host, "api_port": 4040}) == place


@pytest.mark.parametrize("host", ["mail1:", "mail1:https", "mail1:0", "mail1:65536", "[mail1", ":4040", "[::1]4040"])
def test_what_is_neither_a_host_nor_a_host_and_a_port_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="Give name, name:port"):
        arguments.place({"api_host": host, "api_port": 4040})
