# SPDX-License-Identifier: GPL-3.0-or-later
"""What replies of the admin API mean, above all those that say success and are none."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    ItemError,
    ProtocolError,
    SessionExpiredError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import GatewayError, Reply, fill, result_of


def reply(status: int = 200, **members: t.Any) -> Reply:
    return Reply(status, json.dumps({"jsonrpc": "2.0", "id": 1, **members}).encode())


def result(answer: Reply, sent: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    return result_of("mail1", "Archive.get", answer, sent)


@pytest.mark.parametrize("nothing", [None, {}, "", []])
def test_error_that_is_empty_is_none(nothing: t.Any) -> None:
    assert result(reply(error=nothing, result={"a": 1})) == {"a": 1}


@pytest.mark.parametrize("members", [{"result": None}, {"result": {}}, {"error": None}])
def test_void_is_an_empty_result(members: dict[str, t.Any]) -> None:
    assert result(reply(**members)) == {}


@pytest.mark.parametrize(
    ("text", "parameters", "filled"),
    [
        ("No %1 of %2", ["a", "b"], "No a of b"),
        ("%2 before %1", ["a", "b"], "b before a"),
        ("%10 and %1", [str(number) for number in range(1, 11)], "10 and 1"),
        ("%1 of %2", ["%2", "b"], "%2 of b"),  # a value is not filled again
        ("%1 of %2", ["a"], "a of %2"),
        ("100% of %0", [], "100% of %0"),
        ("%1", None, "%1"),
        ("%1", [7], "7"),
    ],
)
def test_placeholders_are_filled(text: str, parameters: t.Any, filled: str) -> None:
    assert fill(text, parameters) == filled


def test_call_error_is_filled_and_keeps_the_raw_text() -> None:
    error = {
        "code": 1002,
        "message": "%1 does not exist",
        "data": {"messageParameters": {"positionalParameters": ["Group"], "plurality": 1}},
    }
    with pytest.raises(ApiError) as caught:
        result(reply(error=error))
    assert caught.value.cause == "Group does not exist (code 1002)"
    assert caught.value.details == {"method": "Archive.get", "code": 1002, "raw_message": "%1 does not exist"}


@pytest.mark.parametrize("error", [{"code": 5, "message": "m"}, {"code": 5, "message": "m", "data": None}, "m"])
def test_call_error_without_data(error: t.Any) -> None:
    with pytest.raises(ApiError, match="m "):
        result(reply(error=error))


def test_session_that_is_gone_is_an_error_of_its_own() -> None:
    with pytest.raises(SessionExpiredError):
        result(reply(error={"code": -32001, "message": "Session expired"}))


def test_wrong_parameters_tell_the_names_that_were_sent_and_no_value() -> None:
    with pytest.raises(ApiError) as caught:
        result(
            reply(error={"code": -32602, "message": "Invalid params."}),
            {"options": {"password": "not-a-secret", "list": [{"x": 1}, {"x": 2}], "plain": [3]}, "id": "k"},
        )
    assert caught.value.details["sent_members"] == ["id", "options.list.x", "options.password", "options.plain"]
    assert "not-a-secret" not in str(caught.value.as_result())


@pytest.mark.parametrize(
    ("code", "words"), [(1004, "FullAdmin"), (1000, "FullAdmin"), (1003, "licence"), (1001, "another name"), (-32601, "version")]
)
def test_remedy_says_what_the_code_means(code: int, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        result(reply(error={"code": code, "message": "internal database error"}))
    assert words in caught.value.remedy


def test_errors_inside_success_are_errors_with_all_items() -> None:
    errors = [
        {
            "inputIndex": 1,
            "code": 1001,
            "message": "%1 exists",
            "messageParameters": {"positionalParameters": ["a"], "plurality": 1},
        },
        {"inputIndex": 3, "code": 1003, "message": "Too many"},
    ]
    with pytest.raises(ItemError) as caught:
        result(reply(result={"errors": errors, "result": [{"inputIndex": 0, "id": "x"}]}))
    assert [(entry["index"], entry["message"]) for entry in caught.value.details["errors"]] == [(1, "a exists"), (3, "Too many")]
    assert "item 1: a exists (code 1001); item 3: Too many (code 1003)" in str(caught.value)


def test_empty_list_of_errors_is_success() -> None:
    assert result(reply(result={"errors": [], "result": []})) == {"errors": [], "result": []}


@pytest.mark.parametrize("body", [b"", b"<html>Not Found</html>", b"\xff\xfe", b"[]", b'"text"', b"{}", b"{"])
def test_body_that_is_no_envelope_is_told_with_its_beginning(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="api_port"):
        result(Reply(200, body))


def test_result_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProtocolError, match="list"):
        result(reply(result=[1]))


@pytest.mark.parametrize("status", [502, 503, 504])
def test_gateway_errors_are_told_apart(status: int) -> None:
    with pytest.raises(GatewayError, match=str(status)):
        result(Reply(status, b"<html>later</html>"))


@pytest.mark.parametrize("status", [301, 401, 404, 500])
def test_other_status_is_told_with_its_beginning(status: int) -> None:
    with pytest.raises(ProtocolError, match=f"HTTP status {status}: '<html>no</html>'"):
        result(Reply(status, b"<html>no</html>"))


def test_json_error_is_believed_whatever_the_status() -> None:
    with pytest.raises(ApiError, match="too large"):
        result(reply(500, error={"code": 413, "message": "too large"}))


def test_result_with_a_status_of_failure_is_not_believed() -> None:
    with pytest.raises(ProtocolError):
        result(reply(500, result={}))
